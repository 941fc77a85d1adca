package wire

// KeyQuery is the payload of an internal query by which a pool's keys are looked at and changed.
type KeyQuery struct {
	// Rehearse asks what would come of it, and changes nothing.
	Rehearse bool
	// Secret is a key to be installed. Keys that are in the keyrings already are named by their Sum instead.
	Secret []byte
	Sum    []byte
}

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
