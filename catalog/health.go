package catalog

import (
	"slices"
	"strings"
)

// listServices returns the names of services with their tags, sorted.
func (r *reader) listServices(q *ServicesQuery) map[string][]string {
	if len(q.NodeMeta) > 0 {
		return r.listServicesOn(q.NodeMeta)
	}
	services := make(map[string][]string)
	var part, name string // the service that the scan is at
	r.scan(key(tableTags), func(k, _ []byte) bool {
		service, rest, ok := cut(string(k[1:]))
		if !ok || rest == "" {
			r.fail(ErrCorrupt)
			return false
		}
		if service != part {
			part, name = service, unesc(service)
			services[name] = []string{}
		}
		if rest != noTag {
			services[name] = append(services[name], rest[len(someTag):])
		}
		return true
	})
	return services
}

// listServicesOn does the same for the instances on the nodes with that metadata.
func (r *reader) listServicesOn(meta map[string]string) map[string][]string {
	services := make(map[string][]string)
	for _, n := range r.listNodes(&NodesQuery{NodeMeta: meta}) {
		for _, s := range r.nodeServices(fold(n.Node)) {
			services[s.Service] = append(services[s.Service], s.Tags...)
		}
	}
	for name, tags := range services {
		slices.Sort(tags)
		if tags = slices.Compact(tags); tags == nil {
			tags = []string{}
		}
		services[name] = tags
	}
	return services
}

// instance is an instance of a service as a scan by service meets it.
type instance struct {
	service *NodeService
	node    *Node
	part    string // the node, as a part
	suffix  string // node and service ID, as parts
}

// instances returns the instances of a service that have the tags, on nodes with that metadata,
// by node and service ID.
func (r *reader) instances(service string, tags []string, meta map[string]string) []instance {
	prefix := key(tableServices, fold(service))
	var list []instance
	r.scan(prefix, func(k, record []byte) bool {
		s := decoded(r, record, decodeService)
		if s != nil && hasTags(s.Tags, tags) {
			list = append(list, instance{service: s, suffix: string(k[len(prefix):])})
		}
		return true
	})
	kept := list[:0]
	var n *Node
	var at string // the node that n is
	for _, i := range list {
		part, _, ok := cut(i.suffix)
		if !ok {
			r.fail(ErrCorrupt)
			return nil
		}
		if part != at {
			n, at = r.node(part), part
		}
		if n != nil && hasMeta(n.Meta, meta) {
			i.node, i.part = n, part
			kept = append(kept, i)
		}
	}
	return kept
}

func (r *reader) serviceNodes(q *ServiceNodesQuery) []*ServiceNode {
	list := []*ServiceNode{}
	for _, i := range r.instances(q.Service, q.Tags, q.NodeMeta) {
		list = append(list, newServiceNode(i.node, i.service))
	}
	return list
}

func newServiceNode(n *Node, s *NodeService) *ServiceNode {
	meta := s.Meta
	if meta == nil {
		meta = map[string]string{} // Consul shows {} here, and null in a NodeService
	}
	return &ServiceNode{
		ID:                       n.ID,
		Node:                     n.Node,
		Address:                  n.Address,
		Datacenter:               n.Datacenter,
		TaggedAddresses:          n.TaggedAddresses,
		NodeMeta:                 n.Meta,
		ServiceKind:              s.Kind,
		ServiceID:                s.ID,
		ServiceName:              s.Service,
		ServiceTags:              s.Tags,
		ServiceAddress:           s.Address,
		ServiceTaggedAddresses:   s.TaggedAddresses,
		ServiceWeights:           *s.Weights,
		ServiceMeta:              meta,
		ServicePort:              s.Port,
		ServiceEnableTagOverride: s.EnableTagOverride,
		RaftIndex:                s.RaftIndex,
	}
}

// keyedCheck is a check with the part of its key behind the service.
type keyedCheck struct {
	suffix string
	check  *HealthCheck
}

// healthService joins instances with their nodes and with the checks of both. The checks of a service lie in the
// order of its instances, so that one pass over each is enough.
func (r *reader) healthService(q *HealthServiceQuery) []*CheckServiceNode {
	list := []*CheckServiceNode{}
	instances := r.instances(q.Service, q.Tags, q.NodeMeta)
	if len(instances) == 0 {
		return list
	}
	var checks []keyedCheck
	prefix := key(tableChecks, fold(q.Service))
	r.scan(prefix, func(k, record []byte) bool {
		checks = append(checks, keyedCheck{string(k[len(prefix):]), decoded(r, record, decodeCheck)})
		return true
	})
	if r.err != nil {
		return list
	}
	var node []*HealthCheck // the checks of the node at
	var at string
	for _, i := range instances {
		if i.part != at {
			node, at = r.checks(key(tableChecks, noService, i.part)), i.part
		}
		all := slices.Clone(node)
		for len(checks) > 0 && checks[0].suffix < i.suffix {
			checks = checks[1:]
		}
		for len(checks) > 0 && strings.HasPrefix(checks[0].suffix, i.suffix) {
			all = append(all, checks[0].check)
			checks = checks[1:]
		}
		if !q.PassingOnly || allPassing(all) {
			list = append(list, &CheckServiceNode{Node: i.node, Service: i.service, Checks: all})
		}
	}
	return list
}

func allPassing(checks []*HealthCheck) bool {
	return !slices.ContainsFunc(checks, func(c *HealthCheck) bool { return c.Status != HealthPassing })
}
