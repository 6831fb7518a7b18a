package address

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// How long to bear with somebody who keeps removing an address: after
// freeRestorations within restoreWindow each further one waits, doubling from
// minPause to maxPause. An address that stays for restoreWindow is forgiven.
const (
	freeRestorations = 20
	restoreWindow    = 10 * time.Second
	minPause         = 50 * time.Millisecond
	maxPause         = 5 * time.Second
)

// farAway is the timer's value when nothing waits.
const farAway = time.Hour

// backoff decides how long a restoration is held back. Time is an argument.
type backoff struct {
	done  []time.Time // the last freeRestorations, oldest first
	pause time.Duration
}

// delay returns how long the restoration of an address lost now has to wait.
func (b *backoff) delay(now time.Time) time.Duration {
	if n := len(b.done); n > 0 && now.Sub(b.done[n-1]) > restoreWindow {
		*b = backoff{}
	}
	if b.pause == 0 && (len(b.done) < freeRestorations || now.Sub(b.done[0]) > restoreWindow) {
		return 0
	}
	b.pause = min(max(2*b.pause, minPause), maxPause)
	return b.pause
}

// did records a restoration, or the attempt of one.
func (b *backoff) did(now time.Time) {
	if len(b.done) == freeRestorations {
		b.done = append(b.done[:0], b.done[1:]...)
	}
	b.done = append(b.done, now)
}

// pause is a loss whose restoration waits.
type pause struct {
	loss
	due time.Time
}

// lost puts an address back, or lets it wait.
func (a *applier) lost(l loss) {
	h := a.holdings[l.place]
	if h == nil {
		return // we have removed it ourselves
	}
	if _, waits := a.waiting[l.place]; waits {
		return
	}
	if wait := h.backoff.delay(l.at); wait > 0 {
		h.present = false
		a.waiting[l.place] = pause{l, l.at.Add(wait)}
		return
	}
	a.putBack(h, l)
}

// revive tries again what is missing on a link that is up.
func (a *applier) revive(link int) {
	for at, h := range a.holdings {
		if _, waits := a.waiting[at]; at.link == link && !h.present && !waits {
			a.putBack(h, loss{at, "the kernel (the link was down)", a.now()})
		}
	}
	a.verifyThings("the kernel (the link was down)")
}

// restoreDue puts back what has waited long enough.
func (a *applier) restoreDue() {
	if len(a.waiting) == 0 {
		return
	}
	now := a.now()
	for at, p := range a.waiting {
		if !p.due.After(now) {
			delete(a.waiting, at)
			a.putBack(a.holdings[at], p.loss)
		}
	}
}

// untilNext returns how long the applier can sleep.
func (a *applier) untilNext() time.Duration {
	wait := farAway
	now := a.now()
	if len(a.things) > 0 || len(a.macOf) > 0 || a.refusing {
		wait = verifyEvery
	}
	for _, p := range a.waiting {
		wait = min(wait, max(0, p.due.Sub(now)))
	}
	return wait
}

// putBack restores one address and reports it. It does not fight a link that
// is down or gone: the address comes back with the link, or is wanted anew on
// another one.
func (a *applier) putBack(h *holding, l loss) {
	if !a.kernel.up(l.place.link) {
		h.present = false
		return
	}
	if h.foreign && !h.own || !a.ledger.ours(l.place) && !h.foreign {
		// What we add is ours from now on, also where it was not before.
		a.ledger.try(l.place, h.Prefix, h.name)
		_ = a.ledger.flush() // said with the next Applied; it must not keep the address away
	}
	was := h.troubled
	err := a.kernel.add(l.place.link, h.Address, how{own: h.own, mac: h.mac})
	if errors.Is(err, unix.EEXIST) {
		a.stillThere(h, l.place)
		return
	}
	now := a.now()
	h.backoff.did(now)
	r := actions.Restored{Router: h.router, Address: h.Prefix, Culprit: l.culprit, Took: now.Sub(l.at)}
	if err != nil {
		h.present, h.troubled = false, true
		again := max(h.backoff.delay(now), minPause)
		a.waiting[l.place] = pause{l, now.Add(again)}
		r.Err = "adding " + h.Prefix.String() + ": " + explain(err, h.name)
		if was {
			return // said already
		}
	} else {
		h.present, h.troubled = true, false
		if !h.own || !h.foreign {
			h.foreign = false
			a.ledger.have(l.place)
		}
	}
	a.keeper.options.Post(r)
	if len(a.things) > 0 {
		a.verifyThings("the kernel (it went with " + h.Prefix.String() + ")")
	}
}

// stillThere settles a loss that was none: the notice was old, or somebody has
// been faster than us.
func (a *applier) stillThere(h *holding, at place) {
	if !h.present && !a.ledger.ours(at) {
		h.foreign = true
	}
	h.present, h.troubled = true, false
	if h.foreign {
		a.ledger.gone(at)
	}
}
