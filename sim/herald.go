package sim

import (
	"strconv"
	"time"

	"concord/agent/userevent"
	"concord/internal/prng"
)

// herald fires user events at random agents while there are faults. Some of them may not reach everybody; none may come
// twice. It is there in every third seed.
type herald struct {
	w     *World
	rng   *prng.Rand
	count int
	over  bool
}

func newHerald(w *World) *herald { return &herald{w: w, rng: w.rng.Fork("herald")} }

// heralded tells whether a run has user events.
func (w *World) heralded() bool { return w.Options.Seed%3 == 1 }

func (x *herald) start() {
	if x.w.heralded() {
		x.w.after(x.rng.Duration(0, 2*time.Second), "herald", -1, x.next)
	}
}

func (x *herald) next() {
	if x.over {
		return
	}
	if h := x.w.hosts[x.rng.IntN(len(x.w.hosts))]; h.state == hostUp {
		x.fire(h)
	}
	x.w.after(x.rng.Duration(10*ms, 2*time.Second), "herald", -1, x.next)
}

// fire fires an event at a host and returns its ID.
func (x *herald) fire(h *Host) string {
	x.count++
	e := userevent.Event{ID: "event-" + strconv.Itoa(x.count), Name: "sim", Payload: []byte(h.name)}
	x.w.checks.events.Fired(e.ID, x.w.now)
	h.input(func() {
		if err := h.node.FireEvent(e); err != nil && !h.leaving {
			x.w.fail("core", "%s cannot fire an event: %v", h.name, err)
		}
	})
	return e.ID
}

// Event takes a user event that reached the node.
func (h *Host) Event(e userevent.Event) {
	h.w.cover("event delivered")
	h.w.checks.verify("events", h.w.checks.events.Delivered(e.ID, h.name, h.born))
}

// announce fires events in a cluster at rest: each reaches everybody.
func (w *World) announce() {
	if w.failure != nil || !w.heralded() {
		return
	}
	for _, h := range w.hosts[:min(2, len(w.hosts))] {
		id := w.herald.fire(h)
		w.expect("event "+id, 60*time.Second, func() bool {
			for _, o := range w.hosts {
				if !w.checks.events.Reached(id, o.name) {
					return false
				}
			}
			return true
		})
	}
}
