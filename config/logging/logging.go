// Package logging makes the agent's logger, in the format that operators of Consul know:
//
//	2006-01-02T15:04:05.000Z [INFO]  raft: entering leader state: term=2
package logging

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

// ParseLevel reads a level's name, in any case.
func ParseLevel(name string) (hclog.Level, error) {
	switch strings.ToLower(name) {
	case "trace":
		return hclog.Trace, nil
	case "debug":
		return hclog.Debug, nil
	case "info":
		return hclog.Info, nil
	case "warn":
		return hclog.Warn, nil
	case "err", "error":
		return hclog.Error, nil
	}
	return hclog.NoLevel, fmt.Errorf("invalid level %q: it must be one of trace, debug, info, warn, error", name)
}

// New returns a logger that writes lines, or JSON objects, to w. Its level can be changed later, for all loggers
// made from it.
func New(level hclog.Level, json bool, w io.Writer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Level: level, JSONFormat: json, Output: w, TimeFormat: "2006-01-02T15:04:05.000Z",
		TimeFn: func() time.Time { return time.Now().UTC() }})
}
