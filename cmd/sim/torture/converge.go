package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// convergeTimeout bounds how long the cluster may take, once every fault is over, until all is as it should be.
const convergeTimeout = 60 * time.Second

// converge waits until every server knows the same leader, all are voters, and each takes a write and reads it. The error
// says what is missing when the time is up.
func (t *test) converge() error {
	ctx, cancel := context.WithTimeout(context.Background(), convergeTimeout)
	defer cancel()
	for {
		missing := t.missing(ctx)
		if missing == nil {
			return nil
		}
		select {
		case <-t.watch.crash:
			return errors.New("not awaited, since a server crashed")
		default:
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return fmt.Errorf("after %v without faults: %w", convergeTimeout, missing)
		}
	}
}

func (t *test) missing(ctx context.Context) error {
	var leader string
	for _, at := range t.workload.targets {
		body, err := at.ask(ctx, "GET", "/v1/status/leader", "")
		if err != nil {
			return err
		}
		switch {
		case string(body) == `""`:
			return fmt.Errorf("%s knows no leader", at.name)
		case leader != "" && string(body) != leader:
			return fmt.Errorf("%s says that %s leads, another server %s", at.name, body, leader)
		}
		leader = string(body)
		if err := t.configured(ctx, at); err != nil {
			return err
		}
	}
	for i, at := range t.workload.targets {
		value := fmt.Sprint(t.watch.now())
		key := fmt.Sprintf("/v1/kv/converged/%d", i)
		if _, err := at.ask(ctx, "PUT", key, value); err != nil {
			return err
		}
		other := t.workload.targets[(i+1)%len(t.workload.targets)]
		body, err := other.ask(ctx, "GET", key+"?raw&consistent", "")
		if err != nil {
			return err
		}
		if string(body) != value {
			return fmt.Errorf("%s shows %q where %s was told %q", other.name, body, at.name, value)
		}
	}
	return nil
}

// configured tells whether the server sees every server as a voter.
func (t *test) configured(ctx context.Context, at target) error {
	body, err := at.ask(ctx, "GET", "/v1/operator/raft/configuration", "")
	if err != nil {
		return err
	}
	var v struct{ Servers []struct{ Voter bool } }
	if err := json.Unmarshal(body, &v); err != nil {
		return fmt.Errorf("raft configuration at %s: %w", at.name, err)
	}
	voters := 0
	for _, s := range v.Servers {
		if s.Voter {
			voters++
		}
	}
	if voters != t.options.servers || len(v.Servers) != t.options.servers {
		return fmt.Errorf("%s sees %d servers, %d of them voters, instead of %d", at.name, len(v.Servers), voters, t.options.servers)
	}
	return nil
}

// ask makes a request that is no part of the history. The error is what was wrong, also if it is the status.
func (t *target) ask(ctx context.Context, method, path, body string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, t.url(path), strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := t.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s at %s: status %d: %s", method, path, t.name, resp.StatusCode, text)
	}
	return text, err
}
