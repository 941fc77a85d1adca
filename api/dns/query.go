package dnsapi

import (
	"context"
	"encoding/hex"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"concord/catalog"
	"concord/wire"
)

// query is one query being answered.
type query struct {
	s   *Server
	cfg *Config
	req *dns.Msg
	m   *dns.Msg // the answer
	tcp bool

	name   string // asked for, lower case, with a dot at the end
	kind   uint16
	domain string // the part of name that is ours
	dc     string // the other datacenter that the name is of; empty: this one
}

// answer finds out whose name it is.
func (q *query) answer() {
	question := q.req.Question[0]
	q.name, q.kind = strings.ToLower(question.Name), question.Qtype
	if question.Qclass != dns.ClassINET && question.Qclass != dns.ClassANY {
		q.m.Rcode = dns.RcodeRefused
		return
	}
	for _, d := range []string{q.cfg.Domain, q.cfg.AltDomain} {
		if d != "" && dns.IsSubDomain(d, q.name) {
			q.domain = d
			q.m.Authoritative = true
			q.local()
			return
		}
	}
	if strings.HasSuffix(q.name, ".arpa.") && q.reverse() {
		return
	}
	q.recurse()
}

// local answers a name of our domain.
func (q *query) local() {
	rest := strings.TrimSuffix(strings.TrimSuffix(q.name, q.domain), ".")
	if rest == "" {
		q.apex()
		return
	}
	labels := strings.Split(rest, ".")
	// The label that says what kind of name it is may be followed by a datacenter.
	for i := len(labels) - 1; i >= max(0, len(labels)-2); i-- {
		if i == 0 || !kinds[labels[i]] {
			continue
		}
		if i+1 < len(labels) && labels[i+1] != strings.ToLower(q.cfg.Datacenter) {
			q.dc = labels[i+1]
		}
		q.byKind(labels[i], labels[:i])
		return
	}
	q.missing()
}

var kinds = map[string]bool{"service": true, "node": true, "addr": true}

func (q *query) byKind(kind string, labels []string) {
	switch kind {
	case "node":
		q.node(strings.Join(labels, "."))
	case "addr":
		q.addr(labels)
	case "service":
		q.serviceName(labels)
	}
}

// serviceName takes apart "[tag.]name" and RFC 2782's "_name._tag".
func (q *query) serviceName(labels []string) {
	n := len(labels)
	if n == 2 && strings.HasPrefix(labels[0], "_") && strings.HasPrefix(labels[1], "_") {
		tag := labels[1][1:]
		if tag == "tcp" {
			tag = "" // the protocol that RFC 2782 asks for means any
		}
		q.service(labels[0][1:], tag)
		return
	}
	q.service(labels[n-1], strings.Join(labels[:n-1], "."))
}

// read asks the catalog. Names are looked up on any server if the configuration allows it.
func (q *query) read(what catalog.Query) (any, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), q.cfg.QueryTimeout)
	defer cancel()
	level := wire.Default
	if q.cfg.AllowStale {
		level = wire.Stale
	}
	resp := q.s.backend.Do(ctx, &wire.Request{Read: &wire.Read{Query: what, Consistency: level}, Timeout: q.cfg.QueryTimeout,
		Datacenter: q.dc})
	if resp.Code == wire.NoPath {
		q.missing() // there is no such datacenter, or it is out of reach
		return nil, false
	}
	if resp.Code != wire.OK || resp.Answer == nil {
		q.s.log.Error("dns: lookup failed", "name", q.name, "error", resp.Err)
		q.m.Rcode = dns.RcodeServerFailure
		return nil, false
	}
	return resp.Answer.Value, true
}

// missing says that there is no such name (NXDOMAIN).
func (q *query) missing() {
	q.m.Rcode = dns.RcodeNameError
	q.m.Ns = append(q.m.Ns, q.soa())
}

// settle says that the name exists, though not with the type asked for (NODATA, RFC 2308).
func (q *query) settle() {
	if len(q.m.Answer) == 0 && q.m.Rcode == dns.RcodeSuccess {
		q.m.Ns = append(q.m.Ns, q.soa())
	}
}

func (q *query) header(name string, kind uint16, ttl time.Duration) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: uint32(ttl / time.Second)}
}

func (q *query) soa() dns.RR {
	s := q.cfg.SOA
	return &dns.SOA{Hdr: q.header(q.zone(), dns.TypeSOA, time.Duration(s.MinTTL)*time.Second), Ns: "ns." + q.zone(), Mbox: "hostmaster." + q.zone(),
		Serial: uint32(time.Now().Unix()), Refresh: s.Refresh, Retry: s.Retry, Expire: s.Expire, Minttl: s.MinTTL}
}

// zone is the name of the domain as the client knows it.
func (q *query) zone() string {
	if q.domain != "" {
		return q.domain
	}
	return q.cfg.Domain
}

// apex answers for the domain itself.
func (q *query) apex() {
	switch q.kind {
	case dns.TypeSOA:
		q.m.Answer = append(q.m.Answer, q.soa())
		q.nameservers(&q.m.Ns)
	case dns.TypeNS:
		q.nameservers(&q.m.Answer)
	case dns.TypeANY:
		q.m.Answer = append(q.m.Answer, q.soa())
		q.nameservers(&q.m.Answer)
	default:
		q.settle()
	}
}

// nameservers lists the servers, and their addresses beside them.
func (q *query) nameservers(section *[]dns.RR) {
	value, ok := q.read(&catalog.ServiceNodesQuery{Service: catalog.ConsulServiceName})
	if !ok {
		return
	}
	for _, i := range value.([]*catalog.ServiceNode) {
		target := q.nodeTarget(i.Node)
		*section = append(*section, &dns.NS{Hdr: q.header(q.zone(), dns.TypeNS, q.cfg.NodeTTL), Ns: target})
		if rr := q.address(target, i.Address, dns.TypeANY, q.cfg.NodeTTL); rr != nil {
			q.m.Extra = append(q.m.Extra, rr)
		}
	}
}

func (q *query) nodeTarget(node string) string {
	return strings.ToLower(node) + ".node." + q.datacenter() + "." + q.zone()
}

// datacenter is the one that the answer is of.
func (q *query) datacenter() string {
	if q.dc != "" {
		return q.dc
	}
	return strings.ToLower(q.cfg.Datacenter)
}

// address is the A or AAAA record of an IP address, nil if it is of the other kind than asked for, or no IP.
func (q *query) address(name, addr string, kind uint16, ttl time.Duration) dns.RR {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return nil
	}
	ip = ip.Unmap()
	if ip.Is4() && (kind == dns.TypeA || kind == dns.TypeANY) {
		return &dns.A{Hdr: q.header(name, dns.TypeA, ttl), A: ip.AsSlice()}
	}
	if ip.Is6() && (kind == dns.TypeAAAA || kind == dns.TypeANY) {
		return &dns.AAAA{Hdr: q.header(name, dns.TypeAAAA, ttl), AAAA: ip.AsSlice()}
	}
	return nil
}

// addr answers "0a000001.addr", a name made of an address, as SRV targets are.
func (q *query) addr(labels []string) {
	raw, err := hex.DecodeString(strings.Join(labels, ""))
	ip, ok := netip.AddrFromSlice(raw)
	if err != nil || !ok || len(labels) != 1 {
		q.missing()
		return
	}
	if rr := q.address(q.req.Question[0].Name, ip.String(), q.kind, q.cfg.NodeTTL); rr != nil {
		q.m.Answer = append(q.m.Answer, rr)
	}
	q.settle()
}
