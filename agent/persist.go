package agent

import (
	"reflect"
	"time"
)

// persistKey names a record on disk.
type persistKey struct {
	kind PersistKind
	id   key
}

func (l *Local) persistService(id key) { l.persist(persistKey{PersistService, id}) }
func (l *Local) persistCheck(id key)   { l.persist(persistKey{PersistCheck, id}) }
func (l *Local) persistState(id key)   { l.persist(persistKey{PersistCheckState, id}) }

// persist marks a record as out of date; what it becomes is found when the Output is taken.
func (l *Local) persist(k persistKey) {
	if _, ok := l.persistSet[k]; !ok {
		l.persistSet[k] = struct{}{}
		l.persistDirty = append(l.persistDirty, k)
	}
}

// Output returns what is to be done since the last call.
func (l *Local) Output() Output {
	out := l.out
	l.out = Output{}
	for _, k := range l.persistDirty {
		out.Persist = append(out.Persist, l.persistOp(k))
	}
	if len(l.persistDirty) > 0 {
		l.persistDirty = nil
		clear(l.persistSet)
	}
	if len(l.runnersDirty) == 0 {
		return out
	}
	for _, id := range sortedKeys(l.runnersDirty) {
		l.runnerChange(id, &out)
	}
	clear(l.runnersDirty)
	return out
}

// persistOp returns how a record has to be on disk. What comes from the configuration is not
// kept there.
func (l *Local) persistOp(k persistKey) PersistOp {
	op := PersistOp{Kind: k.kind, ID: string(k.id)}
	switch k.kind {
	case PersistService:
		s := l.service(k.id)
		if s == nil || s.fromConfig {
			break
		}
		def := s.def
		for _, id := range l.members[k.id] {
			if c := l.check(id); c != nil && c.bundled {
				def.Checks = append(def.Checks, c.def)
			}
		}
		op.Service = &def
	case PersistCheck:
		if c := l.check(k.id); c != nil && !c.bundled && !c.fromConfig {
			def := c.def
			op.Check = &def
		}
	case PersistCheckState:
		op.State = l.state(k.id)
	}
	return op
}

// runnerChange stops and starts the runner of a check if it is not the one that is needed.
func (l *Local) runnerChange(id key, out *Output) {
	old, runs := l.running[id]
	c := l.check(id)
	needed := c != nil && (c.def.Kind() == KindHTTP || c.def.Kind() == KindTCP)
	if runs && needed && reflect.DeepEqual(old, c.def) {
		return
	}
	if runs {
		out.Stop = append(out.Stop, old.ID)
		delete(l.running, id)
	}
	if needed {
		out.Start = append(out.Start, c.def)
		l.running[id] = c.def
	}
}

// Restore adds what was found on disk when the agent was started, after LoadConfigServices.
// The configuration is preferred: a service or check that is in both is removed from the disk,
// and so is what is not valid any more.
func (l *Local) Restore(now time.Duration, p Persisted) {
	l.now = now
	for _, def := range p.Services {
		prepared, err := l.prepareService(def)
		if err != nil {
			l.log(LevelWarn, "Dropped the persisted service %q, which is not valid: %v", def.ID, err)
		}
		if err == nil && l.service(keyOf(prepared.ID)) == nil {
			l.putService(prepared, false, keepAll)
		} else {
			l.persistService(keyOf(def.ID))
		}
	}
	for _, def := range p.Checks {
		if err := l.restoreCheck(def); err != nil {
			l.log(LevelWarn, "Dropped the persisted check %q: %v", def.ID, err)
			l.persistCheck(keyOf(def.ID))
		}
	}
	for _, id := range sortedKeys(p.States) {
		l.restoreState(keyOf(id), p.States[id])
	}
	l.settle()
}

func (l *Local) restoreCheck(def CheckDefinition) error {
	if !isMaintenance(def.ID) {
		prepared, err := l.prepareCheck(def)
		if err != nil {
			return err
		}
		def = prepared
	}
	if def.ServiceID != "" && l.service(keyOf(def.ServiceID)) == nil {
		return invalid("ServiceID %q does not exist", def.ServiceID)
	}
	if l.check(keyOf(def.ID)) != nil {
		return invalid("it is in the configuration, which is preferred")
	}
	l.putCheck(def, false, false)
	return nil
}
