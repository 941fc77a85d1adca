package swim

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var errForeign = errors.New("part of another datacenter")

// of lets in who is of a datacenter.
func of(dc string) Config {
	c := LAN()
	c.Tags = map[string]string{"dc": dc}
	c.Refuse = func(u *Update) error {
		if u.Tags["dc"] != dc {
			return errForeign
		}
		return nil
	}
	return c
}

// Pools that one of their members is told to join do not become one, however long that member tries; and it is told why.
func TestForeignPoolsStayApart(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 1)
	for i := range 3 {
		w.add(i, of("a"))
		w.add(10+i, of("b"))
	}
	for _, p := range w.peers {
		w.join(p, w.peers[0], w.peers[1])
		w.run(time.Second)
	}
	w.fire(w.peers[0], "of a")
	w.fire(w.peers[3], "of b")
	for range 20 {
		w.join(w.peers[1], w.peers[0])
		w.run(10 * time.Second)
	}
	for _, p := range w.peers {
		require.Len(t, p.Members(), 3, p.name)
		for _, m := range p.Members() {
			require.Equal(t, p.cfg.Tags, m.Tags)
		}
		require.Equal(t, []string{"of " + p.cfg.Tags["dc"]}, eventNames(p.fired), "%s: events must not pass from one pool to the other", p.name)
	}
	require.ErrorIs(t, w.peers[1].joined[len(w.peers[1].joined)-1].Err, errForeign)
	require.NotEmpty(t, w.peers[0].notices)
	require.Positive(t, w.peers[0].Stats().StrangersRefused)
	require.Less(t, len(w.peers[0].notices), 20, "not each time")
}
