package wire

import (
	"time"

	"concord/raft"
)

// AppendRaft appends an encoded message to dst.
func AppendRaft(dst []byte, m *raft.Message) []byte {
	if dst == nil {
		dst = make([]byte, 0, raftSize(m))
	}
	p := appendArray(append(dst, Version), 20)
	p = appendUint(p, uint64(m.Type))
	p = appendString(p, string(m.From))
	p = appendString(p, string(m.To))
	p = appendUint(p, m.Term)
	p = appendUint(p, m.LastIndex)
	p = appendUint(p, m.LastTerm)
	p = appendBool(p, m.Transfer)
	p = appendUint(p, m.PrevIndex)
	p = appendUint(p, m.PrevTerm)
	p = appendArray(p, len(m.Entries))
	for i := range m.Entries {
		p = appendEntry(p, &m.Entries[i])
	}
	p = appendUint(p, m.Commit)
	p = appendInt(p, int64(m.SentAt))
	p = appendUint(p, m.Round)
	p = appendBool(p, m.Reject)
	p = appendUint(p, m.Match)
	p = appendUint(p, m.HintIndex)
	p = appendUint(p, m.HintTerm)
	p = appendSnapshot(p, m)
	p = appendUint(p, m.ReadID)
	return appendUint(p, m.Index)
}

// raftSize is about how long a message gets.
func raftSize(m *raft.Message) int {
	n := 192 + len(m.Chunk) + len(m.Cursor) + len(m.Next)
	for i := range m.Entries {
		n += 32 + len(m.Entries[i].Data)
	}
	return n
}

func appendEntry(p []byte, e *raft.Entry) []byte {
	p = appendArray(p, 4)
	p = appendUint(p, e.Term)
	p = appendUint(p, e.Index)
	p = appendUint(p, uint64(e.Type))
	if e.Type == raft.EntryConfig && e.Config != nil {
		return appendConfig(p, e.Config)
	}
	return appendBytes(p, e.Data)
}

func appendConfig(p []byte, c *raft.Configuration) []byte {
	p = appendArray(p, len(c.Servers))
	for _, s := range c.Servers {
		p = appendArray(p, 3)
		p = appendString(p, string(s.ID))
		p = appendString(p, s.Address)
		p = appendUint(p, uint64(s.Suffrage))
	}
	return p
}

// appendSnapshot writes the fields of a snapshot's chunk, or an empty array where there are none.
func appendSnapshot(p []byte, m *raft.Message) []byte {
	if m.Snapshot == nil {
		return appendArray(p, 0)
	}
	p = appendArray(p, 8)
	p = appendUint(p, m.Snapshot.Index)
	p = appendUint(p, m.Snapshot.Term)
	p = appendConfig(p, &m.Snapshot.Config)
	p = appendUint(p, m.Snapshot.ConfigIndex)
	p = appendBytes(p, m.Cursor)
	p = appendBytes(p, m.Chunk)
	p = appendBytes(p, m.Next)
	return appendBool(p, m.Done)
}

// DecodeRaft decodes what AppendRaft wrote. Entries' data and chunks alias p.
func DecodeRaft(p []byte) (raft.Message, error) {
	r := begin(p)
	more := r.fields(20)
	var m raft.Message
	m.Type = raft.MessageType(r.small())
	m.From, m.To = raft.ID(r.string()), raft.ID(r.string())
	m.Term, m.LastIndex, m.LastTerm = r.uint(), r.uint(), r.uint()
	m.Transfer = r.bool()
	m.PrevIndex, m.PrevTerm = r.uint(), r.uint()
	if n := r.array(); n > 0 {
		// An entry takes at least five bytes, so this is at most a constant factor of the input.
		m.Entries = make([]raft.Entry, 0, min(n, len(r.p)/5+1))
		for range n {
			m.Entries = append(m.Entries, r.entry())
			if r.err != nil {
				break
			}
		}
	}
	m.Commit, m.SentAt, m.Round = r.uint(), time.Duration(r.int()), r.uint()
	m.Reject = r.bool()
	m.Match, m.HintIndex, m.HintTerm = r.uint(), r.uint(), r.uint()
	r.snapshot(&m)
	m.ReadID, m.Index = r.uint(), r.uint()
	r.skip(more)
	if err := r.end(); err != nil {
		return raft.Message{}, err
	}
	return m, nil
}

// small reads a number that fits a byte.
func (r *reader) small() uint8 {
	v := r.uint()
	if v > 255 {
		r.fail("number out of range")
		return 0
	}
	return uint8(v)
}

func (r *reader) entry() raft.Entry {
	more := r.fields(4)
	e := raft.Entry{Term: r.uint(), Index: r.uint(), Type: raft.EntryType(r.small())}
	if e.Type == raft.EntryConfig {
		c := r.config()
		e.Config = &c
	} else {
		e.Data = r.bytes()
	}
	r.skip(more)
	return e
}

func (r *reader) config() (c raft.Configuration) {
	for range r.array() {
		more := r.fields(3)
		c.Servers = append(c.Servers, raft.Server{ID: raft.ID(r.string()), Address: r.string(), Suffrage: raft.Suffrage(r.small())})
		r.skip(more)
		if r.err != nil {
			return raft.Configuration{}
		}
	}
	return c
}

func (r *reader) snapshot(m *raft.Message) {
	n := r.array()
	if n == 0 {
		return
	}
	if n < 8 {
		r.fail("a field is missing")
		return
	}
	s := &raft.SnapshotMeta{Index: r.uint(), Term: r.uint()}
	s.Config = r.config()
	s.ConfigIndex = r.uint()
	m.Cursor, m.Chunk, m.Next, m.Done = r.bytes(), r.bytes(), r.bytes(), r.bool()
	m.Snapshot = s
	r.skip(n - 8)
}
