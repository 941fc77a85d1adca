package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"

	"concord/catalog"
	"concord/wire"
)

// kvRoute is the endpoint of the KV store (https://developer.hashicorp.com/consul/api-docs/kv).
var kvRoute = &route{"/v1/kv/", []string{"GET", "PUT", "DELETE"}, func(q *request) (any, error) {
	switch q.r.Method {
	case http.MethodGet:
		return q.kvGet()
	case http.MethodPut:
		return q.kvPut()
	}
	return q.kvDelete()
}}

// conflict tells of parameters that exclude one another.
func (q *request) conflict(names ...string) error {
	found := 0
	for _, n := range names {
		if q.has(n) {
			found++
		}
	}
	if found > 1 {
		return badRequest("Conflicting flags: %s", q.params.Encode())
	}
	return nil
}

func (q *request) kvGet() (any, error) {
	if err := q.conflict("recurse", "keys"); err != nil {
		return nil, err
	}
	switch {
	case q.has("keys"):
		return q.kvKeys()
	case q.has("recurse"):
		return q.kvList()
	case q.arg == "":
		return nil, badRequest("Missing key name")
	}
	v, err := q.read(&catalog.KVGetQuery{Key: q.arg})
	if err != nil {
		return nil, err
	}
	e := v.(*catalog.DirEntry)
	if e == nil {
		return q.empty()
	}
	if q.has("raw") {
		return q.raw(e)
	}
	if q.has("pretty") {
		return []*catalog.DirEntry{e}, nil
	}
	return q.entry(e)
}

// empty answers that there is no such key: 404 without a body.
func (q *request) empty() (any, error) {
	q.w.WriteHeader(http.StatusNotFound)
	return done{}, nil
}

// raw answers with the bare value. The headers keep a browser from taking it for a page.
func (q *request) raw(e *catalog.DirEntry) (any, error) {
	h := q.w.Header()
	h.Set("Content-Type", "text/plain")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox")
	h["Content-Length"] = []string{strconv.Itoa(len(e.Value))}
	q.w.Write(e.Value)
	return done{}, nil
}

// entry answers with one entry, written by hand since this is the most frequent answer there is.
func (q *request) entry(e *catalog.DirEntry) (any, error) {
	b := make([]byte, 0, 160+len(e.Key)+base64.StdEncoding.EncodedLen(len(e.Value)))
	b = append(b, '[')
	b = appendEntry(b, e)
	b = append(b, ']')
	h := q.w.Header()
	h["Content-Type"] = typeJSON
	h["Content-Length"] = []string{strconv.Itoa(len(b))}
	q.w.Write(b)
	return done{}, nil
}

// appendEntry writes an entry as encoding/json does.
func appendEntry(b []byte, e *catalog.DirEntry) []byte {
	b = append(b, `{"LockIndex":`...)
	b = strconv.AppendUint(b, e.LockIndex, 10)
	b = append(b, `,"Key":`...)
	b = appendJSONString(b, e.Key)
	b = append(b, `,"Flags":`...)
	b = strconv.AppendUint(b, e.Flags, 10)
	b = append(b, `,"Value":`...)
	if e.Value == nil {
		b = append(b, "null"...)
	} else {
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, e.Value)
		b = append(b, '"')
	}
	if e.Session != "" {
		b = append(b, `,"Session":`...)
		b = appendJSONString(b, e.Session)
	}
	b = append(b, `,"CreateIndex":`...)
	b = strconv.AppendUint(b, e.CreateIndex, 10)
	b = append(b, `,"ModifyIndex":`...)
	b = strconv.AppendUint(b, e.ModifyIndex, 10)
	return append(b, '}')
}

func appendJSONString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // a string can always be encoded
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func (q *request) kvList() (any, error) {
	v, err := q.read(&catalog.KVListQuery{Prefix: q.arg})
	if err != nil {
		return nil, err
	}
	list := v.([]*catalog.DirEntry)
	if len(list) == 0 {
		return q.empty()
	}
	return list, nil
}

func (q *request) kvKeys() (any, error) {
	v, err := q.read(&catalog.KVKeysQuery{Prefix: q.arg, Separator: q.params.Get("separator")})
	if err != nil {
		return nil, err
	}
	keys := v.([]string)
	if len(keys) == 0 {
		return q.empty()
	}
	return keys, nil
}

func (q *request) kvPut() (any, error) {
	if q.arg == "" {
		return nil, badRequest("Missing key name")
	}
	if err := q.conflict("cas", "acquire", "release"); err != nil {
		return nil, err
	}
	c := &catalog.KVWrite{Op: catalog.KVSet, Key: q.arg}
	var err error
	if v := q.params.Get("flags"); v != "" {
		if c.Flags, err = strconv.ParseUint(v, 10, 64); err != nil {
			return nil, badRequest("Invalid flags %q: a number is expected", v)
		}
	}
	switch {
	case q.has("cas"):
		c.Op = catalog.KVCAS
		if c.Index, err = q.casIndex(); err != nil {
			return nil, err
		}
	case q.has("acquire"):
		c.Op, c.Session = catalog.KVLock, q.params.Get("acquire")
	case q.has("release"):
		c.Op, c.Session = catalog.KVUnlock, q.params.Get("release")
	}
	if c.Value, err = q.body(maxValue); err != nil {
		return nil, err
	}
	return q.kvWrite(c)
}

func (q *request) casIndex() (uint64, error) {
	index, err := strconv.ParseUint(q.params.Get("cas"), 10, 64)
	if err != nil {
		return 0, badRequest("Invalid cas %q: the ModifyIndex of the key is expected", q.params.Get("cas"))
	}
	return index, nil
}

func (q *request) kvDelete() (any, error) {
	if err := q.conflict("recurse", "cas"); err != nil {
		return nil, err
	}
	c := &catalog.KVWrite{Op: catalog.KVDelete, Key: q.arg}
	switch {
	case q.has("recurse"):
		c.Op = catalog.KVDeleteTree
	case q.arg == "":
		return nil, badRequest("Missing key name")
	case q.has("cas"):
		c.Op = catalog.KVDeleteCAS
		var err error
		if c.Index, err = q.casIndex(); err != nil {
			return nil, err
		}
	}
	return q.kvWrite(c)
}

var kvAnswers = map[bool][]byte{true: []byte("true"), false: []byte("false")}

// kvWrite makes the command and answers whether it took effect.
func (q *request) kvWrite(c *catalog.KVWrite) (any, error) {
	if err := catalog.Validate(c); err != nil {
		return nil, badRequest("%s", err.Error())
	}
	resp := q.do(&wire.Request{Command: wire.AppendCommand(nil, c)})
	if err := failure(resp); err != nil {
		return nil, err
	}
	if resp.Result.Err != "" {
		return nil, &status{http.StatusInternalServerError, resp.Result.Err}
	}
	q.w.Header()["Content-Type"] = typeJSON
	q.w.Write(kvAnswers[resp.Result.OK])
	return done{}, nil
}
