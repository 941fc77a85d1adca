package raft_test

import (
	"concord/internal/prng"
	"fmt"
	"os"
	"testing"
)

func TestDbg(t *testing.T) {
	if os.Getenv("SEED") == "" {
		t.Skip()
	}
	var seed uint64
	var servers, steps int
	fmt.Sscan(os.Getenv("SEED"), &seed, &servers, &steps)
	r := prng.New(seed)
	w := newWorld(seed, servers, r.IntN)
	w.c.Trace = func(f string, a ...any) {
		fmt.Printf("%v "+f+"\n", append([]any{w.c.Now}, a...)...)
		for _, s := range w.c.Servers {
			if s.Node != nil {
				if g := s.Node.Status().Garbage; g > 0 {
					fmt.Println("GARBAGE", s.ID, g)
				}
			}
		}
	}
	for range steps {
		w.step()
	}
	fmt.Println(w.recover())
}
