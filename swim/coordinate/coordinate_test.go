package coordinate

import (
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"regexp"
	"slices"
	"testing"
	"time"

	"concord/internal/prng"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// genValid draws coordinates that members can have, genAny whatever the numbers can be.
var (
	genValid = rapid.Custom(func(t *rapid.T) (c Coordinate) {
		axis := rapid.Float64Range(-bound, bound)
		for i := range c.Vec {
			c.Vec[i] = axis.Draw(t, "axis")
		}
		c.Error = rapid.Float64Range(0, MaxError).Draw(t, "error")
		c.Height = rapid.Float64Range(0, bound).Draw(t, "height")
		c.Adjustment = axis.Draw(t, "adjustment")
		return c
	})
	genAny = rapid.Custom(func(t *rapid.T) (c Coordinate) {
		number := rapid.OneOf(rapid.Float64Range(-bound, bound), rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), -0.0}))
		for i := range c.Vec {
			c.Vec[i] = number.Draw(t, "axis")
		}
		c.Error, c.Height, c.Adjustment = number.Draw(t, "error"), number.Draw(t, "height"), number.Draw(t, "adjustment")
		return c
	})
	genRTT = rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.Int64Range(-int64(time.Second), int64(12*time.Second)).Draw(t, "rtt"))
	})
)

// moved is how far a coordinate went, its height included.
func moved(a, b Coordinate) float64 { return a.flat(&b) + math.Abs(a.Height-b.Height) }

// Whatever others say, a member's coordinate stays one that others accept, and a sample moves it by no more than
// maxStep, gravity apart; what cannot be true does not change it at all.
func TestUpdateIsBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := NewClient(prng.New(rapid.Uint64().Draw(t, "seed")), 3)
		if rapid.Bool().Draw(t, "elsewhere") {
			c.own = genValid.Draw(t, "own")
			c.own.Height = max(c.own.Height, MinHeight)
		}
		for range rapid.IntRange(1, 30).Draw(t, "samples") {
			name := rapid.StringMatching("[a-e]").Draw(t, "name")
			other, rtt := genAny.Draw(t, "other"), genRTT.Draw(t, "rtt")
			before, peers := c.own, c.Peers()
			err := c.Update(name, other, rtt)
			if rtt < 0 || rtt > MaxRTT {
				require.ErrorIs(t, err, ErrRTT)
			} else if other.Validate() != nil {
				require.ErrorIs(t, err, ErrCoordinate)
			} else {
				require.NoError(t, err)
				told, known := c.Of(name)
				require.True(t, known)
				require.InDelta(t, other.Height, told.Height, 1e-6)
			}
			if err != nil {
				require.Equal(t, before, c.own)
				require.Equal(t, peers, c.Peers())
			}
			require.NoError(t, c.own.Validate())
			require.GreaterOrEqual(t, c.own.Height, MinHeight)
			require.LessOrEqual(t, c.Peers(), 3)
			if c.own != New() {
				far := before.raw(&Coordinate{}) + maxStep
				require.LessOrEqual(t, moved(before, c.own), maxStep+math.Pow(far/gravityRho, 2)+1e-9)
			}
			own := c.own
			packed, err := Unpack(own.Pack())
			require.NoError(t, err, "what is told must be accepted")
			require.Less(t, moved(own, packed), 1e-5)
			require.LessOrEqual(t, len(own.Pack()), MaxPacked)
		}
	})
}

// One lie moves nobody farther than a quarter of the common round trip, neither a member that knows its place nor one that has
// just begun, and however late the liar answers.
func TestALieMovesByAQuarterOfTheRoundTrip(t *testing.T) {
	t.Parallel()
	lie := New()
	lie.Vec[0], lie.Error = 9, 0
	for _, known := range []int{0, 5, 100} {
		for _, late := range []time.Duration{time.Millisecond, 9 * time.Second} {
			c := NewClient(prng.New(1), 8)
			for range known {
				require.NoError(t, c.Update("honest", New(), time.Millisecond))
			}
			before := c.Coordinate()
			if known == 0 {
				late = time.Millisecond // nothing else is common yet
			}
			require.NoError(t, c.Update("liar", lie, late))
			require.LessOrEqual(t, moved(before, c.Coordinate()), 0.00026)
		}
	}
}

func TestValidateNamesTheFault(t *testing.T) {
	t.Parallel()
	for text, spoil := range map[string]func(c *Coordinate){
		"axis 7 is NaN":       func(c *Coordinate) { c.Vec[7] = math.NaN() },
		"axis 0 is -10.1":     func(c *Coordinate) { c.Vec[0] = -10.1 },
		"error is 1.6":        func(c *Coordinate) { c.Error = 1.6 },
		"error is -1":         func(c *Coordinate) { c.Error = -1 },
		"height is +Inf":      func(c *Coordinate) { c.Height = math.Inf(1) },
		"height is -1":        func(c *Coordinate) { c.Height = -1 },
		"adjustment is -10.5": func(c *Coordinate) { c.Adjustment = -10.5 },
	} {
		c := New()
		require.NoError(t, c.Validate())
		spoil(&c)
		err := c.Validate()
		require.ErrorIs(t, err, ErrCoordinate)
		require.ErrorContains(t, err, text)
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	a, b := New(), New()
	a.Vec[0], b.Vec[1] = 0.003, 0.004
	require.InDelta(t, float64(5020*time.Microsecond), float64(a.Distance(&b)), 10)
	b.Adjustment = 0.001
	require.InDelta(t, float64(6020*time.Microsecond), float64(a.Distance(&b)), 10)
	b.Adjustment = -1
	require.InDelta(t, float64(5020*time.Microsecond), float64(a.Distance(&b)), 10, "an adjustment that makes a distance negative does not count")
	rapid.Check(t, func(t *rapid.T) {
		a, b := genValid.Draw(t, "a"), genValid.Draw(t, "b")
		require.Equal(t, a.Distance(&b), b.Distance(&a))
		require.GreaterOrEqual(t, a.Distance(&b), time.Duration(0))
	})
}

// JSON is Serf's, so that Consul's clients read it.
func TestJSON(t *testing.T) {
	t.Parallel()
	c := New()
	c.Vec[7] = -0.25
	text, err := json.Marshal(c)
	require.NoError(t, err)
	require.Equal(t, `{"Vec":[0,0,0,0,0,0,0,-0.25],"Error":1.5,"Adjustment":0,"Height":0.00001}`, string(text))
}

// One slow round trip of three to a member counts for nothing, and members do not share their filter.
func TestLatencyFilter(t *testing.T) {
	t.Parallel()
	c := NewClient(prng.New(1), 8)
	a, b := c.peers.hear("a"), c.peers.hear("b")
	require.InDelta(t, 0.01, a.median(0.01), 1e-9)
	require.InDelta(t, 0.01, a.median(5), 1e-6, "of two the shorter")
	require.InDelta(t, 0.01, a.median(0.009), 1e-6)
	require.InDelta(t, 0.009, a.median(0.001), 1e-6)
	require.InDelta(t, 3, b.median(3), 1e-9)
}

// The members remembered are those that were heard last: against a list.
func TestPeersAreThoseHeardLast(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		c := NewClient(prng.New(1), limit)
		var want []string
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			name := rapid.StringMatching("[a-g]").Draw(t, "name")
			want = slices.DeleteFunc(want, func(s string) bool { return s == name })
			if rapid.Bool().Draw(t, "forget") {
				c.Forget(name)
			} else {
				require.NoError(t, c.Update(name, New(), time.Millisecond))
				want = append(want, name)
				want = want[max(0, len(want)-limit):]
			}
			require.Equal(t, len(want), c.Peers())
			for _, s := range want {
				_, known := c.Of(s)
				require.True(t, known, s)
			}
		}
	})
}

// FuzzUnpack: what comes from another member is refused or a coordinate that survives being passed on.
func FuzzUnpack(f *testing.F) {
	for seed := range 20 {
		c := genValid.Example(seed)
		f.Add(c.Pack())
	}
	origin := New()
	f.Add(origin.Pack())
	f.Add([]byte{})
	f.Add(make([]byte, MaxPacked))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Unpack(b)
		if err != nil {
			require.ErrorIs(t, err, ErrCoordinate)
			return
		}
		require.NoError(t, c.Validate())
		again, err := Unpack(c.Pack())
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}

func TestPackedSize(t *testing.T) {
	t.Parallel()
	near, far := New(), Coordinate{Error: MaxError, Height: bound, Adjustment: -bound}
	for i := range near.Vec {
		near.Vec[i], far.Vec[i] = -0.003, bound
	}
	require.Len(t, near.Pack(), 23)
	require.LessOrEqual(t, len(far.Pack()), MaxPacked)
	for n := range near.Pack() {
		_, err := Unpack(near.Pack()[:n])
		require.ErrorIs(t, err, ErrCoordinate)
	}
	_, err := Unpack(append(near.Pack(), 0))
	require.ErrorIs(t, err, ErrCoordinate)
}

// TestNoFusedProducts: on machines that can, Go makes one instruction of a product and a sum, which
// rounds once instead of twice, unless the product is converted first. Then simulations would not replay there.
func TestNoFusedProducts(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles for another machine")
	}
	t.Parallel()
	cmd := exec.Command("go", "build", "-gcflags=-S", ".")
	cmd.Env = append(cmd.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Regexp(t, `\bFMULD\b`, string(out), "products are there to be seen")
	require.Empty(t, regexp.MustCompile(`\bFN?M(ADD|SUB)[SD]\b`).FindAllString(string(out), -1))
}

func BenchmarkUpdate(b *testing.B) {
	c, other := NewClient(prng.New(1), 1024), New()
	other.Vec[0] = 0.01
	names := make([]string, 2000)
	for i := range names {
		names[i] = fmt.Sprint("node-", i)
	}
	b.ReportAllocs()
	for i := range b.N {
		if err := c.Update(names[i%len(names)], other, 10*time.Millisecond); err != nil {
			b.Fatal(err)
		}
	}
}
