package importer

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// address is one line of virtual_ipaddress.
type address struct {
	prefix            netip.Prefix
	dev, label, scope string
	broadcast         string
	noPrefixRoute     bool
	excluded          bool
	line              int
}

// options reports whether it needs a block of its own.
func (a *address) options() bool {
	return a.dev != "" || a.label != "" || a.scope != "" || a.broadcast != "" || a.noPrefixRoute
}

// address reads one line; nil if it cannot be held here.
func (i *instance) address(k *keepalived, n *node) *address {
	a := &address{line: n.line}
	p, ok := hostPrefix(n.word(0))
	if !ok {
		i.lack(n.line, "address %q: cannot be read", n.text())
		return nil
	}
	if fixed := usable(p); fixed != p {
		k.note(n.line, "%s is the network's own or its broadcast address: it is written as %s", p, fixed)
		p = fixed
	}
	if k.held[p.Addr().String()] {
		k.note(n.line, "%s is given twice; the second one is left out", p.Addr())
		return nil
	}
	if bad := p.Addr(); bad.IsMulticast() || bad.IsLoopback() || bad.IsUnspecified() {
		i.lack(n.line, "address %s: no virtual address", bad)
		return nil
	}
	k.held[p.Addr().String()] = true
	a.prefix = p
	for j := 1; j < len(n.words); j++ {
		next := func() string { j++; return n.word(j) }
		switch w := n.words[j]; w {
		case "dev":
			a.dev = next()
		case "label":
			a.label = next()
		case "scope":
			if a.scope = next(); a.scope == "global" {
				a.scope = ""
			}
		case "brd", "broadcast":
			if b, err := netip.ParseAddr(next()); err == nil && b.Is4() && p.Addr().Is4() {
				a.broadcast = b.String()
			}
		case "noprefixroute":
			a.noPrefixRoute = true
		case "-nodad", "nodad", "home", "mngtmpaddr", "autojoin", "no_track", "track_group", "use_vmac", "preferred_lft", "peer":
			k.note(n.line, "%s of %s: not needed, or always so", w, p.Addr())
			if w == "track_group" || w == "preferred_lft" || w == "peer" {
				next()
			}
		default:
			i.lack(n.line, "%q of address %s", w, p.Addr())
		}
	}
	return a
}

// hostPrefix reads an address with or without a length.
func hostPrefix(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" && !a.Is4In6() {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p, err == nil && p.Bits() > 0 && !p.Addr().Is4In6()
}

// usable is p, or the address alone in its prefix where it is its network's own
// or its broadcast address, which no virtual router can hold otherwise.
func usable(p netip.Prefix) netip.Prefix {
	if !p.Addr().Is4() || p.Bits() > 30 {
		return p
	}
	last := p.Masked().Addr().As4()
	for b := p.Bits(); b < 32; b++ {
		last[b/8] |= 0x80 >> (b % 8)
	}
	if p.Addr() == p.Masked().Addr() || p.Addr() == netip.AddrFrom4(last) {
		return netip.PrefixFrom(p.Addr(), 32)
	}
	return p
}

// sortAddresses tells those of the election from those that ride along, and says
// on which interface the router is.
func (i *instance) sortAddresses(k *keepalived) {
	all := i.addresses
	i.addresses = nil
	for _, a := range all {
		switch {
		case a.excluded:
			i.extra = append(i.extra, a)
		case len(i.addresses) > 0 && a.prefix.Addr().Is6() != i.addresses[0].prefix.Addr().Is6():
			i.extra = append(i.extra, a)
		default:
			i.addresses = append(i.addresses, a)
		}
	}
	if len(i.addresses) == 0 && len(i.extra) > 0 {
		k.note(i.line, "%s: without virtual_ipaddress, the first excluded address is advertised", i.given)
		i.addresses, i.extra = i.extra[:1], i.extra[1:]
	}
	if len(i.addresses) == 0 {
		return
	}
	if dev := i.addresses[0].dev; dev != "" && dev != i.iface && !slices.ContainsFunc(i.addresses, func(a *address) bool { return a.dev != dev }) {
		i.lack(i.line, "keepalived sends its adverts on %s and holds the addresses on %s; here both are on the router's interface, so change all hosts at one instant", i.iface, dev)
		i.iface = dev
	}
	for _, a := range slices.Concat(i.addresses, i.extra) {
		if a.dev == i.iface {
			a.dev = ""
		}
		link := cmp.Or(a.dev, i.iface)
		if a.label != "" && (a.prefix.Addr().Is6() || len(a.label) > 15 || a.label != link && !strings.HasPrefix(a.label, link+":")) {
			k.note(a.line, "label %s of %s is left out: a label is the interface's name with a colon and more behind it (IPv4)", a.label, a.prefix.Addr())
			a.label = ""
		}
		if a.scope != "" && !slices.Contains(scopeWords, a.scope) {
			k.note(a.line, "scope %s of %s is left out", a.scope, a.prefix.Addr())
			a.scope = ""
		}
	}
	i.linkLocalFirst(k)
	plain := slices.IndexFunc(i.addresses, func(a *address) bool { return !a.options() })
	if a := i.addresses[0]; a.prefix.Addr().Is6() || a.dev == "" && a.scope == "" && !a.noPrefixRoute {
		plain = 0 // its place is worth more than a label or a broadcast address
	}
	if plain < 0 {
		plain = 0
	}
	if first := i.addresses[plain]; first.options() {
		k.note(first.line, "%s: label, scope and the like of a router's first address are left out", first.prefix.Addr())
		first.dev, first.label, first.scope, first.broadcast, first.noPrefixRoute = "", "", "", "", false
	}
}

// linkLocalFirst: where IPv6 elects, the first address is link-local (RFC 9568 5.2.9).
func (i *instance) linkLocalFirst(k *keepalived) {
	if !i.addresses[0].prefix.Addr().Is6() || i.addresses[0].prefix.Addr().IsLinkLocalUnicast() {
		return
	}
	isLocal := func(a *address) bool { return a.prefix.Addr().Is6() && a.prefix.Addr().IsLinkLocalUnicast() }
	if n := slices.IndexFunc(i.addresses, isLocal); n > 0 {
		a := i.addresses[n]
		i.addresses = slices.Insert(slices.Delete(i.addresses, n, n+1), 0, a)
		return
	}
	if n := slices.IndexFunc(i.extra, isLocal); n >= 0 {
		a := i.extra[n]
		i.extra = slices.Delete(i.extra, n, n+1)
		i.addresses = slices.Insert(i.addresses, 0, a)
		return
	}
	p := netip.MustParsePrefix(fmt.Sprintf("fe80::%x/64", max(1, i.vrid)))
	i.addresses = slices.Insert(i.addresses, 0, &address{prefix: p, line: i.line})
	k.note(i.line, "%s: %s is added: where IPv6 elects, the first address is link-local (RFC 9568 5.2.9); add it on all hosts", i.given, p)
}

func (k *keepalived) writeAddresses(i *instance) {
	var plain, extra []string
	// What comes in the adverts: addresses, then the blocks. So whatever follows an
	// address that needs a block gets one, too, and the order is kept.
	first := max(0, slices.IndexFunc(i.addresses, func(a *address) bool { return !a.options() }))
	blocks := slices.Clone(i.addresses[:first])
	if first > 0 {
		k.note(i.addresses[0].line, "%s comes behind %s in the adverts: an address with an interface or scope of its own cannot be the first", i.addresses[0].prefix.Addr(), i.addresses[first].prefix.Addr())
	}
	for n, a := range i.addresses[first:] {
		if n == 0 || len(plain) == n && first == 0 && !a.options() {
			plain = append(plain, a.prefix.String())
		} else {
			blocks = append(blocks, a)
		}
	}
	advertised := len(blocks)
	for _, a := range i.extra {
		if a.options() {
			blocks = append(blocks, a)
		} else {
			extra = append(extra, a.prefix.String())
		}
	}
	if len(plain) == 0 {
		k.invented++
		plain = []string{fmt.Sprintf("192.0.2.%d/32", min(k.invented, 254))}
		k.missing(i.line, "there is no address that could be translated: write one in place of %s", plain[0])
	}
	k.line("addresses", list(plain))
	if len(extra) > 0 {
		k.line("extra_addresses", list(extra))
	}
	for n, a := range blocks {
		fmt.Fprintf(k, "\naddress %s {\n", quote(a.prefix.String()))
		if n < advertised {
			k.line("advertise", "true")
		}
		for _, v := range []struct{ name, text string }{{"interface", a.dev}, {"label", a.label}, {"scope", a.scope}, {"broadcast", a.broadcast}} {
			if v.text != "" {
				k.line(v.name, quote(v.text))
			}
		}
		if a.noPrefixRoute {
			k.line("noprefixroute", "true")
		}
		k.WriteString("}\n")
	}
}

// tableWord writes a routing table: a number, or main.
func tableWord(s string) (string, bool) {
	if s == "main" || s == "local" || s == "default" {
		return quote(s), s == "main"
	}
	n, err := strconv.ParseUint(s, 0, 32)
	return strconv.FormatUint(n, 10), err == nil && n > 0
}

// networkWord reads a network as ip-route(8) has it; masked.
func networkWord(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), a.Zone() == ""
	}
	p, err := netip.ParsePrefix(strings.TrimSpace(s))
	return p.Masked(), err == nil
}
