package torture

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// insideVar tells this process that it runs in a network namespace of its own, and which binary the servers are.
const insideVar = "CONCORD_TORTURE_INSIDE"

// namespaced is a command in user and network namespaces of its own, in which this user is root. Everything in them is gone
// when its processes are, whatever becomes of them.
func namespaced(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Setpgid:     true, // it gets its signals from this process, not from the terminal
		Pdeathsig:   syscall.SIGTERM,
	}
	return cmd
}

// namespacesWork tells why the machine does not let this user build networks, nil if it does.
func namespacesWork() error {
	if _, err := exec.LookPath("nsenter"); err != nil {
		return err
	}
	for _, probe := range [][]string{{"link", "add", "probe", "type", "bridge"}, {"link", "add", "probe", "type", "veth"}} {
		if out, err := namespaced("ip", probe...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w %s", probe, err, out)
		}
	}
	return nil
}

// enterNamespace runs this program again with the arguments, in namespaces, passes signals on and returns its exit code.
func enterNamespace(program string, args []string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := namespaced(self, append([]string{"torture"}, args...)...)
	cmd.Env = append(os.Environ(), insideVar+"="+program)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			cmd.Process.Signal(s)
		case err := <-ended:
			if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
				return exit.ExitCode(), nil
			}
			return 0, err
		}
	}
}
