package torture

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"concord/internal/prng"
	lin "concord/linearizability"
)

// test is one run: servers, clients and a nemesis.
type test struct {
	options  options
	dir      string // data and logs of the servers
	network  *network
	servers  []*server
	watch    *watch
	tally    *tally
	workload *workload
	nemesis  *nemesis
	rng      *prng.Rand
}

func newTest(o options, dir, program string, n *network) (*test, error) {
	t := &test{options: o, dir: dir, network: n, watch: newWatch(), tally: newTally(), rng: prng.New(o.seed)}
	t.workload = &workload{watch: t.watch, tally: t.tally, history: &lin.History{}}
	for i := range o.servers {
		s, err := newServer(i, filepath.Join(dir, fmt.Sprintf("server-%d", i+1)), program, n, t.watch)
		if err != nil {
			return nil, err
		}
		t.servers = append(t.servers, s)
		transport := &http.Transport{MaxIdleConnsPerHost: o.clients, DisableCompression: true}
		t.workload.targets = append(t.workload.targets, target{name: s.name, url: s.url, http: &http.Client{Transport: transport}, watch: t.watch})
	}
	t.nemesis = &nemesis{servers: t.servers, network: n, watch: t.watch, tally: t.tally, rng: t.rng.Fork("nemesis")}
	return t, nil
}

// run does the whole run and returns the exit code. The processes have ended when it returns.
func (t *test) run() (int, error) {
	defer t.closeServers()
	where := "loopback"
	if t.network.isolated() {
		where = "network namespaces"
	}
	fmt.Printf("seed %d: %d servers in %s, %d clients, %v of faults\n", t.options.seed, t.options.servers, where, t.options.clients, t.options.duration)
	ctx, interrupted := t.interruptible()
	defer interrupted()
	for _, s := range t.servers {
		if err := s.start(); err != nil {
			return 0, err
		}
	}
	broken := t.converge()
	if broken == nil {
		var err error
		if broken, err = t.torment(ctx); err != nil {
			return 0, err
		}
	}
	fmt.Println(t.tally.progress(t.watch.now()))
	t.closeServers()
	return t.judge(broken)
}

// interruptible is a context that the first interrupt ends, a crash too. The second interrupt ends the program and its servers.
func (t *test) interruptible() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			fmt.Println("interrupted: the faults end, the history so far is checked; interrupt again to end at once")
		case <-t.watch.crash:
		case <-ctx.Done():
			return
		}
		cancel()
		<-signals
		fmt.Println("data and logs:", t.dir)
		os.Exit(exitUsage) // the kernel ends the servers with this process (see server.start)
	}()
	return ctx, cancel
}

// torment lets clients and nemesis work, heals, and reads everything once more. broken is why the cluster did not converge.
func (t *test) torment(ctx context.Context) (broken, err error) {
	ctx, cancel := context.WithTimeout(ctx, t.options.duration)
	defer cancel()
	work, stop := context.WithCancel(context.Background())
	defer stop()
	var wg sync.WaitGroup
	for i := range t.options.clients {
		c := newClient(t.workload, i, t.rng)
		wg.Add(1)
		go func() {
			defer wg.Done()
			c.run(work)
		}()
	}
	go t.tell(work)
	if err := t.nemesis.run(ctx); err != nil {
		return nil, err
	}
	if err := t.nemesis.heal(); err != nil {
		return nil, err
	}
	broken = t.converge()
	stop()
	wg.Wait()
	if broken == nil {
		broken = t.workload.finalReads(t.rng)
	}
	return broken, nil
}

// tell prints the progress.
func (t *test) tell(ctx context.Context) {
	for sleep(ctx, 2*time.Second) {
		fmt.Println(t.tally.progress(t.watch.now()))
	}
}

func (t *test) closeServers() {
	for _, s := range t.servers {
		s.close()
	}
}

// judge checks the history, writes the report and tells the verdict.
func (t *test) judge(broken error) (int, error) {
	spans, crashes, strange := t.watch.result()
	begin := time.Now()
	verdict := t.check(strange)
	fmt.Printf("checked %d operations in %v\n", len(t.workload.history.All()), time.Since(begin).Truncate(time.Millisecond))
	code := exitOK
	var failure []error
	for _, c := range crashes {
		code = exitCrash
		failure = append(failure, errors.New(c))
	}
	if broken != nil && code == exitOK {
		code = exitNotConverged
	}
	if broken != nil {
		failure = append(failure, fmt.Errorf("did not converge: %w", broken))
	}
	if verdict != nil {
		code = exitNotLinearizable
		failure = append(failure, verdict)
	}
	err := errors.Join(failure...)
	if err == nil {
		fmt.Println("linearizable, converged, no crash")
	} else {
		fmt.Println(err)
	}
	return code, t.report(err, spans)
}

// report writes the page if it was asked for, or after a failure.
func (t *test) report(failure error, spans []lin.Span) error {
	path := t.options.html
	if path == "" && failure != nil {
		path = fmt.Sprintf("torture-%d.html", t.options.seed)
	}
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	defer f.Close()
	page := t.page(failure, spans)
	if err := page.WriteHTML(f); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	fmt.Println("report:", path)
	return nil
}
