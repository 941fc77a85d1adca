package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	lin "concord/linearizability"
)

// request is one call of the HTTP API.
type request struct{ method, path, body string }

// target is a server as clients see it.
type target struct {
	name  string
	url   func(path string) string
	http  *http.Client
	watch *watch
}

// requestTimeout is how long a client waits. What has no answer by then has an unknown outcome.
const requestTimeout = 4 * time.Second

func get(key, level string) (lin.Op, request) {
	return lin.Op{Kind: lin.Get, Key: key}, request{"GET", "/v1/kv/" + key + "?" + level, ""}
}

func list(tree, level string) (lin.Op, request) {
	return lin.Op{Kind: lin.List, Key: tree}, request{"GET", "/v1/kv/" + tree + "?recurse&" + level, ""}
}

func health(service, level string) (lin.Op, request) {
	return lin.Op{Kind: lin.List, Key: service + "/"}, request{"GET", "/v1/health/service/" + service + "?" + level, ""}
}

func register(service, instance, value string) request {
	return request{"PUT", "/v1/catalog/register", encode(map[string]any{"Node": "ext", "Address": "192.0.2.1",
		"Service": map[string]any{"ID": instance, "Service": service, "Meta": map[string]string{"value": value}}})}
}

func deregister(instance string) request {
	return request{"PUT", "/v1/catalog/deregister", encode(map[string]any{"Node": "ext", "ServiceID": instance})}
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // of strings and maps of strings
	}
	return string(text)
}

// send makes the request and fills in how the operation ended.
func (t *target) send(r request, op *lin.Op) {
	op.Outcome = lin.Unknown
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, t.url(r.path), strings.NewReader(r.body))
	if err != nil {
		panic(err) // the workload makes no bad URLs
	}
	resp, err := t.http.Do(req)
	if err != nil {
		if never(err) {
			op.Outcome = lin.Failed
		}
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return
	}
	if err := understand(op, resp, body); err != nil {
		t.watch.unexpected(fmt.Sprintf("%s %s at %s: %v", r.method, r.path, t.name, err))
	}
}

// never tells that a request did not reach the server: there was no connection.
func never(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}

// understand reads an answer. The error tells that it is none the API may give.
func understand(op *lin.Op, resp *http.Response, body []byte) error {
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		op.Outcome = lin.Failed
		return nil
	case resp.StatusCode >= 500:
		return nil // of a write, some may be certain to have failed, but a client cannot know
	case op.Kind.Reads():
		return readAnswer(op, resp, body)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d: %s", resp.StatusCode, body)
	}
	answer := strings.TrimSpace(string(body))
	if answer != "true" && (answer != "false" || op.Kind != lin.CAS) {
		return fmt.Errorf("a write was answered %q", body)
	}
	op.Outcome, op.Swapped = lin.Done, answer == "true"
	return nil
}

// kvEntry and serviceEntry are what the workload needs of the API's answers.
type kvEntry struct {
	Key         string
	Value       []byte
	ModifyIndex uint64
}

type serviceEntry struct {
	Service struct {
		ID          string
		Meta        map[string]string
		ModifyIndex uint64
	}
}

func readAnswer(op *lin.Op, resp *http.Response, body []byte) error {
	index, err := strconv.ParseUint(resp.Header.Get("X-Consul-Index"), 10, 64)
	if err != nil {
		return fmt.Errorf("X-Consul-Index: %w", err)
	}
	got, modified := map[string]string{}, map[string]uint64{}
	switch {
	case resp.StatusCode == http.StatusNotFound && len(body) == 0:
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d: %s", resp.StatusCode, body)
	case strings.HasPrefix(op.Key, "web-"):
		var entries []serviceEntry
		if err := json.Unmarshal(body, &entries); err != nil {
			return err
		}
		for _, e := range entries {
			got[e.Service.ID], modified[e.Service.ID] = e.Service.Meta["value"], e.Service.ModifyIndex
		}
	default:
		var entries []kvEntry
		if err := json.Unmarshal(body, &entries); err != nil {
			return err
		}
		for _, e := range entries {
			got[e.Key], modified[e.Key] = string(e.Value), e.ModifyIndex
		}
	}
	op.Outcome, op.Got, op.Modified, op.QueryIndex = lin.Done, got, modified, index
	return nil
}
