package conf

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// routeKinds are the RTN_… types (linux/rtnetlink.h).
var routeKinds = map[string]uint8{"unicast": 1, "blackhole": 6, "unreachable": 7, "prohibit": 8}

// mainTable is RT_TABLE_MAIN, which the daemon's values write as 0.
const mainTable = 254

func table(v value) uint32 {
	if v.num == mainTable {
		return 0
	}
	return uint32(v.num)
}

// routes converts the route blocks that belong to this election.
func (d *decoder) routes(r *router) {
	for _, b := range r.sec.all("route") {
		if x, ok := d.route(b, r); ok && (!r.both || vrrp.FamilyOf(x.Dst.Addr()) == r.cfg.Spec.Family) {
			r.cfg.Routes = append(r.cfg.Routes, x)
		}
	}
}

func (d *decoder) route(b *section, r *router) (x actions.Route, ok bool) {
	x = actions.Route{Interface: d.interfaceName(b.get("interface"), r.cfg.Interface), Table: table(b.get("table")), Metric: uint32(b.get("metric").num),
		Scope: scopes[b.get("scope").text], OnLink: b.get("on_link").yes, MTU: uint32(b.get("mtu").num)}
	if x.Kind = routeKinds[b.get("kind").text]; x.Kind == 1 {
		x.Kind = 0
	}
	if b.get("interface").written && x.Interface == "" {
		x.Interface = r.cfg.Interface
	}
	ok = true
	address := func(name string) (a netip.Addr) {
		v := b.get(name)
		if v.text == "" {
			return a
		}
		a, err := netip.ParseAddr(v.text)
		if err != nil || a.IsMulticast() || a.IsUnspecified() || a.Zone() != "" {
			d.errorf(v.at, fmt.Sprintf("Unusable %s", name), "%q is not an address without a prefix length.", v.text)
			ok = false
		}
		return a
	}
	x.Via, x.Source = address("via"), address("source")
	if b.name == "default" {
		x.Dst = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if x.Via.Is6() || !x.Via.IsValid() && r.cfg.Spec.Family == vrrp.IPv6 {
			x.Dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
	} else if x.Dst, ok = d.network(b, ok); !ok {
		return x, false
	}
	family := vrrp.FamilyOf(x.Dst.Addr())
	for name, a := range map[string]netip.Addr{"via": x.Via, "source": x.Source} {
		if a.IsValid() && vrrp.FamilyOf(a) != family {
			d.errorf(b.get(name).at, name+" of the other family", "The destination is %s.", familyName(family))
			ok = false
		}
	}
	switch {
	case x.Kind != 0 && (x.Via.IsValid() || x.Interface != ""):
		d.errorf(b.header, "A "+b.get("kind").text+" route leads nowhere", "Remove via and interface, or kind.")
	case x.OnLink && !x.Via.IsValid():
		d.errorf(b.get("on_link").at, "on_link without via", "It says that via is on the link. Remove it, or add via.")
	case x.Kind == 0 && !x.Via.IsValid() && x.Interface == "":
		// Over the router's own interface.
		if x.Scope == 0 && family == vrrp.IPv4 {
			x.Scope = scopes["link"]
		}
	case x.Kind == 0 && !x.Via.IsValid() && x.Scope == 0 && family == vrrp.IPv4:
		x.Scope = scopes["link"]
	}
	return x, ok
}

// network reads the destination of a route.
func (d *decoder) network(b *section, ok bool) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(b.name)
	if err != nil {
		if a, e := netip.ParseAddr(b.name); e == nil && a.Zone() == "" {
			return netip.PrefixFrom(a, a.BitLen()), ok
		}
		d.errorf(b.nameRange, "Not a network", "%q is neither \"default\" nor a network like \"198.51.100.0/24\".", b.name)
		return p, false
	}
	if p != p.Masked() {
		d.errorf(b.nameRange, "Not a network", "%q has bits behind its length: write %q.", p, p.Masked())
		return p, false
	}
	return p, ok
}

// rules converts the rule blocks that belong to this election.
func (d *decoder) rules(r *router) {
	for _, b := range r.sec.all("rule") {
		if x, ok := d.rule(b); ok && (!r.both || x.IPv6 == (r.cfg.Spec.Family == vrrp.IPv6)) {
			r.cfg.Rules = append(r.cfg.Rules, x)
		}
	}
}

func (d *decoder) rule(b *section) (x actions.Rule, ok bool) {
	x = actions.Rule{In: d.interfaceName(b.get("iif"), ""), Out: d.interfaceName(b.get("oif"), ""), Mark: uint32(b.get("fwmark").num),
		Table: table(b.get("table")), Priority: uint32(b.get("priority").num)}
	if x.Mark != 0 {
		x.Mask = uint32(b.get("fwmask").num)
	}
	ok = b.get("priority").ok && b.get("table").ok
	family := map[string]vrrp.Family{"ipv4": vrrp.IPv4, "ipv6": vrrp.IPv6}[b.get("family").text]
	selector := func(name string) (p netip.Prefix) {
		v := b.get(name)
		if v.text == "" {
			return p
		}
		p, err := netip.ParsePrefix(v.text)
		if a, e := netip.ParseAddr(v.text); err != nil && e == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil || p != p.Masked() {
			d.errorf(v.at, "Not a network", "%q is not a network like \"192.0.2.0/24\".", v.text)
			ok = false
			return p
		}
		switch f := vrrp.FamilyOf(p.Addr()); {
		case family == 0:
			family = f
		case family != f:
			d.errorf(v.at, name+" of the other family", "One rule is for one family.")
			ok = false
		}
		return p
	}
	x.From, x.To = selector("from"), selector("to")
	x.IPv6 = family == vrrp.IPv6
	switch {
	case !ok:
	case !x.From.IsValid() && !x.To.IsValid() && x.In == "" && x.Out == "" && x.Mark == 0:
		d.errorf(b.header, "A rule for everything", "Say which packets it is for: from, to, iif, oif or fwmark.")
		ok = false
	case family == 0:
		d.errorf(b.header, "A rule of no family", "Neither from nor to says whether it is for IPv4 or IPv6: add family.")
		ok = false
	}
	return x, ok
}

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
	out.Interval, out.Lifetime = b.get("interval").time, b.get("lifetime").time
	out.Managed, out.Other, out.Preference = b.get("managed").yes, b.get("other").yes, b.get("preference").text
	out.HopLimit, out.MTU = uint8(b.get("hop_limit").num), uint32(b.get("mtu").num)
	if v := b.get("lifetime"); v.ok && v.time != 0 && v.time < out.Interval {
		d.errorf(v.at, "lifetime is shorter than interval", "Hosts would forget their router between two advertisements (RFC 4861 6.2.1). Make it %s or more, or 0.", short(out.Interval))
	}
	if v := b.get("lifetime"); v.ok && v.time%time.Second != 0 {
		d.errorf(v.at, "lifetime is not whole seconds", "Router Lifetime counts seconds (RFC 4861 4.2).")
	}
	if v := b.get("mtu"); v.ok && v.num != 0 && v.num < 1280 {
		d.errorf(v.at, "mtu is out of range", "IPv6 needs at least 1280 (RFC 8200 5).")
	}
	for i, text := range b.get("prefixes").texts {
		p, err := netip.ParsePrefix(text)
		if err != nil || !p.Addr().Is6() || p.Bits() != 64 || p != p.Masked() || p.Addr().IsLinkLocalUnicast() {
			d.errorf(b.get("prefixes").each[i], "Unusable prefix", "%q is not an IPv6 network of 64 bits like \"2001:db8:122::/64\": hosts make addresses of no other (RFC 4862 5.5.3).", text)
			continue
		}
		out.Prefixes = append(out.Prefixes, p)
	}
	for i, text := range b.get("dns").texts {
		a, err := netip.ParseAddr(text)
		if err != nil || !a.Is6() || a.Is4In6() || a.IsMulticast() || a.Zone() != "" {
			d.errorf(b.get("dns").each[i], "Unusable DNS server", "%q is not an IPv6 address.", text)
			continue
		}
		out.DNS = append(out.DNS, a)
	}
	if !b.get("prefixes").written {
		out.Prefixes = ownNetworks(r)
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
