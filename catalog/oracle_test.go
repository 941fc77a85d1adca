package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// oracle is the catalog in plain maps, written to be obviously right and nothing else. Node names,
// service IDs and check IDs are its keys in lower case.
type oracle struct {
	nodes     map[string]Node
	services  map[[2]string]NodeService // node, service ID
	checks    map[[2]string]HealthCheck // node, check ID
	kv        map[string]DirEntry
	coords    map[string]Coordinate
	autopilot *AutopilotConfig
	answer    *TxnAnswer // of the last transaction that wrote
}

func newOracle() *oracle {
	return &oracle{map[string]Node{}, map[[2]string]NodeService{}, map[[2]string]HealthCheck{}, map[string]DirEntry{}, map[string]Coordinate{}, nil, nil}
}

func lower(s string) string { return strings.ToLower(s) }

// same tells whether two records print the same.
func same(a, b any) bool { return fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b) }

func (o *oracle) apply(i uint64, cmd Command) (ok bool, refused bool) {
	switch c := cmd.(type) {
	case *Register:
		return o.register(i, c)
	case *Deregister:
		n := lower(c.Node)
		switch {
		case c.ServiceID != "":
			o.dropService(n, lower(c.ServiceID))
		case c.CheckID != "":
			delete(o.checks, [2]string{n, lower(c.CheckID)})
		default:
			o.dropNode(n)
		}
	case *KVWrite:
		return o.write(i, c)
	case *TxnWrite:
		o.answer = o.txn(i, c.Ops)
		return len(o.answer.Errors) == 0, false
	case *UpdateCoordinates:
		for _, u := range c.Updates {
			o.place(i, u)
		}
	case *SetAutopilot:
		cur := uint64(0)
		if o.autopilot != nil {
			cur = o.autopilot.ModifyIndex
		}
		if c.CAS && cur != c.Config.ModifyIndex {
			return false, false
		}
		n := c.Config
		n.RaftIndex = RaftIndex{i, i}
		if old := o.autopilot; old != nil {
			n.RaftIndex = old.RaftIndex
			if n != *old {
				n.ModifyIndex = i
			}
		}
		o.autopilot = &n
	}
	return true, false
}

func (o *oracle) dropService(n, id string) {
	delete(o.services, [2]string{n, id})
	for k, c := range o.checks {
		if k[0] == n && c.ServiceID != "" && lower(c.ServiceID) == id {
			delete(o.checks, k)
		}
	}
}

func (o *oracle) place(i uint64, u Coordinate) {
	n, there := o.nodes[lower(u.Node)]
	if !there {
		return
	}
	u.Node = n.Node
	old, exists := o.coords[lower(u.Node)]
	u.RaftIndex = RaftIndex{i, i}
	if exists {
		u.RaftIndex = old.RaftIndex
		if u == old {
			return
		}
		u.ModifyIndex = i
	}
	o.coords[lower(u.Node)] = u
}

// sortNear is an insertion sort by distance.
func sortNear[T any](o *oracle, from string, list []T, nodeOf func(T) string) []T {
	source, known := o.coords[lower(from)]
	if !known {
		return list
	}
	farther := func(a, b string) bool {
		x, okA := o.coords[lower(a)]
		y, okB := o.coords[lower(b)]
		switch {
		case lower(b) == lower(from):
			return lower(a) != lower(from)
		case lower(a) == lower(from):
			return false
		case okA && okB:
			return source.Coord.Distance(&x.Coord) > source.Coord.Distance(&y.Coord)
		}
		return okB && !okA
	}
	list = slices.Clone(list)
	for i := range list {
		for j := i; j > 0 && farther(nodeOf(list[j-1]), nodeOf(list[j])); j-- {
			list[j-1], list[j] = list[j], list[j-1]
		}
	}
	return list
}

func (o *oracle) near(q *NearQuery) any {
	switch list := o.run(q.Query).(type) {
	case []*Node:
		return sortNear(o, q.Node, list, func(n *Node) string { return n.Node })
	case []*ServiceNode:
		return sortNear(o, q.Node, list, func(n *ServiceNode) string { return n.Node })
	case []*HealthCheck:
		return sortNear(o, q.Node, list, func(n *HealthCheck) string { return n.Node })
	case []*CheckServiceNode:
		return sortNear(o, q.Node, list, func(n *CheckServiceNode) string { return n.Node.Node })
	}
	panic("not to be sorted")
}

func (o *oracle) dropNode(n string) {
	delete(o.nodes, n)
	delete(o.coords, n)
	for k := range o.services {
		if k[0] == n {
			delete(o.services, k)
		}
	}
	for k := range o.checks {
		if k[0] == n {
			delete(o.checks, k)
		}
	}
}

func (o *oracle) register(i uint64, c *Register) (bool, bool) {
	name := lower(c.Node)
	for _, check := range c.checks() {
		_, there := o.services[[2]string{name, lower(check.ServiceID)}]
		mine := c.Service != nil && (lower(c.Service.ID) == lower(check.ServiceID) || c.Service.ID == "" && lower(c.Service.Service) == lower(check.ServiceID))
		if check.ServiceID != "" && !there && !mine {
			return false, true
		}
	}
	if cur, exists := o.nodes[name]; !exists || !c.SkipNodeUpdate {
		n := Node{ID: c.ID, Node: c.Node, Address: c.Address, Datacenter: c.Datacenter, TaggedAddresses: c.TaggedAddresses, Meta: c.NodeMeta, RaftIndex: cur.RaftIndex}
		if !exists || !same(n, cur) {
			base, other := cur, ""
			if c.ID != "" {
				known := false
				for k, v := range o.nodes {
					if v.ID == c.ID {
						known, base = true, v
						if k != name {
							other = k
						}
					}
				}
				taken := exists && cur.ID != c.ID && !(cur.ID == "" && !known)
				if serf, ok := o.checks[[2]string{name, "serfhealth"}]; taken && ok && serf.Status != HealthCritical && (!known || other != "") {
					return false, true
				}
			}
			if other != "" {
				o.dropNode(other)
			}
			n.RaftIndex = RaftIndex{base.CreateIndex, i}
			if base.CreateIndex == 0 {
				n.CreateIndex = i
			}
			o.nodes[name] = n
		}
	}
	if c.Service != nil {
		o.putService(i, name, *c.Service)
	}
	for _, check := range c.checks() {
		hc := *check
		hc.Node = c.Node
		if hc.CheckID == "" {
			hc.CheckID = hc.Name
		}
		if hc.Status == "" {
			hc.Status = "critical"
		}
		o.putCheck(i, name, hc)
	}
	return true, false
}

func (o *oracle) putService(i uint64, node string, s NodeService) {
	if s.ID == "" {
		s.ID = s.Service
	}
	if s.Tags == nil {
		s.Tags = []string{}
	}
	s.Weights = &Weights{1, 1}
	k := [2]string{node, lower(s.ID)}
	old, exists := o.services[k]
	s.RaftIndex = old.RaftIndex
	if exists {
		w := s.Weights
		s.Weights = old.Weights // the pointer must not count
		if same(s, old) {
			return
		}
		s.Weights = w
	} else {
		s.CreateIndex = i
	}
	s.ModifyIndex = i
	o.services[k] = s
	for ck, c := range o.checks {
		if ck[0] == node && c.ServiceID != "" && lower(c.ServiceID) == lower(s.ID) {
			o.putCheck(i, node, c)
		}
	}
}

func (o *oracle) putCheck(i uint64, node string, c HealthCheck) {
	c.ServiceName, c.ServiceTags = "", []string{}
	if c.ServiceID != "" {
		s := o.services[[2]string{node, lower(c.ServiceID)}]
		c.ServiceName, c.ServiceTags = s.Service, s.Tags
	}
	k := [2]string{node, lower(c.CheckID)}
	old, exists := o.checks[k]
	c.RaftIndex = old.RaftIndex
	if exists && same(c, old) {
		return
	}
	if !exists {
		c.CreateIndex = i
	}
	c.ModifyIndex = i
	o.checks[k] = c
}

func (o *oracle) write(i uint64, c *KVWrite) (bool, bool) {
	old, exists := o.kv[c.Key]
	switch c.Op {
	case KVDeleteTree:
		for k := range o.kv {
			if strings.HasPrefix(k, c.Key) {
				delete(o.kv, k)
			}
		}
	case KVDelete:
		delete(o.kv, c.Key)
	case KVDeleteCAS:
		if exists && old.ModifyIndex != c.Index {
			return false, false
		}
		delete(o.kv, c.Key)
	case KVCAS:
		if c.Index == 0 && exists || c.Index != 0 && old.ModifyIndex != c.Index {
			return false, false
		}
		fallthrough
	case KVSet:
		if exists && old.Flags == c.Flags && string(old.Value) == string(c.Value) {
			return true, false
		}
		n := DirEntry{Key: c.Key, Value: c.Value, Flags: c.Flags, RaftIndex: RaftIndex{i, i}}
		if exists {
			n.CreateIndex = old.CreateIndex
		}
		o.kv[c.Key] = n
	case KVLock:
		return false, true
	case KVUnlock:
		return false, false
	}
	return true, false
}

func sortedKeys[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(m), compare)
}

func comparePairs(a, b [2]string) int { return slices.Compare(a[:], b[:]) }

func (o *oracle) run(q Query) any {
	switch q := q.(type) {
	case *NodesQuery:
		list := []*Node{}
		for _, k := range sortedKeys(o.nodes, strings.Compare) {
			if n := o.nodes[k]; hasMeta(n.Meta, q.NodeMeta) {
				list = append(list, &n)
			}
		}
		return list
	case *ServicesQuery:
		all := map[string][]string{}
		for k, s := range o.services {
			if hasMeta(o.nodes[k[0]].Meta, q.NodeMeta) {
				all[s.Service] = append(all[s.Service], s.Tags...)
			}
		}
		for name, tags := range all {
			slices.Sort(tags)
			all[name] = append([]string{}, slices.Compact(tags)...)
		}
		return all
	case *NodeServicesQuery:
		n, ok := o.nodes[lower(q.Node)]
		for _, k := range sortedKeys(o.nodes, strings.Compare) {
			if !ok && o.nodes[k].ID != "" && o.nodes[k].ID == q.Node {
				n, ok = o.nodes[k], true
			}
		}
		if !ok {
			return (*NodeServices)(nil)
		}
		out := &NodeServices{Node: &n, Services: map[string]*NodeService{}}
		for k, s := range o.services {
			if k[0] == lower(n.Node) {
				out.Services[s.ID] = &s
			}
		}
		return out
	case *NodeChecksQuery:
		return o.list(func(k [2]string, _ HealthCheck) bool { return k[0] == lower(q.Node) }, false)
	case *StateChecksQuery:
		return o.list(func(k [2]string, c HealthCheck) bool {
			return (q.State == HealthAny || c.Status == q.State) && hasMeta(o.nodes[k[0]].Meta, q.NodeMeta)
		}, false)
	case *ServiceChecksQuery:
		return o.list(func(k [2]string, c HealthCheck) bool {
			return c.ServiceID != "" && lower(c.ServiceName) == lower(q.Service) && hasMeta(o.nodes[k[0]].Meta, q.NodeMeta)
		}, true)
	case *ServiceNodesQuery:
		list := []*ServiceNode{}
		for _, k := range o.instances(q.Service, q.Tags, q.NodeMeta) {
			n, s := o.nodes[k[0]], o.services[k]
			list = append(list, newServiceNode(&n, &s))
		}
		return list
	case *HealthServiceQuery:
		list := []*CheckServiceNode{}
		for _, k := range o.instances(q.Service, q.Tags, q.NodeMeta) {
			n, s := o.nodes[k[0]], o.services[k]
			checks := o.list(func(ck [2]string, c HealthCheck) bool { return ck[0] == k[0] && c.ServiceID == "" }, false)
			checks = append(checks, o.list(func(ck [2]string, c HealthCheck) bool {
				return ck[0] == k[0] && c.ServiceID != "" && lower(c.ServiceID) == k[1]
			}, false)...)
			passing := true
			for _, c := range checks {
				passing = passing && c.Status == HealthPassing
			}
			if passing || !q.PassingOnly {
				list = append(list, &CheckServiceNode{&n, &s, checks})
			}
		}
		return list
	case *KVGetQuery:
		if e, ok := o.kv[q.Key]; ok {
			return &e
		}
		return (*DirEntry)(nil)
	case *KVListQuery:
		list := []*DirEntry{}
		for _, k := range sortedKeys(o.kv, strings.Compare) {
			if e := o.kv[k]; strings.HasPrefix(k, q.Prefix) {
				list = append(list, &e)
			}
		}
		return list
	case *KVKeysQuery:
		set := map[string]bool{}
		for k := range o.kv {
			if rest, ok := strings.CutPrefix(k, q.Prefix); ok {
				if cut, _, found := strings.Cut(rest, q.Separator); found && q.Separator != "" {
					set[q.Prefix+cut+q.Separator] = true
				} else {
					set[k] = true
				}
			}
		}
		return append([]string{}, sortedKeys(set, strings.Compare)...)
	case *AutopilotQuery:
		return o.autopilot
	case *NearQuery:
		return o.near(q)
	case *CoordinatesQuery:
		list := []*Coordinate{}
		for _, k := range sortedKeys(o.coords, strings.Compare) {
			c := o.coords[k]
			list = append(list, &c)
		}
		return list
	case *CoordinateQuery:
		list := []*Coordinate{}
		if c, there := o.coords[lower(q.Node)]; there {
			list = append(list, &c)
		}
		return list
	}
	panic("unknown query")
}

func (o *oracle) instances(service string, tags []string, meta map[string]string) [][2]string {
	var list [][2]string
	for _, k := range sortedKeys(o.services, comparePairs) {
		s := o.services[k]
		if lower(s.Service) == lower(service) && hasTags(s.Tags, tags) && hasMeta(o.nodes[k[0]].Meta, meta) {
			list = append(list, k)
		}
	}
	return list
}

// list returns the checks that keep wants, by node and, if byService, service ID and then check ID.
func (o *oracle) list(keep func([2]string, HealthCheck) bool, byService bool) []*HealthCheck {
	list := []*HealthCheck{}
	order := func(a, b [2]string) int {
		if byService {
			return slices.Compare([]string{a[0], lower(o.checks[a].ServiceID), a[1]}, []string{b[0], lower(o.checks[b].ServiceID), b[1]})
		}
		return comparePairs(a, b)
	}
	for _, k := range sortedKeys(o.checks, order) {
		if c := o.checks[k]; keep(k, c) {
			list = append(list, &c)
		}
	}
	return list
}
