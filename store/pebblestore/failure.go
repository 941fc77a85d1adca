package pebblestore

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"concord/store"
)

// ErrFull says that the disk is full.
var ErrFull = errors.New("the disk is full: free some space and start again")

// FailedError is returned by every call on a store whose disk has failed. What a failed sync was to make durable is
// lost although later syncs may succeed, so that nothing may be built on it any more: the store has to be opened anew,
// which finds what is on the disk.
type FailedError struct {
	Err error // what failed first
}

// Error tells what failed and what to do.
func (e *FailedError) Error() string {
	if errors.Is(e.Err, ErrFull) {
		return e.Err.Error()
	}
	return "the disk failed: " + e.Err.Error() + ": check the disk, and start again"
}

// Unwrap returns what failed.
func (e *FailedError) Unwrap() error { return e.Err }

// fail ends the use of the store: it wakes everybody who waits, and every later call is refused.
func (s *Store) fail(err error) {
	failed := &FailedError{Err: explain(err)}
	if !s.failed.CompareAndSwap(nil, failed) {
		return
	}
	close(s.broken)
	if s.onFatal != nil && s.opened.Load() {
		s.onFatal(failed)
	}
}

// retryPause is how often Pebble tries again what failed in the background, which it does without end.
const retryPause = time.Second

// backgroundError is told what nobody else is, such as a compaction that cannot read its input.
func (s *Store) backgroundError(err error) {
	s.fail(err)
	time.Sleep(retryPause)
}

// failure returns why the store failed, nil if it did not.
func (s *Store) failure() error {
	if f := s.failed.Load(); f != nil {
		return f
	}
	return nil
}

// explain adds what to do to errors that a person can do something about.
func explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w (%w)", ErrFull, err)
	}
	return err
}

// enter begins a call that leave ends, or tells why the store takes none.
func (s *Store) enter() error {
	if !s.gate.enter() {
		return store.ErrClosed
	}
	if err := s.failure(); err != nil {
		s.gate.leave()
		return err
	}
	return nil
}

func (s *Store) leave() { s.gate.leave() }

// await runs f, which may wait for the disk, and returns when it does, or when the store fails: what waits inside
// Pebble is then never woken. f may still be running after an error of type *FailedError, and what it uses must not
// be used again.
func (s *Store) await(f func() error) error {
	done := make(chan error, 1)
	go func() {
		// Pebble panics when it cannot begin a new log, with locks held.
		defer func() {
			if p := recover(); p != nil {
				err, ok := p.(error)
				if !ok {
					err = fmt.Errorf("%v", p)
				}
				s.fail(err)
			}
		}()
		done <- f()
	}()
	select {
	case err := <-done:
		return err
	case <-s.broken:
		return s.failure()
	}
}

// logger takes what Pebble logs.
type logger Store

func (*logger) Infof(string, ...any)  {}
func (*logger) Errorf(string, ...any) {}

// Fatalf is what Pebble calls when it cannot go on. It must not return to its caller, which would go on as if nothing
// had happened. Whoever waits for that goroutine is woken by fail.
func (l *logger) Fatalf(format string, args ...any) {
	(*Store)(l).fail(fmt.Errorf(format, args...))
	select {}
}
