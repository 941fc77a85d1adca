package dnsapi

import (
	"encoding/hex"
	"net/netip"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"concord/catalog"
)

// node answers the name of a node.
func (q *query) node(name string) {
	value, ok := q.read(&catalog.NodeServicesQuery{Node: name})
	if !ok {
		return
	}
	found := value.(*catalog.NodeServices)
	if found == nil || found.Node == nil {
		q.missing()
		return
	}
	asked := q.req.Question[0].Name
	q.hostRecords(asked, found.Node.Address, q.cfg.NodeTTL)
	if q.kind == dns.TypeTXT || q.kind == dns.TypeANY {
		q.texts(asked, found.Node.Meta)
	}
	q.settle()
}

// texts gives a node's metadata (RFC 1464: key=value).
func (q *query) texts(name string, meta map[string]string) {
	keys := make([]string, 0, len(meta))
	for k := range meta {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		text := k + "=" + meta[k]
		if strings.HasPrefix(strings.ToLower(k), "rfc1035-") {
			text = meta[k]
		}
		q.m.Answer = append(q.m.Answer, &dns.TXT{Hdr: q.header(name, dns.TypeTXT, q.cfg.NodeTTL), Txt: []string{text}})
	}
}

// hostRecords adds the address of a host to the answer; one that is a name becomes a CNAME, which is followed.
func (q *query) hostRecords(name, addr string, ttl time.Duration) {
	if _, err := netip.ParseAddr(addr); err != nil {
		q.canonicalName(name, addr, ttl)
		return
	}
	if rr := q.address(name, addr, q.kind, ttl); rr != nil {
		q.m.Answer = append(q.m.Answer, rr)
	}
}

func (q *query) canonicalName(name, target string, ttl time.Duration) {
	if q.kind != dns.TypeA && q.kind != dns.TypeAAAA && q.kind != dns.TypeANY && q.kind != dns.TypeCNAME {
		return
	}
	target = dns.Fqdn(target)
	q.m.Answer = append(q.m.Answer, &dns.CNAME{Hdr: q.header(name, dns.TypeCNAME, ttl), Target: target})
	if q.kind != dns.TypeCNAME {
		q.m.Answer = append(q.m.Answer, q.resolve(target, q.kind)...)
	}
}

// service answers the instances of a service that are healthy, in random order.
func (q *query) service(name, tag string) {
	query := &catalog.HealthServiceQuery{Service: name, PassingOnly: q.cfg.OnlyPassing}
	if tag != "" {
		query.Tags = []string{tag}
	}
	value, ok := q.read(query)
	if !ok {
		return
	}
	instances := healthy(value.([]*catalog.CheckServiceNode))
	if len(instances) == 0 {
		q.missing()
		return
	}
	q.s.shuffle(len(instances), func(i, j int) { instances[i], instances[j] = instances[j], instances[i] })
	ttl := q.serviceTTL(name)
	switch q.kind {
	case dns.TypeSRV:
		q.serviceRecords(instances, ttl)
	case dns.TypeA, dns.TypeAAAA, dns.TypeANY, dns.TypeCNAME:
		q.hosts(instances, ttl)
		if q.kind == dns.TypeANY {
			q.serviceRecords(instances, ttl)
		}
	}
	q.settle()
}

// healthy leaves out instances with a critical check. The answer of a read is shared: it is copied.
func healthy(all []*catalog.CheckServiceNode) []*catalog.CheckServiceNode {
	out := make([]*catalog.CheckServiceNode, 0, len(all))
	for _, i := range all {
		critical := false
		for _, c := range i.Checks {
			critical = critical || c.Status == catalog.HealthCritical
		}
		if !critical {
			out = append(out, i)
		}
	}
	return out
}

func (q *query) serviceTTL(name string) time.Duration {
	best, ttl := -1, time.Duration(0)
	for pattern, v := range q.cfg.ServiceTTL {
		prefix, wild := strings.CutSuffix(pattern, "*")
		if (pattern == name || wild && strings.HasPrefix(name, prefix)) && len(pattern) > best {
			best, ttl = len(pattern), v
			if pattern == name {
				return v
			}
		}
	}
	return ttl
}

// addressOf is where an instance is: at its own address or, if it has none, at its node's.
func addressOf(i *catalog.CheckServiceNode) string {
	if i.Service.Address != "" {
		return i.Service.Address
	}
	return i.Node.Address
}

// hosts answers the addresses of the instances, each once.
func (q *query) hosts(instances []*catalog.CheckServiceNode, ttl time.Duration) {
	seen := map[string]bool{}
	for _, i := range instances {
		addr := addressOf(i)
		if seen[addr] {
			continue
		}
		seen[addr] = true
		q.hostRecords(q.req.Question[0].Name, addr, ttl)
		if limit := q.cfg.ARecordLimit; limit > 0 && len(q.m.Answer) >= limit {
			return
		}
		if !q.tcp && q.cfg.UDPAnswerLimit > 0 && len(q.m.Answer) > q.cfg.UDPAnswerLimit {
			return // fit cuts the rest off and says so
		}
	}
}

// serviceRecords answers SRV records, with the addresses of their targets beside them.
func (q *query) serviceRecords(instances []*catalog.CheckServiceNode, ttl time.Duration) {
	seen := map[string]bool{}
	for _, i := range instances {
		addr := addressOf(i)
		key := i.Node.Node + "|" + addr + "|" + strconv.Itoa(i.Service.Port)
		if seen[key] {
			continue
		}
		seen[key] = true
		target := q.target(i, addr)
		q.m.Answer = append(q.m.Answer, &dns.SRV{Hdr: q.header(q.req.Question[0].Name, dns.TypeSRV, ttl),
			Priority: 1, Weight: weightOf(i), Port: uint16(i.Service.Port), Target: target})
		if rr := q.address(target, addr, dns.TypeANY, ttl); rr != nil {
			q.m.Extra = append(q.m.Extra, rr)
		}
		if !q.tcp && q.cfg.UDPAnswerLimit > 0 && len(q.m.Answer) > q.cfg.UDPAnswerLimit {
			return
		}
	}
}

// target is the name of the host in an SRV record: that of the node, unless the instance has an address of its own.
func (q *query) target(i *catalog.CheckServiceNode, addr string) string {
	if addr == i.Node.Address {
		return q.nodeTarget(i.Node.Node)
	}
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return dns.Fqdn(addr)
	}
	return hex.EncodeToString(ip.Unmap().AsSlice()) + ".addr." + q.datacenter() + "." + q.zone()
}

// weightOf is the SRV weight of an instance in its state.
func weightOf(i *catalog.CheckServiceNode) uint16 {
	w := i.Service.Weights
	if w == nil {
		return 1
	}
	weight := w.Passing
	for _, c := range i.Checks {
		if c.Status == catalog.HealthWarning {
			weight = w.Warning
		}
	}
	return uint16(max(0, min(weight, 65535)))
}

// reverse answers the name of the node that has an address; false if no node has it.
func (q *query) reverse() bool {
	ip, ok := reverseAddress(q.name)
	if !ok {
		return false
	}
	value, ok := q.read(&catalog.NodesQuery{})
	if !ok {
		return true
	}
	for _, n := range value.([]*catalog.Node) {
		if a, err := netip.ParseAddr(n.Address); err == nil && a.Unmap() == ip {
			q.m.Authoritative = true
			q.m.Answer = append(q.m.Answer, &dns.PTR{Hdr: q.header(q.req.Question[0].Name, dns.TypePTR, q.cfg.NodeTTL), Ptr: q.nodeTarget(n.Node)})
		}
	}
	if len(q.m.Answer) > 0 {
		return true
	}
	if len(q.cfg.Recursors) > 0 {
		return false
	}
	q.missing()
	return true
}

// reverseAddress takes apart "1.0.0.127.in-addr.arpa." and its IPv6 counterpart (RFC 1035 section 3.5, RFC 3596 section 2.5).
func reverseAddress(name string) (netip.Addr, bool) {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa."); ok {
		parts := strings.Split(rest, ".")
		for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
			parts[i], parts[j] = parts[j], parts[i]
		}
		ip, err := netip.ParseAddr(strings.Join(parts, "."))
		return ip, err == nil && ip.Is4()
	}
	rest, ok := strings.CutSuffix(name, ".ip6.arpa.")
	digits := strings.Split(rest, ".")
	if !ok || len(digits) != 32 {
		return netip.Addr{}, false
	}
	var b strings.Builder
	for i := len(digits) - 1; i >= 0; i-- {
		b.WriteString(digits[i])
		if i%4 == 0 && i > 0 {
			b.WriteByte(':')
		}
	}
	ip, err := netip.ParseAddr(b.String())
	return ip, err == nil
}
