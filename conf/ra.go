package conf

import (
	"net/netip"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// routerAdvert converts router_advertisements and the block ra.
func (d *decoder) routerAdvert(r *router) (out actions.RouterAdvertSpec) {
	on := r.sec.get("router_advertisements")
	out.On = on.text == "on" && (!r.both || r.cfg.Spec.Family == vrrp.IPv6)
	blocks := r.sec.all("ra")
	switch {
	case on.text == "on" && r.cfg.Spec.Family == vrrp.IPv4 && !r.both:
		d.errorf(on.at, "Router Advertisements without an IPv6 election", "They come from the virtual router's link-local address, which an IPv4 election does not have. Put it first, or say election = \"both\".")
	case on.text != "on" && len(blocks) > 0 && on.ok:
		d.warnf(blocks[0].header, "ra does nothing", "It says what is in Router Advertisements, and they are off: add router_advertisements = \"on\".")
	case out.On && !r.cfg.VirtualMAC:
		d.warnf(on.at, "Router Advertisements without virtual_mac", "Hosts learn this host's MAC as their router's, and must learn another one at each failover. Add virtual_mac = true where the network allows it.")
	}
	if !out.On {
		return actions.RouterAdvertSpec{}
	}
	b := d.sectionOrDefaults(r.sec, "ra")
	out.Interval, out.Lifetime = b.get("interval").time, d.raLifetime(b)
	out.Managed, out.Other, out.Preference = b.get("managed").yes, b.get("other").yes, b.get("preference").text
	out.HopLimit, out.MTU = uint8(b.get("hop_limit").num), uint32(b.get("mtu").num)
	if v := b.get("mtu"); v.ok && v.num != 0 && v.num < minIPv6MTU {
		d.errorf(v.at, "mtu is out of range", "IPv6 needs at least %d (RFC 8200 5).", minIPv6MTU)
	}
	if v := b.get("preference"); v.ok && v.written && v.text != "medium" && out.Lifetime == 0 && b.get("lifetime").ok {
		d.warnf(v.at, "preference does nothing", "With lifetime = \"0s\" this is no default router, and hosts are told no preference (RFC 4191 2.2). Remove one of the two.")
	}
	out.Prefixes, out.DNS = d.raPrefixes(b.get("prefixes")), d.raServers(b.get("dns"))
	if !b.get("prefixes").written {
		out.Prefixes = ownNetworks(r)
	}
	return out
}

// minIPv6MTU is what every IPv6 link can carry, in bytes (RFC 8200 5).
const minIPv6MTU = 1280

// raLifetime is Router Lifetime: three intervals if nothing is said (RFC 4861
// 6.2.1), in the whole seconds it is sent in.
func (d *decoder) raLifetime(b *section) time.Duration {
	v, interval := b.get("lifetime"), b.get("interval")
	switch {
	case !v.written:
		return (3*interval.time + time.Second - 1).Truncate(time.Second)
	case v.ok && interval.ok && v.time != 0 && v.time < interval.time:
		d.errorf(v.at, "lifetime is shorter than interval", "Hosts would forget their router between two advertisements (RFC 4861 6.2.1). Make it %s or more, or 0s.", short(interval.time))
	case v.ok && v.time%time.Second != 0:
		d.errorf(v.at, "lifetime is not whole seconds", "Router Lifetime counts seconds (RFC 4861 4.2): write %q.", short(v.time.Truncate(time.Second)+time.Second))
	}
	return v.time
}

func (d *decoder) raPrefixes(v value) (out []netip.Prefix) {
	seen := make(map[netip.Prefix]bool)
	for i, text := range v.texts {
		p, err := netip.ParsePrefix(text)
		a := p.Addr()
		switch {
		case err != nil || !a.Is6() || p.Bits() != 64 || p != p.Masked() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified():
			d.errorf(v.each[i], "Unusable prefix", "%q is not an IPv6 network of 64 bits like \"2001:db8:122::/64\": hosts make addresses of no other (RFC 4862 5.5.3).", text)
		case seen[p]:
			d.errorf(v.each[i], "Prefix given twice", "%s is in this list already. Remove one of the two.", p)
		default:
			out = append(out, p)
		}
		seen[p] = true
	}
	return out
}

func (d *decoder) raServers(v value) (out []netip.Addr) {
	for i, text := range v.texts {
		a, err := netip.ParseAddr(text)
		if err != nil || !a.Is6() || a.Is4In6() || a.IsMulticast() || a.IsUnspecified() || a.Zone() != "" {
			d.errorf(v.each[i], "Unusable DNS server", "%q is not an IPv6 address.", text)
			continue
		}
		out = append(out, a)
	}
	return out
}

// ownNetworks are the /64s of the router's own addresses on its own interface.
func ownNetworks(r *router) (out []netip.Prefix) {
	seen := map[netip.Prefix]bool{}
	for i := range r.cfg.Addresses {
		a := &r.cfg.Addresses[i]
		p := a.Prefix.Masked()
		if a.Interface == "" && p.Bits() == 64 && p.Addr().Is6() && !p.Addr().IsLinkLocalUnicast() && !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	return out
}
