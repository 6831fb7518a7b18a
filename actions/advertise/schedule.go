package advertise

import (
	"container/heap"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// Constants of RFC 4861 section 10.
const (
	// initialAdverts is MAX_INITIAL_RTR_ADVERTISEMENTS, initialPause
	// MAX_INITIAL_RTR_ADVERT_INTERVAL: the first few come at most that far apart.
	initialAdverts = 3
	initialPause   = 16 * time.Second
	// betweenAdverts is MIN_DELAY_BETWEEN_RAS: no router sends faster, whatever is asked.
	betweenAdverts = 3 * time.Second
	// answerDelay is MAX_RA_DELAY_TIME: solicitations are answered after a random
	// part of it, so that several routers do not answer at once.
	answerDelay = 500 * time.Millisecond
)

// advert is one router's advertisement and when it is due.
type advert struct {
	router   actions.RouterID
	link     int
	interval time.Duration
	frame    []byte

	// due is when the next one leaves; solicited says that it answers.
	due       time.Time
	solicited bool
	// sent counts them as far as it matters; last is when the last one left.
	sent int
	last time.Time
	// place is the position in the heap.
	place int
}

// schedule decides which advertisement leaves when. Time is an argument, chance
// comes from random; it does nothing by itself. Used from one goroutine.
type schedule struct {
	// random returns a duration between least and most, both included, all
	// equally probable.
	random  func(least, most time.Duration) time.Duration
	routers map[actions.RouterID]*advert
	// links are the routers of each interface.
	links map[int]map[actions.RouterID]*advert
	queue dueHeap
}

func newSchedule(random func(least, most time.Duration) time.Duration) *schedule {
	return &schedule{
		random:  random,
		routers: make(map[actions.RouterID]*advert),
		links:   make(map[int]map[actions.RouterID]*advert),
	}
}

// advertise starts a router's advertisements with one at once. What it replaces
// counts for the pause between two, which keeps to the interface and the source.
func (s *schedule) advertise(a *advert, now time.Time) {
	a.due = now
	if old := s.routers[a.router]; old != nil {
		if !old.last.IsZero() && old.link == a.link {
			a.last = old.last
			if free := old.last.Add(betweenAdverts); free.After(now) {
				a.due = free
			}
		}
		s.withdraw(a.router)
	}
	s.routers[a.router] = a
	if s.links[a.link] == nil {
		s.links[a.link] = make(map[actions.RouterID]*advert)
	}
	s.links[a.link][a.router] = a
	heap.Push(&s.queue, a)
}

// withdraw ends a router's advertisements.
func (s *schedule) withdraw(id actions.RouterID) {
	a := s.routers[id]
	if a == nil {
		return
	}
	delete(s.routers, id)
	if delete(s.links[a.link], id); len(s.links[a.link]) == 0 {
		delete(s.links, a.link)
	}
	heap.Remove(&s.queue, a.place)
}

// solicit takes a Router Solicitation that came in on an interface: every
// router there answers, after a random delay and not too soon after its last
// advertisement; one that is due sooner anyway is the answer (RFC 4861 section 6.2.6).
func (s *schedule) solicit(link int, now time.Time) {
	for _, a := range s.links[link] {
		if a.solicited {
			continue
		}
		a.solicited = true
		due := now.Add(s.random(0, answerDelay))
		if free := a.last.Add(betweenAdverts); !a.last.IsZero() && free.After(now) {
			due = free.Add(due.Sub(now))
		}
		if due.Before(a.due) {
			a.due = due
			heap.Fix(&s.queue, a.place)
		}
	}
}

// next returns an advertisement that is to leave now, or nil. Its fate must be
// reported with leftAt or failed before the next call.
func (s *schedule) next(now time.Time) *advert {
	if len(s.queue) == 0 || s.queue[0].due.After(now) {
		return nil
	}
	return s.queue[0]
}

// leftAt records that an advertisement has left and draws the time of the next.
// It reports whether it has answered a solicitation.
func (s *schedule) leftAt(a *advert, now time.Time) (answer bool) {
	answer, a.solicited = a.solicited, false
	a.last = now
	a.sent = min(a.sent+1, initialAdverts)
	wait := s.random(leastInterval(a.interval), a.interval)
	if a.sent < initialAdverts {
		wait = min(wait, initialPause)
	}
	a.due = now.Add(max(wait, betweenAdverts))
	heap.Fix(&s.queue, a.place)
	return answer
}

// failed arranges another try after an advertisement could not be sent: soon,
// because half an hour without a default router is not to follow from a
// queue that was full for a moment.
func (s *schedule) failed(a *advert, now time.Time) {
	a.due = now.Add(betweenAdverts)
	heap.Fix(&s.queue, a.place)
}

// wake returns when next has something to return; false if never.
func (s *schedule) wake() (time.Time, bool) {
	if len(s.queue) == 0 {
		return time.Time{}, false
	}
	return s.queue[0].due, true
}

// leastInterval is MinRtrAdvInterval (RFC 4861 section 6.2.1): a third of the
// greatest, but not less than three seconds.
func leastInterval(most time.Duration) time.Duration {
	return min(max(most/3, betweenAdverts), most)
}

// dueHeap is a heap by due time.
type dueHeap []*advert

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push is for container/heap.
func (h *dueHeap) Push(x any) {
	a := x.(*advert)
	a.place = len(*h)
	*h = append(*h, a)
}

// Pop is for container/heap.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	a := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return a
}
