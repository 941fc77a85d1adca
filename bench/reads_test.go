package bench

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/catalog"
	"concord/wire"
)

// TestReadsShowWhatWasAcknowledged: readers on their own goroutines, which do not pass the node's loop, see at once what a
// writer was told is done, at every server and at both levels. Under the race detector it also looks for races on that way.
func TestReadsShowWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	all := servers(t, 3)
	ctx := context.Background()
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			key := "counter-" + strconv.Itoa(w)
			for i := range 60 {
				value := fmt.Sprint(i)
				write := &wire.Request{Command: wire.AppendCommand(nil, &catalog.KVWrite{Op: catalog.KVSet, Key: key, Value: []byte(value)})}
				resp := all[(w+i)%3].Do(ctx, write)
				if resp.Code != wire.OK {
					t.Errorf("write: %s", resp.Err)
					return
				}
				for _, level := range []wire.Consistency{wire.Default, wire.Consistent} {
					for _, p := range all {
						resp := p.Do(ctx, &wire.Request{Read: &wire.Read{Query: &catalog.KVGetQuery{Key: key}, Consistency: level}})
						if resp.Code != wire.OK {
							t.Errorf("read: %s", resp.Err)
							return
						}
						e := resp.Answer.Value.(*catalog.DirEntry)
						if e == nil || string(e.Value) != value {
							t.Errorf("%s was acknowledged, a read with level %d shows %v", value, level, e)
							return
						}
					}
				}
			}
		})
	}
	group.Wait()
	require.False(t, t.Failed())
}
