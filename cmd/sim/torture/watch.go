package torture

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"sync"
	"time"

	lin "concord/linearizability"
)

// watch collects what is seen of the cluster from outside: roles, terms and crashes. It is safe for concurrent use.
type watch struct {
	began time.Time

	mu      sync.Mutex
	open    map[string]lin.Span // what still lasts
	spans   []lin.Span
	leader  string // who entered the leader state last
	crashes []string
	crash   chan struct{} // closed with the first crash
	strange []string      // answers that the API may not give
}

func newWatch() *watch {
	return &watch{began: time.Now(), open: map[string]lin.Span{}, crash: make(chan struct{})}
}

// now is the time since the run began; histories and spans have no other.
func (w *watch) now() time.Duration { return time.Since(w.began) }

// role notes what a server has become, which ends what it was.
func (w *watch) role(server, kind, text string) {
	w.begin(server, lin.Span{Lane: server, Kind: kind, Text: text})
	w.mu.Lock()
	defer w.mu.Unlock()
	if kind == "leader" {
		w.leader = server
	} else if w.leader == server {
		w.leader = ""
	}
}

// begin begins a span, which lasts until end is called with the same key, or begin again.
func (w *watch) begin(key string, s lin.Span) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endLocked(key)
	s.Start = w.now()
	w.open[key] = s
}

// describe says more of what lasts under the key.
func (w *watch) describe(key, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s, ok := w.open[key]; ok {
		s.Text = text
		w.open[key] = s
	}
}

// end ends what lasts under the key.
func (w *watch) end(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endLocked(key)
}

func (w *watch) endLocked(key string) {
	if s, ok := w.open[key]; ok {
		s.End = w.now()
		w.spans = append(w.spans, s)
		delete(w.open, key)
	}
}

// leading is the name of the server that entered the leader state last, "" if there is none.
func (w *watch) leading() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leader
}

// crashed notes that a process did what it must never do.
func (w *watch) crashed(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.crashes) == 0 {
		close(w.crash)
	}
	w.crashes = append(w.crashes, fmt.Sprintf("%v: %s", w.now().Truncate(time.Millisecond), text))
}

// maxStrange bounds the list of strange answers.
const maxStrange = 20

// unexpected notes an answer that the API may not give.
func (w *watch) unexpected(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.strange) < maxStrange {
		w.strange = append(w.strange, text)
	}
}

// result ends everything and returns what was seen.
func (w *watch) result() (spans []lin.Span, crashes, strange []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range w.open {
		w.endLocked(key)
	}
	slices.SortFunc(w.spans, func(a, b lin.Span) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Lane, b.Lane)) })
	return w.spans, w.crashes, w.strange
}

// lines is the log of a server: a file, read as it is written for roles and panics.
type lines struct {
	server string
	file   *os.File
	watch  *watch
	rest   []byte // the begin of a line whose end has not come yet
}

var (
	roleLine  = regexp.MustCompile(`entering (follower|pre-candidate|candidate|leader) state: term=(\d+)`)
	panicLine = regexp.MustCompile(`^(panic: |fatal error: |unexpected fault address)`)
)

// Write is called by one goroutine at a time: processes of a server do not overlap.
func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			break
		}
		l.look(line)
		l.rest = rest
	}
	return l.file.Write(p)
}

func (l *lines) look(line []byte) {
	if m := roleLine.FindSubmatch(line); m != nil {
		l.watch.role(l.server, string(m[1]), fmt.Sprintf("%s in term %s", m[1], m[2]))
	}
	if panicLine.Match(line) {
		l.watch.crashed(fmt.Sprintf("%s: %s", l.server, line))
	}
}
