package daemon

import (
	"net/netip"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// The one word that VRRP has for exclusive data: priority 0. It is only said with nothing
// up, and says so of its speaker alone.

// tellTimes is how often it is said that nothing is held.
const tellTimes = 3

// sayNothingHeld lets a host say, once it hears a new Active, that it is there and
// holds nothing (any more): priority 0, as soon as its group is down. The Active
// learns that it need not wait, nor fence, and that there is somebody to move to. A
// host that takes no part (unfit, in standby) says it too: when it let go the other
// one may not have been Active yet, and have taken its word for a farewell. One that
// cannot be heard yet says it when it can.
// Of a single packet that was lost nobody would know, and a host that is well would be
// fenced, so it is said at the next two adverts as well.
func (l *Loop) sayNothingHeld(now time.Duration, r *router) {
	s := r.service
	if !r.fsm.CanLetGo() {
		return
	}
	if now-r.activeAt > l.received.Advert.Interval*3/2 {
		// It has been silent, and may have forgotten: an owner that was switched off and on
		// again speaks at once, before a Backup has become Active. If an advert was only
		// lost, what it hears again does no harm.
		r.toldActive = netip.Addr{}
	}
	r.activeAt = now
	if r.toldActive != l.received.Src {
		r.toldActive, s.toldTimes = l.received.Src, 0
	} else if s.toldTimes >= tellTimes || now < s.toldAt+l.received.Advert.Interval*3/4 {
		return
	}
	if s.owes {
		s.touch(l) // it will be said, perhaps now
		return
	}
	s.owes = true
	s.touch(l)
}

// owing is a host that was heard as Active and has not said since that it holds nothing.
type owing struct {
	who          netip.Addr
	at, interval time.Duration // when it was heard as Active last, and its interval
	// resigned: it has said priority 0 since, which may have been that of an Active that
	// has to leave at once. The next one is the word.
	resigned bool
}

// mostOwing bounds them: addresses can be forged.
const mostOwing = 8

// crossing is how long a priority 0 may have been on its way that was said before this
// host was heard as Active: then it was that of an Active that asked whether anybody is
// better, or had to leave at once, and the data are in use. The word for having let go is
// said at three adverts, so that one of them that comes so soon is not missed.
const crossing = 100 * time.Millisecond

// crossed reports whether a priority 0 may be of that kind: the Active before was well.
func (r *router) crossed(at time.Duration) bool {
	if at >= r.sinceInstant+min(crossing, r.cfg.Spec.Interval) || 2*r.cfg.Spec.Interval > r.service.cfg.Ladder.Safety.ReleaseTimeout {
		return false // or the next word comes too late: who is well would be fenced
	}
	c := r.fsm.Why().Cause
	return c == vrrp.CausePreempted || c == vrrp.CausePreemptHold || c == vrrp.CauseMoved
}

// heardWord is an advert just received, as a service group sees it.
func (l *Loop) heardWord(now time.Duration, r *router) {
	src := l.received.Src
	at := slices.IndexFunc(r.owing, func(o owing) bool { return o.who == src })
	if l.received.Advert.Priority == vrrp.PriorityStop {
		if src == r.toldActive {
			r.toldActive = netip.Addr{} // should it go on as Active, it wants to know anew
		}
		counts := r.fsm.State() == vrrp.Active && !r.crossed(l.received.At)
		switch {
		case at < 0:
		case counts || r.owing[at].resigned:
			r.owing = slices.Delete(r.owing, at, at+1)
			r.service.touch(l)
		default:
			r.owing[at].resigned = true
		}
		if counts {
			l.peerReleased(now, r, at >= 0)
		}
		return
	}
	if at < 0 && len(r.owing) < mostOwing {
		at, r.owing = len(r.owing), append(r.owing, owing{})
	}
	if at >= 0 {
		r.owing[at] = owing{who: src, at: now, interval: l.received.Advert.Interval}
	}
	l.sayNothingHeld(now, r)
	if r.fsm.State() == vrrp.Active {
		r.rival = src
	}
}

// owes reports whether a host other than those may still have data of a group: with three
// hosts the one that was Active before may have waited itself, for who was Active before
// that. That one waits no longer than release_timeout, nor do we twice.
func (r *router) owes(now time.Duration, but ...netip.Addr) bool {
	most := 2 * r.service.cfg.Ladder.Safety.ReleaseTimeout
	return slices.ContainsFunc(r.owing, func(o owing) bool { return now-o.at < most && !slices.Contains(but, o.who) })
}

// awaits reports whether a host that was Active, and still waited for another's word,
// keeps its own back: to who is Active now it would mean that all have let go.
func (s *service) awaits(now time.Duration) bool {
	return slices.ContainsFunc(s.routers, func(r *router) bool { return r.owes(now, r.toldActive) })
}

// peerReleased: a host says that it has let go; owed: it was Active. That counts if it
// was the last that could have anything.
func (l *Loop) peerReleased(now time.Duration, r *router, owed bool) {
	s := r.service
	if s == nil || !s.up || slices.ContainsFunc(s.routers, func(o *router) bool { return o.fsm.State() != vrrp.Active }) {
		return // it has lost a packet ago
	}
	if r.owes(now) {
		return
	}
	if s.cfg.Ladder.Safety.Mode != actions.SafetyFence && r.fsm.Why().Cause == vrrp.CauseNoResponse && now < r.sinceInstant+meetPause {
		return // others may have become Active at this moment, and hear it too
	}
	switch before := r.fsm.Before(); {
	case owed:
	case before.IsValid() && before != l.received.Src:
		return
	case !before.IsValid() && s.cfg.Ladder.Safety.Mode != actions.SafetyFence && r.rival != l.received.Src:
		return // it was not Active as far as we know; where there is fencing it is the only other host
	case !before.IsValid() && slices.ContainsFunc(s.routers, func(o *router) bool { return o.fsm.Before().IsValid() }):
		return // another member of the sync group knows who it was: this one may be a bystander
	}
	l.stepService(now, s, actions.PeerReleased{})
}
