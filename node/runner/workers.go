package runner

import (
	"fmt"

	"concord/node"
)

// write is the log writer: all that waits becomes one batch with one sync (group commit).
func (r *Runner) write(tasks []node.PersistTask) {
	if err := node.WriteLog(r.opts.Disk.Log, tasks); err != nil {
		r.fail(err)
		return
	}
	r.inbox.force(event{kind: evPersisted, seq: tasks[len(tasks)-1].Seq})
}

// apply changes the state machine.
func (r *Runner) apply(tasks []node.ApplyTask) {
	done := make([]event, 0, len(tasks))
	for _, t := range tasks {
		d := node.ApplyTo(r.opts.Disk.Machine, t)
		if d.Err != nil && t.Chunk == nil {
			r.fail(d.Err)
			return
		}
		done = append(done, event{kind: evApplied, applied: &d})
	}
	r.inbox.force(done...)
}

// fetch reads what followers lack.
func (r *Runner) fetch(tasks []node.FetchTask) {
	for _, t := range tasks {
		d := node.FetchFrom(r.opts.Disk.Log, r.opts.Disk.Machine, t)
		r.inbox.force(event{kind: evFetched, fetched: &d})
	}
}

// readWorker answers the reads of other nodes, and the node's own.
func (r *Runner) readWorker() {
	for t := range r.reads {
		node.ReadFrom(r.opts.Disk.Machine, &t)
		if t.Internal != 0 {
			r.inbox.force(event{kind: evRead, read: &t})
			continue
		}
		(*env)(r).Send(node.ResponseEnvelope(t.To, t.Response))
	}
}

// carry hands the local agent's wishes to the host.
func (r *Runner) carry(jobs []hostJob) {
	for _, j := range jobs {
		if j.done != nil {
			close(j.done)
			continue
		}
		r.opts.Host.Carry(j.task)
	}
}

// save writes the newest of each small piece of data.
func (r *Runner) save(saves []save) {
	if r.opts.Files == nil {
		return
	}
	newest := map[string][]byte{}
	for _, s := range saves {
		if t := s.keyring; t != nil {
			r.inbox.force(event{kind: evKeyring, keyring: t, err: r.opts.Files.WriteSecret(t.Name, t.Data)})
			continue
		}
		newest[s.name] = s.data
	}
	for name, data := range newest {
		if err := r.opts.Files.Write(name, data); err != nil {
			r.log.Error("agent: failed to write a file", "name", name, "error", fmt.Sprint(err))
		}
	}
}
