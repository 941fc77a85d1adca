package plots

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"concord/swim"
)

// page is docs/gossip.md with its plots.
type page struct {
	folder string
	text   strings.Builder
	plots  []plot
}

type plot struct {
	file  string
	chart *chart
}

func (r *results) sort() {
	slices.SortFunc(r.sizes, func(a, b *bySize) int { return cmp.Or(a.n-b.n, int(a.loss)-int(b.loss)) })
	slices.SortFunc(r.slow, func(a, b *slowness) int {
		return cmp.Or(a.slow-b.slow, int(a.loss)-int(b.loss))
	})
	slices.SortFunc(r.tunings, func(a, b *tuning) int { return cmp.Or(a.alpha-b.alpha, a.beta-b.beta, int(a.loss)-int(b.loss)) })
}

func newPage(folder string, r *results) *page {
	p := &page{folder: folder}
	p.say(`# Gossip in figures

Written by ` + "`go run ./cmd/sim gossip plots -out docs/gossip`" + `, which measures pools of real members (package ` + "`gossip`" + `, with its
codec) in the simulator. Timing is that of a LAN: a period of one second, a probe timeout of half a second, gossip to three
members each 200 ms. A datagram takes 0.5 to 1.5 ms and is lost as often as each row says. Times are virtual.
`)
	p.first(r)
	p.tail(r)
	p.spread(r)
	p.load(r)
	p.mistakes(r)
	p.tuning(r)
	return p
}

func (p *page) say(text string) { p.text.WriteString(text) }

func (p *page) heading(title, text string) { p.say("\n## " + title + "\n\n" + text + "\n\n") }

func (p *page) plot(file string, c *chart) {
	p.plots = append(p.plots, plot{file, c})
	fmt.Fprintf(&p.text, "![%s](%s/%s)\n\n", c.title, p.folder, file)
}

func (p *page) table(columns []string, rows [][]string) {
	line := func(cells []string) { p.say("| " + strings.Join(cells, " | ") + " |\n") }
	line(columns)
	p.say("|" + strings.Repeat("---|", len(columns)) + "\n")
	for _, r := range rows {
		line(r)
	}
}

// seconds writes a time; none was measured if it is zero.
func seconds(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", d.Seconds())
}

func percent(loss uint64) string { return fmt.Sprintf("%d %%", loss) }

// lines makes one series for each loss.
func lines(r *results, y func(*bySize) float64) (out []series) {
	for _, loss := range losses {
		s := series{name: percent(loss) + " lost"}
		for _, m := range r.sizes {
			if v := y(m); m.loss == loss && v > 0 {
				s.points = append(s.points, point{float64(m.n), v})
			}
		}
		out = append(out, s)
	}
	return out
}

// level is a theory that does not depend on the size.
func level(r *results, name string, y float64) series {
	return series{name: name, dashed: true, points: []point{{float64(r.sizes[0].n), y}, {float64(r.sizes[len(r.sizes)-1].n), y}}}
}

func (p *page) first(r *results) {
	p.heading("First detection", fmt.Sprintf(`From the moment a machine goes until the first member suspects it. SWIM (section 3.1) gives e/(e-1) = %.2f periods for members
that probe in step, whatever their number; out of step, it takes one period on average until somebody probes the dead one and
another until that probe has failed: 2 periods. All know when the suspicion is over, which confirmations shorten to 4 * log10(N) periods at
best, and the news has been told. Where much is lost somebody in a large pool may suspect the dead one already, by mistake.`, theory))
	c := &chart{title: "First detection", x: "members", y: "periods (seconds)", logX: true,
		series: lines(r, func(m *bySize) float64 { return mean(m.times(firstSuspicion)).Seconds() })}
	c.series = append(c.series, level(r, "out of step: 2", 2), level(r, "in step: e/(e-1)", theory))
	p.plot("first-detection.svg", c)
	var rows [][]string
	for _, m := range r.sizes {
		t, all := m.times(firstSuspicion), m.times(allKnow)
		rows = append(rows, []string{fmt.Sprint(m.n), percent(m.loss), fmt.Sprint(len(t)), seconds(mean(t)), seconds(quantile(t, 0.5)), seconds(quantile(t, 0.99)),
			seconds(quantile(t, 1)), seconds(mean(all)), seconds(quantile(all, 1))})
	}
	p.table([]string{"members", "lost", "kills", "suspected: mean s", "median", "99 %", "worst", "all know: mean s", "worst"}, rows)
}

func (p *page) tail(r *results) {
	smallest := r.sizes[0].n
	p.heading("Its tail", fmt.Sprintf(`How many kills are not suspected after a time, among %d members. Random probes would leave a share of e^-t after t periods,
without bound. In rounds (SWIM section 4.3) each member probes each other one within 2N-1 = %d periods, so that it is over
after that and the period in which the probe fails.`, smallest, 2*smallest-1))
	c := &chart{title: fmt.Sprintf("Kills not suspected yet, %d members", smallest), x: "periods", y: "share", logY: true}
	most := 0.0
	for _, m := range r.sizes {
		if m.n != smallest {
			continue
		}
		s := series{name: percent(m.loss) + " lost"}
		t := slices.Sorted(slices.Values(m.times(firstSuspicion)))
		for i, d := range t[:max(0, len(t)-1)] {
			s.points = append(s.points, point{d.Seconds(), 1 - float64(i+1)/float64(len(t))})
			most = max(most, d.Seconds())
		}
		c.series = append(c.series, s)
	}
	random := series{name: "random: e^-(t-1)", dashed: true}
	for t := 1.0; t <= most; t += 0.25 {
		random.points = append(random.points, point{t, math.Exp(1 - t)})
	}
	c.series = append(c.series, random)
	p.plot("tail.svg", c)
	var rows [][]string
	for _, m := range r.sizes {
		t := m.times(firstSuspicion)
		rows = append(rows, []string{fmt.Sprint(m.n), percent(m.loss), fmt.Sprint(len(t)), seconds(quantile(t, 0.9)), seconds(quantile(t, 1)), fmt.Sprint(2 * m.n)})
	}
	p.table([]string{"members", "lost", "kills", "90 % within s", "worst", "bound: 2N-1 and 1"}, rows)
}

func (p *page) spread(r *results) {
	p.heading("Dissemination", `From the moment a member changes its tags until others know. Gossip reaches N members in a time that grows with log N (SWIM section
4.1); whom it missed, the comparison of states finds. The dashed line is one round of gossip, 200 ms, for each factor of 4, as who
knows tells three others in each, and one more.`)
	c := &chart{title: "All know an update", x: "members", y: "seconds (mean of the last to know)", logX: true,
		series: lines(r, func(m *bySize) float64 { return mean(lastOf(m.news)).Seconds() })}
	growth := series{name: "rounds: log4 N + 1", dashed: true}
	for _, m := range r.sizes {
		if m.loss == 0 {
			growth.points = append(growth.points, point{float64(m.n), 0.2 * (math.Log(float64(m.n))/math.Log(4) + 1)})
		}
	}
	c.series = append(c.series, growth)
	p.plot("dissemination.svg", c)
	var rows [][]string
	for _, m := range r.sizes {
		var each []time.Duration
		for _, heard := range m.news {
			each = append(each, heard...)
		}
		last := lastOf(m.news)
		rows = append(rows, []string{fmt.Sprint(m.n), percent(m.loss), fmt.Sprint(len(m.news)), seconds(quantile(each, 0.5)), seconds(quantile(each, 0.99)),
			seconds(quantile(last, 0.5)), seconds(mean(last)), seconds(quantile(last, 1))})
	}
	p.table([]string{"members", "lost", "updates", "half know: s", "99 % know", "all know: median", "mean", "worst"}, rows)
}

func (p *page) load(r *results) {
	p.heading("Load", `What each member of a pool at rest sends per second: a ping and an ack in each period, whatever the size of the pool. Lost
ones cost helpers' probes; and where so many are lost that well members are suspected now and then, all are told of each suspicion and of
its refutation, the more the larger the pool, up to the bound of gossip: three datagrams each 200 ms.`)
	c := &chart{title: "Datagrams of each member", x: "members", y: "per second", logX: true, series: lines(r, func(m *bySize) float64 { return m.datagrams })}
	p.plot("load.svg", c)
	b := &chart{title: "Bytes of each member, in datagrams", x: "members", y: "per second", logX: true, series: lines(r, func(m *bySize) float64 { return m.bytes })}
	p.plot("bytes.svg", b)
	var rows [][]string
	for _, m := range r.sizes {
		rows = append(rows, []string{fmt.Sprint(m.n), percent(m.loss), fmt.Sprintf("%.2f", m.datagrams), fmt.Sprintf("%.0f", m.bytes), fmt.Sprintf("%.0f", m.streamed)})
	}
	p.table([]string{"members", "lost", "datagrams/s", "bytes/s in them", "bytes/s over connections"}, rows)
}

func (p *page) mistakes(r *results) {
	p.heading("False deaths", fmt.Sprintf(`%s members, some of which are slow for %s as in Lifeguard's experiments (section V): for a random time up to 16 s they can neither
send nor receive, then for up to a second they can. Each time a member takes one of the others for dead is a mistake, at all
members (FP in the paper) or at healthy ones (FP-). Plain SWIM is the same code with each part of Lifeguard switched off (`+"`swim.Config.Without`"+`).`, r.slowOf, r.slowFor))
	c := &chart{title: "False deaths of healthy members", x: "slow members", y: "number + 1", logX: true, logY: true}
	total := map[bool]deaths{}
	for _, lifeguard := range []bool{false, true} {
		for _, loss := range losses {
			s := series{name: fmt.Sprintf("%s, %s lost", map[bool]string{true: "Lifeguard", false: "SWIM"}[lifeguard], percent(loss))}
			for _, m := range r.slow {
				if m.lifeguard == lifeguard && m.loss == loss {
					s.points = append(s.points, point{float64(m.slow), float64(m.deaths.all + 1)})
					t := total[lifeguard]
					total[lifeguard] = deaths{t.all + m.deaths.all, t.atHealthy + m.deaths.atHealthy}
				}
			}
			c.series = append(c.series, s)
		}
	}
	p.plot("false-deaths.svg", c)
	var rows [][]string
	for _, m := range r.slow {
		if m.lifeguard {
			continue
		}
		for _, o := range r.slow {
			if o.lifeguard && o.slow == m.slow && o.loss == m.loss {
				rows = append(rows, []string{fmt.Sprint(m.slow), percent(m.loss), fmt.Sprint(m.deaths.all), fmt.Sprint(o.deaths.all), fmt.Sprint(m.deaths.atHealthy), fmt.Sprint(o.deaths.atHealthy)})
			}
		}
	}
	p.table([]string{"slow", "lost", "at all: SWIM", "Lifeguard", "at healthy members: SWIM", "Lifeguard"}, rows)
	plain, guarded := total[false], total[true]
	fmt.Fprintf(&p.text, "\nIn all %d with SWIM and %d with Lifeguard, at healthy members %d and %d. The paper reports 50 to 100 times fewer. A slow member here\nstands still whole and notices it when it goes on; one that is merely late would make more mistakes.\n",
		plain.all, guarded.all, plain.atHealthy, guarded.atHealthy)
}

func (p *page) tuning(r *results) {
	lan := swim.LAN()
	p.heading("Alpha and beta", fmt.Sprintf(`How soon all of %s members know of a failure with other multipliers of the suspicion timeout (Lifeguard section IV-B): at least
alpha * log10(N) periods, at most beta times that. The defaults are %d and %d. Patience costs time only until others
confirm; what it buys is shown by the false deaths.`, r.tuningOf, lan.SuspicionMult, lan.SuspicionMaxMult))
	c := &chart{title: "All know of a failure", x: "alpha", y: "seconds (mean)"}
	for _, beta := range betasOf(r) {
		for _, loss := range []uint64{losses[0], losses[len(losses)-1]} {
			s := series{name: fmt.Sprintf("beta %d, %s lost", beta, percent(loss))}
			for _, t := range r.tunings {
				if t.beta == beta && t.loss == loss {
					s.points = append(s.points, point{float64(t.alpha), mean(t.all).Seconds()})
				}
			}
			c.series = append(c.series, s)
		}
	}
	p.plot("tuning.svg", c)
	var rows [][]string
	for _, t := range r.tunings {
		rows = append(rows, []string{fmt.Sprint(t.alpha), fmt.Sprint(t.beta), percent(t.loss), fmt.Sprint(len(t.all)), seconds(mean(t.all)), seconds(quantile(t.all, 1)),
			fmt.Sprint(t.mistakes), fmt.Sprintf("%.0f", t.hours)})
	}
	p.table([]string{"alpha", "beta", "lost", "kills", "all know: mean s", "worst", "false deaths", "in member-hours"}, rows)
}

func betasOf(r *results) (out []int) {
	for _, t := range r.tunings {
		if !slices.Contains(out, t.beta) {
			out = append(out, t.beta)
		}
	}
	return out
}
