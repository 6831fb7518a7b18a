package conf

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// placedAddress is an address and where it is written.
type placedAddress struct {
	actions.Address
	at hcl.Range
	// advertise: it is to be in the advertisements, if it is of the electing
	// family. listed: it is in addresses, not in a block or in extra_addresses.
	advertise, listed bool
}

// placeAddresses parses the addresses of a router: addresses, then those of
// address blocks that are advertised, then all others, in the order of the file.
func (d *decoder) placeAddresses(s *section) []placedAddress {
	out := d.addressList(s.get("addresses"), true)
	var rest []placedAddress
	for _, b := range s.all("address") {
		a, ok := d.addressBlock(b, s)
		if !ok {
			continue
		}
		if a.advertise && len(out) > 0 && vrrp.FamilyOf(a.Prefix.Addr()) != vrrp.FamilyOf(out[0].Prefix.Addr()) && s.get("election").text != "both" {
			d.errorf(b.get("advertise").at, "Cannot be advertised", "%s is not of the family that elects here: it rides along. Remove advertise.", a.Prefix)
		}
		if a.advertise {
			out = append(out, a)
		} else {
			rest = append(rest, a)
		}
	}
	return append(append(out, rest...), d.addressList(s.get("extra_addresses"), false)...)
}

func (d *decoder) addressList(list value, main bool) (out []placedAddress) {
	for i, text := range list.texts {
		p, summary, detail := parseAddress(text)
		if summary != "" {
			d.errorf(list.each[i], summary, "%s", detail)
			continue
		}
		d.anycast(p, list.each[i])
		out = append(out, placedAddress{Address: actions.Address{Prefix: p}, at: list.each[i], advertise: main, listed: main})
	}
	return out
}

func (d *decoder) anycast(p netip.Prefix, at hcl.Range) {
	if subnetRouter(p) {
		d.warnf(at, "Subnet-Router anycast address", "%s is the address of its prefix itself, which every router on the link answers to (RFC 4291 2.6.1). "+
			"Choose another one in %s.", p.Addr(), p.Masked())
	}
}

// addressBlock reads an address block of the router s.
func (d *decoder) addressBlock(b, s *section) (placedAddress, bool) {
	home := s.get("interface").text
	p, summary, detail := parseAddress(b.name)
	if summary != "" {
		d.errorf(b.nameRange, summary, "%s", detail)
		return placedAddress{}, false
	}
	d.anycast(p, b.nameRange)
	a := placedAddress{at: b.nameRange, advertise: b.get("advertise").yes,
		Address: actions.Address{Prefix: p, Interface: d.interfaceName(b.get("interface"), home), Label: b.get("label").text,
			Scope: uint8(b.get("scope").num), NoPrefixRoute: b.get("noprefixroute").yes}}
	link := home
	switch {
	case a.Interface != "":
		link = a.Interface
	case s.get("virtual_mac").yes:
		link = s.get("virtual_mac_name").text
	}
	switch label := b.get("label"); {
	case label.text == "":
	case link == "" && p.Addr().Is4():
		d.errorf(label.at, "Label of an interface without a name", "The address goes on the macvlan, and a label begins with its name: add virtual_mac_name.")
	case p.Addr().Is6():
		d.errorf(label.at, "IPv6 addresses have no label", "Labels are IPv4's (ip-address(8)). Remove it.")
	case len(label.text) > maxInterfaceName || label.text != link && !strings.HasPrefix(label.text, link+":"):
		d.errorf(label.at, "Unusable label", "A label is the interface's name, alone or with a colon and more behind it, at most %d characters in all: for example %q.", maxInterfaceName, link+":web")
	}
	if v := b.get("broadcast"); v.text != "" {
		addr, err := netip.ParseAddr(v.text)
		if err != nil || !addr.Is4() || p.Addr().Is6() {
			d.errorf(v.at, "Unusable broadcast address", "%q is not an IPv4 address, or the address is IPv6, which has no broadcast.", v.text)
		}
		a.Broadcast = addr
	}
	return a, true
}

// interfaceName judges the name of another interface; the router's own is said
// by leaving it out.
func (d *decoder) interfaceName(v value, home string) string {
	if v.text == "" || v.text == home {
		return ""
	}
	if why := badInterface(v.text); why != "" {
		d.errorf(v.at, "Unusable interface name", "%s Interfaces are listed by ip link.", why)
	}
	return v.text
}

// parseAddress reads "addr" or "addr/length" and judges whether a virtual
// router can hold it. A bad one comes back as summary and detail.
func parseAddress(s string) (p netip.Prefix, summary, detail string) {
	text, length, hasLength := strings.Cut(s, "/")
	a, err := netip.ParseAddr(text)
	if err != nil {
		return p, "Not an IP address", fmt.Sprintf("%q cannot be read%s. Write an address, with or without a prefix length: \"192.0.2.10/24\" or \"2001:db8::10\". Host names are not looked up.",
			s, reason(err))
	}
	bits := a.BitLen()
	if hasLength {
		bits, err = strconv.Atoi(length)
		if err != nil || length != strconv.Itoa(bits) || bits < 1 || bits > a.BitLen() {
			return p, "Unusable prefix length", fmt.Sprintf("%q is not a length from 1 to %d: write for example \"%s/%d\", or leave it out.",
				length, a.BitLen(), a.WithZone(""), usualLength(a))
		}
	}
	if summary, detail = unusable(a, bits); summary != "" {
		return p, summary, detail
	}
	return netip.PrefixFrom(a, bits), "", ""
}

// reason cuts netip's message, ParseAddr("…"): why, down to the end.
func reason(err error) string {
	if i := strings.LastIndex(err.Error(), `"): `); i >= 0 {
		return " (" + err.Error()[i+len(`"): `):] + ")"
	}
	return ""
}

func usualLength(a netip.Addr) int {
	if a.Is4() {
		return 24
	}
	return 64
}

// unusable says why an address cannot be a virtual one.
func unusable(a netip.Addr, bits int) (summary, detail string) {
	bare := a.WithZone("")
	switch {
	case a.Zone() != "":
		return "Address with a zone", fmt.Sprintf("The interface is named by interface already: write %q.", bare)
	case a.Is4In6():
		return "IPv4-mapped address", fmt.Sprintf("It never appears on a network: write %q.", a.Unmap())
	case a.IsUnspecified():
		return "Unspecified address", fmt.Sprintf("%s means no address at all: write the one that clients use.", a)
	case a.IsMulticast():
		return "Multicast address", fmt.Sprintf("%s is a group, which no host can hold: write a unicast address.", a)
	case a.IsLoopback():
		return "Loopback address", fmt.Sprintf("%s never leaves a host, so it cannot move between hosts: write one of the network on this interface.", a)
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "Broadcast address", fmt.Sprintf("%s is every host on the network: write one host's.", a)
	case a.Is4() && a.As4()[0] == 0:
		return "Not a host address", fmt.Sprintf("0.0.0.0/8 means this network (RFC 1122 3.2.1.3), and %s lies in it: write the whole address.", a)
	}
	// A /31 is two hosts (RFC 3021), a /32 is one.
	if !a.Is4() || bits > 30 {
		return "", ""
	}
	network := netip.PrefixFrom(a, bits).Masked().Addr()
	switch a {
	case network:
		return "Network address", fmt.Sprintf("%s is the network %s/%d itself: write a host's address, for example \"%s/%d\", or /32 if it is meant.", a, a, bits, a.Next(), bits)
	case lastAddress(network, bits):
		return "Broadcast address", fmt.Sprintf("%s is the broadcast address of %s/%d: write a host's address, or /32 if it is meant.", a, network, bits)
	}
	return "", ""
}

// lastAddress returns the address of an IPv4 network with all host bits set.
func lastAddress(network netip.Addr, bits int) netip.Addr {
	b := network.As4()
	for i := bits; i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// subnetRouter reports whether p is the Subnet-Router anycast address of its
// own prefix (RFC 4291 2.6.1); a /127 has none (RFC 6164).
func subnetRouter(p netip.Prefix) bool {
	return p.Addr().Is6() && p.Bits() < 127 && p.Masked().Addr() == p.Addr()
}
