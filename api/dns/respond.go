package dnsapi

import (
	"errors"
	"net"

	"github.com/miekg/dns"
)

// edns answers a client that speaks EDNS in kind (RFC 6891).
func (q *query) edns() {
	if o := q.req.IsEdns0(); o != nil && q.m.IsEdns0() == nil {
		q.m.SetEdns0(dns.DefaultMsgSize, o.Do())
	}
}

// fit cuts the answer down to what the client can take: a number of records over UDP, and a size.
func (q *query) fit() {
	size := dns.MaxMsgSize
	if !q.tcp {
		size = dns.MinMsgSize
		if o := q.req.IsEdns0(); o != nil {
			size = max(size, min(int(o.UDPSize()), dns.DefaultMsgSize))
		}
		if limit := q.cfg.UDPAnswerLimit; q.domain != "" && limit > 0 && len(q.m.Answer) > limit {
			q.m.Answer = q.m.Answer[:limit]
			q.pruneExtra()
			q.m.Truncated = q.cfg.EnableTruncate
		}
	}
	cut := false
	for len(q.m.Answer) > 0 && q.m.Len() > size {
		if len(q.m.Extra) > 0 && len(q.m.Extra) >= len(q.m.Answer) {
			q.dropExtra()
		} else {
			q.m.Answer = q.m.Answer[:len(q.m.Answer)-1]
			q.pruneExtra()
		}
		cut = true
	}
	if cut && (q.cfg.EnableTruncate || len(q.m.Answer) == 0 || q.domain == "") {
		q.m.Truncated = true
	}
}

// dropExtra drops the last additional record that is not EDNS's own.
func (q *query) dropExtra() {
	for i := len(q.m.Extra) - 1; i >= 0; i-- {
		if q.m.Extra[i].Header().Rrtype != dns.TypeOPT {
			q.m.Extra = append(q.m.Extra[:i], q.m.Extra[i+1:]...)
			return
		}
	}
	q.m.Answer = q.m.Answer[:len(q.m.Answer)-1]
}

// pruneExtra drops the addresses of targets that are no longer in the answer.
func (q *query) pruneExtra() {
	targets := map[string]bool{}
	for _, rr := range q.m.Answer {
		if srv, ok := rr.(*dns.SRV); ok {
			targets[srv.Target] = true
		}
	}
	kept := q.m.Extra[:0]
	for _, rr := range q.m.Extra {
		if rr.Header().Rrtype == dns.TypeOPT || targets[rr.Header().Name] {
			kept = append(kept, rr)
		}
	}
	q.m.Extra = kept
}

var errNoRecursor = errors.New("no recursor answered")

// recurse passes a name that is not ours to the recursors.
func (q *query) recurse() {
	if len(q.cfg.Recursors) == 0 {
		q.m.Rcode = dns.RcodeRefused
		return
	}
	resp, err := q.exchange(q.req)
	if err != nil {
		q.s.log.Error("dns: recursion failed", "name", q.name, "error", err)
		q.m.Rcode = dns.RcodeServerFailure
		return
	}
	id := q.req.Id
	*q.m = *resp
	q.m.Id, q.m.Compress, q.m.RecursionAvailable = id, true, true
}

// resolve asks the recursors for the addresses of a name outside, nothing if they do not know it.
func (q *query) resolve(name string, kind uint16) []dns.RR {
	if len(q.cfg.Recursors) == 0 {
		return nil
	}
	req := new(dns.Msg)
	req.SetQuestion(name, kind)
	resp, err := q.exchange(req)
	if err != nil {
		q.s.log.Error("dns: failed to resolve the address of an instance", "name", name, "error", err)
		return nil
	}
	return resp.Answer
}

func (q *query) exchange(req *dns.Msg) (*dns.Msg, error) {
	network := "udp"
	if q.tcp {
		network = "tcp"
	}
	c := &dns.Client{Net: network, Timeout: q.cfg.RecursorTimeout}
	last := errNoRecursor
	for _, addr := range q.cfg.Recursors {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			addr = net.JoinHostPort(addr, "53")
		}
		resp, _, err := c.Exchange(req, addr)
		if err == nil {
			return resp, nil
		}
		last = err
	}
	return nil, last
}
