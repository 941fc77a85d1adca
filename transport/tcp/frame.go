package tcp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"concord/transport"
)

// The hello: magic, version, class, length of the address, address.
const (
	magic    = "CNCD"
	version  = 1
	maxLabel = 255
)

var (
	errHello = errors.New("not a hello of this protocol")
	errFrame = errors.New("malformed frame")
	errIdle  = errors.New("idle")
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
	if k.class < transport.GossipStream || k.class > transport.RPC {
		return key{}, fmt.Errorf("%w: class %d", errHello, head[5])
	}
	label := make([]byte, head[6])
	if _, err := io.ReadFull(r, label); err != nil || len(label) == 0 {
		return key{}, fmt.Errorf("%w: no address", errHello)
	}
	k.addr = transport.Addr(label)
	return k, nil
}

// writeFrames writes all frames with one system call.
func writeFrames(c net.Conn, frames [][]byte) error {
	heads := make([]byte, 4*len(frames))
	buffers := make(net.Buffers, 0, 2*len(frames))
	for i, f := range frames {
		head := heads[4*i : 4*i+4]
		binary.BigEndian.PutUint32(head, uint32(len(f)))
		buffers = append(buffers, head, f)
	}
	_, err := buffers.WriteTo(c)
	return err
}

// growth is how much is allocated for a payload before it has arrived.
const growth = 1 << 20

// readFrames hands payloads to deliver until the connection ends. One that is silent in both directions for as
// long as idle ends with errIdle.
func readFrames(c net.Conn, limit int, idle time.Duration, wrote func() time.Time, deliver func([]byte)) error {
	r := bufio.NewReaderSize(c, 64<<10)
	var head [4]byte
	for {
		if r.Buffered() < 4 {
			if err := waitFrame(c, r, idle, wrote); err != nil {
				return err
			}
		}
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint32(head[:]))
		if n > limit {
			return fmt.Errorf("%w: %d bytes, at most %d", errFrame, n, limit)
		}
		payload, err := readPayload(r, n)
		if err != nil {
			return err
		}
		deliver(payload)
	}
}

// waitFrame waits for the first byte of a frame, then gives the rest of it a deadline.
func waitFrame(c net.Conn, r *bufio.Reader, idle time.Duration, wrote func() time.Time) error {
	for {
		c.SetReadDeadline(time.Now().Add(idle))
		_, err := r.Peek(1)
		if err == nil {
			c.SetReadDeadline(time.Now().Add(30 * time.Second))
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if time.Since(wrote()) >= idle {
			return errIdle
		}
	}
}

// readPayload reads n bytes and allocates only as they arrive.
func readPayload(r io.Reader, n int) ([]byte, error) {
	p := make([]byte, min(n, growth))
	if _, err := io.ReadFull(r, p); err != nil {
		return nil, err
	}
	for len(p) < n {
		more := make([]byte, min(n-len(p), len(p)))
		if _, err := io.ReadFull(r, more); err != nil {
			return nil, err
		}
		p = append(p, more...)
	}
	return p, nil
}

// rarely logs at most one line in ten seconds: what it is about comes from strangers.
type rarely struct {
	mu   sync.Mutex
	last time.Time
}

func (r *rarely) log(l hclog.Logger, msg string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.last) < 10*time.Second {
		return
	}
	r.last = time.Now()
	l.Warn("transport: "+msg, args...)
}
