package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// stage is a moment in the life of a commit on one node. The stages follow one another in time.
type stage int

const (
	proposedAt   stage = iota // the proposer hands it over
	looped                    // the loop takes it in
	writing                   // the log writer takes the Ready's entries
	encoded                   // they are in a batch
	walBegun                  // the batch, with its checksums, goes to the file
	walWritten                // that system call is over
	synced                    // fdatasync is over
	durableAt                 // the batch's Commit has returned
	told                      // the loop learns of it
	acknowledged              // the proposer has its answer
	stageCount
)

var stageNames = [stageCount]string{"", "proposer to loop", "raft: propose, Ready; loop to log writer", "encode the entries", "checksum",
	"write system call", "fdatasync", "learn where the entries are", "log writer to loop", "raft: commit, apply; loop to proposer"}

// stages collects how long each stage of a single proposer's commits takes. The stages of one commit are marked one after
// the other, by goroutines that wait for one another, so it needs no lock. A nil one collects nothing.
type stages struct {
	at   [stageCount]time.Time
	took [stageCount][]time.Duration // [0]: in all
}

func (s *stages) mark(i stage) {
	if s == nil {
		return
	}
	s.at[i] = time.Now()
	if i != acknowledged {
		return
	}
	s.took[0] = append(s.took[0], s.at[acknowledged].Sub(s.at[proposedAt]))
	for k := looped; k < stageCount; k++ {
		s.took[k] = append(s.took[k], s.at[k].Sub(s.at[k-1]))
	}
}

func (s *stages) print(out io.Writer) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "µs\tp25\tp50\tp90\t")
	for i := range s.took {
		name := stageNames[i]
		if i == 0 {
			name = "in all"
		}
		sorted := slices.Sorted(slices.Values(s.took[i]))
		at := func(q float64) float64 { return micros(sorted[int(q*float64(len(sorted)-1))]) }
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t\n", name, at(0.25), at(0.5), at(0.9))
	}
	t.Flush()
}

// printStages runs one node with one proposer and tells where the time of a commit goes.
func printStages(o options) error {
	dir, err := os.MkdirTemp(o.dir, "concord-stages-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &stages{}
	c := &concordCluster{waiters: []chan error{make(chan error, 1)}, trace: s}
	if err := c.start(filepath.Join(dir, "data"), 1); err != nil {
		c.close()
		return err
	}
	load(c, 1, 0, o.warm)
	s.took = [stageCount][]time.Duration{}
	load(c, 1, 0, o.length)
	err = c.close()
	s.print(os.Stdout)
	return err
}

// tracedFS marks what happens to the log's files.
type tracedFS struct {
	vfs.FS
	s *stages
}

func (f tracedFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.FS.OpenReadWrite(name, category, opts...)
	return tracedFile{file, f.s}, err
}

type tracedFile struct {
	vfs.File
	s *stages
}

func (f tracedFile) WriteAt(p []byte, at int64) (int, error) {
	f.s.mark(walBegun)
	n, err := f.File.WriteAt(p, at)
	f.s.mark(walWritten)
	return n, err
}

func (f tracedFile) SyncData() error {
	err := f.File.SyncData()
	f.s.mark(synced)
	return err
}
