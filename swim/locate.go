package swim

import (
	"time"

	"concord/swim/coordinate"
)

// Network coordinates: the answer to a ping carries the sender's, and the prober measures the round trip. So they cost
// no message of their own.

// maxCoordinates bounds the members whose coordinate is remembered: those probed last.
const maxCoordinates = 1024

// locator keeps the coordinate of this member. A nil one keeps none.
type locator struct {
	client *coordinate.Client
	packed []byte // the coordinate as it is told; never modified, only replaced
}

func (n *Node) newLocator() *locator {
	if !n.cfg.Coordinates {
		return nil
	}
	c := coordinate.NewClient(n.rng.Fork("coordinate"), min(maxCoordinates, n.cfg.MaxMembers))
	own := c.Coordinate()
	return &locator{client: c, packed: own.Pack()}
}

// own returns what the answer to a ping tells, nil if no coordinate is kept.
func (l *locator) own() []byte {
	if l == nil {
		return nil
	}
	return l.packed
}

// forget drops the coordinate of a member.
func (l *locator) forget(name string) {
	if l != nil {
		l.client.Forget(name)
	}
}

// locate takes in the round trip of the probe that ack ends. Only the member itself tells its coordinate, and only a
// datagram that took the direct way tells how far it is.
func (n *Node) locate(ack *Message, stream bool) {
	l, target := n.locator, n.probe.target.claim.Name
	if l == nil || stream || ack.From != target || len(ack.Coordinate) == 0 {
		return
	}
	c, err := coordinate.Unpack(ack.Coordinate)
	if err == nil {
		err = l.client.Update(target, c, n.now-n.probe.begun)
	}
	if err != nil {
		n.stats.SamplesRefused++
		return
	}
	n.stats.Samples++
	own := l.client.Coordinate()
	l.packed = own.Pack()
}

// Coordinate returns this member's network coordinate; false if Config.Coordinates is off.
func (n *Node) Coordinate() (coordinate.Coordinate, bool) {
	if n.locator == nil {
		return coordinate.Coordinate{}, false
	}
	return n.locator.client.Coordinate(), true
}

// CoordinateOf returns the network coordinate that the named member told last. Those of the members probed last are
// known; this member's own always is.
func (n *Node) CoordinateOf(name string) (coordinate.Coordinate, bool) {
	if n.locator == nil || name == n.cfg.Name {
		return n.Coordinate()
	}
	if m := n.table.get(name); m == nil || m.claim.Prune {
		return coordinate.Coordinate{}, false
	}
	return n.locator.client.Of(name)
}

// RTT returns the estimated round trip between two members whose coordinates are known here.
func (n *Node) RTT(a, b string) (time.Duration, bool) {
	x, known := n.CoordinateOf(a)
	y, too := n.CoordinateOf(b)
	if !known || !too {
		return 0, false
	}
	return x.Distance(&y), true
}
