package ipc

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"sync"

	"concord/gossip/agent/logs"
	"concord/swim"
)

const (
	// maxStreams bounds the event streams of a connection.
	maxStreams = 64
	// maxAsked bounds the queries of others that a connection may still answer: the oldest are forgotten.
	maxAsked = 512
	// maxAsking bounds the own queries of a connection that are under way.
	maxAsking = 64
)

// session is a client's connection. Its requests are handled one after another; what they lead to is written by others
// meanwhile.
type session struct {
	*conn
	server  *Server
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	greeted bool
	authed  bool
	streams map[uint64]func() // by number, what stops them
	monitor *logs.Monitor
	watched uint64 // the number of the monitor
	asking  chan struct{}

	mu    sync.Mutex
	asked []question // that the client was told of, the oldest first
	last  uint64     // the ID of the last one
}

type question struct {
	id    uint64
	query swim.QueryID
}

func newSession(server *Server, c net.Conn) *session {
	s := &session{conn: newConn(c, maxRequest), server: server, streams: map[uint64]func(){}, asking: make(chan struct{}, maxAsking)}
	s.ctx, s.cancel = context.WithCancel(server.ctx)
	return s
}

// end closes the connection and waits for what wrote to it.
func (s *session) end() {
	s.cancel()
	s.Close()
	s.stopMonitor()
	for _, stop := range s.streams {
		stop()
	}
	s.wg.Wait()
}

// handlers are the commands. Each reads its body, if it has one, and answers; an error ends the connection.
var handlers = map[string]func(*session, uint64) error{
	cmdHandshake: (*session).handshake, cmdAuth: (*session).auth, cmdEvent: (*session).event, cmdForceLeave: (*session).forceLeave,
	cmdJoin: (*session).join, cmdMembers: (*session).members, cmdMembersFiltered: (*session).membersFiltered, cmdLeave: (*session).leave,
	cmdTags: (*session).tags, cmdQuery: (*session).query, cmdRespond: (*session).respond, cmdStream: (*session).stream,
	cmdMonitor: (*session).watch, cmdStop: (*session).stop, cmdStats: (*session).stats, cmdCoordinate: (*session).coordinate,
	cmdInstallKey: keyHandler(InstallKey), cmdUseKey: keyHandler(UseKey), cmdRemoveKey: keyHandler(RemoveKey),
	cmdListKeys: func(s *session, seq uint64) error { return s.keys(seq, ListKeys, "") },
}

func (s *session) handle(h requestHeader) error {
	f := handlers[h.Command]
	switch {
	case h.Command != cmdHandshake && !s.greeted:
		return s.refuse(h.Seq, textHandshakeRequired)
	case h.Command != cmdHandshake && h.Command != cmdAuth && !s.authed && s.server.authKey != "":
		// The body of an unknown length follows, so there is no going on: it would be taken for a header.
		return s.refuse(h.Seq, textAuthRequired)
	case f == nil:
		return s.refuse(h.Seq, textUnsupportedCommand)
	}
	return f(s, h.Seq)
}

// refuse answers with an error and ends the connection.
func (s *session) refuse(seq uint64, text string) error {
	if err := s.write(&responseHeader{Seq: seq, Error: text}); err != nil {
		return err
	}
	return errors.New(text)
}

// answer tells the outcome of a request; a nil body is none.
func (s *session) answer(seq uint64, err error, body any) error {
	h := &responseHeader{Seq: seq}
	if err != nil {
		h.Error = err.Error()
	}
	return s.write(h, body)
}

func (s *session) handshake(seq uint64) error {
	var req handshakeRequest
	if err := s.read(&req); err != nil {
		return err
	}
	switch {
	case req.Version != Version:
		return s.answer(seq, errors.New(textUnsupportedVersion), nil)
	case s.greeted:
		return s.answer(seq, errors.New(textDuplicateHandshake), nil)
	}
	s.greeted = true
	return s.answer(seq, nil, nil)
}

func (s *session) auth(seq uint64) error {
	var req authRequest
	if err := s.read(&req); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(req.AuthKey), []byte(s.server.authKey)) != 1 {
		return s.answer(seq, errors.New(textInvalidAuthToken), nil)
	}
	s.authed = true
	return s.answer(seq, nil, nil)
}

func (s *session) event(seq uint64) error {
	var req eventRequest
	if err := s.read(&req); err != nil {
		return err
	}
	return s.answer(seq, s.server.backend.Event(s.ctx, req.Name, req.Payload, req.Coalesce), nil)
}

func (s *session) forceLeave(seq uint64) error {
	var req forceLeaveRequest
	if err := s.read(&req); err != nil {
		return err
	}
	return s.answer(seq, s.server.backend.ForceLeave(s.ctx, req.Node, req.Prune), nil)
}

func (s *session) join(seq uint64) error {
	var req joinRequest
	if err := s.read(&req); err != nil {
		return err
	}
	n, err := s.server.backend.Join(s.ctx, req.Existing, req.Replay)
	return s.answer(seq, err, &joinResponse{Num: int32(n)})
}

func (s *session) leave(seq uint64) error {
	s.server.log.Printf(logs.Info, "agent.ipc: Graceful leave triggered")
	err := s.answer(seq, s.server.backend.Leave(s.ctx), nil)
	s.server.backend.Shutdown()
	return err
}

func (s *session) members(seq uint64) error {
	all, err := s.server.backend.Members(s.ctx)
	return s.answer(seq, err, &membersResponse{Members: all})
}

func (s *session) membersFiltered(seq uint64) error {
	var f Filter
	if err := s.read(&f); err != nil {
		return err
	}
	match, err := f.compile()
	if err != nil {
		return s.answer(seq, err, &membersResponse{})
	}
	all, err := s.server.backend.Members(s.ctx)
	return s.answer(seq, err, &membersResponse{Members: slices.DeleteFunc(all, func(m Member) bool { return !match(&m) })})
}

// compile returns what tells whether a member matches.
func (f *Filter) compile() (func(*Member) bool, error) {
	tags := map[string]*regexp.Regexp{}
	for tag, expr := range f.Tags {
		re, err := whole(expr)
		if err != nil {
			return nil, err
		}
		tags[tag] = re
	}
	status, err := whole(f.Status)
	if err != nil {
		return nil, err
	}
	name, err := whole(f.Name)
	if err != nil {
		return nil, err
	}
	return func(m *Member) bool {
		for tag, re := range tags {
			if !re.MatchString(m.Tags[tag]) {
				return false
			}
		}
		return (f.Status == "" || status.MatchString(m.Status)) && (f.Name == "" || name.MatchString(m.Name))
	}, nil
}

// whole compiles an expression that has to match all of a value.
func whole(expr string) (*regexp.Regexp, error) {
	re, err := regexp.Compile("^" + expr + "$")
	if err != nil {
		return nil, fmt.Errorf("Failed to compile regex: %w", err)
	}
	return re, nil
}

func (s *session) tags(seq uint64) error {
	var req tagsRequest
	if err := s.read(&req); err != nil {
		return err
	}
	return s.answer(seq, s.server.backend.ChangeTags(s.ctx, req.Tags, req.DeleteTags), nil)
}

func keyHandler(operation string) func(*session, uint64) error {
	return func(s *session, seq uint64) error {
		var req keyRequest
		if err := s.read(&req); err != nil {
			return err
		}
		return s.keys(seq, operation, req.Key)
	}
}

func (s *session) keys(seq uint64, operation, key string) error {
	resp, err := s.server.backend.Keys(s.ctx, operation, key)
	return s.answer(seq, err, &resp)
}

func (s *session) stats(seq uint64) error {
	stats, err := s.server.backend.Stats(s.ctx)
	return s.answer(seq, err, stats)
}

func (s *session) coordinate(seq uint64) error {
	var req coordinateRequest
	if err := s.read(&req); err != nil {
		return err
	}
	c, ok, err := s.server.backend.Coordinate(s.ctx, req.Node)
	return s.answer(seq, err, &coordinateResponse{Coord: c, Ok: ok})
}
