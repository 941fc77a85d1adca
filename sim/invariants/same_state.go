package invariants

import "fmt"

// SameState: servers that have applied the same entries have the same state, whether they applied them one by one, were
// restarted in between or were sent a snapshot.
type SameState struct{ states map[uint64]contents }

type contents struct {
	host string
	hash string
}

// At tells a hash of all that a server has, which has applied everything up to index.
func (p *SameState) At(host string, index uint64, hash string) error {
	if p.states == nil {
		p.states = map[uint64]contents{}
	}
	if old, ok := p.states[index]; ok && old.hash != hash {
		return fmt.Errorf("%s and %s have applied everything up to %d, but their states differ", host, old.host, index)
	}
	p.states[index] = contents{host, hash}
	return nil
}
