package httpapi

import (
	"net/http"

	"concord/catalog"
	"concord/swim/coordinate"
	"concord/wire"
)

// coordinateRoutes: https://developer.hashicorp.com/consul/api-docs/coordinate
var coordinateRoutes = []route{
	{"/v1/coordinate/datacenters", get, enabled((*request).coordinateDatacenters)},
	{"/v1/coordinate/nodes", get, enabled((*request).coordinateNodes)},
	{"/v1/coordinate/node/", get, enabled((*request).coordinateNode)},
	{"/v1/coordinate/update", put, enabled((*request).coordinateUpdate)},
}

// enabled refuses requests if this agent keeps no coordinates.
func enabled(h handler) handler {
	return func(q *request) (any, error) {
		if q.s.cfg.DisableCoordinates {
			return nil, &status{http.StatusUnauthorized, "Coordinate support disabled"}
		}
		return h(q)
	}
}

func (q *request) coordinateDatacenters() (any, error) {
	r, err := q.operator(wire.Operator{Kind: wire.CoordinateDatacenters})
	if err != nil {
		return nil, err
	}
	return r.Maps, nil
}

func (q *request) coordinateNodes() (any, error) {
	return q.coordinates(&catalog.CoordinatesQuery{})
}

func (q *request) coordinateNode() (any, error) {
	list, err := q.coordinates(&catalog.CoordinateQuery{Node: q.arg})
	if err == nil && len(list) == 0 {
		return nil, missing("")
	}
	return list, err
}

// coordinates reads coordinates and keeps those of a segment, if one is named.
func (q *request) coordinates(what catalog.Query) ([]*catalog.Coordinate, error) {
	v, err := q.read(what)
	if err != nil {
		return nil, err
	}
	list := []*catalog.Coordinate{}
	for _, c := range v.([]*catalog.Coordinate) {
		if !q.has("segment") || c.Segment == q.params.Get("segment") {
			list = append(list, c)
		}
	}
	return list, nil
}

// coordinateUpdate is acknowledged before the coordinate is written: the servers write them in batches.
func (q *request) coordinateUpdate() (any, error) {
	var body struct {
		Datacenter, Node, Segment string
		Coord                     *struct {
			Vec                       []float64
			Error, Adjustment, Height float64
		}
	}
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	q.inDatacenter(body.Datacenter)
	refused := func(err error) error { return &status{http.StatusInternalServerError, err.Error()} }
	if body.Coord == nil {
		return nil, refused(catalog.ErrCoordinate)
	}
	if len(body.Coord.Vec) != coordinate.Dimensions {
		return nil, refused(catalog.ErrDimensions)
	}
	c := &catalog.Coordinate{Node: body.Node, Segment: body.Segment}
	copy(c.Coord.Vec[:], body.Coord.Vec)
	c.Coord.Error, c.Coord.Adjustment, c.Coord.Height = body.Coord.Error, body.Coord.Adjustment, body.Coord.Height
	if err := c.Validate(); err != nil {
		return nil, refused(err)
	}
	return nil, failure(q.do(&wire.Request{Operator: &wire.Operator{Kind: wire.CoordinateUpdate, Coordinate: c}}))
}

// near sorts the answer by distance if the request asks for it: from a node, or from this agent's.
func (q *request) near(what catalog.Query) catalog.Query {
	switch node := q.params.Get("near"); node {
	case "":
		return what
	case "_agent":
		return &catalog.NearQuery{Query: what, Node: q.s.cfg.NodeName}
	default:
		return &catalog.NearQuery{Query: what, Node: node}
	}
}
