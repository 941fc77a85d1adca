package node

import (
	"strconv"
	"strings"

	"concord/agent/userevent"
	"concord/catalog"
	"concord/swim"
	"concord/wire"
)

// eventPrefix is what the names of user events of the datacenter have before them in the LAN pool, as Consul's do: other
// events of the pool are not for its users.
const eventPrefix = "consul:event:"

// FireEvent tells all agents of the datacenter, this one included, of a user event. Its ID is the caller's to choose. The error is one
// of userevent.Validate or swim.FireEvent.
func (n *Node) FireEvent(e userevent.Event) error {
	n.begin()
	if err := e.Validate(); err != nil {
		return err
	}
	e.Version = userevent.MaxVersion
	return n.lan.FireEvent(n.now, eventPrefix+e.Name, wire.AppendEvent(nil, &e), false)
}

// onUserEvents takes the user events that gossip brought, and keeps the time up to which they came.
func (n *Node) onUserEvents(us []swim.UserEvent) {
	for i := range us {
		n.onUserEvent(&us[i])
	}
	if len(us) > 0 {
		n.env.Save(SavedEventClock, strconv.AppendUint(nil, n.lan.EventClock(), 10))
	}
}

// onUserEvent hands an event to the Env if it is for this node.
func (n *Node) onUserEvent(u *swim.UserEvent) {
	if !strings.HasPrefix(u.Name, eventPrefix) {
		return
	}
	e, err := wire.DecodeEvent(u.Payload)
	if err != nil {
		n.log(Warn, "agent", "dropped a user event that cannot be read", "name", u.Name, "from", u.From, "error", err)
		return
	}
	e.LTime = u.LTime
	var services []catalog.NodeService
	for _, s := range n.local.Services() {
		services = append(services, s.Service)
	}
	if e.Concerns(n.cfg.Name, services) && n.seen.Add(e.ID) {
		n.env.Event(e)
	}
}

// fireFor fires an event for an agent of another datacenter.
func (n *Node) fireFor(c *call) {
	resp := &wire.Response{Operator: &wire.OperatorReply{}}
	if e := c.req.Operator.Event; e == nil {
		resp = &wire.Response{Code: wire.Refused, Err: "no event to fire"}
	} else if err := n.FireEvent(*e); err != nil {
		resp = &wire.Response{Code: wire.Refused, Err: err.Error()}
	}
	n.answer(c, resp)
}
