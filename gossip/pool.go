// Package gossip is a pool of members as a machine takes part in it: the pure core of package swim with the codec in
// front of it. The LAN and the WAN pool of a node, the gossip-only agent and the simulators all
// use it, so that all of them speak the same bytes.
package gossip

import (
	"fmt"
	"net/netip"
	"time"

	"concord/internal/prng"
	"concord/swim"
	"concord/wire"
)

// Config is what a Pool is made from.
type Config struct {
	Swim swim.Config
	// Claims, if not nil, are shared by the pools of a process that are driven by one goroutine: equal claims are then
	// held in memory once.
	Claims *wire.Claims
}

// Pool is one member's part in a pool. Like the core it embeds it is a state machine: inputs take the time, and Output
// has what is to be done. Only messages come in and go out as bytes.
type Pool struct {
	*swim.Node
	claims *wire.Claims
}

// Send is a message to be sent.
type Send struct {
	To      netip.AddrPort
	Stream  bool // over a connection; failure is told by StreamFailed
	Payload []byte
}

// Output is what a Pool wants done. Of the embedded core's output Packets and Streams are empty: they are in Sends.
type Output struct {
	swim.Output
	Sends []Send
}

// New returns a pool in which only this member is known. An error wraps swim.ErrConfig.
func New(cfg Config, rng *prng.Rand, now time.Duration) (*Pool, error) {
	n, err := swim.New(cfg.Swim, rng, now)
	if err != nil {
		return nil, err
	}
	return &Pool{Node: n, claims: cfg.Claims}, nil
}

// Receive takes in a message from an address. The error says why it was dropped.
func (p *Pool) Receive(now time.Duration, from netip.AddrPort, stream bool, payload []byte) error {
	packet, err := wire.DecodePacketSharing(payload, p.claims)
	if err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	packet.Addr = from
	if stream {
		p.HandleStream(now, packet)
	} else {
		p.HandlePacket(now, packet)
	}
	return nil
}

// Output returns what is to be done since the last call, and forgets it.
func (p *Pool) Output() Output {
	out := Output{Output: p.Node.Output()}
	out.Sends = make([]Send, 0, len(out.Packets)+len(out.Streams))
	for i := range out.Packets {
		out.Sends = append(out.Sends, encode(&out.Packets[i], false))
	}
	for i := range out.Streams {
		out.Sends = append(out.Sends, encode(&out.Streams[i], true))
	}
	out.Packets, out.Streams = nil, nil
	return out
}

func encode(p *swim.Packet, stream bool) Send {
	return Send{To: p.Addr, Stream: stream, Payload: wire.AppendPacket(nil, p)}
}
