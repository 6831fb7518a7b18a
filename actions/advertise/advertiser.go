package advertise

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// Advertiser sends Router Advertisements and answers Router Solicitations.
// Advertise, Withdraw and Stats may be called from any goroutine, at any time.
type Advertiser struct {
	random func(least, most time.Duration) time.Duration

	mu    sync.Mutex
	inbox []order
	// asked are the interfaces with a solicitation that is not in the schedule
	// yet: a set, so that a flood cannot fill it.
	asked map[int]bool
	stats Stats
	wake  chan struct{}
}

// Stats counts since the start.
type Stats struct {
	// Sent advertisements; Answered of them have answered a solicitation.
	Sent, Answered uint64
	// Solicited counts valid Router Solicitations.
	Solicited uint64
	// Errors counts advertisements that could not be built or sent, and
	// interfaces that could not be listened on; LastError is the newest of them.
	Errors    uint64
	LastError string
}

// order is a request, or the withdrawal of a router.
type order struct {
	actions.RouterAdvert
	withdraw bool
}

// New returns an Advertiser; nothing is sent before Run.
func New() *Advertiser {
	return &Advertiser{random: uniform, asked: make(map[int]bool), wake: make(chan struct{}, 1)}
}

// uniform draws from least to most, both included.
func uniform(least, most time.Duration) time.Duration {
	return least + rand.N(most-least+1)
}

// Advertise starts a router's advertisements with one at once, or replaces
// them; the one that replaces keeps 3 s from the last one sent (RFC 4861
// section 6.2.4). Slices in w must not be changed afterwards. With Spec.On
// false it withdraws. What cannot be advertised is counted in Stats and
// withdraws what there was.
func (a *Advertiser) Advertise(w actions.RouterAdvert) {
	a.order(order{RouterAdvert: w, withdraw: !w.Spec.On})
}

// Withdraw stops a router's advertisements without another one. What has been
// handed to the kernel is not taken back.
func (a *Advertiser) Withdraw(r actions.RouterID) {
	a.order(order{RouterAdvert: actions.RouterAdvert{Router: r}, withdraw: true})
}

// Stats returns the counters.
func (a *Advertiser) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stats
}

func (a *Advertiser) order(o order) {
	a.mu.Lock()
	a.inbox = append(a.inbox, o)
	a.mu.Unlock()
	a.nudge()
}

func (a *Advertiser) nudge() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// heard takes a solicitation. Called from the goroutines that listen.
func (a *Advertiser) heard(link int) {
	a.mu.Lock()
	a.stats.Solicited++
	a.asked[link] = true
	a.mu.Unlock()
	a.nudge()
}

// trouble counts an error. Called from any goroutine.
func (a *Advertiser) trouble(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stats.Errors++
	a.stats.LastError = err.Error()
}

// Run sends and listens until ctx ends. Errors are counted; none ends it.
func (a *Advertiser) Run(ctx context.Context) error {
	s := newSchedule(a.random)
	needed := func(link int) bool { return s.links[link] != nil }
	links := func(f func(int)) {
		for link := range s.links {
			f(link)
		}
	}
	out := sockets{}
	defer out.closeUnless(func(int) bool { return false })
	in := &ears{heard: a.heard, deaf: a.trouble, open: make(map[int]*ear)}
	defer in.close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		a.take(s)
		in.follow(needed, links)
		a.send(s, out)
		out.closeUnless(needed)
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

// take puts what has been ordered and asked into the schedule.
func (a *Advertiser) take(s *schedule) {
	a.mu.Lock()
	orders := a.inbox
	a.inbox = nil
	var asked map[int]bool
	if len(a.asked) > 0 {
		asked, a.asked = a.asked, make(map[int]bool)
	}
	a.mu.Unlock()
	now := time.Now()
	for i := range orders {
		o := &orders[i]
		if o.withdraw {
			s.withdraw(o.Router)
			continue
		}
		b, err := frame(&o.RouterAdvert)
		if err != nil {
			a.trouble(err)
			s.withdraw(o.Router)
			continue
		}
		s.advertise(&advert{router: o.Router, link: o.Link, interval: o.Spec.Interval, frame: b}, now)
	}
	for link := range asked {
		s.solicit(link, now)
	}
}

// send sends what is due. A withdrawal that comes meanwhile waits for at most
// one frame.
func (a *Advertiser) send(s *schedule, out sockets) {
	for one := s.next(time.Now()); one != nil; one = s.next(time.Now()) {
		if err := out.send(one.link, one.frame); err != nil {
			s.failed(one, time.Now())
			a.trouble(err)
		} else {
			a.sent(s.leftAt(one, time.Now()))
		}
		a.take(s)
	}
}

func (a *Advertiser) sent(answer bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stats.Sent++
	if answer {
		a.stats.Answered++
	}
}
