package swim

import (
	"math/bits"
	"net/netip"
	"slices"
	"time"
)

// Anti-entropy. Once in each Config.PushPullInterval, and some times when news has settled, a ping carries a digest of all
// that is known. Only if the other one's differs do the two exchange what they know over a stream: in small pools all of
// it, in larger ones the members of those buckets of names whose digests differ; or only the user events, if only these
// differ. docs/adr/0009 tells why.

const (
	// smallPool is up to how many members all of them are exchanged.
	smallPool = 64
	// bucketMembers is how many members a bucket has on average, at most, until there are maxBuckets.
	bucketMembers = 32
	minBuckets    = 64
	maxBuckets    = 4096
	// newsChecks is how many pings in a row carry the digest after news has settled. A hole is then found by about as
	// many members as missed none of the news.
	newsChecks = 3
)

// checks tells when the next digests are due.
type checks struct {
	due      bool          // one is, by the timer
	left     int           // because of news
	since    time.Duration // when the first news came, or the last check was made after it
	settled  time.Duration // when the last news is likely to be everywhere, or has been coming for long
	exchange time.Duration // when states may be exchanged again because digests differ
}

// digestOf returns the hash of what everybody should know of a member, and the part of it that is of its name alone. The
// digest of all is the sum modulo 2 of each: independent of the order, and easily kept up to date.
//
// It covers what a full state brings to another member, and nothing else: two members that have exchanged their states
// must not differ for ever. So a suspicion counts as alive, for it passes; who suspects or confirmed, and how long
// ago a member went, do not count. That a suspect's tags are not known does, as somebody knows them; of those gone
// nobody may.
func digestOf(c *Update, told uint64) (hash, name uint64) {
	name = hashString(0, c.Name)
	addr := c.Addr.Addr().As16()
	h := hashString(name, c.ID)
	h = hashString(h, string(addr[:]))
	h = hashUint(h, uint64(c.Addr.Port()))
	h = hashUint(h, c.Incarnation)
	class := uint64(rank(c)) << 1
	if isLive(c) {
		class = uint64(StateAlive) << 1
		if told == c.Incarnation {
			class |= 1
		}
	}
	return hashUint(h, class), name
}

// count takes a member into the digest, or, the second time, out of it.
func (n *Node) count(m *member) {
	hash, _ := digestOf(m.claim, m.told())
	n.digest ^= hash
}

// newsCame notes that something changed that the digest covers.
func (n *Node) newsCame() {
	c := &n.checks
	if c.left == 0 {
		c.since = n.now
	}
	c.left = newsChecks
	c.settled = min(n.now+10*n.cfg.GossipInterval, c.since+25*n.cfg.GossipInterval)
}

// dueDigest returns the digest for the next ping, none if it is not due.
func (n *Node) dueDigest() (d Digest) {
	switch {
	case n.checks.due:
		n.checks.due = false
	case n.checks.left > 0 && n.now >= n.checks.settled:
		n.checks.left--
		n.checks.since = n.now
	default:
		return d
	}
	n.stats.Digests++
	from := n.eventsFrom()
	if from != 0 {
		d.Events = n.eventsDigest(from)
	}
	d.Members, d.EventsFrom = n.digest, from
	return d
}

// compare takes in another's digest. The rate of exchanges is bounded, as a datagram is cheaper than what it brings about.
// A connection back goes to where the datagram came from and, where that is not the same, to the address that the member claims: a router
// on the way may have put an address of its own into the datagram, at which nobody listens, or the member may have moved.
func (n *Node) compare(p *Packet) {
	d, from := &p.Message.Digest, p.Addr
	if *d == (Digest{}) || n.now < n.checks.exchange || n.leaving() {
		return
	}
	members, events := d.Members != n.digest, n.eventsDiffer(d)
	if !members && !events {
		return
	}
	to := []netip.AddrPort{from}
	if m := n.table.get(p.Message.From); m != nil && m.claim.Addr != from {
		to = append(to, m.claim.Addr)
	}
	for _, a := range to {
		if members {
			n.exchange(a, "")
		} else {
			n.sendStream(a, Message{Type: MsgPushPull, From: n.cfg.Name, Buckets: noBuckets}, nil)
		}
	}
	n.checks.exchange = n.now + n.cfg.ProbeInterval/2
	n.stats.DigestsDiffer++
}

// exchange brings this member and the one at the address to the same knowledge. If it is given a name it only means the
// member of this name, and no stranger that has its address now.
func (n *Node) exchange(to netip.AddrPort, name string) {
	if n.table.len() < smallPool {
		n.sendStream(to, Message{Type: MsgPushPull, Target: name, From: n.cfg.Name, Members: n.state(nil)}, nil)
		return
	}
	count := min(max(1<<bits.Len(uint(n.table.len()/bucketMembers)), minBuckets), maxBuckets)
	n.sendStream(to, Message{Type: MsgBuckets, Target: name, From: n.cfg.Name, Buckets: n.buckets(count)}, nil)
}

// buckets returns the digests of the members by name, in count buckets.
func (n *Node) buckets(count int) []uint64 {
	sums := make([]uint64, count)
	add := func(m *member) {
		hash, name := digestOf(m.claim, m.told())
		sums[int(name)&(count-1)] ^= hash
	}
	add(&n.self)
	for i := range n.table.len() {
		add(n.table.at(i, live))
	}
	return sums
}

// onBuckets sends what is known of the members in the buckets that differ, and asks for the same.
func (n *Node) onBuckets(p *Packet) {
	theirs := p.Message.Buckets
	if !validBuckets(len(theirs)) || !n.isMeant(&p.Message) {
		n.stats.InvalidMessages++
		return
	}
	differ := make(parts, len(theirs)/64)
	some := false
	for i, sum := range n.buckets(len(theirs)) {
		if sum != theirs[i] {
			differ[i/64] |= 1 << (i % 64)
			some = true
		}
	}
	if some {
		n.sendStream(p.Addr, Message{Type: MsgPushPull, From: n.cfg.Name, Buckets: differ, Members: n.state(differ)}, nil)
	}
}

func validBuckets(n int) bool { return n >= minBuckets && n <= maxBuckets && n&(n-1) == 0 }

// parts is a set of buckets, a bit for each; nil: all.
type parts []uint64

// noBuckets is an empty set: of an exchange of user events only.
var noBuckets = parts{0}

// valid tells whether the set, as it was received, is of a number of buckets that there may be.
func (s parts) valid() bool { return s == nil || validBuckets(64*len(s)) }

// bringsEvents tells whether the message is one of those that the user events remembered go with: states that are told
// whole, and exchanges of events only.
func bringsEvents(m *Message) bool {
	return (m.Type == MsgPushPull || m.Type == MsgPushPullReply) &&
		!slices.ContainsFunc(m.Buckets, func(word uint64) bool { return word != 0 })
}

func (s parts) has(name string) bool {
	if s == nil {
		return true
	}
	bucket := int(hashString(0, name)) & (64*len(s) - 1)
	return s[bucket/64]&(1<<(bucket%64)) != 0
}
