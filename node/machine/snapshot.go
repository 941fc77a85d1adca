package machine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	"concord/catalog"
	"concord/raft"
	"concord/store"
)

// chunkBytes is the size of a snapshot's chunk: large enough to be worth a round trip, small
// enough that heartbeats pass between two.
const chunkBytes = 512 << 10

// ErrSnapshotGone says that the snapshot asked for is no longer held; begin a new one.
var ErrSnapshotGone = errors.New("snapshot is gone")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// senders are the snapshots being read: one for each follower that lacks the log, and a few that are saved.
type senders struct {
	mu   sync.Mutex
	open map[target]*sender
	last uint64 // of sender.order
}

// target is where a snapshot goes: to a follower, or into the archive of a save.
type target struct {
	follower raft.ID
	save     string
}

type sender struct {
	snap  store.Snapshot
	meta  raft.SnapshotMeta
	line  lineage
	used  bool   // since closeIdle
	order uint64 // when it was read from last
}

// closeAll closes all of them; the caller holds s.mu.
func (s *senders) closeAll() {
	for id, o := range s.open {
		o.snap.Close()
		delete(s.open, id)
	}
}

// ReadChunk reads a chunk of the snapshot that req names, or begins a new one if the cursor is
// empty. next is where the chunk after it begins; done tells that there is none.
func (m *Machine) ReadChunk(req raft.ChunkRead) (meta raft.SnapshotMeta, chunk, next []byte, done bool, err error) {
	m.sending.mu.Lock()
	defer m.sending.mu.Unlock()
	if len(req.Cursor) == 0 {
		if err := m.beginSending(target{follower: req.For}); err != nil {
			return meta, nil, nil, false, err
		}
	}
	s := m.sending.use(target{follower: req.For})
	if s == nil || len(req.Cursor) != 0 && s.meta.Index != req.Meta.Index {
		return meta, nil, nil, false, ErrSnapshotGone
	}
	if chunk, next, err = records(s.snap, req.Cursor, nil, m.chunkBytes); err != nil {
		return meta, nil, nil, false, fmt.Errorf("read snapshot: %w", err)
	}
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.Checksum(chunk, castagnoli))
	return s.meta, chunk, next, next == nil, nil
}

// use returns the snapshot being read for a target, nil if there is none.
func (s *senders) use(to target) *sender {
	o := s.open[to]
	if o != nil {
		s.last++
		o.used, o.order = true, s.last
	}
	return o
}

// records reads a chunk of about chunkBytes of the records in [lo, hi). next is the key after them, nil if there is none.
func records(r catalog.View, lo, hi []byte, chunkBytes int) (chunk, next []byte, err error) {
	err = r.Scan(lo, hi, func(k, v []byte) bool {
		if len(chunk) > 0 && len(chunk)+len(k)+len(v) > chunkBytes {
			next = bytes.Clone(k)
			return false
		}
		chunk = catalog.AppendRecord(chunk, k, v)
		return true
	})
	return chunk, next, err
}

func (m *Machine) beginSending(to target) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	snap, err := m.st.NewSnapshot()
	if err != nil {
		return fmt.Errorf("begin snapshot: %w", err)
	}
	a, line, err := readApplied(snap)
	if err != nil {
		return errors.Join(err, snap.Close())
	}
	if old := m.sending.open[to]; old != nil {
		old.snap.Close()
	}
	if m.sending.open == nil {
		m.sending.open = map[target]*sender{}
	}
	m.sending.open[to] = &sender{snap: snap, meta: a.Meta(), line: line}
	return nil
}

// closeIdle closes the snapshots that nobody has read from since the last call: the followers have them, or are
// gone. An open one keeps what was overwritten since on the disk.
func (s *senders) closeIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, o := range s.open {
		if !o.used {
			o.snap.Close()
			delete(s.open, id)
			continue
		}
		o.used = false
	}
}

// receiver is the snapshot being received.
type receiver struct {
	st    store.Store
	index uint64
	next  []byte
}

func (r *receiver) abandon() error {
	if r.st == nil {
		return nil
	}
	st := r.st
	*r = receiver{}
	return st.Close()
}

// WriteChunk adds a chunk to the snapshot being received and, with the last one, makes it the
// state.
func (m *Machine) WriteChunk(w raft.ChunkWrite) error {
	if len(w.Cursor) == 0 {
		if err := m.receive.abandon(); err != nil {
			return err
		}
		st, err := m.stores.Fresh()
		if err != nil {
			return fmt.Errorf("receive snapshot: %w", err)
		}
		m.receive = receiver{st: st, index: w.Meta.Index}
	}
	r := &m.receive
	if r.st == nil || r.index != w.Meta.Index || !bytes.Equal(r.next, w.Cursor) {
		return fmt.Errorf("receive snapshot: chunk does not follow on the last one: %w", ErrSnapshotGone)
	}
	if err := loadChunk(r.st, w.Chunk); err != nil {
		return errors.Join(err, r.abandon())
	}
	r.next = bytes.Clone(w.Next)
	if !w.Done {
		return nil
	}
	return m.adopt(w.Meta)
}

func (m *Machine) adopt(meta raft.SnapshotMeta) error {
	st := m.receive.st
	a, line, err := readApplied(st)
	if err == nil && (a.Index != meta.Index || a.Term != meta.Term) {
		err = fmt.Errorf("receive snapshot: it contains index %d term %d, not %d term %d", a.Index, a.Term, meta.Index, meta.Term)
	}
	if err != nil {
		return errors.Join(err, m.receive.abandon())
	}
	m.sending.mu.Lock() // until the end, so that nobody begins to send what is about to be closed
	defer m.sending.mu.Unlock()
	m.sending.closeAll()
	m.cache.begin()
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.stores.Adopt(st); err != nil {
		m.cache.clear(m.line.index(m.applied.Index))
		return errors.Join(fmt.Errorf("install snapshot: %w", err), m.receive.abandon())
	}
	m.receive, m.st, m.applied = receiver{}, st, a
	m.index.Store(a.Index)
	m.setLine(line)
	m.cache.clear(line.index(a.Index))
	return nil
}

func loadChunk(st store.Store, p []byte) error {
	if len(p) < 4 || crc32.Checksum(p[:len(p)-4], castagnoli) != binary.BigEndian.Uint32(p[len(p)-4:]) {
		return errors.New("receive snapshot: chunk is corrupt")
	}
	batch := st.NewWriteBatch()
	defer batch.Close()
	for p = p[:len(p)-4]; len(p) > 0; {
		var k, v []byte
		var ok bool
		if k, v, p, ok = catalog.CutRecord(p); !ok {
			return errors.New("receive snapshot: chunk is malformed")
		}
		if err := batch.Set(k, v); err != nil {
			return err
		}
	}
	return batch.Commit(store.NoSync)
}
