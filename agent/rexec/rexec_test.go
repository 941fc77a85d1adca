package rexec

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"concord/catalog"
	"concord/wire"
)

// store is the KV store of a cluster, as far as jobs use it.
type store struct {
	mu      sync.Mutex
	keys    map[string]string
	changed chan struct{}
}

func newStore() *store { return &store{keys: map[string]string{}, changed: make(chan struct{})} }

func (s *store) Do(_ context.Context, req *wire.Request) *wire.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	if req.Read != nil {
		key := req.Read.Query.(*catalog.KVGetQuery).Key
		value, ok := s.keys[key]
		if !ok {
			return &wire.Response{Answer: &catalog.Answer{Value: (*catalog.DirEntry)(nil)}}
		}
		return &wire.Response{Answer: &catalog.Answer{Value: &catalog.DirEntry{Key: key, Value: []byte(value)}}}
	}
	c, err := wire.DecodeCommand(req.Command)
	if err != nil {
		return &wire.Response{Code: wire.Refused, Err: err.Error()}
	}
	ops := c.(*catalog.TxnWrite).Ops
	if _, ok := s.keys[ops[0].KV.Key]; !ok {
		return &wire.Response{Result: &catalog.Result{Txn: &catalog.TxnAnswer{Errors: []catalog.TxnError{{What: "key not found"}}}}}
	}
	s.set(ops[1].KV.Key, string(ops[1].KV.Value))
	return &wire.Response{Result: &catalog.Result{Txn: &catalog.TxnAnswer{}}}
}

func (s *store) set(key, value string) {
	s.keys[key] = value
	close(s.changed)
	s.changed = make(chan struct{})
}

// await waits until a key is there.
func (s *store) await(t *testing.T, key string) string {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		s.mu.Lock()
		value, ok := s.keys[key]
		changed := s.changed
		s.mu.Unlock()
		if ok {
			return value
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("%s does not come", key)
		}
	}
}

func (s *store) output(session string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for i := 0; ; i++ {
		piece, ok := s.keys[fmt.Sprintf("_rexec/%s/n1/out/%05x", session, i)]
		if !ok {
			return b.String()
		}
		b.WriteString(piece)
	}
}

// begin stores a job and starts it.
func begin(t *testing.T, x *Executor, s *store, session string, spec Spec) {
	t.Helper()
	text, err := json.Marshal(spec)
	require.NoError(t, err)
	s.mu.Lock()
	s.set("_rexec/"+session+"/job", string(text))
	s.mu.Unlock()
	payload, err := json.Marshal(Event{Prefix: "_rexec", Session: session})
	require.NoError(t, err)
	x.Start(payload)
}

func start(t *testing.T) (*Executor, *store) {
	s := newStore()
	x := New("n1", s, hclog.NewNullLogger())
	t.Cleanup(x.Close)
	return x, s
}

func TestJobs(t *testing.T) {
	t.Parallel()
	x, s := start(t)
	for session, c := range map[string]struct {
		spec      Spec
		out, exit string
	}{
		"shell":   {Spec{Command: "echo hi; echo there >&2; exit 3"}, "hi\nthere\n", "3"},
		"args":    {Spec{Args: []string{"printf", "a b\n"}}, "a b\n", "0"},
		"script":  {Spec{Script: []byte("for i in 1 2; do echo $i; done\n")}, "1\n2\n", "0"},
		"silent":  {Spec{Command: "true"}, "", "0"},
		"missing": {Spec{Args: []string{"/does/not/exist"}}, "fork/exec /does/not/exist: no such file or directory\n", "255"},
	} {
		t.Run(session, func(t *testing.T) {
			t.Parallel()
			begin(t, x, s, session, c.spec)
			require.Equal(t, c.exit, s.await(t, "_rexec/"+session+"/n1/exit"))
			s.await(t, "_rexec/"+session+"/n1/ack")
			require.Equal(t, c.out, s.output(session))
		})
	}
}

func TestLongOutputComesInPieces(t *testing.T) {
	t.Parallel()
	x, s := start(t)
	begin(t, x, s, "long", Spec{Command: "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done"})
	require.Equal(t, "0", s.await(t, "_rexec/long/n1/exit"))
	require.Equal(t, 3000, strings.Count(s.output("long"), "\n"))
	require.LessOrEqual(t, len(s.await(t, "_rexec/long/n1/out/00000")), pieceSize)
}

func TestTooMuchOutputEndsAJob(t *testing.T) {
	t.Parallel()
	x, s := start(t)
	begin(t, x, s, "much", Spec{Command: "yes"})
	require.Equal(t, "255", s.await(t, "_rexec/much/n1/exit"))
	s.mu.Lock()
	defer s.mu.Unlock()
	all := strings.Builder{}
	for key, value := range s.keys {
		if strings.Contains(key, "/out/") {
			all.WriteString(value)
		}
	}
	require.LessOrEqual(t, all.Len(), MaxOutput+100)
	require.Contains(t, all.String(), "killed: it printed more than 1048576 bytes")
}

// A job that says nothing gives signs of life, and is killed with all its children when nobody waits for it any more.
func TestJobsEndWhenNobodyWaits(t *testing.T) {
	t.Parallel()
	x, s := start(t)
	pid := filepath.Join(t.TempDir(), "pid")
	begin(t, x, s, "idle", Spec{Command: "sleep 1000 & echo $! >" + pid + "; wait", Wait: 10 * time.Millisecond})
	require.Empty(t, s.await(t, "_rexec/idle/n1/out/00001"))
	s.mu.Lock()
	delete(s.keys, "_rexec/idle/job")
	s.mu.Unlock()
	x.wg.Wait()
	text, err := os.ReadFile(pid)
	require.NoError(t, err)
	_, err = os.Stat("/proc/" + strings.TrimSpace(string(text)) + "/fd/0")
	require.Error(t, err, "the child still runs")
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotContains(t, s.keys, "_rexec/idle/n1/exit")
}

func TestTooManyJobs(t *testing.T) {
	t.Parallel()
	x, s := start(t)
	for i := range MaxJobs {
		session := string(rune('a' + i))
		begin(t, x, s, session, Spec{Command: "sleep 1000"})
		s.await(t, "_rexec/"+session+"/n1/ack")
	}
	begin(t, x, s, "more", Spec{Command: "true"})
	require.Equal(t, "255", s.await(t, "_rexec/more/n1/exit"))
	require.Contains(t, s.output("more"), "8 jobs are running on this node already")
	x.Close() // ends them
	begin(t, x, s, "late", Spec{Command: "true"})
	require.NotContains(t, s.keys, "_rexec/late/n1/ack")
}

func TestBadJobs(t *testing.T) {
	t.Parallel()
	x, s := start(t)
	x.Start([]byte("{"))
	x.Start([]byte(`{"Prefix":"_rexec"}`))
	x.Start([]byte(`{"Prefix":"_rexec","Session":"none"}`))
	begin(t, x, s, "empty", Spec{})
	x.wg.Wait()
	require.Len(t, s.keys, 1)
}
