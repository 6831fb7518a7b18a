package conf

import (
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// The rows of the table about versions, casts, links and healing.

func wireArguments() []argument {
	return []argument{
		{
			name: "version", kind: number, def: 3, min: 2, max: 3,
			why: "There is VRRPv2 (RFC 3768, IPv4 only) and VRRPv3 (RFC 9568).",
			doc: "The VRRP version, the same on all hosts: two versions do not hear each other, and both sides are Active. 2 is for peers that speak nothing " +
				"else; keepalived does by default. Its `interval` is whole seconds.",
			example: `version = 2`, elsewhere: []string{"vrrp_version"},
		},
		{
			name: "auth_pass", kind: text, secret: true, limits: "1–8 bytes, with `version = 2`",
			doc: "The simple text password of VRRPv2 (RFC 2338), for peers that have one. It goes over the wire in clear and protects against nothing but " +
				"mistakes: use it while you migrate. Keep the file readable by root alone. It is never shown, logged or part of JSON.",
			example: `auth_pass = env("VRRP_PASS")`, elsewhere: []string{"authentication", "auth_type", "password"},
		},
		{
			name: "peers", kind: texts, limits: "addresses of the electing family",
			doc: "The other hosts' own addresses: advertisements go to each of them instead of to a multicast group, and only theirs are believed. The list may " +
				"name this host too, if `source` says its address, so that one list serves all hosts.",
			example: `peers = ["192.0.2.2"]`, elsewhere: []string{"unicast_peer", "unicast_peers", "peer"},
		},
		{
			name: "ttl", kind: number, def: vrrp.HopLimit, min: 1, max: 255,
			doc:     "The TTL or hop limit of what is sent to `peers`. To a group it is always 255 (RFC 9568 5.1.1.3).",
			example: `ttl = 64`, elsewhere: []string{"unicast_ttl"},
		},
		{
			name: "ttl_min", kind: number, def: vrrp.HopLimit, min: 1, max: 255,
			doc: "The least TTL or hop limit believed from `peers`. 255 proves that a peer is on the same link; for peers behind n routers say 255 - n on both " +
				"sides, as near as it can be.",
			example: `ttl_min = 254`, elsewhere: []string{"min_ttl"},
		},
		{
			name: "multicast_group", kind: text, limits: "a multicast address of the electing family",
			doc:     "Another group than 224.0.0.18 or ff02::12, the same on all hosts. Routers with different groups may have the same `vrid`.",
			example: `multicast_group = "239.0.0.18"`, elsewhere: []string{"mcast_dst_ip", "vrrp_mcast_group4", "vrrp_mcast_group6"},
		},
		{
			name: "source", kind: text, limits: "an address of this host, of the electing family",
			doc: "The address to send from, where the interface has several. Without it: its first one that is not virtual (IPv6: its link-local one). It breaks ties " +
				"between equal priorities, and peers know this host by it.",
			example: `source = { web1 = "192.0.2.1", web2 = "192.0.2.2" }[node.name]`, elsewhere: []string{"unicast_src_ip", "mcast_src_ip"},
		},
		{
			name: "election", kind: word, def: "first", words: []string{"first", "both"},
			doc: "With `\"both\"`, IPv4 and IPv6 each hold an election of their own, as RFC 9568 has it, and are tied together as a sync group: the virtual routers NAME.ipv4 " +
				"and NAME.ipv6. Hooks then belong to the family of the first address, since both move together; `source`, `multicast_group` and " +
				"each of `peers` to the family they are of. With `\"first\"` that family elects for both.",
			example: `election = "both"`,
		},
		{
			name: "virtual_mac", kind: boolean, def: false,
			doc: "Put the addresses on a macvlan with the virtual router MAC (RFC 9568 7.3), 00:00:5e:00:01:VRID or 00:00:5e:00:02:VRID, which moves with them, so " +
				"that neighbours need not learn anything. Advertisements and announcements come from that MAC. In Backup the macvlan is silenced by nftables; " +
				"Linux 5.16 or newer is needed. Clouds, Wi-Fi and many hypervisors refuse foreign MACs. With `owner = true` the addresses must not be configured on the " +
				"interface itself as well: they are held on the macvlan while this host is Active.",
			example: `virtual_mac = true`, elsewhere: []string{"use_vmac", "vmac", "use_ipvlan", "vmac_xmit_base"},
		},
		{
			name: "virtual_mac_name", kind: text, def: "", limits: "at most 15 characters",
			doc:     "The name of the macvlan. Without it, `vr4.VRID.N` or `vr6.VRID.N`, where N is the number of the interface.",
			example: `virtual_mac_name = "web-vmac"`, elsewhere: []string{"vmac_name"},
		},
		{
			name: "accept", kind: boolean, def: true,
			doc: "Whether this host takes traffic to the addresses while it is Active (Accept_Mode). With false it answers ARP and Neighbor Discovery for them, and nftables " +
				"drops the rest: for routers that are only passed through. The owner always accepts.",
			example: `accept = false`, elsewhere: []string{"accept_mode", "no_accept", "accept_data"},
		},
		{
			name: "address_lifetime", kind: word, def: "auto", words: []string{"auto", "off"},
			doc: "With \"auto\" the kernel keeps the addresses for about one Active_Down_Interval (whole seconds, two at least; more where there are more than some hundred) after the last " +
				"sign of life of the daemon, which gives one four times a second: of a daemon that was killed, stopped or starved they go by themselves when a peer takes over. " +
				"With \"off\" they stay until somebody removes them. The address owner's have no lifetime.",
			example: `address_lifetime = "off"`,
		},
		{
			name: "router_advertisements", kind: word, def: "off", words: []string{"on", "off"},
			doc: "Send Router Advertisements for this virtual router while it is Active, from its link-local address (RFC 9568 8.2.3): hosts then use it as their default " +
				"router. Only where IPv6 elects. The block `ra` says what is in them.",
			example: `router_advertisements = "on"`,
		},
	}
}

func healingArguments() []argument {
	return []argument{
		{
			name: "answer_lower", kind: boolean, limits: "true with version 3, false with version 2 if nothing is said",
			doc: "Whether an Active that hears one of lower priority answers at once with an advertisement of its own (RFC 9568 6.4.3; RFC 3768 says to keep silent). The addresses are " +
				"announced again in any case.",
			example: `answer_lower = true`, elsewhere: []string{"lower_prio_no_advert"},
		},
		{
			name: "farewell", kind: boolean, def: true,
			doc: "Whether an Active that hears a better one advertises once more before it steps down, so that the better one learns of it and announces the addresses " +
				"again: neighbours may have believed the wrong one.",
			example: `farewell = false`, elsewhere: []string{"higher_prio_send_advert"},
		},
		{
			name: "verify_addresses", kind: boolean, def: false,
			doc: "With `version = 2`: drop advertisements with other addresses than ours, unless from their owner (RFC 3768 7.1). Both sides are then Active. Without it they are " +
				"told about and believed.",
			example: `verify_addresses = true`, elsewhere: []string{"skip_check_adv_addr"},
		},
		{
			name: "accept_global_first", kind: boolean, def: false,
			doc: "Believe IPv6 advertisements whose first address is not link-local, which RFC 9568 erratum 8300 forbids: FRR's vrrpd sends them if it is configured with global " +
				"addresses only.",
			example: `accept_global_first = true`,
		},
		{
			name: "settle", kind: duration, def: "0s", longest: 1000 * time.Second, limits: "0s–1000s",
			doc: "How long the interface must have been usable before this host takes part, at the start and after each loss of the link: for switches that do not forward " +
				"yet (spanning tree) and network cards that train.",
			example: `settle = "15s"`, elsewhere: []string{"startup_delay", "vrrp_startup_delay", "vrrp_delay_after_boot", "start_delay"},
		},
		{
			name: "link_down_delay", kind: duration, def: "0s", longest: 80 * time.Second, limits: "0s, or less than two intervals",
			doc:     "How long a lost link is waited for before this host leaves, where carriers flicker.",
			example: `link_down_delay = "500ms"`, elsewhere: []string{"interface_up_down_delays"},
		},
	}
}

func extraArgument() argument {
	return argument{
		name: "extra_addresses", kind: texts, limits: "addresses of both families",
		doc:     "Addresses that are held with the others and not advertised, however many: an advertisement has room for 255. The hosts should have the same.",
		example: `extra_addresses = ["192.0.2.102/24", "2001:db8:122::102/64"]`, elsewhere: []string{"virtual_ipaddress_excluded"},
	}
}

// scopes are the rtnetlink scopes, tables the routing tables that have a name
// here (linux/rtnetlink.h).
var (
	scopes = map[string]int{"global": 0, "site": 200, "link": 253, "host": 254}
	tables = map[string]int{"main": mainTable}
)

const (
	scopeLimits = "`\"global\"`, `\"site\"`, `\"link\"`, `\"host\"`, or 0–255"
	tableLimits = "`\"main\"`, or 1–4294967295"
)

// anyU32 is the largest value of the 32-bit numbers of rtnetlink.
const anyU32 = 1<<32 - 1

func addressBlock() block {
	return block{
		name: "address", label: "ADDRESS/LENGTH", address: true,
		doc: "One more address with what ip-address(8) lets one say about it, on this interface or another. It goes with the others.",
		arguments: []argument{
			interfaceArgument("where the address goes; without it, where `addresses` go"),
			{name: "advertise", kind: boolean, def: false, doc: "Whether it is in the advertisements, behind `addresses`. It must be of the electing family.", example: `advertise = true`},
			{name: "label", kind: text, def: "", limits: "at most 15 characters, beginning with the interface's name", doc: "Label for old tools (IPv4 only). On a virtual MAC that is `virtual_mac_name`.", example: `label = "eth0:web"`},
			{name: "scope", kind: number, def: "global", names: scopes, min: 0, max: 255, limits: scopeLimits, doc: "How far the address is valid.", example: `scope = "link"`},
			{name: "broadcast", kind: text, def: "", doc: "Broadcast address (IPv4 only).", example: `broadcast = "192.0.2.255"`, elsewhere: []string{"brd"}},
			{name: "noprefixroute", kind: boolean, def: false, doc: "Do not let the kernel add the route to the address's network.", example: `noprefixroute = true`},
		},
		example: "address \"198.51.100.10/24\" {\n  interface = \"eth1\"\n  label     = \"eth1:web\"\n}",
	}
}

func interfaceArgument(doc string) argument {
	return argument{name: "interface", kind: text, def: "", limits: "at most 15 characters", doc: "The interface " + doc + ".", example: `interface = "eth1"`, elsewhere: []string{"dev"}}
}

func routeBlock() block {
	return block{
		name: "route", label: "DESTINATION", address: true,
		doc: "A route that is there while this host is Active (ip-route(8)). DESTINATION is a network, or `default`, which is of the family of `via`, or else of the " +
			"family that elects. It needs `via`, `interface`, or another `kind`.",
		arguments: []argument{
			{name: "via", kind: text, def: "", doc: "The next hop.", example: `via = "198.51.100.1"`, elsewhere: []string{"gw", "gateway"}},
			interfaceArgument("it leaves by; without it, the one `via` is reached by"),
			{name: "source", kind: text, def: "", doc: "The preferred source address.", example: `source = "192.0.2.101"`, elsewhere: []string{"src"}},
			{name: "table", kind: number, def: "main", names: tables, min: 1, max: anyU32, limits: tableLimits, doc: "The routing table.", example: `table = 100`},
			{name: "metric", kind: number, def: 0, min: 0, max: anyU32, doc: "The priority among routes to the same destination, lowest first; 0 leaves it to the kernel.", example: `metric = 50`},
			{name: "scope", kind: number, def: "global", names: scopes, min: 0, max: 255, limits: scopeLimits, doc: "The scope; a route without `via` is `link` by itself (IPv4).", example: `scope = "link"`},
			{name: "on_link", kind: boolean, def: false, doc: "`via` is on the link, whatever the addresses say.", example: `on_link = true`, elsewhere: []string{"onlink"}},
			{name: "mtu", kind: number, def: 0, min: 0, max: 65535, doc: "The MTU; 0 leaves it out.", example: `mtu = 1400`},
			{name: "kind", kind: word, def: "unicast", words: []string{"unicast", "blackhole", "unreachable", "prohibit"}, doc: "What happens to packets.", example: `kind = "blackhole"`, elsewhere: []string{"type"}},
		},
		example:   "route \"default\" {\n  via       = \"198.51.100.1\"\n  interface = \"eth1\"\n}",
		elsewhere: []string{"virtual_routes"},
	}
}

func ruleBlock() block {
	return block{
		name: "rule",
		doc:  "A policy rule that is there while this host is Active (ip-rule(8)).",
		arguments: []argument{
			{name: "priority", kind: number, required: true, min: 1, max: 32765, doc: "Its place among the rules, the same on all hosts.", example: `priority = 1000`, elsewhere: []string{"preference", "pref"}},
			{name: "table", kind: number, required: true, names: tables, min: 1, max: anyU32, limits: tableLimits, doc: "The routing table to look up.", example: `table = 100`, elsewhere: []string{"lookup"}},
			{name: "from", kind: text, def: "", doc: "Packets from this network.", example: `from = "192.0.2.0/24"`},
			{name: "to", kind: text, def: "", doc: "Packets to this network.", example: `to = "198.51.100.0/24"`},
			{name: "iif", kind: text, def: "", doc: "Packets that came in by this interface.", example: `iif = "eth0"`},
			{name: "oif", kind: text, def: "", doc: "Packets of sockets bound to this interface.", example: `oif = "eth1"`},
			{name: "fwmark", kind: number, def: 0, min: 0, max: anyU32, doc: "Packets with this mark.", example: `fwmark = 17`},
			{name: "fwmask", kind: number, def: anyU32, min: 0, max: anyU32, doc: "The bits of the mark that count.", example: `fwmask = 255`},
			{name: "family", kind: word, def: "auto", words: []string{"auto", "ipv4", "ipv6"}, doc: "Needed only where neither `from` nor `to` says it.", example: `family = "ipv6"`},
		},
		example:   "rule {\n  from     = \"192.0.2.0/24\"\n  table    = 100\n  priority = 1000\n}",
		elsewhere: []string{"virtual_rules"},
	}
}

func raBlock() block {
	return block{
		name: "ra", once: true,
		doc: "What is in the Router Advertisements. Say the same on all hosts (RFC 9568 8.2.3).",
		arguments: []argument{
			{name: "interval", kind: duration, def: "30s", shortest: 4 * time.Second, longest: 1800 * time.Second, doc: "The longest time between two (MaxRtrAdvInterval).", example: `interval = "10s"`},
			{name: "lifetime", kind: duration, longest: 9000 * time.Second, limits: "0s, or interval–9000s", doc: "How long hosts keep this router as a default router; `\"0s\"`: it is none. Without it: three intervals.", example: `lifetime = "30m"`},
			{name: "prefixes", kind: texts, empty: true, limits: "networks of 64 bits", doc: "Networks that are on the link, from which hosts make addresses. Without it: those of the /64 addresses of this router; `[]`: none.", example: `prefixes = ["2001:db8:122::/64"]`},
			{name: "managed", kind: boolean, def: false, doc: "Hosts get addresses by DHCPv6 (the M flag).", example: `managed = true`},
			{name: "other", kind: boolean, def: false, doc: "Hosts get other settings by DHCPv6 (the O flag).", example: `other = true`},
			{name: "preference", kind: word, def: "medium", words: []string{"low", "medium", "high"}, doc: "Which router hosts prefer (RFC 4191).", example: `preference = "high"`},
			{name: "hop_limit", kind: number, def: 64, min: 0, max: 255, doc: "The hop limit hosts should use; 0 leaves it open.", example: `hop_limit = 64`},
			{name: "mtu", kind: number, def: 0, limits: "0, or 1280–65535", min: 0, max: 65535, doc: "The MTU of the link; 0 leaves it out.", example: `mtu = 1500`},
			{name: "dns", kind: texts, limits: "IPv6 addresses", doc: "DNS servers (RFC 8106).", example: `dns = ["2001:db8:122::53"]`, elsewhere: []string{"rdnss"}},
		},
		example: "ra {\n  interval = \"10s\"\n  dns      = [\"2001:db8:122::53\"]\n}",
	}
}

func groupBlock() block {
	return block{
		name: "sync_group", label: "NAME",
		doc: "Virtual routers, most often on several interfaces, that are Active together or not at all. Each elects on its own link; when all have won, all become " +
			"Active; when one loses, or its link is lost, all step down. Members have the same priority, on each host another.",
		arguments: []argument{{
			name: "routers", kind: texts, required: true, limits: "two or more virtual routers",
			doc:     "The members: `virtual_router.NAME`, or the name as a string.",
			example: `routers = [virtual_router.inside, virtual_router.outside]`, elsewhere: []string{"group", "members"},
		}},
		example:   "sync_group \"gateway\" {\n  routers = [virtual_router.inside, virtual_router.outside]\n}",
		elsewhere: []string{"vrrp_sync_group", "group"},
	}
}
