package address

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// Addresses have a lifetime in the kernel, which the loop renews as long as it
// turns and the router speaks. Of a process that was killed, stopped or starved
// the kernel removes them itself, at about the moment the peer takes over.

const (
	// perSecond bounds the renewals of one second: each is a netlink request of
	// some 5 µs and a notice to whoever listens. More addresses live longer. As many
	// that a thousand have three seconds: the kernel rounds up to whole ones, and the
	// dead must hold nothing one second beyond Active_Down_Interval (3 s and a skew).
	perSecond = 1334
	// passesInLife is how often all could be renewed within one lifetime, at least:
	// where the kernel is slow (others change addresses by the thousand) they live longer.
	passesInLife = 5
	manyAtOnce   = 50
	// longestStretch bounds that, and stretchKept is how long a slow pass is remembered.
	longestStretch = 60 * time.Second
	stretchKept    = time.Minute
	// firstRenewal is when what has just been added is renewed first.
	firstRenewal = 500 * time.Millisecond
	// agedRenewal is that for what a process before has handed over, whose lifetime
	// counts from its last renewal.
	agedRenewal = 20 * time.Millisecond
	// expiredPause is how often it is looked whether the router is alive again.
	expiredPause = 100 * time.Millisecond
	// expired is who has removed an address whose lifetime has ended.
	expired = "the kernel (its lifetime ended: this host did not run)"
)

// Renew says that the routers are alive: what they hold lives on for its lifetime
// from now. It returns at once and may be called from any goroutine.
func (k *Keeper) Renew(routers []actions.RouterID) {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range routers {
		k.beats[r] = now
	}
}

// beat is when a router was last said to be alive.
func (k *Keeper) beat(r actions.RouterID) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.beats[r]
}

// lifetime is what an order's addresses get: what was asked for, or more if the
// renewals of all would be too many.
func (a *applier) lifetime(o *order) time.Duration {
	if o.Lifetime <= 0 || o.Own {
		return 0
	}
	least := time.Duration(a.mortal) * time.Second * 4 / perSecond
	return max(o.Lifetime, 2*time.Second, least, a.stretch).Truncate(time.Second)
}

// learn takes note of how long the kernel took for n addresses. If renewing all took
// longer than their lifetime, those of a healthy router would end, be put back, and
// make it slower still.
func (a *applier) learn(n int, took time.Duration) {
	if n < manyAtOnce {
		return // of a few nothing can be learned but that somebody held the kernel's lock
	}
	now := a.now()
	stretch := min(passesInLife*took*time.Duration(a.mortal)/time.Duration(n), longestStretch)
	if stretch >= a.stretch || now.Sub(a.stretchedAt) > stretchKept {
		a.stretch, a.stretchedAt = stretch, now
	}
}

// relive gives an address that is about to be added the lifetime of this moment.
func (a *applier) relive(r actions.RouterID, it *item) {
	if o := a.routers[r]; it.life != 0 && o != nil {
		it.life = seconds(a.lifetime(o))
	}
}

// seconds is a lifetime as the kernel counts it, at least one.
func seconds(d time.Duration) uint32 {
	return uint32(max(1, (d+time.Second-1)/time.Second))
}

// silent reports whether a holding's router has not been alive for so long that its
// lifetime may have ended: then the kernel was right to remove it, and it waits for a
// sign of life. A lifetime counts from the last renewal, which may be a quarter of it
// before the last sign of life, and signs come four times a second, so half of it (one
// second at least) is what tells the two apart.
func (a *applier) silent(h *holding) bool {
	o := a.routers[h.router]
	if o == nil || h.at.kind != anAddress {
		return false
	}
	life := a.lifetime(o)
	return life > 0 && a.now().Sub(a.lastBeat(o)) > life/2
}

// lastBeat is when the order's router was alive: a wish is a sign of life as well.
func (a *applier) lastBeat(o *order) time.Time {
	if b := a.keeper.beat(o.Router); b.After(o.at) {
		return b
	}
	return o.at
}

// mortals is how many addresses of an order must be renewed.
func (o *order) mortals() int {
	if o == nil || o.Lifetime <= 0 || !o.Active || o.Own {
		return 0
	}
	return len(o.Addresses)
}

// firstWait is how long after an order its addresses are renewed first.
func (o *order) firstWait() time.Duration {
	if o.aged {
		return agedRenewal
	}
	return firstRenewal
}

// count takes note of how many there are when one order replaces another. New
// ones are renewed a little later: they have just got their whole lifetime.
func (a *applier) count(before, o *order) {
	o.aged = before == nil && a.keeper.adopted
	a.mortal += o.mortals() - before.mortals()
	if soon := a.now().Add(o.firstWait()); o.mortals() > 0 && (a.nextRenewal.IsZero() || soon.Before(a.nextRenewal)) {
		a.nextRenewal = soon
	}
}

// renewDue renews what is due and sets when that is so next.
func (a *applier) renewDue() {
	now := a.now()
	if a.mortal == 0 || now.Before(a.nextRenewal) {
		return
	}
	a.nextRenewal = now.Add(farAway)
	for _, o := range a.routers {
		if o.mortals() == 0 {
			continue
		}
		life := a.lifetime(o)
		if o.next < len(o.items) && now.Sub(o.at) < life/4 {
			o.renewAt = now.Add(o.firstWait()) // still adding: what is there is new, or comes soon
		}
		if !now.Before(o.renewAt) {
			o.renewAt = now.Add(life / 4)
			if left := life - now.Sub(a.lastBeat(o)); left > 0 { // else nobody is there for whom it should live on
				a.renewals = append(a.renewals, renewal{o, left, 0})
			}
		}
		if o.renewAt.Before(a.nextRenewal) {
			a.nextRenewal = o.renewAt
		}
	}
}

// renewal is an order whose addresses are being renewed: left is what they get, next
// the first that has not been looked at.
type renewal struct {
	*order
	left time.Duration
	next int
}

// renewSome renews the next chunk of what is due and reports whether there was any.
// Nobody's takeover waits for the renewal of thousands.
func (a *applier) renewSome() bool {
	batch := a.batch[:0] // a thousand a second would be most of an Active's garbage
	for len(a.renewals) > 0 && len(batch) < chunk {
		r := &a.renewals[0]
		if a.routers[r.Router] != r.order || r.next == len(r.items) {
			a.renewals = a.renewals[1:]
			continue
		}
		it := r.items[r.next]
		r.next++
		// There and ours, still: what is not would come to be.
		if h := a.holdings[it.at]; it.at.kind == anAddress && h != nil && h.present && !h.foreign && h.router == r.Router {
			it.life = seconds(r.left)
			batch = append(batch, it)
		}
	}
	if len(a.renewals) == 0 {
		a.renewals = nil
	}
	a.batch = batch
	if len(batch) == 0 {
		return false
	}
	// What is gone comes back by the notice of its loss; any other error shows in
	// the address ending, and coming back, too.
	began := a.now()
	_ = a.kernel.renew(batch)
	a.learn(len(batch), a.now().Sub(began))
	return true
}

// untilRenewal is how long the applier can sleep for the sake of lifetimes.
func (a *applier) untilRenewal(now time.Time) time.Duration {
	if a.mortal == 0 {
		return farAway
	}
	return max(0, a.nextRenewal.Sub(now))
}

// renew gives addresses that are there a new lifetime.
func (r *rtnl) renew(list []item) []error {
	requests := makeRequests(list, unix.NLM_F_REPLACE)
	return r.exchange(requests)
}
