package sim

import (
	"net/netip"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// wish is the latest wish of one router and what the kernel made of it.
type wish struct {
	actions.Wanted
	at      time.Duration
	applied bool
}

// key is the virtual router whose addresses are wanted.
func (k *wish) key() key {
	return key{vrrp.FamilyOf(k.Addresses[0].Addr()), VirtualRouterOf(k.Addresses[0])}
}

// resetKernel leaves the interface with its own addresses only.
func (h *Host) resetKernel() {
	h.kernel = nil
	for _, p := range append(slices.Clone(h.own), h.owned...) {
		h.kernel = append(h.kernel, kernelAddress{p, 0})
	}
}

// holds reports whether an address is on the interface.
func (h *Host) holds(p netip.Prefix) bool {
	return slices.ContainsFunc(h.kernel, func(a kernelAddress) bool { return a.prefix.Addr() == p.Addr() })
}

// level is the interface as the watcher would find it now.
func (h *Host) level() actions.LinkChanged {
	l := actions.LinkChanged{Name: Interface, Index: h.index}
	if h.index == 0 {
		return l
	}
	l.Up, l.MAC, l.MTU = h.up, [6]byte{2, 0, 0, 0, h.mac, byte(h.ID + 1)}, 1500
	if !h.up {
		l.Detail = "no carrier"
	}
	for _, a := range h.kernel {
		l.Addresses = append(l.Addresses, actions.LinkAddress{Prefix: a.prefix})
	}
	return l
}

// notify tells the watcher that something changed. It reports what it finds
// when it looks, so two changes in a row become two equal levels or one.
func (h *Host) notify() {
	p := h.proc
	if p == nil {
		return
	}
	h.lan.After(noticeDelay, func() {
		if !p.dead && p.watched[Interface] {
			p.post(h.level())
		}
	})
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
			case n == Interface:
				p.post(p.host.level())
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
	answer := actions.Applied{Router: k.Router, Term: k.Term, Held: len(k.Addresses) > 0, Took: p.lan().now - k.at}
	if p.wishes[k.Router] != k {
		if p.lan().chance(0.3) {
			p.post(answer)
		}
		return
	}
	k.applied = true
	for _, a := range slices.Clone(h.kernel) {
		if a.router == k.Router && !slices.Contains(k.Addresses, a.prefix) {
			h.remove(a.prefix)
		}
	}
	for _, a := range k.Addresses {
		switch {
		case h.index == 0 || h.index != k.Link:
			answer.Err = "no such device"
		case !h.holds(a):
			h.add(a, k.Router)
		}
	}
	if k.Final {
		delete(p.wishes, k.Router)
	}
	h.lan.watch.dirty = true
	p.post(answer)
}

func (h *Host) add(p netip.Prefix, r actions.RouterID) {
	h.lan.note(h, "+ %s", p)
	if h.newerFirst {
		h.kernel = slices.Insert(h.kernel, 0, kernelAddress{p, r})
	} else {
		h.kernel = append(h.kernel, kernelAddress{p, r})
	}
	h.notify()
}

func (h *Host) remove(p netip.Prefix) {
	h.lan.note(h, "- %s", p)
	h.kernel = slices.DeleteFunc(h.kernel, func(a kernelAddress) bool { return a.prefix == p })
	h.notify()
}

// Steal removes one of the daemon's addresses, as another tool would. The
// keeper puts it back if it is still wanted.
func (h *Host) Steal() {
	i := slices.IndexFunc(h.kernel, func(a kernelAddress) bool { return a.router != 0 })
	if i < 0 {
		return
	}
	a, p := h.kernel[i], h.proc
	h.lan.note(h, "another tool removes %s", a.prefix)
	h.remove(a.prefix)
	if p != nil {
		h.lan.After(max(noticeDelay, h.resumeAt-h.lan.now), func() { p.restore(a) })
	}
}

func (p *process) restore(a kernelAddress) {
	k := p.wishes[a.router]
	if p.dead || k == nil || !k.applied || !slices.Contains(k.Addresses, a.prefix) || p.host.index != k.Link || p.host.holds(a.prefix) {
		return
	}
	p.host.add(a.prefix, a.router)
	p.post(actions.Restored{Router: a.router, Address: a.prefix, Culprit: "another tool", Took: noticeDelay})
}
