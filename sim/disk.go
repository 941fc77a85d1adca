package sim

import (
	"time"

	"concord/node"
	"concord/node/machine"
	"concord/raft"
	"concord/store"
	"concord/store/memstore"
	"concord/store/raftlog"
)

// disk is a host's disk and what waits for it: the Raft log, the state, and small files. What a crash finds in
// the queue is lost, whatever was already issued.
type disk struct {
	h       *Host
	logDisk *memstore.Disk
	state   *stateDisk
	files   map[string][]byte
	defs    map[string]node.AgentTask

	log     *raftlog.Log
	machine *machine.Machine

	writes  []node.PersistTask // issued, not being written
	writing bool
	applies []node.ApplyTask
	busy    bool // applying
	stalled time.Duration
	told    time.Duration // when the last completion is told: they come in order

	issued mirror // the log as the node believes it to be
	synced mirror // the log as it is on the disk
}

func newDisk(h *Host) *disk {
	return &disk{h: h, logDisk: memstore.NewDisk(), state: &stateDisk{disk: memstore.NewDisk()}, files: map[string][]byte{}}
}

// stateDisk gives the machine its stores.
type stateDisk struct {
	disk  *memstore.Disk
	fresh *memstore.Disk
}

func (s *stateDisk) Open() (store.Store, error) { return memstore.Open(s.disk), nil }

func (s *stateDisk) Fresh() (store.Store, error) {
	s.fresh = memstore.NewDisk()
	return memstore.Open(s.fresh), nil
}

func (s *stateDisk) Adopt(fresh store.Store) error {
	if err := fresh.Flush(); err != nil {
		return err
	}
	s.disk = s.fresh
	return nil
}

// open recovers what is durable.
func (d *disk) open() (node.Disk, error) {
	var err error
	if d.log, err = raftlog.Open(memstore.Open(d.logDisk)); err != nil {
		return node.Disk{}, err
	}
	if d.machine, err = machine.Open(d.state); err != nil {
		return node.Disk{}, err
	}
	found, err := node.Recover(d.log, d.machine)
	d.issued = mirrorOf(found)
	d.synced = d.issued.clone()
	return found, err
}

// crash loses what was not durable.
func (d *disk) crash() {
	d.writes, d.applies, d.writing, d.busy = nil, nil, false, false
	d.log, d.machine = nil, nil
}

// delay is how long a synced write takes.
func (d *disk) delay() time.Duration {
	w := d.h.w
	t := w.faults.FsyncTime
	return max(0, d.stalled-w.now) + d.h.rng.Duration(t/2, t*3/2)
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
	if h.has("ack-before-fsync") {
		h.completed("persisted", func() { h.input(func() { h.node.OnPersisted(t.Seq) }) })
	}
	if len(t.Entries) > 0 {
		h.w.checks.written(h, t.Entries)
		d.issued.write(t.Entries)
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
	batch := d.writes
	d.writes = nil
	h := d.h
	h.later(d.delay(), "fsync", func() {
		if err := node.WriteLog(d.log, batch); err != nil {
			h.w.fail("storage", "%s: %v", h.name, err)
			return
		}
		for _, t := range batch {
			d.synced.take(t)
			d.issued.trim(t)
		}
		d.writing = false
		if h.has("ack-before-fsync") {
			d.write()
			return
		}
		// The completion is an event of its own, so that a crash can fall between the two.
		h.completed("persisted", func() {
			h.input(func() { h.node.OnPersisted(batch[len(batch)-1].Seq) })
		})
		d.write()
	})
}

// Apply queues a change of the state machine.
func (h *Host) Apply(t node.ApplyTask) {
	for i := range t.Entries {
		h.w.checks.committed(h, &t.Entries[i])
	}
	h.disk.applies = append(h.disk.applies, h.mutateApply(t))
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
	h.later(h.rng.Duration(0, 200*time.Microsecond), "read", func() {
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

func (d *disk) definitions(t node.AgentTask) {}

// mirror is what a log contains: its terms by index.
type mirror struct {
	first uint64 // index of terms[0]
	terms []uint64
	prev  uint64 // term before first
}

func mirrorOf(found node.Disk) mirror {
	m := mirror{first: found.Raft.Applied + 1, prev: found.Raft.AppliedTerm}
	for _, e := range found.Raft.Entries {
		m.terms = append(m.terms, e.Term)
	}
	return m
}

func (m *mirror) clone() mirror {
	return mirror{first: m.first, prev: m.prev, terms: append([]uint64(nil), m.terms...)}
}

func (m *mirror) term(index uint64) (uint64, bool) {
	switch {
	case index+1 == m.first:
		return m.prev, true
	case index < m.first || index >= m.first+uint64(len(m.terms)):
		return 0, false
	}
	return m.terms[index-m.first], true
}

func (m *mirror) last() uint64 { return m.first + uint64(len(m.terms)) - 1 }

func (m *mirror) write(entries []raft.Entry) {
	if from := entries[0].Index; from < m.first {
		m.first, m.terms = from, nil
	} else {
		m.terms = m.terms[:min(from-m.first, uint64(len(m.terms)))]
	}
	for _, e := range entries {
		m.terms = append(m.terms, e.Term)
	}
}

func (m *mirror) take(t node.PersistTask) {
	if len(t.Entries) > 0 {
		m.write(t.Entries)
	}
	m.trim(t)
}

// trim follows a log that was replaced by a snapshot.
func (m *mirror) trim(t node.PersistTask) {
	if t.Reset != nil {
		*m = mirror{first: t.Reset.Index + 1, prev: t.Reset.Term}
	}
}

var _ node.Env = (*Host)(nil)
