package importer

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// instance reads one vrrp_instance.
func (k *keepalived) instance(n *node) *instance {
	i := &instance{ttlMin: 255, given: n.word(1), name: k.routers.make(n.word(1)), line: n.line, interval: time.Second, repeat: -1, delay: -1, refresh: -1}
	if i.name != i.given {
		k.note(n.line, "vrrp_instance %s is called %s: names have letters, digits, -, _ and .", i.given, i.name)
	}
	for _, s := range n.block {
		w := s.word(0)
		switch {
		case i.simple(s):
		case i.listed(k, s):
		case strings.HasPrefix(w, "notify") && gone[w] == "":
			k.hook(i, s, "")
		case strings.HasPrefix(w, "track_") && gone[w] == "" && w != "track_src_ip":
			k.track(i, s)
		case gone[w] != "":
			i.lack(s.line, "%s: %s", s.text(), gone[w])
		case silent[w]:
		case strings.HasPrefix(w, "@"):
			i.lack(s.line, "%s: a line for one host only: node.name selects in an expression", s.text())
		default:
			i.lack(s.line, "unknown keyword %q", s.text())
		}
	}
	return i
}

// simple reads the statements of one word or two, and reports whether s was one.
func (i *instance) simple(s *node) bool {
	v := s.word(1)
	number := func(to *int, low, high int) {
		n, ok := whole(v, low, high)
		if !ok {
			i.lack(s.line, "%s: not a number from %d to %d", s.text(), low, high)
			return
		}
		*to = n
	}
	period := func(to *time.Duration, longest time.Duration) {
		d, ok := span(v)
		if !ok || d > longest {
			i.lack(s.line, "%s: not a time up to %v", s.text(), longest)
			return
		}
		*to = d
	}
	switch s.word(0) {
	case "interface":
		i.iface = v
	case "state":
		i.master = v == "MASTER"
	case "virtual_router_id":
		number(&i.vrid, 1, 255)
	case "priority":
		number(&i.priority, 1, 255)
	case "version":
		number(&i.version, 2, 3)
	case "advert_int":
		period(&i.interval, 255*time.Second)
	case "nopreempt":
		i.noPreempt = true
	case "preempt_delay":
		period(&i.preemptDelay, 1000*time.Second)
	case "vrrp_startup_delay":
		period(&i.settle, 1000*time.Second)
	case "mcast_src_ip", "unicast_src_ip":
		i.source = v
	case "mcast_dst_ip":
		i.group = v
	case "unicast_ttl":
		number(&i.ttl, 1, 255)
	case "use_vmac":
		i.vmac, i.vmacName = true, v
		if strings.Contains(v, ":") || len(v) > 15 {
			i.vmacName = ""
			i.lack(s.line, "%s: the MAC is the RFC's for the VRID", s.text())
		}
	case "no_accept":
		i.refuse = true
	case "lower_prio_no_advert":
		i.quiet = v == "" || v == "true" || v == "on" || v == "yes"
	case "garp_master_repeat":
		number(&i.repeat, 0, 60)
	case "garp_master_delay":
		period(&i.delay, time.Minute)
	case "garp_master_refresh":
		period(&i.refresh, 24*time.Hour)
	default:
		return false
	}
	return true
}

// listed reads the statements with a block of items.
func (i *instance) listed(k *keepalived, s *node) bool {
	switch s.word(0) {
	case "virtual_ipaddress", "virtual_ipaddress_excluded":
		for _, item := range s.items() {
			if a := i.address(k, item); a != nil {
				a.excluded = s.word(0) == "virtual_ipaddress_excluded"
				i.addresses = append(i.addresses, a)
			}
		}
	case "virtual_routes":
		i.routes = append(i.routes, s.items()...)
	case "virtual_rules":
		i.rules = append(i.rules, s.items()...)
	case "unicast_peer":
		for _, item := range s.items() {
			a, err := netip.ParseAddr(item.word(0))
			if err != nil {
				i.lack(item.line, "peer %s: not an address", item.text())
				continue
			}
			i.peers = append(i.peers, a.String())
			least := 0
			for n := 1; n+1 < len(item.words); n++ {
				if ttl, ok := whole(item.words[n+1], 1, 255); ok && item.words[n] == "min_ttl" {
					least = ttl
				}
			}
			i.ttlLeast = append(i.ttlLeast, least)
		}
	case "authentication":
		i.authentication(s)
	default:
		return false
	}
	return true
}

func (i *instance) authentication(s *node) {
	kind := "PASS"
	for _, a := range s.block {
		switch a.word(0) {
		case "auth_type":
			kind = a.word(1)
		case "auth_pass":
			i.password = a.word(1)
		}
	}
	if kind != "PASS" {
		i.password = ""
		i.lack(s.line, "auth_type %s: IPsec AH for VRRP was withdrawn in 2004", kind)
	}
	i.password = i.password[:min(len(i.password), 8)] // as keepalived does
}

// settleInstance decides what hangs on several statements, and on the globals.
func (k *keepalived) settleInstance(i *instance) {
	if i.iface == "" {
		i.iface = k.globalWord("default_interface")
	}
	if i.iface == "" {
		i.iface = "eth0"
		i.lack(i.line, "no interface is said: eth0 is a guess")
	}
	if i.vrid == 0 {
		i.vrid = 51
		i.lack(i.line, "no virtual_router_id: 51 is a guess")
	}
	if i.priority == 0 {
		i.priority = 100
		if i.master {
			i.lack(i.line, "state MASTER without a priority means 255 to keepalived, which is the owner's here: 100 is a guess")
		}
	}
	if i.master && i.priority != 255 {
		k.note(i.line, "%s: state MASTER says nothing here, the priority decides", i.given)
		if i.noPreempt || i.preemptDelay > 0 {
			k.note(i.line, "%s: keepalived ignores nopreempt and preempt_delay with state MASTER; here they hold", i.given)
		}
	}
	i.sortAddresses(k)
	k.electionOf(i)
	k.announcing(i)
	if d, ok := span(k.globalWord("vrrp_startup_delay")); ok && i.settle == 0 && d <= 1000*time.Second {
		i.settle = d
	}
}

// electionOf settles version, interval and the words that go with them.
func (k *keepalived) electionOf(i *instance) {
	if i.version == 0 {
		i.version, _ = strconv.Atoi(k.globalWord("vrrp_version"))
	}
	if i.version != 3 {
		i.version = 2
	}
	six := len(i.addresses) > 0 && i.addresses[0].prefix.Addr().Is6()
	if six {
		i.version = 3
	}
	given := i.interval
	if i.version == 2 {
		i.interval = min(max(i.interval.Round(time.Second), time.Second), 255*time.Second)
	} else {
		i.interval = min(max(i.interval.Truncate(10*time.Millisecond), 10*time.Millisecond), 40950*time.Millisecond)
		if i.password != "" {
			k.note(i.line, "%s: version 3 has no authentication; keepalived ignores it, too", i.given)
			i.password = ""
		}
	}
	if given != i.interval {
		k.note(i.line, "%s: advert_int is %v", i.given, i.interval)
	}
	if i.group == "" {
		i.group = k.globalWord(map[bool]string{false: "vrrp_mcast_group4", true: "vrrp_mcast_group6"}[six])
	}
	if len(i.peers) > 0 {
		i.group = ""
	}
	for _, f := range []*string{&i.group, &i.source} {
		if a, err := netip.ParseAddr(*f); *f != "" && (err != nil || a.Is6() != six) {
			i.lack(i.line, "%s is not an address of the family that elects", *f)
			*f = ""
		}
	}
	own := i.peers[:0]
	for _, p := range i.peers {
		if p == i.source {
			continue // this host itself, as in a list for all hosts
		}
		if netip.MustParseAddr(p).Is6() != six {
			i.lack(i.line, "peer %s: not of the family that elects", p)
			continue
		}
		own = append(own, p)
	}
	i.peers = own
	for _, least := range i.ttlLeast {
		if i.ttlMin = min(i.ttlMin, cmp.Or(least, i.ttl, 255)); least == 0 && i.ttl > 0 && i.ttl < 255 {
			k.note(i.line, "%s: ttl_min is set to unicast_ttl: keepalived believes any TTL, here it is checked", i.given)
			break
		}
	}
}

// announcing settles the schedule of gratuitous ARP, of the instance or of all.
func (k *keepalived) announcing(i *instance) {
	if n, ok := whole(k.globalWord("vrrp_garp_master_repeat"), 0, 60); ok && i.repeat < 0 {
		i.repeat = n
	}
	for name, to := range map[string]*time.Duration{"vrrp_garp_master_delay": &i.delay, "vrrp_garp_master_refresh": &i.refresh} {
		if d, ok := span(k.globalWord(name)); ok && *to < 0 && d <= time.Minute {
			*to = d
		}
	}
	if i.delay == 0 { // no second round
		i.repeat, i.delay = 0, -1
	}
}

// writeInstance writes one virtual_router.
func (k *keepalived) writeInstance(i *instance) {
	fmt.Fprintf(k, "virtual_router %s {\n", quote(i.name))
	k.line("interface", quote(i.iface))
	k.line("vrid", strconv.Itoa(i.vrid))
	if i.priority == 255 {
		k.line("owner", "true")
	} else {
		k.line("priority", strconv.Itoa(i.priority))
	}
	if i.version == 2 {
		k.WriteString("version = 2 # keepalived's default; without it 3, on all hosts at one instant\n")
	}
	if i.password != "" {
		k.WriteString("# a password protects nothing here; keep the file readable by root alone\n")
		k.line("auth_pass", quote(i.password))
	}
	k.line("interval", seconds(i.interval))
	k.flags(i)
	k.writeAddresses(i)
	k.writeRoutes(i)
	k.writeRules(i)
	k.writeAnnounce(i)
	k.writeTracks(i)
	k.writeHooks(i)
	for _, m := range i.missing {
		k.missing(m.Line, "%s", m.Text)
	}
	k.WriteString("}\n\n")
}

func (k *keepalived) flags(i *instance) {
	if i.noPreempt && i.priority != 255 {
		k.line("preempt", "false")
	}
	if i.preemptDelay > 0 && !i.noPreempt && i.priority != 255 {
		k.line("preempt_delay", seconds(i.preemptDelay))
	}
	if i.settle > 0 {
		k.line("settle", seconds(i.settle))
	}
	if i.source != "" {
		k.line("source", quote(i.source))
	}
	if i.group != "" {
		k.line("multicast_group", quote(i.group))
	}
	if len(i.peers) > 0 {
		k.line("peers", list(i.peers))
		if i.ttl > 0 {
			k.line("ttl", strconv.Itoa(i.ttl))
		}
		if i.ttlMin < 255 {
			k.line("ttl_min", strconv.Itoa(i.ttlMin))
		}
	}
	if i.vmac {
		k.line("virtual_mac", "true")
		if i.vmacName != "" {
			k.line("virtual_mac_name", quote(i.vmacName))
		}
	}
	if i.refuse {
		k.line("accept", "false")
	}
	if i.quiet && i.version == 3 {
		k.line("answer_lower", "false")
	} else if !i.quiet && i.version == 2 {
		k.line("answer_lower", "true")
	}
}

func (k *keepalived) writeAnnounce(i *instance) {
	if i.repeat < 0 && i.delay < 0 && i.refresh < 0 {
		return
	}
	k.WriteString("\nannounce {\n")
	if i.repeat >= 0 {
		k.line("repeat", strconv.Itoa(i.repeat))
	}
	if i.delay > 0 {
		k.line("delay", seconds(max(i.delay, 10*time.Millisecond)))
	}
	if i.refresh >= 0 {
		k.line("refresh", seconds(i.refresh))
	}
	k.WriteString("}\n")
}
