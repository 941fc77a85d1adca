package recovery

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/internal/prng"
	"concord/node"
	"concord/raft"
)

// survivor is a recovered server that runs, with a perfect disk.
type survivor struct {
	*raft.Node
	log []raft.Entry // from index 1
}

// survivors draws the logs that servers may be left with: the same committed entries, then whatever they had of the
// terms of leaders that nobody else may have followed. Configurations are anywhere.
func survivors(t *rapid.T, ids []string) (logs [][]raft.Entry, committed int) {
	common := history(t)
	committed = rapid.IntRange(1, len(common)).Draw(t, "committed")
	last := common[len(common)-1].Term
	for i, id := range ids {
		log := slices.Clone(common[:rapid.IntRange(committed, len(common)).Draw(t, "kept")])
		for range rapid.IntRange(0, 4).Draw(t, "own") {
			e := raft.Entry{Term: last + uint64(i) + 1, Index: uint64(len(log) + 1), Type: raft.EntryCommand, Data: []byte(id)}
			if rapid.Bool().Draw(t, "config") {
				c := voters("a", "b", "c", "q-"+id)
				e.Type, e.Data, e.Config = raft.EntryConfig, nil, &c
			}
			log = append(log, e)
		}
		logs = append(logs, log)
	}
	return logs, committed
}

// recovered puts a log on disks, of which the first entries are applied, recovers it, and starts Raft from there.
func recovered(t *rapid.T, id string, log []raft.Entry, applied int, config raft.Configuration) *survivor {
	l, m := fresh().open(t)
	w := l.Begin()
	require.NoError(t, w.Add(&raft.HardState{Term: log[len(log)-1].Term + rapid.Uint64Range(0, 3).Draw(t, "later terms")}, log))
	require.NoError(t, w.Commit())
	_, err := m.Apply(log[:applied])
	require.NoError(t, err)
	require.NoError(t, Replace(l, m, config))
	d, err := node.Recover(l, m)
	require.NoError(t, err)
	n, err := raft.New(raft.Config{ID: raft.ID(id)}, d.Raft, prng.New(rapid.Uint64().Draw(t, "seed")), 0)
	require.NoError(t, err)
	return &survivor{n, append(slices.Clone(log[:applied]), d.Raft.Entries...)}
}

// drain carries out what there is to do.
func (s *survivor) drain(t *rapid.T, now time.Duration, send func(raft.Message)) {
	for s.HasReady() {
		rd := s.Ready()
		require.Empty(t, rd.ChunkReads, "nobody needs a snapshot here")
		if len(rd.Entries) > 0 {
			s.log = append(s.log[:rd.Entries[0].Index-1], rd.Entries...)
		}
		for _, m := range append(rd.Messages, rd.AfterPersist...) {
			send(m)
		}
		s.Persisted(now, rd.ID)
		if k := len(rd.Committed); k > 0 {
			s.Applied(now, rd.Committed[k-1].Index)
		}
		for _, r := range rd.LogReads {
			s.LogRead(now, r, s.log[r.Lo-1:r.Hi], nil)
		}
	}
}

// TestRecoveredServersAgree recovers servers whose logs contradict one another at the end, and requires that they agree on one
// log, which has everything that was committed.
func TestRecoveredServersAgree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ids := []string{"a", "b", "c"}[:rapid.IntRange(1, 3).Draw(t, "servers")]
		logs, committed := survivors(t, ids)
		applied := rapid.IntRange(0, committed).Draw(t, "applied")
		config, all := voters(ids...), map[raft.ID]*survivor{}
		for i, id := range ids {
			all[raft.ID(id)] = recovered(t, id, logs[i], applied, config)
		}
		// One of them is started, or reached, later than the others, who may have elected a leader without it.
		late, start := raft.ID(rapid.SampledFrom(ids).Draw(t, "late")), time.Duration(rapid.IntRange(0, 1).Draw(t, "later"))*5*time.Second
		agree := func() bool {
			a := all["a"]
			for _, id := range ids {
				s := all[raft.ID(id)]
				if st := s.Status(); s.HasReady() || st.Leader == "" || st.CommitIndex != uint64(len(s.log)) || len(s.log) != len(a.log) {
					return false
				}
			}
			return true
		}
		for now := time.Duration(0); !agree(); now += 5 * time.Millisecond {
			require.Less(t, now, time.Minute, "they do not agree")
			for _, id := range ids {
				s := all[raft.ID(id)]
				if s.NextDeadline() <= now {
					s.Tick(now)
				}
				s.drain(t, now, func(m raft.Message) {
					to, ok := all[m.To]
					require.True(t, ok, "%s is not one of the servers", m.To)
					if now >= start || m.From != late && m.To != late {
						to.Step(now, m)
					}
				})
			}
		}
		for _, id := range ids {
			s := all[raft.ID(id)]
			require.Equal(t, config, s.Status().Config)
			// What was applied before was not written again.
			require.Equal(t, all["a"].log[applied:], s.log[applied:])
			for i := range committed {
				require.Equal(t, logs[0][i].Term, s.log[i].Term)
				require.Equal(t, logs[0][i].Data, s.log[i].Data)
			}
		}
	})
}
