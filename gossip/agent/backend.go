package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"concord/gossip"
	"concord/gossip/agent/ipc"
	"concord/gossip/agent/logs"
	"concord/swim"
	"concord/swim/coordinate"
)

// pingQuery is the one internal query that clients may make: whoever gets it acknowledges it, and nothing else happens.
const pingQuery = gossip.InternalPrefix + "ping"

// Members implements ipc.Backend.
func (a *Agent) Members(ctx context.Context) ([]ipc.Member, error) {
	var all []swim.Member
	if err := a.call(ctx, func(_ time.Duration, p *gossip.Pool) { all = p.Members() }); err != nil {
		return nil, err
	}
	out := make([]ipc.Member, len(all))
	for i := range all {
		out[i] = ipc.MemberOf(&all[i])
	}
	return out, nil
}

// Event implements ipc.Backend.
func (a *Agent) Event(ctx context.Context, name string, payload []byte, coalesce bool) error {
	a.log.Printf(logs.Debug, "agent: Requesting user event send: %q. Coalesced: %v. Payload: %q", name, coalesce, payload)
	var refused error
	err := a.call(ctx, func(now time.Duration, p *gossip.Pool) { refused = p.FireEvent(now, name, payload, coalesce) })
	refused = plain(refused, swim.ErrEvent)
	if err = errors.Join(err, refused); err != nil {
		a.log.Printf(logs.Warn, "agent: failed to send user event: %v", err)
	}
	return err
}

// ForceLeave implements ipc.Backend. That nobody has the name is no error, as in Serf: the member may have been reaped.
func (a *Agent) ForceLeave(ctx context.Context, name string, prune bool) error {
	suffix := ""
	if prune {
		suffix = " (prune)"
	}
	a.log.Printf(logs.Info, "agent: Force leaving node%s: %s", suffix, name)
	var refused error
	err := a.call(ctx, func(now time.Duration, p *gossip.Pool) { refused = p.ForceLeave(now, name, prune) })
	if errors.Is(refused, swim.ErrUnknownMember) {
		a.log.Printf(logs.Warn, "agent: %v", refused)
		refused = nil
	}
	return errors.Join(err, refused)
}

// Query implements ipc.Backend.
func (a *Agent) Query(ctx context.Context, q ipc.Query) (<-chan ipc.QueryRecord, error) {
	a.log.Printf(logs.Debug, "agent: Requesting query send: %q. Payload: %q", q.Name, q.Payload)
	var records chan ipc.QueryRecord
	var refused error
	err := a.call(ctx, func(now time.Duration, p *gossip.Pool) {
		if len(a.replies.queries) >= maxQueries {
			refused = fmt.Errorf("%d queries are under way already: wait for one to end", maxQueries)
			return
		}
		var id swim.QueryID
		ask := p.Ask
		if q.Name == pingQuery && len(q.Payload) == 0 {
			ask = p.Node.Ask
		}
		id, refused = ask(now, swim.Query{Name: q.Name, Payload: q.Payload, Nodes: q.FilterNodes, Tags: q.FilterTags,
			Ack: q.RequestAck, Relay: int(q.RelayFactor), Timeout: q.Timeout})
		if refused == nil {
			records = make(chan ipc.QueryRecord, 2*p.NumAlive()+8) // everybody's ack and answer, and the end
			a.replies.queries[id] = records
		}
	})
	if err = errors.Join(err, plain(refused, swim.ErrQuery)); err != nil {
		a.log.Printf(logs.Warn, "agent: failed to start user query: %v", err)
	}
	return records, err
}

// Respond implements ipc.Backend.
func (a *Agent) Respond(id swim.QueryID, payload []byte) error {
	var refused error
	err := a.call(a.ctx, func(now time.Duration, p *gossip.Pool) { refused = p.Respond(now, id, payload) })
	return errors.Join(err, plain(refused, swim.ErrQuery))
}

// plain returns an error as users know it: the reason, without the name of the part that gave it.
func plain(err, kind error) error {
	if !errors.Is(err, kind) {
		return err
	}
	return errors.New(strings.TrimPrefix(err.Error(), kind.Error()+": "))
}

// Coordinate implements ipc.Backend.
func (a *Agent) Coordinate(ctx context.Context, node string) (out ipc.Coordinate, known bool, err error) {
	var c coordinate.Coordinate
	err = a.call(ctx, func(_ time.Duration, p *gossip.Pool) { c, known = p.CoordinateOf(node) })
	return ipc.Coordinate{Vec: c.Vec[:], Error: c.Error, Adjustment: c.Adjustment, Height: c.Height}, known, err
}

// Stats implements ipc.Backend.
func (a *Agent) Stats(ctx context.Context) (ipc.Stats, error) {
	var self swim.Member
	var serf map[string]string
	err := a.call(ctx, func(_ time.Duration, p *gossip.Pool) { self, serf = p.Local(), serfStats(p) })
	if err != nil {
		return nil, err
	}
	serf["encrypted"] = strconv.FormatBool(a.cfg.Encrypted())
	handlers := map[string]string{}
	for _, h := range a.scripts.Scripts() {
		handlers[h.Filter.String()] = h.Command
	}
	tags := self.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return ipc.Stats{
		"agent":          {"name": self.Name},
		"event_handlers": handlers,
		"runtime": {"arch": runtime.GOARCH, "cpu_count": strconv.Itoa(runtime.NumCPU()), "goroutines": strconv.Itoa(runtime.NumGoroutine()),
			"max_procs": strconv.Itoa(runtime.GOMAXPROCS(0)), "os": runtime.GOOS, "version": runtime.Version()},
		"serf": serf,
		"tags": tags,
	}, nil
}

// serfStats has Serf's counters, and those of the core that tell how well it does.
func serfStats(p *gossip.Pool) map[string]string {
	s, self := p.Stats(), p.Local()
	out := map[string]string{}
	for name, n := range map[string]uint64{
		"members": uint64(s.Alive + s.Failed + s.Left), "failed": uint64(s.Failed), "left": uint64(s.Left), "health_score": uint64(s.Health),
		"intent_queue": uint64(s.Queued), "member_time": self.Incarnation, "event_time": s.EventTime, "query_time": s.QueryTime,
		"event_queue": uint64(s.QueuedEvents), "query_queue": uint64(s.QueuedQueries),
		"probes": s.Probes, "probes_failed": s.ProbesFailed, "suspicions": s.Suspicions, "refutes": s.Refutes, "conflicts": s.Conflicts,
		"packets_dropped": s.Dropped.Total(),
	} {
		out[name] = strconv.FormatUint(n, 10)
	}
	return out
}
