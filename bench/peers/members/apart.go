package members

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime/pprof"
	"strconv"
)

// cellCommand is the argument with which this program starts itself to measure one pool: what earlier ones left behind in
// memory is then not counted, nor is anybody's garbage collected at another's expense.
const cellCommand = "cell"

// measureApart measures a pool in a process of its own.
func measureApart(o options, s system, size, round int) (c cell, err error) {
	exe, err := os.Executable()
	if err != nil {
		return c, err
	}
	cmd := exec.Command(exe, "members", cellCommand, "-only", s.name, "-sizes", strconv.Itoa(size), "-seed", strconv.Itoa(round),
		"-kills", strconv.Itoa(o.kills), "-rest", o.rest.String(), "-busy", o.busy.String(), "-burners", strconv.Itoa(o.burners), "-profile", o.profile, "-coordinates="+strconv.FormatBool(o.coordinates))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(out, &c)
}

// runCell is the process that measureApart starts. It prints the cell.
func runCell(args []string) error {
	o, err := parse(args)
	if err != nil {
		return errors.Join(err, flag.ErrHelp)
	}
	c, err := measure(o, o.systems[0], o.sizes[0])
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(c)
}

// profiled runs f and writes what the processors did meanwhile to a file, if one is named.
func profiled(path string, f func()) error {
	if path == "" {
		f()
		return nil
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return errors.Join(fmt.Errorf("profile: %w", err), file.Close())
	}
	f()
	pprof.StopCPUProfile()
	return file.Close()
}
