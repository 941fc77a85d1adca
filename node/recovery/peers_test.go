package recovery

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/raft"
)

func TestParsePeers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want, problem string }{
		"three":         {`[{"id":"b","address":"10.0.0.2:8300"},{"id":"a","address":"10.0.0.1:8300","non_voter":false},{"id":"c","address":"[::1]:8300","non_voter":true}]`, "a(voter) b(voter) c(nonvoter)", ""},
		"alone":         {`[{"id":"a","address":"10.0.0.1:8300"}]`, "a(voter)", ""},
		"nonvoter self": {`[{"id":"a","address":"10.0.0.1:8300","non_voter":true},{"id":"b","address":"10.0.0.2:8300"}]`, "a(nonvoter) b(voter)", ""},
		"not JSON":      {`[{"id":`, "", "unexpected EOF"},
		"empty file":    {``, "", "EOF"},
		"protocol 2":    {`["10.0.0.1:8300"]`, "", "it must be a list of"},
		"an object":     {`{"id":"a","address":"10.0.0.1:8300"}`, "", "it must be a list of"},
		"unknown field": {`[{"id":"a","address":"10.0.0.1:8300","nonvoter":true}]`, "", "nonvoter"},
		"more behind":   {`[{"id":"a","address":"10.0.0.1:8300"}] []`, "", "something follows the list"},
		"no servers":    {`[]`, "", "there is no voter"},
		"null":          {`null`, "", "there is no voter"},
		"no voter":      {`[{"id":"a","address":"10.0.0.1:8300","non_voter":true}]`, "", "there is no voter"},
		"no id":         {`[{"id":"a","address":"10.0.0.1:8300"},{"address":"10.0.0.2:8300"}]`, "", "server 2 has no id"},
		"no address":    {`[{"id":"a"}]`, "", `the address "" of server 1`},
		"no port":       {`[{"id":"a","address":"10.0.0.1"}]`, "", `the address "10.0.0.1" of server 1`},
		"same id":       {`[{"id":"a","address":"10.0.0.1:8300"},{"id":"a","address":"10.0.0.2:8300"}]`, "", "the id a is there twice"},
		"same address":  {`[{"id":"a","address":"10.0.0.1:8300"},{"id":"b","address":"10.0.0.1:8300"}]`, "", "the address 10.0.0.1:8300 is there twice"},
		"not in it":     {`[{"id":"b","address":"10.0.0.1:8300"}]`, "", "own id a is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParsePeers([]byte(c.text), "a")
			if c.problem != "" {
				require.ErrorIs(t, err, ErrPeers)
				require.ErrorContains(t, err, c.problem)
				return
			}
			require.NoError(t, err)
			require.NoError(t, got.Validate())
			require.Equal(t, c.want, got.String())
		})
	}
}

// TestPeersProblems checks that an operator is told everything at once.
func TestPeersProblems(t *testing.T) {
	t.Parallel()
	_, err := ParsePeers([]byte(`[{"id":"b","address":"x","non_voter":true},{"id":"b","address":"10.0.0.1:8300","non_voter":true}]`), "a")
	for _, problem := range []string{"the id b is there twice", `the address "x"`, "there is no voter", "own id a is missing"} {
		require.ErrorContains(t, err, problem)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := FilesIn(dir)
	require.NoError(t, f.Explain())
	text, err := os.ReadFile(filepath.Join(dir, "raft", "peers.info"))
	require.NoError(t, err)
	require.Contains(t, string(text), "peers.json")
	c, err := f.Read("a")
	require.NoError(t, err)
	require.Nil(t, c)

	require.NoError(t, os.WriteFile(f.PeersFile(), []byte(`[{"id":"b"}]`), 0o644))
	_, err = f.Read("a")
	require.ErrorIs(t, err, ErrPeers)
	require.ErrorContains(t, err, f.PeersFile())
	require.FileExists(t, f.PeersFile())

	require.NoError(t, os.WriteFile(f.PeersFile(), []byte(`[{"id":"a","address":"10.0.0.1:8300"}]`), 0o644))
	c, err = f.Read("a")
	require.NoError(t, err)
	require.Equal(t, raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "10.0.0.1:8300", Suffrage: raft.Voter}}}, *c)
	require.NoError(t, f.Done())
	require.NoFileExists(t, f.PeersFile())
	require.Error(t, f.Done())
	require.NoError(t, f.Explain(), "it is there already")
}

func FuzzParsePeers(f *testing.F) {
	f.Add([]byte(`[{"id":"a","address":"10.0.0.1:8300","non_voter":false}]`))
	f.Add([]byte(`[{"id":"a","address":"[::1]:1"},{"id":"b","address":"h:2","non_voter":true}]`))
	f.Add([]byte(`["10.0.0.1:8300"]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParsePeers(text, "a")
		if err != nil {
			require.ErrorIs(t, err, ErrPeers)
			return
		}
		require.NoError(t, c.Validate())
		_, ok := c.Server("a")
		require.True(t, ok)
	})
}
