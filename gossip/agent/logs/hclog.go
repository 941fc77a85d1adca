package logs

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/hashicorp/go-hclog"
)

// Structured returns a logger for parts that want one of go-hclog's, whose lines go into the log.
func (l *Log) Structured() hclog.Logger {
	h := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Off})
	h.RegisterSink(sink{l})
	return h
}

type sink struct{ log *Log }

var levels = map[hclog.Level]Level{hclog.Trace: Trace, hclog.Debug: Debug, hclog.Info: Info, hclog.Warn: Warn, hclog.Error: Err}

// Accept implements hclog.SinkAdapter. What strangers said in it cannot begin a line of its own.
func (s sink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	var b strings.Builder
	b.WriteString(msg)
	for i := 0; i+1 < len(args); i += 2 {
		fmt.Fprintf(&b, " %v=%v", args[i], args[i+1])
	}
	s.log.Printf(levels[level], "%s", strings.Map(printable, b.String()))
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}
