package logs

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newLog(out *bytes.Buffer, level Level) *Log {
	l := New(out, "    ", level)
	l.now = func() time.Time { return time.Date(2026, 11, 26, 18, 29, 40, 0, time.UTC) }
	return l
}

func TestLevels(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := newLog(&out, Info)
	l.Printf(Debug, "agent: not %s", "shown")
	l.Printf(Err, "agent: shown\n")
	l.SetLevel(Trace)
	l.Structured().Debug("swim: refuted", "by", "web-1\nor \x1b")
	require.Equal(t, "    2026/11/26 18:29:40 [ERR] agent: shown\n    2026/11/26 18:29:40 [DEBUG] swim: refuted by=web-1\ufffdor \ufffd\n", out.String())
	for text, want := range map[string]Level{"trace": Trace, "DEBUG": Debug, "Info": Info, "warn": Warn, "err": Err} {
		got, err := ParseLevel(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := ParseLevel("foo")
	require.EqualError(t, err, "Unknown log level: FOO")
}

func (m *Monitor) drain() (lines []string) {
	for {
		select {
		case line := <-m.Lines:
			lines = append(lines, line[strings.Index(line, "]")+2:])
		default:
			return lines
		}
	}
}

func TestMonitor(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := newLog(&out, Warn)
	for i := range keep + 10 {
		l.Printf(Info, "line %d", i)
	}
	l.Printf(Debug, "detail")
	m := l.Monitor(Info)
	past := m.drain()
	require.Len(t, past, keep-1)
	require.Equal(t, "line 11", past[0])
	require.Equal(t, fmt.Sprintf("line %d", keep+9), past[len(past)-1])
	l.Printf(Debug, "detail")
	l.Printf(Err, "new")
	require.Equal(t, []string{"new"}, m.drain())
	for i := range 3 * keep {
		l.Printf(Info, "flood %d", i)
	}
	require.Len(t, m.drain(), 2*keep)
	l.Printf(Info, "after")
	require.Equal(t, []string{fmt.Sprintf("agent.ipc: Dropping logs: %d lines are missing here", keep), "after"}, m.drain())
	m.Stop()
	m.Stop()
	l.Printf(Info, "nobody listens")
	_, open := <-m.Lines
	require.False(t, open)
	require.Equal(t, 1, strings.Count(out.String(), "\n"), "what monitors see need not be written")
}

func TestLongLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	newLog(&out, Info).Printf(Info, "%s", strings.Repeat("x", 10*maxLine))
	require.Less(t, out.Len(), maxLine+100)
}
