package agent

import (
	"maps"
	"reflect"
	"slices"
	"time"

	"concord/catalog"
)

// record returns the service as the catalog shall have it.
func (d *ServiceDefinition) record() catalog.NodeService {
	return catalog.NodeService{
		Kind: d.Kind, ID: d.ID, Service: d.Name, Tags: slices.Clone(d.Tags), Address: d.Address,
		TaggedAddresses: maps.Clone(d.TaggedAddresses), Meta: maps.Clone(d.Meta), Port: d.Port,
		Weights: d.Weights, EnableTagOverride: d.EnableTagOverride,
	}
}

// record returns the check as the catalog shall have it; svc is its service, if any.
func (d *CheckDefinition) record(node string, svc *catalog.NodeService) catalog.HealthCheck {
	r := catalog.HealthCheck{
		Node: node, CheckID: d.ID, Name: d.Name, Status: d.Status, Notes: d.Notes, Type: d.Kind(),
		Definition: catalog.CheckDefinition{
			HTTP: d.HTTP, TLSSkipVerify: d.TLSSkipVerify, Header: d.Header, Method: d.Method, TCP: d.TCP,
			Interval: text(d.Interval), Timeout: text(d.Timeout),
			DeregisterCriticalServiceAfter: text(d.DeregisterCriticalServiceAfter),
		},
	}
	if svc != nil {
		r.ServiceID, r.ServiceName, r.ServiceTags = svc.ID, svc.Service, svc.Tags
	}
	return r
}

func text(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// sameService tells whether two records say the same, indexes aside.
func sameService(a, b *catalog.NodeService) bool {
	return a.Kind == b.Kind && a.ID == b.ID && a.Service == b.Service && a.Address == b.Address &&
		a.Port == b.Port && a.EnableTagOverride == b.EnableTagOverride &&
		slices.Equal(a.Tags, b.Tags) && maps.Equal(a.Meta, b.Meta) &&
		maps.Equal(a.TaggedAddresses, b.TaggedAddresses) && weights(a) == weights(b)
}

func weights(s *catalog.NodeService) catalog.Weights {
	if s.Weights == nil {
		return catalog.Weights{Passing: 1, Warning: 1}
	}
	return *s.Weights
}

// sameCheck tells whether two records say the same, indexes aside. The tags of a check's
// service are the service's own business.
func sameCheck(a, b *catalog.HealthCheck) bool {
	return a.Output == b.Output && sameButOutput(a, b)
}

func sameButOutput(a, b *catalog.HealthCheck) bool {
	return a.CheckID == b.CheckID && a.Name == b.Name && a.Status == b.Status && a.Notes == b.Notes &&
		a.ServiceID == b.ServiceID && a.ServiceName == b.ServiceName && a.Type == b.Type &&
		sameDefinition(a.Definition, b.Definition)
}

func sameDefinition(a, b catalog.CheckDefinition) bool {
	if len(a.Header) == 0 && len(b.Header) == 0 {
		a.Header, b.Header = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

// sameNode tells whether the catalog's node has what this agent says of it.
func (c *Config) sameNode(n *catalog.Node) bool {
	return n.ID == c.NodeID && n.Address == c.Address &&
		maps.Equal(n.TaggedAddresses, c.TaggedAddresses) && maps.Equal(n.Meta, c.Meta)
}
