package progress

// window is a ring of the last indexes of the messages on the way, oldest first.
type window struct {
	limit int
	ring  []uint64 // allocated on first use; a nonvoter far behind needs none
	start int
	count int
}

func (w *window) len() int   { return w.count }
func (w *window) full() bool { return w.count >= w.limit }

func (w *window) add(last uint64) {
	if w.ring == nil {
		w.ring = make([]uint64, w.limit)
	}
	w.ring[(w.start+w.count)%w.limit] = last
	w.count++
}

// ackTo forgets the messages that end at or below index: answers are cumulative.
func (w *window) ackTo(index uint64) {
	for w.count > 0 && w.ring[w.start] <= index {
		w.start = (w.start + 1) % w.limit
		w.count--
	}
}

func (w *window) reset() { w.start, w.count = 0, 0 }
