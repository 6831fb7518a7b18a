package announce

import (
	"container/heap"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// Pacing, see the package comment.
const (
	burstFrames = 64
	burstPause  = time.Millisecond
)

// troublesTold is how many different reasons one answer tells of.
const troublesTold = 4

// item is one frame of an announcement and the interface it leaves on.
type item struct {
	link    int
	address netip.Addr
	mac     [6]byte
	frame   []byte
}

// round is one announcement on its way: which frames, and when they are due.
type round struct {
	router   actions.RouterID
	term     uint64
	schedule actions.AnnounceSpec
	once     bool

	// items are the frames of each round, in order; those of an interface that
	// has gone leave the list. links are their interfaces, each once.
	items []item
	links []int
	// began is when it was asked for, due when the current round is to start,
	// number the current round (0 is the first), sent how many frames of it have left.
	began, due time.Time
	number     int
	sent       int
	// Results of the first round: total are all addresses that were asked for,
	// several says that they were on more than one interface.
	arp, na, failed, total int
	several                bool
	troubles               []string
	// place is the position in the heap, gone says that it has been cancelled.
	place int
	gone  bool
}

// piece is a part of a round that leaves in one burst.
type piece struct {
	*round
	items []item
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
	// claims are the announced addresses that others are watched for.
	claims *claims
}

func newSchedule(c *claims) *schedule {
	return &schedule{
		running: make(map[actions.RouterID]*round),
		single:  make(map[actions.RouterID]*round),
		links:   make(map[int]int),
		claims:  c,
	}
}

// add starts an announcement with its first round and replaces the router's
// earlier one of the same sort.
func (s *schedule) add(r *round, now time.Time) {
	r.began, r.due, r.place = now, now, -1
	for i := range r.items {
		if link := r.items[i].link; !slices.Contains(r.links, link) {
			r.links = append(r.links, link)
			s.links[link]++
		}
	}
	if !r.once {
		// Before the one it replaces goes: what is known of who claims stays.
		s.claims.hold(r)
	}
	table := s.table(r)
	s.drop(table[r.router])
	table[r.router] = r
	s.first = append(s.first, r)
}

// table returns where announcements of r's sort are kept.
func (s *schedule) table(r *round) map[actions.RouterID]*round {
	if r.once {
		return s.single
	}
	return s.running
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
	if table := s.table(r); table[r.router] == r {
		delete(table, r.router)
	}
	for _, link := range slices.Clone(r.links) {
		s.leave(r, link)
	}
}

// leave ends what an announcement has to do with an interface.
func (s *schedule) leave(r *round, link int) {
	at := slices.Index(r.links, link)
	if at < 0 {
		return
	}
	r.links = slices.Delete(r.links, at, at+1)
	if s.links[link]--; s.links[link] == 0 {
		delete(s.links, link)
	}
	s.claims.release(r, link)
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
	n := min(*left, len(r.items)-r.sent)
	*left -= n
	return piece{r, r.items[r.sent : r.sent+n]}
}

// sent records a piece's fate; errs is nil, or has an error for each frame that
// did not leave. An interface that is gone (errGone) is announced on no more,
// the others go on. It returns the answer if a first round is out now.
func (s *schedule) sent(p piece, errs []error, now time.Time) *actions.Announced {
	r := p.round
	var lost []int
	for i := range p.items {
		it := &p.items[i]
		switch {
		case errs != nil && errs[i] != nil:
			r.fail(1, it.link, errs[i])
			if errors.Is(errs[i], errGone) && !slices.Contains(lost, it.link) {
				lost = append(lost, it.link)
			}
		case it.address.Is4():
			r.arp++
		default:
			r.na++
		}
	}
	r.sent += len(p.items)
	if r.gone {
		return nil
	}
	for _, link := range lost {
		s.abandon(r, link)
	}
	if r.sent < len(r.items) {
		return nil
	}
	return s.finish(r, now)
}

// abandon takes the frames of an interface that is gone out of an announcement.
func (s *schedule) abandon(r *round, link int) {
	s.leave(r, link)
	keep := make([]item, 0, len(r.items))
	sent, unsent := r.sent, 0
	for i := range r.items {
		switch {
		case r.items[i].link != link:
			keep = append(keep, r.items[i])
		case i < r.sent:
			sent--
		default:
			unsent++
		}
	}
	r.items, r.sent = keep, sent
	if unsent > 0 {
		r.fail(unsent, link, errGone)
	}
}

// finish ends a round and arranges the next; it returns the answer to the first.
func (s *schedule) finish(r *round, now time.Time) *actions.Announced {
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

// fail counts frames of the first round that did not leave an interface.
func (r *round) fail(n, link int, why error) {
	text := why.Error()
	if r.several {
		text = fmt.Sprintf("interface %d: %v", link, why)
	}
	r.refuse(n, text)
}

// refuse counts frames of the first round that are not sent, and keeps why.
func (r *round) refuse(n int, why string) {
	if r.number > 0 {
		return
	}
	r.failed += n
	if len(r.troubles) < troublesTold && !slices.Contains(r.troubles, why) {
		r.troubles = append(r.troubles, why)
	}
}

func (r *round) answer(now time.Time) *actions.Announced {
	a := &actions.Announced{Router: r.router, Term: r.term, ARP: r.arp, NA: r.na, Took: now.Sub(r.began)}
	if r.failed > 0 {
		a.Err = fmt.Sprintf("%d of %d announcements not sent: %s", r.failed, r.total, strings.Join(r.troubles, "; "))
	}
	return a
}

// next returns when the next round is due. Rounds are on a grid from the first
// one; a grid point that has passed while we were late is not made up for.
func (r *round) next(now time.Time) (time.Time, bool) {
	period := r.schedule.Refresh
	switch {
	case r.once, len(r.items) == 0:
		return time.Time{}, false
	case r.number <= r.schedule.Repeat:
		period = r.schedule.Delay
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
