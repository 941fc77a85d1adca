package checks

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"concord/agent"
	"concord/catalog"
)

const (
	userAgent      = "Concord Health Check"
	accept         = "text/plain, text/*, */*"
	maxHeaderBytes = 64 << 10
)

// httpProbe passes if the answer is 2xx and warns if it is 429, Too Many Requests
// (https://developer.hashicorp.com/consul/docs/services/usage/checks#http-checks).
type httpProbe struct {
	def    *agent.CheckDefinition
	method string
	client *http.Client
}

func newHTTP(def *agent.CheckDefinition) *httpProbe {
	p := &httpProbe{def: def, method: def.Method}
	if p.method == "" {
		p.method = http.MethodGet
	}
	p.client = &http.Client{Transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        tlsConfig(def),
		DisableKeepAlives:      true, // a service that takes no new connections is not well
		MaxResponseHeaderBytes: maxHeaderBytes,
	}}
	if def.DisableRedirects {
		p.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return p
}

func tlsConfig(def *agent.CheckDefinition) *tls.Config {
	return &tls.Config{ServerName: def.TLSServerName, InsecureSkipVerify: def.TLSSkipVerify, MinVersion: tls.VersionTLS12}
}

func (p *httpProbe) run(ctx context.Context) (status, output string) {
	req, err := p.request(ctx)
	if err != nil {
		return catalog.HealthCritical, err.Error()
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return catalog.HealthCritical, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(p.def.OutputMaxSize)))
	output = fmt.Sprintf("HTTP %s %s: %s Output: %s", p.method, p.def.HTTP, resp.Status, strings.ToValidUTF8(string(body), "\uFFFD"))
	if err != nil {
		return catalog.HealthCritical, fmt.Sprintf("%s (%v)", output, err)
	}
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode <= 299:
		return catalog.HealthPassing, output
	case resp.StatusCode == http.StatusTooManyRequests:
		return catalog.HealthWarning, output
	}
	return catalog.HealthCritical, output
}

func (p *httpProbe) request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, p.method, p.def.HTTP, strings.NewReader(p.def.Body))
	if err != nil {
		return nil, err
	}
	for name, values := range p.def.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", userAgent)
	}
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", accept)
	}
	return req, nil
}

// tcpProbe passes if a connection can be made
// (https://developer.hashicorp.com/consul/docs/services/usage/checks#tcp-checks).
type tcpProbe struct {
	addr string
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

func newTCP(def *agent.CheckDefinition) *tcpProbe {
	dialer := &net.Dialer{}
	if def.TCPUseTLS {
		return &tcpProbe{def.TCP, (&tls.Dialer{NetDialer: dialer, Config: tlsConfig(def)}).DialContext}
	}
	return &tcpProbe{def.TCP, dialer.DialContext}
}

func (p *tcpProbe) run(ctx context.Context) (status, output string) {
	conn, err := p.dial(ctx, "tcp", p.addr)
	if err != nil {
		return catalog.HealthCritical, err.Error()
	}
	_ = conn.Close()
	return catalog.HealthPassing, fmt.Sprintf("TCP connect %s: Success", p.addr)
}
