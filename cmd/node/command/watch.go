package command

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"concord/agent/userevent"
)

// watchFlags are the flags of the verb watch, with Consul's names.
type watchFlags struct {
	kind, key, prefix, service, passing, state, name string
	tags                                             list
	shell                                            bool
}

// watched is something that can be waited for: where it is, and what of the answer is its value. before is the index of the value
// before, 0 at first.
type watched struct {
	path  string
	query url.Values
	value func(body []byte, before uint64) (any, error)
}

// raw takes the answer for the value as it is; of nothing it is null.
func raw(body []byte, _ uint64) (any, error) {
	return json.RawMessage(cmp.Or(string(body), "null")), nil
}

func firstPair(body []byte, _ uint64) (any, error) {
	if len(body) == 0 {
		return nil, nil
	}
	var found []pair
	if err := json.Unmarshal(body, &found); err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// newEvents are the events behind the one that was the last before.
func newEvents(body []byte, before uint64) (any, error) {
	var events []userevent.Event
	if err := json.Unmarshal(body, &events); err != nil {
		return nil, err
	}
	for i := range events {
		if events[i].Index() == before {
			return events[i+1:], nil
		}
	}
	return events, nil
}

// plan says what the flags ask for.
func (f *watchFlags) plan() (*watched, error) {
	w := &watched{query: url.Values{}, value: raw}
	switch f.kind {
	case "":
		return nil, badUsage("Watch type must be specified")
	case "key":
		w.path, w.value = kvPath(f.key), firstPair
		if f.key == "" {
			return nil, badUsage("Must specify a single key to watch")
		}
	case "keyprefix":
		w.path = kvPath(f.prefix)
		w.query.Set("recurse", "")
		if f.prefix == "" {
			return nil, badUsage("Must specify a single prefix to watch")
		}
	case "services":
		w.path = "/v1/catalog/services"
	case "nodes":
		w.path = "/v1/catalog/nodes"
	case "service":
		return f.planService(w)
	case "checks":
		return f.planChecks(w)
	case "event":
		w.path, w.value = "/v1/event/list", newEvents
		if f.name != "" {
			w.query.Set("name", f.name)
		}
	default:
		return nil, badUsage("Unsupported watch type: %s", f.kind)
	}
	return w, nil
}

func (f *watchFlags) planService(w *watched) (*watched, error) {
	if f.service == "" {
		return nil, badUsage("Must specify a single service to watch")
	}
	w.path = "/v1/health/service/" + f.service
	if len(f.tags) > 0 {
		w.query["tag"] = f.tags
	}
	passing, err := strconv.ParseBool(cmp.Or(f.passing, "false"))
	if err != nil {
		return nil, badUsage("Failed to parse passingonly parameter: %v", err)
	}
	if passing {
		w.query.Set("passing", "1")
	}
	return w, nil
}

func (f *watchFlags) planChecks(w *watched) (*watched, error) {
	if f.service != "" && f.state != "" {
		return nil, badUsage("Cannot specify service and state")
	}
	w.path = "/v1/health/state/" + cmp.Or(f.state, "any")
	if f.service != "" {
		w.path = "/v1/health/checks/" + f.service
	}
	return w, nil
}

func watch(fs *flag.FlagSet) func(*call) error {
	var f watchFlags
	fs.StringVar(&f.kind, "type", "", "Specifies the watch type. One of key, keyprefix, services, nodes, service, checks, or event.")
	fs.StringVar(&f.key, "key", "", "Specifies the key to watch. Only for 'key' type.")
	fs.StringVar(&f.prefix, "prefix", "", "Specifies the key prefix to watch. Only for 'keyprefix' type.")
	fs.StringVar(&f.service, "service", "", "Specifies the service to watch. Required for 'service' type, optional for 'checks' type.")
	fs.Var(&f.tags, "tag", "Specifies the service tag(s) to filter on. Optional for 'service' type. May be specified multiple times.")
	fs.StringVar(&f.passing, "passingonly", "", "Specifies if only hosts passing all checks are displayed: true or false. Optional for 'service' type.")
	fs.StringVar(&f.state, "state", "", "Specifies the states to watch. Optional for 'checks' type.")
	fs.StringVar(&f.name, "name", "", "Specifies an event name to watch. Only for 'event' type.")
	fs.BoolVar(&f.shell, "shell", true, "Use a shell to run the command (can set a custom shell via the SHELL environment variable).")
	return func(c *call) error {
		w, err := f.plan()
		if err != nil {
			return err
		}
		if err := c.api.Get("/v1/agent/self", nil, new(any)); err != nil {
			return fmt.Errorf("Error querying Consul agent: %w", err)
		}
		if len(c.args) == 0 {
			return c.watchOnce(w)
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return c.watchWith(ctx, w, f.kind, f.shell)
	}
}

// watchWait is how long an agent lets a question wait for a change.
const watchWait = time.Minute

// ask asks for a value: nothing is also one.
func (c *call) ask(ctx context.Context, w *watched, index uint64) (value any, next uint64, err error) {
	body, next, err := c.api.Watch(ctx, w.path, w.query, index, watchWait)
	if notFound(err) {
		body, err = nil, nil
	}
	if err != nil {
		return nil, 0, err
	}
	value, err = w.value(bytes.TrimSpace(body), index)
	return value, next, err
}

func (c *call) watchOnce(w *watched) error {
	value, _, err := c.ask(context.Background(), w, 0)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(value, "", "    ")
	if err != nil {
		return err
	}
	c.ui.Output(string(text))
	return nil
}

// retryWatch is how long is waited after a number of failures in a row: Consul's five seconds by its square, at most three minutes.
func retryWatch(failures int) time.Duration {
	return min(time.Duration(failures*failures)*5*time.Second, 3*time.Minute)
}

// watchWith runs the command with every new value until ctx ends or the command fails.
func (c *call) watchWith(ctx context.Context, w *watched, kind string, shell bool) error {
	index, failures, last, first := uint64(0), 0, "", true
	for {
		value, next, err := c.ask(ctx, w, index)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			failures++
			pause := retryWatch(failures)
			c.ui.Error(fmt.Sprintf("consul.watch: Watch (type: %s) errored: %v, retry in %v", kind, err, pause))
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(pause):
			}
			continue
		}
		failures = 0
		if next == index && !first {
			continue
		}
		index = next
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if string(text) == last {
			continue
		}
		last, first = string(text), false
		if err := c.handle(ctx, index, append(text, '\n'), shell); err != nil && ctx.Err() == nil {
			return fmt.Errorf("Error executing handler: %w", err)
		}
	}
}

// handle runs the command with a value. When ctx ends it is interrupted, and killed if it does not end then.
func (c *call) handle(ctx context.Context, index uint64, value []byte, shell bool) error {
	args := c.args
	if shell {
		args = []string{cmp.Or(os.Getenv("SHELL"), "/bin/sh"), "-c", strings.Join(c.args, " ")}
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(os.Environ(), "CONSUL_INDEX="+strconv.FormatUint(index, 10))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(value), os.Stdout, os.Stderr
	return cmd.Run()
}
