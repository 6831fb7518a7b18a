package simlan

import (
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// Wish is the latest wish of one router and what the kernel made of it.
type Wish struct {
	actions.Wanted
	At      time.Duration
	Applied bool
	leaves  []actions.Place // what the process before held, and this one does not want
}

// place returns where the wish wants an address, nil if it does not.
func (k *Wish) place(a KernelAddress, n *NIC) *actions.Place {
	for i := range k.Addresses {
		if p := &k.Addresses[i]; p.Prefix == a.Prefix && p.Link == n.Index {
			return p
		}
	}
	return nil
}

// onMAC reports whether a place is on the router's macvlan.
func (k *Wish) onMAC(p *actions.Place) bool {
	return k.VirtualMAC != nil && p.Interface == "" && p.Link == k.VirtualMAC.Parent
}

// watch reports every name at once, as address.Keeper does, and then on change.
func (p *Process) watch(names []string) {
	clear(p.watched)
	for _, n := range names {
		p.watched[n] = true
	}
	p.lan().After(NoticeDelay, func() {
		for _, n := range names {
			at := p.Host.Named(n)
			switch {
			case p.dead || !p.watched[n]:
			case at != nil:
				p.Post(at.level())
			default:
				p.Post(actions.LinkChanged{Name: n})
			}
		}
	})
}

// Want takes a wish; the kernel is so some time later.
func (p *Process) Want(w actions.Wanted) {
	k := &Wish{Wanted: w, At: p.lan().now}
	if k.Inherited {
		k.leaves, k.Addresses, k.Routes, k.Rules = k.Addresses, nil, nil, nil
	}
	p.Witness.Wanted(k)
	p.Wishes[w.Router] = k
	p.lastID = max(p.lastID, w.Router)
	d := p.lan().Opt.KernelDelay
	p.lan().After(p.lan().Between(d/4, d), func() { p.apply(k) })
}

// apply makes the kernel so and answers. A wish that a newer one replaced is
// not carried out; the answer to it may come all the same.
func (p *Process) apply(k *Wish) {
	h := p.Host
	if p.dead {
		return
	}
	if h.Stalled() { // the keeper is part of the process
		p.lan().At(h.ResumeAt, func() { p.apply(k) })
		return
	}
	answer := actions.Applied{Router: k.Router, Term: k.Term, Held: k.Active, Took: p.lan().now - k.At}
	if p.Wishes[k.Router] != k {
		if p.lan().Chance(0.3) {
			p.Post(answer)
		}
		return
	}
	k.Applied = true
	answer.NoVirtualMAC = h.makeMAC(k)
	h.RemoveUnwanted(k)
	for i := range k.Addresses {
		switch a := &k.Addresses[i]; {
		case h.NIC(a.Link) == nil:
			answer.Err = "no such device"
			p.Witness.Missed(k)
		case k.onMAC(a) && answer.NoVirtualMAC != "":
		case h.NIC(a.Link).Holds(a.Prefix.Addr()):
			h.NIC(a.Link).take(k, a)
		default:
			h.NIC(a.Link).add(a.Prefix, k.Router, k.onMAC(a))
		}
	}
	p.Renew([]actions.RouterID{k.Router})
	h.setSilence(k)
	if k.Final {
		delete(p.Wishes, k.Router)
	}
	p.Witness.Applied(k)
	p.Post(answer)
}

// makeMAC makes the wanted macvlan, silent, or removes what is not wanted, and
// says why there is none.
func (h *Host) makeMAC(k *Wish) string {
	for _, n := range h.nics {
		m := n.MACVLANs[k.Router]
		if m != nil && (k.VirtualMAC == nil || k.VirtualMAC.Parent != n.Index) {
			delete(n.MACVLANs, k.Router)
		} else if m != nil && !k.Active {
			m.Silent = true // before the addresses go
		}
	}
	v := k.VirtualMAC
	if v == nil {
		return ""
	}
	n := h.NIC(v.Parent)
	switch {
	case n == nil:
		return "no such device"
	case n.MACVLANs[k.Router] != nil:
		return ""
	case h.NoMACs && !slices.ContainsFunc(n.inherited, func(m *MACVLAN) bool { return m.MAC == v.MAC }):
		return "operation not permitted"
	}
	if n.MACVLANs[k.Router] = n.inherit(v.MAC); n.MACVLANs[k.Router] == nil {
		n.MACVLANs[k.Router] = &MACVLAN{MAC: v.MAC, Silent: true}
	}
	return ""
}

// RemoveUnwanted takes off what a wish no longer names.
func (h *Host) RemoveUnwanted(k *Wish) {
	for _, n := range h.nics {
		for _, a := range slices.Clone(n.Kernel) {
			if a.Router == k.Router && k.place(a, n) == nil {
				n.remove(a.Prefix)
			}
			if a.Router == adopted && slices.ContainsFunc(k.leaves, func(p actions.Place) bool { return p.Prefix == a.Prefix && p.Link == n.Index }) {
				n.remove(a.Prefix)
			}
		}
	}
}

func (h *Host) setSilence(k *Wish) {
	for _, n := range h.nics {
		if m := n.MACVLANs[k.Router]; m != nil {
			m.Silent = !k.Active
		}
	}
}

func (p *Process) restore(n *NIC, a KernelAddress, culprit string) {
	k := p.Wishes[a.Router]
	if p.dead || k == nil || !k.Applied || k.place(a, n) == nil || n.Holds(a.Prefix.Addr()) {
		return
	}
	n.add(a.Prefix, a.Router, a.onMAC)
	p.Post(actions.Restored{Router: a.Router, Address: a.Prefix, Culprit: culprit, Took: NoticeDelay})
}
