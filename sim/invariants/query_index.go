package invariants

import "fmt"

// QueryIndex: the index of the answers to one query (X-Consul-Index) never goes back in real time, whoever asks: a client that
// waits for it to be passed would miss what happened.
type QueryIndex struct{ newest map[string]uint64 }

// Asked returns the index that the answer to a query must have at least, when it is asked now.
func (p *QueryIndex) Asked(query string) uint64 { return p.newest[query] }

// Answered tells of an answer to a query, and what Asked returned for it.
func (p *QueryIndex) Answered(query string, index, least uint64) error {
	if p.newest == nil {
		p.newest = map[string]uint64{}
	}
	p.newest[query] = max(p.newest[query], index)
	if index < least {
		return fmt.Errorf("%s was answered with index %d, after somebody had been answered with %d", query, index, least)
	}
	return nil
}
