package address

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	links  links
	veil   veil
	ledger *ledger
	now    func() time.Time

	routers  map[actions.RouterID]*order
	holdings map[place]*holding
	// removals are orders whose additions are done and which still have
	// something to remove. New work goes before them.
	removals []*order
	// things are the routes and rules that somebody wants; verified is when they
	// and the firewall were last compared with the kernel.
	things   map[string]*holdingThing
	verified time.Time
	// macOf are the macvlans, doomed those that are to go; parents the
	// interfaces below them.
	macOf   map[actions.RouterID]*macState
	doomed  []*macState
	parents map[string]*parentState
	// refusing: accept mode has been off for somebody; used: the firewall has
	// been asked for anything.
	refusing, used bool
	// waiting are lost addresses whose restoration is held back.
	waiting map[place]pause
}

// order is the latest wish of a router on its way.
type order struct {
	wish
	errs  faults
	notes []string
	// mac is the router's macvlan, if it has one; noMAC why there is none.
	mac   *macState
	noMAC string
	// list is what it holds or should hold, in order, places the same as a set;
	// obsolete are those of earlier wishes that are to go.
	list     []resolved
	places   map[place]bool
	obsolete []place
	// keys are its routes and rules, goneThings those that are to go.
	keys       []string
	goneThings []string
	// refused are the addresses to be served again once they are gone.
	refused []resolved
}

// resolved is an address and the link it really goes on.
type resolved struct {
	actions.Address
	at   place
	name string
	mac  bool // on a macvlan
}

// holding is one address that somebody wants.
type holding struct {
	resolved
	router actions.RouterID
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

func newApplier(k *Keeper, kern kernel, l links, v veil) *applier {
	return &applier{
		keeper:   k,
		kernel:   kern,
		links:    l,
		veil:     v,
		things:   make(map[string]*holdingThing),
		macOf:    make(map[actions.RouterID]*macState),
		parents:  make(map[string]*parentState),
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
			if a.used && len(a.macOf) == 0 {
				_ = a.veil.Clear() // nothing is silent or refused any more
			}
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
	a.bury()
	a.verify()
	_ = a.ledger.flush() // an error is said with the next Applied
}

// verify compares with the kernel what it does not tell about.
func (a *applier) verify() {
	now := a.now()
	if a.verified.IsZero() {
		a.verified = now
	}
	if now.Sub(a.verified) >= verifyEvery {
		a.verified = now
		a.verifyThings("unknown")
		a.verifyVeil()
	}
}

// turn carries out one load of work, up to the removals.
func (a *applier) turn(in inbox) {
	orders := make([]*order, 0, len(in.order))
	for _, id := range in.order {
		orders = append(orders, &order{wish: in.wishes[id]})
	}
	a.macs(orders)
	refusing := false
	for _, o := range orders {
		a.accept(o)
		if o.Active && o.Refuse {
			a.refuse(o.list, true)
			refusing, a.refusing, a.used = true, true, true
		}
	}
	if refusing {
		if err := a.veil.Flush(); err != nil {
			for _, o := range orders {
				if o.Active && o.Refuse {
					o.errs.say("accept = false: " + err.Error())
				}
			}
		}
	}
	// Ahead of the additions: one write for all of them.
	if err := a.ledger.flush(); err != nil {
		for _, o := range orders {
			o.notes = append(o.notes, err.Error())
		}
	}
	for _, index := range in.macs {
		a.lostMAC(index)
	}
	for _, l := range in.losses {
		a.lost(l)
	}
	for _, link := range in.links {
		a.revive(link)
	}
	a.restoreDue()
	for _, o := range orders {
		a.carryOut(o)
	}
}

// carryOut adds what an order wants, and answers it unless something is to be
// removed, which waits until all has been added.
func (a *applier) carryOut(o *order) {
	if a.routers[o.Router] != o || !a.addAll(o) {
		return // a newer wish has come
	}
	a.addThings(o)
	if len(o.obsolete) == 0 && len(o.goneThings) == 0 {
		a.answer(o)
	} else {
		a.removals = append(a.removals, o)
	}
}

// accept makes a wish the router's current order and enters in the ledger what
// is going to be added.
func (a *applier) accept(o *order) {
	a.settleOrder(o)
	if before := a.routers[o.Router]; before != nil {
		a.succeed(o, before)
	}
	a.routers[o.Router] = o
}

// settleOrder finds out where everything of an order goes.
func (a *applier) settleOrder(o *order) {
	o.places = make(map[place]bool, len(o.Addresses))
	for _, p := range o.Addresses {
		r := resolved{Address: p.Address, name: p.LinkName}
		link := p.Link
		if o.mac != nil && p.Interface == "" && link == o.mac.want.Parent {
			link, r.name, r.mac = o.mac.index, o.mac.name, true
		}
		r.at = placeOf(link, p.Prefix)
		if link == 0 {
			if !r.mac {
				o.errs.add("adding", p.Prefix, "the interface "+r.name+" does not exist")
			}
			continue // without a macvlan: noMAC says why
		}
		o.list = append(o.list, r)
		o.places[r.at] = true
		if h := a.holdings[r.at]; h == nil || !h.present && !h.foreign {
			a.ledger.try(r.at, p.Prefix, r.name)
		}
	}
	if !o.Active {
		return
	}
	for _, t := range a.thingsOf(o) {
		key := t.key()
		o.keys = append(o.keys, key)
		if h := a.things[key]; h == nil || !h.present && !h.foreign {
			a.ledger.fact(key, false)
		}
	}
}

// succeed notes what an order's predecessor had and it does not want.
func (a *applier) succeed(o, before *order) {
	// What an unfinished order had to remove is still to be removed.
	for _, list := range [][]place{slices.Collect(maps.Keys(before.places)), before.obsolete} {
		for _, p := range list {
			if !o.places[p] {
				o.obsolete = append(o.obsolete, p)
			}
		}
	}
	for _, list := range [][]string{before.keys, before.goneThings} {
		for _, key := range list {
			if !slices.Contains(o.keys, key) {
				o.goneThings = append(o.goneThings, key)
			}
		}
	}
	o.refused = before.refused
	if before.Active && before.Refuse {
		o.refused = append(o.refused, before.list...)
	}
	if o.Active && o.Refuse {
		o.refused = slices.DeleteFunc(o.refused, func(r resolved) bool { return o.places[r.at] })
	}
}

// patience is after how many additions a newer wish of the same router is
// looked for: thousands take a while, and a release must not wait for them.
const patience = 64

// addAll adds the addresses that an order wants and the kernel does not have. It
// reports false if a newer wish of the router has come meanwhile.
func (a *applier) addAll(o *order) bool {
	for i, p := range o.list {
		if i%patience == patience-1 && a.keeper.wishes(o.Router) {
			return false
		}
		at := p.at
		h := a.holdings[at]
		if h == nil {
			h = &holding{resolved: p}
			a.holdings[at] = h
		}
		h.router, h.own, h.name = o.Router, o.Own, p.name
		if h.present && h.Address == p.Address {
			continue
		}
		if h.present && !h.foreign { // with another length, label or scope
			if err := a.kernel.remove(at.link, h.Prefix); err != nil && !absent(err) {
				o.errs.add("removing", h.Prefix, explain(err, h.name))
			}
			a.ledger.try(at, p.Prefix, h.name)
		}
		h.resolved = p
		delete(a.waiting, at)
		a.keeper.setHeld(at, true)
		if err := a.put(at, h); err != nil {
			o.errs.add("adding", p.Prefix, explain(err, h.name))
		}
		if h.foreign && !h.own {
			o.notes = append(o.notes, fmt.Sprintf("%s was on %s already and is not ours: it is used and will not be removed", p.Prefix, h.name))
		}
	}
	return true
}

// put adds one address and keeps the books. EEXIST is success: the ledger tells
// whether the address is ours from an earlier life or somebody else's.
func (a *applier) put(at place, h *holding) error {
	err := a.kernel.add(at.link, h.Address, how{own: h.own, mac: h.mac})
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
	a.dropThings(o)
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
			if err := a.kernel.remove(at.link, h.Prefix); err != nil && !absent(err) {
				o.errs.add("removing", h.Prefix, explain(err, h.name))
				continue // the ledger remembers it for the next start
			}
		}
		a.ledger.gone(at)
	}
	o.obsolete = nil
	if len(o.refused) > 0 {
		a.refuse(o.refused, false)
		o.refused = nil
		if err := a.veil.Flush(); err != nil {
			o.errs.say("accept = false: " + err.Error())
		}
	}
	a.answer(o)
}

func (a *applier) answer(o *order) {
	if o.Final {
		delete(a.routers, o.Router)
	}
	if o.noMAC != "" && o.mac != nil && o.mac.index == 0 {
		delete(a.macOf, o.Router) // the next wish begins anew
		a.parentOff(o.mac)
	}
	slices.Sort(o.notes)
	a.keeper.options.Post(actions.Applied{
		Router:       o.Router,
		Term:         o.Term,
		Held:         o.Active,
		Took:         a.now().Sub(o.at),
		Err:          o.errs.String(),
		NoVirtualMAC: o.noMAC,
		Note:         strings.Join(slices.Compact(o.notes), "; "),
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

// say adds a whole sentence.
func (f *faults) say(sentence string) {
	key := strings.ReplaceAll(sentence, "%", "%%")
	if f.names == nil {
		f.names = make(map[string][]string)
	}
	if f.names[key] == nil {
		f.order = append(f.order, key)
		f.names[key] = []string{""}
	}
}

// String returns all of it in one line, empty if there is nothing.
func (f *faults) String() string {
	var all []string
	for _, key := range f.order {
		if f.names[key][0] == "" { // a sentence
			all = append(all, strings.ReplaceAll(key, "%%", "%"))
			continue
		}
		all = append(all, strings.Replace(key, "%s", shortList(f.names[key]), 1))
	}
	return strings.Join(all, "; ")
}

// shortList is a list for one line: of thousands of addresses in one trouble,
// the first tell it.
func shortList(names []string) string {
	const most = 5
	if len(names) <= most+1 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
