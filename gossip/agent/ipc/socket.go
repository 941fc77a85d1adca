package ipc

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// removeStale removes a socket file that was left behind by an agent that is gone.
func removeStale(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return false
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED) && os.Remove(path) == nil
}
