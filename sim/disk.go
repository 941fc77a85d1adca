package sim

import (
	"time"

	"concord/node"
	"concord/node/machine"
	"concord/raft"
	"concord/store/raftlog"
)

// disk is a host's disk and what waits for it: the Raft log, the state, and small files.
type disk struct {
	h     *Host
	logs  *logDisk
	state *stateDisk
	files map[string][]byte

	log     *raftlog.Log
	machine *machine.Machine

	writes  []node.PersistTask // issued, not being written
	batch   []node.PersistTask // being written
	writing bool
	applies []node.ApplyTask
	busy    bool          // applying
	told    time.Duration // when the last completion is told: they come in order

	stalled time.Duration
	slow    time.Duration
	full    int  // faults that make it so
	failing bool // the next write fails
	trap    int  // 1: crash once the next write is done, before anybody is told; 2: just before it is done

	issued mirror         // the log as the node believes it to be
	synced mirror         // the log as it is on the disk
	hard   raft.HardState // on the disk
}

func newDisk(h *Host) *disk {
	make := newEngine(h.w.Options)
	return &disk{h: h, logs: newLogDisk(), state: &stateDisk{make: make, current: make()}, files: map[string][]byte{}}
}

// open recovers what is durable.
func (d *disk) open() (node.Disk, error) {
	var err error
	if d.log, err = d.logs.open(); err != nil {
		return node.Disk{}, err
	}
	if d.machine, err = machine.OpenChunked(d.state, d.h.w.Options.ChunkBytes); err != nil {
		return node.Disk{}, err
	}
	found, err := node.Recover(d.log, d.machine)
	d.issued = mirrorOf(found)
	d.synced, d.hard = d.issued.clone(), found.Raft.HardState
	return found, err
}

// crash loses what was not durable. Of what was being written, or waited to be, some may have got there.
func (d *disk) crash() {
	if pending := append(d.batch, d.writes...); len(pending) > 0 && d.log != nil {
		d.reach(pending[:d.h.rng.IntN(len(pending)+1)])
	}
	d.writes, d.batch, d.applies, d.writing, d.busy, d.trap = nil, nil, nil, false, false, 0
	d.logs.crash()
	d.state.crash()
	if d.machine != nil {
		d.state.current.Abandon(d.machine)
	}
	d.log, d.machine = nil, nil
}

// reach puts tasks on the disk.
func (d *disk) reach(tasks []node.PersistTask) {
	if err := node.WriteLog(d.log, tasks); err != nil {
		d.h.w.fail("storage", "%s: %v", d.h.name, err)
		return
	}
	for _, t := range tasks {
		d.synced.take(t)
		d.issued.trim(t)
		if t.HardState != nil {
			d.hard = *t.HardState
			d.h.w.checks.verify("votes", d.h.w.checks.votes.Written(d.h.raftID(), *t.HardState))
		}
	}
}

// delay is how long a synced write takes.
func (d *disk) delay() time.Duration {
	w := d.h.w
	t := w.faults.FsyncTime
	return max(0, d.stalled-w.now) + d.slow + d.h.rng.Duration(t/2, t*3/2)
}

// later lets f happen unless the host crashes before.
func (h *Host) later(d time.Duration, kind string, f func()) {
	epoch := h.epoch
	h.w.after(d, kind, h.index, func() {
		if h.epoch == epoch {
			f()
		}
	})
}

// completed tells the node of a completion a little later, in the order in which they came about.
func (h *Host) completed(kind string, f func()) {
	d := h.disk
	d.told = max(d.told+1, h.w.now+h.rng.Duration(0, 200*time.Microsecond))
	h.later(d.told-h.w.now, kind, f)
}

// Persist queues a write to the Raft log.
func (h *Host) Persist(t node.PersistTask) {
	d := h.disk
	h.w.checks.persisting(h, &t)
	if len(t.Entries) > 0 {
		truncates := t.Entries[0].Index <= d.issued.last()
		d.issued.write(t.Entries)
		if truncates {
			h.w.checks.inForce(h)
		}
	}
	d.writes = append(d.writes, t)
	d.write()
}

// write lets the disk take all that waits in one batch.
func (d *disk) write() {
	if d.writing || len(d.writes) == 0 {
		return
	}
	d.writing = true
	d.batch, d.writes = d.writes, nil
	d.h.later(d.delay(), "fsync", d.written)
}

// written ends the write of a batch.
func (d *disk) written() {
	h := d.h
	switch {
	case d.trap == 2:
		h.crash("crashed as a write was about to end")
		return
	case d.full > 0:
		d.batch, d.writes = nil, nil
		h.diskError("its disk is full")
		return
	case d.failing:
		d.failing = false
		h.diskError("a write of its disk failed")
		return
	}
	last := d.batch[len(d.batch)-1].Seq
	d.reach(d.batch)
	d.batch, d.writing = nil, false
	if d.trap == 1 {
		h.crash("crashed as a write had just ended")
		return
	}
	// The completion is an event of its own, so that a crash can fall between the two.
	h.completed("persisted", func() { h.input(func() { h.node.OnPersisted(last) }) })
	d.write()
}

// Apply queues a change of the state machine.
func (h *Host) Apply(t node.ApplyTask) {
	if len(t.Entries) > 0 {
		h.w.checks.committed(h, t.Entries)
	}
	h.disk.applies = append(h.disk.applies, t)
	h.disk.apply()
}

func (d *disk) apply() {
	if d.busy || len(d.applies) == 0 {
		return
	}
	d.busy = true
	t := d.applies[0]
	d.applies = d.applies[1:]
	h := d.h
	h.later(h.rng.Duration(10*time.Microsecond, 300*time.Microsecond), "apply", func() {
		done := node.ApplyTo(d.machine, t)
		if done.Err != nil && t.Chunk == nil {
			h.w.fail("storage", "%s: %v", h.name, done.Err)
			return
		}
		h.w.checks.applied(h, done)
		d.busy = false
		h.completed("applied", func() {
			h.input(func() { h.node.OnApplied(done) })
		})
		d.apply()
	})
}

// Read answers a query a little later, from the state as it is then.
func (h *Host) Read(t node.ReadTask) {
	took := h.rng.Duration(0, 200*time.Microsecond)
	if h.rng.Chance(1, 16) {
		took += h.rng.Duration(0, 50*ms) // what changes meanwhile must not be missed
	}
	h.later(took, "read", func() {
		node.ReadFrom(h.disk.machine, &t)
		switch {
		case t.Internal != 0:
			h.input(func() { h.node.OnRead(t) })
		case t.To.Token != 0:
			h.Reply(t.To.Token, t.Response)
		default:
			h.Send(node.ResponseEnvelope(t.To, t.Response))
		}
	})
}

// Fetch reads what a follower lacks.
func (h *Host) Fetch(t node.FetchTask) {
	h.later(h.rng.Duration(50*time.Microsecond, 2*time.Millisecond), "fetch", func() {
		done := node.FetchFrom(h.disk.log, h.disk.machine, t)
		h.input(func() { h.node.OnFetched(done) })
	})
}

// Save keeps a file. A crash within the time it takes leaves the old one.
func (h *Host) Save(name string, data []byte) {
	h.later(h.disk.delay(), "save", func() { h.disk.files[name] = data })
}

// SaveKeyring keeps a keyring like a file; a crash may fall between that and the node being told.
func (h *Host) SaveKeyring(t node.KeyringTask) {
	h.later(h.disk.delay(), "keyring", func() {
		h.disk.files[t.Name] = t.Data
		h.completed("keyring kept", func() { h.input(func() { h.node.OnKeyringSaved(t, nil) }) })
	})
}

var _ node.Env = (*Host)(nil)
