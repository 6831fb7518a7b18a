package address

import (
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// Metrics of the connected routes on a macvlan. For IPv6 below the kernel's 256
// (IP6_RT_PRIO_ADDRCONF), so that hosts on the link are reached, and asked for,
// by the macvlan with the virtual MAC (RFC 9568 8.2.2); the source address is
// not ours all the same, since a deprecated one is not chosen. For IPv4 behind
// the parent's, whose metric is 0: the connected route names the source
// address, and the host's own traffic is to keep the host's address.
const (
	macvlanMetric6 = 128
	macvlanMetric4 = 1024
)

// order is the latest wish of a router on its way.
type order struct {
	wish
	errs  faults
	notes []string
	// virtual is the router's macvlan, nil if it wants none.
	virtual *virtual
	// items are what is wanted, in the order of addition, next the first that
	// has not been looked at; places are theirs.
	items  []item
	next   int
	places map[place]bool
	// obsolete are those of earlier wishes that are to go, in the order of
	// removal, and so are the macvlans leaving.
	obsolete []item
	leaving  []*virtual
	// orphans went, or will go, with a macvlan of leaving.
	orphans []item
	// silence is why what had to be silenced may not be.
	silence string
	// renewAt is when the lifetimes of its addresses are renewed next.
	renewAt time.Time
	// aged: its addresses may be there since the process before.
	aged bool
	// inherited: nothing of the router has been held in this life yet, see planInherited.
	inherited bool
	// answered: Applied has been posted. restored is told instead of it, or
	// besides it, if the order repeats another one on a new macvlan.
	answered bool
	restored *restoration
}

func (o *order) note(text string) {
	if !slices.Contains(o.notes, text) {
		o.notes = append(o.notes, text)
	}
}

// accept makes a wish the router's current order and queues what must be silent
// before anything else is done.
func (a *applier) accept(w wish) *order {
	o := &order{wish: w}
	before := a.routers[w.Router]
	a.routers[w.Router] = o
	o.inherited = before == nil && w.Inherited && !w.Active
	a.count(before, o)
	if before != nil {
		o.leaving, o.restored = before.leaving, before.restored
		// What was left for its link to take along is looked at again: the link
		// may stay after all.
		o.obsolete = slices.Concat(before.orphans, before.obsolete)
		for _, it := range slices.Backward(before.items) {
			o.obsolete = append(o.obsolete, it)
		}
	}
	a.choose(o, before)
	return o
}

// plan decides what goes where and what of the earlier wishes is obsolete.
func (a *applier) plan(o *order) {
	o.places = make(map[place]bool, len(o.Addresses)+len(o.Routes)+len(o.Rules))
	if o.Active {
		for i := range o.Addresses {
			a.planAddress(o, &o.Addresses[i])
		}
		for i := range o.Routes {
			a.planRoute(o, o.Routes[i])
		}
		for i := range o.Rules {
			o.add(item{at: placeOfRule(o.Rules[i])})
		}
	}
	if o.inherited {
		o.obsolete = a.planInherited(o)
	}
	for i := range o.items {
		it := &o.items[i]
		a.refuse(o, it)
		if h := a.holdings[it.at]; h == nil || !h.present && !h.foreign {
			a.ledger.tryItem(it)
		}
	}
	seen := make(map[place]bool, len(o.obsolete))
	o.obsolete = slices.DeleteFunc(o.obsolete, func(it item) bool {
		twice := seen[it.at]
		seen[it.at] = true
		return twice || o.places[it.at]
	})
	o.places = nil // asked for no more, and there can be thousands of them
}

// planInherited are the things that the process before has left for a router, in the
// order of removal: what the ledger says is ours. Nobody else would take them off before
// Tidy does, and meanwhile another host may have them.
func (a *applier) planInherited(o *order) []item {
	was := &order{wish: o.wish, virtual: o.virtual, places: map[place]bool{}}
	for i := range was.Addresses {
		a.planAddress(was, &was.Addresses[i])
	}
	for i := range was.Routes {
		a.planRoute(was, was.Routes[i])
	}
	for i := range was.Rules {
		was.add(item{at: placeOfRule(was.Rules[i])})
	}
	slices.Reverse(was.items)
	return slices.DeleteFunc(was.items, func(it item) bool { return !a.ledger.ours(it.at) })
}

func (o *order) add(it item) {
	if !o.places[it.at] {
		o.places[it.at] = true
		o.items = append(o.items, it)
	}
}

// onMacvlan tells whether something for an interface goes on the macvlan, and
// whether there is one.
func (o *order) onMacvlan(name string, link int) (index int, goes bool) {
	if o.virtual == nil || name != "" || link != o.virtual.want.Parent {
		return 0, false
	}
	return o.virtual.found.Index, true
}

func (a *applier) planAddress(o *order, p *actions.Place) {
	it := item{at: placeOf(p.Link, p.Prefix), what: thing{address: p.Address, linkName: p.LinkName, own: o.Own}}
	if index, goes := o.onMacvlan(p.Interface, p.Link); goes {
		if index == 0 {
			return // NoVirtualMAC says why
		}
		it.at.link, it.what.linkName = index, o.virtual.found.Name
		it.what.metric = macvlanMetric(p.Address)
	}
	if life := a.lifetime(o); life > 0 {
		it.life = seconds(life)
	}
	if it.at.link == 0 {
		o.errs.add("adding", it.name(), missing(p.LinkName))
		return
	}
	o.add(it)
}

func macvlanMetric(p actions.Address) uint32 {
	switch addr := p.Prefix.Addr(); {
	case p.NoPrefixRoute || p.Prefix.Bits() == addr.BitLen():
		return 0
	case addr.Is6():
		return macvlanMetric6
	default:
		return macvlanMetric4
	}
}

func (a *applier) planRoute(o *order, r actions.Route) {
	name := r.Interface
	if !r.Forwards() {
		r.Link = 0 // what is dropped leaves nowhere
	} else if index, goes := o.onMacvlan(r.Interface, r.Link); goes {
		if index == 0 {
			return
		}
		r.Link, name = index, o.virtual.found.Name
	}
	it := item{at: placeOfRoute(&r), what: thing{route: refTo(r), linkName: name}}
	if r.Forwards() && r.Link == 0 && (name != "" || !r.Via.IsValid()) {
		o.errs.add("adding", it.name(), missing(name))
		return
	}
	o.add(it)
}

// notSilent notes that what an order wanted silent may not be.
func (o *order) notSilent(err error) {
	o.silence = err.Error()
	if len(o.leaving) > 0 || o.virtual != nil && o.virtual.found.Index != 0 && !o.Active {
		o.errs.add("silencing", "the virtual MAC", err.Error())
	}
}

// notRefused notes that the addresses may be served although they should not.
// They are held all the same: whoever uses them as a router needs them.
func (o *order) notRefused(err error) {
	if o.Active && o.Refuse {
		o.errs.add("refusing traffic to", "the addresses", err.Error())
	}
}

// answer tells what became of an order.
func (a *applier) answer(o *order) {
	if o.Final {
		delete(a.routers, o.Router)
	}
	slices.Sort(o.notes)
	if o.restored != nil {
		a.answerRestored(o)
	}
	if o.answered {
		return
	}
	o.answered = true
	applied := actions.Applied{
		Router: o.Router,
		Term:   o.Term,
		Held:   o.Active,
		Took:   a.now().Sub(o.at),
		Err:    o.errs.String(),
		Note:   strings.Join(o.notes, "; "),
	}
	if o.virtual != nil {
		applied.NoVirtualMAC = o.virtual.err
	}
	a.keeper.options.Post(applied)
}
