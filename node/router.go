package node

import (
	"time"

	"concord/internal/prng"
	"concord/swim"
	"concord/transport"
)

// router keeps the servers that a client agent may ask, in a shuffled order that reacts to
// failures and is shuffled anew now and then, so that load spreads over servers that come and go.
type router struct {
	rng     *prng.Rand
	known   map[transport.Addr]bool
	order   []transport.Addr // the first is asked
	shuffle time.Duration    // when to shuffle next
}

// rebalanceInterval is how long a client agent stays with its server, jitter apart; Consul's is 2 to 3 minutes.
const rebalanceInterval = 2 * time.Minute

func newRouter(_ Config, rng *prng.Rand) *router {
	return &router{rng: rng, known: map[transport.Addr]bool{}}
}

// update takes over the servers known now. Those that stay keep their order; new ones go to
// random places.
func (r *router) update(servers []serverInfo) {
	live := map[transport.Addr]bool{}
	for _, s := range servers {
		if s.State == swim.StateAlive || s.State == swim.StateSuspect {
			live[s.Addr] = true
		}
	}
	kept := r.order[:0]
	for _, a := range r.order {
		if live[a] {
			kept = append(kept, a)
		}
	}
	r.order = kept
	for _, s := range servers {
		if live[s.Addr] && !r.known[s.Addr] {
			i := r.rng.IntN(len(r.order) + 1)
			r.order = append(r.order, "")
			copy(r.order[i+1:], r.order[i:])
			r.order[i] = s.Addr
		}
	}
	r.known = live
}

// pick returns the server to ask, "" if none is known.
func (r *router) pick(now time.Duration) transport.Addr {
	if len(r.order) == 0 {
		return ""
	}
	if now >= r.shuffle {
		if r.shuffle != 0 {
			r.rng.Shuffle(len(r.order), func(i, j int) { r.order[i], r.order[j] = r.order[j], r.order[i] })
		}
		r.shuffle = now + r.rng.Duration(rebalanceInterval, rebalanceInterval*3/2)
	}
	return r.order[0]
}

// failed moves a server that did not answer to the end.
func (r *router) failed(a transport.Addr) {
	if len(r.order) > 1 && r.order[0] == a {
		r.order = append(r.order[1:], a)
	}
}
