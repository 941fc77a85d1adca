package sim

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"concord/internal/prng"
	"concord/node"
	"concord/raft"
	"concord/swim"
	"concord/transport"
	"concord/wire"
)

type hostState uint8

const (
	hostDown hostState = iota
	hostUp
	hostPaused
)

// Host is a virtual machine with one node. It is the Env of the node.
type Host struct {
	w          *World
	index      int
	generation int // counts the nodes that were here
	name       string
	id         string
	server     bool
	gossip     string // LAN gossip address
	wan        string // WAN gossip address
	outside    string // what a router makes of it
	rpc        transport.Addr
	rng        *prng.Rand

	state     hostState
	born      time.Duration // when this life began
	epoch     int           // counts the node's lives: what an earlier life asked for is not answered
	drift     int64
	clock     clock
	slow      time.Duration // that each input takes
	busy      time.Duration // until when it works on earlier inputs
	doomed    bool          // its disk was corrupted and it has not started from it since
	leaving   bool          // on its way out of the cluster
	node      *node.Node
	disk      *disk
	role      roleView
	inherited uint64 // commit index when it came to lead
	points    faultPoints
	view      node.ReadView
	local     localServices
	ends      map[string]func() // of the spans under way

	wake    time.Duration // of the tick that is scheduled
	held    []func()      // inputs that came while paused
	token   uint64
	waiting map[uint64]func(*wire.Response)
}

// roleView is the last role seen, for the log and the invariants.
type roleView struct {
	role raft.Role
	term uint64
}

func newHost(w *World, index int, server bool) *Host {
	h := &Host{w: w, index: index, server: server, ends: map[string]func(){}, drift: 1000}
	h.rng = w.rng.Fork("host-" + strconv.Itoa(index))
	ip := netip.AddrFrom4([4]byte{10, 0, byte(index >> 8), byte(index)})
	h.outside = netip.AddrPortFrom(ip, 58302).String()
	h.gossip, h.wan = netip.AddrPortFrom(ip, 8301).String(), netip.AddrPortFrom(ip, 8302).String()
	if server {
		h.rpc = transport.Addr(netip.AddrPortFrom(ip, 8300).String())
	}
	if d := w.faults.DriftPercent; d > 0 {
		h.drift = int64(1000 + 10*(h.rng.IntN(2*d+1)-d))
	}
	h.renew()
	return h
}

// renew puts a new node with empty disks on the host.
func (h *Host) renew() {
	kind := "client"
	if h.server {
		kind = "server"
	}
	h.name = fmt.Sprintf("%s-%d", kind, h.index)
	if h.generation > 0 {
		h.name += "." + strconv.Itoa(h.generation)
	}
	h.id = fmt.Sprintf("%08x-0000-4000-8000-%08x%04x", uint32(h.rng.Uint64()), h.generation, h.index)
	h.generation++
	if !h.server {
		h.rpc = transport.Addr("node:" + h.id)
	}
	h.disk, h.doomed, h.local = newDisk(h), false, localServices{}
	h.w.byAddr[h.outside] = h
	h.w.byAddr[h.gossip], h.w.byAddr[h.wan], h.w.byAddr[string(h.rpc)] = h, h, h
}

func (h *Host) raftID() raft.ID { return raft.ID(h.id) }

// config is what the host's node is made from.
func (h *Host) config() node.Config {
	addr := netip.MustParseAddrPort(h.gossip)
	o := h.w.Options
	c := node.Config{ID: h.id, Name: h.name, Datacenter: h.w.Datacenter, Server: h.server, Build: "sim",
		Address: addr.Addr().String(), RPCAddr: h.rpc, FlushBytes: o.FlushBytes, TrailingLogs: o.TrailingLogs}
	c.LAN.Swim = swim.LAN()
	c.LAN.Swim.Addr = addr
	if saved, err := strconv.ParseUint(string(h.disk.files[node.SavedIncarnation]), 10, 64); err == nil {
		c.LAN.Swim.Incarnation = saved
	}
	if saved, err := strconv.ParseUint(string(h.disk.files[node.SavedEventClock]), 10, 64); err == nil {
		c.LAN.Swim.EventClock = saved
	}
	if h.server {
		c.Expect = o.Servers
		h.w.wanConfig(h, &c)
	}
	h.encrypt(&c)
	c.FaultPoints = h.faultPoint
	c.Coordinates = node.CoordinateConfig{Interval: time.Second, Period: 500 * time.Millisecond, BatchSize: 2, MaxBatches: 1}
	c.Autopilot.CleanupDeadServers = true
	c.Autopilot.ServerStabilizationTime = int64(2 * time.Second)
	c.Autopilot.LastContactThreshold = int64(500 * time.Millisecond)
	c.Autopilot.MaxTrailingLogs = 250
	return c
}

// restart starts the node if it is down. A server that finds its disk corrupt stays down, and a new one takes its
// place, as its message tells the operator to do.
func (h *Host) restart() {
	if h.state != hostDown {
		return
	}
	err := h.boot()
	if h.doomed && err != nil {
		h.w.logf("%s does not start: %v", h.name, err)
		h.w.cover("corruption refused")
		h.renew()
		err = h.boot()
	}
	if err != nil {
		h.w.fail("recovery", "%s cannot start: %v", h.name, err)
	}
	h.doomed = false
}

// boot starts the node from what is on the disk.
func (h *Host) boot() error {
	var found node.Disk
	if h.server {
		var err error
		if found, err = h.disk.open(); err != nil {
			return err
		}
	}
	h.epoch++
	h.endSpan("down")
	h.born = h.w.now
	h.state, h.wake, h.busy, h.leaving = hostUp, never, 0, false
	h.clock = clock{world: h.w.now, rate: h.drift}
	h.waiting = map[uint64]func(*wire.Response){}
	h.role, h.view = roleView{}, node.ReadView{}
	h.points = newFaultPoints(h)
	n, err := node.New(h.config(), h, h.rng.Fork("boot-"+strconv.Itoa(h.epoch)), found)
	if err != nil {
		return err
	}
	h.node = n
	h.w.logf("%s starts (life %d, applied %d, last index %d)", h.name, h.epoch, found.Applied.Index, lastIndex(found))
	h.restoreServices()
	var seeds []netip.AddrPort
	for _, o := range h.w.hosts {
		if o != h && (o.server || h.w.Options.Servers == 0 && o.index < 3) {
			seeds = append(seeds, netip.MustParseAddrPort(o.gossip))
		}
	}
	h.input(func() { h.join(seeds, h.node.Join) })
	if wan := h.w.wanSeeds(h); len(wan) > 0 {
		h.input(func() {
			h.join(wan, func(seeds []netip.AddrPort, done func(swim.JoinResult)) {
				h.w.checks.verify("recovery", h.node.JoinWAN(seeds, done))
			})
		})
	}
	return nil
}

// join asks until somebody answers, as -retry-join does.
func (h *Host) join(seeds []netip.AddrPort, join func([]netip.AddrPort, func(swim.JoinResult))) {
	epoch, answered, failed := h.epoch, 0, 0
	join(seeds, func(r swim.JoinResult) {
		if answered++; r.Err != nil {
			failed++
		}
		if answered == len(seeds) && failed == answered {
			h.w.after(time.Second, "rejoin", h.index, func() {
				if h.epoch == epoch && h.state != hostDown {
					h.input(func() { h.join(seeds, join) })
				}
			})
		}
	})
}

// crash ends the node at once, as kill -9 and a loss of power do.
func (h *Host) crash(why string) {
	if h.state == hostDown {
		return
	}
	h.w.logf("%s: %s", h.name, why)
	for _, kind := range []string{"leader", "paused", "slow", "clock"} {
		h.endSpan(kind)
	}
	h.beginSpan("down", why)
	h.state, h.node, h.held = hostDown, nil, nil
	h.epoch++
	h.disk.crash()
	waiting := h.waiting
	h.waiting = nil
	for _, token := range slices.Sorted(maps.Keys(waiting)) {
		waiting[token](&wire.Response{Code: wire.Unknown, Err: "the agent crashed"})
	}
	h.w.net.hostDied(h)
}

// diskError ends a server whose disk has failed, as the real one ends itself, and lets whoever looks after it start it
// again.
func (h *Host) diskError(what string) {
	h.crash(what)
	epoch := h.epoch
	h.w.after(second, "supervise", h.index, func() {
		if h.epoch == epoch {
			h.restart()
		}
	})
}

// input gives the node something and carries out what it leads to.
func (h *Host) input(f func()) {
	switch {
	case h.state == hostDown:
		return
	case h.state == hostPaused:
		h.held = append(h.held, f)
		return
	case h.slow > 0 || h.busy > h.w.now:
		h.busy = max(h.busy, h.w.now) + h.slow
		epoch := h.epoch
		h.w.at(h.busy, "worked", h.index, func() {
			if h.epoch == epoch {
				h.run(f)
			}
		})
		return
	}
	h.run(f)
}

func (h *Host) run(f func()) {
	if h.state == hostPaused {
		h.held = append(h.held, f)
		return
	}
	defer h.caught()
	f()
	h.node.Drain()
	h.observe()
	h.schedule()
}

// caught turns a broken invariant of the cores into a failure of the run.
func (h *Host) caught() {
	if p := recover(); p != nil {
		h.w.fail("core", "%s: %v", h.name, p)
	}
}

// schedule makes sure that the node is ticked when it wants to be.
func (h *Host) schedule() {
	at := h.clock.when(h.node.NextDeadline())
	if at == never {
		return
	}
	at = max(h.w.now, at)
	if at >= h.wake && h.wake > h.w.now {
		return
	}
	h.wake = at
	epoch := h.epoch
	h.w.at(at, "tick", h.index, func() {
		if h.epoch != epoch || h.wake != at {
			return
		}
		h.wake = never
		h.input(func() { h.node.OnTick() })
	})
}

// Now is the host's own monotonic clock.
func (h *Host) Now() time.Duration { return h.clock.now(h.w.now) }

// Wall is the host's wall clock, which is always right.
func (h *Host) Wall() time.Duration { return h.w.now }

// View is for reads that do not ask the node.
func (h *Host) View(v node.ReadView) { h.view = v }

// Send hands an envelope to the virtual network.
func (h *Host) Send(e transport.Envelope) {
	if e.Class == transport.Raft {
		h.w.checks.sending(h, e.Payload)
	}
	h.w.net.send(h, e)
}

func (h *Host) deliver(from *Host, e transport.Envelope) {
	if h.state == hostDown {
		return
	}
	e.From = from.endpoint(e.Class)
	if e.Class == transport.WANGossip && from.w != h.w && h.w.run.Remote.Routers {
		e.From = transport.Addr(from.outside)
	}
	h.w.trace.Bytes(e.Payload)
	h.input(func() { h.onMessage(e) })
}

// request makes a request as a local caller does.
func (h *Host) request(req *wire.Request, done func(*wire.Response)) {
	h.token++
	token := h.token
	h.waiting[token] = done
	if req.Read != nil && req.Datacenter == "" && h.server && h.view.Allows(req.Read, h.Now(), h.Wall(), h.disk.machine.Index()) {
		h.quick(token, req)
		return
	}
	h.input(func() { h.node.OnRequest(token, req) })
}

// quick reads without the node, as the callers of a real one do on their own threads, and then looks whether that was
// allowed.
func (h *Host) quick(token uint64, req *wire.Request) {
	h.w.cover("read without the node")
	index := h.disk.machine.Index()
	t := node.ReadTask{Query: req.Read.Query, Response: h.view.Response(req.Read, h.Now())}
	node.ReadFrom(h.disk.machine, &t)
	h.later(h.rng.Duration(0, ms), "quick", func() {
		h.input(func() {
			if h.view.Allows(req.Read, h.Now(), h.Wall(), index) {
				h.Reply(token, t.Response)
			} else {
				h.w.cover("read without the node repeated")
				h.node.OnRequest(token, req)
			}
		})
	})
}

// Reply answers a local caller.
func (h *Host) Reply(token uint64, resp *wire.Response) {
	done := h.waiting[token]
	delete(h.waiting, token)
	if done == nil {
		return
	}
	epoch := h.epoch
	h.w.after(0, "reply", h.index, func() {
		if h.epoch == epoch {
			done(resp)
		} else {
			done(&wire.Response{Code: wire.Unknown, Err: "the agent crashed"})
		}
	})
}
