package dnsapi

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"concord/catalog"
	"concord/wire"
)

// fake answers from fixed records.
type fake struct {
	services map[string][]*catalog.CheckServiceNode
}

var testNode = &catalog.Node{Node: "Node1", Address: "10.0.0.1", Meta: map[string]string{"rack": "1"}}

func instance(id, addr string, port int, status string, tags ...string) *catalog.CheckServiceNode {
	return &catalog.CheckServiceNode{Node: testNode, Service: &catalog.NodeService{ID: id, Service: "web", Address: addr, Port: port, Tags: tags, Weights: &catalog.Weights{Passing: 5, Warning: 2}},
		Checks: []*catalog.HealthCheck{{Status: status}}}
}

func (f *fake) Do(_ context.Context, req *wire.Request) *wire.Response {
	if req.Datacenter != "" && req.Datacenter != "dc2" {
		return &wire.Response{Code: wire.NoPath, Err: "No path to datacenter"}
	}
	answer := func(v any) *wire.Response { return &wire.Response{Answer: &catalog.Answer{Value: v, Index: 1}} }
	switch q := req.Read.Query.(type) {
	case *catalog.NodeServicesQuery:
		if !strings.EqualFold(q.Node, testNode.Node) {
			return answer((*catalog.NodeServices)(nil))
		}
		return answer(&catalog.NodeServices{Node: testNode})
	case *catalog.NodesQuery:
		return answer([]*catalog.Node{testNode})
	case *catalog.ServiceNodesQuery:
		return answer([]*catalog.ServiceNode{{Node: "Node1", Address: "10.0.0.1"}})
	case *catalog.HealthServiceQuery:
		if q.Service == "broken" {
			return &wire.Response{Code: wire.NoLeader, Err: "No cluster leader"}
		}
		var out []*catalog.CheckServiceNode
		for _, i := range f.services[q.Service] {
			ok := len(q.Tags) == 0
			for _, t := range i.Service.Tags {
				ok = ok || t == q.Tags[0]
			}
			if ok && (!q.PassingOnly || i.Checks[0].Status == catalog.HealthPassing) {
				out = append(out, i)
			}
		}
		return answer(out)
	}
	return &wire.Response{Code: wire.Failed, Err: "not asked for here"}
}

func services() map[string][]*catalog.CheckServiceNode {
	many := []*catalog.CheckServiceNode{}
	for i := range 60 {
		many = append(many, instance(fmt.Sprint("m", i), fmt.Sprintf("10.0.1.%d", i), 80, catalog.HealthPassing))
	}
	return map[string][]*catalog.CheckServiceNode{
		"web": {instance("a", "", 80, catalog.HealthPassing, "v1"), instance("b", "10.0.0.2", 81, catalog.HealthWarning, "v2"),
			instance("c", "10.0.0.3", 82, catalog.HealthCritical, "v1")},
		"dead": {instance("d", "", 80, catalog.HealthCritical)},
		"many": many,
		"name": {instance("n", "elsewhere.example.com", 80, catalog.HealthPassing)},
	}
}

func start(t *testing.T, cfg Config) string {
	t.Helper()
	if cfg.Datacenter == "" {
		cfg.Datacenter = "dc1"
	}
	s := New(cfg, &fake{services()}, hclog.NewNullLogger())
	require.NoError(t, s.Listen("127.0.0.1:0"))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		s.Close(ctx)
	})
	return s.Addr().String()
}

func ask(t *testing.T, addr, network, name string, kind uint16, edns uint16) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	if edns > 0 {
		m.SetEdns0(edns, false)
	}
	r, _, err := (&dns.Client{Net: network, Timeout: 10 * time.Second, UDPSize: 4096}).Exchange(m, addr)
	require.NoError(t, err)
	return r
}

func texts(rrs []dns.RR) []string {
	out := []string{}
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeOPT {
			out = append(out, strings.Join(strings.Fields(rr.String()), " "))
		}
	}
	return out
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	addr := start(t, Config{})
	for _, c := range []struct {
		name   string
		kind   uint16
		rcode  int
		answer []string
	}{
		{"node1.node.consul.", dns.TypeA, 0, []string{"node1.node.consul. 0 IN A 10.0.0.1"}},
		{"NODE1.node.dc1.Consul.", dns.TypeA, 0, []string{"NODE1.node.dc1.Consul. 0 IN A 10.0.0.1"}},
		{"node1.node.consul.", dns.TypeAAAA, 0, []string{}},
		{"node1.node.consul.", dns.TypeTXT, 0, []string{`node1.node.consul. 0 IN TXT "rack=1"`}},
		{"node1.node.dc9.consul.", dns.TypeA, dns.RcodeNameError, []string{}},
		{"web.service.dc9.consul.", dns.TypeSRV, dns.RcodeNameError, []string{}},
		{"node1.node.DC2.consul.", dns.TypeA, 0, []string{"node1.node.DC2.consul. 0 IN A 10.0.0.1"}},
		{"v1.web.service.dc2.consul.", dns.TypeSRV, 0, []string{"v1.web.service.dc2.consul. 0 IN SRV 1 5 80 node1.node.dc2.consul."}},
		{"_web._v2.service.dc2.consul.", dns.TypeSRV, 0, []string{"_web._v2.service.dc2.consul. 0 IN SRV 1 2 81 0a000002.addr.dc2.consul."}},
		{"nobody.node.consul.", dns.TypeA, dns.RcodeNameError, []string{}},
		{"v1.web.service.consul.", dns.TypeA, 0, []string{"v1.web.service.consul. 0 IN A 10.0.0.1"}},
		{"_web._v1.service.consul.", dns.TypeSRV, 0, []string{"_web._v1.service.consul. 0 IN SRV 1 5 80 node1.node.dc1.consul."}},
		{"v2.web.service.dc1.consul.", dns.TypeSRV, 0, []string{"v2.web.service.dc1.consul. 0 IN SRV 1 2 81 0a000002.addr.dc1.consul."}},
		{"v9.web.service.consul.", dns.TypeA, dns.RcodeNameError, []string{}},
		{"dead.service.consul.", dns.TypeA, dns.RcodeNameError, []string{}},
		{"web.service.consul.", dns.TypeAAAA, 0, []string{}},
		{"name.service.consul.", dns.TypeA, 0, []string{"name.service.consul. 0 IN CNAME elsewhere.example.com."}},
		{"broken.service.consul.", dns.TypeA, dns.RcodeServerFailure, []string{}},
		{"0a000002.addr.dc1.consul.", dns.TypeA, 0, []string{"0a000002.addr.dc1.consul. 0 IN A 10.0.0.2"}},
		{"zz.addr.consul.", dns.TypeA, dns.RcodeNameError, []string{}},
		{"1.0.0.10.in-addr.arpa.", dns.TypePTR, 0, []string{"1.0.0.10.in-addr.arpa. 0 IN PTR node1.node.dc1.consul."}},
		{"9.0.0.10.in-addr.arpa.", dns.TypePTR, dns.RcodeNameError, []string{}},
		{"consul.", dns.TypeNS, 0, []string{"consul. 0 IN NS node1.node.dc1.consul."}},
		{"nonsense.consul.", dns.TypeA, dns.RcodeNameError, []string{}},
		{"example.com.", dns.TypeA, dns.RcodeRefused, []string{}},
	} {
		r := ask(t, addr, "udp", c.name, c.kind, 0)
		require.Equal(t, dns.RcodeToString[c.rcode], dns.RcodeToString[r.Rcode], c.name)
		require.Equal(t, c.answer, texts(r.Answer), c.name)
		if c.rcode == dns.RcodeNameError || c.rcode == 0 && len(c.answer) == 0 {
			require.Len(t, r.Ns, 1, "%s: a negative answer needs the SOA", c.name)
			require.IsType(t, &dns.SOA{}, r.Ns[0])
		}
	}
}

func TestOnlyHealthyInstances(t *testing.T) {
	t.Parallel()
	r := ask(t, start(t, Config{}), "udp", "web.service.consul.", dns.TypeA, 0)
	require.ElementsMatch(t, []string{"web.service.consul. 0 IN A 10.0.0.1", "web.service.consul. 0 IN A 10.0.0.2"}, texts(r.Answer))
	r = ask(t, start(t, Config{OnlyPassing: true}), "udp", "web.service.consul.", dns.TypeA, 0)
	require.Equal(t, []string{"web.service.consul. 0 IN A 10.0.0.1"}, texts(r.Answer))
}

func TestTargetsComeWithTheirAddresses(t *testing.T) {
	t.Parallel()
	r := ask(t, start(t, Config{}), "udp", "web.service.consul.", dns.TypeSRV, 0)
	require.Len(t, r.Answer, 2)
	require.ElementsMatch(t, []string{"node1.node.dc1.consul. 0 IN A 10.0.0.1", "0a000002.addr.dc1.consul. 0 IN A 10.0.0.2"}, texts(r.Extra))
}

// Over UDP only a few records are told, and no more than fit; over TCP all of them.
func TestSizes(t *testing.T) {
	t.Parallel()
	addr := start(t, Config{EnableTruncate: true})
	r := ask(t, addr, "udp", "many.service.consul.", dns.TypeA, 0)
	require.Len(t, r.Answer, 3)
	require.True(t, r.Truncated)
	r = ask(t, addr, "tcp", "many.service.consul.", dns.TypeA, 0)
	require.Len(t, r.Answer, 60)
	require.False(t, r.Truncated)
	all := start(t, Config{EnableTruncate: true, UDPAnswerLimit: 1000})
	small := ask(t, all, "udp", "many.service.consul.", dns.TypeA, 0)
	require.True(t, small.Truncated)
	small.Compress = true
	require.LessOrEqual(t, small.Len(), 512)
	large := ask(t, all, "udp", "many.service.consul.", dns.TypeA, 4096)
	require.Greater(t, len(large.Answer), len(small.Answer))
	require.NotNil(t, large.IsEdns0())
}

func TestOrderIsRandom(t *testing.T) {
	t.Parallel()
	addr := start(t, Config{Seed: 1})
	first := map[string]bool{}
	for range 40 {
		first[texts(ask(t, addr, "udp", "many.service.consul.", dns.TypeA, 0).Answer)[0]] = true
	}
	require.Greater(t, len(first), 5)
}

func TestTTLs(t *testing.T) {
	t.Parallel()
	addr := start(t, Config{NodeTTL: 7 * time.Second, ServiceTTL: map[string]time.Duration{"*": time.Second, "we*": 2 * time.Second, "many": 3 * time.Second}})
	for name, ttl := range map[string]uint32{"node1.node.consul.": 7, "web.service.consul.": 2, "many.service.consul.": 3, "name.service.consul.": 1} {
		require.Equal(t, ttl, ask(t, addr, "udp", name, dns.TypeA, 0).Answer[0].Header().Ttl, name)
	}
}

func TestRecursors(t *testing.T) {
	t.Parallel()
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	upstream := &dns.Server{PacketConn: p, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(r)
		rr, _ := dns.NewRR(r.Question[0].Name + " 9 IN A 192.0.2.9")
		m.Answer = append(m.Answer, rr)
		w.WriteMsg(m)
	})}
	go upstream.ActivateAndServe()
	defer upstream.Shutdown()
	addr := start(t, Config{Recursors: []string{p.LocalAddr().String()}})
	r := ask(t, addr, "udp", "example.com.", dns.TypeA, 0)
	require.Equal(t, []string{"example.com. 9 IN A 192.0.2.9"}, texts(r.Answer))
	require.True(t, r.RecursionAvailable)
	r = ask(t, addr, "udp", "name.service.consul.", dns.TypeA, 0)
	require.Equal(t, []string{"name.service.consul. 0 IN CNAME elsewhere.example.com.", "elsewhere.example.com. 9 IN A 192.0.2.9"}, texts(r.Answer))
}

func TestReverseAddresses(t *testing.T) {
	t.Parallel()
	ip, ok := reverseAddress("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.")
	require.True(t, ok)
	require.Equal(t, "2001:db8::1", ip.String())
	for _, bad := range []string{"x.in-addr.arpa.", "1.2.3.in-addr.arpa.", "1.ip6.arpa.", "example.com."} {
		_, ok := reverseAddress(bad)
		require.False(t, ok, bad)
	}
}

func FuzzName(f *testing.F) {
	for _, name := range []string{"web.service.consul.", "_web._tcp.service.consul.", "node1.node.dc1.consul.", "7f000001.addr.consul.", "1.0.0.127.in-addr.arpa."} {
		f.Add(name, uint16(dns.TypeANY))
	}
	cfg := Config{Datacenter: "dc1"}
	s := New(cfg, &fake{services()}, hclog.NewNullLogger())
	f.Fuzz(func(t *testing.T, name string, kind uint16) {
		m := new(dns.Msg)
		m.SetQuestion(dns.Fqdn(name), kind)
		q := &query{s: s, cfg: s.cfg.Load(), req: m, m: new(dns.Msg).SetReply(m)}
		q.answer()
		q.fit()
	})
}
