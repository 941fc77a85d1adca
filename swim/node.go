package swim

import (
	"net/netip"
	"time"

	"concord/internal/prng"
	"concord/internal/tick"
)

// Node is one member of the pool.
type Node struct{ cfg Config }

func New(cfg Config, rng *prng.Rand, now time.Duration) (*Node, error) { return &Node{cfg: cfg}, nil }

func (n *Node) Tick(now time.Duration)                                      {}
func (n *Node) HandlePacket(now time.Duration, p Packet)                    {}
func (n *Node) HandleStream(now time.Duration, p Packet)                    {}
func (n *Node) StreamFailed(now time.Duration, addr netip.AddrPort)         {}
func (n *Node) Join(now time.Duration, addrs []netip.AddrPort)              {}
func (n *Node) Leave(now time.Duration)                                     {}
func (n *Node) ForceLeave(now time.Duration, name string, prune bool) error { return nil }
func (n *Node) SetTags(now time.Duration, tags map[string]string) error     { return nil }
func (n *Node) Output() Output                                              { return Output{} }
func (n *Node) HasOutput() bool                                             { return false }
func (n *Node) NextDeadline() time.Duration                                 { return tick.Never }
func (n *Node) Members() []Member                                           { return nil }
func (n *Node) Member(name string) (Member, bool)                           { return Member{}, false }
func (n *Node) NumAlive() int                                               { return 1 }
func (n *Node) Local() Member                                               { return Member{} }
func (n *Node) Stats() Stats                                                { return Stats{} }
