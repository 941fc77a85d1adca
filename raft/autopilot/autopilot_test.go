package autopilot_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/raft"
	"concord/raft/autopilot"
	"concord/raft/quorum"
)

func config() autopilot.Config { return autopilot.DefaultConfig() }

// in returns the input for servers named by letters: upper case for voters; the first leads.
func in(servers string, dead string) autopilot.Input {
	input := autopilot.Input{LastTerm: 2, LastIndex: 1000, ConfigIndex: 7}
	for _, r := range servers {
		s := raft.Server{ID: raft.ID(r | 0x20), Suffrage: raft.Nonvoter}
		if r < 'a' {
			s.Suffrage = raft.Voter
		}
		if input.Leader == "" {
			input.Leader = s.ID
		}
		f := autopilot.Facts{ID: string(s.ID), Liveness: autopilot.Alive, LastTerm: 2, LastIndex: 990}
		for _, d := range dead {
			if d == r|0x20 {
				f.Liveness = autopilot.Failed
			}
		}
		input.Config.Servers = append(input.Config.Servers, s)
		input.Facts = append(input.Facts, f)
	}
	return input
}

func TestPromotionAfterStabilization(t *testing.T) {
	t.Parallel()
	a := autopilot.New()
	_, ok := a.Step(0, config(), in("ABCd", ""))
	require.False(t, ok)
	_, ok = a.Step(10*time.Second-1, config(), in("ABCd", ""))
	require.False(t, ok, "too early")
	d, ok := a.Step(10*time.Second, config(), in("ABCd", ""))
	require.True(t, ok)
	require.Equal(t, raft.Change{Type: raft.AddVoter, Server: raft.Server{ID: "d", Suffrage: raft.Nonvoter}, PrevIndex: 7}, d.Change)
}

func TestUnhealthyServersAreNotPromoted(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*autopilot.Facts){
		"old term":      func(f *autopilot.Facts) { f.LastTerm = 1 },
		"far behind":    func(f *autopilot.Facts) { f.LastIndex = 749 },
		"no contact":    func(f *autopilot.Facts) { f.LastContact = 201 * time.Millisecond },
		"never contact": func(f *autopilot.Facts) { f.LastContact = -1 },
		"failed":        func(f *autopilot.Facts) { f.Liveness = autopilot.Failed },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := autopilot.New()
			cfg := config()
			cfg.CleanupDeadServers = false
			input := in("ABCd", "")
			spoil(&input.Facts[3])
			for _, now := range []time.Duration{0, 20 * time.Second} {
				_, ok := a.Step(now, cfg, input)
				require.False(t, ok)
			}
			require.False(t, a.Health().Healthy)
			// Once it is healthy its time begins anew.
			good := in("ABCd", "")
			_, ok := a.Step(30*time.Second, cfg, good)
			require.False(t, ok)
			require.Equal(t, 30*time.Second, a.Health().Servers[3].StableSince)
			_, ok = a.Step(40*time.Second, cfg, good)
			require.True(t, ok)
		})
	}
}

func TestOneOfManyIsPromotedAtATime(t *testing.T) {
	t.Parallel()
	a := autopilot.New()
	a.Step(0, config(), in("Abc", ""))
	d, ok := a.Step(time.Minute, config(), in("Abc", ""))
	require.True(t, ok)
	require.Equal(t, raft.ID("b"), d.Change.Server.ID)
	d, ok = a.Step(time.Minute, config(), in("ABc", ""))
	require.True(t, ok)
	require.Equal(t, raft.ID("c"), d.Change.Server.ID)
}

func TestCleanup(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		servers, dead string
		minQuorum     uint
		removed       raft.ID
	}{
		{"ABC", "c", 0, "c"},
		{"ABC", "c", 3, ""},        // would go below MinQuorum
		{"ABCD", "d", 3, "d"},      //
		{"ABC", "bc", 0, ""},       // more than half
		{"ABCD", "cd", 0, ""},      // half
		{"ABCDE", "de", 0, "d"},    //
		{"ABCDE", "cde", 0, ""},    //
		{"AB", "b", 0, ""},         // half
		{"ABc", "c", 3, "c"},       // a nonvoter, always
		{"Abc", "bc", 0, "b"},      //
		{"ABcde", "b", 0, ""},      // half of those who vote now
		{"ABCd", "c", 3, ""},       // the nonvoter (made unhealthy below) does not stand in for a voter
		{"ABCdefg", "bcg", 0, "g"}, // nonvoters first
	} {
		t.Run(c.servers+"-"+c.dead, func(t *testing.T) {
			t.Parallel()
			a, cfg := autopilot.New(), config()
			cfg.MinQuorum = c.minQuorum
			input := in(c.servers, c.dead)
			for i := range input.Facts {
				input.Facts[i].LastTerm = 1 // nobody is promoted
			}
			_, ok := a.Step(0, cfg, input)
			require.False(t, ok, "a restart is not a death")
			d, ok := a.Step(10*time.Second, cfg, input)
			require.Equal(t, c.removed != "", ok)
			require.Equal(t, c.removed, d.Change.Server.ID)
			cfg.CleanupDeadServers = false
			_, ok = a.Step(20*time.Second, cfg, input)
			require.False(t, ok)
		})
	}
}

func TestWhoLeftIsRemovedAtOnce(t *testing.T) {
	t.Parallel()
	a := autopilot.New()
	input := in("ABC", "")
	input.Facts[2].Liveness = autopilot.Left
	d, ok := a.Step(0, config(), input)
	require.True(t, ok)
	require.Equal(t, raft.RemoveServer, d.Change.Type)
}

func TestHealthReport(t *testing.T) {
	t.Parallel()
	a := autopilot.New()
	a.Step(0, config(), in("ABC", ""))
	require.True(t, a.Health().Healthy)
	require.Equal(t, 1, a.Health().FailureTolerance)
	a.Step(5*time.Second, config(), in("ABC", "c"))
	h := a.Health()
	require.False(t, h.Healthy)
	require.Equal(t, 0, h.FailureTolerance)
	require.True(t, h.Servers[0].Leader)
	require.Equal(t, uint64(1000), h.Servers[0].LastIndex, "the leader's own")
	require.Equal(t, "failed", h.Servers[2].SerfStatus)
	require.Equal(t, 5*time.Second, h.Servers[2].StableSince)
}

// TestNeverBelowALivingMajority removes and promotes as told, whatever fails, and requires that a
// removal leaves a majority of the voters alive, never takes the leader, and is no living server.
func TestNeverBelowALivingMajority(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, cfg := autopilot.New(), config()
		input := in(rapid.StringMatching("AB?C?D?E?f?g?").Draw(t, "servers"), "")
		cfg.MinQuorum = uint(rapid.IntRange(0, 4).Draw(t, "min"))
		now := time.Duration(0)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 8).Draw(t, "pass")) * time.Second
			alive := map[raft.ID]bool{}
			for i := range input.Facts {
				f := &input.Facts[i]
				if raft.ID(f.ID) != input.Leader {
					f.Liveness = rapid.SampledFrom([]autopilot.Liveness{autopilot.Alive, autopilot.Alive, autopilot.Failed, autopilot.Unknown}).Draw(t, "liveness")
				}
				alive[raft.ID(f.ID)] = f.Liveness == autopilot.Alive
			}
			d, ok := a.Step(now, cfg, input)
			if !ok {
				continue
			}
			next, err := input.Config.With(d.Change)
			require.NoError(t, err)
			if d.Change.Type == raft.RemoveServer {
				require.NotEqual(t, input.Leader, d.Change.Server.ID)
				require.False(t, alive[d.Change.Server.ID])
				if input.Config.HasVoter(d.Change.Server.ID) {
					living := 0
					for _, s := range next.Servers {
						if alive[s.ID] && s.Suffrage == raft.Voter {
							living++
						}
					}
					require.GreaterOrEqual(t, living, quorum.Size(next.Voters()))
					require.GreaterOrEqual(t, uint(next.Voters()), cfg.MinQuorum)
				}
			}
			input.Config = next
		}
	})
}

// TestWhoAnswersIsNotRemoved: gossip may not have met a server yet, or be cut off from it, that Raft hears from.
func TestWhoAnswersIsNotRemoved(t *testing.T) {
	t.Parallel()
	for name, facts := range map[string]autopilot.Facts{
		"gossip never saw it":  {ID: "c", LastContact: -1, Answers: true},
		"gossip says failed":   {ID: "c", Liveness: autopilot.Failed, Answers: true},
		"nobody hears from it": {ID: "c", Liveness: autopilot.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := autopilot.New()
			input := in("ABC", "")
			input.Facts[2] = facts
			_, removed := a.Step(0, config(), input)
			require.False(t, removed)
			_, removed = a.Step(time.Minute, config(), input)
			require.Equal(t, !facts.Answers, removed)
		})
	}
}
