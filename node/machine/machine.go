// Package machine is a server's replicated state: the catalog over a store, together with the
// index, term and configuration it was applied at, so that a crash falls back to a consistent
// state from which Raft replays.
package machine

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"concord/catalog"
	"concord/raft"
	"concord/store"
	"concord/wire"
)

// The keys below catalog.FirstKey are the machine's. Those above are the catalog's, in two halves (lineage).
var (
	keyApplied = []byte{0x00}
	keyConfig  = []byte{0x01}
	keyRestore = []byte{0x02}
)

// Stores gives a machine the stores its state lives in.
type Stores interface {
	// Open opens the current store, empty on a new server.
	Open() (store.Store, error)
	// Fresh opens an empty store beside the current one, in place of an earlier fresh one.
	Fresh() (store.Store, error)
	// Adopt makes the fresh store the current one, durably and atomically, and closes the old one.
	Adopt(fresh store.Store) error
}

// Applied tells what a state contains.
type Applied struct {
	Index, Term uint64
	Config      raft.Configuration
	ConfigIndex uint64
}

// Meta returns a as the description of a snapshot.
func (a Applied) Meta() raft.SnapshotMeta {
	return raft.SnapshotMeta{Index: a.Index, Term: a.Term, Config: a.Config, ConfigIndex: a.ConfigIndex}
}

// Machine is the replicated state of one server. Apply, WriteChunk and Flush are called by one
// goroutine; Read and ReadChunk by any, at any time.
type Machine struct {
	mu      sync.RWMutex // guards st against its replacement; whoever takes sending.mu, too, takes that first
	stores  Stores
	st      store.Store
	applied Applied // of the applying goroutine, as is line
	line    lineage
	cache   cache
	sending senders
	receive receiver

	chunkBytes int                     // of snapshots
	index      atomic.Uint64           // applied.Index, for those who read
	readers    atomic.Pointer[lineage] // line, for those who read
}

// Open opens the state in stores.
func Open(stores Stores) (*Machine, error) { return OpenChunked(stores, chunkBytes) }

// OpenChunked opens the state in stores, to be sent to others in chunks of about so many bytes.
func OpenChunked(stores Stores, chunkBytes int) (*Machine, error) {
	st, err := stores.Open()
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	m := &Machine{stores: stores, st: st, chunkBytes: chunkBytes}
	if m.applied, m.line, err = readApplied(st); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	m.cache.clear(m.line.index(m.applied.Index))
	m.index.Store(m.applied.Index)
	m.setLine(m.line)
	return m, nil
}

// setLine takes note of a lineage, which hardly ever changes.
func (m *Machine) setLine(l lineage) {
	m.line = l
	if old := m.readers.Load(); old == nil || *old != l {
		m.readers.Store(&l)
	}
}

// Index is up to where entries were applied. Anybody may ask: what is read afterwards contains at least that.
func (m *Machine) Index() uint64 { return m.index.Load() }

// Applied tells what the state contains. Only the applying goroutine may call it.
func (m *Machine) Applied() Applied { return m.applied }

// Outcome is what applying entries led to.
type Outcome struct {
	Applied Applied
	// Results has the result of each entry of the call, the zero Result for those that are not commands.
	Results []catalog.Result
	// Topics were touched.
	Topics []catalog.Topic
	// Restored tells that the whole state was replaced: everything was touched.
	Restored bool
}

// Apply applies entries, which follow directly on what was applied before, as one batch.
// An error means that the store failed and the server must stop.
func (m *Machine) Apply(entries []raft.Entry) (Outcome, error) {
	batch := m.st.NewBatch()
	defer batch.Close()
	out := Outcome{Results: make([]catalog.Result, len(entries)), Applied: m.applied}
	next, line := &out.Applied, m.line
	for i := range entries {
		e := &entries[i]
		if e.Index != next.Index+1 {
			return out, fmt.Errorf("apply: entry %d does not follow on %d", e.Index, next.Index)
		}
		next.Index, next.Term = e.Index, e.Term
		switch e.Type {
		case raft.EntryConfig:
			next.Config, next.ConfigIndex = *e.Config, e.Index
			if err := batch.Set(keyConfig, encodeConfig(next.ConfigIndex, next.Config)); err != nil {
				return out, err
			}
		case raft.EntryCommand:
			if err := out.command(batch, &line, e, i); err != nil {
				return out, fmt.Errorf("apply entry %d: %w", e.Index, err)
			}
		}
	}
	if err := batch.Set(keyApplied, encodeApplied(*next, line)); err != nil {
		return out, err
	}
	m.cache.begin()
	if err := batch.Commit(store.NoSync); err != nil {
		return out, fmt.Errorf("apply up to entry %d: %w", next.Index, err)
	}
	m.applied = *next
	m.index.Store(next.Index)
	m.setLine(line)
	if out.Restored {
		m.cache.clear(line.index(next.Index))
	} else {
		m.cache.end(line.index(next.Index), out.Topics)
	}
	return out, nil
}

// command applies the command of entry i. One that cannot be decoded is refused alike on every
// server: a newer version may have written it, and the log must go on.
func (out *Outcome) command(batch store.Batch, line *lineage, e *raft.Entry, i int) error {
	if wire.IsRestore(e.Data) {
		r, replaced, err := restoreStep(batch, line, e.Index, e.Data)
		out.Results[i], out.Restored = r, out.Restored || replaced
		return err
	}
	cmd, err := wire.DecodeCommand(e.Data)
	if err != nil {
		out.Results[i] = catalog.Result{Err: err.Error(), Index: line.index(e.Index)}
		return nil
	}
	r, topics, err := catalog.Apply(line.txn(batch), line.index(e.Index), cmd)
	out.Results[i], out.Topics = r, append(out.Topics, topics...)
	return err
}

// Read answers a query from the state as it is now, and tells the index it was served at, as the catalog counts.
func (m *Machine) Read(q catalog.Query) (catalog.Answer, uint64, error) {
	if q, ok := q.(*catalog.SnapshotQuery); ok {
		return m.readPage(q)
	}
	if q, ok := q.(*catalog.KVGetQuery); ok {
		return m.readKey(q)
	}
	key := cacheKey(q)
	if key == "" {
		return m.evaluate(q)
	}
	answer, applied, version, ok := m.cache.get(key)
	if ok {
		return answer, applied, nil
	}
	answer, applied, err := m.evaluate(q)
	if err == nil {
		m.cache.put(key, version, q, answer)
	}
	return answer, applied, err
}

// readKey answers the most frequent query there is. A key that exists is one record, which can be read without a snapshot of the
// store; the state that it is from is then at least as new as the index it is said to be of.
func (m *Machine) readKey(q *catalog.KVGetQuery) (catalog.Answer, uint64, error) {
	m.mu.RLock()
	index, line := m.index.Load(), m.readers.Load()
	answer, err := catalog.Run(line.view(m.st), q)
	m.mu.RUnlock()
	if err != nil || answer.Value.(*catalog.DirEntry) == nil {
		return m.evaluate(q)
	}
	answer.Index = max(answer.Index, line.floor)
	return answer, line.index(index), nil
}

// evaluate answers a query from a snapshot.
func (m *Machine) evaluate(q catalog.Query) (catalog.Answer, uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	snap, err := m.st.NewSnapshot()
	if err != nil {
		return catalog.Answer{}, 0, err
	}
	defer snap.Close()
	a, line, err := readIndex(snap)
	if err != nil {
		return catalog.Answer{}, 0, err
	}
	answer, err := catalog.Run(line.view(snap), q)
	answer.Index = max(answer.Index, line.floor)
	return answer, line.index(a.Index), err
}

// Flush makes the state durable and tells what it then contains at least.
func (m *Machine) Flush() (Applied, error) {
	a := m.applied
	m.sending.closeIdle()
	if err := m.st.Flush(); err != nil {
		return Applied{}, fmt.Errorf("flush state: %w", err)
	}
	return a, nil
}

// Close flushes and closes the state.
func (m *Machine) Close() error {
	m.sending.mu.Lock()
	defer m.sending.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sending.closeAll()
	return errors.Join(m.st.Flush(), m.receive.abandon(), m.st.Close())
}

func readApplied(r store.Reader) (a Applied, l lineage, err error) {
	if a, l, err = readIndex(r); err != nil {
		return a, l, err
	}
	p, ok, err := r.Get(keyConfig)
	if err != nil || !ok {
		return a, l, err
	}
	a.ConfigIndex, a.Config, err = decodeConfig(p)
	return a, l, err
}

// encodeConfig writes a configuration as an entry, which has a codec already.
func encodeConfig(index uint64, c raft.Configuration) []byte {
	return wire.AppendRaft(nil, &raft.Message{Type: raft.MsgAppend, Entries: []raft.Entry{{Index: index, Type: raft.EntryConfig, Config: &c}}})
}

func decodeConfig(p []byte) (uint64, raft.Configuration, error) {
	m, err := wire.DecodeRaft(p)
	if err != nil || len(m.Entries) != 1 || m.Entries[0].Config == nil {
		return 0, raft.Configuration{}, errors.Join(errors.New("state: the membership configuration is unreadable: the state store is corrupt"), err)
	}
	return m.Entries[0].Index, *m.Entries[0].Config, nil
}
