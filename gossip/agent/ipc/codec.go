package ipc

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

const (
	// maxRequest bounds a value that a client sends.
	maxRequest = 1 << 20
	// maxAnswer bounds a value that an agent sends: the members of a large pool are one.
	maxAnswer = 64 << 20
	// writeTimeout is how long the other side may take to make room for what it is sent.
	writeTimeout = 10 * time.Second
)

// Listen opens the socket of an agent: host:port, or unix:///path. A socket file on which nobody listens any more is
// replaced.
func Listen(addr string) (net.Listener, error) {
	network, addr := split(addr)
	l, err := net.Listen(network, addr)
	if err != nil && network == "unix" && removeStale(addr) {
		l, err = net.Listen(network, addr)
	}
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		err = os.Chmod(addr, 0o600) // whoever may write to it commands the agent
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// split tells a unix socket from a TCP address.
func split(addr string) (network, address string) {
	if path, ok := strings.CutPrefix(addr, "unix://"); ok {
		return "unix", path
	}
	return "tcp", addr
}

// conn reads and writes the values of a connection. Writes may come from several goroutines.
type conn struct {
	net.Conn
	r     *bufio.Reader
	limit int // of a value that is read

	mu sync.Mutex
	w  *bufio.Writer
}

func newConn(c net.Conn, limit int) *conn {
	return &conn{Conn: c, r: bufio.NewReader(c), limit: limit, w: bufio.NewWriter(c)}
}

// read reads a value into what v points to. It returns io.EOF if the connection was closed between two values.
func (c *conn) read(v any) error {
	data, err := readValue(c.r, c.limit)
	if err != nil {
		return err
	}
	return decode(data, v)
}

func decode(data []byte, v any) error {
	if err := msgpack.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// write sends the values together; a nil one is none.
func (c *conn) write(values ...any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	for _, v := range values {
		if v == nil {
			continue
		}
		if err := encode(c.w, v); err != nil {
			return err
		}
	}
	return c.w.Flush()
}

func encode(w io.Writer, v any) error {
	enc := msgpack.NewEncoder(w)
	enc.UseCompactInts(true)
	enc.SetSortMapKeys(true)
	return enc.Encode(v)
}
