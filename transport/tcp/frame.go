package tcp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"concord/transport"
)

// The hello: magic, version, class, length of the address, address.
const (
	magic    = "CNCD"
	version  = 1
	maxLabel = 255
)

// goodbye stands where a frame's length does: the sender closes the connection because nobody used it, and
// the end that follows says nothing about its health.
const goodbye = math.MaxUint32

var (
	errHello   = errors.New("not a hello of this protocol")
	errFrame   = errors.New("malformed frame")
	errIdle    = errors.New("idle")
	errGoodbye = errors.New("closed by the peer, which found it idle")
)

func writeHello(w io.Writer, k key) error {
	if len(k.addr) > maxLabel {
		return fmt.Errorf("%w: address of %d bytes", errHello, len(k.addr))
	}
	_, err := w.Write(append([]byte(magic+string([]byte{version, byte(k.class), byte(len(k.addr))})), k.addr...))
	return err
}

func readHello(r io.Reader) (key, error) {
	var head [len(magic) + 3]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return key{}, fmt.Errorf("%w: %w", errHello, err)
	}
	if string(head[:len(magic)]) != magic {
		return key{}, errHello
	}
	if head[4] != version {
		return key{}, fmt.Errorf("%w: version %d, this release speaks %d", errHello, head[4], version)
	}
	k := key{class: transport.Class(head[5])}
	if k.class == 0 || k.class >= transport.Classes || k.class.Datagram() {
		return key{}, fmt.Errorf("%w: class %d", errHello, head[5])
	}
	label := make([]byte, head[6])
	if _, err := io.ReadFull(r, label); err != nil || len(label) == 0 {
		return key{}, fmt.Errorf("%w: no address", errHello)
	}
	k.addr = transport.Addr(label)
	return k, nil
}

// batch is how much is written with one system call.
const batch = 64 << 10

var batches = sync.Pool{New: func() any { b := make([]byte, 0, batch); return &b }}

// writeFrames writes frames, small ones together. The peer must accept something within the timeout each time.
func writeFrames(c net.Conn, frames [][]byte, timeout time.Duration) error {
	pooled := batches.Get().(*[]byte)
	defer batches.Put(pooled)
	buf := (*pooled)[:0]
	for _, f := range frames {
		if len(buf)+4+len(f) > batch {
			if err := writeAll(c, buf, timeout); err != nil {
				return err
			}
			buf = buf[:0]
		}
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(f)))
		if len(buf)+len(f) <= batch {
			buf = append(buf, f...)
			continue
		}
		if err := errors.Join(writeAll(c, buf, timeout), writeAll(c, f, timeout)); err != nil {
			return err
		}
		buf = buf[:0]
	}
	return writeAll(c, buf, timeout)
}

// stride is how much of a large frame a slow peer must accept within the timeout.
const stride = 256 << 10

func writeAll(c net.Conn, p []byte, timeout time.Duration) error {
	for len(p) > 0 {
		c.SetWriteDeadline(time.Now().Add(timeout))
		n, err := c.Write(p[:min(len(p), stride)])
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// patient is a connection of which each read has a deadline: a long one between frames, a short one inside of a frame.
type patient struct {
	net.Conn
	inFrame     bool
	idle, frame time.Duration
}

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	timeout := p.idle
	if p.inFrame {
		timeout = p.frame
	}
	p.SetReadDeadline(time.Now().Add(timeout))
	return p.Conn.Read(b)
}

// bufferSize of the connections of a class. Raft has few, RPC as many as there are agents.
func bufferSize(c transport.Class) int {
	if c == transport.Raft {
		return 64 << 10
	}
	return 8 << 10
}

// readFrames hands payloads to deliver until the connection ends. It asks idle whether to end one that has been silent
// for as long as c is patient; it then ends with errIdle.
func readFrames(c *patient, buffer, limit int, idle func() bool, deliver func([]byte)) error {
	r := bufio.NewReaderSize(c, buffer)
	var head [4]byte
	for {
		if r.Buffered() == 0 {
			if err := waitFrame(c, r, idle); err != nil {
				return err
			}
		}
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		n := binary.BigEndian.Uint32(head[:])
		if n == goodbye {
			return errGoodbye
		}
		if uint64(n) > uint64(limit) {
			return fmt.Errorf("%w: %d bytes, at most %d", errFrame, n, limit)
		}
		payload, err := readPayload(r, int(n))
		if err != nil {
			return err
		}
		deliver(payload)
	}
}

// waitFrame waits for the first byte of a frame.
func waitFrame(c *patient, r *bufio.Reader, idle func() bool) error {
	c.inFrame = false
	defer func() { c.inFrame = true }()
	for {
		_, err := r.Peek(1)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if idle() {
			return errIdle
		}
	}
}

// growth is how much is allocated for a payload before any of it has arrived.
const growth = 64 << 10

// readPayload reads n bytes and allocates only as they arrive.
func readPayload(r io.Reader, n int) ([]byte, error) {
	p := make([]byte, 0, min(n, growth))
	for {
		more := min(n, cap(p)) - len(p)
		got, err := io.ReadFull(r, p[len(p):len(p)+more])
		if p = p[:len(p)+got]; err != nil {
			return nil, err
		}
		if len(p) == n {
			return p, nil
		}
		p = slices.Grow(p, min(n-len(p), 3*len(p)))
	}
}
