package machine

import (
	"bytes"
	"fmt"

	"concord/catalog"
)

// maxSaves bounds the snapshots held for archives. The one that was read from longest ago makes room.
const maxSaves = 4

// readPage reads a page of a snapshot of the catalog, which stays the same while other pages are read.
func (m *Machine) readPage(q *catalog.SnapshotQuery) (catalog.Answer, uint64, error) {
	m.sending.mu.Lock()
	defer m.sending.mu.Unlock()
	to := target{save: q.ID}
	if len(q.Cursor) == 0 {
		if err := m.beginSending(to); err != nil {
			return catalog.Answer{}, 0, err
		}
		m.sending.boundSaves(to)
	}
	s := m.sending.use(to)
	if s == nil {
		return catalog.Answer{}, 0, fmt.Errorf("read snapshot %s: %w", q.ID, ErrSnapshotGone)
	}
	lo, hi := bounds(false) // the view knows the half
	if bytes.Compare(q.Cursor, lo) > 0 {
		lo = q.Cursor
	}
	chunk, next, err := records(s.line.view(s.snap), lo, hi, m.chunkBytes)
	if err != nil {
		return catalog.Answer{}, 0, fmt.Errorf("read snapshot: %w", err)
	}
	if next == nil {
		s.snap.Close()
		delete(m.sending.open, to)
	}
	index := s.line.index(s.meta.Index)
	page := &catalog.SnapshotPage{Index: index, Term: s.meta.Term, Records: chunk, Next: next}
	return catalog.Answer{Value: page, Index: index}, index, nil
}

// boundSaves closes the save that was read from longest ago if there are too many besides the new one.
func (s *senders) boundSaves(newest target) {
	var oldest target
	saves := 0
	for t, o := range s.open {
		if t.save == "" || t == newest {
			continue
		}
		if saves++; oldest.save == "" || o.order < s.open[oldest].order {
			oldest = t
		}
	}
	if saves >= maxSaves {
		s.open[oldest].snap.Close()
		delete(s.open, oldest)
	}
}
