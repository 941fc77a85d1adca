package tcp

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/transport"
)

func TestAckTimeout(t *testing.T) {
	t.Parallel()
	a, _, _ := open(t, Config{AckTimeout: 1234 * time.Millisecond})
	b, got, addr := open(t, Config{AckTimeout: 1234 * time.Millisecond})
	a.Send(transport.Envelope{To: addr, Class: transport.Raft, Payload: []byte("x")})
	got.next(t)
	for _, tr := range []*Transport{a, b} {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		require.Len(t, tr.conns, 1)
		for c := range tr.conns {
			raw, err := c.(*net.TCPConn).SyscallConn()
			require.NoError(t, err)
			require.NoError(t, raw.Control(func(fd uintptr) {
				ms, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout)
				require.NoError(t, err)
				require.Equal(t, 1234, ms)
			}))
		}
	}
}
