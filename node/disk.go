package node

import (
	"errors"
	"fmt"

	"concord/node/machine"
	"concord/raft"
	"concord/store/raftlog"
	"concord/wire"
)

// The functions here are what a driver's workers do with a server's disks. They are the same in
// node/runner and in sim.

// Recover reads what a server finds on its disks at start, and mends what a crash between two stores
// can leave behind.
func Recover(l *raftlog.Log, m *machine.Machine) (Disk, error) {
	applied := m.Applied()
	st := l.State()
	if st.Meta.Index > applied.Index {
		return Disk{}, fmt.Errorf("the raft log begins behind entry %d, but the state only contains %d: one of the two is older than the other; restore the data directory or remove it and let the server join anew", st.Meta.Index, applied.Index)
	}
	if st.LastIndex < applied.Index {
		// The state was flushed, or a snapshot installed, before the log was written: what the
		// log lacks is committed and in the state.
		if err := l.Reset(applied.Meta()); err != nil {
			return Disk{}, err
		}
		st = l.State()
	}
	promise, err := l.Promise()
	if err != nil {
		return Disk{}, err
	}
	d := Disk{Applied: applied, Promise: promise}
	d.Raft = raft.InitialState{
		HardState: st.HardState, Snapshot: st.Meta, Applied: applied.Index, AppliedTerm: applied.Term,
		Config: applied.Config, ConfigIndex: applied.ConfigIndex, FirstIndex: st.FirstIndex,
	}
	if st.LastIndex == applied.Index {
		return d, nil
	}
	d.Raft.Entries, err = l.Entries(applied.Index+1, st.LastIndex, int(^uint(0)>>1))
	if err == nil && uint64(len(d.Raft.Entries)) != st.LastIndex-applied.Index {
		err = errors.New("the raft log has a gap")
	}
	return d, err
}

// WriteLog writes tasks to the log, all of them durable when it returns. Neighbours that only add are one
// batch.
func WriteLog(l *raftlog.Log, tasks []PersistTask) error {
	w := l.Begin()
	pending := false
	flush := func() error {
		if !pending {
			return nil
		}
		err := w.Commit()
		w, pending = l.Begin(), false
		return err
	}
	for _, t := range tasks {
		if t.HardState != nil || len(t.Entries) > 0 {
			if err := w.Add(t.HardState, t.Entries); err != nil {
				return err
			}
			pending = true
		}
		if t.Promise == nil && t.Reset == nil && t.Compact == nil {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		if err := writeRare(l, t); err != nil {
			return err
		}
	}
	return flush()
}

func writeRare(l *raftlog.Log, t PersistTask) error {
	if t.Promise != nil {
		if err := l.SetPromise(*t.Promise); err != nil {
			return err
		}
	}
	if t.Reset != nil {
		if err := l.Reset(*t.Reset); err != nil {
			return err
		}
	}
	if t.Compact != nil {
		return l.CompactTo(*t.Compact)
	}
	return nil
}

// ApplyTo carries out an ApplyTask.
func ApplyTo(m *machine.Machine, t ApplyTask) ApplyDone {
	d := ApplyDone{Task: t}
	switch {
	case t.Chunk != nil:
		d.Err = m.WriteChunk(*t.Chunk)
	case t.Flush:
		d.Applied, d.Err = m.Flush()
		return d
	default:
		d.Outcome, d.Err = m.Apply(t.Entries)
	}
	d.Applied = m.Applied()
	return d
}

// ReadFrom completes the response of a ReadTask.
func ReadFrom(m *machine.Machine, t *ReadTask) {
	a, applied, err := m.Read(t.Query)
	if err != nil {
		t.Response.Code, t.Response.Err = wire.Failed, err.Error()
		return
	}
	t.Response.Answer, t.Response.Applied = &a, applied
}

// FetchFrom carries out a FetchTask.
func FetchFrom(l *raftlog.Log, m *machine.Machine, t FetchTask) FetchDone {
	d := FetchDone{Task: t}
	if r := t.Log; r != nil {
		d.Entries, d.Err = l.Entries(r.Lo, r.Hi, r.MaxBytes)
		return d
	}
	d.Meta, d.Data, d.Next, d.Done, d.Err = m.ReadChunk(*t.Chunk)
	return d
}
