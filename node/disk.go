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

// ErrMismatch says that the Raft log and the state on a server's disks do not belong together, because one of them is
// missing, or from another time than the other.
var ErrMismatch = errors.New("the raft log and the state do not fit together")

const remedy = "restore the whole data directory from one backup, or remove it and let the server join anew"

// fits tells whether a log and a state can be what one server left at one moment. A state only ever contains what
// its log has, or a snapshot that a leader sent in a term that the log already knew.
func fits(st raftlog.State, a machine.Applied) error {
	switch {
	case a.Index < st.Meta.Index && a.Index == 0:
		return fmt.Errorf("%w: the log begins behind entry %d, and the state is empty: the state is missing: %s", ErrMismatch, st.Meta.Index, remedy)
	case a.Index < st.Meta.Index:
		return fmt.Errorf("%w: the log begins behind entry %d, but the state only contains those up to %d: the state was rolled back: %s",
			ErrMismatch, st.Meta.Index, a.Index, remedy)
	case st.HardState.Term == 0 && st.LastIndex == 0 && a.Index > 0:
		return fmt.Errorf("%w: the state contains the entries up to %d, but the log is new: the log is missing, and with it this server's votes: %s",
			ErrMismatch, a.Index, remedy)
	case st.HardState.Term < a.Term:
		return fmt.Errorf("%w: the state contains entry %d of term %d, but the log only knows the terms up to %d: the log was rolled back, and with it this server's votes: %s",
			ErrMismatch, a.Index, a.Term, st.HardState.Term, remedy)
	}
	return nil
}

// sameHistory tells whether the log has the last entry of the state, if it has one at that index.
func sameHistory(l *raftlog.Log, a machine.Applied) error {
	if st := l.State(); a.Index < st.FirstIndex || a.Index > st.LastIndex {
		return nil
	}
	entries, err := l.Entries(a.Index, a.Index, 1)
	if err == nil && entries[0].Term != a.Term {
		err = fmt.Errorf("%w: entry %d has term %d in the log and %d in the state: one of them is another server's: %s", ErrMismatch, a.Index, entries[0].Term, a.Term, remedy)
	}
	return err
}

// Recover reads what a server finds on its disks at start, and mends what a crash between two stores
// can leave behind. It fails with ErrMismatch if the two cannot have been together.
func Recover(l *raftlog.Log, m *machine.Machine) (Disk, error) {
	applied := m.Applied()
	st := l.State()
	if err := errors.Join(fits(st, applied), sameHistory(l, applied)); err != nil {
		return Disk{}, err
	}
	if st.LastIndex < applied.Index {
		// The state was flushed, or a snapshot installed, before the log was written: what the
		// log lacks is committed and in the state.
		if err := l.Reset(applied.Meta()); err != nil {
			return Disk{}, err
		}
		st = l.State()
	}
	d := Disk{Applied: applied, Promise: l.Promise()}
	d.Raft = raft.InitialState{
		HardState: st.HardState, Snapshot: st.Meta, Applied: applied.Index, AppliedTerm: applied.Term,
		Config: applied.Config, ConfigIndex: applied.ConfigIndex, FirstIndex: st.FirstIndex,
	}
	if st.LastIndex == applied.Index {
		return d, nil
	}
	var err error
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
		w = l.Begin() // the log does not begin where it did
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
