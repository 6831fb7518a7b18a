package sim

import (
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// wish is the latest wish of one router and what the kernel made of it.
type wish struct {
	actions.Wanted
	at      time.Duration
	applied bool
}

// key is the virtual router whose addresses are wanted.
func (k *wish) key() key { return keyOfAddress(k.Addresses[0].Prefix) }

// place returns where the wish wants an address, nil if it does not.
func (k *wish) place(a kernelAddress, n *nic) *actions.Place {
	for i := range k.Addresses {
		if p := &k.Addresses[i]; p.Prefix == a.prefix && p.Link == n.index {
			return p
		}
	}
	return nil
}

// onMAC reports whether a place is on the router's macvlan.
func (k *wish) onMAC(p *actions.Place) bool {
	return k.VirtualMAC != nil && p.Interface == "" && p.Link == k.VirtualMAC.Parent
}

// watch reports every name at once, as address.Keeper does, and then on change.
func (p *process) watch(names []string) {
	clear(p.watched)
	for _, n := range names {
		p.watched[n] = true
	}
	p.lan().After(noticeDelay, func() {
		for _, n := range names {
			switch {
			case p.dead || !p.watched[n]:
			case linkOf(n) < len(p.host.nics):
				p.post(p.host.nics[linkOf(n)].level())
			default:
				p.post(actions.LinkChanged{Name: n})
			}
		}
	})
}

// Want takes a wish; the kernel is so some time later.
func (p *process) Want(w actions.Wanted) {
	k := &wish{Wanted: w, at: p.lan().now}
	p.lan().watch.wanted(p, k)
	p.wishes[w.Router] = k
	p.lastID = max(p.lastID, w.Router)
	d := p.lan().opt.KernelDelay
	p.lan().After(p.lan().between(d/4, d), func() { p.apply(k) })
}

// apply makes the kernel so and answers. A wish that a newer one replaced is
// not carried out; the answer to it may come all the same.
func (p *process) apply(k *wish) {
	h := p.host
	if p.dead {
		return
	}
	if h.stalled() { // the keeper is part of the process
		p.lan().queue.push(h.resumeAt, func() { p.apply(k) })
		return
	}
	answer := actions.Applied{Router: k.Router, Term: k.Term, Held: k.Active, Took: p.lan().now - k.at}
	if p.wishes[k.Router] != k {
		if p.lan().chance(0.3) {
			p.post(answer)
		}
		return
	}
	k.applied = true
	answer.NoVirtualMAC = h.makeMAC(k)
	h.removeUnwanted(k)
	for i := range k.Addresses {
		switch a := &k.Addresses[i]; {
		case h.nic(a.Link) == nil:
			answer.Err = "no such device"
			p.count.failures++
		case k.onMAC(a) && answer.NoVirtualMAC != "":
		case !h.nic(a.Link).holds(a.Prefix.Addr()):
			h.nic(a.Link).add(a.Prefix, k.Router, k.onMAC(a))
		}
	}
	h.setSilence(k)
	if k.Final {
		delete(p.wishes, k.Router)
	}
	h.lan.watch.dirty = true
	p.post(answer)
}

// makeMAC makes the wanted macvlan, silent, or removes what is not wanted, and
// says why there is none.
func (h *Host) makeMAC(k *wish) string {
	for _, n := range h.nics {
		m := n.macvlans[k.Router]
		if m != nil && (k.VirtualMAC == nil || k.VirtualMAC.Parent != n.index) {
			delete(n.macvlans, k.Router)
		} else if m != nil && !k.Active {
			m.silent = true // before the addresses go
		}
	}
	v := k.VirtualMAC
	if v == nil {
		return ""
	}
	n := h.nic(v.Parent)
	switch {
	case n == nil:
		return "no such device"
	case n.macvlans[k.Router] != nil:
		return ""
	case h.noMACs:
		return "operation not permitted"
	}
	n.macvlans[k.Router] = &macvlan{mac: v.MAC, silent: true}
	return ""
}

func (h *Host) removeUnwanted(k *wish) {
	for _, n := range h.nics {
		for _, a := range slices.Clone(n.kernel) {
			if a.router == k.Router && k.place(a, n) == nil {
				n.remove(a.prefix)
			}
		}
	}
}

func (h *Host) setSilence(k *wish) {
	for _, n := range h.nics {
		if m := n.macvlans[k.Router]; m != nil {
			m.silent = !k.Active
		}
	}
}

// Steal removes one of the daemon's addresses, as another tool would. The
// keeper puts it back if it is still wanted.
func (h *Host) Steal() {
	for _, n := range h.nics {
		i := slices.IndexFunc(n.kernel, func(a kernelAddress) bool { return a.router != 0 })
		if i < 0 {
			continue
		}
		a, p := n.kernel[i], h.proc
		h.lan.note(h, "another tool removes %s", a.prefix)
		n.remove(a.prefix)
		if p != nil {
			h.lan.After(max(noticeDelay, h.resumeAt-h.lan.now), func() { p.restore(n, a) })
		}
		return
	}
}

func (p *process) restore(n *nic, a kernelAddress) {
	k := p.wishes[a.router]
	if p.dead || k == nil || !k.applied || k.place(a, n) == nil || n.holds(a.prefix.Addr()) {
		return
	}
	n.add(a.prefix, a.router, a.onMAC)
	p.post(actions.Restored{Router: a.router, Address: a.prefix, Culprit: "another tool", Took: noticeDelay})
}
