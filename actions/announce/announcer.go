package announce

import (
	"context"
	"sync"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// Announcer sends announcements as scheduled and watches for others who claim
// the same addresses. Announce, Cancel and Stats may be called from any
// goroutine, at any time.
type Announcer struct {
	post func(any)

	mu    sync.Mutex
	inbox []order
	stats Stats
	wake  chan struct{}
}

// Stats counts since the start.
type Stats struct {
	// ARP and NA are frames that have left, Errors those that have not; all rounds.
	ARP, NA, Errors uint64
	// Claims counts the frames in which others claimed an announced address,
	// also those that were not told because one had been told within a second.
	Claims uint64
	// Unwatched counts the interfaces on which nobody could be watched for
	// because no socket could be opened.
	Unwatched uint64
}

// order is an announcement, or the cancellation of a router's.
type order struct {
	actions.Announcement
	cancel bool
	at     time.Time
}

// New returns an Announcer; nothing is sent before Run. Post takes
// actions.Announced and actions.Claimed; it is called from Run's goroutine and
// from those it starts, never after Run has returned, and may block briefly.
func New(post func(any)) *Announcer {
	return &Announcer{post: post, wake: make(chan struct{}, 1)}
}

// Announce starts a schedule with a first round at once and replaces the
// router's earlier one; with Once it sends a single round beside it.
// actions.Announced answers once, when the first round is out on all
// interfaces, unless it was replaced or cancelled before. An address that
// cannot be announced is counted and named there. Until a schedule ends,
// actions.Claimed tells of others who claim its addresses. The slices in w must
// not be changed afterwards.
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

// Run sends and watches until ctx ends. Errors of sending are reported with the
// first round and counted; none ends it.
func (a *Announcer) Run(ctx context.Context) error {
	s := newSchedule(newClaims())
	out := newSockets()
	defer out.closeUnless(nil)
	ears := newWatches(s.claims, a.hear)
	defer ears.close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		a.take(s)
		a.burst(s, out)
		out.closeUnless(s.links)
		ears.follow()
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
		r := compose(&o.Announcement)
		a.count(Stats{Errors: uint64(r.failed)})
		s.add(r, o.at)
	}
}

// burst sends what is due and posts the answers.
func (a *Announcer) burst(s *schedule, out *sockets) {
	pieces := s.burst(time.Now())
	fates := transmit(out, pieces)
	now := time.Now()
	for i, p := range pieces {
		a.count(tally(p, fates[i]))
		if answer := s.sent(p, fates[i], now); answer != nil {
			a.post(*answer)
		}
	}
}

// transmit sends pieces, what is for one interface together, and returns for
// each piece what sockets.send would: nil, or an error for each frame.
func transmit(out *sockets, pieces []piece) [][]error {
	type seat struct{ piece, item int }
	var links []int // in order of appearance
	frames, seats := make(map[int][][]byte), make(map[int][]seat)
	for i, p := range pieces {
		for j := range p.items {
			link := p.items[j].link
			if seats[link] == nil {
				links = append(links, link)
			}
			frames[link] = append(frames[link], p.items[j].frame)
			seats[link] = append(seats[link], seat{i, j})
		}
	}
	fates := make([][]error, len(pieces))
	for _, link := range links {
		for k, err := range out.send(link, frames[link]) {
			at := seats[link][k]
			if err == nil {
				continue
			}
			if fates[at.piece] == nil {
				fates[at.piece] = make([]error, len(pieces[at.piece].items))
			}
			fates[at.piece][at.item] = err
		}
	}
	return fates
}

// tally counts the frames of a piece.
func tally(p piece, errs []error) (n Stats) {
	for i := range p.items {
		switch {
		case errs != nil && errs[i] != nil:
			n.Errors++
		case p.items[i].address.Is4():
			n.ARP++
		default:
			n.NA++
		}
	}
	return n
}

// hear takes what the watches have found. Called from their goroutines.
func (a *Announcer) hear(found heard) {
	a.count(found.Stats)
	if found.claimed != nil {
		a.post(*found.claimed)
	}
}

func (a *Announcer) count(n Stats) {
	if n == (Stats{}) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stats.ARP += n.ARP
	a.stats.NA += n.NA
	a.stats.Errors += n.Errors
	a.stats.Claims += n.Claims
	a.stats.Unwatched += n.Unwatched
}
