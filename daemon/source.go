package daemon

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// The primary address, and why there is none.

// source selects the primary address: the configured one, else the one in use
// while it is there, since it is the tie-break key and the advertised identity,
// else the first in the kernel's order that is not virtual. What the process before has
// left behind is not: this one may know nothing of the router it was for.
func (k *link) source(r *router) netip.Addr {
	k.refresh()
	if want := r.cfg.Source; want.IsValid() {
		for _, a := range k.level.Addresses {
			if a.Prefix.Addr() == want && !a.Tentative {
				return want
			}
		}
		return netip.Addr{}
	}
	list := k.usable[r.cfg.Spec.Family]
	if s := &r.cfg.Spec; s.Unicast() && s.Family == vrrp.IPv6 && !s.Peers[0].Addr.IsLinkLocalUnicast() {
		list = k.global // what peers elsewhere know us by, and can answer to
	}
	switch {
	case slices.Contains(list, r.fsm.Source()):
		return r.fsm.Source()
	case len(list) > 0:
		return list[0]
	default:
		return netip.Addr{}
	}
}

// refresh sorts the interface's addresses once per change, not once per router:
// an interface can have thousands of both.
func (k *link) refresh() {
	if k.fresh {
		return
	}
	k.fresh = true
	k.usable, k.global = map[vrrp.Family][]netip.Addr{}, nil
	k.present = make(map[netip.Addr]bool, len(k.level.Addresses))
	for _, a := range k.level.Addresses {
		addr := a.Prefix.Addr()
		f := vrrp.FamilyOf(addr)
		k.present[addr] = true
		if a.Tentative || k.virtual[addr] > 0 || a.Left && !k.owned(addr) {
			continue
		}
		if f == vrrp.IPv6 && !addr.IsLinkLocalUnicast() {
			k.global = append(k.global, addr)
			continue
		}
		k.usable[f] = append(k.usable[f], addr)
	}
}

// owned reports whether an address is an owner's, and so the interface's own whoever put
// it there.
func (k *link) owned(a netip.Addr) bool {
	return slices.ContainsFunc(k.routers, func(r *router) bool { return r.cfg.Owner && slices.Contains(r.cfg.Spec.Addresses, a) })
}

// noSource says why an interface has no address to send from.
func (k *link) noSource(cfg *RouterConfig) string {
	if cfg.Source.IsValid() {
		return fmt.Sprintf("source = %q is not on it (yet)", cfg.Source)
	}
	switch {
	case cfg.Spec.Family == vrrp.IPv6 && cfg.Spec.Unicast() && !cfg.Spec.Peers[0].Addr.IsLinkLocalUnicast():
		return "no usable global IPv6 address of its own, which the peers could know it by"
	case cfg.Spec.Family == vrrp.IPv6:
		return "no usable IPv6 link-local address"
	}
	for _, a := range k.level.Addresses {
		if addr := a.Prefix.Addr(); addr.Is4() && k.virtual[addr] > 0 {
			return fmt.Sprintf("its only IPv4 address, %s, is a virtual one: give it an address of its own, or say owner = true here", addr)
		}
	}
	return "no IPv4 address of its own"
}

func faultText(name string, st vrrp.LinkState) string {
	detail := ""
	if st.Detail != "" {
		detail = ": " + st.Detail
	}
	switch st.Fault {
	case vrrp.FaultInterfaceMissing:
		return fmt.Sprintf("interface %s does not exist", name)
	case vrrp.FaultInterfaceDown:
		return fmt.Sprintf("interface %s is down%s", name, detail)
	case vrrp.FaultNoPrimaryAddress:
		return fmt.Sprintf("interface %s has no address to send from%s", name, detail)
	case vrrp.FaultSocket:
		return fmt.Sprintf("interface %s%s", name, detail)
	case vrrp.FaultVirtualMAC:
		return fmt.Sprintf("no virtual MAC on interface %s%s", name, detail)
	case vrrp.FaultCheck:
		return "must not serve" + detail
	case vrrp.FaultService:
		return "the service group cannot be brought up here" + detail
	case vrrp.FaultStandby:
		return strings.TrimPrefix(detail, ": ")
	case vrrp.FaultGroup:
		return "another member of the sync group is out" + detail
	case vrrp.FaultPending:
		if st.Detail != "" {
			return "waiting for the first result of " + st.Detail
		}
		return fmt.Sprintf("interface %s is being looked at", name)
	default:
		return ""
	}
}
