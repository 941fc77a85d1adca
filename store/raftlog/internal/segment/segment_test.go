package segment

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"concord/store"
)

var small = Sizes{Segment: 700, Ahead: 200, Spares: 2}

// book is a log and what it should contain: groups that begin with their number.
type book struct {
	*Log
	next  uint64   // number of the group that comes next
	found []uint64 // numbers, in the order of the log
	at    map[uint64]Place
}

func group(n uint64) []byte {
	p := binary.BigEndian.AppendUint64(make([]byte, HeaderBytes), n)
	return append(p, strings.Repeat(string(rune('a'+n%26)), int(n*37%190))...)
}

// open opens a log whose heads have the number of the next group.
func open(fs vfs.FS, sizes Sizes) (*book, error) {
	b := &book{at: map[uint64]Place{}}
	head := func(p []byte) []byte { return binary.BigEndian.AppendUint64(p, b.next) }
	var err error
	b.Log, err = Open(fs, "dir/log", sizes, head, b.replay)
	return b, err
}

func (b *book) replay(g Group) error {
	n := binary.BigEndian.Uint64(g.Bytes)
	switch {
	case g.First:
		b.next = n
	case n != b.next:
		return fmt.Errorf("group %d instead of %d (%+v)", n, b.next, g.Place)
	}
	if g.Head {
		return nil
	}
	if !bytes.Equal(g.Bytes, group(n)[HeaderBytes:]) {
		return fmt.Errorf("group %d is not what was written", n)
	}
	b.at[n] = g.Place
	b.found = append(b.found, n)
	b.next++
	return nil
}

func (b *book) write() error {
	at, err := b.Append(group(b.next))
	if err == nil {
		b.at[b.next] = at
		b.found = append(b.found, b.next)
		b.next++
	}
	return err
}

// drop drops the segments before that of a group.
func (b *book) drop(n uint64) error {
	before := b.at[n].Segment
	if err := b.Drop(before); err != nil {
		return err
	}
	b.found = slices.DeleteFunc(b.found, func(n uint64) bool { return b.at[n].Segment < before })
	return nil
}

func (b *book) check(t *testing.T) {
	for _, n := range b.found {
		want := group(n)[HeaderBytes:]
		got := make([]byte, len(want))
		require.NoError(t, b.ReadAt(got, b.at[n]))
		require.Equal(t, want, got)
	}
}

func TestRotateDropReopen(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	b, err := open(mem, small)
	require.NoError(t, err)
	spares := 0
	for i := range 300 {
		require.NoError(t, b.write())
		if i%40 == 39 {
			gone := b.at[b.found[0]]
			require.NoError(t, b.drop(b.next-5))
			spares = max(spares, len(b.spares))
			require.ErrorIs(t, b.ReadAt([]byte{0}, gone), ErrDropped)
		}
		b.check(t)
		if i%60 == 59 {
			require.NoError(t, b.Close())
			require.ErrorIs(t, b.ReadAt([]byte{0}, Place{1, 0}), store.ErrClosed)
			require.ErrorIs(t, b.write(), store.ErrClosed)
			next, found := b.next, b.found
			b, err = open(mem, small)
			require.NoError(t, err)
			require.Equal(t, next, b.next)
			require.Equal(t, found, b.found)
		}
	}
	require.Equal(t, small.Spares, spares)
}

func TestOversized(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	b, err := open(mem, Sizes{Segment: 100, Ahead: 50})
	require.NoError(t, err)
	for range 20 {
		require.NoError(t, b.write())
	}
	next := b.next
	require.NoError(t, b.Close())
	b, err = open(mem, small)
	require.NoError(t, err)
	require.Equal(t, next, b.next)
	_, err = b.Append(make([]byte, HeaderBytes))
	require.ErrorContains(t, err, "0 bytes")
	require.NoError(t, b.write(), "that was no failure of the disk")
}

// steps writes, drops and reopens until something fails. It tells which groups are on the disk: those before b.next, but
// some before needed may have been dropped.
func steps(fs vfs.FS, acked func(b *book, needed uint64)) (err error) {
	var b *book
	needed := uint64(0)
	for i := range 70 {
		if i%29 == 0 {
			if b != nil {
				if err := b.Close(); err != nil {
					return err
				}
			}
			if b, err = open(fs, small); err != nil {
				return err
			}
		}
		if err := b.write(); err != nil {
			return err
		}
		acked(b, needed)
		if i%11 == 10 {
			needed = b.next - 3
			acked(b, needed)
			if err := b.drop(needed); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestCrashes cuts the power before every single operation on the disk, with all, none or some of what was not synced
// lost: what was acknowledged is there, at most one more group is, and the log can be written again.
func TestCrashes(t *testing.T) {
	t.Parallel()
	for _, kept := range []int{0, 50, 100} {
		t.Run(fmt.Sprint(kept), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(uint64(kept), 7))
			mem := vfs.NewCrashableMem()
			var next, needed uint64
			crashes := 0
			fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
					return nil
				}
				crashes++
				clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: rng})
				recovered(t, clone, next, needed)
				return nil
			}))
			require.NoError(t, steps(fs, func(b *book, n uint64) { next, needed = b.next, n }))
			require.Greater(t, crashes, 200)
		})
	}
}

// recovered checks what a crash has left.
func recovered(t *testing.T, fs vfs.FS, next, needed uint64) {
	b, err := open(fs, small)
	require.NoError(t, err)
	require.GreaterOrEqual(t, b.next, next)
	require.LessOrEqual(t, b.next, next+1)
	if next > 0 {
		require.LessOrEqual(t, b.found[0], needed)
	}
	for range 9 {
		require.NoError(t, b.write())
	}
	b.check(t)
	require.NoError(t, b.Close())
	again, err := open(fs, small)
	require.NoError(t, err)
	require.Equal(t, b.next, again.next)
	require.Equal(t, b.found, again.found)
	require.NoError(t, again.Close())
}

// TestFaults lets every single operation fail, once: the log is broken from then on, and what was acknowledged is found
// after a restart, whether what was not synced is lost or not.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		for at := 0; ; at++ {
			mem := vfs.NewCrashableMem()
			count, failedOp := 0, ""
			fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind.ReadOrWrite() == errorfs.OpIsRead || op.Kind == errorfs.OpFileClose {
					return nil
				}
				if count++; count == at+1 {
					failedOp = fmt.Sprint(op.Kind, op.Path)
					return cause
				}
				return nil
			}))
			var b *book
			var next, needed uint64
			err := steps(fs, func(now *book, n uint64) { b, next, needed = now, now.next, n })
			if failedOp == "" {
				require.NoError(t, err)
				require.Greater(t, at, 150)
				break
			}
			require.ErrorIs(t, err, cause, failedOp)
			if b != nil && b.failure() != nil && b.failure() != store.ErrClosed {
				broken(t, b, cause, failedOp)
			}
			for _, kept := range []int{0, 100} {
				recovered(t, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: rand.New(rand.NewPCG(1, 2))}), next, needed)
			}
		}
	}
}

func broken(t *testing.T, b *book, cause error, what string) {
	var failed *FailedError
	require.ErrorAs(t, b.write(), &failed, what)
	require.ErrorAs(t, b.Drop(1<<40), &failed, what)
	require.ErrorAs(t, b.ReadAt([]byte{0}, b.at[b.found[0]]), &failed, what)
	require.ErrorIs(t, failed, cause)
	if cause == syscall.ENOSPC {
		require.ErrorIs(t, failed, ErrFull)
	}
}
