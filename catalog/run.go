package catalog

import (
	"fmt"
	"strings"
)

// Topics names what a watcher of q watches: whenever the answer changes, one of them is touched.
func Topics(q Query) []Topic {
	switch q := q.(type) {
	case *NodesQuery:
		return []Topic{{Kind: TopicNodes}}
	case *ServicesQuery:
		if len(q.NodeMeta) > 0 {
			return []Topic{{Kind: TopicInstances}, {Kind: TopicNodes}}
		}
		return []Topic{{Kind: TopicServices}}
	case *ServiceNodesQuery:
		return []Topic{topicService(q.Service)}
	case *NodeServicesQuery:
		return []Topic{topicNode(q.Node)}
	case *NodeChecksQuery:
		return []Topic{topicNodeChecks(q.Node)}
	case *ServiceChecksQuery:
		if len(q.NodeMeta) > 0 {
			return []Topic{topicServiceChecks(q.Service), topicService(q.Service)}
		}
		return []Topic{topicServiceChecks(q.Service)}
	case *StateChecksQuery:
		if len(q.NodeMeta) > 0 {
			return []Topic{topicChecks(q.State), {Kind: TopicNodes}}
		}
		return []Topic{topicChecks(q.State)}
	case *HealthServiceQuery:
		return []Topic{topicService(q.Service), topicServiceChecks(q.Service), topicServiceHealth(q.Service)}
	case *KVGetQuery:
		return []Topic{{Kind: TopicKV, Name: q.Key}}
	case *KVListQuery:
		return []Topic{{Kind: TopicKV, Name: q.Prefix, Prefix: true}}
	case *KVKeysQuery:
		return []Topic{{Kind: TopicKV, Name: q.Prefix, Prefix: true}}
	case *CoordinatesQuery:
		return []Topic{{Kind: TopicCoordinates}}
	case *CoordinateQuery:
		return []Topic{topicCoordinate(q.Node)}
	case *NearQuery:
		return Topics(q.Query)
	case *AutopilotQuery:
		return []Topic{{Kind: TopicAutopilot}}
	}
	return nil
}

// Run answers a query from a consistent view of the state. The answer belongs to the caller; records in it
// may be shared among each other and must not be changed. The error is nil unless the view cannot be
// read or is corrupt, or the query is unknown.
func Run(view View, q Query) (Answer, error) {
	r := &reader{view: view}
	answer, err := r.run(q)
	if r.err != nil {
		err = fmt.Errorf("catalog: run %T: %w", q, r.err)
	}
	if err != nil {
		return Answer{}, err
	}
	return answer, nil
}

func (r *reader) run(q Query) (Answer, error) {
	switch q := q.(type) {
	case *KVGetQuery:
		return r.kvGet(q), nil
	case *KVListQuery:
		return r.kvList(q), nil
	case *KVKeysQuery:
		return r.kvKeys(q), nil
	case *NearQuery:
		answer, err := r.run(q.Query)
		if err == nil {
			answer.Value, err = r.near(q, answer.Value)
		}
		return answer, err
	}
	var value any
	switch q := q.(type) {
	case *NodesQuery:
		value = r.listNodes(q)
	case *ServicesQuery:
		value = r.listServices(q)
	case *ServiceNodesQuery:
		value = r.serviceNodes(q)
	case *NodeServicesQuery:
		value = r.nodeWithServices(q)
	case *NodeChecksQuery:
		value = r.checksBy(key(tableNodeChecks, fold(q.Node)))
	case *ServiceChecksQuery:
		value = r.onNodes(q.NodeMeta, r.serviceChecks(q.Service))
	case *StateChecksQuery:
		value = r.onNodes(q.NodeMeta, r.stateChecks(q.State))
	case *HealthServiceQuery:
		value = r.healthService(q)
	case *TxnQuery:
		if err := validateTxn(q.Ops); err != nil {
			return Answer{}, fmt.Errorf("catalog: %w", err)
		}
		value = r.txnQuery(q)
	case *CoordinatesQuery:
		value = r.coordinates(key(tableCoordinates))
	case *CoordinateQuery:
		value = r.coordinates(key(tableCoordinates, fold(q.Node)))
	case *AutopilotQuery:
		value = lookup(r, autopilotKey, decodeAutopilot)
	default:
		return Answer{}, fmt.Errorf("catalog: unknown query %T: it needs a newer version of the server", q)
	}
	return Answer{Value: value, Index: r.topicsIndex(Topics(q))}, nil
}

// hasMeta tells whether metadata has all the pairs that are wanted.
func hasMeta(meta, want map[string]string) bool {
	for k, v := range want {
		if got, ok := meta[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// hasTags tells whether tags has all that are wanted, in any case.
func hasTags(tags, want []string) bool {
	for _, w := range want {
		found := false
		for _, t := range tags {
			found = found || strings.EqualFold(t, w)
		}
		if !found {
			return false
		}
	}
	return true
}

func (r *reader) listNodes(q *NodesQuery) []*Node {
	list := []*Node{}
	r.scan(key(tableNodes), func(_, record []byte) bool {
		if n := decoded(r, record, decodeNode); n != nil && hasMeta(n.Meta, q.NodeMeta) {
			list = append(list, n)
		}
		return true
	})
	return list
}

func (r *reader) nodeWithServices(q *NodeServicesQuery) *NodeServices {
	n := r.node(fold(q.Node))
	if n == nil {
		n = r.nodeByID(q.Node)
	}
	if n == nil {
		return nil
	}
	services := make(map[string]*NodeService)
	for _, s := range r.nodeServices(fold(n.Node)) {
		services[s.ID] = s
	}
	return &NodeServices{Node: n, Services: services}
}

func (r *reader) serviceChecks(service string) []*HealthCheck {
	if service == "" {
		return []*HealthCheck{} // its place in the table is that of the checks of nodes
	}
	return r.checks(key(tableChecks, fold(service)))
}

func (r *reader) stateChecks(state string) []*HealthCheck {
	if state == HealthAny {
		// In the order of the other states: by node and check.
		return r.checksBy(key(tableNodeChecks))
	}
	return r.checksBy(key(tableStateChecks, esc(state)))
}

// onNodes keeps the checks that are on nodes with that metadata.
func (r *reader) onNodes(meta map[string]string, checks []*HealthCheck) []*HealthCheck {
	if len(meta) == 0 {
		return checks
	}
	list := []*HealthCheck{}
	for _, c := range checks {
		if n := r.node(fold(c.Node)); n != nil && hasMeta(n.Meta, meta) {
			list = append(list, c)
		}
	}
	return list
}
