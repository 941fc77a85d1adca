package rexec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	// pieceSize is how much output a key has at most; pieceTime is how long output waits for more.
	pieceSize = 4 << 10
	pieceTime = 500 * time.Millisecond
)

// execute runs the command and tells its output. The exit code is 255 if it did not come to an end of its own.
func (j *job) execute(s *Spec) (int, error) {
	ctx, stop := context.WithTimeoutCause(j.x.ctx, MaxTime, errTooLong)
	defer stop()
	ctx, kill := context.WithCancelCause(ctx)
	defer kill(nil)
	cmd, clean, err := command(ctx, s)
	if err != nil {
		return 255, err
	}
	defer clean()
	t := &teller{j: j, ctx: ctx, kill: kill, pieces: make(chan []byte), done: make(chan struct{})}
	cmd.Stdout = &output{pieces: t.pieces, left: MaxOutput, kill: kill}
	cmd.Stderr = cmd.Stdout // one writer: what both print comes in order
	go t.run(s.Wait)
	err = cmd.Run()
	t.end(err)
	var exit *exec.ExitError
	switch cause := context.Cause(ctx); {
	case cause != nil:
		return 255, cause
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode(), nil
	}
	return 255, err
}

// command makes what is to be run, in a process group of its own that is killed as a whole.
func command(ctx context.Context, s *Spec) (cmd *exec.Cmd, clean func(), err error) {
	shell := cmp.Or(os.Getenv("SHELL"), "/bin/sh")
	clean = func() {}
	switch {
	case len(s.Script) > 0:
		name, err := writeScript(s.Script)
		if err != nil {
			return nil, nil, err
		}
		cmd, clean = exec.CommandContext(ctx, shell, "-c", name), func() { os.Remove(name) }
	case len(s.Args) > 0:
		cmd = exec.CommandContext(ctx, s.Args[0], s.Args[1:]...)
	default:
		cmd = exec.CommandContext(ctx, shell, "-c", s.Command)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second // for those that left the group and hold the output open
	return cmd, clean, nil
}

// writeScript keeps a script in a file that only this user can read, and run. While it is written no other command is started: its
// process would hold the file open for a moment, and a file that is open for writing cannot be run.
func writeScript(text []byte) (string, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	f, err := os.CreateTemp("", "rexec")
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(0o700), f.Close()); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// output takes what a command prints.
type output struct {
	pieces chan<- []byte
	left   int
	kill   context.CancelCauseFunc
}

// Write hands on a copy. If there was too much, the command is killed.
func (o *output) Write(p []byte) (int, error) {
	if o.left -= len(p); o.left < 0 {
		o.kill(errTooMuch)
		return 0, errTooMuch
	}
	o.pieces <- append([]byte{}, p...) // the teller takes all, to the end
	return len(p), nil
}

// teller writes the output of a command to the KV store, and signs of life.
type teller struct {
	j       *job
	ctx     context.Context // of the command
	kill    context.CancelCauseFunc
	pieces  chan []byte
	done    chan struct{}
	waiting []byte
	count   int
	failed  bool // nothing is told any more
}

// run tells until the pieces end.
func (t *teller) run(life time.Duration) {
	defer close(t.done)
	timer := time.NewTimer(life)
	defer timer.Stop()
	for {
		select {
		case p, more := <-t.pieces:
			if !more {
				return
			}
			if len(t.waiting) == 0 {
				timer.Reset(min(pieceTime, life))
			}
			t.waiting = append(t.waiting, p...)
			for len(t.waiting) >= pieceSize {
				t.put(t.waiting[:pieceSize])
				t.waiting = t.waiting[pieceSize:]
			}
		case <-timer.C:
			t.put(t.waiting)
			t.waiting = nil
			timer.Reset(life)
		}
	}
}

// put tells a piece. If that is not possible, the command is killed: nobody would know what it did.
func (t *teller) put(p []byte) {
	if t.failed {
		return
	}
	if err := t.j.put(t.j.x.ctx, fmt.Sprintf("out/%05x", t.count), p); err != nil {
		t.failed = true
		t.kill(err)
	}
	t.count++
}

// end tells what is left, and why the command did not end by itself, if it did not.
func (t *teller) end(err error) {
	close(t.pieces)
	<-t.done
	var exit *exec.ExitError
	if cause := context.Cause(t.ctx); cause != nil {
		t.waiting = fmt.Appendf(t.waiting, "\nkilled: %v\n", cause)
	} else if err != nil && !errors.As(err, &exit) {
		t.waiting = fmt.Appendf(t.waiting, "%v\n", err)
	}
	if len(t.waiting) > 0 {
		t.put(t.waiting)
	}
}
