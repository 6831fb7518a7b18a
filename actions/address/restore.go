package address

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
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

// settleTime is how long a route without an interface of its own may be missing
// before that is called a failure.
const settleTime = time.Second

// farAway is the timer's value when nothing waits.
const farAway = time.Hour

// foundMissing is said where no notice named a culprit.
const foundMissing = "unknown (found missing by the periodic comparison)"

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

// lost puts something back, or lets it wait.
func (a *applier) lost(l loss) {
	h := a.holdings[l.place]
	if h == nil {
		return // we have removed it ourselves
	}
	if _, waits := a.waiting[l.place]; waits {
		return
	}
	if a.silent(h) {
		h.present = false
		a.waiting[l.place] = pause{loss{l.place, expired, l.at}, a.now().Add(expiredPause)}
		return
	}
	if wait := h.backoff.delay(l.at); wait > 0 {
		h.present = false
		a.waiting[l.place] = pause{l, l.at.Add(wait)}
		return
	}
	a.putBack(h, l)
}

// revive tries again what is missing on links that are up. Where the next hop
// alone decides any of them may be the one.
func (a *applier) revive(links map[int]bool) {
	var list []*holding
	for at, h := range a.holdings {
		if _, waits := a.waiting[at]; waits || h.present || at.kind == aRule || a.silent(h) {
			continue
		}
		if link := h.link(); links[link] || link == 0 {
			list = append(list, h)
		}
	}
	slices.SortFunc(list, func(x, y *holding) int { return cmp.Compare(x.at.kind, y.at.kind) })
	for _, h := range list {
		a.putBack(h, loss{h.at, "the kernel (the link was down)", a.now()})
	}
}

// restoreDue puts back what has waited long enough, addresses first.
func (a *applier) restoreDue() {
	a.renewDue()
	if len(a.waiting) == 0 && len(a.mending) == 0 && !a.breached && !a.walled {
		return
	}
	now := a.now()
	var due []pause
	for at, p := range a.waiting {
		if p.due.After(now) {
			continue
		}
		if a.silent(a.holdings[at]) {
			p.culprit, p.due = expired, now.Add(expiredPause)
			a.waiting[at] = p
			continue
		}
		delete(a.waiting, at)
		due = append(due, p)
	}
	slices.SortFunc(due, func(x, y pause) int { return cmp.Compare(x.place.kind, y.place.kind) })
	for _, p := range due {
		a.putBack(a.holdings[p.place], p.loss)
	}
	for v, m := range a.mending {
		if !m.due.After(now) {
			delete(a.mending, v)
			a.remake(v, m.macvlanLoss)
		}
	}
	if a.breached && !a.nextRaise.After(now) {
		_ = a.raise() // said already
	}
	if a.walled && !a.nextLook.After(now) {
		a.nextLook = now.Add(lookAtWalls)
		a.compareWalls()
	}
}

// lookAtWalls is how long damaged tables can stay unnoticed: of them no notice
// tells, firewall scripts flush everything there is, and a Backup whose MAC is
// not silent confuses switches. A look takes 0.3 ms for 250 MACs.
const lookAtWalls = 2 * time.Second

// untilNext returns how long the applier can sleep.
func (a *applier) untilNext() time.Duration {
	now := a.now()
	wait := a.untilRenewal(now)
	for _, p := range a.waiting {
		wait = min(wait, max(0, p.due.Sub(now)))
	}
	for _, m := range a.mending {
		wait = min(wait, max(0, m.due.Sub(now)))
	}
	if a.breached {
		wait = min(wait, max(0, a.nextRaise.Sub(now)))
	}
	if a.walled {
		wait = min(wait, max(0, a.nextLook.Sub(now)))
	}
	return wait
}

// putBack restores one thing and reports it. It does not fight a link that is
// down or gone: an address comes back with the link, or is wanted anew on
// another one.
func (a *applier) putBack(h *holding, l loss) {
	if link := h.link(); link != 0 && !a.kernel.up(link) {
		h.present = false
		return
	}
	if h.foreign && !h.what.own || !a.ledger.ours(l.place) && !h.foreign {
		// What we add is ours from now on, also where it was not before.
		a.ledger.tryItem(&h.item)
		_ = a.ledger.flush() // said with the next Applied; it must not keep the address away
	}
	was := h.troubled
	a.relive(h.router, &h.item)
	err := a.addOne(&h.item)
	if errors.Is(err, unix.EEXIST) {
		if err = a.usurped(h); err == nil {
			a.stillThere(h, l.place)
			return
		}
	}
	now := a.now()
	h.backoff.did(now)
	r := actions.Restored{Router: h.router, Culprit: l.culprit, Took: now.Sub(l.at)}
	if h.at.kind == anAddress {
		r.Address = h.what.address.Prefix
	} else {
		r.What = h.name()
	}
	if err != nil && h.at.kind == aRoute && h.link() == 0 && now.Sub(l.at) < settleTime {
		// Its next hop decides, and that one's link may be on its way up.
		h.present = false
		a.waiting[l.place] = pause{l, now.Add(minPause)}
		return
	}
	if err != nil {
		h.present, h.troubled = false, true
		again := max(h.backoff.delay(now), minPause)
		a.waiting[l.place] = pause{l, now.Add(again)}
		r.Err = "adding " + h.name() + ": " + explain(err, &h.item)
		if was {
			return // said already
		}
	} else {
		h.present, h.troubled = true, false
		if !h.what.own || !h.foreign {
			h.foreign = false
			a.ledger.have(l.place)
		}
	}
	a.keeper.options.Post(r)
}

// usurped tells that another route has taken the place of one of ours.
func (a *applier) usurped(h *holding) error {
	if h.at.kind != aRoute {
		return nil
	}
	text, same := a.kernel.rival(h.item)
	if same {
		return nil
	}
	return fmt.Errorf("%s has taken its place", text)
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
