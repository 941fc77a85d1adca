package members

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// burnCommand is the argument with which this program starts itself to use up processor time.
const burnCommand = "burn"

// runBurners lets another process use up the processors with so many threads. That process ends by itself if this one is killed.
func runBurners(threads int, length time.Duration) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe, "members", burnCommand, strconv.Itoa(threads), length.String())
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// burn spins on as many threads as the first argument says, for as long as the second one says.
func burn(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%s needs a number of threads and a duration", burnCommand)
	}
	threads, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	length, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	runtime.GOMAXPROCS(threads)
	end := time.Now().Add(length)
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			runtime.LockOSThread()
			for time.Now().Before(end) {
			}
		})
	}
	wg.Wait()
	return nil
}
