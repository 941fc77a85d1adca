package torture

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// state is what the nemesis has done to a server.
type state uint8

const (
	down state = iota
	up
	paused
)

// server is one process of the cluster. The nemesis alone starts, pauses and ends it.
type server struct {
	name   string
	place  place
	dir    string
	args   []string
	lines  *lines
	state  state
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended

	mu    sync.Mutex
	ended map[*exec.Cmd]bool // ended on purpose
}

// newServer lays out a server without starting it.
func newServer(i int, dir string, program string, n *network, watch *watch) (*server, error) {
	p := n.places[i]
	s := &server{name: fmt.Sprintf("server-%d", i+1), place: p, dir: dir, ended: map[*exec.Cmd]bool{}}
	var join []string
	for j, other := range n.places {
		if j != i {
			join = append(join, fmt.Sprintf("%s:%d", other.bind, other.lan))
		}
	}
	config, err := json.MarshalIndent(map[string]any{
		"node_name": s.name, "datacenter": "dc1", "server": true, "bootstrap_expect": len(n.places), "data_dir": filepath.Join(dir, "data"),
		"bind_addr": p.bind, "client_addr": p.client, "retry_join": join, "retry_interval": "200ms", "log_level": "info",
		"ports":       map[string]any{"http": p.http, "dns": p.dns, "server": p.rpc, "serf_lan": p.lan, "serf_wan": -1, "grpc": -1},
		"performance": map[string]any{"raft_multiplier": 1},
		// What a nemesis takes away comes back: no server that is down for long may be removed for good.
		"autopilot": map[string]any{"server_stabilization_time": "1s", "cleanup_dead_servers": false},
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "agent.json")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, config, 0o644); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	s.lines = &lines{server: s.name, file: log, watch: watch}
	s.args = append(append([]string{}, p.enter...), program, "agent", "-config-file", file)
	return s, nil
}

// start starts the process. That it ends although nobody told it to is reported to the watch.
func (s *server) start() error {
	cmd := exec.Command(s.args[0], s.args[1:]...)
	cmd.Stdout, cmd.Stderr = s.lines, s.lines
	// Should this program be killed, the servers end too. Signals of the terminal are for this program alone.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	exited := make(chan struct{})
	s.cmd, s.exited, s.state = cmd, exited, up
	go func() {
		err := cmd.Wait()
		s.mu.Lock()
		wanted := s.ended[cmd]
		s.mu.Unlock()
		if !wanted {
			s.lines.watch.crashed(fmt.Sprintf("%s ended by itself (%v)", s.name, err))
		}
		close(exited)
	}()
	return nil
}

// kill ends the process at once, as a power failure of the process does.
func (s *server) kill() { s.end(syscall.SIGKILL) }

// terminate asks the process to end and kills it if it does not in time.
func (s *server) terminate() { s.end(syscall.SIGTERM) }

// endPatience is how long a process may take to end when asked to.
const endPatience = 15 * time.Second

func (s *server) end(signal syscall.Signal) {
	if s.state == down {
		return
	}
	s.mu.Lock()
	s.ended[s.cmd] = true
	s.mu.Unlock()
	s.cmd.Process.Signal(signal)
	if s.state == paused {
		s.cmd.Process.Signal(syscall.SIGCONT)
	}
	select {
	case <-s.exited:
	case <-time.After(endPatience):
		s.lines.watch.crashed(fmt.Sprintf("%s did not end within %v of %v", s.name, endPatience, signal))
		s.cmd.Process.Kill()
		<-s.exited
	}
	s.state = down
	s.lines.watch.role(s.name, "down", "not running")
}

func (s *server) pause() {
	s.cmd.Process.Signal(syscall.SIGSTOP)
	s.state = paused
}

func (s *server) resume() {
	s.cmd.Process.Signal(syscall.SIGCONT)
	s.state = up
}

// url is where the server's HTTP API is.
func (s *server) url(path string) string {
	return fmt.Sprintf("http://%s:%d%s", s.place.client, s.place.http, path)
}

// close ends the process and its log.
func (s *server) close() {
	s.kill()
	s.lines.file.Close()
}
