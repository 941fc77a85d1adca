package tick

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTimers(t *testing.T) {
	t.Parallel()
	const a, b = 0, 1
	timers := New(2)
	require.Equal(t, Never, timers.Next())
	timers.Set(a, 5)
	timers.Set(b, 3)
	require.Equal(t, time.Duration(3), timers.Next())
	require.False(t, timers.Fired(a, 4))
	require.True(t, timers.Fired(b, 4))
	require.False(t, timers.Fired(b, 4), "a timer fires once")
	timers.Clear(a)
	require.Equal(t, Never, timers.At(a))
	require.Equal(t, Never, timers.Next())
}

// The queue gives what a sorted list would.
func TestQueue(t *testing.T) {
	t.Parallel()
	type pair struct {
		at time.Duration
		id int
	}
	rapid.Check(t, func(t *rapid.T) {
		var q Queue[int]
		var model []pair
		items := map[int]*Item[int]{}
		for id := range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0, 1:
				at := time.Duration(rapid.IntRange(0, 20).Draw(t, "at"))
				items[id] = q.Add(at, id)
				model = append(model, pair{at, id})
				slices.SortStableFunc(model, func(a, b pair) int { return int(a.at - b.at) })
			case 2:
				if len(model) > 0 {
					i := rapid.IntRange(0, len(model)-1).Draw(t, "which")
					q.Remove(items[model[i].id])
					q.Remove(items[model[i].id])
					model = slices.Delete(model, i, i+1)
				}
			case 3:
				now := time.Duration(rapid.IntRange(0, 20).Draw(t, "now"))
				v, due := q.Due(now)
				require.Equal(t, len(model) > 0 && model[0].at <= now, due)
				if due {
					require.Equal(t, model[0].id, v)
					model = model[1:]
				}
			}
			require.Equal(t, len(model), q.Len())
			next := Never
			if len(model) > 0 {
				next = model[0].at
			}
			require.Equal(t, next, q.Next())
		}
	})
}
