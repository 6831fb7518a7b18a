package address

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// applier turns wishes into what the kernel holds. It is used from one
// goroutine; everything it knows about the kernel it did itself or was told.
type applier struct {
	keeper *Keeper
	kernel kernel
	ledger *ledger
	now    func() time.Time

	routers  map[actions.RouterID]*order
	holdings map[place]*holding
	// removals are orders whose additions are done and which still have
	// something to remove. New work goes before them.
	removals []*order
	// waiting are lost addresses whose restoration is held back.
	waiting map[place]pause
}

// order is the latest wish of a router on its way.
type order struct {
	wish
	errs  faults
	notes []string
	// places are those the router holds or should hold, obsolete those of
	// earlier wishes that are to go.
	places   map[place]bool
	obsolete []place
}

// holding is one address that somebody wants.
type holding struct {
	prefix   netip.Prefix
	linkName string
	router   actions.RouterID
	// own: the address is the interface's own (address owner).
	own bool
	// foreign: it was there before us; we do not remove it.
	foreign bool
	// present: it is in the kernel as far as we know.
	present bool
	// troubled: the last attempt to put it back failed, which has been said.
	troubled bool
	backoff  backoff
}

func newApplier(k *Keeper, kern kernel) *applier {
	return &applier{
		keeper:   k,
		kernel:   kern,
		ledger:   k.ledger,
		now:      time.Now,
		routers:  make(map[actions.RouterID]*order),
		holdings: make(map[place]*holding),
		waiting:  make(map[place]pause),
	}
}

// run works until ctx ends, and once more then.
func (a *applier) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	a.ledger.open()
	for {
		timer.Reset(a.untilNext())
		select {
		case <-a.keeper.wake:
		case <-timer.C:
		case <-ctx.Done():
			a.work()
			a.ledger.close()
			return
		}
		a.work()
	}
}

// work does everything there is to do. Additions of later wishes go before
// removals of earlier ones: an address that is missing hurts more than one that
// is still there.
func (a *applier) work() {
	for {
		in := a.keeper.take()
		a.turn(in)
		for len(a.removals) > 0 && a.keeper.idle() {
			o := a.removals[0]
			a.removals = a.removals[1:]
			if a.routers[o.Router] == o { // else a newer wish has replaced it
				a.finish(o)
			}
		}
		if len(a.removals) == 0 && a.keeper.idle() {
			break
		}
	}
	_ = a.ledger.flush() // an error is said with the next Applied
}

// turn carries out one load of work, up to the removals.
func (a *applier) turn(in inbox) {
	orders := make([]*order, 0, len(in.order))
	for _, id := range in.order {
		orders = append(orders, a.accept(in.wishes[id]))
	}
	// Ahead of the additions: one write for all of them.
	if err := a.ledger.flush(); err != nil {
		for _, o := range orders {
			o.notes = append(o.notes, err.Error())
		}
	}
	for _, l := range in.losses {
		a.lost(l)
	}
	for _, link := range in.links {
		a.revive(link)
	}
	a.restoreDue()
	for _, o := range orders {
		a.addAll(o)
		if len(o.obsolete) == 0 {
			a.answer(o)
		} else {
			a.removals = append(a.removals, o)
		}
	}
}

// accept makes a wish the router's current order and enters in the ledger what
// is going to be added.
func (a *applier) accept(w wish) *order {
	o := &order{wish: w, places: make(map[place]bool, len(w.Addresses))}
	for _, p := range w.Addresses {
		at := placeOf(w.Link, p)
		o.places[at] = true
		if h := a.holdings[at]; h == nil || !h.present && !h.foreign {
			a.ledger.try(at, p, w.LinkName)
		}
	}
	if before := a.routers[w.Router]; before != nil {
		for p := range before.places {
			if !o.places[p] {
				o.obsolete = append(o.obsolete, p)
			}
		}
		// What an unfinished order had to remove is still to be removed.
		for _, p := range before.obsolete {
			if !o.places[p] {
				o.obsolete = append(o.obsolete, p)
			}
		}
	}
	a.routers[w.Router] = o
	return o
}

// addAll adds what an order wants and the kernel does not have.
func (a *applier) addAll(o *order) {
	for _, p := range o.Addresses {
		at := placeOf(o.Link, p)
		h := a.holdings[at]
		if h == nil {
			h = &holding{prefix: p}
			a.holdings[at] = h
		}
		h.router, h.own, h.linkName = o.Router, o.Own, o.LinkName
		if h.present && h.prefix == p {
			continue
		}
		if h.present && !h.foreign { // IPv6 with another prefix length
			if err := a.kernel.remove(at.link, h.prefix); err != nil && !absent(err) {
				o.errs.add("removing", h.prefix, explain(err, h.linkName))
			}
			a.ledger.try(at, p, h.linkName)
		}
		h.prefix = p
		delete(a.waiting, at)
		a.keeper.setHeld(at, true)
		if err := a.put(at, h); err != nil {
			o.errs.add("adding", p, explain(err, h.linkName))
		}
		if h.foreign && !h.own {
			o.notes = append(o.notes, fmt.Sprintf("%s was on %s already and is not ours: it is used and will not be removed", p, h.linkName))
		}
	}
}

// put adds one address and keeps the books. EEXIST is success: the ledger tells
// whether the address is ours from an earlier life or somebody else's.
func (a *applier) put(at place, h *holding) error {
	err := a.kernel.add(at.link, h.prefix, h.own)
	switch {
	case err == nil:
		h.present, h.troubled = true, false
		// The owner's address that was there before us stays somebody else's.
		if !h.own || !h.foreign {
			h.foreign = false
			a.ledger.have(at)
		}
	case errors.Is(err, unix.EEXIST):
		h.present, h.troubled = true, false
		if !a.ledger.ours(at) {
			h.foreign = true
			a.ledger.gone(at)
		}
		return nil
	case errors.Is(err, unix.EAGAIN):
		// No answer in time: it may be there. The next comparison will tell.
		h.present = true
	default:
		h.present, h.troubled = false, true
	}
	return err
}

// finish removes what an order no longer wants and answers it.
func (a *applier) finish(o *order) {
	for _, at := range o.obsolete {
		h := a.holdings[at]
		if h == nil || h.router != o.Router {
			continue // another router has taken it over
		}
		delete(a.holdings, at)
		delete(a.waiting, at)
		a.keeper.setHeld(at, false)
		if h.foreign {
			continue
		}
		// Also when it was stolen and we have not put it back: somebody may
		// have, and what the ledger calls ours must not stay.
		if h.present || a.ledger.ours(at) {
			if err := a.kernel.remove(at.link, h.prefix); err != nil && !absent(err) {
				o.errs.add("removing", h.prefix, explain(err, h.linkName))
				continue // the ledger remembers it for the next start
			}
		}
		a.ledger.gone(at)
	}
	o.obsolete = nil
	a.answer(o)
}

func (a *applier) answer(o *order) {
	if o.Final {
		delete(a.routers, o.Router)
	}
	slices.Sort(o.notes)
	a.keeper.options.Post(actions.Applied{
		Router: o.Router,
		Term:   o.Term,
		Held:   len(o.Addresses) > 0,
		Took:   a.now().Sub(o.at),
		Err:    o.errs.String(),
		Note:   strings.Join(slices.Compact(o.notes), "; "),
	})
}

// faults collects what could not be done: addresses with the same trouble share
// a sentence.
type faults struct {
	order []string
	names map[string][]string
}

func (f *faults) add(doing string, p netip.Prefix, why string) {
	if f.names == nil {
		f.names = make(map[string][]string)
	}
	key := doing + " %s: " + why
	if f.names[key] == nil {
		f.order = append(f.order, key)
	}
	f.names[key] = append(f.names[key], p.String())
}

// String returns all of it in one line, empty if there is nothing.
func (f *faults) String() string {
	var all []string
	for _, key := range f.order {
		all = append(all, strings.Replace(key, "%s", strings.Join(f.names[key], ", "), 1))
	}
	return strings.Join(all, "; ")
}
