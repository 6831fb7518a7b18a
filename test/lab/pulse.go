package lab

import (
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// pulse feels how long the kernel makes everybody wait. All namespaces share one
// lock for changes of addresses and links (RTNL), and closing a packet socket
// waits until every processor has been through the scheduler (an RCU grace
// period). On a busy machine either can take a second, because of what somebody
// else does, which says nothing about the daemon under test.
type pulse struct {
	mu    sync.Mutex
	beats []beat
	// since is when the question under way was asked, 0 if there is none.
	since time.Duration
}

type beat struct{ at, took time.Duration }

// pulseInterval is short against what is measured; the questions themselves cost little.
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
		_, _ = nl.LinkList() // for the lock; the answer is of no interest
		waitForGracePeriod()
		p.mu.Lock()
		p.since = 0
		p.beats = append(p.beats, beat{began, Now() - began})
		p.mu.Unlock()
	}
}

// waitForGracePeriod opens and closes a packet socket that receives nothing.
func waitForGracePeriod() {
	if fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err == nil {
		_ = unix.Close(fd)
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

// Stall is how long the kernel made a change of addresses or links, or the end
// of a socket, wait at worst since an instant, whoever asked: what a test must
// allow for on top of its own margin. On a machine that does nothing else it is
// about 20 ms.
func (l *Lab) Stall(from time.Duration) time.Duration { return l.pulse.worst(from) }
