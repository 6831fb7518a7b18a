package address

import (
	"maps"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/address/macvlan"
)

// identity tells macvlans apart as the kernel does: a MAC once per interface.
type identity struct {
	parent int
	mac    [6]byte
}

func (id identity) place() place { return place{kind: aMacvlan, link: id.parent, mac: id.mac} }

// virtual is the macvlan of one router.
type virtual struct {
	want   actions.VirtualMAC
	router actions.RouterID
	// found is the link; its Index is 0 while there is none.
	found macvlan.Found
	// ready: the link is as want says. open: its MAC is not, or not to be, silent.
	ready, open bool
	// occupies: it counts among its parent's.
	occupies bool
	// err is why it is of no use, empty if it is.
	err string
	// troubled: the last attempt to make it again failed, which has been said.
	troubled bool
	backoff  backoff
}

func (v *virtual) id() identity { return identity{v.want.Parent, v.want.MAC} }

// parent is an interface with macvlans of ours, and what its sysctls were.
type parent struct {
	name   string
	before map[string]string
	users  int
}

// mending is a lost macvlan that is made again later.
type mending struct {
	macvlanLoss
	due time.Time
}

// choose gives an order its macvlan, silenced unless the order is to serve, and
// finds out which one it does not want any more.
func (a *applier) choose(o, before *order) {
	if o.VirtualMAC != nil && !o.Final {
		o.virtual = a.adopt(o)
		o.leaving = slices.DeleteFunc(o.leaving, func(v *virtual) bool { return v == o.virtual })
	}
	if before == nil || before.virtual == nil || before.virtual == o.virtual || before.virtual.router != o.Router {
		return
	}
	v := before.virtual
	a.silence(v)
	delete(a.mending, v)
	o.leaving = append(o.leaving, v)
}

// adopt finds or begins the macvlan that an order wants.
func (a *applier) adopt(o *order) *virtual {
	w := *o.VirtualMAC
	id := identity{w.Parent, w.MAC}
	v := a.virtuals[id]
	handedOver := false
	if v == nil {
		v = &virtual{want: w}
		a.virtuals[id] = v
		// There before this life's first word on it: a process before us has left it,
		// in use if it is to be in use. Silencing it until it has been looked at would
		// cost a client two milliseconds.
		handedOver = o.Active && a.ledger.ours(id.place())
	}
	if v.want.ParentName != w.ParentName {
		a.renamed(w.Parent, v.want.ParentName, w.ParentName)
	}
	v.ready = v.ready && v.want.IPv6 == w.IPv6
	v.want, v.router = w, o.Router
	if v.ready {
		v.err = ""
	} else {
		a.ledger.try(id.place(), entry{fact: fact{name: v.name()}})
	}
	if !handedOver && (!o.Active || !v.ready) {
		a.silence(v)
	}
	return v
}

// name is what the link is called, or will be.
func (v *virtual) name() string {
	switch {
	case v.found.Name != "":
		return v.found.Name
	case v.want.Name != "":
		return v.want.Name
	default:
		return macvlan.VirtualMACName(v.want)
	}
}

// silence queues that no frame from or to the MAC passes.
func (a *applier) silence(v *virtual) {
	a.useWalls()
	v.open = false
	a.walls.Silence(v.want.ParentName, v.want.MAC)
}

// renamed moves what is silent on an interface to its new name.
func (a *applier) renamed(link int, from, to string) {
	if p := a.parents[link]; p != nil {
		p.name = to
	}
	a.walls.Forget(from)
	for id, v := range a.virtuals {
		if id.parent != link {
			continue
		}
		v.want.ParentName = to
		if !v.open {
			a.walls.Silence(to, id.mac)
		}
	}
}

// ensure makes the macvlan of an order if it is not there.
func (a *applier) ensure(o *order) {
	v := o.virtual
	if v == nil || v.ready {
		return
	}
	if o.silence != "" { // made now it would speak
		v.err = o.silence
		return
	}
	if v.err = a.occupy(v); v.err != "" {
		return
	}
	found, _, err := a.links.Ensure(v.want, a.keeper.options.alias())
	if err != nil {
		v.err = err.Error()
		if v.found.Index == 0 || !a.kernel.exists(v.found.Index) {
			a.vanished(v)
			a.vacate(v)
		}
		return
	}
	if old := v.found.Index; old != 0 && old != found.Index && a.kernel.exists(old) {
		_ = a.links.Remove(old) // its MAC was changed under our hands; the alias tells whose it is
	}
	a.vanished(v)
	v.found, v.ready = found, true
	a.keeper.setMacvlan(found.Index, true)
	a.ledger.try(v.id().place(), entry{fact: fact{name: found.Name}})
	a.ledger.have(v.id().place())
}

// vanished keeps the books of a link that is not there.
func (a *applier) vanished(v *virtual) {
	if v.found.Index != 0 {
		a.keeper.setMacvlan(v.found.Index, false)
	}
	v.found, v.ready = macvlan.Found{}, false
}

// occupy sees to the parent's sysctls before the first macvlan on it, and
// returns why that failed.
func (a *applier) occupy(v *virtual) string {
	if v.occupies {
		return ""
	}
	link, name := v.want.Parent, v.want.ParentName
	p := a.parents[link]
	if p == nil {
		before, err := a.links.Parent(name)
		if err != nil {
			return err.Error()
		}
		// What an earlier life of ours has changed is not found changed again.
		at := place{kind: aParent, link: link}
		if e, known := a.ledger.entries[at]; known && e.name == name {
			before = merge(before, e.settings())
		}
		p = &parent{name: name, before: before}
		a.parents[link] = p
		a.ledger.try(at, entry{fact: fact{name: name, before: settingsText(before)}})
		a.ledger.have(at)
	}
	p.users++
	v.occupies = true
	return ""
}

// merge puts older values over newer ones.
func merge(newer, older map[string]string) map[string]string {
	all := make(map[string]string, len(newer)+len(older))
	maps.Copy(all, newer)
	maps.Copy(all, older)
	return all
}

// vacate restores the parent's sysctls after the last macvlan on it.
func (a *applier) vacate(v *virtual) {
	link := v.want.Parent
	p := a.parents[link]
	if !v.occupies || p == nil {
		return
	}
	v.occupies = false
	if p.users--; p.users > 0 {
		return
	}
	delete(a.parents, link)
	// Another interface of that name may be in use already, its predecessor gone.
	if !a.carries(p.name, v) {
		a.walls.Forget(p.name)
	}
	// Another interface may have the name by now.
	if a.kernel.exists(link) && a.links.RestoreParent(p.name, p.before) != nil {
		return // the ledger remembers it for the next start
	}
	a.ledger.gone(place{kind: aParent, link: link})
}

// proceed goes on with an order that has nothing to add any more.
func (a *applier) proceed(o *order) {
	if v := o.virtual; v != nil && o.Active && v.ready && (!v.open || a.breached) {
		a.opening = append(a.opening, o)
		return
	}
	a.conclude(o)
}

// openNow tells that virtual MACs should be opened before anything else is
// added: a router with many addresses waits for nobody, the others for 64.
func (a *applier) openNow() bool {
	n := len(a.opening)
	return n >= openTogether || n > 0 && len(a.opening[n-1].items) > chunk
}

// openSome opens the virtual MACs that wait for it, in one transaction.
func (a *applier) openSome() bool {
	var orders []*order
	for o := a.pop(&a.opening); o != nil; o = a.pop(&a.opening) {
		orders = append(orders, o)
		o.virtual.open = true
		a.walls.Open(o.virtual.want.ParentName, o.virtual.want.MAC)
	}
	if len(orders) == 0 {
		return false
	}
	err := a.raise()
	for _, o := range orders {
		if err != nil {
			o.virtual.err = "its virtual MAC stays silent: " + err.Error()
		}
		a.conclude(o)
	}
	return true
}

// conclude goes on with an order that has everything it wants.
func (a *applier) conclude(o *order) {
	switch {
	case len(o.obsolete) > 0:
		a.removals = append(a.removals, o)
	case len(o.leaving) > 0:
		a.doomed = append(a.doomed, o)
	default:
		a.answer(o)
	}
}

// leaves tells whether a link is about to be removed by the order.
func (o *order) leaves(link int) bool {
	return link != 0 && slices.ContainsFunc(o.leaving, func(v *virtual) bool { return v.found.Index == link })
}

// removeMacvlans removes all macvlans that nobody wants, in one operation of
// the kernel: one by one each would take 13–18 ms (vrrp.md 7.7).
func (a *applier) removeMacvlans() bool {
	var orders []*order
	var gone []*virtual
	for o := a.pop(&a.doomed); o != nil; o = a.pop(&a.doomed) {
		orders = append(orders, o)
		for _, v := range o.leaving {
			if v.router == o.Router && a.virtuals[v.id()] == v {
				gone = append(gone, v)
			}
		}
	}
	if len(orders) == 0 {
		return false
	}
	var indexes []int
	for _, v := range gone {
		if v.found.Index != 0 {
			indexes = append(indexes, v.found.Index)
		}
		a.keeper.setMacvlan(v.found.Index, false) // or the monitor would call it a loss
	}
	var err error
	if len(indexes) > 0 {
		err = a.links.Remove(indexes...)
	}
	// What could not be removed stays silent, and the ledger remembers it.
	for _, v := range gone {
		if err == nil {
			a.forget(v)
		}
	}
	if err == nil {
		err = a.raise()
	}
	for _, o := range orders {
		if err != nil {
			o.errs.add("removing", "the virtual MAC", err.Error())
		} else {
			for i := range o.orphans {
				a.removed(o.orphans[i].at)
			}
		}
		o.leaving, o.orphans = nil, nil
		a.answer(o)
	}
	return true
}

// forget drops a macvlan that has been removed.
func (a *applier) forget(v *virtual) {
	delete(a.virtuals, v.id())
	delete(a.mending, v)
	a.ledger.gone(v.id().place())
	same := func(o *virtual) bool { return o.want.ParentName == v.want.ParentName && o.want.MAC == v.want.MAC }
	if !slices.ContainsFunc(slices.Collect(maps.Values(a.virtuals)), same) {
		a.walls.Open(v.want.ParentName, v.want.MAC)
	}
	a.vacate(v)
}

// carries tells whether an interface of that name has, or is to have, a macvlan
// besides one.
func (a *applier) carries(name string, besides *virtual) bool {
	for _, v := range a.virtuals {
		if v != besides && v.want.ParentName == name {
			return true
		}
	}
	return false
}
