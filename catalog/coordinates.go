package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"concord/swim/coordinate"
)

// MaxCoordinates is how many updates there may be in one UpdateCoordinates.
const MaxCoordinates = 128

// Coordinate is where a node is in the space of network coordinates (/v1/coordinate/nodes).
type Coordinate struct {
	Node      string
	Segment   string // of the pool; always "", as there are no segments
	Coord     coordinate.Coordinate
	RaftIndex `json:"-"`
}

// DatacenterMap is where the servers of a datacenter are in the space of the WAN pool (/v1/coordinate/datacenters).
type DatacenterMap struct {
	Datacenter  string
	AreaID      string
	Coordinates []Coordinate
}

// UpdateCoordinates replaces the coordinates of nodes. Those of nodes that are not there are ignored: they may have been deregistered
// meanwhile.
type UpdateCoordinates struct{ Updates []Coordinate }

func (*UpdateCoordinates) command() {}

type (
	// CoordinatesQuery lists the coordinates of all nodes by name: []*Coordinate.
	CoordinatesQuery struct{}
	// CoordinateQuery lists the coordinates of one node, at most one: []*Coordinate.
	CoordinateQuery struct{ Node string }
	// NearQuery answers a query whose answer is a list of nodes, instances or checks, sorted by the distance from a node. If that has no
	// coordinate the order stays as it is; what has none comes last. A watcher is only woken by what Query watches.
	NearQuery struct {
		Query Query
		Node  string
	}
)

func (*CoordinatesQuery) query() {}
func (*CoordinateQuery) query()  {}
func (*NearQuery) query()        {}

var (
	// ErrCoordinate and ErrDimensions have Consul's texts.
	ErrCoordinate  = errors.New("invalid coordinate")
	ErrDimensions  = errors.New("incompatible coordinate")
	ErrSegment     = errors.New("There are no segments: leave Segment empty")
	ErrCoordinates = fmt.Errorf("Too many coordinates: the limit is %d", MaxCoordinates)
)

// Validate tells why an update would be refused, nil if it would not.
func (c *Coordinate) Validate() error {
	switch {
	case c.Node == "":
		return ErrNoNode
	case c.Segment != "":
		return ErrSegment
	case c.Coord.Validate() != nil:
		return ErrCoordinate
	}
	return nil
}

func validateCoordinates(c *UpdateCoordinates) error {
	if len(c.Updates) > MaxCoordinates {
		return ErrCoordinates
	}
	for i := range c.Updates {
		if err := c.Updates[i].Validate(); err != nil {
			return err
		}
	}
	return nil
}

func topicCoordinate(node string) Topic {
	return Topic{Kind: TopicCoordinate, Name: strings.ToLower(node)}
}

func (a *applier) updateCoordinates(c *UpdateCoordinates) {
	for _, u := range c.Updates {
		part := fold(u.Node)
		n := a.node(part)
		if n == nil {
			continue
		}
		k := key(tableCoordinates, part)
		old := lookup(&a.reader, k, decodeCoordinate)
		u.Node, u.RaftIndex = n.Node, RaftIndex{CreateIndex: a.index, ModifyIndex: a.index}
		if old != nil {
			if sameBody(encodeCoordinate(&u), encodeCoordinate(old)) {
				continue
			}
			u.CreateIndex = old.CreateIndex
		}
		a.set(k, encodeCoordinate(&u))
		a.touch(Topic{Kind: TopicCoordinates})
		a.touch(topicCoordinate(n.Node))
	}
}

// deleteCoordinate removes the coordinate of a node that goes.
func (a *applier) deleteCoordinate(n *Node) {
	k := key(tableCoordinates, fold(n.Node))
	if _, ok := a.get(k); !ok {
		return
	}
	a.delete(k)
	a.touch(Topic{Kind: TopicCoordinates})
	a.touch(topicCoordinate(n.Node))
	a.retire(topicCoordinate(n.Node))
}

func (r *reader) coordinates(prefix []byte) []*Coordinate {
	list := []*Coordinate{}
	r.scan(prefix, func(_, record []byte) bool {
		if c := decoded(r, record, decodeCoordinate); c != nil {
			list = append(list, c)
		}
		return true
	})
	return list
}

// near sorts a list by the distance of its nodes. The order of what is equally far stays.
func (r *reader) near(q *NearQuery, value any) (any, error) {
	switch list := value.(type) {
	case []*Node:
		return nearest(r, q.Node, list, func(n *Node) string { return n.Node }), nil
	case []*ServiceNode:
		return nearest(r, q.Node, list, func(s *ServiceNode) string { return s.Node }), nil
	case []*HealthCheck:
		return nearest(r, q.Node, list, func(c *HealthCheck) string { return c.Node }), nil
	case []*CheckServiceNode:
		return nearest(r, q.Node, list, func(s *CheckServiceNode) string { return s.Node.Node }), nil
	}
	return nil, fmt.Errorf("catalog: the answer of %T cannot be sorted by distance", q.Query)
}

func nearest[T any](r *reader, from string, list []T, nodeOf func(T) string) []T {
	source := r.coordinate(from)
	if source == nil {
		return list
	}
	type placed struct {
		item     T
		distance float64
	}
	distances := map[string]float64{}
	all := make([]placed, len(list))
	for i, item := range list {
		node := nodeOf(item)
		d, known := distances[node]
		if !known {
			d = r.distance(source, node)
			distances[node] = d
		}
		all[i] = placed{item, d}
	}
	slices.SortStableFunc(all, func(a, b placed) int {
		switch {
		case a.distance < b.distance:
			return -1
		case a.distance > b.distance:
			return 1
		}
		return 0
	})
	sorted := make([]T, len(all))
	for i := range all {
		sorted[i] = all[i].item
	}
	return sorted
}

func (r *reader) coordinate(node string) *Coordinate {
	return lookup(r, key(tableCoordinates, fold(node)), decodeCoordinate)
}

// distance is in nanoseconds, or infinite if the node has no coordinate. Nothing is nearer to a node than itself, though
// a coordinate's distance to itself is twice its height.
func (r *reader) distance(from *Coordinate, node string) float64 {
	if strings.EqualFold(from.Node, node) {
		return -1
	}
	to := r.coordinate(node)
	if to == nil {
		return math.Inf(1)
	}
	return float64(from.Coord.Distance(&to.Coord))
}

func encodeCoordinate(c *Coordinate) []byte {
	b := appendHead(make([]byte, 0, 128), c.RaftIndex)
	b = appendString(b, c.Node)
	b = appendString(b, c.Segment)
	for _, x := range c.Coord.Vec {
		b = appendFloat(b, x)
	}
	b = appendFloat(b, c.Coord.Error)
	b = appendFloat(b, c.Coord.Adjustment)
	return appendFloat(b, c.Coord.Height)
}

func decodeCoordinate(record []byte) (*Coordinate, error) {
	d, err := newDecoder(record)
	if err != nil {
		return nil, err
	}
	c := &Coordinate{RaftIndex: d.head()}
	c.Node = d.string()
	c.Segment = d.string()
	for i := range c.Coord.Vec {
		c.Coord.Vec[i] = d.float()
	}
	c.Coord.Error = d.float()
	c.Coord.Adjustment = d.float()
	c.Coord.Height = d.float()
	return c, d.done("coordinate")
}

func appendFloat(b []byte, x float64) []byte {
	return binary.BigEndian.AppendUint64(b, math.Float64bits(x))
}

func (d *decoder) float() float64 {
	if len(d.s) < 8 {
		d.fail()
		return 0
	}
	bits := binary.BigEndian.Uint64([]byte(d.s[:8]))
	d.s = d.s[8:]
	return math.Float64frombits(bits)
}
