package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"concord/catalog"
	"concord/store"
	"concord/wire"
)

// maxIndex bounds the index that an archive may claim, so that there is always room above it.
const maxIndex = 1 << 62

// progress is how far the newest restore is.
type progress struct {
	id       string // empty: there is none
	done     bool
	chunks   uint64
	checksum uint32 // of the chunks' data
}

// refusal is why a step was refused; nothing was changed. It is the same on every server.
type refusal string

func refuse(format string, args ...any) refusal { return refusal(fmt.Sprintf(format, args...)) }

// restoreStep carries out a command of a restore at a Raft index, and tells whether it replaced the state.
func restoreStep(b store.Batch, l *lineage, raftIndex uint64, data []byte) (result catalog.Result, replaced bool, err error) {
	c, err := wire.DecodeRestore(data)
	if err != nil {
		return catalog.Result{Err: err.Error(), Index: l.index(raftIndex)}, false, nil
	}
	p, err := readProgress(b)
	if err != nil {
		return catalog.Result{}, false, err
	}
	why := refusal("")
	switch {
	case c.ID == "":
		why = refuse("a restore needs an ID")
	case c.Step == wire.RestoreBegin:
		err = p.begin(b, *l, c.ID)
	case c.ID != p.id:
		why = refuse("restore %s is not under way: another one has begun; restore again", c.ID)
	case p.done:
		// It came again, after its answer was lost.
	case c.Step == wire.RestoreChunk:
		why, err = p.add(b, *l, c)
	case c.Step == wire.RestoreEnd:
		why, err = p.end(b, l, raftIndex, c)
		replaced = why == "" && err == nil
	case c.Step == wire.RestoreAbort:
		err = errors.Join(clearHalf(b, !l.upper), b.Delete(keyRestore))
	default:
		why = refuse("unknown step %d of a restore: the servers run an older version", c.Step)
	}
	return catalog.Result{OK: why == "", Err: string(why), Index: l.index(raftIndex)}, replaced, err
}

func (p *progress) begin(b store.Batch, l lineage, id string) error {
	if p.id == id {
		return nil
	}
	return errors.Join(clearHalf(b, !l.upper), b.Set(keyRestore, progress{id: id}.encode()))
}

// add writes a chunk into the half that is free. Chunks come in order; one that came before is written already.
func (p *progress) add(b store.Batch, l lineage, c wire.Restore) (refusal, error) {
	if c.Seq < p.chunks {
		return "", nil
	}
	if c.Seq > p.chunks {
		return refuse("chunk %d of restore %s is missing", p.chunks, c.ID), nil
	}
	for rest := c.Data; len(rest) > 0; {
		var k []byte
		var ok bool
		if k, _, rest, ok = catalog.CutRecord(rest); !ok || len(k) == 0 || k[0] < catalog.FirstKey || k[0] >= catalog.LastKey {
			return refuse("chunk %d of restore %s is malformed", c.Seq, c.ID), nil
		}
	}
	for rest := c.Data; len(rest) > 0; {
		var k, v []byte
		k, v, rest, _ = catalog.CutRecord(rest)
		if err := b.Set(inHalf(k, !l.upper), v); err != nil {
			return "", err
		}
	}
	p.chunks++
	p.checksum = crc32.Update(p.checksum, castagnoli, c.Data)
	return "", b.Set(keyRestore, p.encode())
}

// end makes the free half the catalog's and frees the other. From here on indexes are above the archive's.
func (p *progress) end(b store.Batch, l *lineage, raftIndex uint64, c wire.Restore) (refusal, error) {
	if c.Seq != p.chunks || c.Checksum != p.checksum {
		return refuse("restore %s is not complete: %d chunks came of %d, or they are not those of the archive", c.ID, p.chunks, c.Seq), nil
	}
	if c.Index > maxIndex {
		return refuse("index %d of the archive is too large", c.Index), nil
	}
	was := l.upper
	if l.index(raftIndex) <= c.Index {
		l.offset = c.Index + 1 - raftIndex
	}
	l.upper, l.floor = !was, l.index(raftIndex)
	p.done = true
	return "", errors.Join(clearHalf(b, was), b.Set(keyRestore, p.encode()))
}

func clearHalf(b store.Batch, upper bool) error {
	lo, hi := bounds(upper)
	return b.DeleteRange(lo, hi)
}

const progressHead = 13

func (p progress) encode() []byte {
	done := byte(0)
	if p.done {
		done = 1
	}
	out := binary.BigEndian.AppendUint64(append(make([]byte, 0, progressHead+len(p.id)), done), p.chunks)
	return append(binary.BigEndian.AppendUint32(out, p.checksum), p.id...)
}

func readProgress(r store.Reader) (p progress, err error) {
	v, ok, err := r.Get(keyRestore)
	if err != nil || !ok {
		return p, err
	}
	if len(v) <= progressHead || v[0] > 1 {
		return p, errors.New("state: the progress of a restore is unreadable: the state store is corrupt")
	}
	return progress{done: v[0] == 1, chunks: binary.BigEndian.Uint64(v[1:]), checksum: binary.BigEndian.Uint32(v[9:]), id: string(v[progressHead:])}, nil
}
