package torture

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"concord/internal/prng"
	lin "concord/linearizability"
)

// epochs give the workload new keys every now and then: below the prefix of an epoch nothing was before. So that a
// search for an order has a beginning that is known and few operations, above all few with an unknown outcome, since each of those
// may double it.
type epochs struct {
	mu       sync.Mutex
	epoch    int
	ops      int
	unknowns int
}

const (
	epochOps      = 400
	epochUnknowns = 10
)

// begin returns the epoch of a new operation.
func (e *epochs) begin() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ops >= epochOps || e.unknowns >= epochUnknowns {
		e.epoch, e.ops, e.unknowns = e.epoch+1, 0, 0
	}
	e.ops++
	return e.epoch
}

func (e *epochs) unknown() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unknowns++
}

// workload is what the clients do, and what they saw.
type workload struct {
	targets []target
	watch   *watch
	history *lin.History
	tally   *tally
	epochs  epochs

	mu     sync.Mutex
	nextID int
}

// freshID is the id of a client that has not done anything yet: one whose operation may still be under way cannot
// begin another.
func (w *workload) freshID() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nextID++
	return w.nextID - 1
}

// client does one operation after the other at random servers.
type client struct {
	w     *workload
	id    int
	rng   *prng.Rand
	count int
	seq   string          // begins every value that it writes
	seen  map[string]seen // what it read last, for check-and-set
}

type seen struct {
	value    string
	modified uint64
}

const (
	keysPerEpoch      = 4
	instancesPerEpoch = 2
	maxThink          = 15 * time.Millisecond
	thinkAfterFailure = 200 * time.Millisecond // connections are refused at once, and say nothing
)

func newClient(w *workload, n int, rng *prng.Rand) *client {
	return &client{w: w, id: w.freshID(), rng: rng.Fork("client-" + strconv.Itoa(n)), seq: strconv.Itoa(n), seen: map[string]seen{}}
}

// run works until the context ends.
func (c *client) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		think := maxThink
		if c.do(c.draw()) == lin.Failed {
			think = thinkAfterFailure
		}
		timer.Reset(c.rng.Duration(0, think))
	}
}

// do makes the request, whatever becomes of the run meanwhile, and records what came of it.
func (c *client) do(op lin.Op, req request, at target) lin.Outcome {
	op.Client, op.Node, op.Call = c.id, at.name, c.w.watch.now()
	at.send(req, &op)
	op.Return = c.w.watch.now()
	c.w.tally.add(&op)
	switch {
	case op.Outcome == lin.Unknown && !op.Kind.Reads():
		c.w.epochs.unknown()
		c.id = c.w.freshID()
	case op.Outcome == lin.Done && op.Kind == lin.Get:
		c.seen[op.Key] = seen{op.Got[op.Key], op.Modified[op.Key]}
	}
	c.w.history.Add(op)
	return op.Outcome
}

// draw draws an operation of the present epoch e: keys are e/k0, e/k1, ...; service instances web-e/s0, ... of the service
// web-e, whose value is in their metadata.
func (c *client) draw() (lin.Op, request, target) {
	c.count++
	at := c.w.targets[c.rng.IntN(len(c.w.targets))]
	epoch := c.w.epochs.begin()
	value := fmt.Sprintf("%s.%d", c.seq, c.count)
	tree := fmt.Sprintf("%d/", epoch)
	key := tree + "k" + strconv.Itoa(c.rng.IntN(keysPerEpoch))
	service := fmt.Sprintf("web-%d", epoch)
	instance := fmt.Sprintf("%s/s%d", service, c.rng.IntN(instancesPerEpoch))
	level := "default"
	if c.rng.Chance(1, 3) {
		level = "consistent"
	}
	switch c.rng.IntN(14) {
	case 0, 1, 2:
		op, req := get(key, level)
		if known := c.seen[key].modified; known > 0 && c.rng.Chance(1, 6) { // wait for a change of what was read last
			req.path += fmt.Sprintf("&index=%d&wait=%dms", known, 50+c.rng.IntN(500))
		}
		return op, req, at
	case 3, 4:
		op, req := list(tree, level)
		return op, req, at
	case 5, 6, 7:
		return lin.Op{Kind: lin.Put, Key: key, Value: value}, request{"PUT", "/v1/kv/" + key, value}, at
	case 8, 9:
		s := c.seen[key]
		return lin.Op{Kind: lin.CAS, Key: key, Value: value, Expect: s.value},
			request{"PUT", fmt.Sprintf("/v1/kv/%s?cas=%d", key, s.modified), value}, at
	case 10:
		if c.rng.Chance(1, 4) {
			return lin.Op{Kind: lin.DeleteTree, Key: tree}, request{"DELETE", "/v1/kv/" + tree + "?recurse", ""}, at
		}
		return lin.Op{Kind: lin.Delete, Key: key}, request{"DELETE", "/v1/kv/" + key, ""}, at
	case 11:
		return lin.Op{Kind: lin.Put, Key: instance, Value: value}, register(service, instance, value), at
	case 12:
		return lin.Op{Kind: lin.Delete, Key: instance}, deregister(instance), at
	}
	op, req := health(service, level)
	return op, req, at
}

// finalReads lets each server show each epoch once more, consistently: what was acknowledged must be there. The error
// is of a server that does not answer.
func (w *workload) finalReads(rng *prng.Rand) error {
	for i, at := range w.targets {
		c := newClient(w, -1-i, rng)
		for epoch := range w.epochs.epoch + 1 {
			kv, kvRequest := list(fmt.Sprintf("%d/", epoch), "consistent")
			services, servicesRequest := health(fmt.Sprintf("web-%d", epoch), "consistent")
			if !c.insist(kv, kvRequest, at) || !c.insist(services, servicesRequest, at) {
				return fmt.Errorf("%s does not answer reads of epoch %d although every fault is over", at.name, epoch)
			}
		}
	}
	return nil
}

// insist reads until there is an answer, a few times at most.
func (c *client) insist(op lin.Op, req request, at target) bool {
	for range 3 {
		if c.do(op, req, at) == lin.Done {
			return true
		}
	}
	return false
}
