package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"concord/catalog"
	"concord/wire"
)

// routes are the endpoints but for the KV store.
var routes = slices.Concat(catalogRoutes, healthRoutes, agentRoutes, operatorRoutes, snapshotRoutes, txnRoutes, coordinateRoutes, eventRoutes)

var (
	get    = []string{http.MethodGet}
	put    = []string{http.MethodPut}
	getPut = []string{http.MethodGet, http.MethodPut}
)

// catalogRoutes: https://developer.hashicorp.com/consul/api-docs/catalog
var catalogRoutes = []route{
	{"/v1/catalog/register", put, (*request).catalogRegister},
	{"/v1/catalog/deregister", put, (*request).catalogDeregister},
	{"/v1/catalog/datacenters", get, (*request).datacenters},
	{"/v1/catalog/nodes", get, func(q *request) (any, error) { return q.list(q.near(&catalog.NodesQuery{NodeMeta: q.nodeMeta()})) }},
	{"/v1/catalog/services", get, func(q *request) (any, error) { return q.read(&catalog.ServicesQuery{NodeMeta: q.nodeMeta()}) }},
	{"/v1/catalog/service/", get, (*request).catalogService},
	{"/v1/catalog/node/", get, (*request).catalogNode},
	{"/v1/catalog/node-services/", get, (*request).catalogNodeServices},
}

// healthRoutes: https://developer.hashicorp.com/consul/api-docs/health
var healthRoutes = []route{
	{"/v1/health/node/", get, func(q *request) (any, error) {
		return q.named("node name", func() catalog.Query { return &catalog.NodeChecksQuery{Node: q.arg} })
	}},
	{"/v1/health/checks/", get, func(q *request) (any, error) {
		return q.named("service name", func() catalog.Query {
			return q.near(&catalog.ServiceChecksQuery{Service: q.arg, NodeMeta: q.nodeMeta()})
		})
	}},
	{"/v1/health/state/", get, func(q *request) (any, error) {
		return q.named("check state", func() catalog.Query { return q.near(&catalog.StateChecksQuery{State: q.arg, NodeMeta: q.nodeMeta()}) })
	}},
	{"/v1/health/service/", get, (*request).healthService},
}

// list reads a list and filters it.
func (q *request) list(what catalog.Query) (any, error) {
	v, err := q.read(what)
	if err != nil {
		return nil, err
	}
	return q.filtered(v)
}

// named reads a list about what the path names.
func (q *request) named(what string, query func() catalog.Query) (any, error) {
	if q.arg == "" {
		return nil, badRequest("Missing %s", what)
	}
	return q.list(query())
}

func (q *request) catalogRegister() (any, error) {
	var c catalog.Register
	if err := q.decode(&c); err != nil {
		return nil, err
	}
	q.inDatacenter(c.Datacenter)
	c.Datacenter = q.datacenter()
	_, err := q.write(&c)
	return true, err
}

func (q *request) catalogDeregister() (any, error) {
	var c catalog.Deregister
	if err := q.decode(&c); err != nil {
		return nil, err
	}
	q.inDatacenter(c.Datacenter)
	_, err := q.write(&c)
	return true, err
}

// datacenters lists the datacenters that the servers of this one know, nearest first.
func (q *request) datacenters() (any, error) {
	q.dc = ""
	r, err := q.operator(wire.Operator{Kind: wire.Datacenters})
	if err != nil {
		return nil, err
	}
	return r.Datacenters, nil
}

func (q *request) catalogService() (any, error) {
	return q.named("service name", func() catalog.Query {
		return q.near(&catalog.ServiceNodesQuery{Service: q.arg, Tags: q.params["tag"], NodeMeta: q.nodeMeta()})
	})
}

func (q *request) node() (*catalog.NodeServices, error) {
	if q.arg == "" {
		return nil, badRequest("Missing node name")
	}
	v, err := q.read(&catalog.NodeServicesQuery{Node: q.arg})
	if err != nil {
		return nil, err
	}
	return v.(*catalog.NodeServices), nil
}

// catalogNode answers null for a node that does not exist, as Consul does.
func (q *request) catalogNode() (any, error) {
	n, err := q.node()
	if err != nil || n == nil {
		return n, err
	}
	services, err := q.filtered(n.Services)
	if err != nil {
		return nil, err
	}
	return &catalog.NodeServices{Node: n.Node, Services: services.(map[string]*catalog.NodeService)}, nil
}

func (q *request) catalogNodeServices() (any, error) {
	n, err := q.node()
	if err != nil || n == nil {
		return &catalog.NodeServiceList{Services: []*catalog.NodeService{}}, err
	}
	list := make([]*catalog.NodeService, 0, len(n.Services))
	for _, s := range n.Services {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *catalog.NodeService) int { return strings.Compare(a.ID, b.ID) })
	services, err := q.filtered(list)
	if err != nil {
		return nil, err
	}
	return &catalog.NodeServiceList{Node: n.Node, Services: services.([]*catalog.NodeService)}, nil
}

func (q *request) healthService() (any, error) {
	if q.arg == "" {
		return nil, badRequest("Missing service name")
	}
	passing, err := q.flag("passing")
	if err != nil {
		return nil, err
	}
	return q.list(q.near(&catalog.HealthServiceQuery{Service: q.arg, Tags: q.params["tag"], NodeMeta: q.nodeMeta(), PassingOnly: passing}))
}
