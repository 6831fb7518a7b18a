package address

import (
	"github.com/backbeat-ha/backbeat/actions/address/firewall"
)

// refuse queues that an address is, or is no longer, refused, as its order
// wishes. Two places can have one address (on two links); it is refused as long
// as one of them wants it.
func (a *applier) refuse(o *order, it *item) {
	if it.at.kind != anAddress {
		return
	}
	if !o.Refuse {
		a.accepted(it.at)
		return
	}
	if _, known := a.refusals[it.at]; known {
		return
	}
	r := firewall.Refused{Addr: it.what.address.Prefix.Addr()}
	if r.Addr.IsLinkLocalUnicast() {
		r.Link = it.what.linkName
	}
	a.refusals[it.at] = r
	if a.refused[r]++; a.refused[r] == 1 {
		a.useWalls()
		a.walls.Refuse(r)
	}
}

// accepted queues that an address of ours is refused no longer.
func (a *applier) accepted(at place) {
	r, known := a.refusals[at]
	if !known {
		return
	}
	delete(a.refusals, at)
	if a.refused[r]--; a.refused[r] == 0 {
		delete(a.refused, r)
		a.walls.Accept(r)
	}
}

// useWalls notes that our tables may exist from now on.
func (a *applier) useWalls() {
	if !a.walled {
		a.walled = true
		a.ledger.try(tableFact, entry{fact: fact{name: a.tableName()}})
	}
}

// tableName is what package firewall calls both tables.
func (a *applier) tableName() string { return a.keeper.options.alias() }

// raise tells the kernel what is to be silent, open, refused or accepted by
// now; with nothing new it does nothing.
func (a *applier) raise() error {
	if !a.walled {
		return nil
	}
	err := a.walls.Flush()
	if a.breached = err != nil; a.breached {
		a.nextRaise = a.now().Add(retryAfter)
		return err
	}
	a.ledger.have(tableFact)
	return nil
}
