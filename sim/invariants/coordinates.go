package invariants

import (
	"fmt"
	"time"

	"concord/swim/coordinate"
)

// Coordinates: a network coordinate is always one that others accept, and no sample moves it farther than a sample may, whatever
// the network does to round trips.
type Coordinates struct{ places map[string]place }

type place struct {
	at      coordinate.Coordinate
	samples uint64
}

// maxMove is the longest step: 100 ms by the sample and as much by gravity, in the space and in height; and the adjustment, a
// mean, moves besides.
const maxMove = 500 * time.Millisecond

// At tells where a member is, in one of its lives, after so many samples.
func (p *Coordinates) At(viewer string, c coordinate.Coordinate, samples uint64) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("%s: %w", viewer, err)
	}
	if p.places == nil {
		p.places = map[string]place{}
	}
	old, known := p.places[viewer]
	p.places[viewer] = place{c, samples}
	if !known {
		return nil
	}
	// One that left the space begins anew at the origin.
	if moved, most := c.Moved(&old.at), time.Duration(samples-old.samples)*maxMove; moved > most && c != coordinate.New() {
		return fmt.Errorf("%s moved by %v with %d samples", viewer, moved, samples-old.samples)
	}
	return nil
}
