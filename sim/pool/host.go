package pool

import (
	"fmt"
	"net/netip"
	"time"

	"concord/gossip"
	"concord/internal/invariant"
	"concord/internal/prng"
	"concord/internal/tick"
)

// disk is what a machine keeps for the member's next life.
type disk struct{ incarnation, eventClock, queryClock uint64 }

// Host is a machine that takes part in the pool, or did.
type Host struct {
	// Pool is the member that runs on it; nil: none does.
	Pool *gossip.Pool
	// Group is the part of a partitioned network that it is in.
	Group int
	// Seeds are the hosts that it was told to join. It asks them for as long as it runs.
	Seeds []*Host
	// Tags are what it tells of itself when it starts.
	Tags map[string]string

	w        *World
	index    int
	name, id string
	addr     netip.AddrPort
	life     int32
	kept     disk
	wakes    time.Duration // when it is woken next
	nextSeed int
	left     bool // its member has left
	rng      *prng.Rand
	held     time.Duration // until then its process does not run
	muted    time.Duration // until then it can neither send nor receive; its process runs
	cost     time.Duration // that each input takes at most
	ticked   time.Duration // when it last did what was due
	spins    int           // how often it did so without time passing
	inbox    []letter      // what came while it was held up
}

const (
	// seedsEvery is how often a member looks for a seed that it does not know (node/rejoin.go).
	seedsEvery = 15 * time.Second
	// maxInbox is how many messages the kernel keeps for a process that does not read them.
	maxInbox = 512
	// maxSpins is how often a member may have something due at one moment: more is a loop without end.
	maxSpins = 1000
)

func newHost(w *World, i int) *Host {
	h := &Host{w: w, index: i, name: nameOf(i), wakes: tick.Never}
	h.rng = prng.New(w.Seed).Fork(h.name)
	h.addr = w.newAddr(i)
	h.newID()
	return h
}

// Name is the member's name, the same in all its lives.
func (h *Host) Name() string { return h.name }

// Addr is its present address.
func (h *Host) Addr() netip.AddrPort { return h.addr }

// Index is its number in the world.
func (h *Host) Index() int { return h.index }

// Life is how often it was started.
func (h *Host) Life() int { return int(h.life) }

func (h *Host) up() bool { return h.Pool != nil }

// Up tells whether a member runs on it that has not left.
func (h *Host) Up() bool { return h.Pool != nil && !h.left }

func (h *Host) newID() { h.id = fmt.Sprintf("%016x-%08x", h.rng.Uint64(), h.index) }

// Start starts the member and lets it join its seeds.
func (h *Host) Start() {
	w := h.w
	h.life++
	cfg := w.Swim
	cfg.Name, cfg.ID, cfg.Addr, cfg.Tags = h.name, h.id, h.addr, h.Tags
	cfg.Incarnation, cfg.EventClock, cfg.QueryClock = h.kept.incarnation, h.kept.eventClock, h.kept.queryClock
	rng := h.rng.Fork(fmt.Sprint(h.life))
	g := gossip.Config{Swim: cfg, Claims: w.claims, Random: rng.Fork("sessions")}
	var err error
	if w.Key != "" {
		g.Keyring, err = gossip.NewKeyring(w.Key)
	}
	var p *gossip.Pool
	if err == nil {
		p, err = gossip.New(g, rng, w.now)
	}
	if err != nil {
		panic(fmt.Sprintf("pool: start %s: %v", h.name, err)) // a trial with a bad configuration
	}
	h.Pool, h.left, h.held, h.muted, h.inbox = p, false, 0, 0, nil
	h.wakes = tick.Never
	h.note("start")
	h.done()
	var addrs []netip.AddrPort
	for _, s := range h.Seeds {
		if s != h {
			addrs = append(addrs, s.addr)
		}
	}
	if len(addrs) > 0 {
		h.Join(addrs...)
		h.w.at(w.now+h.rng.Duration(seedsEvery/2, seedsEvery*3/2), ask, int32(h.index), h.life)
	}
}

// Crash ends the member's process.
func (h *Host) Crash() {
	if h.Pool == nil {
		return
	}
	h.note("crash")
	if h.w.observe != nil {
		h.w.observe.Died(h)
	}
	h.Pool, h.inbox = nil, nil
}

// PowerOff ends the machine: nobody is there any more who could refuse a connection. When it is started again, it has another
// address.
func (h *Host) PowerOff() {
	h.Crash()
	h.Move()
}

// Move gives the machine another address; the old one is nobody's.
func (h *Host) Move() {
	b := h.addr.Addr().As4()
	h.w.owners[int(b[1])<<16|int(b[2])<<8|int(b[3])] = nobody
	h.addr = h.w.newAddr(h.index)
}

// Forget loses what is on its disk, and with wipe the node's ID as well.
func (h *Host) Forget(wipe bool) {
	h.kept = disk{}
	if wipe {
		h.newID()
	}
}

// Join lets the member join whoever is at the addresses.
func (h *Host) Join(addrs ...netip.AddrPort) {
	h.Pool.Join(h.w.now, addrs)
	h.done()
}

// Do calls an input of the member.
func (h *Host) Do(f func(p *gossip.Pool, now time.Duration)) {
	f(h.Pool, h.w.now)
	h.done()
}

// Hold lets the process stand still for a time. What comes meanwhile waits for it.
func (h *Host) Hold(d time.Duration) {
	if h.Pool == nil {
		return
	}
	if h.held <= h.w.now {
		h.w.at(h.w.now+d, resume, int32(h.index), h.life)
	}
	h.held = max(h.held, h.w.now+d)
}

// Mute lets the machine send and receive nothing for a time, while its process runs: what it sends and what
// reaches it waits. So are the anomalous members in the experiments of Lifeguard's paper (section V).
func (h *Host) Mute(d time.Duration) { h.muted = max(h.muted, h.w.now+d) }

// Slow lets each input take up to a time; 0 ends it.
func (h *Host) Slow(cost time.Duration) { h.cost = cost }

func (h *Host) isHeld() bool { return h.held > h.w.now }

// receive takes in a message, now or when the host is able to.
func (h *Host) receive(m letter) {
	if h.muted > h.w.now {
		h.w.at(h.muted, arrive, nobody, h.w.letters.put(m))
		return
	}
	if h.isHeld() {
		if len(h.inbox) < maxInbox || m.stream && len(h.inbox) < 2*maxInbox {
			h.inbox = append(h.inbox, m)
		}
		return
	}
	h.take(&m)
}

// take hands a message to the member. Who sends what it cannot read is the trial's business.
func (h *Host) take(m *letter) {
	h.w.trace.Word(uint64(h.w.now))
	h.w.trace.Word(uint64(h.index)<<32 | uint64(m.from))
	h.w.trace.Bytes(m.payload)
	_ = h.Pool.Receive(h.w.now, m.source, m.stream, m.payload)
	h.done()
	if h.cost > 0 {
		h.Hold(h.rng.Duration(0, h.cost))
	}
}

func (h *Host) streamFailed(to netip.AddrPort, refused bool) {
	if h.isHeld() {
		return // it has not waited for the answer
	}
	if refused {
		h.Pool.StreamRefused(h.w.now, to)
	} else {
		h.Pool.StreamFailed(h.w.now, to)
	}
	h.done()
}

// resume goes on after the host was held up: first with what is due by its clock, for that is the harder
// order, and then with what came.
func (h *Host) resume(life int32) {
	if h.Pool == nil || h.life != life {
		return
	}
	if h.isHeld() {
		h.w.at(h.held, resume, int32(h.index), life)
		return
	}
	h.tick()
	for len(h.inbox) > 0 && !h.isHeld() && h.Pool != nil {
		m := h.inbox[0]
		h.inbox[0] = letter{}
		h.inbox = h.inbox[1:]
		h.take(&m)
	}
}

// wake looks whether something is due.
func (h *Host) wake(life int32) {
	if h.Pool == nil || h.life != life || h.w.now < h.wakes {
		return
	}
	h.wakes = tick.Never
	if !h.isHeld() {
		h.tick()
	}
}

func (h *Host) tick() {
	if h.Pool.NextDeadline() <= h.w.now {
		h.spins++
		if h.ticked != h.w.now {
			h.ticked, h.spins = h.w.now, 0
		}
		invariant.Check(h.spins < maxSpins, "%s has something to do at %v, however often it does it", h.name, h.w.now)
		h.Pool.Tick(h.w.now)
	}
	h.done()
}

// done carries out what the member wants done, and plans when to wake it.
func (h *Host) done() {
	w := h.w
	if h.Pool.HasOutput() {
		out := h.Pool.Output()
		if out.Incarnation != 0 {
			h.kept.incarnation = out.Incarnation
		}
		h.kept.eventClock, h.kept.queryClock = h.Pool.EventClock(), h.Pool.QueryClock()
		h.left = h.left || out.Left
		for i := range out.Sends {
			w.Post(h, &out.Sends[i])
		}
		if w.log != nil {
			h.logOutput(&out)
		}
		if w.observe != nil {
			w.observe.Did(h, &out)
		}
	} else if w.observe != nil {
		w.observe.Did(h, nil)
	}
	if at := h.Pool.NextDeadline(); at < h.wakes {
		h.wakes = max(at, w.now)
		w.at(h.wakes, timer, int32(h.index), h.life)
	}
}

func (h *Host) logOutput(out *gossip.Output) {
	for _, n := range out.Notices {
		h.w.logf("%s: %s", h.name, n.Text)
	}
	for _, e := range out.Events {
		h.w.logf("%s: %v %s", h.name, e.Type, e.Member.Name)
	}
	for _, j := range out.Joined {
		h.w.logf("%s: joined %v: %v", h.name, j.Addr, j.Err)
	}
}

// askSeeds asks one seed that the member does not know, as node/rejoin.go does.
func (h *Host) askSeeds(life int32) {
	if h.Pool == nil || h.life != life || h.left {
		return
	}
	h.w.at(h.w.now+h.rng.Duration(seedsEvery/2, seedsEvery*3/2), ask, int32(h.index), life)
	if h.isHeld() {
		return
	}
	for range h.Seeds {
		s := h.Seeds[h.nextSeed%len(h.Seeds)]
		h.nextSeed++
		if m, known := h.Pool.Member(s.name); s != h && !(known && m.Addr == s.addr) {
			h.Join(s.addr)
			return
		}
	}
}

func (h *Host) note(what string) {
	h.w.trace.Text(what)
	h.w.trace.Word(uint64(h.index))
	h.w.logf("%s: %s", h.name, what)
}
