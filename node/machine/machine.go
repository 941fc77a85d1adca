// Package machine is a server's replicated state: the catalog over a store, together with the
// index, term and configuration it was applied at, so that a crash falls back to a consistent
// state from which Raft replays.
package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"concord/catalog"
	"concord/raft"
	"concord/store"
	"concord/wire"
)

// The keys below 0x10 are the machine's, those above the catalog's.
var (
	keyApplied = []byte{0x00}
	keyConfig  = []byte{0x01}
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
	applied Applied // of the applying goroutine
	cache   cache
	sending senders
	receive receiver
}

// Open opens the state in stores.
func Open(stores Stores) (*Machine, error) {
	st, err := stores.Open()
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	m := &Machine{stores: stores, st: st}
	if m.applied, err = readApplied(st); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	m.cache.clear(m.applied.Index)
	return m, nil
}

// Applied tells what the state contains. Only the applying goroutine may call it.
func (m *Machine) Applied() Applied { return m.applied }

// Outcome is what applying entries led to.
type Outcome struct {
	Applied Applied
	// Results has the result of each entry of the call, the zero Result for those that are not commands.
	Results []catalog.Result
	// Topics were touched.
	Topics []catalog.Topic
}

// Apply applies entries, which follow directly on what was applied before, as one batch.
// An error means that the store failed and the server must stop.
func (m *Machine) Apply(entries []raft.Entry) (Outcome, error) {
	batch := m.st.NewBatch()
	defer batch.Close()
	out := Outcome{Results: make([]catalog.Result, len(entries))}
	next := m.applied
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
			r, topics, err := applyCommand(batch, e)
			if err != nil {
				return out, fmt.Errorf("apply entry %d: %w", e.Index, err)
			}
			out.Results[i] = r
			out.Topics = append(out.Topics, topics...)
		}
	}
	if err := batch.Set(keyApplied, encodeApplied(next)); err != nil {
		return out, err
	}
	m.cache.begin()
	if err := batch.Commit(store.NoSync); err != nil {
		return out, fmt.Errorf("apply up to entry %d: %w", next.Index, err)
	}
	m.cache.end(next.Index, out.Topics)
	m.applied, out.Applied = next, next
	return out, nil
}

// applyCommand applies one command. A command that cannot be decoded is refused alike on every
// server: a newer version may have written it, and the log must go on.
func applyCommand(txn catalog.Txn, e *raft.Entry) (catalog.Result, []catalog.Topic, error) {
	cmd, err := wire.DecodeCommand(e.Data)
	if err != nil {
		return catalog.Result{Err: err.Error(), Index: e.Index}, nil, nil
	}
	return catalog.Apply(txn, e.Index, cmd)
}

// Read answers a query from the state as it is now, and tells the index it was served at.
func (m *Machine) Read(q catalog.Query) (catalog.Answer, uint64, error) {
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

// evaluate answers a query from a snapshot.
func (m *Machine) evaluate(q catalog.Query) (catalog.Answer, uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	snap, err := m.st.NewSnapshot()
	if err != nil {
		return catalog.Answer{}, 0, err
	}
	defer snap.Close()
	index, _, err := readIndex(snap)
	if err != nil {
		return catalog.Answer{}, 0, err
	}
	answer, err := catalog.Run(snap, q)
	return answer, index, err
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

func encodeApplied(a Applied) []byte {
	p := binary.BigEndian.AppendUint64(make([]byte, 0, 16), a.Index)
	return binary.BigEndian.AppendUint64(p, a.Term)
}

func readIndex(r store.Reader) (index, term uint64, err error) {
	p, ok, err := r.Get(keyApplied)
	if err != nil || !ok {
		return 0, 0, err
	}
	if len(p) != 16 {
		return 0, 0, fmt.Errorf("state: the applied index is %d bytes long: the state store is corrupt", len(p))
	}
	return binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:]), nil
}

func readApplied(r store.Reader) (a Applied, err error) {
	if a.Index, a.Term, err = readIndex(r); err != nil {
		return a, err
	}
	p, ok, err := r.Get(keyConfig)
	if err != nil || !ok {
		return a, err
	}
	a.ConfigIndex, a.Config, err = decodeConfig(p)
	return a, err
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
