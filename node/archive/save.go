package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/uuid"

	"concord/catalog"
	"concord/wire"
)

// Cluster carries requests to whoever can answer them.
type Cluster interface {
	Do(ctx context.Context, req *wire.Request) *wire.Response
}

// RequestError is an answer of the cluster that is none.
type RequestError struct{ Response *wire.Response }

// Error tells why there is no answer.
func (e *RequestError) Error() string { return e.Response.Err }

// saveAttempts is how often a save is begun: the server that holds the snapshot may stop leading, or fail.
const saveAttempts = 3

// Saved is a state that was read from a cluster, in a temporary file.
type Saved struct {
	Meta Meta
	// First is the answer that came with the first page; it tells of its freshness.
	First *wire.Response
	state *os.File
}

// Save reads the state of a cluster, as it is at one moment, into a temporary file in dir; empty: the system's folder for
// those. With wire.Stale any server may answer.
func Save(ctx context.Context, c Cluster, level wire.Consistency, dir string) (*Saved, error) {
	f, err := tempFile(dir)
	if err != nil {
		return nil, err
	}
	s := &Saved{state: f}
	for range saveAttempts {
		if err = s.read(ctx, c, level); err == nil {
			return s, nil
		}
		var refused *RequestError
		if !errors.As(err, &refused) || ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(err, s.Close())
}

// tempFile makes a file that has no name any more, where the system allows it: nothing is left of it after a crash.
func tempFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "snapshot-*.tmp")
	if err != nil {
		return nil, fmt.Errorf("failed to create temp snapshot file: %w", err)
	}
	os.Remove(f.Name())
	return f, nil
}

func closeTemp(f *os.File) error {
	err := f.Close()
	if removed := os.Remove(f.Name()); !errors.Is(removed, os.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return err
}

// Close removes the temporary file.
func (s *Saved) Close() error { return closeTemp(s.state) }

// read reads all pages, from the beginning.
func (s *Saved) read(ctx context.Context, c Cluster, level wire.Consistency) error {
	if _, err := s.state.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := s.state.Truncate(0); err != nil {
		return err
	}
	w := newStateWriter(s.state)
	s.First = nil
	for q := (&catalog.SnapshotQuery{ID: uuid.NewString()}); ; {
		resp := c.Do(ctx, &wire.Request{Read: &wire.Read{Query: q, Consistency: level}})
		if resp.Code != wire.OK {
			return &RequestError{resp}
		}
		page, ok := resp.Answer.Value.(*catalog.SnapshotPage)
		if !ok || s.First != nil && page.Index != s.Meta.Index {
			return errors.New("failed to read the snapshot: the servers run another version")
		}
		if s.First == nil {
			id := fmt.Sprintf("%d-%d-%d", page.Term, page.Index, time.Now().UnixMilli())
			s.First, s.Meta = resp, Meta{Version: Version, ID: id, Index: page.Index, Term: page.Term}
		}
		if err := w.block(page.Records); err != nil {
			return fmt.Errorf("failed to write temp snapshot file: %w", err)
		}
		if page.Next == nil {
			break
		}
		q = &catalog.SnapshotQuery{ID: q.ID, Cursor: page.Next}
	}
	var err error
	if s.Meta.Size, err = w.close(); err != nil {
		return fmt.Errorf("failed to write temp snapshot file: %w", err)
	}
	return nil
}

// Write writes the archive.
func (s *Saved) Write(w io.Writer) error {
	if _, err := s.state.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return Write(w, s.Meta, bufio.NewReader(s.state))
}
