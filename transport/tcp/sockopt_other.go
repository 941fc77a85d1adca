//go:build !linux

package tcp

import (
	"syscall"
	"time"
)

// setAckTimeout does nothing: the system's own timeout counts.
func setAckTimeout(syscall.RawConn, time.Duration) {}
