package wire

import (
	"slices"
	"time"

	"concord/raft"
)

// AppendRaft appends an encoded message to dst.
func AppendRaft(dst []byte, m *raft.Message) []byte {
	p := appendArray(append(slices.Grow(dst, raftSize(m)), Version), 22)
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
	p = appendUint(p, m.Index)
	return appendBool(appendBool(p, m.Voter), m.Lost)
}

// raftSize is about how long a message gets.
func raftSize(m *raft.Message) int {
	n := 256 + len(m.Chunk) + len(m.Cursor) + len(m.Next)
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
	if e.Type == raft.EntryConfig {
		return appendOptional(p, e.Config, appendConfig)
	}
	return appendBytes(p, e.Data)
}

func appendConfig(p []byte, c *raft.Configuration) []byte {
	return appendList(appendArray(p, 1), c.Servers, appendServer)
}

func appendServer(p []byte, s raft.Server) []byte {
	p = appendString(appendArray(p, 3), string(s.ID))
	p = appendString(p, s.Address)
	return appendUint(p, uint64(s.Suffrage))
}

// appendSnapshot writes the fields of a snapshot's chunk, or nil where there are none.
func appendSnapshot(p []byte, m *raft.Message) []byte {
	if m.Snapshot == nil {
		return append(p, codeNil)
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

// RaftType is the type of an encoded message, without decoding the rest; 0 if it is malformed.
func RaftType(p []byte) raft.MessageType {
	r := begin(p)
	r.fields(22)
	t := raft.MessageType(r.small())
	if r.err != nil {
		return 0
	}
	return t
}

// DecodeRaft decodes what AppendRaft wrote. Entries' data and chunks alias p.
func DecodeRaft(p []byte) (raft.Message, error) {
	r := begin(p)
	more := r.fields(22)
	var m raft.Message
	m.Type = raft.MessageType(r.small())
	m.From, m.To = raft.ID(r.string()), raft.ID(r.string())
	m.Term, m.LastIndex, m.LastTerm = r.uint(), r.uint(), r.uint()
	m.Transfer = r.bool()
	m.PrevIndex, m.PrevTerm = r.uint(), r.uint()
	if n := r.array(); n > 0 {
		// An entry takes at least five bytes, so that this is a small multiple of the input.
		m.Entries = make([]raft.Entry, 0, min(n, len(r.p)/5+1))
		for ; n > 0 && r.err == nil; n-- {
			m.Entries = append(m.Entries, r.entry())
		}
	}
	m.Commit, m.SentAt, m.Round = r.uint(), time.Duration(r.int()), r.uint()
	m.Reject = r.bool()
	m.Match, m.HintIndex, m.HintTerm = r.uint(), r.uint(), r.uint()
	r.snapshot(&m)
	m.ReadID, m.Index = r.uint(), r.uint()
	m.Voter, m.Lost = r.bool(), r.bool()
	r.skip(more)
	if err := r.end(); err != nil {
		return raft.Message{}, err
	}
	return m, nil
}

func (r *reader) entry() raft.Entry {
	more := r.fields(4)
	e := raft.Entry{Term: r.uint(), Index: r.uint(), Type: raft.EntryType(r.small())}
	if e.Type == raft.EntryConfig {
		e.Config = readOptional(r, (*reader).config)
	} else {
		e.Data = r.bytes()
	}
	r.skip(more)
	return e
}

func (r *reader) config() *raft.Configuration {
	more := r.fields(1)
	c := &raft.Configuration{Servers: readList(r, 4, (*reader).server)}
	r.skip(more)
	return c
}

func (r *reader) server() raft.Server {
	more := r.fields(3)
	s := raft.Server{ID: raft.ID(r.string()), Address: r.string(), Suffrage: raft.Suffrage(r.small())}
	r.skip(more)
	return s
}

// snapshot reads what appendSnapshot wrote.
func (r *reader) snapshot(m *raft.Message) {
	if r.isNil() {
		return
	}
	more := r.fields(8)
	m.Snapshot = &raft.SnapshotMeta{Index: r.uint(), Term: r.uint(), Config: *r.config(), ConfigIndex: r.uint()}
	m.Cursor, m.Chunk, m.Next, m.Done = r.bytes(), r.bytes(), r.bytes(), r.bool()
	r.skip(more)
}
