package simlan

import (
	"net/netip"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// expired is who has removed an address whose lifetime has ended.
const expired = "the kernel (its lifetime ended: this host did not run)"

// Renew says that routers are alive: what they hold lives on for its lifetime, and
// what has gone meanwhile comes back.
func (p *Process) Renew(routers []actions.RouterID) {
	for _, r := range routers {
		k := p.Wishes[r]
		if k == nil || !k.Applied || !k.Active || k.Lifetime <= 0 {
			continue
		}
		for i := range k.Addresses {
			a := &k.Addresses[i]
			switch n := p.Host.NIC(a.Link); {
			case n == nil:
			case n.prolong(a.Prefix, k):
			case !n.Holds(a.Prefix.Addr()):
				gone := KernelAddress{Prefix: a.Prefix, Router: r, onMAC: k.onMAC(a)}
				p.lan().After(NoticeDelay, func() { p.restore(n, gone, expired) })
			}
		}
	}
}

// prolong gives an address of a wish another lifetime and reports whether it is there.
func (n *NIC) prolong(p netip.Prefix, k *Wish) bool {
	for i := range n.Kernel {
		a := &n.Kernel[i]
		if a.Router != k.Router || a.Prefix != p {
			continue
		}
		fresh := a.until == 0
		if a.until = n.host.lan.now + k.Lifetime; fresh {
			n.expire(*a)
		}
		return true
	}
	return false
}

// expire removes an address when its time has come, unless it has got more.
func (n *NIC) expire(of KernelAddress) {
	n.host.lan.At(of.until, func() {
		for _, a := range n.Kernel {
			if a.Prefix != of.Prefix || a.Router == 0 { // it may have been handed over
				continue
			}
			switch now := n.host.lan.now; {
			case a.until == 0: // for ever, since it was handed over
			case a.until > now:
				n.expire(a)
			case n.host.paused: // its clock stands still
				a.until = now + time.Second
				n.expire(a)
			default:
				n.remove(a.Prefix)
			}
			return
		}
	})
}
