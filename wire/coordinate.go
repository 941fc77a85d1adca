package wire

import (
	"encoding/binary"
	"math"

	"concord/catalog"
)

func appendFloat(p []byte, x float64) []byte {
	return binary.BigEndian.AppendUint64(append(p, codeFloat64), math.Float64bits(x))
}

func (r *reader) float() float64 {
	if r.byte() != codeFloat64 {
		r.fail("not a number with a fraction")
		return 0
	}
	return math.Float64frombits(r.number(8))
}

func appendCoordinate(p []byte, c *catalog.Coordinate) []byte {
	p = appendArray(p, 8)
	p = appendString(p, c.Node)
	p = appendString(p, c.Segment)
	p = appendArray(p, len(c.Coord.Vec))
	for _, x := range c.Coord.Vec {
		p = appendFloat(p, x)
	}
	p = appendFloat(p, c.Coord.Error)
	p = appendFloat(p, c.Coord.Adjustment)
	p = appendFloat(p, c.Coord.Height)
	return appendIndexes(p, c.RaftIndex)
}

func (r *reader) coordinate() *catalog.Coordinate {
	more := r.fields(8)
	c := &catalog.Coordinate{Node: r.string(), Segment: r.string()}
	if r.array() != len(c.Coord.Vec) {
		r.fail("a coordinate of other dimensions")
	}
	for i := range c.Coord.Vec {
		c.Coord.Vec[i] = r.float()
	}
	c.Coord.Error, c.Coord.Adjustment, c.Coord.Height = r.float(), r.float(), r.float()
	c.RaftIndex = r.indexes()
	r.skip(more)
	return c
}

// coordinateSize is the least size of an encoded coordinate.
const coordinateSize = 1 + 2 + 1 + 11*9 + 2

func appendCoordinates(p []byte, list []catalog.Coordinate) []byte {
	return appendList(p, list, func(p []byte, c catalog.Coordinate) []byte { return appendCoordinate(p, &c) })
}

func (r *reader) coordinates() []catalog.Coordinate {
	return readList(r, coordinateSize, func(r *reader) catalog.Coordinate { return *r.coordinate() })
}

func appendDatacenterMap(p []byte, m catalog.DatacenterMap) []byte {
	return appendCoordinates(appendString(appendString(appendArray(p, 3), m.Datacenter), m.AreaID), m.Coordinates)
}

func (r *reader) datacenterMap() catalog.DatacenterMap {
	more := r.fields(3)
	m := catalog.DatacenterMap{Datacenter: r.string(), AreaID: r.string(), Coordinates: r.coordinates()}
	r.skip(more)
	return m
}
