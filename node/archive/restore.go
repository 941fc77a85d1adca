package archive

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"time"

	"github.com/google/uuid"

	"concord/wire"
)

// MaxSize bounds an archive to be restored, in bytes.
const MaxSize = 16 << 30

// ErrTooLarge says that an archive is above MaxSize.
var ErrTooLarge = fmt.Errorf("the snapshot is larger than %d bytes", int64(MaxSize))

const (
	// stepTimeout is how long a step of a restore is tried: through elections, but not for ever.
	stepTimeout = time.Minute
	stepPause   = 200 * time.Millisecond
	// abortTimeout bounds the tidying up after a failed restore. The next restore does it, too.
	abortTimeout = 5 * time.Second
)

// Restore replaces the state of a cluster by an archive's, and returns once the leader serves it. The archive is read into a
// temporary file in dir (as by Save) and checked to its end before anything is changed.
func Restore(ctx context.Context, c Cluster, archive io.Reader, dir string) (Meta, error) {
	f, err := tempFile(dir)
	if err != nil {
		return Meta{}, err
	}
	defer closeTemp(f)
	m, err := spool(f, archive)
	if err != nil {
		return Meta{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return Meta{}, err
	}
	r := &restore{c: c, id: uuid.NewString()}
	if err := r.run(ctx, f, m); err != nil {
		r.abort(ctx)
		return Meta{}, fmt.Errorf("failed to restore snapshot: %w", err)
	}
	return m, nil
}

// spool writes an archive to f and checks it on the way.
func spool(f *os.File, archive io.Reader) (Meta, error) {
	in := &io.LimitedReader{R: archive, N: MaxSize + 1}
	m, err := Read(io.TeeReader(in, f), func([]byte) error { return nil })
	if in.N <= 0 {
		return m, ErrTooLarge
	}
	return m, err
}

// restore is a restore under way.
type restore struct {
	c        Cluster
	id       string
	chunks   uint64
	checksum uint32
}

// run carries out a restore. The servers keep what they have until the last step, which comes after the archive was found
// whole once more.
func (r *restore) run(ctx context.Context, f *os.File, m Meta) error {
	if err := r.step(ctx, wire.Restore{Step: wire.RestoreBegin}); err != nil {
		return err
	}
	_, err := Read(f, func(records []byte) error {
		err := r.step(ctx, wire.Restore{Step: wire.RestoreChunk, Seq: r.chunks, Data: records})
		r.chunks++
		r.checksum = crc32.Update(r.checksum, castagnoli, records)
		return err
	})
	if err != nil {
		return err
	}
	return r.step(ctx, wire.Restore{Step: wire.RestoreEnd, Seq: r.chunks, Checksum: r.checksum, Index: m.Index})
}

// step makes a command, again and again while it is unknown whether it took effect: a step that comes twice takes
// effect once.
func (r *restore) step(ctx context.Context, cmd wire.Restore) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	cmd.ID = r.id
	req := &wire.Request{Command: wire.AppendRestore(nil, &cmd)}
	for {
		resp := r.c.Do(ctx, req)
		switch {
		case resp.Code == wire.OK && resp.Result.Err == "":
			return nil
		case resp.Code == wire.OK:
			return errors.New(resp.Result.Err)
		case resp.Code == wire.Refused:
			return &RequestError{resp}
		}
		select {
		case <-ctx.Done():
			return &RequestError{resp}
		case <-time.After(stepPause):
		}
	}
}

// abort frees what was written. That it cannot be told is no harm.
func (r *restore) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	r.c.Do(ctx, &wire.Request{Command: wire.AppendRestore(nil, &wire.Restore{Step: wire.RestoreAbort, ID: r.id})})
}
