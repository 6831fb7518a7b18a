package address

import (
	"context"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/address/firewall"
)

// openTogether is how many routers' virtual MACs are opened in one transaction
// at most; a router with more addresses than chunk is opened alone, at once.
const openTogether = 64

// applier turns wishes into what the kernel holds. It is used from one
// goroutine; everything it knows about the kernel it did itself or was told.
type applier struct {
	keeper *Keeper
	kernel kernel
	links  links
	walls  walls
	ledger *ledger
	now    func() time.Time

	routers  map[actions.RouterID]*order
	holdings map[place]*holding
	// waiting are lost things whose restoration is held back.
	waiting map[place]pause

	// The orders on their way; one that a newer wish has replaced is left out.
	// fresh have not been looked at yet; long have had a chunk of additions and
	// are not through. opening wait for their virtual MAC to be opened. removals
	// have only things to remove left. doomed wait for their macvlans to go,
	// which is done together.
	fresh, long, opening, removals, doomed []*order

	virtuals map[identity]*virtual
	parents  map[int]*parent
	// mending are lost macvlans whose making anew is held back.
	mending map[*virtual]mending
	// refusals are the addresses to refuse by place; refused counts them.
	refusals map[place]firewall.Refused
	refused  map[firewall.Refused]int
	// walled: our tables may exist. breached: the last transaction failed,
	// which has been said; the next try is at nextRaise.
	walled, breached bool
	nextRaise        time.Time
	// mortal is how many addresses have a lifetime.
	mortal      int
	nextRenewal time.Time
	renewals    []renewal // under way
	batch       []item    // those of one renewal, made once
	// stretch is the lifetime that a slow kernel asks for, as of stretchedAt.
	stretch     time.Duration
	stretchedAt time.Time
	// nextLook is when the tables are compared next.
	nextLook time.Time
}

func newApplier(k *Keeper, kern kernel, l links, w walls) *applier {
	return &applier{
		keeper:   k,
		kernel:   kern,
		links:    l,
		walls:    w,
		ledger:   k.ledger,
		now:      time.Now,
		routers:  make(map[actions.RouterID]*order),
		holdings: make(map[place]*holding),
		waiting:  make(map[place]pause),
		virtuals: make(map[identity]*virtual),
		parents:  make(map[int]*parent),
		mending:  make(map[*virtual]mending),
		refusals: make(map[place]firewall.Refused),
		refused:  make(map[firewall.Refused]int),
	}
}

// run works until ctx ends, and once more then.
func (a *applier) run(ctx context.Context) {
	timer := time.NewTimer(farAway)
	defer timer.Stop()
	a.ledger.open()
	for {
		timer.Reset(a.untilNext())
		select {
		case <-a.keeper.wake:
		case <-timer.C:
		case <-ctx.Done():
			a.work()
			a.leave()
			return
		}
		a.work()
	}
}

// leave removes the tables if nothing depends on them.
func (a *applier) leave() {
	if a.walled && len(a.virtuals) == 0 && len(a.refused) == 0 && a.walls.Clear() == nil {
		a.ledger.gone(tableFact)
	}
	_ = a.ledger.flush() // nobody is left to be told
	a.ledger.close()
}

// work does everything there is to do, in small steps between which it looks
// for newer wishes.
func (a *applier) work() {
	for {
		a.begin(a.keeper.take())
		a.restoreDue()
		if !a.step() && a.keeper.idle() {
			break
		}
	}
	a.keeper.bulk.Store(false)
	_ = a.ledger.flush() // an error is said with the next Applied
}

// step does the next piece of what has been begun and reports whether there
// was one. Additions go before removals: an address that is missing hurts more
// than one that is still there. But the removals do not wait for a router with
// thousands of addresses; the two take turns.
func (a *applier) step() bool {
	renewed := a.renewSome()
	if a.openNow() && a.openSome() {
		return true
	}
	if o := a.pop(&a.fresh); o != nil {
		a.addSome(o)
		return true
	}
	if a.openSome() {
		return true
	}
	more := false
	if o := a.pop(&a.removals); o != nil {
		a.removeSome(o)
		more = true
	}
	if o := a.pop(&a.long); o != nil {
		a.keeper.bulk.Store(true)
		a.addSome(o)
		more = true
	}
	return more || a.removeMacvlans() || renewed
}

// pop takes the first order of a queue that has not been replaced.
func (a *applier) pop(queue *[]*order) *order {
	for len(*queue) > 0 {
		o := (*queue)[0]
		(*queue)[0] = nil
		*queue = (*queue)[1:]
		if a.routers[o.Router] == o {
			return o
		}
	}
	return nil
}

// begin takes over new work: who steps down is silenced, all at once; then the
// macvlans are made and the ledger is told what will be added.
func (a *applier) begin(in inbox) {
	if in.empty() {
		return
	}
	orders := make([]*order, 0, len(in.order))
	for _, id := range in.order {
		orders = append(orders, a.accept(in.wishes[id]))
	}
	a.carryOut(orders)
	for _, l := range in.losses {
		a.lost(l)
	}
	for _, l := range in.macvlans {
		a.macvlanLost(l)
	}
	if len(in.links) > 0 {
		a.revive(in.links)
	}
	if in.compare {
		a.compare()
	}
	if in.tidy != nil {
		a.tidy(in.tidy)
	}
}

// carryOut begins orders that have been accepted.
func (a *applier) carryOut(orders []*order) {
	if len(orders) == 0 {
		return
	}
	a.ledgerNote(orders)
	if err := a.raise(); err != nil {
		for _, o := range orders {
			o.notSilent(err)
		}
	}
	for _, o := range orders {
		a.ensure(o)
		a.plan(o)
	}
	a.ledgerNote(orders) // ahead of the additions: one write for all of them
	if err := a.raise(); err != nil {
		for _, o := range orders {
			o.notRefused(err)
		}
	}
	a.fresh = append(a.fresh, orders...)
}

// ledgerNote writes the ledger and lets the orders tell if that fails.
func (a *applier) ledgerNote(orders []*order) {
	if err := a.ledger.flush(); err != nil {
		for _, o := range orders {
			o.note(err.Error())
		}
	}
}
