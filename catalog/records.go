package catalog

import "encoding/binary"

func encodeNode(n *Node) []byte {
	b := appendHead(make([]byte, 0, 160), n.RaftIndex)
	b = appendString(b, n.ID)
	b = appendString(b, n.Node)
	b = appendString(b, n.Address)
	b = appendString(b, n.Datacenter)
	b = appendMap(b, n.TaggedAddresses, appendString)
	return appendMap(b, n.Meta, appendString)
}

func decodeNode(record []byte) (*Node, error) {
	d, err := newDecoder(record)
	if err != nil {
		return nil, err
	}
	n := &Node{RaftIndex: d.head()}
	n.ID = d.string()
	n.Node = d.string()
	n.Address = d.string()
	n.Datacenter = d.string()
	n.TaggedAddresses = decodeMap(d, d.string)
	n.Meta = decodeMap(d, d.string)
	return n, d.done("node")
}

func encodeService(s *NodeService) []byte {
	b := appendHead(make([]byte, 0, 160), s.RaftIndex)
	b = appendString(b, s.Kind)
	b = appendString(b, s.ID)
	b = appendString(b, s.Service)
	b = appendStrings(b, s.Tags)
	b = appendString(b, s.Address)
	b = appendMap(b, s.TaggedAddresses, appendServiceAddress)
	b = appendMap(b, s.Meta, appendString)
	b = binary.AppendVarint(b, int64(s.Port))
	b = binary.AppendVarint(b, int64(s.Weights.Passing))
	b = binary.AppendVarint(b, int64(s.Weights.Warning))
	return appendBool(b, s.EnableTagOverride)
}

func decodeService(record []byte) (*NodeService, error) {
	d, err := newDecoder(record)
	if err != nil {
		return nil, err
	}
	s := &NodeService{RaftIndex: d.head()}
	s.Kind = d.string()
	s.ID = d.string()
	s.Service = d.string()
	s.Tags = d.strings()
	s.Address = d.string()
	s.TaggedAddresses = decodeMap(d, d.serviceAddress)
	s.Meta = decodeMap(d, d.string)
	s.Port = int(d.varint())
	s.Weights = &Weights{Passing: int(d.varint()), Warning: int(d.varint())}
	s.EnableTagOverride = d.bool()
	return s, d.done("service")
}

func encodeCheck(c *HealthCheck) []byte {
	b := appendHead(make([]byte, 0, 192), c.RaftIndex)
	b = appendString(b, c.Node)
	b = appendString(b, c.CheckID)
	b = appendString(b, c.Name)
	b = appendString(b, c.Status)
	b = appendString(b, c.Notes)
	b = appendString(b, c.Output)
	b = appendString(b, c.ServiceID)
	b = appendString(b, c.ServiceName)
	b = appendStrings(b, c.ServiceTags)
	b = appendString(b, c.Type)
	def := &c.Definition
	b = appendString(b, def.HTTP)
	b = appendBool(b, def.TLSSkipVerify)
	b = appendMap(b, def.Header, appendStrings)
	b = appendString(b, def.Method)
	b = appendString(b, def.TCP)
	b = appendString(b, def.Interval)
	b = appendString(b, def.Timeout)
	return appendString(b, def.DeregisterCriticalServiceAfter)
}

func decodeCheck(record []byte) (*HealthCheck, error) {
	d, err := newDecoder(record)
	if err != nil {
		return nil, err
	}
	c := &HealthCheck{RaftIndex: d.head()}
	c.Node = d.string()
	c.CheckID = d.string()
	c.Name = d.string()
	c.Status = d.string()
	c.Notes = d.string()
	c.Output = d.string()
	c.ServiceID = d.string()
	c.ServiceName = d.string()
	c.ServiceTags = d.strings()
	c.Type = d.string()
	c.Definition = CheckDefinition{
		HTTP:                           d.string(),
		TLSSkipVerify:                  d.bool(),
		Header:                         decodeMap(d, d.strings),
		Method:                         d.string(),
		TCP:                            d.string(),
		Interval:                       d.string(),
		Timeout:                        d.string(),
		DeregisterCriticalServiceAfter: d.string(),
	}
	return c, d.done("check")
}

func encodeAutopilot(c *AutopilotConfig) []byte {
	b := appendHead(nil, c.RaftIndex)
	b = appendBool(b, c.CleanupDeadServers)
	b = binary.AppendVarint(b, c.LastContactThreshold)
	b = binary.AppendUvarint(b, c.MaxTrailingLogs)
	b = binary.AppendUvarint(b, uint64(c.MinQuorum))
	return binary.AppendVarint(b, c.ServerStabilizationTime)
}

func decodeAutopilot(record []byte) (*AutopilotConfig, error) {
	d, err := newDecoder(record)
	if err != nil {
		return nil, err
	}
	c := &AutopilotConfig{RaftIndex: d.head()}
	c.CleanupDeadServers = d.bool()
	c.LastContactThreshold = d.varint()
	c.MaxTrailingLogs = d.uvarint()
	c.MinQuorum = uint(d.uvarint())
	c.ServerStabilizationTime = d.varint()
	return c, d.done("autopilot configuration")
}

// kvHeadSize is at least what a KV record has beside session and value.
const kvHeadSize = 1 + 5*binary.MaxVarintLen64

// appendEntry appends the record of a KV entry. The key is not in it. The value comes last and
// ModifyIndex first: a list of keys needs nothing else.
func appendEntry(b []byte, e *DirEntry) []byte {
	b = append(b, codecVersion)
	b = binary.AppendUvarint(b, e.ModifyIndex)
	b = binary.AppendUvarint(b, e.CreateIndex)
	b = binary.AppendUvarint(b, e.Flags)
	b = binary.AppendUvarint(b, e.LockIndex)
	b = appendString(b, e.Session)
	return append(b, e.Value...)
}

// decodeEntry decodes the record of key. The entry's value shares the record's memory.
func decodeEntry(key string, record []byte) (e DirEntry, err error) {
	if err := checkVersion(record); err != nil {
		return e, err
	}
	rest := record[1:]
	number := func() uint64 {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			err = ErrCorrupt
			return 0
		}
		rest = rest[n:]
		return v
	}
	e.Key = key
	e.ModifyIndex = number()
	e.CreateIndex = number()
	e.Flags = number()
	e.LockIndex = number()
	n := number()
	if err != nil || n > uint64(len(rest)) {
		return DirEntry{}, ErrCorrupt
	}
	e.Session = string(rest[:n])
	if e.Value = rest[n:]; len(e.Value) == 0 {
		e.Value = nil
	}
	return e, nil
}

// entryModifyIndex decodes only the ModifyIndex of a KV record.
func entryModifyIndex(record []byte) (uint64, error) {
	if err := checkVersion(record); err != nil {
		return 0, err
	}
	v, n := binary.Uvarint(record[1:])
	if n <= 0 {
		return 0, ErrCorrupt
	}
	return v, nil
}

// An indexRecord is when a topic last changed. The dead stand for what exists no more; they are
// forgotten some time.
type indexRecord struct {
	index uint64
	dead  bool
}

func encodeIndex(r indexRecord) []byte {
	return binary.BigEndian.AppendUint64(appendBool([]byte{codecVersion}, r.dead), r.index)
}

func decodeIndex(record []byte) (indexRecord, error) {
	if err := checkVersion(record); err != nil {
		return indexRecord{}, err
	}
	if len(record) < 10 {
		return indexRecord{}, ErrCorrupt
	}
	return indexRecord{dead: record[1] != 0, index: binary.BigEndian.Uint64(record[2:])}, nil
}

// graveStats describe the dead topics of a class.
type graveStats struct {
	count uint64 // how many are remembered
	floor uint64 // no forgotten one changed later than this
}

func encodeGraveStats(s graveStats) []byte {
	b := binary.BigEndian.AppendUint64([]byte{codecVersion}, s.count)
	return binary.BigEndian.AppendUint64(b, s.floor)
}

func decodeGraveStats(record []byte) (graveStats, error) {
	if err := checkVersion(record); err != nil {
		return graveStats{}, err
	}
	if len(record) < 17 {
		return graveStats{}, ErrCorrupt
	}
	return graveStats{count: binary.BigEndian.Uint64(record[1:]), floor: binary.BigEndian.Uint64(record[9:])}, nil
}

func encodeCount(n uint64) []byte { return binary.AppendUvarint([]byte{codecVersion}, n) }

func decodeCount(record []byte) (uint64, error) { return entryModifyIndex(record) }
