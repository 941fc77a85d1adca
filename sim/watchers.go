package sim

import (
	"strconv"
	"time"

	"concord/catalog"
	"concord/internal/prng"
	"concord/sim/invariants"
	"concord/wire"
)

// watcher follows a key, a prefix or a service by blocking queries, as clients do that wait for changes: it asks again
// with the index of the last answer. It waits so long that only being woken tells it in time; one that is
// not woken never comes to see the last value, and the run does not converge.
type watcher struct {
	w     *World // whose state it follows
	at    *World // whose agents it asks
	rng   *prng.Rand
	query catalog.Query
	host  *Host
	rule  invariants.Watch
	index uint64
	over  bool
}

// watchFor is how long a watcher waits for a change: longer than a run may take to converge.
const watchFor = 10 * time.Minute

func newWatcher(w *World, id int) *watcher {
	x := &watcher{w: w, at: w, rng: w.rng.Fork("watcher-" + strconv.Itoa(id))}
	switch id % 3 {
	case 0:
		x.query = &catalog.KVGetQuery{Key: "k0"}
	case 1:
		x.query = &catalog.KVListQuery{Prefix: "k"}
	case 2:
		x.query = &catalog.HealthServiceQuery{Service: "web"}
	}
	return x
}

func (x *watcher) start() { x.w.after(x.rng.Duration(0, time.Second), "watcher", -1, x.ask) }

// ask asks at the same agent as before, as long as it answers.
func (x *watcher) ask() {
	if x.over {
		return
	}
	if x.host == nil || x.host.state != hostUp {
		x.host = x.at.hosts[x.rng.IntN(len(x.at.hosts))]
	}
	if x.host.state != hostUp {
		x.w.after(100*ms, "watcher", -1, x.ask)
		return
	}
	asked, min := x.w.now, x.index
	req := &wire.Request{Read: &wire.Read{Query: x.query, MinIndex: min, Wait: watchFor}}
	if x.at != x.w {
		req.Datacenter = x.w.Datacenter
	}
	x.host.request(req, func(resp *wire.Response) { x.answered(asked, min, resp) })
}

func (x *watcher) answered(asked time.Duration, min uint64, resp *wire.Response) {
	if resp.Code != wire.OK {
		x.host = nil
		x.w.after(x.rng.Duration(20*ms, 200*ms), "watcher", -1, x.ask)
		return
	}
	x.w.cover("watcher woken")
	if x.at != x.w {
		x.w.cover("watcher woken from another datacenter")
	}
	early := min > 0 && x.w.now < asked+watchFor
	x.w.checks.verify("watch", x.rule.Answered(resp.Answer.Index, min, early))
	x.index = resp.Answer.Index
	x.w.after(x.rng.Duration(0, 10*ms), "watcher", -1, x.ask)
}
