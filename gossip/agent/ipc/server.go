package ipc

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"concord/gossip/agent/event"
	"concord/gossip/agent/logs"
	"concord/swim"
)

// The operations on the pool's keyrings.
const (
	InstallKey = cmdInstallKey
	UseKey     = cmdUseKey
	RemoveKey  = cmdRemoveKey
	ListKeys   = cmdListKeys
)

// Backend is the agent that a Server speaks for. The texts of its errors reach the client.
type Backend interface {
	Members(ctx context.Context) ([]Member, error)
	Event(ctx context.Context, name string, payload []byte, coalesce bool) error
	// Join returns how many of the addresses answered; an error if none did.
	Join(ctx context.Context, addrs []string, replay bool) (int, error)
	// Leave departs from the pool; the client is answered when that is done, and then Shutdown is called.
	Leave(ctx context.Context) error
	Shutdown()
	ForceLeave(ctx context.Context, name string, prune bool) error
	ChangeTags(ctx context.Context, set map[string]string, remove []string) error
	// Query asks the pool. The channel has what comes back, and is closed when nothing more will.
	Query(ctx context.Context, q Query) (<-chan QueryRecord, error)
	Respond(id swim.QueryID, payload []byte) error
	// Keys carries out an operation on the keyrings of all members; ListKeys has no key.
	Keys(ctx context.Context, operation, key string) (KeyResponse, error)
	Stats(ctx context.Context) (Stats, error)
	Coordinate(ctx context.Context, node string) (Coordinate, bool, error)
	// Subscribe lets the events that the filters choose come over a channel until stop is called, which closes it.
	Subscribe(filters []event.Filter) (events <-chan event.Event, stop func())
}

const (
	// maxClients bounds the connections to an agent.
	maxClients = 256
	// acceptPause is how long a server waits after it failed to accept a connection.
	acceptPause = 50 * time.Millisecond
)

// Server answers clients.
type Server struct {
	backend Backend
	authKey string
	log     *logs.Log
	l       net.Listener
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu      sync.Mutex
	clients map[*session]struct{}
}

// NewServer returns a server that answers whoever connects to the listener and, unless it is empty, knows the authKey.
func NewServer(l net.Listener, backend Backend, authKey string, log *logs.Log) *Server {
	s := &Server{backend: backend, authKey: authKey, log: log, l: l, clients: map[*session]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(s.accept)
	return s
}

// Close ends the listener and all connections, and waits for them.
func (s *Server) Close() {
	s.cancel()
	s.l.Close()
	s.mu.Lock()
	for c := range s.clients {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *Server) accept() {
	for {
		c, err := s.l.Accept()
		if err == nil {
			s.admit(c)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		s.log.Printf(logs.Err, "agent.ipc: Failed to accept client: %v", err)
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(acceptPause): // out of descriptors: let some go first
		}
	}
}

func (s *Server) admit(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil || len(s.clients) >= maxClients {
		s.log.Printf(logs.Warn, "agent.ipc: Refused client: %v: there are %d others", c.RemoteAddr(), len(s.clients))
		c.Close()
		return
	}
	s.log.Printf(logs.Info, "agent.ipc: Accepted client: %v", c.RemoteAddr())
	client := newSession(s, c)
	s.clients[client] = struct{}{}
	s.wg.Go(func() {
		client.serve()
		s.mu.Lock()
		delete(s.clients, client)
		s.mu.Unlock()
	})
}

// serve answers the requests of a connection until it ends.
func (s *session) serve() {
	defer s.end()
	for {
		var h requestHeader
		err := s.read(&h)
		if err == nil {
			err = s.handle(h)
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
			return
		default:
			s.server.log.Printf(logs.Err, "agent.ipc: Failed to evaluate request: %v", err)
			return
		}
	}
}
