package coordinate

import (
	"fmt"
	"slices"
	"time"

	"concord/internal/prng"
)

// maxStep is the farthest in seconds that one sample moves a coordinate, gravity apart.
const maxStep = 0.1

// Client keeps the coordinate of one member, and those that others told it last. It is not safe for concurrent use.
type Client struct {
	rng  *prng.Rand
	own  Coordinate
	seen int // round trips
	// The latest round trips, in seconds: how long they were, by how much they contradicted the coordinates before the move,
	// and by how much they were longer than the raw distance after it.
	rtts, residuals, samples [window]float64
	peers                    peers
}

// NewClient returns a client at the origin. It remembers the coordinates of at most maxPeers members, those heard
// last.
func NewClient(rng *prng.Rand, maxPeers int) *Client {
	return &Client{rng: rng, own: New(), peers: newPeers(maxPeers)}
}

// Coordinate returns this member's coordinate.
func (c *Client) Coordinate() Coordinate { return c.own }

// Of returns the coordinate that the named member told last, if it is remembered.
func (c *Client) Of(name string) (Coordinate, bool) {
	p := c.peers.byName[name]
	if p == nil {
		return Coordinate{}, false
	}
	return p.told.coordinate(), true
}

// Peers returns how many members' coordinates are remembered.
func (c *Client) Peers() int { return len(c.peers.byName) }

// Forget drops what is remembered of the named member.
func (c *Client) Forget(name string) { c.peers.drop(name) }

// Update takes in that a round trip to the named member took so long, and that it is at other. A sample that cannot
// be true changes nothing: the error wraps ErrRTT or ErrCoordinate.
func (c *Client) Update(name string, other Coordinate, rtt time.Duration) error {
	if rtt < 0 || rtt > MaxRTT {
		return fmt.Errorf("%w: %v is not between 0 and %v", ErrRTT, rtt, MaxRTT)
	}
	if err := other.Validate(); err != nil {
		return err
	}
	p := c.peers.hear(name)
	p.told = other.singles()
	seconds := max(p.median(float64(rtt)/float64(time.Second)), tiny)
	c.vivaldi(&other, seconds)
	c.gravity()
	if c.own.Validate() != nil {
		*c = Client{rng: c.rng, own: New(), peers: c.peers} // it was drawn out of the space: begin anew
	}
	return nil
}

// vivaldi moves this member as a spring to the other would: the algorithm of Vivaldi's figure 3, but that nobody is
// trusted more than this member trusts itself, however certain it claims to be.
func (c *Client) vivaldi(other *Coordinate, rtt float64) {
	off := rtt - c.own.seconds(other)
	limit := c.limit(abs(off), rtt)
	off = clamp(off, limit)
	weight := c.own.Error / max(c.own.Error+max(other.Error, c.own.Error), tiny)
	share := mul(ce, weight)
	c.own.Error = min(mul(abs(off)/rtt, share)+mul(c.own.Error, 1-share), MaxError)
	c.move(other, clamp(mul(mul(cc, weight), off), maxStep))
	c.adjust(clamp(rtt-c.own.raw(other), limit))
}

// limit takes in a round trip and by how much it contradicts the coordinates, and returns for how much it may count at
// most: for twice what is common, and not for more than a common round trip, so that a liar who claims to be anywhere, and
// delays its answers at will, gets nowhere; but for whatever three of four samples agree on, so that who is far from
// where it should be gets there soon. (In the spirit of "Newton", Seibert, Becker, Nita-Rotaru and Lumezanu, 2014.)
func (c *Client) limit(residual, rtt float64) float64 {
	c.residuals[c.seen%window], c.rtts[c.seen%window] = residual, rtt
	c.seen++
	n := min(c.seen, window)
	residuals, rtts := c.residuals, c.rtts
	slices.Sort(residuals[:n])
	slices.Sort(rtts[:n])
	common := n * 2 / 5 // less than the median: chance makes a fifth of liars many among twenty samples
	limit := min(mul(2, residuals[common]), rtts[common])
	if n == window {
		limit = max(limit, residuals[n/4])
	}
	return limit
}

// move moves this member away from the other, by so many seconds in all: "x = x + u(x - xj) f". A move changes the
// height by its share of the distance, as the unit vector of section 5.4 has one.
func (c *Client) move(other *Coordinate, by float64) {
	var unit [Dimensions]float64
	flat := c.own.flat(other)
	total := flat
	if flat > tiny {
		total += c.own.Height + other.Height
		for i := range unit {
			unit[i] = (c.own.Vec[i] - other.Vec[i]) / total
		}
		c.own.Height = max(MinHeight, c.own.Height+mul(by, (c.own.Height+other.Height)/total))
	} else {
		unit = c.anywhere()
	}
	for i := range unit {
		c.own.Vec[i] += mul(by, unit[i])
	}
}

// anywhere returns a random unit vector: "two nodes at the same location [...] repel each other in a random direction"
// (Vivaldi section 3.3).
func (c *Client) anywhere() (unit [Dimensions]float64) {
	var at, origin Coordinate
	for at.flat(&origin) <= tiny {
		for i := range at.Vec {
			at.Vec[i] = float64(float64(c.rng.Uint64()>>11)/(1<<53)) - 0.5
		}
	}
	length := at.flat(&origin)
	for i := range unit {
		unit[i] = at.Vec[i] / length
	}
	return unit
}

// adjust makes the adjustment anew: half the mean by which round trips are longer than raw distances.
func (c *Client) adjust(off float64) {
	c.samples[c.seen%window] = off
	var sum float64
	for _, s := range c.samples {
		sum += s
	}
	c.own.Adjustment = sum / (2 * window)
}

// gravity draws this member to the origin, the more the farther away, so that the pool as a whole does not drift.
func (c *Client) gravity() {
	origin := New()
	pull := c.own.seconds(&origin) / gravityRho
	c.move(&origin, -min(mul(pull, pull), maxStep))
}

func abs(x float64) float64 { return max(x, -x) }

func clamp(x, limit float64) float64 { return max(-limit, min(x, limit)) }

// peer is what is remembered of another member.
type peer struct {
	name       string
	told       singles
	rtts       [filterSize]float32 // the last round trips in seconds, newest first
	count      uint8               // of rtts
	prev, next *peer
}

// median takes in a round trip and returns the median of the last ones, in seconds: one that was held up counts for nothing.
// Of two it is the shorter.
func (p *peer) median(rtt float64) float64 {
	copy(p.rtts[1:], p.rtts[:])
	p.rtts[0] = float32(rtt)
	p.count = min(p.count+1, filterSize)
	sorted := p.rtts
	slices.Sort(sorted[:p.count])
	return float64(sorted[(p.count-1)/2])
}

// peers remembers the members heard last: a map, and a ring from the one heard last to the one heard
// longest ago.
type peers struct {
	max    int
	byName map[string]*peer
	ring   *peer // its next is the newest, its prev the oldest
}

func newPeers(limit int) peers {
	ring := &peer{}
	ring.prev, ring.next = ring, ring
	return peers{max: max(limit, 1), byName: map[string]*peer{}, ring: ring}
}

// hear returns the named member as the newest. There may be no room without forgetting the oldest.
func (ps *peers) hear(name string) *peer {
	p := ps.byName[name]
	if p != nil {
		ps.unlink(p)
	} else {
		if len(ps.byName) >= ps.max {
			ps.drop(ps.ring.prev.name)
		}
		p = &peer{name: name}
		ps.byName[name] = p
	}
	p.prev, p.next = ps.ring, ps.ring.next
	p.prev.next, p.next.prev = p, p
	return p
}

func (ps *peers) drop(name string) {
	if p := ps.byName[name]; p != nil {
		ps.unlink(p)
		delete(ps.byName, name)
	}
}

func (ps *peers) unlink(p *peer) { p.prev.next, p.next.prev = p.next, p.prev }
