package announce

import (
	"container/heap"
	"fmt"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// Pacing, see the package comment.
const (
	burstFrames = 64
	burstPause  = time.Millisecond
)

// round is one announcement on its way: which frames, and when they are due.
type round struct {
	actions.Announcement
	frames [][]byte
	// began is when it was asked for, due when the current round is to start,
	// number the current round (0 is the first), sent how many frames of it have left.
	began, due time.Time
	number     int
	sent       int
	// Results of the first round.
	arp, na, failed int
	trouble         error
	// place is the position in the heap, gone says that it has been cancelled.
	place int
	gone  bool
}

// piece is a part of a round that leaves in one burst.
type piece struct {
	*round
	frames [][]byte
}

// schedule decides which frames leave when. Time is an argument; it does
// nothing by itself. Used from one goroutine.
type schedule struct {
	// first are the rounds 0, in order of arrival; those that are out or have
	// been cancelled leave from the front.
	first []*round
	// later are the repetitions, by due time.
	later dueHeap
	// running is each router's schedule, single each router's announcement with Once.
	running, single map[actions.RouterID]*round
	// notBefore keeps the pause between bursts.
	notBefore time.Time
	// links counts the announcements per interface, for the sockets.
	links map[int]int
}

func newSchedule() *schedule {
	return &schedule{
		running: make(map[actions.RouterID]*round),
		single:  make(map[actions.RouterID]*round),
		links:   make(map[int]int),
	}
}

// add starts an announcement with its first round and replaces the router's
// earlier one of the same sort.
func (s *schedule) add(a actions.Announcement, frames [][]byte, now time.Time) {
	table := s.running
	if a.Once {
		table = s.single
	}
	s.drop(table[a.Router])
	r := &round{Announcement: a, frames: frames, began: now, due: now, place: -1}
	table[a.Router] = r
	s.first = append(s.first, r)
	s.links[a.Link]++
}

// cancel ends everything of a router.
func (s *schedule) cancel(id actions.RouterID) {
	s.drop(s.running[id])
	s.drop(s.single[id])
}

// drop takes an announcement out.
func (s *schedule) drop(r *round) {
	if r == nil || r.gone {
		return
	}
	r.gone = true
	if r.place >= 0 {
		heap.Remove(&s.later, r.place)
	}
	table := s.running
	if r.Once {
		table = s.single
	}
	if table[r.Router] == r {
		delete(table, r.Router)
	}
	if s.links[r.Link]--; s.links[r.Link] == 0 {
		delete(s.links, r.Link)
	}
}

// burst returns what is to leave now, at most burstFrames frames; nothing if it
// is too early. Each piece must be reported with sent before the next burst.
func (s *schedule) burst(now time.Time) []piece {
	if now.Before(s.notBefore) {
		return nil
	}
	var pieces []piece
	left := burstFrames
	s.trim()
	for _, r := range s.first {
		if left == 0 {
			break
		}
		if !r.gone && r.number == 0 {
			pieces = append(pieces, r.piece(&left))
		}
	}
	// A repetition that does not fit stays due and goes on in the next burst.
	var taken []*round
	for left > 0 && len(s.later) > 0 && !s.later[0].due.After(now) {
		r := heap.Pop(&s.later).(*round)
		taken = append(taken, r)
		pieces = append(pieces, r.piece(&left))
	}
	for _, r := range taken {
		heap.Push(&s.later, r)
	}
	if left < burstFrames {
		s.notBefore = now.Add(burstPause)
	}
	return pieces
}

// trim takes off the front of first what is no first round any more.
func (s *schedule) trim() {
	for len(s.first) > 0 && (s.first[0].gone || s.first[0].number > 0) {
		s.first[0] = nil
		s.first = s.first[1:]
	}
}

func (r *round) piece(left *int) piece {
	n := min(*left, len(r.frames)-r.sent)
	*left -= n
	return piece{r, r.frames[r.sent : r.sent+n]}
}

// sent records a piece's fate; errs is nil, or has an error for each frame that
// did not leave. It returns the answer if a first round is out now.
func (s *schedule) sent(p piece, errs []error, now time.Time) *actions.Announced {
	r := p.round
	for i := range p.frames {
		switch {
		case errs != nil && errs[i] != nil:
			r.failed++
			r.trouble = errs[i]
		case r.Addresses[r.sent+i].Is4():
			r.arp++
		default:
			r.na++
		}
	}
	r.sent += len(p.frames)
	if r.gone || r.sent < len(r.frames) {
		return nil
	}
	var answer *actions.Announced
	if r.number == 0 {
		answer = r.answer(now)
	}
	r.sent = 0
	r.number++
	due, more := r.next(now)
	switch {
	case !more:
		s.drop(r)
	case r.place >= 0:
		r.due = due
		heap.Fix(&s.later, r.place)
	default:
		r.due = due
		heap.Push(&s.later, r)
	}
	return answer
}

// abandon ends an announcement whose interface is gone. It returns the answer
// if none has been given.
func (s *schedule) abandon(r *round, why error, now time.Time) *actions.Announced {
	if r.gone {
		return nil
	}
	s.drop(r)
	if r.number > 0 {
		return nil
	}
	r.failed, r.trouble = len(r.frames)-r.arp-r.na, why
	return r.answer(now)
}

func (r *round) answer(now time.Time) *actions.Announced {
	a := &actions.Announced{Router: r.Router, Term: r.Term, ARP: r.arp, NA: r.na, Took: now.Sub(r.began)}
	if r.trouble != nil {
		a.Err = fmt.Sprintf("%d of %d announcements not sent: %v", r.failed, len(r.frames), r.trouble)
	}
	return a
}

// next returns when the next round is due. Rounds are on a grid from the first
// one; a grid point that has passed while we were late is not made up for.
func (r *round) next(now time.Time) (time.Time, bool) {
	period := r.Schedule.Refresh
	switch {
	case r.Once:
		return time.Time{}, false
	case r.number <= r.Schedule.Repeat:
		period = r.Schedule.Delay
	case period <= 0:
		return time.Time{}, false
	}
	due := r.due.Add(period)
	if due.Before(now) {
		due = now.Add(period)
	}
	return due, true
}

// wake returns when burst has something to return; false if never.
func (s *schedule) wake() (time.Time, bool) {
	s.trim()
	var at time.Time
	switch {
	case len(s.first) > 0:
		at = s.first[0].due
	case len(s.later) > 0:
		at = s.later[0].due
	default:
		return at, false
	}
	if at.Before(s.notBefore) {
		at = s.notBefore
	}
	return at, true
}

// dueHeap is a heap by due time.
type dueHeap []*round

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push is for container/heap.
func (h *dueHeap) Push(x any) {
	r := x.(*round)
	r.place = len(*h)
	*h = append(*h, r)
}

// Pop is for container/heap.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	r.place = -1
	return r
}
