package agent

import (
	"time"

	"concord/gossip"
	"concord/gossip/agent/ipc"
	"concord/gossip/agent/logs"
	"concord/swim"
)

// forgetConflict is when a conflict that was not reported again is taken for one that was over by itself: that of an
// agent that came back at another address before its former life had failed.
const forgetConflict = 5 * time.Minute

// conflicts remembers when it was last told that another node has this agent's name. It is touched by work only.
type conflicts struct {
	at   time.Duration
	told bool
}

// again takes note of a conflict, and tells whether one was told of a while ago already: the members are asked then.
func (c *conflicts) again(now time.Duration) bool {
	again := c.told && now-c.at < forgetConflict
	c.at, c.told = now, true
	return again
}

// resolveName asks the members whom they believe to have this agent's name, and ends the agent if it is not the one that
// most of them know, as Serf does. Nobody is lost silently: the other one stays, and this one says why it goes.
func (a *Agent) resolveName() {
	records := make(chan ipc.QueryRecord, maxVotes)
	var own swim.Member
	var refused error
	err := a.call(a.ctx, func(now time.Duration, p *gossip.Pool) {
		own = p.Local()
		var id swim.QueryID
		if id, refused = p.AskName(now); refused == nil {
			a.replies.queries[id] = records
		}
	})
	if err != nil || refused != nil {
		return // the agent ends, or has left
	}
	votes, mine := 0, 0
	for {
		select {
		case r := <-records:
			if r.Type == ipc.RecordDone {
				a.judgeName(votes, mine)
				return
			}
			votes++
			if string(r.Payload) == own.Addr.String() {
				mine++
			}
		case <-a.ctx.Done():
			return
		}
	}
}

// maxVotes bounds the answers that are looked at: more of them decide nothing else.
const maxVotes = 1024

func (a *Agent) judgeName(votes, mine int) {
	if mine >= votes/2+1 {
		a.log.Printf(logs.Info, "serf: majority in name conflict resolution [%d / %d]", mine, votes)
		return
	}
	a.log.Printf(logs.Err, "serf: minority in name conflict resolution, quitting [%d / %d]: another node is named %s; set another name with -node", mine, votes, a.cfg.NodeName)
	a.end(1)
}
