package agent

import (
	"fmt"
	"strings"
	"time"

	"concord/catalog"
	"concord/internal/tick"
)

// SetTTL updates a TTL check, which is then good for another TTL
// (/v1/agent/check/{pass,warn,fail,update}). The error is a *NotFoundError or an *InvalidError.
func (l *Local) SetTTL(now time.Duration, id, status, output string) error {
	l.now = now
	c := l.check(keyOf(id))
	switch {
	case c == nil:
		return unknownCheck(id)
	case c.def.Kind() != KindTTL:
		return invalid("CheckID %q does not have associated TTL", id)
	case !ValidStatus(status):
		return invalid("Invalid check status: '%s'", status)
	}
	if limit := c.def.OutputMaxSize; len(output) > limit {
		output = fmt.Sprintf("%s ... (captured %d of %d bytes)", c.def.limit(output), limit, len(output))
	}
	l.timers.set(timerKey{timerTTL, c.timers()}, now+c.def.TTL)
	l.setStatus(c, status, output)
	l.persistState(c.key())
	l.settle()
	return nil
}

func (l *Local) ttlExpired(c *check) {
	output := "TTL expired"
	if last := c.record.Output; last != "" && !strings.HasPrefix(last, output) {
		output += " (last output before timeout follows): " + last
	}
	l.log(LevelWarn, "Check missed TTL, is now critical: check=%s", c.record.CheckID)
	l.setStatus(c, catalog.HealthCritical, c.def.limit(output))
	l.persistState(c.key())
}

// state returns what is kept on disk of a TTL check: nothing once it has expired.
func (l *Local) state(id key) *CheckState {
	c := l.check(id)
	if c == nil || c.def.Kind() != KindTTL {
		return nil
	}
	at := l.timers.at(timerKey{timerTTL, c.timers()})
	if at == tick.Never {
		return nil
	}
	return &CheckState{Status: c.record.Status, Output: c.record.Output, Remaining: at - l.now}
}

// restoreState gives a TTL check the state that it had before a restart, for the rest of its time.
func (l *Local) restoreState(id key, s CheckState) {
	c := l.check(id)
	if c == nil || c.def.Kind() != KindTTL || s.Remaining <= 0 || !ValidStatus(s.Status) {
		l.persistState(id)
		return
	}
	l.timers.set(timerKey{timerTTL, c.timers()}, l.now+min(s.Remaining, c.def.TTL))
	l.setStatus(c, s.Status, s.Output)
}
