package tcp

import (
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// rarely logs at most one line in ten seconds: what it is about comes from strangers.
type rarely struct {
	mu   sync.Mutex
	last time.Time
}

func (r *rarely) log(l hclog.Logger, msg string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.last) < 10*time.Second {
		return
	}
	r.last = time.Now()
	l.Warn("transport: "+msg, args...)
}
