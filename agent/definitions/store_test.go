package definitions

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/agent"
	"concord/catalog"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func web() *agent.ServiceDefinition {
	return &agent.ServiceDefinition{
		ID: "Web", Name: "web", Tags: []string{"a"}, Port: 80, Weights: &catalog.Weights{Passing: 2, Warning: 1},
		Checks: []agent.CheckDefinition{{ID: "service:web", Name: "alive", TTL: 10 * time.Second}},
	}
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	require.NoError(t, err)
	return s
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	check := &agent.CheckDefinition{ID: "disk", Name: "disk", HTTP: "http://x/", Interval: time.Second, Header: map[string][]string{"A": {"b"}}}
	require.NoError(t, s.Apply([]agent.PersistOp{
		{Kind: agent.PersistService, ID: "web", Service: web()},
		{Kind: agent.PersistCheck, ID: "disk", Check: check},
		{Kind: agent.PersistCheck, ID: "gone", Check: &agent.CheckDefinition{ID: "gone"}},
		{Kind: agent.PersistCheckState, ID: "service:web", State: &agent.CheckState{Status: "passing", Output: "ok", Remaining: 8 * time.Second}},
		{Kind: agent.PersistCheck, ID: "gone"},
		{Kind: agent.PersistCheck, ID: "never there"},
	}, noon))

	p, problems, err := open(t, dir).Load(noon.Add(3 * time.Second))
	require.NoError(t, err)
	require.Empty(t, problems)
	require.Equal(t, []agent.ServiceDefinition{*web()}, p.Services)
	require.Equal(t, []agent.CheckDefinition{*check}, p.Checks)
	require.Equal(t, map[string]agent.CheckState{"service:web": {Status: "passing", Output: "ok", Remaining: 5 * time.Second}}, p.States)
}

// A file that was cut short, at any byte, is set aside, and the others are loaded.
func TestTruncated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	other := &agent.ServiceDefinition{ID: "db", Name: "db"}
	require.NoError(t, s.Apply([]agent.PersistOp{
		{Kind: agent.PersistService, ID: "web", Service: web()},
		{Kind: agent.PersistService, ID: "db", Service: other},
	}, noon))
	path := s.path(agent.PersistService, "web")
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for n := range whole {
		require.NoError(t, os.WriteFile(path, whole[:n], 0o600))
		p, problems, err := s.Load(noon)
		require.NoError(t, err)
		require.Equal(t, []agent.ServiceDefinition{*other}, p.Services)
		require.Len(t, problems, 1)
		var corrupt *CorruptError
		require.ErrorAs(t, problems[0], &corrupt)
		require.Equal(t, path+".corrupt", corrupt.Path)
		aside, err := os.ReadFile(corrupt.Path)
		require.NoError(t, err)
		require.Equal(t, whole[:n], aside)
	}
	_, problems, err := s.Load(noon)
	require.NoError(t, err)
	require.Empty(t, problems, "what was set aside is not looked at again")
}

func TestUnusable(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		content string
		newer   bool
	}{
		"no version":    {content: `{"service":{"ID":"web","Name":"web"}}`},
		"empty":         {content: `{"version":1}`},
		"another kind":  {content: `{"version":1,"check":{"ID":"web","Name":"web"}}`},
		"another ID":    {content: `{"version":1,"service":{"ID":"db","Name":"web"}}`},
		"newer version": {content: `{"version":2,"service":{"ID":"web","Name":"web"}}`, newer: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, t.TempDir())
			path := s.path(agent.PersistService, "web")
			require.NoError(t, os.WriteFile(path, []byte(test.content), 0o600))
			p, problems, err := s.Load(noon)
			require.NoError(t, err)
			require.Empty(t, p.Services)
			require.Len(t, problems, 1)
			require.ErrorContains(t, problems[0], path)
			if test.newer {
				require.ErrorIs(t, problems[0], ErrVersion)
				require.FileExists(t, path)
			} else {
				require.NoFileExists(t, path)
			}
		})
	}
}

func TestOpenRemovesHalfWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	temp := s.path(agent.PersistCheckState, "x") + tempSuffix
	require.NoError(t, os.WriteFile(temp, []byte("{"), 0o600))
	open(t, dir)
	require.NoFileExists(t, temp)
}

// A failure leaves the old file as it was and does not keep others from being saved.
func TestApplyFailure(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	require.NoError(t, s.Apply([]agent.PersistOp{{Kind: agent.PersistService, ID: "web", Service: web()}}, noon))
	// A folder in the way of the temporary file makes writing fail.
	require.NoError(t, os.Mkdir(s.path(agent.PersistService, "web")+tempSuffix, 0o700))
	changed := web()
	changed.Port = 81
	err := s.Apply([]agent.PersistOp{
		{Kind: agent.PersistService, ID: "web", Service: changed},
		{Kind: agent.PersistCheck, ID: "disk", Check: &agent.CheckDefinition{ID: "disk"}},
	}, noon)
	require.ErrorContains(t, err, `"web"`)
	require.NoError(t, os.RemoveAll(s.path(agent.PersistService, "web")+tempSuffix))
	p, problems, err := s.Load(noon)
	require.NoError(t, err)
	require.Empty(t, problems)
	require.Equal(t, []agent.ServiceDefinition{*web()}, p.Services)
	require.Len(t, p.Checks, 1)
}

func TestOpenFailure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "services"), nil, 0o600))
	_, err := Open(dir)
	require.ErrorContains(t, err, "services")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"version":1,"service":{"ID":"web","Name":"web","Checks":[{"ID":"c","TTL":10}]}}`))
	f.Add([]byte(`{"version":1,"state":{"check_id":"c","status":"passing","expires":"2026-01-02T12:00:00Z"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		parsed, err := parse(data)
		if err == nil && (parsed.Version < 1 || parsed.Version > version) {
			t.Fatalf("version %d was accepted", parsed.Version)
		}
	})
}
