package main

import (
	"io"
	"sync"
)

// gatedWriter holds back what is written to it until it is opened, so that a log does not run into a banner. What is
// held back is bounded by what an agent logs while it starts.
type gatedWriter struct {
	out io.Writer

	mu     sync.Mutex
	held   []byte
	opened bool
}

// Write implements io.Writer.
func (w *gatedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.opened {
		return w.out.Write(p)
	}
	w.held = append(w.held, p...)
	return len(p), nil
}

// open writes what was held back, and from then on everything at once.
func (w *gatedWriter) open() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out.Write(w.held)
	w.held, w.opened = nil, true
}
