package tcp

import (
	"time"

	"github.com/hashicorp/go-hclog"

	"concord/transport"
)

// Config is how a Transport listens and what it bounds. Zero means the default.
type Config struct {
	// Listen is the address to listen at; empty: only connections that this side opens.
	Listen string
	// Advertise is the address that peers answer to; an opaque label where there is no listener.
	Advertise transport.Addr
	// MaxFrame bounds a payload in bytes.
	MaxFrame int
	// QueueLen and QueueBytes bound what waits for one peer, what is being written included.
	QueueLen, QueueBytes int
	// MaxConns bounds the connections that others open, MaxConnsPerIP those from one address.
	MaxConns, MaxConnsPerIP int

	// DialTimeout bounds the opening of a connection.
	DialTimeout time.Duration
	// BackoffMax bounds the pause before the next attempt after some that failed.
	BackoffMax time.Duration
	// WriteTimeout is how long a peer may accept nothing before its connection is given up.
	WriteTimeout time.Duration
	// AckTimeout is how long what was sent may stay unacknowledged by the peer's machine before the connection is given up
	// (RFC 5482, where the system has it). Without it a connection over a healed partition would stay silent until
	// the next retransmission, whose timer has doubled all along.
	AckTimeout time.Duration
	// HelloTimeout bounds how long a stranger may take to introduce itself.
	HelloTimeout time.Duration
	// FrameTimeout is how long the bytes of a frame that has begun may fail to come.
	FrameTimeout time.Duration
	// IdleTimeout is after how long without a frame in either direction a connection is closed.
	IdleTimeout time.Duration
	// KeepAlive is how often an idle connection is probed by the system.
	KeepAlive time.Duration

	Log hclog.Logger
}

// WithDefaults returns a copy in which what was zero has its default.
func (c Config) WithDefaults() Config {
	def(&c.MaxFrame, transport.MaxStream)
	def(&c.QueueLen, 4096)
	def(&c.QueueBytes, 64<<20)
	def(&c.MaxConns, 8192)
	def(&c.MaxConnsPerIP, 256)
	def(&c.DialTimeout, 3*time.Second)
	def(&c.BackoffMax, 250*time.Millisecond)
	def(&c.WriteTimeout, 10*time.Second)
	def(&c.AckTimeout, 5*time.Second)
	def(&c.HelloTimeout, 5*time.Second)
	def(&c.FrameTimeout, 30*time.Second)
	def(&c.IdleTimeout, 5*time.Minute)
	def(&c.KeepAlive, 15*time.Second)
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	return c
}

func def[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}
