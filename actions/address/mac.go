package address

import (
	"fmt"
	"strings"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/address/firewall"
	"github.com/backbeat-ha/backbeat/actions/address/macvlan"
)

// links makes macvlans (package macvlan), veil silences them and refuses
// traffic (package firewall). Tests have pretended ones.
type links interface {
	Ensure(v actions.VirtualMAC, alias string) (macvlan.Found, bool, error)
	Remove(indexes ...int) error
	List(aliasPrefix string) ([]macvlan.Found, error)
	Parent(name string) (map[string]string, error)
	RestoreParent(name string, before map[string]string) error
}

type veil interface {
	Silence(parent string, macs ...[6]byte)
	Open(parent string, macs ...[6]byte)
	Forget(parent string)
	Refuse(addrs ...firewall.Refused)
	Accept(addrs ...firewall.Refused)
	Flush() error
	Check() (bool, error)
	Clear() error
}

// aliasOf marks the macvlans of this program.
const aliasOf = "backbeat"

// macState is the macvlan of one router.
type macState struct {
	want  actions.VirtualMAC
	index int // 0 until it has been made
	name  string
	open  bool
	// parented: it counts as a user of its parent.
	parented bool
}

// macs queues what the firewall must be told about the virtual MACs of a load
// of orders, and tells it, at once: a MAC is silent before its macvlan is made
// or its addresses go, and open before its addresses come, so that what the
// kernel sends on their arrival (MLD reports) is not lost.
func (a *applier) macs(orders []*order) {
	queued := false
	for _, o := range orders {
		queued = a.queueMAC(o) || queued
	}
	if !queued {
		return
	}
	if err := a.veil.Flush(); err != nil {
		for _, o := range orders {
			if o.VirtualMAC != nil {
				o.noMAC = err.Error()
			}
		}
	}
	for _, o := range orders {
		a.ensureMAC(o)
	}
}

// queueMAC reports whether it queued anything for the firewall.
func (a *applier) queueMAC(o *order) bool {
	old, queued := a.macOf[o.Router], false
	if old != nil && (o.VirtualMAC == nil || o.VirtualMAC.Parent != old.want.Parent || o.VirtualMAC.MAC != old.want.MAC) {
		a.retire(o.Router, old)
		old, queued = nil, true
	}
	if o.VirtualMAC == nil {
		return queued
	}
	if old == nil {
		old = &macState{want: *o.VirtualMAC}
		a.macOf[o.Router] = old
		a.veil.Silence(old.want.ParentName, old.want.MAC)
		a.used = true
	}
	o.mac = old
	switch {
	case o.Active && old.index != 0 && !old.open:
		old.open = true
		a.veil.Open(old.want.ParentName, old.want.MAC)
	case !o.Active && old.open:
		old.open = false
		a.veil.Silence(old.want.ParentName, old.want.MAC)
	}
	return true
}

// ensureMAC makes the macvlan of an order, if it is not there.
func (a *applier) ensureMAC(o *order) {
	m := o.mac
	if m == nil || m.index != 0 || o.noMAC != "" {
		return
	}
	a.parentOn(o, m)
	name := m.want.Name
	if name == "" {
		name = macvlan.VirtualMACName(m.want)
	}
	a.ledger.fact(macFact(name), true)
	_ = a.ledger.flush() // said with the next answer
	f, _, err := a.links.Ensure(m.want, aliasOf)
	if err != nil {
		o.noMAC = err.Error()
		a.ledger.noFact(macFact(name))
		return
	}
	m.index, m.name = f.Index, f.Name
	if f.Name != name { // adopted under another name
		a.ledger.noFact(macFact(name))
		a.ledger.fact(macFact(f.Name), true)
	}
	a.keeper.setMAC(m.index, true)
	if o.Active { // wanted at once, which the loop does only after a loss
		m.open = true
		a.veil.Open(m.want.ParentName, m.want.MAC)
		if err := a.veil.Flush(); err != nil {
			o.noMAC = err.Error()
		}
	}
}

// retire takes a macvlan away, at the end of the work and all together: each
// alone would cost 13–18 ms under the kernel's global lock.
func (a *applier) retire(id actions.RouterID, m *macState) {
	delete(a.macOf, id)
	a.veil.Silence(m.want.ParentName, m.want.MAC)
	a.doomed = append(a.doomed, m)
}

// bury removes what has been retired.
func (a *applier) bury() {
	if len(a.doomed) == 0 {
		return
	}
	doomed := a.doomed
	a.doomed = nil
	_ = a.veil.Flush() // the links go right away; an error is said at the next wish
	var indexes []int
	for _, m := range doomed {
		if m.index != 0 {
			a.keeper.setMAC(m.index, false)
			indexes = append(indexes, m.index)
		}
	}
	err := a.links.Remove(indexes...)
	for _, m := range doomed {
		if err == nil && m.name != "" {
			a.ledger.noFact(macFact(m.name))
		}
		a.parentOff(m)
	}
	_ = a.veil.Flush()
}

// Parents with macvlans answer ARP for themselves alone, and get their settings
// back when the last macvlan has gone.

// parentState is one parent in use.
type parentState struct {
	users  int
	before map[string]string
}

func (a *applier) parentOn(o *order, m *macState) {
	if m.parented {
		return
	}
	m.parented = true
	v := m.want
	p := a.parents[v.ParentName]
	if p == nil {
		p = &parentState{}
		a.parents[v.ParentName] = p
		before, err := a.links.Parent(v.ParentName)
		if err != nil {
			o.notes = append(o.notes, fmt.Sprintf("%s may answer ARP for the virtual addresses with its own MAC as well: %v", v.ParentName, err))
		}
		p.before = before
		for key, value := range before {
			a.ledger.fact(parentFact(v.ParentName, key, value), true)
		}
	}
	p.users++
}

func (a *applier) parentOff(m *macState) {
	v := m.want
	p := a.parents[v.ParentName]
	if p == nil || !m.parented {
		return
	}
	m.parented = false
	// Not silent any more: there is nothing left to be heard.
	a.veil.Open(v.ParentName, v.MAC)
	if p.users--; p.users > 0 {
		return
	}
	delete(a.parents, v.ParentName)
	a.veil.Forget(v.ParentName)
	if err := a.links.RestoreParent(v.ParentName, p.before); err != nil {
		return // the ledger remembers
	}
	for key, value := range p.before {
		a.ledger.noFact(parentFact(v.ParentName, key, value))
	}
}

func macFact(name string) string { return "macvlan " + name }

func parentFact(parent, key, value string) string {
	return "parent " + strings.Join([]string{parent, key, value}, " ")
}

// lostMAC makes a macvlan anew that somebody has deleted, with everything on it.
func (a *applier) lostMAC(index int) {
	for id, m := range a.macOf {
		if m.index != index {
			continue
		}
		a.keeper.setMAC(index, false)
		m.index, m.open = 0, false
		a.veil.Silence(m.want.ParentName, m.want.MAC)
		for at, h := range a.holdings {
			if at.link == index && h.router == id {
				delete(a.holdings, at)
				delete(a.waiting, at)
				a.keeper.setHeld(at, false)
				a.ledger.gone(at)
			}
		}
		current := a.routers[id]
		if current == nil || !a.kernel.up(m.want.Parent) {
			return // the parent has gone as well; the loop will say what is wanted then
		}
		name := m.name
		o := &order{wish: current.wish, mac: m}
		_ = a.veil.Flush()
		a.ensureMAC(o)
		a.settleOrder(o)
		a.routers[id] = o
		a.addAll(o)
		r := actions.Restored{Router: id, What: "macvlan " + name, Culprit: "unknown"}
		if o.noMAC != "" {
			r.Err = o.noMAC
		} else if e := o.errs.String(); e != "" {
			r.Err = e
		}
		a.keeper.options.Post(r)
		return
	}
}

// refuse queues accept mode for what an order adds or removes.
func (a *applier) refuse(list []resolved, yes bool) {
	for _, p := range list {
		r := firewall.Refused{Addr: p.Prefix.Addr()}
		if r.Addr.IsLinkLocalUnicast() {
			r.Link = p.name
		}
		if yes {
			a.veil.Refuse(r)
		} else {
			a.veil.Accept(r)
		}
	}
}

// verifyVeil rebuilds the tables if somebody has touched them.
func (a *applier) verifyVeil() {
	if len(a.macOf) == 0 && !a.refusing {
		return
	}
	ok, err := a.veil.Check()
	if err != nil || ok {
		return // it could not be told; the next look may
	}
	r := actions.Restored{What: "the nftables tables of backbeat", Culprit: "unknown"}
	if err := a.veil.Flush(); err != nil {
		r.Err = err.Error()
	}
	for id := range a.macOf {
		r.Router = id // it concerns them all; one says it
		break
	}
	for id, o := range a.routers {
		if r.Router == 0 && o.Refuse {
			r.Router = id
		}
	}
	a.keeper.options.Post(r)
}
