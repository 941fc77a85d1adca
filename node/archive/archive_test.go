package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/catalog"
	"concord/node/machine"
	"concord/raft"
	"concord/store"
	"concord/store/memstore"
	"concord/wire"
)

// cluster is one server's state, without a cluster around it.
type cluster struct {
	m *machine.Machine
	// fail, if not nil, is asked before each request; lose after it was carried out.
	fail, lose func(*wire.Request) *wire.Response
}

type memory struct{}

func (memory) Open() (store.Store, error)  { return memstore.Open(memstore.NewDisk()), nil }
func (memory) Fresh() (store.Store, error) { return memstore.Open(memstore.NewDisk()), nil }
func (memory) Adopt(store.Store) error     { return nil }

func newCluster(t require.TestingT) *cluster {
	m, err := machine.Open(memory{})
	require.NoError(t, err)
	return &cluster{m: m}
}

func (c *cluster) Do(_ context.Context, req *wire.Request) *wire.Response {
	if c.fail != nil {
		if resp := c.fail(req); resp != nil {
			return resp
		}
	}
	resp := c.carry(req)
	if c.lose != nil {
		if lost := c.lose(req); lost != nil {
			return lost
		}
	}
	return resp
}

func (c *cluster) carry(req *wire.Request) *wire.Response {
	if req.Read != nil {
		a, applied, err := c.m.Read(req.Read.Query)
		if err != nil {
			return &wire.Response{Code: wire.Failed, Err: err.Error()}
		}
		return &wire.Response{Answer: &a, Applied: applied}
	}
	out, err := c.m.Apply([]raft.Entry{{Index: c.m.Applied().Index + 1, Term: 7, Type: raft.EntryCommand, Data: req.Command}})
	if err != nil {
		return &wire.Response{Code: wire.Failed, Err: err.Error()}
	}
	return &wire.Response{Result: &out.Results[0]}
}

func (c *cluster) put(key, value string) {
	c.carry(&wire.Request{Command: wire.AppendCommand(nil, &catalog.KVWrite{Op: catalog.KVSet, Key: key, Value: []byte(value)})})
}

func (c *cluster) fill(n, size int) {
	for i := range n {
		c.put(fmt.Sprintf("key/%04d", i), string(bytes.Repeat([]byte{byte(i)}, size)))
	}
}

func (c *cluster) dump(t require.TestingT) []*catalog.DirEntry {
	a, _, err := c.m.Read(&catalog.KVListQuery{})
	require.NoError(t, err)
	return a.Value.([]*catalog.DirEntry)
}

func save(t require.TestingT, c *cluster, dir string) []byte {
	s, err := Save(context.Background(), c, wire.Default, dir)
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, s.Write(&b))
	require.NoError(t, s.Close())
	return b.Bytes()
}

func nothing([]byte) error { return nil }

func TestSaveAndRestore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from, to := newCluster(t), newCluster(t)
	from.fill(40, 100<<10)
	to.put("old", "x")
	archive := save(t, from, dir)
	m, err := Read(bytes.NewReader(archive), nothing)
	require.NoError(t, err)
	require.Equal(t, Meta{Version: Version, ID: m.ID, Index: 40, Term: 7, Size: m.Size}, m)
	require.Greater(t, m.Size, int64(40*100<<10))
	for range 2 {
		again, err := Restore(context.Background(), to, bytes.NewReader(archive), dir)
		require.NoError(t, err)
		require.Equal(t, m, again)
		require.Equal(t, from.dump(t), to.dump(t))
		to.put("new", "x")
		require.Greater(t, to.dump(t)[40].ModifyIndex, m.Index)
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)

	empty := save(t, newCluster(t), dir)
	_, err = Restore(context.Background(), to, bytes.NewReader(empty), dir)
	require.NoError(t, err)
	require.Empty(t, to.dump(t))
}

// Answers that get lost, and leaders that change, do no harm.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	from, to := newCluster(t), newCluster(t)
	from.fill(20, 100<<10)
	pages := 0
	from.fail = func(*wire.Request) *wire.Response {
		if pages++; pages == 3 {
			from.m.Flush()
			from.m.Flush() // forgets the snapshot
			from.m.Flush()
			return &wire.Response{Code: wire.NoLeader, Err: "No cluster leader"}
		}
		return nil
	}
	archive := save(t, from, "")
	require.Greater(t, pages, 5)
	losses := map[string]bool{}
	to.lose = func(req *wire.Request) *wire.Response {
		if k := string(req.Command); !losses[k] {
			losses[k] = true
			return &wire.Response{Code: wire.Unknown, Err: "leadership lost while committing log"}
		}
		return nil
	}
	_, err := Restore(context.Background(), to, bytes.NewReader(archive), "")
	require.NoError(t, err)
	require.Equal(t, from.dump(t), to.dump(t))

	from.fail = func(*wire.Request) *wire.Response {
		return &wire.Response{Code: wire.NoLeader, Err: "No cluster leader"}
	}
	_, err = Save(context.Background(), from, wire.Default, "")
	require.ErrorContains(t, err, "No cluster leader")
}

// A restore that fails half way leaves everything as it was.
func TestFailedRestore(t *testing.T) {
	t.Parallel()
	from, to := newCluster(t), newCluster(t)
	from.fill(20, 100<<10)
	archive := save(t, from, "")
	to.put("old", "x")
	before, steps := to.dump(t), 0
	to.fail = func(*wire.Request) *wire.Response {
		if steps++; steps == 3 {
			return &wire.Response{Code: wire.Refused, Err: "no"}
		}
		return nil
	}
	_, err := Restore(context.Background(), to, bytes.NewReader(archive), "")
	var refused *RequestError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, before, to.dump(t))
	require.Equal(t, 4, steps, "it was given up")
	_, err = Restore(context.Background(), to, bytes.NewReader(archive), "")
	require.NoError(t, err)
	require.Equal(t, from.dump(t), to.dump(t))

	broken := errors.New("the caller hung up")
	_, err = Restore(context.Background(), to, io.MultiReader(bytes.NewReader(archive[:len(archive)/2]), errorReader{broken}), "")
	require.ErrorIs(t, err, broken)
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// Each damaged byte is found, but for hints in the compressed file's header and bits between its blocks that mean nothing.
func TestDamage(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.fill(10, 30)
	archive := save(t, c, "")
	all := func(in []byte) (m Meta, out []byte, err error) {
		m, err = Read(bytes.NewReader(in), func(p []byte) error { out = append(out, p...); return nil })
		return m, out, err
	}
	meta, want, err := all(archive)
	require.NoError(t, err)
	harmless := 0
	for i := range archive {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			bad := bytes.Clone(archive)
			bad[i] ^= flip
			if m, got, err := all(bad); err == nil {
				harmless++
				require.Equal(t, meta, m, "byte %d ^ %#x", i, flip)
				require.Equal(t, want, got, "byte %d ^ %#x", i, flip)
			}
		}
		_, err := Read(bytes.NewReader(archive[:i]), nothing)
		require.Error(t, err, "cut at %d", i)
	}
	require.Less(t, harmless, 40)
	_, err = Read(bytes.NewReader(append(bytes.Clone(archive), 0)), nothing)
	require.ErrorIs(t, err, ErrCorrupt)
	_, err = Read(bytes.NewReader(append(bytes.Clone(archive), archive...)), nothing)
	require.ErrorIs(t, err, ErrCorrupt)
}

// An archive of Consul 1.8.7 is refused, and nothing of it reaches the cluster.
func TestConsulArchive(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/consul.snap")
	require.NoError(t, err)
	defer f.Close()
	c := newCluster(t)
	c.fail = func(*wire.Request) *wire.Response { panic("asked") }
	_, err = Restore(context.Background(), c, f, "")
	require.ErrorIs(t, err, ErrForeign)
	require.ErrorContains(t, err, "one of Consul")
}

// file is a part of a hand-made archive.
type file struct{ name, text string }

func pack(t require.TestingT, files ...file) io.Reader {
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	w := tar.NewWriter(gz)
	for _, f := range files {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.text)), Mode: 0o600}))
		_, err := io.WriteString(w, f.text)
		require.NoError(t, err)
	}
	require.NoError(t, errors.Join(w.Close(), gz.Close()))
	return &b
}

func TestRefused(t *testing.T) {
	t.Parallel()
	meta := func(text string) file { return file{metaName, text} }
	good := meta(`{"Version":"concord-1","Index":5,"Size":9}`)
	for name, c := range map[string]struct {
		in   io.Reader
		want string
	}{
		"not compressed":  {bytes.NewReader([]byte("hello, this is no archive")), "failed to decompress snapshot: gzip: invalid header"},
		"short":           {bytes.NewReader([]byte("hello")), "failed to decompress snapshot: unexpected EOF"},
		"no files":        {pack(t), "failed to read snapshot file: failed to read snapshot metadata: unexpected EOF"},
		"another file":    {pack(t, file{"x", ""}), `unexpected file "x" in snapshot`},
		"no JSON":         {pack(t, meta("x")), "failed to decode snapshot metadata"},
		"newer":           {pack(t, meta(`{"Version":"concord-2"}`)), `it has version "concord-2", this is "concord-1"`},
		"no version":      {pack(t, meta(`{}`)), "not made by this version"},
		"no state":        {pack(t, good), "failed to read snapshot state: unexpected EOF"},
		"other size":      {pack(t, good, file{stateName, "x"}), "the state has 1 bytes, not 9"},
		"no sums":         {pack(t, good, file{stateName, stateMagic + "\x00"}), "failed to read snapshot checksums"},
		"wrong sums":      {pack(t, good, file{stateName, stateMagic + "\x00"}, file{sumsName, "x"}), "the checksums do not match"},
		"other state":     {pack(t, good, file{stateName, "CONCORD\x02\x00"}), "the state begins with"},
		"large block":     {pack(t, meta(`{"Version":"concord-1","Size":13}`), file{stateName, stateMagic + "\xff\xff\xff\xff\x0f"}), "a block of"},
		"behind the end":  {pack(t, meta(`{"Version":"concord-1","Size":10}`), file{stateName, stateMagic + "\x00\x00"}), "something follows the state"},
		"endless padding": {pack(t, good, file{stateName, stateMagic + "\x00"}, file{sumsName, "x"}, file{"more", ""}), "do not match"},
	} {
		_, err := Read(c.in, nothing)
		require.ErrorContains(t, err, c.want, name)
	}
}

// A state that is whole but makes no sense is refused, too: the servers would stop at it.
func TestSenselessRecords(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.put("k", "v")
	a, _, err := c.m.Read(&catalog.SnapshotQuery{ID: "x"})
	require.NoError(t, err)
	good := a.Value.(*catalog.SnapshotPage).Records
	read := func(records []byte, index uint64) error {
		var state, out bytes.Buffer
		w := newStateWriter(&state)
		require.NoError(t, w.block(records))
		size, err := w.close()
		require.NoError(t, err)
		require.NoError(t, Write(&out, Meta{Version: Version, Index: index, Size: size}, &state))
		_, err = Read(&out, nothing)
		return err
	}
	require.NoError(t, read(good, 1))
	require.ErrorContains(t, read(good, 0), "above that of the whole")
	require.ErrorContains(t, read(append(bytes.Clone(good), good...), 1), "not in order")
	require.ErrorContains(t, read([]byte{200}, 1), "malformed")
	for k := range 256 {
		require.Error(t, read(catalog.AppendRecord(nil, []byte{byte(k)}, []byte("rubbish")), 1), "key %#x", k)
	}
}

func TestStateOfBlocks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, to := newCluster(t), newCluster(t)
		for range rapid.IntRange(0, 20).Draw(t, "writes") {
			c.put(rapid.StringN(1, 3, -1).Draw(t, "key"), rapid.String().Draw(t, "value"))
		}
		_, err := Restore(context.Background(), to, bytes.NewReader(save(t, c, "")), "")
		require.NoError(t, err)
		require.Equal(t, c.dump(t), to.dump(t))
	})
}

func FuzzRead(f *testing.F) {
	c := newCluster(f)
	f.Add(save(f, c, ""))
	c.fill(3, 10)
	f.Add(save(f, c, ""))
	if p, err := os.ReadFile("testdata/consul.snap"); err == nil {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, in []byte) { Read(bytes.NewReader(in), nothing) })
}

// FuzzState fuzzes what is inside, which the compression hides from FuzzRead.
func FuzzState(f *testing.F) {
	c := newCluster(f)
	c.fill(3, 10)
	s, err := Save(context.Background(), c, wire.Default, "")
	require.NoError(f, err)
	s.state.Seek(0, io.SeekStart)
	p, err := io.ReadAll(s.state)
	require.NoError(f, err)
	f.Add(p)
	f.Fuzz(func(t *testing.T, in []byte) {
		text := []byte(fmt.Sprintf(`{"Version":"concord-1","Index":9,"Size":%d}`, len(in)))
		Read(pack(t, file{metaName, string(text)}, file{stateName, string(in)}), nothing)
	})
}
