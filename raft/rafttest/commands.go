package rafttest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"concord/raft"
)

func timeout(in *Interpreter, _ *command, s *Server) error {
	in.c.Now = max(in.c.Now, s.Node.NextDeadline())
	s.Tick()
	return nil
}

func elect(in *Interpreter, c *command, s *Server) error {
	if err := timeout(in, c, s); err != nil {
		return err
	}
	return in.c.Settle()
}

func pass(in *Interpreter, c *command) error {
	d, err := time.ParseDuration(string(c.id(0)))
	in.cluster().Now += d
	return err
}

func tickServer(_ *Interpreter, _ *command, s *Server) error {
	s.Tick()
	return nil
}

func run(in *Interpreter, c *command) error {
	d, err := time.ParseDuration(string(c.id(0)))
	if err != nil {
		return err
	}
	return in.cluster().Run(d)
}

func settle(in *Interpreter, _ *command) error { return in.cluster().Settle() }

func (c *command) matches(m *raft.Message) bool {
	is := func(key, value string) bool { return c.opts[key] == "" || c.opts[key] == value }
	return is("from", string(m.From)) && is("to", string(m.To)) && is("type", m.Type.String())
}

func deliver(in *Interpreter, c *command) error {
	count, _ := strconv.Atoi(c.opts["count"])
	// Only what is on the way already, unless it is counted.
	left := len(in.cluster().Network)
	for i := 0; i < left; {
		if !c.matches(&in.c.Network[i]) {
			i++
			continue
		}
		in.c.Deliver(i)
		left--
		if count--; count == 0 {
			return nil
		}
	}
	return nil
}

func drop(in *Interpreter, c *command) error {
	kept := in.cluster().Network[:0:0]
	for _, m := range in.c.Network {
		if c.matches(&m) {
			in.c.trace("drop     %s", Describe(&m))
		} else {
			kept = append(kept, m)
		}
	}
	in.c.Network = kept
	return nil
}

func work(_ *Interpreter, _ *command, s *Server) error {
	for s.work() {
	}
	return nil
}

func network(in *Interpreter, _ *command) error {
	for i := range in.cluster().Network {
		in.printf("%s", Describe(&in.c.Network[i]))
	}
	return nil
}

func cut(in *Interpreter, c *command) error {
	in.cluster().Cut(c.id(0), c.id(1))
	return nil
}

func isolate(in *Interpreter, c *command) error {
	inside := map[raft.ID]bool{}
	for _, id := range c.ids(0) {
		inside[id] = true
	}
	for _, a := range in.cluster().Servers {
		for _, b := range in.c.Servers {
			if inside[a.ID] != inside[b.ID] {
				in.c.Cut(a.ID, b.ID)
			}
		}
	}
	return nil
}

func heal(in *Interpreter, _ *command) error {
	in.cluster().Heal()
	return nil
}

func crash(_ *Interpreter, c *command, s *Server) error {
	durable, _ := strconv.Atoi(c.opts["durable"])
	s.Crash(durable)
	return nil
}

func wipe(_ *Interpreter, _ *command, s *Server) error {
	s.Wipe()
	return nil
}

func start(_ *Interpreter, _ *command, s *Server) error {
	s.Start()
	return nil
}

func setHold(c *command, s *Server, held bool) error {
	switch c.id(1) {
	case "disk":
		s.HoldDisk = held
	case "apply":
		s.HoldApply = held
	case "reads":
		s.HoldReads = held
	default:
		return fmt.Errorf("hold what?")
	}
	return nil
}

func hold(_ *Interpreter, c *command, s *Server) error    { return setHold(c, s, true) }
func release(_ *Interpreter, c *command, s *Server) error { return setHold(c, s, false) }

func propose(in *Interpreter, c *command, s *Server) (err error) {
	var data [][]byte
	for _, a := range c.args[1:] {
		data = append(data, []byte(a))
	}
	s.Do(func(n *raft.Node) {
		var index, term uint64
		if index, term, err = n.Propose(in.c.Now, data...); err == nil {
			in.printf("proposed %d/%d", index, term)
		}
	})
	return err
}

func change(in *Interpreter, c *command, s *Server) (err error) {
	ch := raft.Change{Server: raft.Server{ID: c.id(2)}}
	ch.PrevIndex, _ = strconv.ParseUint(c.opts["prev"], 10, 64)
	for t := raft.AddNonvoter; t <= raft.RemoveServer; t++ {
		if t.String() == string(c.id(1)) {
			ch.Type = t
		}
	}
	s.Do(func(n *raft.Node) {
		var index, term uint64
		if index, term, err = n.ProposeChange(in.c.Now, ch); err == nil {
			in.printf("proposed %d/%d", index, term)
		}
	})
	return err
}

func transfer(in *Interpreter, c *command, s *Server) (err error) {
	s.Do(func(n *raft.Node) { err = n.TransferLeadership(in.c.Now, c.id(1)) })
	return err
}

func readIndex(in *Interpreter, c *command, s *Server) error {
	s.Do(func(n *raft.Node) { n.ReadIndex(in.c.Now, c.number(1)) })
	return nil
}

func lease(in *Interpreter, _ *command, s *Server) error {
	index, ok := s.Node.LeaseRead(in.c.Now)
	if !ok {
		return errors.New("no lease")
	}
	in.printf("lease    %s index=%d", s.ID, index)
	return nil
}

func connectionLost(in *Interpreter, _ *command, s *Server) error {
	s.Do(func(n *raft.Node) { n.LeaderConnectionLost(in.c.Now) })
	in.printf("deadline %s in %v", s.ID, s.Node.NextDeadline()-in.c.Now)
	return nil
}

func unreachable(in *Interpreter, c *command, s *Server) error {
	s.Do(func(n *raft.Node) { n.PeerUnreachable(in.c.Now, c.id(1)) })
	return nil
}

func compact(_ *Interpreter, c *command, s *Server) error {
	s.Flush()
	s.Compact(c.number(1))
	return nil
}

func status(in *Interpreter, _ *command) error {
	for _, s := range in.cluster().Servers {
		if s.Node == nil {
			in.printf("%s down", s.ID)
			continue
		}
		st := s.Node.Status()
		in.printf("%s %v term=%d leader=%s last=%d/%d stable=%d commit=%d applied=%d config=%d: %v", s.ID, st.Role, st.Term, orNone(st.Leader),
			st.LastIndex, st.LastTerm, st.StableIndex, st.CommitIndex, st.AppliedIndex, st.ConfigIndex, st.Config)
	}
	return nil
}

func logs(in *Interpreter, _ *command) error {
	for _, s := range in.cluster().Servers {
		var terms []string
		for _, e := range s.disk.entries {
			terms = append(terms, strconv.FormatUint(e.Term, 10))
		}
		in.printf("%s from %d: %s", s.ID, s.disk.first, strings.Join(terms, " "))
	}
	return nil
}

func showFollowers(in *Interpreter, _ *command, s *Server) error {
	for _, f := range s.Node.Status().Followers {
		in.printf("%s %v match=%d next=%d inflight=%d", f.ID, f.State, f.Match, f.Next, f.Inflight)
	}
	return nil
}

func step(in *Interpreter, c *command, s *Server) error {
	num := func(key string) uint64 {
		v, _ := strconv.ParseUint(c.opts[key], 10, 64)
		return v
	}
	m := raft.Message{
		From: raft.ID(c.opts["from"]), To: s.ID, Term: num("term"), LastIndex: num("last"), LastTerm: num("last-term"),
		PrevIndex: num("prev"), PrevTerm: num("prev-term"), Commit: num("commit"), Match: num("match"),
		Transfer: c.opts["transfer"] != "", Reject: c.opts["reject"] != "", SentAt: time.Duration(num("sent")),
	}
	for t := raft.MsgPreVote; t <= raft.MsgReadIndexReply; t++ {
		if t.String() == c.opts["type"] {
			m.Type = t
		}
	}
	before := s.Node.Status().Garbage
	s.Do(func(n *raft.Node) { n.Step(in.c.Now, m) })
	if s.Node.Status().Garbage > before {
		in.printf("garbage  %s", Describe(&m))
	}
	return nil
}
