package machine

import (
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/catalog"
	"concord/raft"
	"concord/swim/coordinate"
	"concord/wire"
)

// saved is a state as an archive has it.
type saved struct {
	index, term uint64
	records     [][]byte // one encoded record each
}

func save(t require.TestingT, m *Machine, id string) (s saved) {
	q := &catalog.SnapshotQuery{ID: id}
	for {
		a, served, err := m.Read(q)
		require.NoError(t, err)
		page := a.Value.(*catalog.SnapshotPage)
		require.Equal(t, a.Index, page.Index)
		require.Equal(t, served, page.Index)
		s.index, s.term = page.Index, page.Term
		for rest := page.Records; len(rest) > 0; {
			k, v, after, ok := catalog.CutRecord(rest)
			require.True(t, ok)
			require.NoError(t, catalog.CheckRecord(k, v, page.Index))
			s.records, rest = append(s.records, catalog.AppendRecord(nil, k, v)), after
		}
		if page.Next == nil {
			return s
		}
		q.Cursor = page.Next
	}
}

// steps are the commands that restore s, n records in a chunk.
func (s saved) steps(id string, n int) (out []wire.Restore) {
	out = append(out, wire.Restore{Step: wire.RestoreBegin, ID: id})
	sum, seq := uint32(0), uint64(0)
	for i := 0; i < len(s.records); i += n {
		var data []byte
		for _, r := range s.records[i:min(i+n, len(s.records))] {
			data = append(data, r...)
		}
		sum = crc32.Update(sum, castagnoli, data)
		out = append(out, wire.Restore{Step: wire.RestoreChunk, ID: id, Seq: seq, Data: data})
		seq++
	}
	return append(out, wire.Restore{Step: wire.RestoreEnd, ID: id, Seq: seq, Checksum: sum, Index: s.index})
}

func command(m *Machine, data []byte) []raft.Entry {
	return []raft.Entry{{Index: m.Applied().Index + 1, Term: 3, Type: raft.EntryCommand, Data: data}}
}

func step(t require.TestingT, m *Machine, c wire.Restore) catalog.Result {
	out, err := m.Apply(command(m, wire.AppendRestore(nil, &c)))
	require.NoError(t, err)
	require.Equal(t, c.Step == wire.RestoreEnd && out.Results[0].OK && m.line.floor == out.Results[0].Index, out.Restored)
	return out.Results[0]
}

func do(t require.TestingT, m *Machine, c catalog.Command) catalog.Result {
	out, err := m.Apply(command(m, wire.AppendCommand(nil, c)))
	require.NoError(t, err)
	return out.Results[0]
}

func drawWrite(t *rapid.T) catalog.Command {
	name := func(what string) string {
		return rapid.SampledFrom([]string{"a", "a/b", "b", "B", "a\x00", "\xff"}).Draw(t, what)
	}
	switch rapid.IntRange(0, 11).Draw(t, "kind") {
	case 8, 9:
		c := catalog.Coordinate{Node: name("node"), Coord: coordinate.New()}
		c.Coord.Vec[0] = float64(rapid.IntRange(0, 3).Draw(t, "at"))
		return &catalog.UpdateCoordinates{Updates: []catalog.Coordinate{c}}
	case 0, 1, 2, 3:
		return &catalog.KVWrite{Op: catalog.KVSet, Key: name("key"), Value: []byte(name("value"))}
	case 4:
		return &catalog.KVWrite{Op: catalog.KVDelete, Key: name("key")}
	case 5:
		return &catalog.KVWrite{Op: catalog.KVDeleteTree, Key: name("prefix")}
	case 6:
		return &catalog.Deregister{Node: name("node"), ServiceID: rapid.SampledFrom([]string{"", "a"}).Draw(t, "service")}
	case 7:
		return &catalog.SetAutopilot{Config: catalog.AutopilotConfig{MinQuorum: uint(rapid.IntRange(0, 3).Draw(t, "quorum"))}}
	}
	return &catalog.Register{Node: name("node"), Address: "192.0.2.1", Service: &catalog.NodeService{ID: name("id"), Service: name("service"), Tags: []string{name("tag")}},
		Checks: []*catalog.HealthCheck{{CheckID: name("check"), Status: catalog.HealthPassing, ServiceID: name("of")}}}
}

func write(t *rapid.T, m *Machine, upTo int) {
	for range rapid.IntRange(0, upTo).Draw(t, "writes") {
		do(t, m, drawWrite(t))
	}
}

var queries = []catalog.Query{&catalog.NodesQuery{}, &catalog.ServicesQuery{}, &catalog.ServiceNodesQuery{Service: "a"}, &catalog.NodeServicesQuery{Node: "b"},
	&catalog.NodeChecksQuery{Node: "a"}, &catalog.ServiceChecksQuery{Service: "b"}, &catalog.StateChecksQuery{State: catalog.HealthAny},
	&catalog.HealthServiceQuery{Service: "a"}, &catalog.KVGetQuery{Key: "a"}, &catalog.KVListQuery{}, &catalog.KVKeysQuery{Separator: "/"}, &catalog.AutopilotQuery{},
	&catalog.CoordinatesQuery{}, &catalog.CoordinateQuery{Node: "a"}, &catalog.NearQuery{Query: &catalog.NodesQuery{}, Node: "a"}}

func answers(t require.TestingT, m *Machine) (out []catalog.Answer) {
	for _, q := range queries {
		a, _, err := m.Read(q)
		require.NoError(t, err)
		out = append(out, a)
	}
	return out
}

// A restored state answers as the saved one did, whatever was there, with indexes that never go back.
func TestRestore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from, to := machineOn(t, newDisks()), machineOn(t, newDisks())
		for round := range 3 { // the second and third time the source, then the target, are in other halves
			write(t, from, 30)
			write(t, to, 30)
			archive, want, before := save(t, from, "s"), answers(t, from), answers(t, to)
			last := to.line.index(to.Applied().Index)
			var at uint64
			for _, c := range archive.steps(fmt.Sprint("r", round), rapid.IntRange(1, 9).Draw(t, "chunk")) {
				require.Equal(t, before, answers(t, to), "nothing is seen of a part")
				r := step(t, to, c)
				require.True(t, r.OK, r.Err)
				require.Greater(t, r.Index, last)
				last, at = r.Index, r.Index
				if rapid.IntRange(0, 9).Draw(t, "write meanwhile") == 0 && c.Step != wire.RestoreEnd {
					do(t, to, drawWrite(t))
					before, last = answers(t, to), last+1
				}
			}
			require.Greater(t, at, archive.index)
			after := answers(t, to)
			for i, a := range after {
				require.Equal(t, want[i].Value, a.Value)
				require.Equal(t, at, a.Index, "all watchers are woken")
			}
			require.Equal(t, archive.records, save(t, to, "t").records)
			r := do(t, to, &catalog.KVWrite{Op: catalog.KVSet, Key: "new", Value: fmt.Append(nil, round)})
			require.Equal(t, at+1, r.Index)
			a, served, err := to.Read(&catalog.KVGetQuery{Key: "new"})
			require.NoError(t, err)
			require.Equal(t, at+1, a.Value.(*catalog.DirEntry).ModifyIndex)
			require.Equal(t, []uint64{at + 1, at + 1}, []uint64{a.Index, served})
			from, to = to, from
		}
	})
}

// A crash between any two steps, or a follower that gets the state meanwhile, changes nothing about the outcome.
func TestRestoreIsInterrupted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from, disk := machineOn(t, newDisks()), newDisks()
		to := machineOn(t, disk)
		write(t, from, 30)
		write(t, to, 30)
		from.st.Flush()
		archive := save(t, from, "s")
		var log []raft.Entry // since the last flush
		_, err := to.Flush()
		require.NoError(t, err)
		for _, c := range archive.steps("r", rapid.IntRange(1, 9).Draw(t, "chunk")) {
			e := command(to, wire.AppendRestore(nil, &c))
			log = append(log, e...)
			out, err := to.Apply(e)
			require.NoError(t, err)
			require.True(t, out.Results[0].OK, out.Results[0].Err)
			switch rapid.IntRange(0, 5).Draw(t, "then") {
			case 0:
				to = machineOn(t, disk)
				_, err = to.Apply(log)
				require.NoError(t, err)
			case 1:
				_, err := to.Flush()
				require.NoError(t, err)
				log = nil
			case 2:
				disk = newDisks()
				follower := machineOn(t, disk)
				receive(t, follower, chunks(t, to, "f"))
				to, log = follower, nil
			case 3: // the answer was lost, and the step comes again
				require.True(t, step(t, to, c).OK)
				_, err := to.Flush()
				require.NoError(t, err)
				log = nil
			}
		}
		require.Equal(t, archive.records, save(t, to, "t").records)
	})
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	from, m := machineOn(t, newDisks()), machineOn(t, newDisks())
	for i := range 6 {
		do(t, from, &catalog.KVWrite{Op: catalog.KVSet, Key: fmt.Sprint(i), Value: []byte("x")})
	}
	do(t, m, &catalog.KVWrite{Op: catalog.KVSet, Key: "old", Value: []byte("x")})
	before := answers(t, m)
	s := save(t, from, "s").steps("r", 2)
	require.Len(t, s, 5)
	refused := func(c wire.Restore, why string) {
		r := step(t, m, c)
		require.False(t, r.OK)
		require.Contains(t, r.Err, why)
		require.Equal(t, before, answers(t, m))
	}
	refused(s[1], "not under way")
	refused(wire.Restore{Step: wire.RestoreBegin}, "needs an ID")
	require.True(t, step(t, m, s[0]).OK)
	refused(s[2], "chunk 0 of restore r is missing")
	refused(wire.Restore{Step: wire.RestoreChunk, ID: "r", Data: catalog.AppendRecord(nil, keyApplied, nil)}, "malformed")
	refused(wire.Restore{Step: wire.RestoreChunk, ID: "r", Data: catalog.AppendRecord(nil, []byte{0x98}, nil)}, "malformed")
	refused(wire.Restore{Step: wire.RestoreChunk, ID: "r", Data: []byte{1}}, "malformed")
	refused(wire.Restore{Step: 77, ID: "r"}, "older version")
	require.True(t, step(t, m, s[1]).OK)
	refused(s[4], "not complete")
	require.True(t, step(t, m, s[2]).OK)
	require.True(t, step(t, m, s[3]).OK)
	bad := s[4]
	bad.Checksum++
	refused(bad, "not complete")
	bad = s[4]
	bad.Index = 1 << 63
	refused(bad, "too large")
	require.True(t, step(t, m, wire.Restore{Step: wire.RestoreBegin, ID: "other"}).OK)
	refused(s[4], "another one has begun")
	require.True(t, step(t, m, wire.Restore{Step: wire.RestoreAbort, ID: "other"}).OK)
	lo, hi := bounds(true)
	chunk, _, err := records(m.st, lo, hi, m.chunkBytes)
	require.NoError(t, err)
	require.Empty(t, chunk, "nothing is left of it")
	out, err := m.Apply(command(m, append(wire.AppendRestore(nil, &s[0]), 1)))
	require.NoError(t, err, "the log must go on")
	require.NotEmpty(t, out.Results[0].Err)
}

// Entries of one batch see what those before them did, a restore, too.
func TestRestoreWithinABatch(t *testing.T) {
	t.Parallel()
	from, m := machineOn(t, newDisks()), machineOn(t, newDisks())
	do(t, from, &catalog.KVWrite{Op: catalog.KVSet, Key: "k", Value: []byte("restored")})
	do(t, m, &catalog.KVWrite{Op: catalog.KVSet, Key: "gone", Value: []byte("x")})
	var entries []raft.Entry
	add := func(data []byte) {
		entries = append(entries, raft.Entry{Index: m.Applied().Index + uint64(len(entries)) + 1, Term: 3, Type: raft.EntryCommand, Data: data})
	}
	for _, c := range save(t, from, "s").steps("r", 1) {
		add(wire.AppendRestore(nil, &c))
	}
	add(wire.AppendCommand(nil, &catalog.KVWrite{Op: catalog.KVCAS, Key: "k", Index: 1, Value: []byte("changed")}))
	out, err := m.Apply(entries)
	require.NoError(t, err)
	require.True(t, out.Restored)
	require.True(t, out.Results[len(entries)-1].OK)
	a, _, err := m.Read(&catalog.KVKeysQuery{})
	require.NoError(t, err)
	require.Equal(t, []string{"k"}, a.Value)
	a, _, err = m.Read(&catalog.KVGetQuery{Key: "k"})
	require.NoError(t, err)
	require.Equal(t, "changed", string(a.Value.(*catalog.DirEntry).Value))
}

// A snapshot being saved stays what it was; an abandoned one makes room, or ends.
func TestSavesAreBounded(t *testing.T) {
	t.Parallel()
	m := machineOn(t, newDisks())
	fill(t, m, 8)
	begin := func(id string) []byte {
		a, _, err := m.Read(&catalog.SnapshotQuery{ID: id})
		require.NoError(t, err)
		return a.Value.(*catalog.SnapshotPage).Next
	}
	want := save(t, m, "whole")
	next := begin("held")
	do(t, m, &catalog.KVWrite{Op: catalog.KVDeleteTree})
	a, _, err := m.Read(&catalog.SnapshotQuery{ID: "held", Cursor: next})
	require.NoError(t, err)
	require.Equal(t, want.index, a.Value.(*catalog.SnapshotPage).Index)
	require.NotEmpty(t, a.Value.(*catalog.SnapshotPage).Records)
	_, _, err = m.Read(&catalog.SnapshotQuery{ID: "whole", Cursor: next})
	require.ErrorIs(t, err, ErrSnapshotGone, "the last page ended it")
	fill2 := func(id string) {
		m.sending.mu.Lock()
		defer m.sending.mu.Unlock()
		require.NoError(t, m.beginSending(target{save: id}))
		m.sending.use(target{save: id})
		m.sending.boundSaves(target{save: id})
	}
	for i := range maxSaves {
		fill2(fmt.Sprint(i))
	}
	require.Len(t, m.sending.open, maxSaves)
	_, _, err = m.Read(&catalog.SnapshotQuery{ID: "held", Cursor: next})
	require.ErrorIs(t, err, ErrSnapshotGone)
	for range 2 {
		_, err = m.Flush()
		require.NoError(t, err)
	}
	require.Empty(t, m.sending.open)
}
