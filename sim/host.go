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
	w      *World
	index  int
	name   string
	id     string
	server bool
	gossip string // gossip address
	rpc    transport.Addr
	rng    *prng.Rand

	state  hostState
	epoch  int // counts the node's lives: what an earlier life asked for is not answered
	booted time.Duration
	drift  int // percent by which the clock is fast
	node   *node.Node
	disk   *disk
	role   roleView
	ends   map[string]func() // of the spans under way

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
	kind := "client"
	if server {
		kind = "server"
	}
	h := &Host{w: w, index: index, server: server, ends: map[string]func(){}, name: fmt.Sprintf("%s-%d", kind, index)}
	h.rng = w.rng.Fork(h.name)
	h.id = fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(h.rng.Uint64()), index)
	ip := netip.AddrFrom4([4]byte{10, 0, byte(index >> 8), byte(index)})
	h.gossip = netip.AddrPortFrom(ip, 8301).String()
	h.rpc = transport.Addr(netip.AddrPortFrom(ip, 8300).String())
	if !server {
		h.rpc = transport.Addr("node:" + h.id)
	}
	if d := w.faults.DriftPercent; d > 0 {
		h.drift = h.rng.IntN(2*d+1) - d
	}
	h.disk = newDisk(h)
	w.byAddr[h.gossip], w.byAddr[string(h.rpc)] = h, h
	return h
}

// config is what the host's node is made from.
func (h *Host) config() node.Config {
	addr := netip.MustParseAddrPort(h.gossip)
	c := node.Config{ID: h.id, Name: h.name, Datacenter: "dc1", Server: h.server, Build: "sim",
		Address: addr.Addr().String(), RPCAddr: h.rpc, FlushBytes: 64 << 10, TrailingLogs: 100}
	c.Gossip = swim.LAN()
	c.Gossip.Addr = addr
	if saved, err := strconv.ParseUint(string(h.disk.files[node.SavedIncarnation]), 10, 64); err == nil {
		c.Gossip.Incarnation = saved
	}
	if h.server {
		c.Expect = h.w.Options.Servers
	}
	c.Autopilot.ServerStabilizationTime = int64(2 * time.Second)
	c.Autopilot.LastContactThreshold = int64(500 * time.Millisecond)
	c.Autopilot.MaxTrailingLogs = 250
	return c
}

// boot starts the node from what is on the disk.
func (h *Host) boot() {
	h.epoch++
	h.endSpan("down")
	h.state, h.booted, h.wake = hostUp, h.w.now, never
	h.waiting = map[uint64]func(*wire.Response){}
	h.role = roleView{}
	var found node.Disk
	if h.server {
		var err error
		if found, err = h.disk.open(); err != nil {
			h.w.fail("recovery", "%s cannot start from its disk: %v", h.name, err)
			return
		}
	}
	n, err := node.New(h.config(), h, h.rng.Fork("boot-"+strconv.Itoa(h.epoch)), found)
	if err != nil {
		h.w.fail("recovery", "%s cannot start: %v", h.name, err)
		return
	}
	h.node = n
	h.w.logf("%s starts (life %d, applied %d, last index %d)", h.name, h.epoch, found.Applied.Index, lastIndex(found))
	var seeds []netip.AddrPort
	for _, o := range h.w.hosts {
		if o != h && (o.server || h.w.Options.Servers == 0 && o.index < 3) {
			seeds = append(seeds, netip.MustParseAddrPort(o.gossip))
		}
	}
	h.input(func() { h.join(seeds) })
}

// join asks until somebody answers, as -retry-join does.
func (h *Host) join(seeds []netip.AddrPort) {
	epoch, answered, failed := h.epoch, 0, 0
	h.node.Join(seeds, func(r swim.JoinResult) {
		if answered++; r.Err != nil {
			failed++
		}
		if answered == len(seeds) && failed == answered {
			h.w.after(time.Second, "rejoin", h.index, func() {
				if h.epoch == epoch && h.state != hostDown {
					h.input(func() { h.join(seeds) })
				}
			})
		}
	})
}

// crash ends the node at once, as kill -9 and a loss of power do.
func (h *Host) crash() {
	if h.state == hostDown {
		return
	}
	h.w.logf("%s crashes", h.name)
	h.endSpan("leader")
	h.endSpan("paused")
	h.beginSpan("down", "crashed")
	h.state, h.node, h.held = hostDown, nil, nil
	h.epoch++
	h.disk.crash()
	h.w.checks.crashed(h)
	waiting := h.waiting
	h.waiting = nil
	for _, token := range slices.Sorted(maps.Keys(waiting)) {
		waiting[token](&wire.Response{Code: wire.Unknown, Err: "the agent crashed"})
	}
	h.w.net.hostDied(h)
}

// input gives the node something and carries out what it leads to.
func (h *Host) input(f func()) {
	switch h.state {
	case hostDown:
		return
	case hostPaused:
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
	next := h.node.NextDeadline()
	if next == node.Never {
		return
	}
	at := max(h.w.now, h.toWorld(next))
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

// Now is the host's own monotonic clock, which may run fast or slow.
func (h *Host) Now() time.Duration {
	return (h.w.now - h.booted) * time.Duration(100+h.drift) / 100
}

// toWorld is when the host's clock shows t, or just after.
func (h *Host) toWorld(t time.Duration) time.Duration {
	return h.booted + t*100/time.Duration(100+h.drift) + time.Microsecond
}

// Send hands an envelope to the virtual network.
func (h *Host) Send(e transport.Envelope) { h.w.net.send(h, e) }

func (h *Host) deliver(from *Host, e transport.Envelope) {
	if h.state == hostDown {
		return
	}
	e.From = transport.Addr(from.gossip)
	if e.Class == transport.Raft || e.Class == transport.RPC {
		e.From = from.rpc
	}
	h.w.noteBytes("payload", e.Payload)
	h.input(func() { h.node.OnMessage(e) })
}

// request makes a request as a local caller does.
func (h *Host) request(req *wire.Request, done func(*wire.Response)) {
	h.token++
	token := h.token
	h.waiting[token] = done
	req = h.mutateRequest(req)
	h.input(func() { h.node.OnRequest(token, req) })
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

// Agent carries out what the local agent wants: in the simulator, its checks have no runners.
func (h *Host) Agent(t node.AgentTask) { h.disk.definitions(t) }

// Log writes to the log of the run.
func (h *Host) Log(level node.Level, component, message string, args ...any) {
	if h.w.log != nil && level >= node.Info {
		h.w.logf("%s %s: %s %v", h.name, component, message, args)
	}
}

func (h *Host) beginSpan(kind, text string) { h.ends[kind] = h.w.span(h.name, kind, text) }

func (h *Host) endSpan(kind string) {
	if end := h.ends[kind]; end != nil {
		end()
		delete(h.ends, kind)
	}
}

func (h *Host) observe() {
	if !h.server {
		return
	}
	st, _ := h.node.RaftStatus()
	if now := (roleView{st.Role, st.Term}); now != h.role {
		h.role = now
		h.endSpan("leader")
		if st.Role == raft.Leader {
			h.beginSpan("leader", fmt.Sprintf("leads in term %d", st.Term))
			h.w.stats.Elections++
			h.w.checks.elected(h, st)
		}
	}
}

func lastIndex(d node.Disk) uint64 {
	if n := len(d.Raft.Entries); n > 0 {
		return d.Raft.Entries[n-1].Index
	}
	return d.Raft.Applied
}
