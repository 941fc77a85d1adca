package machine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/catalog"
	"concord/raft"
	"concord/store"
	"concord/store/memstore"
	"concord/store/storetest"
	"concord/wire"
)

// disks are stores in memory that survive a crash: open the same disks again.
type disks struct {
	current, fresh *memstore.Disk
	refuse         error // of Adopt
}

func newDisks() *disks { return &disks{current: memstore.NewDisk()} }

func (d *disks) Open() (store.Store, error) { return memstore.Open(d.current), nil }
func (d *disks) Fresh() (store.Store, error) {
	d.fresh = memstore.NewDisk()
	return memstore.Open(d.fresh), nil
}
func (d *disks) Adopt(fresh store.Store) error {
	if d.refuse != nil {
		return d.refuse
	}
	if err := fresh.Flush(); err != nil {
		return err
	}
	d.current = d.fresh
	return nil
}

func machineOn(t require.TestingT, s Stores) *Machine {
	m, err := Open(s)
	require.NoError(t, err)
	return m
}

func put(index uint64, key string, value []byte) raft.Entry {
	return raft.Entry{Index: index, Term: 2, Type: raft.EntryCommand, Data: wire.AppendCommand(nil, &catalog.KVWrite{Op: catalog.KVSet, Key: key, Value: value})}
}

var members = raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "192.0.2.1:8300", Suffrage: raft.Voter}}}

// fill applies a configuration and n large values, so that a snapshot has several chunks.
func fill(t require.TestingT, m *Machine, n int) {
	entries := []raft.Entry{{Index: 1, Term: 1, Type: raft.EntryConfig, Config: &members}}
	for i := range n {
		entries = append(entries, put(uint64(i+2), fmt.Sprintf("k%03d", i), bytes.Repeat([]byte{byte(i)}, chunkBytes/3)))
	}
	_, err := m.Apply(entries)
	require.NoError(t, err)
}

// chunks reads a whole snapshot as the writes a follower would get.
func chunks(t require.TestingT, m *Machine, to raft.ID) (out []raft.ChunkWrite) {
	req := raft.ChunkRead{For: to}
	for {
		meta, chunk, next, done, err := m.ReadChunk(req)
		require.NoError(t, err)
		require.LessOrEqual(t, len(chunk), chunkBytes+64)
		out = append(out, raft.ChunkWrite{Meta: meta, Cursor: req.Cursor, Chunk: chunk, Next: next, Done: done})
		if done {
			return out
		}
		req.Meta, req.Cursor = meta, next
	}
}

func receive(t require.TestingT, m *Machine, writes []raft.ChunkWrite) {
	for _, w := range writes {
		require.NoError(t, m.WriteChunk(w))
	}
}

func contents(t require.TestingT, m *Machine) []string { return storetest.Dump(t, m.st) }

func TestApplied(t *testing.T) {
	t.Parallel()
	d := newDisks()
	m := machineOn(t, d)
	noop := raft.Entry{Index: 2, Term: 1, Type: raft.EntryNoop}
	out, err := m.Apply([]raft.Entry{{Index: 1, Term: 1, Type: raft.EntryConfig, Config: &members}, noop, put(3, "k", []byte("v"))})
	require.NoError(t, err)
	want := Applied{Index: 3, Term: 2, Config: members, ConfigIndex: 1}
	require.Equal(t, want, out.Applied)
	require.Equal(t, want, m.Applied())
	require.Equal(t, []catalog.Result{{}, {}, {OK: true, Index: 3}}, out.Results)
	require.NotEmpty(t, out.Topics)

	_, err = m.Apply([]raft.Entry{put(5, "k", nil)})
	require.ErrorContains(t, err, "does not follow")
	require.Equal(t, want, m.Applied())

	unknown := raft.Entry{Index: 4, Term: 2, Type: raft.EntryCommand, Data: []byte{9, 9}}
	out, err = m.Apply([]raft.Entry{unknown, put(5, "k", []byte("w"))})
	require.NoError(t, err, "the log must go on")
	require.NotEmpty(t, out.Results[0].Err)
	require.True(t, out.Results[1].OK)

	a, index, err := m.Read(&catalog.KVGetQuery{Key: "k"})
	require.NoError(t, err)
	require.EqualValues(t, 5, index)
	require.Equal(t, "w", string(a.Value.(*catalog.DirEntry).Value))
}

// A crash falls back to the last flush; Raft replays from there, to the same state.
func TestCrashAndReplay(t *testing.T) {
	t.Parallel()
	d := newDisks()
	m := machineOn(t, d)
	fill(t, m, 2)
	flushed, err := m.Flush()
	require.NoError(t, err)
	require.EqualValues(t, 3, flushed.Index)
	lost := []raft.Entry{put(4, "late", []byte("x"))}
	_, err = m.Apply(lost)
	require.NoError(t, err)
	before := contents(t, m)

	m = machineOn(t, d)
	require.Equal(t, flushed, m.Applied())
	require.NotEqual(t, before, contents(t, m))
	_, err = m.Apply(lost)
	require.NoError(t, err)
	require.Equal(t, before, contents(t, m))
	require.NoError(t, m.Close())
	require.Equal(t, before, contents(t, machineOn(t, d)), "Close makes it durable")
}

func TestDamagedState(t *testing.T) {
	t.Parallel()
	for name, key := range map[string][]byte{"applied index": keyApplied, "configuration": keyConfig} {
		d := newDisks()
		m := machineOn(t, d)
		fill(t, m, 0)
		b := m.st.NewBatch()
		require.NoError(t, b.Set(key, []byte("rubbish")))
		require.NoError(t, b.Commit(store.Sync))
		_, err := Open(d)
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, "corrupt")
	}
}

// What is received is what was when the snapshot began, whatever is applied meanwhile.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	leader, stores := machineOn(t, newDisks()), newDisks()
	follower := machineOn(t, stores)
	_, err := follower.Apply([]raft.Entry{put(1, "stale", []byte("x"))})
	require.NoError(t, err)
	fill(t, leader, 8)
	want, applied := contents(t, leader), leader.Applied()

	req, n := raft.ChunkRead{For: "f"}, 0
	for done := false; !done; n++ {
		var w raft.ChunkWrite
		w.Cursor = req.Cursor
		w.Meta, w.Chunk, w.Next, w.Done, err = leader.ReadChunk(req)
		require.NoError(t, err)
		_, again, next, _, err := leader.ReadChunk(raft.ChunkRead{For: "f", Meta: w.Meta, Cursor: req.Cursor})
		require.NoError(t, err)
		if len(req.Cursor) > 0 {
			require.Equal(t, w.Chunk, again, "a chunk asked for again is the same")
			require.Equal(t, w.Next, next)
			_, err = leader.Apply([]raft.Entry{put(leader.Applied().Index+1, fmt.Sprintf("k%03d", n), []byte("newer"))})
			require.NoError(t, err)
		}
		require.Equal(t, applied.Meta(), w.Meta)
		require.NoError(t, follower.WriteChunk(w))
		req.Meta, req.Cursor, done = w.Meta, w.Next, w.Done
	}
	require.Greater(t, n, 2)
	require.Equal(t, want, contents(t, follower))
	require.Equal(t, applied, follower.Applied())
	a, index, err := follower.Read(&catalog.KVGetQuery{Key: "stale"})
	require.NoError(t, err)
	require.Nil(t, a.Value.(*catalog.DirEntry), "nothing of the old state is left")
	require.Equal(t, applied.Index, index)
	require.Equal(t, want, contents(t, machineOn(t, stores)), "it is durable at once")
	_, err = follower.Apply([]raft.Entry{put(applied.Index+1, "next", nil)})
	require.NoError(t, err)
}

// A crash before the last chunk leaves the old state; the snapshot begins anew.
func TestCrashWhileReceiving(t *testing.T) {
	t.Parallel()
	leader, stores := machineOn(t, newDisks()), newDisks()
	fill(t, leader, 6)
	follower := machineOn(t, stores)
	_, err := follower.Apply([]raft.Entry{put(1, "old", nil)})
	require.NoError(t, err)
	_, err = follower.Flush()
	require.NoError(t, err)
	old := contents(t, follower)
	writes := chunks(t, leader, "f")
	for upTo := range writes {
		follower = machineOn(t, stores) // the one before is gone
		require.Equal(t, old, contents(t, follower))
		if upTo > 0 {
			require.ErrorIs(t, follower.WriteChunk(writes[upTo]), ErrSnapshotGone, "a new process knows nothing of the chunks before")
		}
		receive(t, follower, writes[:upTo])
		require.Equal(t, old, contents(t, follower), "nothing is seen of a part")
	}
	receive(t, follower, writes[len(writes)-1:])
	require.Equal(t, contents(t, leader), contents(t, machineOn(t, stores)))
}

func TestRefusedChunks(t *testing.T) {
	t.Parallel()
	leader := machineOn(t, newDisks())
	fill(t, leader, 6)
	writes := chunks(t, leader, "f")
	rapid.Check(t, func(t *rapid.T) {
		follower := machineOn(t, newDisks())
		at := rapid.IntRange(0, len(writes)-1).Draw(t, "at")
		receive(t, follower, writes[:at])
		bad := writes[at]
		bad.Chunk = bytes.Clone(bad.Chunk)
		bad.Chunk[rapid.IntRange(0, len(bad.Chunk)-1).Draw(t, "byte")] ^= byte(1 << rapid.IntRange(0, 7).Draw(t, "bit"))
		require.ErrorContains(t, follower.WriteChunk(bad), "corrupt")
		if at > 0 {
			require.ErrorIs(t, follower.WriteChunk(writes[at]), ErrSnapshotGone, "what was received before it is thrown away")
		}
		require.Zero(t, follower.Applied().Index)
		receive(t, follower, writes)
		require.Equal(t, contents(t, leader), contents(t, follower))
	})
	follower := machineOn(t, newDisks())
	require.ErrorContains(t, follower.WriteChunk(raft.ChunkWrite{Chunk: []byte{1}}), "corrupt")
	receive(t, follower, writes[:1])
	require.ErrorIs(t, follower.WriteChunk(writes[0+2]), ErrSnapshotGone, "one is missing")
	other := writes[1]
	other.Meta.Index++
	require.ErrorIs(t, follower.WriteChunk(other), ErrSnapshotGone, "of another snapshot")
	wrong := writes[len(writes)-1]
	wrong.Meta.Term++
	receive(t, follower, writes[:len(writes)-1])
	require.ErrorContains(t, follower.WriteChunk(wrong), "it contains index")
}

func FuzzLoadChunk(f *testing.F) {
	m := machineOn(f, newDisks())
	_, err := m.Apply([]raft.Entry{put(1, "k", []byte("v"))})
	require.NoError(f, err)
	chunk := chunks(f, m, "f")[0].Chunk
	f.Add(chunk)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		st := memstore.Open(memstore.NewDisk())
		for _, p := range [][]byte{in, sealChunk(in)} {
			if err := loadChunk(st, p); err != nil {
				require.Empty(t, storetest.Dump(t, st), "all or nothing")
			} else {
				return
			}
		}
	})
}

func TestSendersAreClosed(t *testing.T) {
	t.Parallel()
	m := machineOn(t, newDisks())
	fill(t, m, 6)
	meta, _, next, done, err := m.ReadChunk(raft.ChunkRead{For: "f"})
	require.NoError(t, err)
	require.False(t, done)
	resume := raft.ChunkRead{For: "f", Meta: meta, Cursor: next}
	for range 3 {
		_, err = m.Flush()
		require.NoError(t, err)
		_, _, _, _, err = m.ReadChunk(resume)
		require.NoError(t, err, "it is in use")
	}
	other := resume
	other.For = "g"
	_, _, _, _, err = m.ReadChunk(other)
	require.ErrorIs(t, err, ErrSnapshotGone)
	other = resume
	other.Meta.Index++
	_, _, _, _, err = m.ReadChunk(other)
	require.ErrorIs(t, err, ErrSnapshotGone)
	for range 2 {
		_, err = m.Flush()
		require.NoError(t, err)
	}
	_, _, _, _, err = m.ReadChunk(resume)
	require.ErrorIs(t, err, ErrSnapshotGone, "nobody reads it any more")
	require.NoError(t, m.Close())
	_, _, _, _, err = m.ReadChunk(raft.ChunkRead{For: "f"})
	require.ErrorIs(t, err, store.ErrClosed)
}

// counted knows how many snapshots are open, and lets a test hold up a scan.
type counted struct {
	store.Store
	mu   sync.Mutex
	open int
	held chan struct{} // a scan from a key on tells that it is there, and waits to receive again
}

type countedSnapshot struct {
	store.Snapshot
	s *counted
}

func (c *counted) NewSnapshot() (store.Snapshot, error) {
	snap, err := c.Store.NewSnapshot()
	if err == nil {
		c.add(1)
		snap = countedSnapshot{snap, c}
	}
	return snap, err
}

func (c *counted) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open += n
}

func (c *counted) left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

func (s countedSnapshot) Close() error {
	s.s.add(-1)
	return s.Snapshot.Close()
}

func (s countedSnapshot) Scan(lo, hi []byte, fn func(k, v []byte) bool) error {
	if len(lo) > 0 && s.s.held != nil {
		s.s.held <- struct{}{}
		<-s.s.held
	}
	return s.Snapshot.Scan(lo, hi, fn)
}

// countedStores close the old store as those on disk do, which an open snapshot of it must not see.
type countedStores struct {
	current, fresh *counted
}

func (c *countedStores) Open() (store.Store, error) {
	c.current = &counted{Store: memstore.Open(memstore.NewDisk())}
	return c.current, nil
}

func (c *countedStores) Fresh() (store.Store, error) {
	c.fresh = &counted{Store: memstore.Open(memstore.NewDisk())}
	return c.fresh, nil
}

func (c *countedStores) Adopt(store.Store) error {
	if n := c.current.left(); n > 0 {
		return fmt.Errorf("%d snapshots are open", n)
	}
	old := c.current
	c.current = c.fresh
	return old.Close()
}

// TestInstallWhileSending: an installation closes the old store, and nobody may begin a snapshot of it just before.
func TestInstallWhileSending(t *testing.T) {
	t.Parallel()
	leader := machineOn(t, newDisks())
	fill(t, leader, 0)
	writes := chunks(t, leader, "f")
	m := machineOn(t, &countedStores{})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, _, _, _, err := m.ReadChunk(raft.ChunkRead{For: raft.ID(fmt.Sprint(i))}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 500 {
		if err := m.WriteChunk(writes[0]); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	wg.Wait()
}

// TestCloseWhileSending: Close and the beginning of a snapshot, both waiting for a chunk that is being read.
func TestCloseWhileSending(t *testing.T) {
	t.Parallel()
	stores := &countedStores{}
	m := machineOn(t, stores)
	fill(t, m, 6)
	meta, _, next, _, err := m.ReadChunk(raft.ChunkRead{For: "a"})
	require.NoError(t, err)
	stores.current.held = make(chan struct{})
	ended := make(chan error, 3)
	go func() {
		_, _, _, _, err := m.ReadChunk(raft.ChunkRead{For: "a", Meta: meta, Cursor: next})
		ended <- err
	}()
	<-stores.current.held
	go func() {
		_, _, _, _, err := m.ReadChunk(raft.ChunkRead{For: "b"})
		ended <- err
	}()
	time.Sleep(10 * time.Millisecond) // so that it waits first, which no event tells; the test cannot fail by it
	go func() { ended <- m.Close() }()
	time.Sleep(10 * time.Millisecond)
	stores.current.held <- struct{}{}
	for range 3 {
		select {
		case err := <-ended:
			if err != nil {
				require.ErrorIs(t, err, store.ErrClosed)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("they wait for one another")
		}
	}
	require.Zero(t, stores.current.left())
}

// A machine that could not install a snapshot keeps its state, and answers.
func TestFailedInstall(t *testing.T) {
	t.Parallel()
	leader, stores := machineOn(t, newDisks()), newDisks()
	fill(t, leader, 1)
	m := machineOn(t, stores)
	_, err := m.Apply([]raft.Entry{registration(1, 80)})
	require.NoError(t, err)
	stores.refuse = errors.New("no space")
	for _, w := range chunks(t, leader, "f") {
		err = m.WriteChunk(w)
	}
	require.ErrorContains(t, err, "no space")
	require.EqualValues(t, 1, m.Applied().Index)
	require.Equal(t, 80, port(t, m))
	first, _, err := m.Read(lookup)
	require.NoError(t, err)
	second, _, err := m.Read(lookup)
	require.NoError(t, err)
	require.Same(t, first.Value.([]*catalog.CheckServiceNode)[0], second.Value.([]*catalog.CheckServiceNode)[0], "the cache is in use again")
}

func sealChunk(p []byte) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(p), crc32.Checksum(p, castagnoli))
}
