package storetest

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/store"
)

// ended: a batch that was committed, closed, or could not be committed takes nothing any more.
func ended(t *testing.T, s store.Store) {
	closeIt := func(b store.Batch) { require.NoError(t, b.Close()) }
	commitIt := func(b store.Batch) { require.NoError(t, b.Commit(store.NoSync)) }
	for _, end := range []func(store.Batch){closeIt, commitIt} {
		for _, open := range []func() store.Batch{s.NewBatch, s.NewWriteBatch} {
			b := open()
			require.NoError(t, b.Set([]byte("a"), []byte("1")))
			end(b)
			requireEnded(t, b)
		}
	}
	late := s.NewBatch()
	require.NoError(t, late.Set([]byte("a"), []byte("2")))
	require.NoError(t, s.Close())
	_, _, err := late.Get([]byte("a"))
	require.ErrorIs(t, err, store.ErrClosed)
	require.ErrorIs(t, late.Commit(store.NoSync), store.ErrClosed)
	requireEnded(t, late)
}

func requireEnded(t *testing.T, b store.Batch) {
	require.ErrorIs(t, b.Set([]byte("a"), nil), store.ErrEnded)
	require.ErrorIs(t, b.Delete([]byte("a")), store.ErrEnded)
	require.ErrorIs(t, b.DeleteRange([]byte("a"), []byte("b")), store.ErrEnded)
	require.ErrorIs(t, b.Commit(store.NoSync), store.ErrEnded)
	requireReads(t, b, store.ErrEnded)
	require.NoError(t, b.Close())
	require.NoError(t, b.Close())
}

func requireReads(t *testing.T, r store.Reader, want error) {
	_, _, err := r.Get([]byte("a"))
	require.ErrorIs(t, err, want)
	_, _, _, err = r.Last(nil, nil)
	require.ErrorIs(t, err, want)
	require.ErrorIs(t, r.Scan(nil, nil, func(_, _ []byte) bool { return true }), want)
}

func writeOnly(t *testing.T, s store.Store) {
	b := s.NewWriteBatch()
	require.NoError(t, b.Set([]byte("a"), nil))
	requireReads(t, b, store.ErrWriteOnly)
	require.NoError(t, b.Commit(store.NoSync), "a refused read does not end it")
	require.Equal(t, []string{"a="}, Dump(t, s))
}

func unbounded(t *testing.T, s store.Store) {
	set(t, s, "a", "1")
	b := s.NewBatch()
	require.ErrorIs(t, b.DeleteRange(nil, nil), store.ErrUnbounded)
	require.NoError(t, b.DeleteRange([]byte("c"), []byte("b")), "nothing is between")
	require.NoError(t, b.DeleteRange([]byte("b"), []byte("b")))
	require.NoError(t, b.Commit(store.NoSync))
	require.Equal(t, []string{"a=1"}, Dump(t, s))
	b = s.NewBatch()
	require.NoError(t, b.DeleteRange(nil, []byte("b")), "nil is the lowest key")
	require.NoError(t, b.Commit(store.NoSync))
	require.Empty(t, Dump(t, s))
}

// twoBatches: neither undoes the other, and one that is read from sees what the other committed.
func twoBatches(t *testing.T, s store.Store) {
	a, b, c := s.NewWriteBatch(), s.NewWriteBatch(), s.NewBatch()
	require.NoError(t, a.Set([]byte("a"), nil))
	require.NoError(t, b.Set([]byte("b"), nil))
	require.NoError(t, c.Set([]byte("c"), nil))
	require.Equal(t, []string{"c="}, Dump(t, c))
	require.NoError(t, a.Commit(store.NoSync))
	require.NoError(t, b.Commit(store.NoSync))
	require.Equal(t, []string{"a=", "b=", "c="}, Dump(t, c))
	require.NoError(t, c.Commit(store.NoSync))
	require.Equal(t, []string{"a=", "b=", "c="}, Dump(t, s))
}

func empty(t *testing.T, s store.Store) {
	b := s.NewBatch()
	require.Zero(t, b.Len())
	require.NoError(t, b.Commit(store.NoSync))
	require.NoError(t, s.Flush())
	require.Empty(t, Dump(t, s))
	_, _, ok, err := s.Last(nil, nil)
	require.NoError(t, err)
	require.False(t, ok)
}

// closing: a store may be closed while it is used; the calls in progress end, later ones get ErrClosed, and nothing
// panics. A call within another is refused then, not held up.
func closing(t *testing.T, s store.Store) {
	set(t, s, "a", "1", "b", "2")
	snap, err := s.NewSnapshot()
	require.NoError(t, err)
	inside, closed := make(chan struct{}), make(chan error)
	var wg sync.WaitGroup
	for _, use := range []func() error{
		func() error { _, _, err := s.Get([]byte("a")); return err },
		func() error { _, _, _, err := s.Last(nil, nil); return err },
		func() error {
			b := s.NewBatch()
			return errors.Join(b.Set([]byte("c"), nil), b.Commit(store.NoSync))
		},
		func() error { s.Size(); return s.Flush() },
		func() error {
			snap, err := s.NewSnapshot()
			if err == nil {
				err = errors.Join(snap.Scan(nil, nil, func(_, _ []byte) bool { return true }), snap.Close())
			}
			return err
		},
	} {
		wg.Go(func() {
			<-inside
			for {
				if err := use(); err != nil {
					if !errors.Is(err, store.ErrClosed) {
						t.Errorf("used while it is closed: %v", err)
					}
					return
				}
			}
		})
	}
	var within error
	err = s.Scan(nil, nil, func(_, _ []byte) bool {
		close(inside)
		go func() { closed <- s.Close() }()
		for within == nil { // until Close has begun
			_, _, within = s.Get([]byte("a"))
		}
		return false
	})
	require.NoError(t, err)
	require.NoError(t, <-closed)
	require.ErrorIs(t, within, store.ErrClosed)
	wg.Wait()
	require.NoError(t, snap.Close(), "the store let go of it")
	require.ErrorIs(t, s.Close(), store.ErrClosed)
}
