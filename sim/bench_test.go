package sim

import (
	"testing"
	"time"
)

// BenchmarkEvents runs seeds with all checkers on.
func BenchmarkEvents(b *testing.B) {
	for _, preset := range []string{"swarm", "calm"} {
		b.Run(preset, func(b *testing.B) {
			var events uint64
			var simulated time.Duration
			for i := range b.N {
				o, err := Preset(preset, uint64(i%20+1))
				if err != nil {
					b.Fatal(err)
				}
				r := Run(o, nil)
				if r.Failure != nil {
					b.Fatal(r.Failure)
				}
				events += r.Stats.Events
				simulated += r.Stats.Simulated
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(simulated.Seconds()/b.Elapsed().Seconds(), "x-real-time")
		})
	}
}

// BenchmarkSteady is a calm cluster of five servers under a hundred operations a second.
func BenchmarkSteady(b *testing.B) {
	o := calm(1)
	o.Servers, o.Agents, o.Clients, o.Watchers, o.Keys = 5, 0, 10, 0, 20
	o.Think, o.Duration = 190*time.Millisecond, 30*time.Second
	var events uint64
	var simulated time.Duration
	for range b.N {
		r := Run(o, nil)
		if r.Failure != nil {
			b.Fatal(r.Failure)
		}
		events += r.Stats.Events
		simulated += r.Stats.Simulated
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(simulated.Seconds()/b.Elapsed().Seconds(), "x-real-time")
}
