package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"concord/agent/userevent"
	"concord/catalog"
	"concord/raft"
	"concord/swim"
)

// The tests that draw from the generators are not parallel: generators of rapid must not be shared by goroutines.

// codec is a pair of functions under test.
type codec[T any] struct {
	gen    *rapid.Generator[T]
	append func([]byte, T) []byte
	decode func([]byte) (T, error)
	whole  func(T) []byte // with the fields that append leaves out; nil: it leaves out none
}

var (
	raftCodec = codec[raft.Message]{genRaft, func(p []byte, m raft.Message) []byte { return AppendRaft(p, &m) }, DecodeRaft, nil}
	swimCodec = codec[swim.Packet]{genPacket, func(p []byte, m swim.Packet) []byte { return AppendPacket(p, &m) }, decodeTwice, wholePacket}
	command   = codec[catalog.Command]{genCommand, AppendCommand, DecodeCommand, nil}
	restore   = codec[Restore]{genRestore, func(p []byte, c Restore) []byte { return AppendRestore(p, &c) }, DecodeRestore, nil}
	fired     = codec[userevent.Event]{genEvent, func(p []byte, e userevent.Event) []byte { return AppendEvent(p, &e) }, DecodeEvent, nil}
	request   = codec[Request]{genRequest, func(p []byte, q Request) []byte { return AppendRequest(p, &q) }, DecodeRequest, nil}
	response  = codec[Response]{genResponse, func(p []byte, s Response) []byte { return AppendResponse(p, &s) }, DecodeResponse, nil}
	keyQuery  = codec[KeyQuery]{genKeyQuery, func(p []byte, q KeyQuery) []byte { return AppendKeyQuery(p, &q) }, DecodeKeyQuery, nil}
	keyReply  = codec[KeyReply]{genKeyReply, func(p []byte, a KeyReply) []byte { return AppendKeyReply(p, &a) }, DecodeKeyReply, nil}
	keyringQ  = codec[KeyringRequest]{genKeyringRequest, func(p []byte, q KeyringRequest) []byte { return AppendKeyringRequest(p, &q) }, DecodeKeyringRequest, nil}
	keyringA  = codec[KeyringAnswer]{genKeyringAnswer, func(p []byte, a KeyringAnswer) []byte { return AppendKeyringAnswer(p, &a) }, DecodeKeyringAnswer, nil}
)

func TestRaft(t *testing.T)     { raftCodec.test(t) }
func TestPacket(t *testing.T)   { swimCodec.test(t) }
func TestCommand(t *testing.T)  { command.test(t) }
func TestRestore(t *testing.T)  { restore.test(t) }
func TestEvent(t *testing.T)    { fired.test(t) }
func TestRequest(t *testing.T)  { request.test(t) }
func TestResponse(t *testing.T) { response.test(t) }
func TestKeyQuery(t *testing.T) { keyQuery.test(t) }
func TestKeyReply(t *testing.T) { keyReply.test(t) }

func TestKeyringRequest(t *testing.T) { keyringQ.test(t) }
func TestKeyringAnswer(t *testing.T)  { keyringA.test(t) }

func (c codec[T]) test(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := c.gen.Draw(t, "message")
		p := c.append(nil, m)
		again, err := c.decode(p)
		require.NoError(t, err)
		require.Equal(t, m, again)

		prefix := []byte("what was there")
		require.Equal(t, append(prefix, p...), c.append(bytes.Clone(prefix), again), "it must append, and always write the same")

		var any any
		d := msgpack.NewDecoder(bytes.NewReader(p[1:]))
		d.SetMapDecoder(func(d *msgpack.Decoder) (any2 interface{}, err error) { return d.DecodeUntypedMap() })
		require.NoError(t, d.Decode(&any), "another implementation must read it")
		require.Error(t, d.Decode(&any), "and find nothing behind it")

		_, err = c.decode(append(bytes.Clone(p), 0))
		require.ErrorIs(t, err, ErrMalformed)
		cut := rapid.IntRange(0, len(p)-1).Draw(t, "cut")
		_, err = c.decode(p[:cut])
		require.ErrorIs(t, err, ErrMalformed)
		other := append([]byte{Version + 1}, p[1:]...)
		_, err = c.decode(other)
		require.ErrorIs(t, err, ErrVersion)
		require.ErrorContains(t, err, "version 2, this release knows 1")

		whole := p
		if c.whole != nil {
			whole = c.whole(m)
		}
		again, err = c.decode(oneMore(whole))
		require.NoError(t, err, "a field that only a newer release knows")
		require.Equal(t, m, again)

		hit := bytes.Clone(p)
		hit[rapid.IntRange(1, len(p)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		c.check(t, hit)
	})
}

// later is a field of a future release: an extension, a list, a map and floats in each other.
var later = []byte{0x93, 0xd4, 1, 2, 0x82, 0xa1, 'k', 0xca, 0, 0, 0, 0, 0xcb, 1, 2, 3, 4, 5, 6, 7, 8, 0xd1, 1, 2, 0xc7, 1, 9, 7}

// oneMore adds a field to the message's list.
func oneMore(p []byte) []byte {
	p = bytes.Clone(p)
	if p[1] == codeArray16 {
		p[3]++
		return append(p, later...)
	}
	n := int(p[1] & 15)
	return append(append(appendArray([]byte{Version}, n+1), p[2:]...), later...)
}

// check decodes what may be anything. What it takes for a message must be one.
func (c codec[T]) check(t require.TestingT, in []byte) {
	m, err := c.decode(in)
	if err != nil {
		require.True(t, errors.Is(err, ErrMalformed) || errors.Is(err, ErrVersion), err)
		return
	}
	p := c.append(nil, m)
	again, err := c.decode(p)
	require.NoError(t, err)
	require.Equal(t, p, c.append(nil, again))
}

func (c codec[T]) fuzz(f *testing.F) {
	for seed := range 20 {
		f.Add(c.append(nil, c.gen.Example(seed)))
	}
	for _, in := range hostile() {
		f.Add(in[:min(len(in), 4<<10)])
	}
	f.Fuzz(func(t *testing.T, in []byte) { c.check(t, in) })
}

func FuzzRaft(f *testing.F)     { raftCodec.fuzz(f) }
func FuzzPacket(f *testing.F)   { swimCodec.fuzz(f) }
func FuzzCommand(f *testing.F)  { command.fuzz(f) }
func FuzzRestore(f *testing.F)  { restore.fuzz(f) }
func FuzzEvent(f *testing.F)    { fired.fuzz(f) }
func FuzzRequest(f *testing.F)  { request.fuzz(f) }
func FuzzResponse(f *testing.F) { response.fuzz(f) }
func FuzzKeyQuery(f *testing.F) { keyQuery.fuzz(f) }
func FuzzKeyReply(f *testing.F) { keyReply.fuzz(f) }

func FuzzKeyringRequest(f *testing.F) { keyringQ.fuzz(f) }
func FuzzKeyringAnswer(f *testing.F)  { keyringA.fuzz(f) }

// hostile are inputs that promise more than they have, or nest deeper than a stack is.
func hostile() map[string][]byte {
	huge := []byte{codeArray32, 0xff, 0xff, 0xff, 0xff}
	fill := bytes.Repeat([]byte{0}, 64<<10)
	in := map[string][]byte{
		"nothing":        {},
		"version only":   {Version},
		"a huge list":    append([]byte{Version}, huge...),
		"a huge string":  {Version, 0x91, codeStr32, 0xff, 0xff, 0xff, 0xff},
		"a never code":   append([]byte{Version, codeArray16, 0, 200, 0xc1}, fill...),
		"nested skipped": append([]byte{Version, codeArray16, 0xff, 0xff}, bytes.Repeat([]byte{0x91}, 1<<20)...),
	}
	for kind := range byte(15) {
		in[fmt.Sprintf("command %d", kind)] = append(append([]byte{Version, 0x9f, kind}, huge...), fill...)
		in[fmt.Sprintf("query %d", kind)] = append(append([]byte{Version, 0x96, 1, 1, 1, 0xc0, 0x94, 0x92, kind}, huge...), fill...)
		in[fmt.Sprintf("answer %d", kind)] = append(append([]byte{Version, 0x9b, 1, 0, 0xa0, 0xa0, 0, 0xc2, 1, 1, 0xc0, 0x93, 1, kind}, huge...), fill...)
		list := []byte{codeArray32, 0, 0, 0xff, 0xff}
		for _, filler := range []byte{0x80, 0x90, 0xc0, 0xa0} {
			in[fmt.Sprintf("answer %d of %x", kind, filler)] = append(append([]byte{Version, 0x9b, 1, 0, 0xa0, 0xa0, 0, 0xc2, 1, 1, 0xc0, 0x93, 1, kind}, list...),
				bytes.Repeat([]byte{filler}, 1<<16+1)...)
		}
	}
	for _, filler := range []byte{0x80, 0x90, 0x94, 0xc0, 0xa0} {
		results := []byte{Version, 0x9b, 1, 0, 0xa0, 0xa0, 0, 0xc2, 1, 1, 0xc0, 0x93, 1, answerTxn, 0x92, codeArray32, 0, 0, 0xff, 0xff}
		in[fmt.Sprintf("transaction with results of %x", filler)] = append(results, bytes.Repeat([]byte{filler}, 1<<16+1)...)
		ops := []byte{Version, 0x92, kindTxn, codeArray32, 0, 0, 0xff, 0xff}
		in[fmt.Sprintf("transaction of %x", filler)] = append(ops, bytes.Repeat([]byte{filler}, 1<<16*leastTxnOp+1)...)
	}
	message := AppendRaft(nil, &raft.Message{Type: raft.MsgAppend, From: "a", To: "b"})
	entries := len(message) - 11 // the empty list of entries has ten fields of a byte behind it
	in["entries"] = append(append(bytes.Clone(message[:entries]), huge...), fill...)
	nested := append(oneMore(message)[:len(message)], bytes.Repeat([]byte{0x91}, 8<<20)...)
	in["deeply nested"] = nested
	return in
}

// TestHostileInput proves that no input makes a decoder fail the process or allocate much more than it was given.
func TestHostileInput(t *testing.T) {
	for name, in := range hostile() {
		for of, decode := range map[string]func([]byte) error{
			"raft":     func(p []byte) error { _, err := DecodeRaft(p); return err },
			"packet":   func(p []byte) error { _, err := DecodePacket(p); return err },
			"command":  func(p []byte) error { _, err := DecodeCommand(p); return err },
			"restore":  func(p []byte) error { _, err := DecodeRestore(p); return err },
			"event":    func(p []byte) error { _, err := DecodeEvent(p); return err },
			"request":  func(p []byte) error { _, err := DecodeRequest(p); return err },
			"response": func(p []byte) error { _, err := DecodeResponse(p); return err },
		} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := decode(in)
			runtime.ReadMemStats(&after)
			require.ErrorIs(t, err, ErrMalformed, "%s as %s", name, of)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32*len(in)+64<<10), "%s as %s", name, of)
		}
	}
}

// TestRestoreIsTold tells restores from the commands that the catalog knows, also those of a later release.
func TestRestoreIsTold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := genRestore.Draw(t, "restore")
		p := AppendRestore(nil, &c)
		require.True(t, IsRestore(p))
		require.True(t, IsRestore(oneMore(p)))
		require.False(t, IsRestore(AppendCommand(nil, genCommand.Draw(t, "command"))))
		require.False(t, IsRestore(p[:1]))
		_, err := DecodeCommand(p)
		require.ErrorIs(t, err, ErrMalformed)
	})
}

// TestOfLaterReleases adds an unknown field to each record there is.
func TestOfLaterReleases(t *testing.T) {
	extended(t, "node", genNode, appendNode, (*reader).node)
	extended(t, "address", genAddress, appendAddress, (*reader).address)
	extended(t, "service", genService, appendService, (*reader).service)
	extended(t, "service node", genServiceNode, appendServiceNode, (*reader).serviceNode)
	extended(t, "check", genCheck, appendCheck, (*reader).check)
	extended(t, "checked service", genCheckedNode, appendCheckedService, (*reader).checkedService)
	extended(t, "node services", genNodeServices, appendNodeServices, (*reader).nodeServices)
	extended(t, "entry", genDirEntry, appendDirEntry, (*reader).dirEntry)
	extended(t, "autopilot", genAutopilot, appendAutopilot, (*reader).autopilot)
	extended(t, "query", genQuery, appendQuery, (*reader).query)
	extended(t, "answer", genAnswer, appendAnswer, (*reader).answer)
	extended(t, "snapshot page", genSnapshotPage, appendSnapshotPage, (*reader).snapshotPage)
	extended(t, "txn operation", genTxnOp, appendTxnOp, (*reader).txnOp)
	extended(t, "txn result", genTxnResult, appendTxnResult, (*reader).txnResult)
	extended(t, "txn error", genTxnError, appendTxnError, (*reader).txnError)
	extended(t, "txn answer", rapid.Ptr(genTxnAnswer, false), appendTxnAnswer, (*reader).txnAnswer)
	extended(t, "raft server", genRaftServer, appendRaftServer, (*reader).raftServer)
	extended(t, "server health", genServerHealth, appendServerHealth, (*reader).serverHealth)
	pointed := func(p []byte, v *OperatorReply) []byte { return appendOperatorReply(p, v) }
	extended(t, "operator", rapid.Ptr(genOperatorReply, false), pointed, (*reader).operatorReply)
	extended(t, "result", genTxnWritten, appendResult, (*reader).result)
	extended(t, "configuration", rapid.Ptr(genConfig, false), appendConfig, (*reader).config)
	extended(t, "weights", rapid.Ptr(genWeights, false), appendWeights, (*reader).weights)
	extended(t, "raft entry", genEntry, func(p []byte, e raft.Entry) []byte { return appendEntry(p, &e) }, (*reader).entry)
}

func extended[T any](t *testing.T, name string, gen *rapid.Generator[T], add func([]byte, T) []byte, read func(*reader) T) {
	t.Run(name, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			v := gen.Draw(t, "value")
			r := &reader{p: oneMore(add([]byte{Version}, v))[1:]}
			require.Equal(t, v, read(r))
			require.NoError(t, r.end())
		})
	})
}

// TestAnswersKeepTheirShape: what JSON shows is the same on both sides.
func TestAnswersKeepTheirShape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := genAnswer.Draw(t, "answer")
		got, err := DecodeResponse(AppendResponse(nil, &Response{Answer: a}))
		require.NoError(t, err)
		want, err := json.Marshal(a.Value)
		require.NoError(t, err)
		have, err := json.Marshal(got.Answer.Value)
		require.NoError(t, err)
		require.Equal(t, string(want), string(have))
	})
}

// wholePacket is a packet with its empty fields, as a release writes it that knows a further one.
func wholePacket(p swim.Packet) []byte {
	b := appendArray([]byte{Version}, packetQueries+1)
	for field := range packetQueries + 1 {
		b = appendPacketField(b, &p, field)
	}
	return b
}

// decodeTwice decodes a packet as it is and with shared claims: there must be no difference.
func decodeTwice(data []byte) (swim.Packet, error) {
	p, err := DecodePacket(data)
	claims := NewClaims(3)
	for range 2 {
		q, again := DecodePacketSharing(data, claims)
		if (err == nil) != (again == nil) || !reflect.DeepEqual(p, q) {
			return q, fmt.Errorf("with shared claims %v instead of %v", again, err)
		}
	}
	return p, err
}

// TestClaims: equal claims are one, others are not, and no more are remembered than asked for.
func TestClaims(t *testing.T) {
	claims := NewClaims(4)
	packet := func(names ...string) []*swim.Update {
		var p swim.Packet
		for _, name := range names {
			p.Updates = append(p.Updates, &swim.Update{State: swim.StateAlive, Name: name})
		}
		q, err := DecodePacketSharing(AppendPacket(nil, &p), claims)
		require.NoError(t, err)
		require.Equal(t, p.Updates, q.Updates)
		return q.Updates
	}
	a := packet("a", "b", "a")
	require.Same(t, a[0], a[2])
	require.NotSame(t, a[0], a[1])
	require.Same(t, a[1], packet("c", "b")[1])
	packet("d", "e", "f")
	require.LessOrEqual(t, len(claims.byBytes), 4)
	require.NotSame(t, a[0], packet("a")[0], "forgotten")
	_, err := DecodePacketSharing([]byte{Version, 0x94, 1, 1, 0xa0, 0x91, 0x99, 1, 0xa1}, claims)
	require.ErrorIs(t, err, ErrMalformed)
	require.LessOrEqual(t, len(claims.byBytes), 4)
}

// TestSmallPackets: pings and acks are most of what a pool sends.
func TestSmallPackets(t *testing.T) {
	ping := swim.Packet{Message: swim.Message{Type: swim.MsgPing, Seq: 1 << 30, From: "node-1", Target: "node-2"}}
	require.LessOrEqual(t, len(AppendPacket(nil, &ping)), 24)
	ack := swim.Packet{Message: swim.Message{Type: swim.MsgAck, Seq: 1 << 30, From: "node-2"}}
	require.LessOrEqual(t, len(AppendPacket(nil, &ack)), 15)
}

// TestPacketSize: swim fills packets by its own bound of their size.
func TestPacketSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genPacket.Draw(t, "packet")
		require.LessOrEqual(t, len(AppendPacket(nil, &p)), p.Size()-swim.PacketOverhead)
	})
}

// TestForeignNumbers: other implementations write small negative numbers shorter.
func TestForeignNumbers(t *testing.T) {
	for in, want := range map[string]int64{"\x05": 5, "\xff": -1, "\xe0": -32, "\xd0\x80": -128, "\xd1\xff\x00": -256, "\xd2\x80\x00\x00\x00": -1 << 31,
		"\xd0\x05": 5, "\xd3\x80\x00\x00\x00\x00\x00\x00\x00": -1 << 63, "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff": 1<<63 - 1} {
		r := &reader{p: []byte(in)}
		require.Equal(t, want, r.int(), "%x", in)
		require.NoError(t, r.end())
	}
	r := &reader{p: []byte("\xcf\x80\x00\x00\x00\x00\x00\x00\x00")}
	r.int()
	require.ErrorIs(t, r.end(), ErrMalformed)
}

func TestRefused(t *testing.T) {
	both := AppendRequest(nil, &Request{Command: []byte("x"), Read: &Read{Query: &catalog.AutopilotQuery{}}})
	_, err := DecodeRequest(both)
	require.ErrorIs(t, err, ErrMalformed)
	freshness := AppendRequest(nil, &Request{Read: &Read{Query: &catalog.AutopilotQuery{}, Consistency: 3}})
	_, err = DecodeRequest(freshness)
	require.ErrorIs(t, err, ErrMalformed)
	r, err := DecodeResponse(AppendResponse(nil, &Response{Code: NoPath + 1}))
	require.NoError(t, err)
	require.Equal(t, Unknown, r.Code, "what a newer release alone knows may have changed something")
	noNode := AppendResponse(nil, &Response{Answer: &catalog.Answer{Value: []string{"a"}}})
	noNode[bytes.IndexByte(noNode, 0x93)+2] = answerNodes
	_, err = DecodeResponse(noNode)
	require.ErrorIs(t, err, ErrMalformed)
}

func hot() (raft.Message, *catalog.KVWrite, Response) {
	m := raft.Message{Type: raft.MsgAppend, From: "6f5bd35c-0f0f-4a5c-9f0f-1d7b0a1b2c3d", To: "6f5bd35c-0f0f-4a5c-9f0f-1d7b0a1b2c3e", Term: 7, PrevIndex: 1 << 20, PrevTerm: 7, Commit: 1 << 20}
	for i := range uint64(64) {
		m.Entries = append(m.Entries, raft.Entry{Term: 7, Index: 1<<20 + 1 + i, Type: raft.EntryCommand, Data: make([]byte, 300)})
	}
	put := &catalog.KVWrite{Op: catalog.KVSet, Key: "service/web/instances/0017", Value: make([]byte, 256)}
	get := Response{ID: 1 << 20, KnownLeader: true, Applied: 1 << 20, Answer: &catalog.Answer{Index: 99,
		Value: &catalog.DirEntry{Key: put.Key, Value: put.Value, RaftIndex: catalog.RaftIndex{CreateIndex: 1, ModifyIndex: 99}}}}
	return m, put, get
}

func instance() *catalog.CheckServiceNode {
	check := &catalog.HealthCheck{Node: "machine-17", CheckID: "serfHealth", Name: "Serf Health Status", Status: "passing", Output: "Agent alive and reachable"}
	return &catalog.CheckServiceNode{Checks: []*catalog.HealthCheck{check, check},
		Node: &catalog.Node{ID: "6f5bd35c-0f0f-4a5c-9f0f-1d7b0a1b2c3d", Node: "machine-17", Address: "10.0.0.17", Datacenter: "dc1",
			TaggedAddresses: map[string]string{"lan": "10.0.0.17", "wan": "10.0.0.17"}},
		Service: &catalog.NodeService{ID: "web-17", Service: "web", Tags: []string{"primary"}, Port: 8080, Weights: &catalog.Weights{Passing: 1, Warning: 1}}}
}

func BenchmarkHot(b *testing.B) {
	m, put, get := hot()
	buf := make([]byte, 0, 64<<10)
	raftBytes, putBytes, getBytes := AppendRaft(nil, &m), AppendCommand(nil, put), AppendResponse(nil, &get)
	ask := Request{ID: 1 << 20, Read: &Read{Query: &catalog.KVGetQuery{Key: put.Key}}}
	askBytes := AppendRequest(nil, &ask)
	services := make([]*catalog.CheckServiceNode, 32)
	for i := range services {
		services[i] = instance()
	}
	list := Response{Answer: &catalog.Answer{Value: services}}
	listBytes := AppendResponse(nil, &list)
	for name, f := range map[string]struct {
		size int
		run  func()
	}{
		"raft64x300/encode": {len(raftBytes), func() { AppendRaft(buf, &m) }},
		"raft64x300/decode": {len(raftBytes), func() { DecodeRaft(raftBytes) }},
		"kvput/encode":      {len(putBytes), func() { AppendCommand(buf, put) }},
		"kvput/decode":      {len(putBytes), func() { DecodeCommand(putBytes) }},
		"kvget/encode":      {len(askBytes), func() { AppendRequest(buf, &ask) }},
		"kvget/decode":      {len(askBytes), func() { DecodeRequest(askBytes) }},
		"kvanswer/encode":   {len(getBytes), func() { AppendResponse(buf, &get) }},
		"kvanswer/decode":   {len(getBytes), func() { DecodeResponse(getBytes) }},
		"health32/encode":   {len(listBytes), func() { AppendResponse(buf, &list) }},
		"health32/decode":   {len(listBytes), func() { DecodeResponse(listBytes) }},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(f.size))
			for b.Loop() {
				f.run()
			}
		})
	}
}

// TestHotPathsAllocateNothing: encoders with room in their buffer.
func TestHotPathsAllocateNothing(t *testing.T) {
	m, put, get := hot()
	buf := make([]byte, 0, 64<<10)
	require.Zero(t, testing.AllocsPerRun(100, func() { AppendRaft(buf, &m) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { AppendCommand(buf, put) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { AppendResponse(buf, &get) }))
	// A buffer of the right size, and one more under the race detector.
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { AppendRaft(nil, &m) }), 2.0)
}
