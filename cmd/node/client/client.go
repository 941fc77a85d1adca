// Package client talks to an agent's HTTP API for the command line.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Client is a connection to one agent.
type Client struct {
	base  string
	token string
	http  *http.Client
	query url.Values // sent with every request
}

// New returns a client of the agent at addr, "host:port" or a URL; empty: CONSUL_HTTP_ADDR, else 127.0.0.1:8500.
func New(addr, token, datacenter string, stale bool) *Client {
	if addr == "" {
		addr = os.Getenv("CONSUL_HTTP_ADDR")
	}
	if addr == "" {
		addr = "127.0.0.1:8500"
	}
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	if token == "" {
		token = os.Getenv("CONSUL_HTTP_TOKEN")
	}
	// Connections of its own: whoever closes those of http.DefaultTransport, as each test server does that ends, must not
	// break requests of this client.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	c := &Client{base: strings.TrimSuffix(addr, "/"), token: token, query: url.Values{},
		http: &http.Client{Transport: transport, Timeout: 2 * time.Minute}}
	if datacenter != "" {
		c.query.Set("dc", datacenter)
	}
	if stale {
		c.query.Set("stale", "")
	}
	return c
}

// StatusError is an answer that is no success.
type StatusError struct {
	Code int
	Body string
}

// Error is what Consul's command line says.
func (e *StatusError) Error() string {
	return fmt.Sprintf("Unexpected response code: %d (%s)", e.Code, strings.TrimSpace(e.Body))
}

// Do makes a request and returns the body of a successful answer. in, if not nil, is sent: bytes as they are,
// anything else as JSON.
func (c *Client) Do(method, path string, query url.Values, in any) ([]byte, error) {
	var body io.Reader
	switch v := in.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(v)
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	out, _, err := c.whole(context.Background(), method, path, query, body)
	return out, err
}

// whole makes a request and reads the whole answer.
func (c *Client) whole(ctx context.Context, method, path string, query url.Values, body io.Reader) ([]byte, http.Header, error) {
	resp, err := c.send(ctx, c.http, method, path, query, body)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer of %s: %w", c.base, err)
	}
	if resp.StatusCode != http.StatusOK {
		err = &StatusError{resp.StatusCode, string(out)}
	}
	return out, resp.Header, err
}

// Watch makes a blocking GET: with an index it is answered when the index is another one, or after the time to wait, which must be
// below two minutes. It returns the index of the answer, also with a StatusError.
func (c *Client) Watch(ctx context.Context, path string, query url.Values, index uint64, wait time.Duration) ([]byte, uint64, error) {
	all := maps.Clone(query)
	if all == nil {
		all = url.Values{}
	}
	if index > 0 {
		all.Set("index", strconv.FormatUint(index, 10))
		all.Set("wait", wait.String())
	}
	out, header, err := c.whole(ctx, http.MethodGet, path, all, nil)
	index, _ = strconv.ParseUint(header.Get("X-Consul-Index"), 10, 64) // 0 if there is none
	return out, index, err
}

// maxErrorText bounds what is read of an answer that is no success, in bytes.
const maxErrorText = 64 << 10

// Stream makes a request of any length, which takes as long as it takes, and returns the body of a successful answer, to be
// closed.
func (c *Client) Stream(method, path string, body io.Reader) (io.ReadCloser, error) {
	resp, err := c.send(context.Background(), &http.Client{Transport: c.http.Transport}, method, path, nil, body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		out, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorText))
		return nil, errors.Join(&StatusError{resp.StatusCode, string(out)}, err)
	}
	return resp.Body, nil
}

func (c *Client) send(ctx context.Context, via *http.Client, method, path string, query url.Values, body io.Reader) (*http.Response, error) {
	all := url.Values{}
	for _, vs := range []url.Values{c.query, query} {
		for k, v := range vs {
			all[k] = v
		}
	}
	u := c.base + (&url.URL{Path: path}).EscapedPath()
	if len(all) > 0 {
		u += "?" + all.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		req.Header.Set("X-Consul-Token", c.token)
	}
	resp, err := via.Do(req)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the agent at %s: %w: is it running? Say where with -http-addr or CONSUL_HTTP_ADDR", c.base, err)
	}
	return resp, nil
}

// Get decodes the answer of a GET into v.
func (c *Client) Get(path string, query url.Values, v any) error {
	out, err := c.Do(http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(out, v)
}

// Put makes a PUT that has no answer worth reading.
func (c *Client) Put(path string, query url.Values, in any) error {
	_, err := c.Do(http.MethodPut, path, query, in)
	return err
}
