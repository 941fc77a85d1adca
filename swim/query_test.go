package swim

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// answerWith lets all members answer with their name.
func (w *network) answerWithName() {
	w.respond = func(p *peer, q Question) { require.NoError(w.t, p.Respond(w.now, q.ID, []byte(p.name))) }
}

func (w *network) ask(p *peer, q Query) QueryID {
	id, err := p.Ask(w.now, q)
	require.NoError(w.t, err)
	w.drain(p)
	return id
}

// replyNames returns who acknowledged and who answered, each as often as it did, and whether the query is over.
func replyNames(replies []Reply) (acks, answers map[string]int, done int) {
	acks, answers = make(map[string]int), make(map[string]int)
	for _, r := range replies {
		switch {
		case r.Done:
			done++
		case r.Ack:
			acks[r.From]++
		default:
			answers[string(r.Payload)]++
		}
	}
	return acks, answers, done
}

func TestTraceQuery(t *testing.T) {
	t.Parallel()
	w, b := newNetwork(t, 1), strings.Builder{}
	w.cluster(4, Config{})
	w.run(5 * time.Second)
	w.answerWithName()
	w.trace = func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	w.ask(w.peers[1], Query{Name: "uptime", Ack: true, Relay: 1, Nodes: []string{nodeName(0), nodeName(1)}})
	w.run(400 * time.Millisecond)
	golden(t, "query.txt", b.String())
}

func TestQueriesAreAnswered(t *testing.T) {
	t.Parallel()
	asked, missed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := newNetwork(t, rapid.Uint64().Draw(t, "seed"))
		w.cluster(rapid.IntRange(1, 9).Draw(t, "members"), Config{})
		w.run(5 * time.Second)
		w.answerWithName()
		w.twice = rapid.Uint64Range(0, 50).Draw(t, "twice")
		want := make(map[string]int)
		q := Query{Name: "q", Relay: rapid.IntRange(0, MaxRelay).Draw(t, "relay"), Ack: rapid.Bool().Draw(t, "ack")}
		byTag := rapid.Bool().Draw(t, "by tag")
		for _, p := range w.peers {
			role := rapid.SampledFrom([]string{"web", "db"}).Draw(t, "role")
			require.NoError(t, p.SetTags(w.now, map[string]string{"role": role}))
			w.drain(p)
			if named := rapid.Bool().Draw(t, "named"); byTag && role == "web" || !byTag && named {
				want[p.name] = 1
				if !byTag {
					q.Nodes = append(q.Nodes, p.name)
				}
			}
		}
		if byTag {
			q.Tags = map[string]string{"role": "^w.b$"}
		} else if len(want) == 0 {
			for _, p := range w.peers {
				want[p.name] = 1
			}
		}
		asker := w.peers[rapid.IntRange(0, len(w.peers)-1).Draw(t, "asker")]
		start := w.now
		timeout := asker.DefaultQueryTimeout()
		w.ask(asker, q)
		w.run(timeout - time.Millisecond)
		acks, answers, done := replyNames(asker.replies)
		for _, p := range w.peers {
			require.LessOrEqual(t, len(p.asked), want[p.name])
			if len(p.asked) < want[p.name] {
				delete(want, p.name)
				missed++
			}
		}
		require.Equal(t, want, answers)
		if q.Ack {
			require.Equal(t, want, acks)
		} else {
			require.Empty(t, acks)
		}
		require.Zero(t, done)
		w.run(time.Millisecond)
		_, _, done = replyNames(asker.replies)
		require.Equal(t, 1, done)
		require.Equal(t, start+timeout, w.now)
		w.run(time.Minute)
		require.Len(t, asker.replies, len(acks)+len(answers)+1, "nothing comes after the end")
		asked += len(want)
	})
	require.Less(t, missed*20, asked+20, "gossip is random, but does not leave many out")
}

// With relays answers get through where the direct way is cut.
func TestAnswersAreRelayed(t *testing.T) {
	t.Parallel()
	w := newNetwork(t, 5)
	w.cluster(5, Config{})
	w.run(5 * time.Second)
	w.answerWithName()
	w.cut = func(a, b *peer) bool { return a == w.peers[3] && b == w.peers[0] }
	w.ask(w.peers[0], Query{Name: "direct"})
	w.run(5 * time.Second)
	_, answers, _ := replyNames(w.peers[0].replies)
	require.Zero(t, answers[nodeName(3)])
	w.ask(w.peers[0], Query{Name: "relayed", Relay: 3})
	w.run(5 * time.Second)
	_, answers, _ = replyNames(w.peers[0].replies)
	require.Equal(t, 1, answers[nodeName(3)])
	require.Equal(t, 2, answers[nodeName(1)], "one for each query, although relayed answers come several times")
}

func TestRespondRefuses(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{})
	id, err := n.Ask(0, Query{Name: "q", Timeout: time.Second})
	require.NoError(t, err)
	require.Equal(t, []Question{{ID: id, Name: "q", Deadline: time.Second}}, n.Output().Questions)
	require.ErrorContains(t, n.Respond(0, id, make([]byte, 1000)), "limit of 1024 bytes")
	require.ErrorIs(t, n.Respond(0, QueryID{From: "x"}, nil), ErrQuery)
	require.ErrorContains(t, n.Respond(time.Second, id, nil), "past the deadline")
	id, err = n.Ask(time.Second, Query{Name: "q", Timeout: time.Second})
	require.NoError(t, err)
	require.NoError(t, n.Respond(time.Second, id, []byte("yes")))
	require.ErrorIs(t, n.Respond(time.Second, id, []byte("no")), ErrQuery)
	require.Equal(t, []Reply{{ID: id, From: n.cfg.Name, Payload: []byte("yes")}}, n.Output().Replies)
}

func TestAskRefuses(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{})
	for text, q := range map[string]Query{
		"needs a name":          {},
		"no regular expression": {Name: "q", Tags: map[string]string{"role": "("}},
		"relay factor":          {Name: "q", Relay: MaxRelay + 1},
		"timeout":               {Name: "q", Timeout: 2 * MaxQueryTimeout},
		"limit of 1024 bytes":   {Name: "q", Payload: make([]byte, 1024)},
	} {
		_, err := n.Ask(0, q)
		require.ErrorIs(t, err, ErrQuery)
		require.ErrorContains(t, err, text)
	}
	for range maxAsks {
		_, err := n.Ask(0, Query{Name: "q"})
		require.NoError(t, err)
	}
	_, err := n.Ask(0, Query{Name: "q"})
	require.ErrorContains(t, err, "under way")
	n.Leave(0)
	_, _, done := replyNames(n.Output().Replies)
	require.Equal(t, maxAsks, done, "leaving ends all queries")
	_, err = n.Ask(0, Query{Name: "q"})
	require.ErrorIs(t, err, ErrLeft)
}

// A member passes answers on only once, and takes none for somebody else.
func TestStrayAnswers(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{})
	answer := func(target string, to netip.AddrPort) []Packet {
		n.HandlePacket(0, Packet{Addr: address(1), Message: Message{Type: MsgAnswer, From: "a", Target: target, Addr: to, Answer: &Answer{LTime: 1}}})
		return n.Output().Packets
	}
	sent := answer("b", address(2))
	require.Len(t, sent, 1)
	require.Equal(t, address(2), sent[0].Addr)
	require.False(t, sent[0].Message.Addr.IsValid())
	require.Empty(t, answer("b", netip.AddrPort{}))
	require.Empty(t, answer(n.cfg.Name, netip.AddrPort{}))
	require.EqualValues(t, 1, n.Stats().AnswersLate)
	require.EqualValues(t, 1, n.Stats().InvalidMessages)
}

// Relays make up for lost answers.
func TestRelaysMakeUpForLoss(t *testing.T) {
	t.Parallel()
	const members, queries = 10, 20
	missing := func(relay int) int {
		w := newNetwork(t, 7)
		w.cluster(members, Config{})
		w.run(5 * time.Second)
		w.answerWithName()
		w.loss = 20
		for range queries {
			w.ask(w.peers[0], Query{Name: "q", Relay: relay})
			w.run(w.peers[0].DefaultQueryTimeout())
		}
		_, answers, done := replyNames(w.peers[0].replies)
		require.Equal(t, queries, done)
		got := 0
		for _, n := range answers {
			got += n
		}
		return members*queries - got
	}
	alone, relayed := missing(0), missing(3)
	t.Logf("of %d answers, a fifth of all packets being lost, %d are missing without relays and %d with three", members*queries, alone, relayed)
	require.Less(t, relayed*4, alone)
	require.LessOrEqual(t, relayed*50, members*queries)
}

// Of two nodes with one name the one that the others do not believe gets answers, too.
func TestAnswersGoToWhoAsked(t *testing.T) {
	t.Parallel()
	n := solo(t, Config{})
	n.learn(ptr(aliveClaim(2, 1)), false)
	n.Output()
	n.HandlePacket(0, Packet{Addr: address(9), Message: Message{Type: MsgGossip, From: "a"}, Queries: []QueryCast{{ID: QueryID{From: nodeName(2), LTime: 1},
		Addr: address(7), Query: Query{Name: "q", Ack: true, Timeout: time.Second}}}})
	out := n.Output()
	require.Len(t, out.Packets, 1)
	require.Equal(t, address(7), out.Packets[0].Addr)
}
