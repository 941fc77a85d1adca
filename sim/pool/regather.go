package pool

import (
	"fmt"
	"time"

	"concord/gossip"
	"concord/swim"
	"concord/wire"
)

// Regather forms the pool as after a restart of all its machines, of which the first has kept a list of all members: the others
// join it, and are given its state. That is for pools so large that Form, in which everybody has to be told of each
// join by gossip, takes too long: a pool of 10,000 tells a thousand million claims then.
func (w *World) Regather(limit time.Duration) error {
	for _, h := range w.Hosts {
		h.Start()
	}
	first := w.Hosts[0]
	list := swim.Packet{Message: swim.Message{Type: swim.MsgPushPullReply, From: first.name}}
	for _, h := range w.Hosts[1:] {
		claim := h.Pool.Local().Update
		list.Message.Members = append(list.Message.Members, &claim)
	}
	payload := wire.AppendPacket(nil, &list)
	first.Do(func(p *gossip.Pool, now time.Duration) {
		if err := p.Receive(now, first.addr, true, payload); err != nil {
			panic(fmt.Sprintf("pool: the list of members cannot be read: %v", err))
		}
	})
	// No time passes while they join, so that nobody hears of the pool by gossip before it is let in, and takes the list
	// that it is given for news.
	net := w.Net
	w.Net = Network{}
	for _, h := range w.Hosts[1:] {
		h.Join(first.addr)
		w.Run(0)
	}
	w.Net = net
	if took, ok := w.Until(limit, 200*time.Millisecond, w.AtRest); !ok {
		return fmt.Errorf("pool: not all of %d members know all others after %v", len(w.Hosts), took)
	}
	return nil
}
