package address

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// holding is one thing that somebody wants.
type holding struct {
	item
	router actions.RouterID
	// foreign: it was there before us; we do not remove it.
	foreign bool
	// present: it is in the kernel as far as we know.
	present bool
	// troubled: the last attempt to put it back failed, which has been said.
	troubled bool
	backoff  backoff
}

// addSome adds the next chunk of what an order wants and the kernel does not have.
func (a *applier) addSome(o *order) {
	var batch []item
	var held []*holding
	for o.next < len(o.items) && len(batch) < chunk {
		it := &o.items[o.next]
		o.next++
		h := a.holdings[it.at]
		if h == nil {
			h = &holding{item: *it}
			a.holdings[it.at] = h
		}
		h.router = o.Router
		if h.present && sameThing(h, it) {
			if h.what = it.what; h.life != 0 && it.life == 0 && !h.foreign {
				_ = a.kernel.renew([]item{*it}) // it lives for ever again; if not, its end is noticed
			}
			h.life = it.life
			continue
		}
		if h.present && !h.foreign { // same place, but something about it has changed
			a.takeAway(o, h)
			a.ledger.tryItem(it)
		}
		a.relive(o.Router, it)
		h.item = *it
		delete(a.waiting, it.at)
		a.keeper.setHeld(it, true)
		batch, held = append(batch, *it), append(held, h)
	}
	began := a.now()
	for i, err := range a.kernel.add(batch) {
		a.added(o, held[i], err)
	}
	a.learn(len(batch), a.now().Sub(began))
	if o.next < len(o.items) {
		a.long = append(a.long, o)
		return
	}
	a.proceed(o)
}

// sameThing tells whether what is there is what is wanted. Whose the address is
// matters when it is added only.
func sameThing(h *holding, it *item) bool {
	was, wanted := h.what, it.what
	was.own, wanted.own = false, false
	was.linkName, wanted.linkName = "", ""
	was.address.Interface, wanted.address.Interface = "", ""
	a, b := was.route.get(), wanted.route.get()
	a.Interface, b.Interface = "", ""
	was.route, wanted.route = ref[actions.Route]{}, ref[actions.Route]{}
	return was == wanted && a == b
}

// takeAway removes the old form of what is added anew.
func (a *applier) takeAway(o *order, h *holding) {
	if err := a.removeOne(&h.item); err != nil && !absent(err) {
		o.errs.add("removing", h.name(), explain(err, &h.item))
	}
}

func (a *applier) removeOne(it *item) error { return a.kernel.remove([]item{*it})[0] }
func (a *applier) addOne(it *item) error    { return a.kernel.add([]item{*it})[0] }

// added settles one addition of an order.
func (a *applier) added(o *order, h *holding, err error) {
	if err = a.settle(h, err); err != nil {
		o.errs.add("adding", h.name(), explain(err, &h.item))
	}
	if !h.foreign || h.what.own {
		return
	}
	where := "there"
	if h.at.kind == anAddress {
		where = "on " + h.what.linkName
	}
	o.note(fmt.Sprintf("%s was %s already and is not ours: it is used and will not be removed", h.name(), where))
}

// settle keeps the books of one addition. EEXIST is success: the ledger tells
// whether what is there is ours from an earlier life or somebody else's.
func (a *applier) settle(h *holding, err error) error {
	if errors.Is(err, unix.EEXIST) && h.at.kind == aRoute {
		if err = a.contend(h); err == nil || errors.Is(err, unix.EEXIST) {
			return a.settled(h, err)
		}
		h.present, h.troubled = false, true
		return err
	}
	return a.settled(h, err)
}

func (a *applier) settled(h *holding, err error) error {
	switch {
	case err == nil:
		h.present, h.troubled = true, false
		// The owner's address that was there before us stays somebody else's.
		if !h.what.own || !h.foreign {
			h.foreign = false
			a.ledger.have(h.at)
		}
	case errors.Is(err, unix.EEXIST):
		h.present, h.troubled = true, false
		if !a.ledger.ours(h.at) {
			h.foreign = true
			a.ledger.gone(h.at)
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

// contend looks at the route that is where ours should be. The kernel tells
// routes apart by table, destination and metric, whichever way they lead: one
// that leads ours is as good as ours (EEXIST), one of ours from an earlier life
// is replaced, any other is somebody's who has to choose.
func (a *applier) contend(h *holding) error {
	text, same := a.kernel.rival(h.item)
	if same {
		return unix.EEXIST
	}
	if a.ledger.ours(h.at) {
		old := h.item
		r := h.what.route.get()
		old.what.route = refTo(actions.Route{Dst: r.Dst, Table: r.Table, Metric: r.Metric, Kind: r.Kind})
		if err := a.removeOne(&old); err == nil || absent(err) {
			if err := a.addOne(&h.item); !errors.Is(err, unix.EEXIST) {
				return err
			}
		}
	}
	a.ledger.gone(h.at)
	return fmt.Errorf("%s, which is not ours, has the same destination, table and metric: give one of the two another metric", text)
}

// removeSome removes the next chunk of what an order no longer wants.
func (a *applier) removeSome(o *order) {
	var batch []item
	for len(o.obsolete) > 0 && len(batch) < chunk {
		it := o.obsolete[0]
		o.obsolete = o.obsolete[1:]
		h := a.holdings[it.at]
		if h != nil && h.router != o.Router {
			continue // another router has taken it over
		}
		foreign, present := false, false
		if h != nil {
			foreign, present = h.foreign, h.present
			it = h.item // as it is, which may not be what was wanted last
			delete(a.holdings, it.at)
			delete(a.waiting, it.at)
			a.keeper.setHeld(&it, false)
		}
		switch {
		// Also when it was stolen and we have not put it back: somebody may
		// have, and what the ledger calls ours must not stay.
		case !foreign && (present || a.ledger.ours(it.at)):
			if o.leaves(it.link()) {
				o.orphans = append(o.orphans, it) // its link takes it along
				continue
			}
			batch = append(batch, it)
		default:
			a.removed(it.at)
		}
	}
	for i, err := range a.kernel.remove(batch) {
		if err != nil && !absent(err) {
			o.errs.add("removing", batch[i].name(), explain(err, &batch[i]))
			continue // the ledger remembers it for the next start
		}
		a.removed(batch[i].at)
	}
	if err := a.raise(); err != nil {
		o.errs.add("accepting traffic to", "the addresses", err.Error())
	}
	if len(o.obsolete) > 0 {
		a.removals = append(a.removals, o)
		return
	}
	a.conclude(o)
}

// removed keeps the books of something that is not there any more, or not ours.
func (a *applier) removed(at place) {
	a.ledger.gone(at)
	a.accepted(at)
}
