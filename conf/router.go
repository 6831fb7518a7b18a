package conf

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// router is a virtual_router block, or one of its two elections, on its way to
// becoming a daemon.RouterConfig, with the places that cross-checks point to.
type router struct {
	cfg daemon.RouterConfig
	sec *section
	// block is the name of the block, which differs from cfg.Name with election = "both".
	block     string
	addresses []placedAddress
	both      bool
}

// routersOf converts a section: one election, or with election = "both" one a
// family. The results have gaps where something was wrong and reported; they are
// good enough for the cross-checks.
func (d *decoder) routersOf(s *section) []*router {
	if v := s.get("interface"); v.ok {
		if why := badInterface(v.text); why != "" {
			d.errorf(v.at, "Unusable interface name", "%s Interfaces are listed by ip link.", why)
		}
	}
	placed := d.placeAddresses(s)
	family := electing(s.get("addresses"), placed)
	if s.get("election").text != "both" {
		r := &router{sec: s, block: s.name, addresses: placed}
		d.router(r, s.name, family, placed)
		r.cfg.Hooks = d.hooks(s, r.cfg.Name)
		return []*router{r}
	}
	if n := maxName - len(".ipv4"); len(s.name) > n {
		d.errorf(s.nameRange, "Name too long for election = \"both\"", "Its two elections are called by it with .ipv4 and .ipv6 behind, and a name has at most %d bytes: shorten it to %d.", maxName, n)
	}
	list := s.get("addresses")
	read := 0
	for _, a := range placed {
		if a.listed {
			read++
		}
	}
	var out []*router
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		own := slices.DeleteFunc(slices.Clone(placed), func(a placedAddress) bool { return vrrp.FamilyOf(a.Prefix.Addr()) != f })
		if !slices.ContainsFunc(own, func(a placedAddress) bool { return a.listed }) && list.ok && read == len(list.texts) {
			d.errorf(list.at, fmt.Sprintf("election = \"both\" without an %s address", familyName(f)),
				"Each family holds an election of its own, so addresses needs at least one of each. Add one, or remove election.")
		}
		r := &router{sec: s, block: s.name, addresses: own, both: true}
		d.router(r, s.name+"."+f.String(), f, own)
		r.cfg.Group, r.cfg.Spec.Grouped = s.name, true
		if f == family {
			r.cfg.Hooks = d.hooks(s, r.cfg.Name)
		}
		out = append(out, r)
	}
	return out
}

// electing is the family of the first address, or, where that cannot be read,
// what it looks like: otherwise one slip would make all else look wrong.
func electing(list value, placed []placedAddress) vrrp.Family {
	switch {
	case len(list.texts) > 0 && strings.Contains(list.texts[0], ":"):
		return vrrp.IPv6
	case len(list.texts) > 0:
		return vrrp.IPv4
	case len(placed) > 0:
		return vrrp.FamilyOf(placed[0].Prefix.Addr())
	}
	return 0
}

func familyName(f vrrp.Family) string {
	if f == vrrp.IPv4 {
		return "IPv4"
	}
	return "IPv6"
}

// router fills one election.
func (d *decoder) router(r *router, name string, family vrrp.Family, placed []placedAddress) {
	s := r.sec
	r.cfg = daemon.RouterConfig{
		Name:      name,
		Interface: s.get("interface").text,
		Owner:     s.get("owner").yes,
		Spec: vrrp.Spec{
			Family:       family,
			VRID:         uint8(s.get("vrid").num),
			Interval:     s.get("interval").time,
			Preempt:      s.get("preempt").yes,
			PreemptDelay: s.get("preempt_delay").time,
		},
	}
	switch s.get("checksum").text {
	case "rfc9568":
		r.cfg.Spec.Checksum = vrrp.ChecksumRFC9568
	case "rfc5798":
		r.cfg.Spec.Checksum = vrrp.ChecksumRFC5798
	}
	r.cfg.Spec.Priority = d.priority(s)
	d.advertised(r, placed)
	d.version(r)
	d.cast(r)
	d.virtualMAC(r)
	d.healing(r)
	d.routes(r)
	d.rules(r)
	r.cfg.RouterAdvert = d.routerAdvert(r)
	d.idle(r)
	r.cfg.Announce = d.announce(s)
}

// maxInterfaceName is IFNAMSIZ without the terminating zero.
const maxInterfaceName = 15

// badInterface follows dev_valid_name of the kernel (net/core/dev.c).
func badInterface(name string) string {
	switch {
	case name == "":
		return "It is empty."
	case len(name) > maxInterfaceName:
		return fmt.Sprintf("%q has %d bytes, and the kernel allows %d.", name, len(name), maxInterfaceName)
	case name == "." || name == ".." || strings.ContainsAny(name, "/: \t\n\v\f\r\x00"):
		return fmt.Sprintf("%q has characters that the kernel does not allow.", name)
	}
	return ""
}

// priority joins owner and priority: 255 and ownership are the same thing
// (RFC 9568 5.2.4), and saying only half of it is most likely a mistake.
func (d *decoder) priority(s *section) uint8 {
	p, owner := s.get("priority"), s.get("owner")
	switch {
	case !p.ok || !owner.ok:
		return vrrp.DefaultPriority
	case owner.yes && p.written && p.num != vrrp.PriorityOwner:
		d.errorf(p.at, "The owner's priority is 255",
			"owner = true says that the addresses are this host's own, and RFC 9568 5.2.4 gives their owner priority 255. Leave priority out, "+
				"write 255 for this host, or drop owner.")
	case owner.yes:
		return vrrp.PriorityOwner
	case p.num == vrrp.PriorityOwner:
		d.errorf(p.at, "255 is reserved for the owner of the addresses",
			"RFC 9568 5.2.4: a router with priority 255 has the addresses as its interface's own. If that is so, say owner = true; if not, use 254.")
	}
	return uint8(p.num)
}

// maxIPv6Unfragmented is how many addresses an IPv6 advertisement carries in a
// packet of 1500 bytes: (1500 - 40 IPv6 - 8 VRRP) / 16.
const maxIPv6Unfragmented = 90

// advertised fills the two address lists: those of the electing family that are
// to be advertised, then those that ride along.
func (d *decoder) advertised(r *router, placed []placedAddress) {
	family := r.cfg.Spec.Family
	if len(placed) == 0 {
		return
	}
	var others []actions.Address
	for _, a := range placed {
		if vrrp.FamilyOf(a.Prefix.Addr()) != family || !a.advertise {
			others = append(others, a.Address)
			continue
		}
		r.cfg.Spec.Addresses = append(r.cfg.Spec.Addresses, a.Prefix.Addr())
		r.cfg.Addresses = append(r.cfg.Addresses, a.Address)
	}
	r.cfg.Addresses = append(r.cfg.Addresses, others...)
	list := r.sec.get("addresses")
	n := len(r.cfg.Spec.Addresses)
	switch {
	case n > vrrp.MaxAddresses:
		d.errorf(list.at, fmt.Sprintf("%d advertised addresses", n),
			"An advertisement carries at most %d (RFC 9568 5.2.5). Put the others into extra_addresses, which are held and not advertised.", vrrp.MaxAddresses)
	case family == vrrp.IPv6 && n > maxIPv6Unfragmented:
		d.warnf(list.at, fmt.Sprintf("Advertisement of %d IPv6 addresses is fragmented", n),
			"At an MTU of 1500, %d fit into one packet, and a lost or filtered fragment loses the advertisement. Put the others into extra_addresses.", maxIPv6Unfragmented)
	}
	if first := placed[0]; list.ok && family == vrrp.IPv6 && vrrp.FamilyOf(first.Prefix.Addr()) == family && !first.Prefix.Addr().IsLinkLocalUnicast() &&
		(r.both || first.at == list.each[0]) {
		d.notLinkLocal(r, first)
	}
}

func (d *decoder) notLinkLocal(r *router, first placedAddress) {
	remedy := fmt.Sprintf("Put one first that is not used on this network, the same on all hosts, for example \"fe80::%d/64\".", max(1, r.cfg.Spec.VRID))
	for _, a := range r.addresses {
		if p := a.Prefix; p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
			remedy = fmt.Sprintf("Move %q to the front.", p)
			break
		}
	}
	d.errorf(first.at, "IPv6 without link-local",
		"Where IPv6 elects, the first address is the virtual router's link-local one (RFC 9568 5.2.9), and other routers drop advertisements in which it is not. %s", remedy)
}

// idle warns of arguments that do nothing here.
func (d *decoder) idle(r *router) {
	s := r.sec
	delay, preempt, owner, checksum := s.get("preempt_delay"), s.get("preempt"), s.get("owner"), s.get("checksum")
	switch {
	case owner.yes && preempt.ok && !preempt.yes:
		d.warnf(preempt.at, "preempt = false does nothing for the owner", "The owner of the addresses always takes over (RFC 9568 6.1). Remove one of the two.")
	case owner.yes && delay.time > 0:
		d.warnf(delay.at, "preempt_delay does nothing for the owner", "The owner of the addresses is Active as soon as it runs (RFC 9568 6.4.1). Remove one of the two.")
	case preempt.ok && !preempt.yes && delay.time > 0:
		d.warnf(delay.at, "preempt_delay does nothing", "With preempt = false there is nothing to delay. Remove one of the two.")
	}
	fixed := checksum.ok && checksum.written && checksum.text != "auto"
	switch {
	case fixed && r.cfg.Spec.V() == vrrp.Version2:
		d.warnf(checksum.at, "checksum does nothing for version 2", "VRRPv2 knows only one form, the message alone. Remove it.")
	case fixed && r.cfg.Spec.Family == vrrp.IPv6 && !r.both:
		d.warnf(checksum.at, "checksum does nothing for IPv6", "IPv6 knows only one form, with a pseudo-header. Remove it.")
	}
}

// sectionOrDefaults returns the only block of a type, or one with the table's defaults.
func (d *decoder) sectionOrDefaults(s *section, name string) *section {
	if list := s.all(name); len(list) > 0 {
		return list[0]
	}
	def := s.def.block(name)
	sec := &section{def: def, values: make(map[string]value, len(def.arguments))}
	for i := range def.arguments {
		sec.values[def.arguments[i].name] = d.defaultValue(&def.arguments[i], s.header)
	}
	return sec
}

// announce returns the schedule; without a block, the table's defaults.
func (d *decoder) announce(s *section) actions.AnnounceSpec {
	sec := d.sectionOrDefaults(s, "announce")
	return actions.AnnounceSpec{
		Repeat:  sec.get("repeat").num,
		Delay:   sec.get("delay").time,
		Refresh: sec.get("refresh").time,
	}
}

func (d *decoder) hooks(s *section, router string) []actions.HookSpec {
	var out []actions.HookSpec
	first := make(map[string]hcl.Range)
	for _, h := range s.all("hook") {
		if before, again := first[h.name]; again && h.name != "" {
			d.errorf(h.nameRange, fmt.Sprintf("Second hook %q", h.name),
				"The first one of %s is at %s. Give this one another name, or one hook several words in on.", s.title(), place(before))
		} else {
			first[h.name] = h.nameRange
		}
		spec := actions.HookSpec{
			Name:    h.name,
			Command: h.get("command").texts,
			User:    h.get("user").text,
			Timeout: h.get("timeout").time,
		}
		for _, w := range h.get("on").texts {
			o, known := actions.ParseOccasion(w)
			if !known { // the table and package actions agree; a test holds them to it
				panic("conf: no occasion is called " + w)
			}
			spec.On |= o
		}
		d.command(h.get("command"))
		if v := h.get("command"); v.ok {
			d.programs[hookKey{router, h.name}] = v.each[0]
		}
		if u := h.get("user"); u.ok && strings.ContainsAny(u.text, " \t\r\n:/\x00") {
			d.errorf(u.at, "Unusable account name", "%q is not the name of an account: see getent passwd.", u.text)
		}
		out = append(out, spec)
	}
	return out
}

// command checks an argv as far as text goes; whether the program exists and
// is safe to run is for the host that runs it (run.Verify).
func (d *decoder) command(v value) {
	if !v.ok {
		return
	}
	for i, arg := range v.texts {
		if strings.ContainsRune(arg, 0) {
			d.errorf(v.each[i], "NUL byte in an argument", "No program can be given one. Remove it.")
			return
		}
	}
	switch program := v.texts[0]; {
	case program == "":
		d.errorf(v.each[0], "Empty command", "The first element is the program's absolute path, for example \"/usr/bin/logger\".")
	case !path.IsAbs(program):
		hint := ""
		if strings.ContainsAny(program, " |;&><$") {
			hint = " There is no shell: write program and arguments as separate elements, or [\"/bin/sh\", \"-c\", \"…\"]."
		}
		d.errorf(v.each[0], "Command is not an absolute path",
			"Commands run without a search path: write where %q is, for example what command -v prints.%s", program, hint)
	}
}
