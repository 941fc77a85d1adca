package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"concord/node"
	"concord/swim"
)

// Join lets the node join the members at the addresses and tells how many it reached. It fails only if it
// reached none, with node.ErrNoWAN where there is no WAN pool.
func (p *Process) Join(ctx context.Context, addrs []string, wan bool) (int, error) {
	pool, port := "LAN", p.cfg.SerfPort
	join := func(n *node.Node, seeds []netip.AddrPort, done func(swim.JoinResult)) error {
		n.Join(seeds, done)
		return nil
	}
	if wan {
		pool, port, join = "WAN", p.cfg.SerfWANPort, (*node.Node).JoinWAN
	}
	p.log.Info("agent: ("+pool+") joining", strings.ToLower(pool)+"_addresses", addrs)
	seeds, err := p.resolve(ctx, addrs, port)
	if len(seeds) == 0 {
		return 0, errors.Join(err, errors.New("no address to join"))
	}
	results := make(chan swim.JoinResult, len(seeds))
	var refused error
	if err := p.runner.Call(ctx, func(n *node.Node) {
		refused = join(n, seeds, func(r swim.JoinResult) { results <- r })
	}); err != nil || refused != nil {
		return 0, errors.Join(err, refused)
	}
	joined, errs := 0, []error{err}
	for range seeds {
		select {
		case r := <-results:
			if r.Err == nil {
				joined++
			} else {
				errs = append(errs, fmt.Errorf("failed to join %s: %w", r.Addr, r.Err))
			}
		case <-ctx.Done():
			return joined, fmt.Errorf("join: %w", ctx.Err())
		}
	}
	if joined == 0 {
		return 0, errors.Join(errs...)
	}
	p.log.Info("agent: ("+pool+") joined", "number_of_nodes", joined)
	return joined, nil
}

// resolve turns hosts, with a port where it is not the usual one, into addresses.
func (p *Process) resolve(ctx context.Context, addrs []string, usual int) ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	var errs []error
	for _, a := range addrs {
		host, port, err := splitHost(a, usual)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			errs = append(errs, fmt.Errorf("resolve %s: %w", host, err))
			continue
		}
		for _, ip := range ips {
			out = append(out, netip.AddrPortFrom(ip.Unmap(), port))
		}
	}
	return out, errors.Join(errs...)
}

// splitHost takes "host", "host:port", "[v6]:port" or "v6" apart. Without a port it is the one that
// this agent itself uses in the pool, as Consul does.
func splitHost(a string, port int) (string, uint16, error) {
	if ip, err := netip.ParseAddr(strings.Trim(a, "[]")); err == nil {
		return ip.String(), uint16(port), nil
	}
	host, text, err := net.SplitHostPort(a)
	if err != nil {
		return a, uint16(port), nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q: %q is no port", a, text)
	}
	return host, uint16(n), nil
}

// joinAtStart joins what the configuration names, and with -rejoin, or after a crash, those known before.
func (p *Process) joinAtStart() {
	p.joinPoolAtStart(p.cfg.LAN, node.SavedPeers, false)
	if p.hasWAN() {
		p.joinPoolAtStart(p.cfg.WAN, node.SavedRemotePeers, true)
	}
}

func (p *Process) joinPoolAtStart(j Joining, saved string, wan bool) {
	if known := p.knownPeers(saved); len(known) > 0 {
		go p.Join(p.ctx, known, wan)
	}
	if len(j.Start) > 0 {
		go func() {
			if _, err := p.Join(p.ctx, j.Start, wan); err != nil {
				p.log.Error("agent: failed to join", "error", err)
				p.fail()
			}
		}()
	}
	if len(j.Retry) > 0 {
		go p.retryJoin(j, wan)
	}
}

// knownPeers are the members that were alive when the agent ran last.
func (p *Process) knownPeers(saved string) []string {
	if p.files == nil {
		return nil
	}
	text, err := p.files.Read(saved)
	if err != nil {
		p.log.Warn("agent: failed to read the members known before", "error", err)
	}
	return strings.Fields(string(text))
}

// retryJoin joins until it succeeds.
func (p *Process) retryJoin(j Joining, wan bool) {
	for try := 1; ; try++ {
		ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
		_, err := p.Join(ctx, j.Retry, wan)
		cancel()
		if err == nil || p.ctx.Err() != nil {
			return
		}
		if j.RetryMax > 0 && try >= j.RetryMax {
			p.log.Error("agent: max join retry exhausted, exiting", "tries", try, "error", err)
			p.fail()
			return
		}
		p.log.Warn("agent: Join cluster failed, will retry", "wan", wan, "retry_interval", j.RetryInterval.String(), "error", err)
		select {
		case <-p.ctx.Done():
			return
		case <-time.After(j.RetryInterval):
		}
	}
}
