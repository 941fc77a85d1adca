package ipc

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"concord/gossip/agent/event"
	"concord/gossip/agent/logs"
	"concord/swim"
)

// stream begins to send events, with the number of the request.
func (s *session) stream(seq uint64) error {
	var req streamRequest
	if err := s.read(&req); err != nil {
		return err
	}
	filters, err := event.ParseFilters(req.Type)
	switch {
	case err != nil:
		return s.answer(seq, errors.New(textInvalidFilter), nil)
	case s.streams[seq] != nil:
		return s.answer(seq, errors.New(textStreamExists), nil)
	case len(s.streams) >= maxStreams:
		return s.answer(seq, fmt.Errorf("%d streams are open already: stop one, or open another connection", maxStreams), nil)
	}
	events, stop := s.server.backend.Subscribe(filters)
	s.streams[seq] = stop
	// The events have to come after this, and all that happen from when the client has it.
	err = s.answer(seq, nil, nil)
	s.wg.Go(func() {
		for e := range events {
			s.send(seq, s.record(&e))
		}
	})
	return err
}

// record is the event as the protocol has it. A query gets an ID with which the client can answer it.
func (s *session) record(e *event.Event) any {
	switch e.Type {
	case event.User:
		return &userEventRecord{Event: e.Type, LTime: e.User.LTime, Name: e.User.Name, Payload: e.User.Payload, Coalesce: e.User.Coalesce}
	case event.Query:
		return &queryEventRecord{Event: e.Type, ID: s.register(e.Query.ID), LTime: e.Query.ID.LTime, Name: e.Query.Name, Payload: e.Query.Payload}
	}
	r := &memberEventRecord{Event: e.Type}
	for i := range e.Members {
		r.Members = append(r.Members, MemberOf(&e.Members[i]))
	}
	return r
}

// MemberOf returns a member as the protocol shows it. Suspects are alive to it; its protocol versions are those of
// the Serf whose RPC this is.
func MemberOf(m *swim.Member) Member {
	status := m.State
	if status == swim.StateSuspect {
		status = swim.StateAlive
	}
	tags := m.Tags
	if tags == nil {
		tags = map[string]string{} // clients show nothing, but not null
	}
	return Member{Name: m.Name, Addr: m.Addr.Addr().AsSlice(), Port: m.Addr.Port(), Tags: tags, Status: status.String(),
		ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5}
}

func (s *session) register(q swim.QueryID) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	if len(s.asked) >= maxAsked {
		s.asked = slices.Delete(s.asked, 0, 1)
	}
	s.asked = append(s.asked, question{s.last, q})
	return s.last
}

// respond answers a query that the client was told of. The pool knows whether it is too late.
func (s *session) respond(seq uint64) error {
	var req respondRequest
	if err := s.read(&req); err != nil {
		return err
	}
	s.mu.Lock()
	i := slices.IndexFunc(s.asked, func(q question) bool { return q.id == req.ID })
	var q question
	if i >= 0 {
		q = s.asked[i]
	}
	s.mu.Unlock()
	if i < 0 {
		return s.answer(seq, errors.New(textInvalidQueryID), nil)
	}
	return s.answer(seq, s.server.backend.Respond(q.query, req.Payload), nil)
}

// query asks the pool and sends what comes back, with the number of the request.
func (s *session) query(seq uint64) error {
	var q Query
	if err := s.read(&q); err != nil {
		return err
	}
	select {
	case s.asking <- struct{}{}:
	default:
		return s.answer(seq, fmt.Errorf("%d queries are under way already: wait for one to end, or open another connection", maxAsking), nil)
	}
	records, err := s.server.backend.Query(s.ctx, q)
	if err != nil {
		<-s.asking
		return s.answer(seq, err, nil)
	}
	// The answers have to come after this.
	err = s.answer(seq, nil, nil)
	s.wg.Go(func() {
		s.sendRecords(seq, records)
		<-s.asking
	})
	return err
}

// sendRecords sends what comes of a query until it is over or the client gone: nobody waits for the end of a query then.
func (s *session) sendRecords(seq uint64, records <-chan QueryRecord) {
	for {
		select {
		case r, more := <-records:
			if !more {
				return
			}
			s.send(seq, &r)
		case <-s.ctx.Done():
			return
		}
	}
}

// watch begins to send the log, with the number of the request.
func (s *session) watch(seq uint64) error {
	var req monitorRequest
	if err := s.read(&req); err != nil {
		return err
	}
	level, err := logs.ParseLevel(req.LogLevel)
	switch {
	case err != nil:
		return s.answer(seq, err, nil)
	case s.monitor != nil:
		return s.answer(seq, errors.New(textMonitorExists), nil)
	}
	if err := s.answer(seq, nil, nil); err != nil {
		return err
	}
	m := s.server.log.Monitor(level)
	s.monitor, s.watched = m, seq
	s.wg.Go(func() {
		for line := range m.Lines {
			s.send(seq, &logRecord{Log: line})
		}
	})
	return nil
}

func (s *session) stopMonitor() {
	if s.monitor != nil {
		s.monitor.Stop()
		s.monitor = nil
	}
}

// stop ends the stream or monitor with a number; that there is none is no error.
func (s *session) stop(seq uint64) error {
	var req stopRequest
	if err := s.read(&req); err != nil {
		return err
	}
	if s.watched == req.Stop {
		s.stopMonitor()
	}
	if stop := s.streams[req.Stop]; stop != nil {
		stop()
		delete(s.streams, req.Stop)
	}
	return s.answer(seq, nil, nil)
}

// send sends a part of a stream. If that fails the connection ends: a part of a value may have been sent.
func (s *session) send(seq uint64, record any) {
	err := s.write(&responseHeader{Seq: seq}, record)
	if err == nil {
		return
	}
	if !errors.Is(err, net.ErrClosed) && s.ctx.Err() == nil {
		s.server.log.Printf(logs.Err, "agent.ipc: Failed to stream to %v: %v", s.RemoteAddr(), err)
	}
	s.Close()
}
