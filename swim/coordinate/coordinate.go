// Package coordinate places the members of a pool in a space in which the distance of two is about the time
// of a round trip between them: Vivaldi (Dabek, Cox, Kaashoek, Morris, SIGCOMM 2004) with heights, the
// adjustment term of Lee, Zhang, Sahu and Saha ("On Suitability of Euclidean Embedding for Host-Based Network Coordinate
// Systems"), and the latency filter and gravity of Ledlie, Gardner and Seltzer ("Network Coordinates in the
// Wild", NSDI 2007). The parameters are Serf's.
//
// Whatever another member says is bounded: see Validate for what is refused, and limit and maxStep for how far a lie
// can move this member.
//
// The same samples lead to the same bits on every machine. Go may fuse a product with a sum on some, so each product here is
// rounded by a conversion first (mul).
package coordinate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// Parameters of the space and of the algorithm, those of Serf.
const (
	// Dimensions is the number of dimensions of the space, the height apart.
	Dimensions = 8
	// MaxError is the error of a coordinate that says nothing yet.
	MaxError = 1.5
	// MinHeight is the least height in seconds: no host's access link is faster.
	MinHeight = 10e-6
	// MaxRTT is the longest round trip that is believed.
	MaxRTT = 10 * time.Second

	ce         = 0.25 // how much a sample changes the error: c_e of Vivaldi
	cc         = 0.25 // how far a sample moves the coordinate: c_c of Vivaldi
	window     = 20   // samples that the adjustment is made from
	filterSize = 3    // round trips to a member whose median counts
	gravityRho = 150  // seconds from the origin at which gravity would move by a second

	// tiny is the number of seconds, or of error, below which two numbers are the same.
	tiny = 1e-6
)

// bound is the greatest distance from the origin along each axis, height and adjustment, in seconds: nothing that
// is believed is farther away than MaxRTT.
const bound = float64(MaxRTT) / float64(time.Second)

// ErrCoordinate is wrapped by the errors for a coordinate that no member can have.
var ErrCoordinate = errors.New("coordinate: out of bounds")

// ErrRTT is wrapped by the error for a round trip that no network makes.
var ErrRTT = errors.New("coordinate: bad round trip")

// Coordinate is a place in the space. All but Error is in seconds. JSON shows it as Serf does.
type Coordinate struct {
	Vec [Dimensions]float64
	// Error is about how wrong, relatively, distances to this coordinate are.
	Error float64
	// Adjustment is added to distances, for what the space cannot show; it may be negative.
	Adjustment float64
	// Height is the time to get to the core of the network, which is in every distance.
	Height float64
}

// New returns the coordinate of a member that has measured nothing yet: the origin.
func New() Coordinate { return Coordinate{Error: MaxError, Height: MinHeight} }

// Validate tells what is wrong with a coordinate; it wraps ErrCoordinate.
func (c *Coordinate) Validate() error {
	for i, x := range c.Vec {
		if !within(x, -bound, bound) {
			return fmt.Errorf("%w: axis %d is %v; it must be within %v seconds", ErrCoordinate, i, x, bound)
		}
	}
	switch {
	case !within(c.Error, 0, MaxError):
		return fmt.Errorf("%w: the error is %v; it must be from 0 to %v", ErrCoordinate, c.Error, MaxError)
	case !within(c.Height, 0, bound):
		return fmt.Errorf("%w: the height is %v; it must be from 0 to %v seconds", ErrCoordinate, c.Height, bound)
	case !within(c.Adjustment, -bound, bound):
		return fmt.Errorf("%w: the adjustment is %v; it must be within %v seconds", ErrCoordinate, c.Adjustment, bound)
	}
	return nil
}

// within is false for what is not a number.
func within(x, lo, hi float64) bool { return x >= lo && x <= hi }

// Distance returns the estimated round trip between two coordinates.
func (c *Coordinate) Distance(other *Coordinate) time.Duration {
	return time.Duration(c.seconds(other) * float64(time.Second))
}

// seconds is Distance in seconds. The adjustments count unless they made it negative.
func (c *Coordinate) seconds(other *Coordinate) float64 {
	raw := c.raw(other)
	if adjusted := raw + c.Adjustment + other.Adjustment; adjusted > 0 {
		return adjusted
	}
	return raw
}

// raw is the distance without adjustments: "||[x, xh]|| = ||x|| + xh" (Vivaldi section 5.4).
func (c *Coordinate) raw(other *Coordinate) float64 {
	return c.flat(other) + c.Height + other.Height
}

// flat is the Euclidean distance.
func (c *Coordinate) flat(other *Coordinate) float64 {
	var sum float64
	for i := range c.Vec {
		d := c.Vec[i] - other.Vec[i]
		sum += mul(d, d)
	}
	return math.Sqrt(sum)
}

// Moved returns how far a coordinate is from where it was, height and adjustment included.
func (c *Coordinate) Moved(from *Coordinate) time.Duration {
	far := c.flat(from) + abs(c.Height-from.Height) + abs(c.Adjustment-from.Adjustment)
	return time.Duration(far * float64(time.Second))
}

// mul is a product that is rounded before anything is added to it.
func mul(a, b float64) float64 { return float64(a * b) }

// MaxPacked is the largest size in bytes of a packed coordinate. Those of a datacenter have about half of it.
const MaxPacked = 1 + 4*fields

// fields is the number of numbers that a coordinate has.
const fields = Dimensions + 3

// resolution is how many units of a packed number a second has, and errors are in as many parts of one.
const resolution = 1e6

func (c *Coordinate) numbers() (all [fields]float64) {
	copy(all[:], c.Vec[:])
	all[Dimensions], all[Dimensions+1], all[Dimensions+2] = c.Error, c.Adjustment, c.Height
	return all
}

func fromNumbers(all [fields]float64) (c Coordinate) {
	copy(c.Vec[:], all[:])
	c.Error, c.Adjustment, c.Height = all[Dimensions], all[Dimensions+1], all[Dimensions+2]
	return c
}

// Pack returns a valid coordinate as members tell it one another: the number of dimensions, and the numbers in microseconds, small
// ones in fewer bytes. It is in most of the packets that a pool at rest sends.
func (c *Coordinate) Pack() []byte {
	b := append(make([]byte, 0, MaxPacked), Dimensions)
	for _, x := range c.numbers() {
		b = binary.AppendVarint(b, int64(math.Round(mul(x, resolution))))
	}
	return b
}

// Unpack returns the coordinate that Pack wrote, to the microsecond. The error wraps ErrCoordinate if no member can have it.
func Unpack(b []byte) (Coordinate, error) {
	if len(b) == 0 || b[0] != Dimensions {
		return Coordinate{}, fmt.Errorf("%w: it must have %d dimensions", ErrCoordinate, Dimensions)
	}
	b = b[1:]
	var all [fields]float64
	for i := range all {
		units, n := binary.Varint(b)
		if n <= 0 {
			return Coordinate{}, fmt.Errorf("%w: a number is missing", ErrCoordinate)
		}
		all[i], b = float64(units)/resolution, b[n:]
	}
	if len(b) > 0 {
		return Coordinate{}, fmt.Errorf("%w: there is more behind it", ErrCoordinate)
	}
	c := fromNumbers(all)
	return c, c.Validate()
}

// singles are the numbers of a coordinate in single precision, good for a microsecond in ten seconds, to remember many.
type singles [fields]float32

func (c *Coordinate) singles() (s singles) {
	for i, x := range c.numbers() {
		s[i] = float32(x)
	}
	return s
}

func (s *singles) coordinate() Coordinate {
	var all [fields]float64
	for i, x := range s {
		all[i] = float64(x)
	}
	return fromNumbers(all)
}
