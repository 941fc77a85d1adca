package catalog

import (
	"fmt"
	"strings"
)

// nodePlan is what a registration does to the nodes.
type nodePlan struct {
	write   bool  // whether there is anything to write
	node    *Node // the node as it will be
	current *Node // the node that has the name now, nil if there is none
	renamed *Node // the node that has the ID, under another name; it goes
}

// register returns why the registration is refused; then nothing was changed.
func (a *applier) register(c *Register) (refusal string) {
	plan, refusal := a.planNode(c)
	if refusal != "" {
		return refusal
	}
	service, checks := normalized(c)
	part := fold(c.Node)
	for _, check := range checks {
		if refusal := a.missingService(part, service, check); refusal != "" {
			return refusal
		}
	}
	a.writeNode(&plan)
	if service != nil {
		a.putService(c.Node, service)
	}
	for _, check := range checks {
		a.putCheck(c.Node, check)
	}
	return ""
}

// normalized returns copies of the service and the checks of c with the defaults filled in.
func normalized(c *Register) (*NodeService, []*HealthCheck) {
	var service *NodeService
	if c.Service != nil {
		s := *c.Service
		if s.ID == "" {
			s.ID = s.Service
		}
		if s.Tags == nil {
			s.Tags = []string{}
		}
		if s.Weights == nil {
			s.Weights = &Weights{Passing: 1, Warning: 1}
		}
		service = &s
	}
	var checks []*HealthCheck
	for _, check := range c.checks() {
		hc := *check
		hc.Node = c.Node
		if hc.CheckID == "" {
			hc.CheckID = hc.Name
		}
		if hc.Status == "" {
			hc.Status = HealthCritical
		}
		hc.ServiceName, hc.ServiceTags = "", []string{}
		checks = append(checks, &hc)
	}
	return service, checks
}

// missingService refuses a check of a service that is neither there nor about to be registered.
func (a *applier) missingService(node string, registered *NodeService, check *HealthCheck) (refusal string) {
	if check.ServiceID == "" || registered != nil && fold(registered.ID) == fold(check.ServiceID) {
		return ""
	}
	if _, ok := a.get(key(tableNodeServices, node, fold(check.ServiceID))); ok {
		return ""
	}
	return fmt.Sprintf("failed inserting check: Missing service registration on node %q", check.Node)
}

// planNode decides what becomes of the node. A node is its ID: under a new name it is
// renamed, which its services and checks don't survive; a name is only taken from another node
// that has no ID or whose agent is gone.
func (a *applier) planNode(c *Register) (plan nodePlan, refusal string) {
	plan.current = a.node(fold(c.Node))
	if plan.current != nil && c.SkipNodeUpdate {
		return plan, ""
	}
	plan.node = &Node{
		ID:              c.ID,
		Node:            c.Node,
		Address:         c.Address,
		Datacenter:      c.Datacenter,
		TaggedAddresses: c.TaggedAddresses,
		Meta:            c.NodeMeta,
	}
	if plan.current != nil && sameBody(encodeNode(plan.node), encodeNode(plan.current)) {
		return plan, ""
	}
	plan.write = true
	base := plan.current
	if c.ID != "" {
		if byID := a.nodeByID(c.ID); byID != nil {
			base = byID
			if fold(byID.Node) != fold(c.Node) {
				plan.renamed = byID
				if why := a.reserved(plan.current, c, false); why != "" {
					return plan, fmt.Sprintf("failed inserting node: Error while renaming Node ID: %q (%s): %s", c.ID, c.Address, why)
				}
			}
		} else if why := a.reserved(plan.current, c, true); why != "" {
			return plan, fmt.Sprintf("failed inserting node: Error while renaming Node ID: %q: %s", c.ID, why)
		}
	}
	plan.node.RaftIndex = RaftIndex{CreateIndex: a.index, ModifyIndex: a.index}
	if base != nil {
		plan.node.CreateIndex = base.CreateIndex
	}
	return plan, ""
}

// reserved tells why c may not take the name of the node current. A node with a serfHealth check that is
// not critical is a living agent.
func (a *applier) reserved(current *Node, c *Register, fromNoID bool) string {
	if current == nil || strings.EqualFold(current.ID, c.ID) || current.ID == "" && fromNoID {
		return ""
	}
	serf, _ := a.check(fold(current.Node), fold(SerfCheckID))
	if serf == nil || serf.Status == HealthCritical {
		return ""
	}
	return fmt.Sprintf("Node name %s is reserved by node %s with name %s (%s)", c.Node, current.ID, current.Node, current.Address)
}

func (a *applier) writeNode(plan *nodePlan) {
	if !plan.write {
		return
	}
	if plan.renamed != nil {
		a.deleteNode(plan.renamed)
	}
	n, part := plan.node, fold(plan.node.Node)
	if old := plan.current; old != nil && old.ID != "" && !strings.EqualFold(old.ID, n.ID) {
		a.deleteNodeID(old.ID)
	}
	a.set(key(tableNodes, part), encodeNode(n))
	if n.ID != "" {
		a.set(key(tableNodeIDs, strings.ToLower(n.ID)), []byte(part))
	}
	a.touch(Topic{Kind: TopicNodes})
	a.touchNode(n)
	for _, s := range a.nodeServices(part) {
		a.touch(topicService(s.Service))
	}
}

// touchNode touches the topics of a node with its services.
func (a *applier) touchNode(n *Node) {
	a.touch(topicNode(n.Node))
	if n.ID != "" {
		a.touch(topicNode(n.ID))
	}
}

func (a *applier) deleteNodeID(id string) {
	a.delete(key(tableNodeIDs, strings.ToLower(id)))
	a.touch(topicNode(id))
	a.retire(topicNode(id))
}

// deregister removes what c names, if it is there.
func (a *applier) deregister(c *Deregister) {
	part := fold(c.Node)
	n := a.node(part)
	if n == nil {
		return
	}
	switch {
	case c.ServiceID != "":
		if s, _ := a.service(part, fold(c.ServiceID)); s != nil {
			a.deleteService(n, s)
		}
	case c.CheckID != "":
		if check, _ := a.check(part, fold(c.CheckID)); check != nil {
			a.deleteCheck(part, check)
		}
	default:
		a.deleteNode(n)
	}
}

func (a *applier) deleteNode(n *Node) {
	part := fold(n.Node)
	for _, s := range a.nodeServices(part) {
		a.deleteService(n, s)
	}
	for _, check := range a.checks(key(tableChecks, noService, part)) {
		a.deleteCheck(part, check)
	}
	a.deleteCoordinate(n)
	a.delete(key(tableNodes, part))
	a.touch(Topic{Kind: TopicNodes})
	a.touchNode(n)
	a.retire(topicNode(n.Node))
	a.retire(topicNodeChecks(n.Node))
	if n.ID != "" {
		a.deleteNodeID(n.ID)
	}
}
