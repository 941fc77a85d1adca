package members

import (
	"context"
	"hash/fnv"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"concord/gossip"
	"concord/gossip/runner"
	"concord/swim"
)

// own is a member of a Concord pool with the default timing, which is that for a LAN.
type own struct {
	run    *runner.Runner
	seen   *recorder
	joined chan error
}

func startConcord(o options, name string, r *recorder) (member, error) {
	m := &own{seen: r, joined: make(chan error, 16)}
	cfg := swim.LAN()
	cfg.Name, cfg.ID, cfg.Coordinates = name, uuid.NewString(), o.coordinates
	seed := fnv.New64a()
	seed.Write([]byte(cfg.ID))
	var err error
	m.run, err = runner.Start(gossip.Config{Swim: cfg},
		runner.Options{Listen: netip.MustParseAddrPort("127.0.0.1:0"), Seed: seed.Sum64(), OnOutput: m.take})
	return m, err
}

func (m *own) take(o *gossip.Output) {
	for _, e := range o.Events {
		switch e.Type {
		case swim.EventJoin:
			m.seen.joined(e.Member.Name)
		case swim.EventFailed, swim.EventLeave:
			m.seen.gone(e.Member.Name)
		}
	}
	for _, j := range o.Joined {
		m.joined <- j.Err
	}
}

func (m *own) join(to member) error {
	at := []netip.AddrPort{to.(*own).run.Addr()}
	if err := m.run.Call(context.Background(), func(now time.Duration, p *gossip.Pool) { p.Join(now, at) }); err != nil {
		return err
	}
	return <-m.joined // at the latest when the pool gives up
}

// What transport/tcp writes besides payloads: a hello for a connection, and a length for a frame.
const (
	helloBytes = 22
	frameBytes = 4
)

func (m *own) traffic() traffic {
	s := m.run.Stats()
	return traffic{
		Datagrams: float64(s.Datagrams.Sent), Bytes: float64(s.Datagrams.SentBytes), Streams: float64(s.Streams.Dials),
		StreamBytes: float64(s.Streams.SentBytes + frameBytes*s.Streams.Sent + helloBytes*s.Streams.Dials),
	}
}

func (m *own) kill() error { return m.run.Close() }
