package dnsapi

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/miekg/dns"

	"concord/internal/prng"
)

// Server answers DNS queries over UDP and TCP.
type Server struct {
	cfg     atomic.Pointer[Config]
	backend Backend
	log     hclog.Logger
	servers []*dns.Server

	mu  sync.Mutex
	rng *prng.Rand
}

// New returns a server that does not listen yet.
func New(cfg Config, backend Backend, log hclog.Logger) *Server {
	cfg = cfg.WithDefaults()
	cfg.Domain, cfg.AltDomain = canonical(cfg.Domain), canonical(cfg.AltDomain)
	s := &Server{backend: backend, log: log, rng: prng.New(cfg.Seed)}
	s.cfg.Store(&cfg)
	return s
}

func canonical(domain string) string {
	if domain == "" {
		return ""
	}
	return strings.ToLower(dns.Fqdn(strings.TrimPrefix(domain, ".")))
}

// Listen opens UDP and TCP sockets at the address and begins to answer.
func (s *Server) Listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	p, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		return errors.Join(err, l.Close())
	}
	for _, d := range []*dns.Server{{Listener: l, Handler: s}, {PacketConn: p, Handler: s}} {
		d.ReadTimeout, d.WriteTimeout, d.UDPSize = 10*time.Second, 10*time.Second, dns.DefaultMsgSize
		d.IdleTimeout = func() time.Duration { return 20 * time.Second }
		d.MaxTCPQueries = 1024
		started := make(chan struct{})
		d.NotifyStartedFunc = func() { close(started) }
		s.servers = append(s.servers, d)
		go func() {
			if err := d.ActivateAndServe(); err != nil {
				s.log.Error("dns: stopped answering", "address", addr, "error", err)
			}
		}()
		<-started
	}
	return nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.servers[0].Listener.Addr() }

// Close stops answering and waits for the answers under way.
func (s *Server) Close(ctx context.Context) error {
	var errs []error
	for _, d := range s.servers {
		errs = append(errs, d.ShutdownContext(ctx))
	}
	return errors.Join(errs...)
}

// shuffle puts n elements into a random order.
func (s *Server) shuffle(n int, swap func(i, j int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rng.Shuffle(n, swap)
}

// ServeDNS answers one query.
func (s *Server) ServeDNS(w dns.ResponseWriter, req *dns.Msg) {
	cfg := s.cfg.Load()
	m := new(dns.Msg)
	m.SetReply(req)
	m.Compress = true
	m.RecursionAvailable = len(cfg.Recursors) > 0
	_, tcp := w.RemoteAddr().(*net.TCPAddr)
	q := &query{s: s, cfg: cfg, req: req, m: m, tcp: tcp}
	if len(req.Question) != 1 || req.Opcode != dns.OpcodeQuery {
		m.Rcode = dns.RcodeFormatError
	} else {
		q.answer()
	}
	q.edns()
	q.fit()
	if err := w.WriteMsg(m); err != nil {
		s.log.Debug("dns: failed to answer", "client", w.RemoteAddr().String(), "error", err)
	}
}
