package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"concord/catalog"
	"concord/sim"
	"concord/wire"
)

// spread runs f b.N times, by so many goroutines.
func spread(b *testing.B, goroutines int, f func(worker, i int) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	b.ResetTimer()
	for w := range goroutines {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N || failed.Load() != nil {
					return
				}
				if err := f(w, i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		}()
	}
	wg.Wait()
	b.StopTimer()
	if p := failed.Load(); p != nil {
		b.Fatal(*p)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// BenchmarkCommit is a write of 256 bytes from proposal to answer, on real disks, without HTTP.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 3} {
		b.Run(fmt.Sprintf("servers=%d", n), func(b *testing.B) {
			leader := servers(b, n)[0]
			value := make([]byte, 256)
			for _, proposers := range []int{1, 64, 1024} {
				b.Run(fmt.Sprintf("proposers=%d", proposers), func(b *testing.B) {
					spread(b, proposers, func(w, i int) error {
						cmd := &catalog.KVWrite{Op: catalog.KVSet, Key: fmt.Sprintf("bench/%d", w), Value: append([]byte(fmt.Sprint(i)), value...)}
						resp := leader.Do(context.Background(), &wire.Request{Command: wire.AppendCommand(nil, cmd)})
						if resp.Code != wire.OK || !resp.Result.OK {
							return fmt.Errorf("%v %s", resp.Code, resp.Err)
						}
						return nil
					})
				})
			}
		})
	}
}

func client() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, MaxConnsPerHost: 256}, Timeout: 30 * time.Second}
}

func do(c *http.Client, method, url string, body []byte) error {
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d %s", resp.StatusCode, out)
	}
	return err
}

// BenchmarkHTTP puts and gets values of 256 bytes with 64 clients.
func BenchmarkHTTP(b *testing.B) {
	for _, n := range []int{1, 3} {
		b.Run(fmt.Sprintf("servers=%d", n), func(b *testing.B) {
			leader := servers(b, n)[0]
			base := "http://" + leader.HTTPAddr().String() + "/v1/kv/bench/"
			value := bytes.Repeat([]byte("x"), 256)
			c := client()
			b.Run("put", func(b *testing.B) {
				spread(b, 64, func(w, i int) error {
					return do(c, http.MethodPut, base+fmt.Sprint(w), append([]byte(fmt.Sprint(i)), value...))
				})
			})
			require.NoError(b, do(c, http.MethodPut, base+"0", value))
			for _, level := range []string{"", "?consistent", "?stale"} {
				b.Run("get"+level, func(b *testing.B) {
					spread(b, 64, func(int, int) error { return do(c, http.MethodGet, base+"0"+level, nil) })
				})
			}
		})
	}
}

// BenchmarkDNS asks for a service with three instances, by UDP, with 16 clients.
func BenchmarkDNS(b *testing.B) {
	leader := servers(b, 1)[0]
	for i := range 3 {
		cmd := &catalog.Register{Node: fmt.Sprintf("n%d", i), Address: fmt.Sprintf("192.0.2.%d", i+1),
			Service: &catalog.NodeService{ID: "web", Service: "web", Port: 80}}
		resp := leader.Do(context.Background(), &wire.Request{Command: wire.AppendCommand(nil, cmd)})
		require.Equal(b, wire.OK, resp.Code, resp.Err)
	}
	addr := leader.DNSAddr().String()
	for _, kind := range []uint16{dns.TypeA, dns.TypeSRV} {
		b.Run(dns.TypeToString[kind], func(b *testing.B) {
			conns := make([]*dns.Conn, 16)
			for i := range conns {
				c, err := dns.Dial("udp", addr)
				require.NoError(b, err)
				defer c.Close()
				conns[i] = c
			}
			spread(b, len(conns), func(w, _ int) error {
				m := new(dns.Msg)
				m.SetQuestion("web.service.consul.", kind)
				conns[w].SetDeadline(time.Now().Add(5 * time.Second))
				if err := conns[w].WriteMsg(m); err != nil {
					return err
				}
				r, err := conns[w].ReadMsg()
				if err == nil && len(r.Answer) != 3 {
					err = fmt.Errorf("%d answers", len(r.Answer))
				}
				return err
			})
		})
	}
}

// BenchmarkDetection kills a member of a simulated pool and reports when the first, and when all others, know.
func BenchmarkDetection(b *testing.B) {
	for _, n := range []int{8, 16, 32, 64} {
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			var first, all time.Duration
			for i := 0; b.Loop(); i++ {
				f, a, err := sim.Detection(uint64(i+1), n)
				require.NoError(b, err)
				first, all = first+f, all+a
			}
			b.ReportMetric(first.Seconds()/float64(b.N), "first-s")
			b.ReportMetric((all-first).Seconds()/float64(b.N), "spread-s")
		})
	}
}
