package datadir

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/node/runner"
	"concord/raft"
	"concord/store/raftlog"
)

const (
	someID  = "adf4238a-882b-9ddc-4a9d-5b6758e4159e"
	otherID = "8b6dda82-3103-11e7-93ae-92361f002671"
)

// start does what a server does at its start, up to the point where it runs.
func start(path, asked string) error {
	d, err := Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	id, err := d.NodeID(asked)
	if err != nil {
		return err
	}
	if err := d.Check(); err != nil {
		return err
	}
	disk, err := runner.OpenDisk(d.Server(), id, nil)
	if err != nil {
		return err
	}
	return disk.Close()
}

// used makes the data directory of a server that has applied some entries.
func used(t *testing.T, id string) string {
	path := t.TempDir()
	d, err := Open(path)
	require.NoError(t, err)
	_, err = d.NodeID(id)
	require.NoError(t, err)
	disk, err := runner.OpenDisk(d.Server(), id, nil)
	require.NoError(t, err)
	first, err := raft.Bootstrap(raft.Configuration{Servers: []raft.Server{{ID: raft.ID(id), Address: "a:1", Suffrage: raft.Voter}}})
	require.NoError(t, err)
	w := disk.Log.Begin()
	require.NoError(t, w.Add(&first.HardState, first.Entries))
	require.NoError(t, w.Commit())
	_, err = disk.Machine.Apply(first.Entries)
	require.NoError(t, err)
	require.NoError(t, disk.Close())
	require.NoError(t, d.Close())
	return path
}

// TestCheck damages the directory of a server in the ways that restores, copies and full disks do.
func TestCheck(t *testing.T) {
	t.Parallel()
	remove := func(pattern string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			found, err := filepath.Glob(filepath.Join(path, pattern))
			require.NoError(t, err)
			require.NotEmpty(t, found)
			for _, f := range found {
				require.NoError(t, os.RemoveAll(f))
			}
		}
	}
	rename := func(from, to string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			require.NoError(t, os.Rename(filepath.Join(path, from), filepath.Join(path, to)))
		}
	}
	write := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(path, name)), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(path, name), []byte(text), 0o600))
		}
	}
	for name, c := range map[string]struct {
		damage  func(*testing.T, string)
		asked   string
		want    error // nil with a problem: any
		problem string
	}{
		"intact":                        {damage: func(*testing.T, string) {}},
		"state never flushed":           {damage: remove("server/state")},
		"an installation was cut short": {damage: write("server/state/1/000001.sst", "")},
		"node-id lost":                  {damage: remove("node-id"), want: ErrIncomplete, problem: "node-id is missing or empty"},
		"node-id lost but given":        {damage: remove("node-id"), asked: someID},
		"node-id lost, another given":   {damage: remove("node-id"), asked: otherID, want: raftlog.ErrIdentity, problem: someID},
		"node-id of another server":     {damage: write("node-id", otherID+"\n"), want: raftlog.ErrIdentity, problem: someID},
		"node-id emptied":               {damage: write("node-id", ""), want: ErrIncomplete, problem: "node-id is missing or empty"},
		"node-id damaged":               {damage: write("node-id", "gone"), problem: "does not contain a UUID"},
		"another ID asked for":          {damage: func(*testing.T, string) {}, asked: otherID, problem: "-node-id says " + otherID},
		"log lost":                      {damage: remove("server/raft"), want: ErrIncomplete, problem: "without the log the server would not know its votes"},
		"log empty":                     {damage: remove("server/raft/*"), want: ErrIncomplete, problem: "missing or empty"},
		"log without its newest part":   {damage: remove("server/raft/*.log"), want: ErrIncomplete, problem: "none of the files that its entries are in"},
		"log without its format":        {damage: remove("server/raft/FORMAT"), problem: "the format version is missing"},
		"log of another format":         {damage: write("server/raft/FORMAT", "9\n"), problem: "run the release that wrote it"},
		"log of an earlier build":       {damage: write("server/raft/marker.manifest.000001.MANIFEST-000001", ""), problem: "as an earlier build wrote it"},
		"node-id lost, an earlier log": {damage: func(t *testing.T, path string) {
			remove("node-id")(t, path)
			rename("server/raft/FORMAT", "server/raft/marker.manifest.000001.MANIFEST-000001")(t, path)
		}, want: ErrIncomplete, problem: "node-id is missing or empty"},
		"state without marker":  {damage: remove("server/state/0/marker.manifest.*"), want: ErrIncomplete, problem: "marker.manifest"},
		"state without a table": {damage: remove("server/state/0/*.sst"), problem: "server/state/0"},
		"CURRENT lost":          {damage: rename("server/state/0", "server/state/3"), want: ErrIncomplete, problem: "CURRENT is missing"},
		"CURRENT names nothing": {damage: write("server/state/CURRENT", "7\n"), want: ErrIncomplete, problem: "names the state 7"},
		"CURRENT is no number":  {damage: write("server/state/CURRENT", ""), want: ErrIncomplete, problem: "does not name a state"},
		"CURRENT names an empty state": {damage: func(t *testing.T, path string) {
			write("server/state/CURRENT", "1\n")(t, path)
			require.NoError(t, os.Mkdir(filepath.Join(path, "server/state/1"), 0o755))
		}, want: ErrIncomplete, problem: "is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := used(t, someID)
			c.damage(t, path)
			err := start(path, c.asked)
			if c.problem == "" {
				require.NoError(t, err)
				require.NoError(t, start(path, ""), "and once more")
				return
			}
			require.ErrorContains(t, err, c.problem)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
			}
			if c.want == ErrIncomplete {
				require.ErrorContains(t, err, remedy)
			}
			again := start(path, c.asked)
			require.Error(t, again, "refusing changes nothing")
			require.Equal(t, err.Error(), again.Error())
		})
	}
}

// TestFirstStart crashes at each point of a first start that leaves other names behind.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	for name, there := range map[string][]string{
		"nothing":                    nil,
		"folders":                    {"server/raft/FORMAT.new"},
		"a log without its format":   {"server/raft/FORMAT.new", "server/raft/0000000000000001.log"},
		"the same of the state":      {"server/state/0/LOCK", "server/state/0/MANIFEST-000001"},
		"an empty file of node's ID": {"node-id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := t.TempDir()
			for _, f := range there {
				require.NoError(t, os.MkdirAll(filepath.Join(path, filepath.Dir(f)), 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(path, f), nil, 0o644))
			}
			require.NoError(t, start(path, ""))
		})
	}
}

func TestInUse(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	d, err := Open(path)
	require.NoError(t, err)
	require.ErrorIs(t, start(path, ""), ErrInUse)
	require.NoError(t, d.Close())
	require.NoError(t, start(path, ""))
	_, err = OpenExisting(filepath.Join(path, "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
