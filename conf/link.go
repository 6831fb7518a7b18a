package conf

import (
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// version converts version and password, and what hangs on the version.
func (d *decoder) version(r *router) {
	s, spec := r.sec, &r.cfg.Spec
	spec.Version = uint8(s.get("version").num)
	version, pass, interval := s.get("version"), s.get("auth_pass"), s.get("interval")
	if spec.V() == vrrp.Version2 {
		switch {
		case r.both:
			d.errorf(version.at, "election = \"both\" with version 2", "VRRPv2 is for IPv4 alone (RFC 3768), and each family elects here. Use version 3, or remove election: IPv6 addresses then ride along.")
		case spec.Family == vrrp.IPv6:
			d.errorf(version.at, "VRRPv2 is for IPv4", "RFC 3768 knows no IPv6: use version 3, or put an IPv4 address first; IPv6 addresses then ride along.")
		}
		if interval.ok && (interval.time < time.Second || interval.time%time.Second != 0) {
			d.errorf(interval.at, "VRRPv2 counts in whole seconds", "%s is not a whole number of seconds from 1 to 255 (RFC 3768 5.3.7). Use \"1s\" or more, or version 3.", short(interval.time))
		}
	}
	if v := interval; spec.V() == vrrp.Version3 && v.ok && v.time > vrrp.MaxInterval && version.ok {
		d.outOfRange(r.sec.def.argument("interval"), short(v.time), v.at)
	}
	if !pass.written || !pass.ok {
		return
	}
	switch n := len(pass.text); {
	case spec.V() != vrrp.Version2:
		d.errorf(pass.at, "VRRPv3 has no authentication", "RFC 9568 section 9 gave it up. Remove auth_pass, or use version = 2.")
	case n == 0 || n > len(spec.Secret):
		d.errorf(pass.at, "Unusable password", "It has %d bytes, and VRRPv2 has room for 1 to %d (RFC 2338 5.3.6).", n, len(spec.Secret))
	default:
		copy(spec.Secret[:], pass.text)
		d.warnf(pass.at, "The password protects nothing", "It goes over the wire in clear, and RFC 3768 gave it up. Keep it only while peers need it, and remove it with them.")
	}
}

// cast converts to whom advertisements go, and from where.
func (d *decoder) cast(r *router) {
	s, spec := r.sec, &r.cfg.Spec
	r.cfg.Source = d.source(r)
	group, peers := s.get("multicast_group"), s.get("peers")
	switch addr, err := netip.ParseAddr(group.text); {
	case !group.written || !group.ok:
	case peers.written:
		d.errorf(group.at, "multicast_group beside peers", "Advertisements go to named peers or to a group. Remove one of the two.")
	case err != nil || !addr.IsMulticast() || addr.Zone() != "":
		d.errorf(group.at, "Not a multicast address", "%q is no group. The default is 224.0.0.18, for IPv6 ff02::12.", group.text)
	case vrrp.FamilyOf(addr) == spec.Family:
		spec.Group = addr
	case !r.both:
		d.errorf(group.at, "multicast_group of the other family", "%s elects here: write one of its groups, or none.", familyName(spec.Family))
	}
	if peers.ok && peers.written {
		d.peers(r)
		return
	}
	for _, name := range []string{"ttl", "ttl_min"} {
		if v := s.get(name); v.written && v.ok && !peers.written {
			d.warnf(v.at, name+" does nothing without peers", "To and from a multicast group the TTL is always 255 (RFC 9568 5.1.1.3). Remove it.")
		}
	}
}

// source is the address to send from, if one is given for the family.
func (d *decoder) source(r *router) netip.Addr {
	v := r.sec.get("source")
	if !v.written || !v.ok {
		return netip.Addr{}
	}
	addr, err := netip.ParseAddr(v.text)
	switch {
	case err != nil || notOneHost(addr):
		d.errorf(v.at, "Unusable source address", "%q is not an address of this host without a prefix length, like \"192.0.2.1\".", v.text)
	case vrrp.FamilyOf(addr) != r.cfg.Spec.Family && r.both:
	case vrrp.FamilyOf(addr) != r.cfg.Spec.Family && r.cfg.Spec.Family != 0:
		d.errorf(v.at, "source of the other family", "%s elects here, and advertisements come from an address of its own.", familyName(r.cfg.Spec.Family))
	case !r.cfg.Owner && r.holds(addr):
		d.errorf(v.at, "source is a virtual address", "%s moves between the hosts. Write the address that is this host's own.", addr)
	default:
		return addr
	}
	return netip.Addr{}
}

// notOneHost: what no host on a link can be known by.
func notOneHost(a netip.Addr) bool {
	return a.IsMulticast() || a.IsUnspecified() || a.IsLoopback() || a.Zone() != "" || a.Is4In6() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// holds reports whether an address is one of the virtual ones.
func (r *router) holds(addr netip.Addr) bool {
	return slices.ContainsFunc(r.addresses, func(a placedAddress) bool { return a.Prefix.Addr() == addr })
}

func (d *decoder) peers(r *router) {
	s, spec := r.sec, &r.cfg.Spec
	list := s.get("peers")
	bad := false
	refuse := func(at hcl.Range, summary, detail string, args ...any) {
		bad = true
		d.errorf(at, summary, detail, args...)
	}
	least := uint8(s.get("ttl_min").num)
	if spec.TTL = uint8(s.get("ttl").num); spec.TTL == vrrp.HopLimit {
		spec.TTL = 0
	}
	seen := make(map[netip.Addr]bool)
	for i, text := range list.texts {
		addr, err := netip.ParseAddr(text)
		at := list.each[i]
		switch {
		case err != nil || notOneHost(addr):
			refuse(at, "Unusable peer", "%q is not the address of another host, like \"192.0.2.2\". Host names are not looked up.", text)
		case vrrp.FamilyOf(addr) != spec.Family && r.both:
		case vrrp.FamilyOf(addr) != spec.Family && spec.Family != 0:
			refuse(at, "Peer of the other family", "%s elects here: write the peer's address of that family.", familyName(spec.Family))
		case r.holds(addr) && !r.cfg.Owner:
			refuse(at, "Peer is a virtual address", "%s moves between the hosts. Write the address that is the peer's own.", addr)
		case seen[addr]:
			refuse(at, "Peer given twice", "%s is in this list already. Remove one of the two.", addr)
		case addr == r.cfg.Source: // one list serves all hosts
		default:
			spec.Peers = append(spec.Peers, vrrp.Peer{Addr: addr, MinTTL: least})
		}
		seen[addr] = true
	}
	if len(spec.Peers) == 0 && len(list.texts) > 0 && !bad {
		d.errorf(list.at, "No peer is left", "The list names nobody but this host%s. Add the others.", forFamily(r))
	}
}

func forFamily(r *router) string {
	if r.both {
		return " for " + familyName(r.cfg.Spec.Family)
	}
	return ""
}

// virtualMAC converts where the addresses go and whether they are served.
func (d *decoder) virtualMAC(r *router) {
	s := r.sec
	on, name, accept := s.get("virtual_mac"), s.get("virtual_mac_name"), s.get("accept")
	r.cfg.VirtualMAC, r.cfg.MACName, r.cfg.Accept = on.yes, name.text, accept.yes
	r.cfg.Mortal = s.get("address_lifetime").text == "auto" && !r.cfg.Owner
	switch {
	case name.text == "":
	case !on.yes && on.ok:
		d.warnf(name.at, "virtual_mac_name does nothing", "There is no macvlan without virtual_mac = true. Remove one, or add the other.")
	case r.both:
		d.errorf(name.at, "virtual_mac_name with election = \"both\"", "Each family has a macvlan of its own, and the two cannot have one name. Remove it.")
	default:
		if why := badInterface(name.text); why != "" {
			d.errorf(name.at, "Unusable interface name", "%s", why)
		}
	}
	if on.yes && r.cfg.Spec.Unicast() && on.written {
		d.warnf(on.at, "Advertisements do not carry the virtual MAC", "To peers they leave from the interface's own MAC, so switches learn the virtual one from announcements alone (RFC 9568 7.2).")
	}
	if r.cfg.Owner && accept.written && !accept.yes {
		d.warnf(accept.at, "accept = false does nothing for the owner", "The owner of the addresses always accepts (RFC 9568 6.4.3). Remove one of the two.")
	}
}

// healing converts what makes peace with peers and links.
func (d *decoder) healing(r *router) {
	s, spec := r.sec, &r.cfg.Spec
	spec.AnswerLower = spec.V() == vrrp.Version3
	if v := s.get("answer_lower"); v.written && v.ok {
		spec.AnswerLower = v.yes
	}
	spec.Farewell = s.get("farewell").yes
	spec.VerifyAddresses = s.get("verify_addresses").yes
	spec.AcceptGlobalFirst = s.get("accept_global_first").yes
	spec.Settle = s.get("settle").time
	spec.LinkDownDelay = s.get("link_down_delay").time
	if spec.VerifyAddresses && spec.V() != vrrp.Version2 {
		d.warnf(s.get("verify_addresses").at, "verify_addresses does nothing", "In version 3 other addresses must not make an advertisement unbelieved (RFC 9568 7.1). Remove it.")
	}
	if spec.AcceptGlobalFirst && spec.Family == vrrp.IPv4 && !r.both {
		d.warnf(s.get("accept_global_first").at, "accept_global_first does nothing for IPv4", "Only IPv6 has link-local addresses in front. Remove it.")
	}
	if v := s.get("link_down_delay"); v.ok && s.get("interval").ok && v.time >= 2*spec.Interval && v.time > 0 {
		d.errorf(v.at, "link_down_delay is too long", "Peers take over after three intervals: %s must be less than two of them, %s.", short(v.time), short(2*spec.Interval))
	}
}
