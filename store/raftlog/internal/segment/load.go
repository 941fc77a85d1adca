package segment

import (
	"encoding/binary"
	"errors"
	"io"
)

// load replays a segment and makes it the current one.
func (l *Log) load(number uint64, newest bool, replay func(Group) error) error {
	f, err := l.open(number)
	if err != nil {
		return err
	}
	data := make([]byte, f.size)
	if _, err = f.f.ReadAt(data, 0); errors.Is(err, io.EOF) {
		err = nil
	}
	if err == nil {
		err = l.replay(f, data, newest, replay)
	}
	if err != nil || f.end == 0 {
		return errors.Join(err, f.f.Close())
	}
	l.files = append(l.files, f)
	return nil
}

// replay reads the groups of a segment. One without any, whose end stays 0, is dropped if it is the newest and not the
// only one: a crash came before its head was durable.
func (l *Log) replay(f *file, data []byte, newest bool, replay func(Group) error) error {
	var broken bool
	var err error
	f.last, f.end, broken, err = scan(data, f.number, func(at int64, body []byte) error {
		g := Group{Place: Place{f.number, at}, First: len(l.files) == 0 && at == HeaderBytes, Head: at == HeaderBytes, Bytes: body}
		if !g.Head {
			return replay(g)
		}
		if len(body) < 8 {
			return damaged("%s has no head", segmentName(f.number))
		}
		before := int64(binary.BigEndian.Uint64(body))
		g.At, g.Bytes = at+8, body[8:]
		if n := len(l.files); n > 0 && l.files[n-1].end != before {
			return l.cut(before)
		}
		return replay(g)
	})
	switch {
	case err != nil:
		return err
	case broken:
		return damaged("%s is damaged at byte %d", segmentName(f.number), f.end)
	case f.end == 0 && newest && len(l.files) > 0:
		return l.fs.Remove(l.path(segmentName(f.number)))
	case f.end == 0:
		return damaged("%s is damaged at its beginning", segmentName(f.number))
	}
	return nil
}

// cut says that the segment read last ended elsewhere than it does now.
func (l *Log) cut(want int64) error {
	c := l.current()
	return damaged("%s is damaged at byte %d: it ended at byte %d", segmentName(c.number), c.end, want)
}

// settle makes durable what was found, because it may be in no more than the memory of the machine: a process that was
// killed, or whose sync failed, can have left it there. It is only ever the last group. That is written again, as after
// a sync that failed the system takes its pages for clean.
func (l *Log) settle() error {
	c := l.current()
	p := make([]byte, c.end-c.last)
	if _, err := c.f.ReadAt(p, c.last); err != nil {
		return err
	}
	if _, err := c.f.WriteAt(p, c.last); err != nil {
		return l.fail(err)
	}
	if err := c.f.Sync(); err != nil {
		return l.fail(err)
	}
	if err := l.folder.Sync(); err != nil {
		return l.fail(err)
	}
	return nil
}

// Drop drops the segments before one, which may be needed no more by anybody who reads. It fails with a *FailedError if
// the disk does.
func (l *Log) Drop(before uint64) error {
	if err := l.failure(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for ; n < len(l.files)-1 && l.files[n].number < before; n++ {
		if err := l.discard(l.files[n]); err != nil {
			l.files = l.files[n+1:]
			return l.fail(err)
		}
	}
	if n == 0 {
		return nil
	}
	l.files = append([]*file{}, l.files[n:]...)
	// Before a spare is written, as else a crash could leave what was written under the old name.
	if err := l.folder.Sync(); err != nil {
		return l.fail(err)
	}
	return nil
}

// discard removes a segment, or keeps its file to be used again.
func (l *Log) discard(f *file) error {
	if err := f.f.Close(); err != nil {
		return err
	}
	name := segmentName(f.number)
	if len(l.spares) >= l.sizes.Spares || f.size > l.sizes.Segment {
		return l.fs.Remove(l.path(name))
	}
	spare := name[:len(name)-len(segmentEnds)] + spareEnds
	if err := l.fs.Rename(l.path(name), l.path(spare)); err != nil {
		return err
	}
	l.spares = append(l.spares, spare)
	return nil
}
