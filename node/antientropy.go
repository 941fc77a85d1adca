package node

import (
	"errors"
	"fmt"

	"concord/agent"
	"concord/catalog"
	"concord/wire"
)

// drainAgent carries out what the local agent wants, and tells whether it wanted anything.
func (n *Node) drainAgent() bool {
	out := n.local.Output()
	if len(out.Persist)+len(out.Start)+len(out.Stop) > 0 {
		n.env.Agent(AgentTask{Persist: out.Persist, Start: out.Start, Stop: out.Stop})
	}
	for _, l := range out.Logs {
		n.log(agentLevels[l.Level], "agent", l.Message)
	}
	for _, op := range out.Requests {
		if op.Command != nil {
			n.syncCommand(op)
		} else {
			n.syncQueries(op, agent.Reply{}, op.Queries)
		}
	}
	return len(out.Requests) > 0
}

var agentLevels = map[agent.Level]Level{agent.LevelDebug: Debug, agent.LevelInfo: Info, agent.LevelWarn: Warn, agent.LevelError: Error}

func (n *Node) syncCommand(op agent.Op) {
	n.ask(&wire.Request{Command: wire.AppendCommand(nil, op.Command)}, func(resp *wire.Response) {
		var r agent.Reply
		switch resp.Code {
		case wire.OK:
			r.Result = *resp.Result
		case wire.Refused: // the command is at fault, not the way to the servers
			r.Result.Err = resp.Err
		default:
			r.Err = ResponseError(resp)
		}
		n.local.Replied(n.now, op.ID, r)
	})
}

// syncQueries asks one query after the other and answers the op with all of them.
func (n *Node) syncQueries(op agent.Op, r agent.Reply, rest []catalog.Query) {
	if len(rest) == 0 {
		n.local.Replied(n.now, op.ID, r)
		return
	}
	n.ask(&wire.Request{Read: &wire.Read{Query: rest[0]}}, func(resp *wire.Response) {
		if err := ResponseError(resp); err != nil {
			n.local.Replied(n.now, op.ID, agent.Reply{Err: err})
			return
		}
		r.Answers = append(r.Answers, *resp.Answer)
		n.syncQueries(op, r, rest[1:])
	})
}

// ErrRefused is wrapped by the error of a response that tells that the request itself is wrong.
var ErrRefused = errors.New("refused")

// ResponseError returns what went wrong, nil if nothing did. The refusal of a command is not an error of the
// request: it is in the Result.
func ResponseError(resp *wire.Response) error {
	switch resp.Code {
	case wire.OK:
		return nil
	case wire.Refused:
		return fmt.Errorf("%s: %w", resp.Err, ErrRefused)
	}
	return errors.New(resp.Err)
}
