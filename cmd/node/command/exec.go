package command

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"concord/agent/rexec"
	"concord/agent/userevent"
)

// execution is a command that runs on agents, as seen by who sent it.
type execution struct {
	c       *call
	base    string // the prefix in the KV store
	wait    time.Duration
	verbose bool

	seen                   map[string]bool // keys
	acked, exited, badExit int
}

func remoteExec(fs *flag.FlagSet) func(*call) error {
	var filter eventFilter
	filter.flags(fs)
	prefix := fs.String("prefix", "_rexec", "Prefix in the KV store to use for request data.")
	shell := fs.Bool("shell", true, "Use a shell to run the command.")
	wait := fs.Duration("wait", time.Second, "Period to wait with no responses before terminating execution.")
	waitRepl := fs.Duration("wait-repl", 200*time.Millisecond, "Period to wait for replication before firing event.")
	verbose := fs.Bool("verbose", false, "Enables verbose output.")
	return func(c *call) error {
		spec, err := c.execSpec(*shell)
		switch {
		case err != nil:
			return err
		case filter.tag != "" && filter.service == "":
			return badUsage("Cannot provide tag filter without service filter.")
		case *prefix == "" || *wait <= 0 || *waitRepl < 0:
			return badUsage("-prefix must not be empty, -wait must be positive and -wait-repl not negative")
		}
		spec.Wait = *wait
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		session := uuid.NewString()
		x := &execution{c: c, base: path.Join(*prefix, session), wait: *wait, verbose: *verbose, seen: map[string]bool{}}
		return x.run(ctx, spec, rexec.Event{Prefix: *prefix, Session: session}, filter, *waitRepl)
	}
}

// execSpec is the job that the arguments describe.
func (c *call) execSpec(shell bool) (rexec.Spec, error) {
	switch {
	case len(c.args) == 0:
		return rexec.Spec{}, badUsage("Must specify a command to execute")
	case len(c.args) == 1 && c.args[0] == "-":
		text, err := io.ReadAll(c.stdin)
		if err == nil && len(text) == 0 {
			return rexec.Spec{}, badUsage("Must specify a script on standard input")
		}
		return rexec.Spec{Script: text}, err
	case shell:
		return rexec.Spec{Command: strings.Join(c.args, " ")}, nil
	}
	return rexec.Spec{Args: c.args}, nil
}

// run sends the job, shows what comes of it, and takes it away in the end: agents that still run it then end it.
func (x *execution) run(ctx context.Context, spec rexec.Spec, e rexec.Event, filter eventFilter, waitRepl time.Duration) (err error) {
	job, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	if _, err := x.c.api.Do(http.MethodPut, kvPath(x.base+"/job"), nil, job); err != nil {
		return fmt.Errorf("Failed to create job file: %w", err)
	}
	defer func() {
		if _, failed := x.c.api.Do(http.MethodDelete, kvPath(x.base), url.Values{"recurse": {""}}, nil); failed != nil && err == nil {
			err = fmt.Errorf("Failed to cleanup: delete the keys below %s: %w", x.base, failed)
		}
	}()
	x.say("Uploaded remote execution spec")
	if !pause(ctx, waitRepl) {
		return exit(1)
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return err
	}
	id, err := x.c.fire(userevent.RemoteExec, payload, filter)
	if err != nil {
		return fmt.Errorf("Failed to fire event: %w", err)
	}
	x.say("Fired remote execution event: " + id)
	return x.follow(ctx)
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (x *execution) say(text string) {
	if x.verbose {
		x.c.ui.Info(text)
	}
}

// follow shows what the agents write until all that began have ended and nobody else begins for a while.
func (x *execution) follow(ctx context.Context) error {
	start := time.Now()
	last, index := start, uint64(0)
	for {
		patience := x.wait
		if x.acked > x.exited {
			patience *= 2
		}
		left := patience - time.Since(last)
		if left <= 0 {
			return x.finish(start)
		}
		keys, next, err := x.keys(ctx, index, left)
		switch {
		case ctx.Err() != nil:
			return exit(1)
		case err != nil:
			return fmt.Errorf("Failed to read the results: %w", err)
		}
		index = next
		for _, key := range keys {
			if x.seen[key] {
				continue
			}
			x.seen[key], last = true, time.Now()
			if err := x.show(ctx, strings.TrimPrefix(key, x.base+"/")); err != nil {
				return err
			}
		}
	}
}

// keys lists the keys of the job in an order in which a node's output comes before its end.
func (x *execution) keys(ctx context.Context, index uint64, wait time.Duration) (keys []string, next uint64, err error) {
	body, next, err := x.c.api.Watch(ctx, kvPath(x.base+"/"), url.Values{"keys": {""}}, index, wait)
	if err != nil {
		return nil, 0, err
	}
	err = json.Unmarshal(bytes.TrimSpace(body), &keys)
	slices.SortFunc(keys, func(a, b string) int {
		late := func(key string) int { return map[bool]int{true: 1}[path.Base(key) == "exit"] }
		return cmp.Or(late(a)-late(b), strings.Compare(a, b))
	})
	return keys, next, err
}

// show shows a key: NODE/ack, NODE/out/00000 or NODE/exit.
func (x *execution) show(ctx context.Context, key string) error {
	node, what, ok := strings.Cut(key, "/")
	if !ok {
		return nil // the job
	}
	if what == "ack" {
		x.acked++
		x.say(fmt.Sprintf("==> %s: acknowledged", node))
		return nil
	}
	value, _, err := x.c.api.Watch(ctx, kvPath(x.base+"/"+key), url.Values{"raw": {""}}, 0, 0)
	if err != nil {
		return fmt.Errorf("Failed to read %s: %w", key, err)
	}
	switch {
	case strings.HasPrefix(what, "out/") && len(value) == 0:
		x.say(fmt.Sprintf("==> %s: still running", node))
	case strings.HasPrefix(what, "out/"):
		for _, line := range strings.Split(strings.TrimSuffix(string(value), "\n"), "\n") {
			x.c.ui.Output(fmt.Sprintf("    %s: %s", node, line))
		}
	case what == "exit":
		x.exited++
		code, err := strconv.Atoi(string(value))
		if err != nil || code != 0 {
			x.badExit++
		}
		x.c.ui.Info(fmt.Sprintf("==> %s: finished with exit code %s", node, value))
	}
	return nil
}

func (x *execution) finish(start time.Time) error {
	x.c.ui.Info(fmt.Sprintf("%d / %d node(s) completed / acknowledged", x.exited, x.acked))
	x.say(fmt.Sprintf("Completed in %.2f seconds", time.Since(start).Seconds()))
	if x.acked == 0 {
		x.c.ui.Warn("No node acknowledged: is there one that the filters let through and that has disable_remote_exec = false?")
	}
	if x.badExit > 0 || x.exited < x.acked {
		return exit(2)
	}
	return nil
}
