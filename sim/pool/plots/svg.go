package plots

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// chart is a plot of lines with points.
type chart struct {
	title, x, y string
	logX, logY  bool
	series      []series
}

type series struct {
	name   string
	points []point
	dashed bool // a theory, not a measurement
}

type point struct{ x, y float64 }

const (
	width, height            = 760, 420
	left, right, top, bottom = 70, 190, 40, 50
)

// colors can be told apart by those who see fewer of them (Okabe and Ito's).
var colors = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999"}

// axis maps values to places.
type axis struct {
	lo, hi   float64
	log      bool
	from, to float64
}

func (a axis) at(v float64) float64 {
	lo, hi := a.lo, a.hi
	if a.log {
		v, lo, hi = math.Log10(v), math.Log10(lo), math.Log10(hi)
	}
	return a.from + (v-lo)/(hi-lo)*(a.to-a.from)
}

// ticks are the values that the axis names.
func (a axis) ticks() (out []float64) {
	if a.log {
		for d := math.Pow(10, math.Floor(math.Log10(a.lo))); d <= a.hi*1.001; d *= 10 {
			for _, m := range []float64{1, 2, 5} {
				if v := d * m; v >= a.lo*0.999 && v <= a.hi*1.001 && (m == 1 || a.hi/a.lo < 300) {
					out = append(out, v)
				}
			}
		}
		return out
	}
	step := math.Pow(10, math.Floor(math.Log10((a.hi-a.lo)/4)))
	for _, m := range []float64{5, 2} {
		if (a.hi-a.lo)/(step*m) >= 4 {
			step *= m
			break
		}
	}
	for v := math.Ceil(a.lo/step) * step; v <= a.hi+step/1000; v += step {
		out = append(out, v)
	}
	return out
}

// scale returns the axis that has room for all values.
func (c *chart) scale(of func(point) float64, log bool, from, to float64) axis {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, s := range c.series {
		for _, p := range s.points {
			lo, hi = min(lo, of(p)), max(hi, of(p))
		}
	}
	switch {
	case math.IsInf(lo, 0):
		lo, hi = 1, 2
	case log:
		hi = max(hi, lo*2) * 1.1
	default:
		lo, hi = min(lo, 0), max(hi, lo+1e-9)*1.05
	}
	return axis{lo: lo, hi: hi, log: log, from: from, to: to}
}

// svg draws the chart.
func (c *chart) svg() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/><text x="%d" y="22" font-size="15">%s</text>`+"\n", width, height, left, html.EscapeString(c.title))
	x := c.scale(func(p point) float64 { return p.x }, c.logX, left, width-right)
	y := c.scale(func(p point) float64 { return p.y }, c.logY, height-bottom, top)
	c.grid(&b, x, y)
	for i, s := range c.series {
		c.line(&b, i, s, x, y)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (c *chart) grid(b *strings.Builder, x, y axis) {
	for _, v := range x.ticks() {
		fmt.Fprintf(b, `<path d="M%.1f %dV%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x.at(v), top, height-bottom, x.at(v), height-bottom+16, short(v))
	}
	for _, v := range y.ticks() {
		fmt.Fprintf(b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left, y.at(v), width-right, left-6, y.at(v)+4, short(v))
	}
	fmt.Fprintf(b, `<path d="M%d %dV%dH%d" fill="none" stroke="black"/>`+"\n", left, top, height-bottom, width-right)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (left+width-right)/2, height-12, html.EscapeString(c.x))
	fmt.Fprintf(b, `<text transform="translate(16 %d) rotate(-90)" text-anchor="middle">%s</text>`+"\n", (top+height-bottom)/2, html.EscapeString(c.y))
}

// line draws a series and its place in the legend.
func (c *chart) line(b *strings.Builder, i int, s series, x, y axis) {
	color, dash := colors[i%len(colors)], ""
	if s.dashed {
		dash = ` stroke-dasharray="6 4"`
	}
	var path strings.Builder
	for j, p := range s.points {
		fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(j, 1)], x.at(p.x), y.at(p.y))
		if !s.dashed && len(s.points) <= 40 {
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x.at(p.x), y.at(p.y), color)
		}
	}
	fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.8"%s/>`+"\n", path.String(), color, dash)
	at := top + 12 + 18*i
	fmt.Fprintf(b, `<path d="M%d %dh22" stroke="%s" stroke-width="2"%s/><text x="%d" y="%d">%s</text>`+"\n", width-right+12, at, color, dash, width-right+40, at+4, html.EscapeString(s.name))
}

// short writes a number with few digits.
func short(v float64) string {
	switch {
	case v == 0:
		return "0"
	case math.Abs(v) >= 1000:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
