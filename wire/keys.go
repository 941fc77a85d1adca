package wire

// KeyQuery is the payload of an internal query by which a pool's keys are looked at and changed.
type KeyQuery struct {
	// Rehearse asks what would come of it, and changes nothing.
	Rehearse bool
	// Secret is a key to be installed. Keys that are in the keyrings already are named by their Sum instead.
	Secret []byte
	Sum    []byte
}

// Release tells whether the query only says that the rehearsal before it failed: it is a rehearsal of nothing.
func (q *KeyQuery) Release() bool { return q.Rehearse && len(q.Secret)+len(q.Sum) == 0 }

// KeyReply is a member's answer to a KeyQuery.
type KeyReply struct {
	OK bool
	// Message says why it is not, or what is left out.
	Message string
	// Keys are the secrets, the primary one first, in an answer to a list.
	Keys [][]byte
}

// AppendKeyQuery appends an encoded query to dst.
func AppendKeyQuery(dst []byte, q *KeyQuery) []byte {
	p := appendBool(appendArray(append(dst, Version), 3), q.Rehearse)
	return appendBytes(appendBytes(p, q.Secret), q.Sum)
}

// DecodeKeyQuery decodes what AppendKeyQuery wrote. The query aliases data.
func DecodeKeyQuery(data []byte) (KeyQuery, error) {
	r := begin(data)
	more := r.fields(3)
	q := KeyQuery{Rehearse: r.bool(), Secret: r.bytes(), Sum: r.bytes()}
	r.skip(more)
	if err := r.end(); err != nil {
		return KeyQuery{}, err
	}
	return q, nil
}

// AppendKeyReply appends an encoded answer to dst.
func AppendKeyReply(dst []byte, a *KeyReply) []byte {
	p := appendBool(appendArray(append(dst, Version), 3), a.OK)
	return appendList(appendString(p, a.Message), a.Keys, appendBytes)
}

// DecodeKeyReply decodes what AppendKeyReply wrote. The answer aliases data.
func DecodeKeyReply(data []byte) (KeyReply, error) {
	r := begin(data)
	more := r.fields(3)
	a := KeyReply{OK: r.bool(), Message: r.string(), Keys: readList(r, 1, (*reader).bytes)}
	r.skip(more)
	if err := r.end(); err != nil {
		return KeyReply{}, err
	}
	return a, nil
}

// KeyringRequest is a key operation that another datacenter is asked for.
type KeyringRequest struct {
	Op    uint8 // a gossip.KeyOp
	Key   string
	Relay int64
}

// KeyringAnswer is what came of a KeyringRequest.
type KeyringAnswer struct {
	Messages          map[string]string
	Nodes, Resp, Errs int64
	Keys, PrimaryKeys map[string]int64
	Err               string
}

// AppendKeyringRequest appends an encoded request to dst.
func AppendKeyringRequest(dst []byte, q *KeyringRequest) []byte {
	p := appendUint(appendArray(append(dst, Version), 3), uint64(q.Op))
	return appendInt(appendString(p, q.Key), q.Relay)
}

// DecodeKeyringRequest decodes what AppendKeyringRequest wrote.
func DecodeKeyringRequest(data []byte) (KeyringRequest, error) {
	r := begin(data)
	more := r.fields(3)
	q := KeyringRequest{Op: r.small(), Key: r.string(), Relay: r.int()}
	r.skip(more)
	if err := r.end(); err != nil {
		return KeyringRequest{}, err
	}
	return q, nil
}

// AppendKeyringAnswer appends an encoded answer to dst.
func AppendKeyringAnswer(dst []byte, a *KeyringAnswer) []byte {
	p := appendStringMap(appendArray(append(dst, Version), 7), a.Messages)
	p = appendInt(appendInt(appendInt(p, a.Nodes), a.Resp), a.Errs)
	p = appendMap(appendMap(p, a.Keys, appendInt), a.PrimaryKeys, appendInt)
	return appendString(p, a.Err)
}

// DecodeKeyringAnswer decodes what AppendKeyringAnswer wrote.
func DecodeKeyringAnswer(data []byte) (KeyringAnswer, error) {
	r := begin(data)
	more := r.fields(7)
	a := KeyringAnswer{Messages: r.stringMap(), Nodes: r.int(), Resp: r.int(), Errs: r.int(),
		Keys: readMap(r, (*reader).int), PrimaryKeys: readMap(r, (*reader).int), Err: r.string()}
	r.skip(more)
	if err := r.end(); err != nil {
		return KeyringAnswer{}, err
	}
	return a, nil
}
