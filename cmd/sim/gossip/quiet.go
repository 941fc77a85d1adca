package gossip

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"concord/sim/pool"
	"concord/swim"
)

// formByJoins is up to how many members a pool is formed by joins of random members, each of which all have to be told of.
const formByJoins = 500

// quietPool forms a pool and measures what it costs at rest: of the simulator, time and memory; of the members,
// datagrams and bytes.
func quietPool(f flags) int {
	// A pool of 10,000 is some GiB of which little becomes garbage: collecting at each doubling would be wasted.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	o := pool.Options{Seed: max(f.seed, 1), Hosts: f.nodes, Swim: swim.LAN(), Net: pool.Network{Latency: time.Millisecond}, Share: true}
	o.Swim.MaxMembers = max(o.Swim.WithDefaults().MaxMembers, 2*f.nodes)
	w := pool.New(o, nil, nil)
	began := time.Now()
	form, how := w.Regather, "by joining one that knows them all"
	if f.nodes <= formByJoins {
		form, how = func(limit time.Duration) error { return w.Form(10*time.Millisecond, limit) }, "by joining random ones"
	}
	if err := form(time.Hour); err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
		return 1
	}
	fmt.Printf("%d members formed a pool %s: %v simulated in %v\n", f.nodes, how, w.Now().Truncate(time.Millisecond), time.Since(began).Truncate(time.Millisecond))
	w.Net.LossPercent = f.loss
	before, began := w.Sent(), time.Now()
	w.Run(f.quietPool)
	took := time.Since(began)
	sent := w.Sent().Minus(before)
	rate := func(n uint64) float64 { return float64(n) / float64(f.nodes) / f.quietPool.Seconds() }
	fmt.Printf("%d members at rest, %d %% of datagrams lost: %v simulated in %v (%.1fx), %.0fk events/s\n", f.nodes, f.loss, f.quietPool, took.Truncate(time.Millisecond),
		f.quietPool.Seconds()/took.Seconds(), float64(sent.Events)/took.Seconds()/1000)
	fmt.Printf("each sent %.2f datagrams and %.1f bytes in them, %.3f messages over connections and %.1f bytes in them, per second\n",
		rate(sent.Datagrams), rate(sent.DatagramBytes), rate(sent.Streams), rate(sent.StreamBytes))
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Printf("memory: %.2f GiB of the system, %.2f GiB in use\n", gib(m.Sys), gib(m.HeapAlloc+m.StackInuse))
	if f.loss == 0 && !w.AtRest() {
		fmt.Println("not all members take all others for alive")
		return 1
	}
	return 0
}

func gib(bytes uint64) float64 { return float64(bytes) / math.Pow(2, 30) }
