package invariants

import "fmt"

// Watch: the rules of blocking queries. The index that one client sees of one query never goes back, a query that is
// answered before its time has news, and none is answered with an index of 0, which would make the client ask
// without end.
type Watch struct{ last uint64 }

// Answered tells of an answer. early: it came before the time to wait was over; min: the index that was waited for to be
// passed.
func (p *Watch) Answered(index, min uint64, early bool) error {
	switch {
	case index == 0:
		return fmt.Errorf("answered with index 0")
	case index < p.last:
		return fmt.Errorf("the index goes back from %d to %d", p.last, index)
	case early && index <= min:
		return fmt.Errorf("answered at once with index %d, which the client has seen: it would ask without end", index)
	}
	p.last = index
	return nil
}
