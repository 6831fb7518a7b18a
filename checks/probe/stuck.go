package probe

import (
	"context"
	"sync"

	"github.com/backbeat-ha/backbeat/checks"
)

// patience keeps what looks at a file system from being held by one that does
// not answer: the system calls of a dead NFS server cannot be interrupted. Such
// a look is left behind, and as long as one of a path hangs there is no other.
type patience struct {
	mu sync.Mutex
	// left is how many looks were left behind, by path.
	left map[string]int
}

// look calls f and waits for it as long as ctx allows.
func (p *patience) look(ctx context.Context, path string, f func() checks.Result) checks.Result {
	p.mu.Lock()
	hangs := p.left[path] > 0
	p.mu.Unlock()
	if hangs {
		return notRun("the last look still hangs: the file system of " + path + " does not answer")
	}
	got := make(chan checks.Result) // without room: who sends knows whether it was taken
	gone := make(chan struct{})     // closed when nobody waits any more, and that is counted
	go func() {
		res := notRun("internal error")
		defer func() {
			_ = recover() // the answer says so
			select {
			case got <- res:
			case <-gone:
				p.count(path, -1)
			}
		}()
		res = f()
	}()
	select {
	case res := <-got:
		return res
	case <-ctx.Done():
		p.count(path, 1)
		close(gone)
		return notRun("the file system of " + path + " does not answer")
	}
}

func (p *patience) count(path string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left == nil {
		p.left = map[string]int{}
	}
	if p.left[path] += n; p.left[path] == 0 {
		delete(p.left, path)
	}
}
