package probe

import (
	"context"
	"sync"

	"github.com/backbeat-ha/backbeat/checks"
)

// patience keeps what looks at a file system from being held by one that does
// not answer: the system calls of a dead NFS server cannot be interrupted. Such
// a look is left behind, once a path: as long as it hangs there is no other.
type patience struct {
	mu    sync.Mutex
	stuck map[string]bool
}

// look calls f and waits for it as long as ctx allows. Two checks of different
// kinds may look at one path at a time.
func (p *patience) look(ctx context.Context, kind, path string, f func() checks.Result) checks.Result {
	key := kind + " " + path
	p.mu.Lock()
	if p.stuck[key] {
		p.mu.Unlock()
		return notRun("the last look still hangs: the file system of " + path + " does not answer")
	}
	if p.stuck == nil {
		p.stuck = map[string]bool{}
	}
	p.stuck[key] = true
	p.mu.Unlock()
	got := make(chan checks.Result, 1)
	go func() {
		res := notRun("internal error")
		defer func() {
			_ = recover() // the answer says so
			p.mu.Lock()
			delete(p.stuck, key)
			p.mu.Unlock()
			got <- res
		}()
		res = f()
	}()
	select {
	case res := <-got:
		return res
	case <-ctx.Done():
		return notRun("the file system of " + path + " does not answer")
	}
}
