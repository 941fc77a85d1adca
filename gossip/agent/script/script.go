// Package script runs the scripts that a gossip agent has for events.
package script

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"concord/gossip/agent/event"
	"concord/swim"
)

// Script is a command of the shell for the events that a filter chooses.
type Script struct {
	event.Filter
	Command string
}

// Parse reads a script as it is configured: a command for all events, or filters and a command ("user:deploy=deploy.sh").
// There is one Script for each filter.
func Parse(s string) ([]Script, error) {
	types, command, ok := strings.Cut(s, "=")
	if !ok {
		types, command = "", s
	}
	filters, err := event.ParseFilters(types)
	if err != nil {
		return nil, fmt.Errorf("Invalid event script: %q: %w", s, err)
	}
	if command == "" {
		return nil, fmt.Errorf("Invalid event script: %q has no command", s)
	}
	var out []Script
	for _, f := range filters {
		out = append(out, Script{f, command})
	}
	return out, nil
}

const (
	// Timeout is how long a script may run before it is killed, with all that it started in its process group.
	Timeout = 5 * time.Minute
	// slow is when a script that still runs is worth a line in the log.
	slow = time.Second
	// maxOutput is how much of a script's output is kept: the end of it.
	maxOutput = 8 << 10
	// outputGrace is how long the output of a script that has ended is waited for, which something in the background may hold open.
	outputGrace = time.Second
)

var notInNames = regexp.MustCompile(`[^A-Z0-9_]`)

// environment is what a script gets beside the agent's own environment.
func environment(self *swim.Member, e *event.Event) []string {
	env := []string{"SERF_EVENT=" + e.Type, "SERF_SELF_NAME=" + self.Name, "SERF_SELF_ROLE=" + self.Tags["role"]}
	for _, name := range slices.Sorted(maps.Keys(self.Tags)) {
		env = append(env, "SERF_TAG_"+notInNames.ReplaceAllString(strings.ToUpper(name), "_")+"="+self.Tags[name])
	}
	switch e.Type {
	case event.User:
		env = append(env, "SERF_USER_EVENT="+e.User.Name, fmt.Sprintf("SERF_USER_LTIME=%d", e.User.LTime))
	case event.Query:
		env = append(env, "SERF_QUERY_NAME="+e.Query.Name, fmt.Sprintf("SERF_QUERY_LTIME=%d", e.Query.ID.LTime))
	}
	for i := range env {
		env[i] = strings.ReplaceAll(env[i], "\x00", "") // no environment can have it, and no script would be started
	}
	return env
}

// stdin is what a script reads: a line for each member, or the payload, which ends with a newline because shells
// that read lines want one.
func stdin(e *event.Event) []byte {
	var b bytes.Buffer
	switch e.Type {
	case event.User:
		b.Write(e.User.Payload)
	case event.Query:
		b.Write(e.Query.Payload)
	default:
		for i := range e.Members {
			m := &e.Members[i]
			fmt.Fprintf(&b, "%s\t%s\t%s\t%s\n", field(m.Name), m.Addr.Addr().Unmap(), field(m.Tags["role"]), field(tags(m.Tags)))
		}
	}
	if b.Len() > 0 && b.Bytes()[b.Len()-1] != '\n' {
		b.WriteByte('\n')
	}
	return b.Bytes()
}

var escapes = strings.NewReplacer("\t", `\t`, "\n", `\n`)

// field is a value in a line: what separates fields and lines is escaped.
func field(s string) string { return escapes.Replace(s) }

func tags(t map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(t)) {
		out = append(out, name+"="+t[name])
	}
	return strings.Join(out, ",")
}

// run runs a script to its end and returns what it wrote.
func run(ctx context.Context, timeout time.Duration, command string, self *swim.Member, e *event.Event) (output tail, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Env = append(os.Environ(), environment(self, e)...)
	cmd.Stdin = bytes.NewReader(stdin(e))
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = outputGrace
	err = cmd.Run()
	switch {
	case ctx.Err() == context.DeadlineExceeded:
		err = fmt.Errorf("killed after %v", timeout)
	case err == exec.ErrWaitDelay:
		err = nil // the script has ended well; what it left in the background is its own affair
	}
	return output, err
}

// tail keeps the end of what is written to it.
type tail struct {
	kept  []byte
	total int
}

// Write takes in everything.
func (t *tail) Write(p []byte) (int, error) {
	t.total += len(p)
	t.kept = append(t.kept, p...)
	if extra := len(t.kept) - maxOutput; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
	return len(p), nil
}
