package lab

import (
	"sync"
	"time"

	"github.com/vishvananda/netlink"
)

// pulse feels how long the kernel makes everybody wait for a change of
// addresses or links. All namespaces share that lock (RTNL), and on a busy
// machine somebody else's work can hold it for a second, which says nothing
// about the daemon under test.
type pulse struct {
	mu    sync.Mutex
	beats []beat
	// since is when the question under way was asked, 0 if there is none.
	since time.Duration
}

type beat struct{ at, took time.Duration }

// pulseInterval is short against what is measured, and a dump of a dozen links takes 0.1 ms.
const pulseInterval = 10 * time.Millisecond

// run asks until stop is closed.
func (p *pulse) run(nl *netlink.Handle, stop <-chan struct{}) {
	tick := time.NewTicker(pulseInterval)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		began := Now()
		p.mu.Lock()
		p.since = began
		p.mu.Unlock()
		_, _ = nl.LinkList() // the answer is of no interest, nor is an interrupted one
		p.mu.Lock()
		p.since = 0
		p.beats = append(p.beats, beat{began, Now() - began})
		p.mu.Unlock()
	}
}

// worst is the longest wait that overlaps the time since from.
func (p *pulse) worst(from time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	var w time.Duration
	if p.since != 0 {
		w = Now() - p.since
	}
	for i := len(p.beats) - 1; i >= 0; i-- {
		if b := p.beats[i]; b.at+b.took >= from {
			w = max(w, b.took)
		}
	}
	return w
}

// Stall is how long the kernel made a change of addresses or links wait at
// worst since an instant, whoever asked: what a test must allow for on top of
// its own margin. On a machine that does nothing else it is below a millisecond.
func (l *Lab) Stall(from time.Duration) time.Duration { return l.pulse.worst(from) }
