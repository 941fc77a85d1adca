// Package logs is the log of a gossip agent in Serf's format, which those who read it over the RPC connection know: lines
// go to a writer from a level on, and the last ones of every level are kept for monitors that come later.
package logs

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Level is how much a line matters.
type Level int32

// The levels, from the least to the most important.
const (
	Trace Level = iota
	Debug
	Info
	Warn
	Err
)

var names = []string{"TRACE", "DEBUG", "INFO", "WARN", "ERR"}

// ParseLevel reads the name of a level, in lower or upper case.
func ParseLevel(s string) (Level, error) {
	if i := slices.Index(names, strings.ToUpper(s)); i >= 0 {
		return Level(i), nil
	}
	return 0, fmt.Errorf("Unknown log level: %s", strings.ToUpper(s))
}

const (
	// keep is how many lines are kept for monitors that come later.
	keep = 512
	// maxLine bounds a line in bytes.
	maxLine = 16 << 10
)

// Log is a log. The zero value is not ready; use New.
type Log struct {
	level atomic.Int32
	now   func() time.Time

	mu       sync.Mutex
	out      io.Writer
	prefix   string
	ring     []line // the last ones, the oldest at next once it is full
	next     int
	monitors map[*Monitor]struct{}
}

type line struct {
	level Level
	text  string
}

// New returns a log that writes lines of at least the level to out, each after the prefix.
func New(out io.Writer, prefix string, level Level) *Log {
	l := &Log{out: out, prefix: prefix, now: time.Now, monitors: map[*Monitor]struct{}{}}
	l.SetLevel(level)
	return l
}

// SetLevel changes from which level on lines are written.
func (l *Log) SetLevel(level Level) { l.level.Store(int32(level)) }

// Printf adds a line. It begins with the component: "agent: ...".
func (l *Log) Printf(level Level, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(text) > maxLine {
		text = text[:maxLine] + "..."
	}
	text = l.now().Format("2006/01/02 15:04:05") + " [" + names[level] + "] " + strings.TrimRight(text, "\n")
	l.mu.Lock()
	defer l.mu.Unlock()
	if level >= Level(l.level.Load()) {
		fmt.Fprintln(l.out, l.prefix+text)
	}
	if len(l.ring) < keep {
		l.ring = append(l.ring, line{level, text})
	} else {
		l.ring[l.next] = line{level, text}
		l.next = (l.next + 1) % keep
	}
	for m := range l.monitors {
		m.offer(line{level, text})
	}
}

// Monitor gets the lines of a log from some level on.
type Monitor struct {
	// Lines has the lines: first those of the past, then those to come. It is closed by Stop.
	Lines <-chan string

	log     *Log
	level   Level
	lines   chan string
	dropped int // that did not fit and were not told of yet
}

// Monitor begins to read the log. A reader that is slower than the log misses lines, and is told how many.
func (l *Log) Monitor(level Level) *Monitor {
	lines := make(chan string, 2*keep)
	m := &Monitor{Lines: lines, log: l, level: level, lines: lines}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.ring {
		m.offer(l.ring[(l.next+i)%len(l.ring)])
	}
	l.monitors[m] = struct{}{}
	return m
}

// Stop ends the reading.
func (m *Monitor) Stop() {
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	if _, ok := m.log.monitors[m]; ok {
		delete(m.log.monitors, m)
		close(m.lines)
	}
}

// offer hands on a line if there is room, with the log's lock held.
func (m *Monitor) offer(li line) {
	if li.level < m.level {
		return
	}
	if m.dropped > 0 {
		select {
		case m.lines <- fmt.Sprintf("[WARN] agent.ipc: Dropping logs: %d lines are missing here", m.dropped):
			m.dropped = 0
		default:
		}
	}
	select {
	case m.lines <- li.text:
	default:
		m.dropped++
	}
}
