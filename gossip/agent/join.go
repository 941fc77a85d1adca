package agent

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"concord/gossip"
	"concord/gossip/agent/logs"
)

const (
	// maxRejoin is how many of the members known before are asked at once, after a restart.
	maxRejoin = 16
	// joinTimeout bounds a join beside what the pool itself waits: names have to be resolved.
	joinTimeout = time.Minute
)

// joinError is what came of the addresses of which none could be joined, in the words and the shape of Serf.
type joinError struct{ errs []error }

// Error lists the errors.
func (e *joinError) Error() string {
	var b strings.Builder
	noun := "errors"
	if len(e.errs) == 1 {
		noun = "error"
	}
	fmt.Fprintf(&b, "%d %s occurred:\n", len(e.errs), noun)
	for _, err := range e.errs {
		fmt.Fprintf(&b, "\t* %s\n", err)
	}
	return b.String() + "\n"
}

// Unwrap returns the errors.
func (e *joinError) Unwrap() []error { return e.errs }

// Join implements ipc.Backend.
func (a *Agent) Join(ctx context.Context, addrs []string, replay bool) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	a.log.Printf(logs.Info, "agent: joining: %v replay: %v", addrs, replay)
	resolved, errs := a.resolve(ctx, addrs)
	n, failed := a.joinAll(ctx, resolved, replay)
	if errs = append(errs, failed...); n == 0 && len(errs) > 0 {
		err := &joinError{errs}
		a.log.Printf(logs.Warn, "agent: error joining: %v", err)
		return 0, err
	}
	a.log.Printf(logs.Info, "agent: joined: %d nodes", n)
	return n, nil
}

// joinAll joins addresses and returns how many answered.
func (a *Agent) joinAll(ctx context.Context, addrs []netip.AddrPort, replay bool) (joined int, errs []error) {
	results := make([]chan error, len(addrs))
	err := a.call(ctx, func(now time.Duration, p *gossip.Pool) {
		for i, addr := range addrs {
			results[i] = make(chan error, 1)
			a.replies.joins[addr] = append(a.replies.joins[addr], results[i])
		}
		if replay {
			p.JoinReplay(now, addrs)
		} else {
			p.Join(now, addrs)
		}
	})
	if err != nil {
		return 0, []error{err}
	}
	for i, addr := range addrs {
		select {
		case err = <-results[i]:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("Failed to join %v: %w", addr, err))
		} else {
			joined++
		}
	}
	return joined, errs
}

// resolve turns names into addresses, of which all are joined. Without a port it is the agent's own, as in Serf.
func (a *Agent) resolve(ctx context.Context, names []string) (addrs []netip.AddrPort, errs []error) {
	for _, name := range names {
		host, port, err := splitHost(name, a.bind.Port())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			errs = append(errs, fmt.Errorf("Failed to resolve %s: %w", name, err))
		}
		for _, ip := range ips {
			addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), port))
		}
	}
	return addrs, errs
}

func splitHost(name string, port uint16) (string, uint16, error) {
	host, text, err := net.SplitHostPort(name)
	if err != nil {
		return strings.Trim(name, "[]"), port, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("Failed to resolve %s: %q is no port", name, text)
	}
	return host, uint16(n), nil
}

// StartJoin joins what the configuration names, and returns how many answered. The agent is of no use if none did.
func (a *Agent) StartJoin() (int, error) {
	return a.Join(a.ctx, a.cfg.StartJoin, a.cfg.ReplayOnJoin)
}

// retryJoin joins the members that the configuration names until one answers; after too many tries the agent ends.
func (a *Agent) retryJoin() {
	for try := 1; len(a.cfg.RetryJoin) > 0; try++ {
		n, err := a.Join(a.ctx, a.cfg.RetryJoin, a.cfg.ReplayOnJoin)
		if err == nil {
			a.log.Printf(logs.Info, "agent: Join completed. Synced with %d initial agents", n)
			return
		}
		if a.cfg.RetryMax > 0 && try > a.cfg.RetryMax {
			a.log.Printf(logs.Err, "agent: maximum retry join attempts made, exiting")
			a.end(1)
			return
		}
		a.log.Printf(logs.Warn, "agent: Join failed: %v, retrying in %v", err, a.cfg.RetryInterval)
		if !a.pause(time.Duration(a.cfg.RetryInterval)) {
			return
		}
	}
}

// rejoin joins members that were alive when the agent ran last, until one answers.
func (a *Agent) rejoin(known map[string]netip.AddrPort) {
	names := slices.Sorted(maps.Keys(known))
	for len(names) > 0 {
		rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		var addrs []netip.AddrPort
		for _, name := range names[:min(len(names), maxRejoin)] {
			a.log.Printf(logs.Info, "serf: Attempting re-join to previously known node: %s: %v", name, known[name])
			addrs = append(addrs, known[name])
		}
		n, _ := a.joinAll(a.ctx, addrs, false)
		if n > 0 {
			a.log.Printf(logs.Info, "serf: Re-joined %d previously known nodes", n)
			return
		}
		a.log.Printf(logs.Warn, "serf: Failed to re-join any previously known node, retrying in %v", a.cfg.RetryInterval)
		if !a.pause(time.Duration(a.cfg.RetryInterval)) {
			return
		}
	}
}

// pause waits, and returns false if the agent ends meanwhile.
func (a *Agent) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-a.ctx.Done():
		return false
	}
}
