package torture

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
)

// place is where a server lives.
type place struct {
	bind   string // address to the other servers
	client string // address to the clients
	http   int
	dns    int
	rpc    int
	lan    int
	enter  []string // command that runs another in the server's network namespace
}

// network gives each server a place. In namespaces of its own each server has two interfaces: one on a bridge that the servers share,
// which a partition moves to a second bridge, and one to the clients, which stays. On loopback there are no partitions.
type network struct {
	places  []place
	holders []*exec.Cmd // each keeps a namespace alive
}

const (
	bridge      = "servers"
	otherBridge = "apart"
	clientsSide = "clients"
)

// isolated tells whether the network can be partitioned.
func (n *network) isolated() bool { return len(n.holders) > 0 }

// onLoopback gives each server free ports.
func onLoopback(servers int) (*network, error) {
	n := &network{}
	next := 20000 + os.Getpid()%10000
	for range servers {
		p := place{bind: "127.0.0.1", client: "127.0.0.1"}
		for _, port := range []*int{&p.http, &p.dns, &p.rpc, &p.lan} {
			var err error
			if next, err = freePort(next + 1); err != nil {
				return nil, err
			}
			*port = next
		}
		n.places = append(n.places, p)
	}
	return n, nil
}

// freePort finds a port, from from on, that is free for TCP and UDP. It stays below the ephemeral ports, so that no
// outgoing connection takes it while the server is down.
func freePort(from int) (int, error) {
	for port := from; port < 32000; port++ {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		u, err := net.ListenPacket("udp", addr)
		l.Close()
		if err != nil {
			continue
		}
		return port, u.Close()
	}
	return 0, errors.New("no free port on the loopback interface")
}

// inNamespaces builds the network. The process must be in a network namespace of its own already (see enterNamespace).
func inNamespaces(servers int) (n *network, err error) {
	n = &network{}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	if err := ip("link", "set", "lo", "up"); err != nil {
		return n, err
	}
	for _, b := range []string{bridge, otherBridge, clientsSide} {
		if err := errors.Join(ip("link", "add", b, "type", "bridge"), ip("link", "set", b, "up")); err != nil {
			return n, err
		}
	}
	if err := ip("addr", "add", "10.78.0.1/24", "dev", clientsSide); err != nil {
		return n, err
	}
	for i := range servers {
		p, err := n.addNamespace(i)
		if err != nil {
			return n, err
		}
		n.places = append(n.places, p)
	}
	return n, nil
}

// addNamespace makes the namespace of server i. It lives as long as the process that was begun in it.
func (n *network) addNamespace(i int) (place, error) {
	holder := exec.Command("cat")
	if _, err := holder.StdinPipe(); err != nil { // never closed: cat ends when this process does
		return place{}, err
	}
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := holder.Start(); err != nil {
		return place{}, fmt.Errorf("network namespace of server %d: %w", i+1, err)
	}
	n.holders = append(n.holders, holder)
	pid := fmt.Sprint(holder.Process.Pid)
	inside := []string{"nsenter", "-t", pid, "-n", "--"}
	p := place{bind: fmt.Sprintf("10.77.0.%d", 11+i), client: fmt.Sprintf("10.78.0.%d", 11+i), http: 8500, dns: 8600, rpc: 8300, lan: 8301, enter: inside}
	for _, side := range []struct{ outer, inner, bridge, addr string }{
		{port(i), "eth0", bridge, p.bind},
		{fmt.Sprintf("c%d", i), "eth1", clientsSide, p.client},
	} {
		err := errors.Join(
			ip("link", "add", side.outer, "type", "veth", "peer", "name", side.inner, "netns", pid),
			ip("link", "set", side.outer, "master", side.bridge),
			ip("link", "set", side.outer, "up"),
			run(append(inside, "ip", "addr", "add", side.addr+"/24", "dev", side.inner)),
			run(append(inside, "ip", "link", "set", side.inner, "up")))
		if err != nil {
			return place{}, err
		}
	}
	return p, run(append(inside, "ip", "link", "set", "lo", "up"))
}

func port(i int) string { return fmt.Sprintf("s%d", i) }

// split parts the servers whose side is true from the others.
func (n *network) split(side []bool) error {
	var err error
	for i, apart := range side {
		b := bridge
		if apart {
			b = otherBridge
		}
		err = errors.Join(err, ip("link", "set", port(i), "master", b))
	}
	return err
}

// heal ends every partition.
func (n *network) heal() error {
	if !n.isolated() {
		return nil
	}
	return n.split(make([]bool, len(n.places)))
}

func (n *network) close() {
	for _, h := range n.holders {
		h.Process.Kill()
		h.Wait()
	}
}

func ip(args ...string) error { return run(append([]string{"ip"}, args...)) }

func run(args []string) error {
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return nil
}
