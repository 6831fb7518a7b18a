package address

import (
	"slices"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/address/macvlan"
)

// virtualAt returns the macvlan with that index.
func (a *applier) virtualAt(link int) *virtual {
	for _, v := range a.virtuals {
		if v.found.Index == link {
			return v
		}
	}
	return nil
}

// macvlanLost makes a macvlan again that somebody has removed or taken down,
// unless its parent has gone with it: then another one will be wanted.
func (a *applier) macvlanLost(l macvlanLoss) {
	v := a.virtualAt(l.link)
	if v == nil || a.kernel.up(l.link) && !a.spoilt(v) {
		return
	}
	if _, waits := a.mending[v]; waits {
		return
	}
	if !a.kernel.exists(v.want.Parent) {
		v.err = gone(v.want.ParentName)
		a.vanished(v)
		a.vacate(v)
		return
	}
	if wait := v.backoff.delay(l.at); wait > 0 {
		a.mending[v] = mending{l, l.at.Add(wait)}
		return
	}
	a.remake(v, l)
}

// spoilt tells whether somebody has given a macvlan of ours another MAC.
func (a *applier) spoilt(v *virtual) bool {
	list, err := a.links.List(a.keeper.options.alias())
	return err == nil && slices.ContainsFunc(list, func(f macvlan.Found) bool {
		return f.Index == v.found.Index && f.MAC != v.want.MAC
	})
}

// remake carries out the router's wish once more, on a new macvlan.
func (a *applier) remake(v *virtual, l macvlanLoss) {
	before := a.routers[v.router]
	if before == nil || before.virtual != v {
		return // it is on its way out
	}
	v.backoff.did(a.now())
	name := v.name()
	v.ready = false // so it is silenced, and made
	if a.spoilt(v) {
		// Of no use, nothing keeps it silent, and it may have the name of the next.
		_ = a.links.Remove(v.found.Index) // if that fails, making the next one says why
	}
	if v.found.Index != 0 && !a.kernel.exists(v.found.Index) {
		a.vanished(v)
	}
	o := a.accept(before.wish)
	o.answered = before.answered
	o.restored = &restoration{loss: l, what: "macvlan " + name}
	a.carryOut([]*order{o})
}

// restoration is what is told of a macvlan that was made again.
type restoration struct {
	loss macvlanLoss
	what string
}

// answerRestored tells that a macvlan is back with everything on it, or why
// not; a failure is told once.
func (a *applier) answerRestored(o *order) {
	r, v := o.restored, o.virtual
	o.restored = nil
	if v == nil {
		return
	}
	now := a.now()
	told := actions.Restored{Router: o.Router, What: r.what, Culprit: r.loss.culprit, Took: now.Sub(r.loss.at), Err: v.err}
	if v.err != "" {
		a.mending[v] = mending{r.loss, now.Add(max(v.backoff.delay(now), minPause))}
		if v.troubled {
			return
		}
	}
	v.troubled = v.err != ""
	if told.Err == "" {
		told.Err = o.errs.String()
	}
	a.keeper.options.Post(told)
}

// compare compares with the kernel what no notice tells of.
func (a *applier) compare() {
	if len(a.virtuals) > 0 {
		a.compareMacvlans()
	}
	if a.walled {
		a.compareWalls()
	}
}

func (a *applier) compareMacvlans() {
	list, err := a.links.List(a.keeper.options.alias())
	if err != nil {
		return // there is a next time
	}
	there := make(map[int]macvlan.Found, len(list))
	for _, f := range list {
		there[f.Index] = f
	}
	for _, v := range a.virtuals {
		if v.found.Index == 0 {
			continue
		}
		f, ok := there[v.found.Index]
		switch {
		case !ok, f.MAC != v.want.MAC:
			a.macvlanLost(macvlanLoss{v.found.Index, foundMissing, a.now()})
		case f.Name != v.found.Name:
			v.found.Name = f.Name
			a.ledger.try(v.id().place(), entry{fact: fact{name: f.Name}})
			a.ledger.have(v.id().place())
		}
	}
}

// compareWalls makes the tables anew if somebody has changed them.
func (a *applier) compareWalls() {
	began := a.now()
	same, err := a.walls.Check()
	if same && err == nil && !a.breached {
		return
	}
	was := a.breached
	err = a.raise()
	if same || err != nil && was { // said already
		return
	}
	told := actions.Restored{Router: a.anyGuarded(), What: "nftables table " + a.tableName(), Culprit: foundMissing, Took: a.now().Sub(began)}
	if err != nil {
		told.Err = err.Error()
	}
	a.keeper.options.Post(told)
}

// anyGuarded is the first router that the tables are for.
func (a *applier) anyGuarded() actions.RouterID {
	var ids []actions.RouterID
	for _, v := range a.virtuals {
		ids = append(ids, v.router)
	}
	for at := range a.refusals {
		if h := a.holdings[at]; h != nil {
			ids = append(ids, h.router)
		}
	}
	if len(ids) == 0 {
		return 0
	}
	return slices.Min(ids)
}
