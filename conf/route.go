package conf

import (
	"fmt"
	"net/netip"
	"slices"

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
		Scope: uint8(b.get("scope").num), OnLink: b.get("on_link").yes, MTU: uint32(b.get("mtu").num)}
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
		if err != nil || a.IsMulticast() || a.IsUnspecified() || a.Zone() != "" || a.Is4In6() {
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
	case x.Kind == 0 && b.get("via").text == "" && x.Interface == "":
		d.errorf(b.header, "A route to nowhere", "Say where it leads: via, interface, or a kind like \"blackhole\".")
		ok = false
	case x.Kind == 0 && !x.Via.IsValid() && x.Scope == 0 && family == vrrp.IPv4:
		x.Scope = uint8(scopes["link"])
	case x.Via.IsValid() && slices.ContainsFunc(r.addresses, func(a placedAddress) bool { return a.Prefix.Addr() == x.Via }):
		d.errorf(b.get("via").at, "via is this host itself", "%s is an address of this virtual router: write the next hop's.", x.Via)
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
	} else if v := b.get("fwmask"); v.written && v.ok {
		d.warnf(v.at, "fwmask does nothing", "There is no fwmark beside it. Remove it, or add fwmark.")
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
