package sim

import (
	"fmt"

	"concord/node"
	"concord/raft"
)

// Log writes to the log of the run.
func (h *Host) Log(level node.Level, component, message string, args ...any) {
	if level < node.Info {
		return
	}
	h.w.cover("log: " + component + ": " + kindOfLine(message))
	if h.w.log != nil {
		h.w.logf("%s %s: %s %v", h.name, component, message, args)
	}
}

// kindOfLine is the part of a log line that is the same for all of its kind.
func kindOfLine(message string) string {
	for i, c := range message {
		if c == ':' || c == '=' || c >= '0' && c <= '9' {
			return message[:i]
		}
	}
	return message
}

func (h *Host) beginSpan(kind, text string) {
	h.endSpan(kind)
	h.ends[kind] = h.w.span(h.name, kind, text)
}

func (h *Host) endSpan(kind string) {
	if end := h.ends[kind]; end != nil {
		end()
		delete(h.ends, kind)
	}
}

// observe looks at what became of a server by its last input.
func (h *Host) observe() {
	if !h.server {
		return
	}
	role, term := h.node.Role()
	now := roleView{role, term}
	if now == h.role {
		return
	}
	st, _ := h.node.RaftStatus()
	h.w.cover(fmt.Sprintf("role: %v to %v", h.role.role, now.role))
	h.role = now
	h.endSpan("leader")
	if st.Role == raft.Leader {
		h.beginSpan("leader", fmt.Sprintf("leads in term %d", st.Term))
		h.w.stats.Elections++
		h.w.checks.elected(h, st)
	}
}

func lastIndex(d node.Disk) uint64 {
	if n := len(d.Raft.Entries); n > 0 {
		return d.Raft.Entries[n-1].Index
	}
	return d.Raft.Applied
}
