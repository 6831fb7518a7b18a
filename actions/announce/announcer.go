package announce

import (
	"context"
	"sync"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// Announcer sends announcements as scheduled. Announce, Cancel and Stats may be
// called from any goroutine, at any time.
type Announcer struct {
	post func(any)

	mu    sync.Mutex
	inbox []order
	stats Stats
	wake  chan struct{}
}

// Stats counts frames since the start, all rounds.
type Stats struct {
	// ARP and NA have left, Errors have not.
	ARP, NA, Errors uint64
}

// order is an announcement, or the cancellation of a router's.
type order struct {
	actions.Announcement
	cancel bool
	at     time.Time
}

// New returns an Announcer; nothing is sent before Run. Post takes
// actions.Announced; it is called from Run's goroutine and may block briefly.
func New(post func(any)) *Announcer {
	return &Announcer{post: post, wake: make(chan struct{}, 1)}
}

// Announce starts a schedule with a first round at once and replaces the
// router's earlier one; with Once it sends a single round beside it.
// actions.Announced answers when the first round is out, unless it was replaced
// or cancelled before. The Addresses slice must not be changed afterwards.
func (a *Announcer) Announce(w actions.Announcement) {
	a.order(order{Announcement: w, at: time.Now()})
}

// Cancel ends a router's announcements. What has been handed to the kernel is
// not taken back.
func (a *Announcer) Cancel(r actions.RouterID) {
	a.order(order{Announcement: actions.Announcement{Router: r}, cancel: true})
}

// Stats returns the counters.
func (a *Announcer) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stats
}

func (a *Announcer) order(o order) {
	a.mu.Lock()
	a.inbox = append(a.inbox, o)
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Run sends until ctx ends. Errors of sending are reported with the first round
// and counted; none ends it.
func (a *Announcer) Run(ctx context.Context) error {
	s := newSchedule()
	out := newSockets()
	defer out.closeUnless(nil)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		a.take(s)
		a.burst(s, out)
		out.closeUnless(s.links)
		wait := time.Hour
		if at, some := s.wake(); some {
			wait = time.Until(at)
		}
		timer.Reset(wait)
		select {
		case <-a.wake:
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// take puts what has been ordered into the schedule.
func (a *Announcer) take(s *schedule) {
	a.mu.Lock()
	orders := a.inbox
	a.inbox = nil
	a.mu.Unlock()
	for _, o := range orders {
		if o.cancel {
			s.cancel(o.Router)
			continue
		}
		frames := make([][]byte, len(o.Addresses))
		for i, address := range o.Addresses {
			// An address of which none can be built stays nil; sending reports it.
			frames[i], _ = frame(address, o.MAC)
		}
		s.add(o.Announcement, frames, o.at)
	}
}

// burst sends what is due, the pieces for one interface together.
func (a *Announcer) burst(s *schedule, out *sockets) {
	pieces := s.burst(time.Now())
	for len(pieces) > 0 {
		n := 1
		for n < len(pieces) && pieces[n].Link == pieces[0].Link {
			n++
		}
		a.sendTogether(s, out, pieces[:n])
		pieces = pieces[n:]
	}
}

func (a *Announcer) sendTogether(s *schedule, out *sockets, pieces []piece) {
	var frames [][]byte
	for _, p := range pieces {
		frames = append(frames, p.frames...)
	}
	errs, gone := out.send(pieces[0].Link, frames)
	a.count(pieces, errs)
	now := time.Now()
	for _, p := range pieces {
		var answer *actions.Announced
		if gone != nil {
			answer = s.abandon(p.round, gone, now)
		} else {
			var own []error
			if errs != nil {
				own, errs = errs[:len(p.frames)], errs[len(p.frames):]
			}
			answer = s.sent(p, own, now)
		}
		if answer != nil {
			a.post(*answer)
		}
	}
}

func (a *Announcer) count(pieces []piece, errs []error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := 0
	for _, p := range pieces {
		for j := range p.frames {
			switch {
			case errs != nil && errs[i] != nil:
				a.stats.Errors++
			case p.Addresses[p.sent+j].Is4():
				a.stats.ARP++
			default:
				a.stats.NA++
			}
			i++
		}
	}
}
