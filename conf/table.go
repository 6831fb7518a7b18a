package conf

import (
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// language is the table: every block and argument there is. The decoder and
// docs/configuration.md both come from it, so what is written here is so.
// After a change: go test ./conf -run Reference -update
func language() *block {
	return &block{blocks: append([]block{nodeBlock(), routerBlock(), groupBlock(), serviceBlock()}, checkBlocks()...)}
}

func nodeBlock() block {
	return block{
		name: "node", once: true,
		doc: "Who this host is. The block may be left out. It is read before everything else, so that " +
			"the rest of the file can say `node.name`: one file then serves every host of a pair.",
		arguments: []argument{{
			name: "name", kind: text, limits: "letters, digits, `-`, `_`, `.`; at most 64",
			doc: "The name of this host, in status, in history, and as `node.name` in this file. " +
				"Without it, the short host name (what `hostname -s` prints).",
			example: `name = "web1"`, elsewhere: []string{"router_id"},
		}},
		example:   "node {\n  name = env(\"BACKBEAT_NODE\", \"web1\")\n}",
		elsewhere: []string{"global_defs", "host"},
	}
}

func routerBlock() block {
	return block{
		name: "virtual_router", label: "NAME",
		doc: "One election among the hosts that carry the same block, and the addresses that go with it: the host that is " +
			"Active holds them. NAME is for people, for the tool and for hooks; it is not sent anywhere.",
		arguments: slices.Concat(electionArguments(), []argument{extraArgument()}, timingArguments(), wireArguments(), healingArguments()),
		blocks:    []block{addressBlock(), routeBlock(), ruleBlock(), raBlock(), announceBlock(), dependsBlock(), hookBlock()},
		example: "virtual_router \"web\" {\n  interface     = \"eth0\"\n  vrid          = 61\n" +
			"  priority      = { web1 = 150, web2 = 100 }[node.name]\n" +
			"  addresses     = [\"192.0.2.101/24\", \"2001:db8:122::101/64\"]\n  preempt_delay = \"30s\"\n}",
		elsewhere: []string{"vrrp_instance", "vrrp", "instance", "router", "virtualrouter"},
		needless:  map[string]string{"state": "Leave it out: the priority decides who is Active, and every host begins as Backup."},
	}
}

func electionArguments() []argument {
	return []argument{
		{
			name: "interface", kind: text, required: true, limits: "at most 15 characters",
			doc: "The interface the hosts share: advertisements go out here, and the addresses sit here. It need not exist when " +
				"the daemon starts; until it does, and while it has no carrier, the router is in Initialize and says why.",
			example: `interface = "eth0"`, elsewhere: []string{"dev", "device", "nic"},
		},
		{
			name: "vrid", kind: number, required: true, min: 1, max: 255,
			why: "It must be the same on all hosts of this virtual router, and different from every other VRRP router's on the same network.",
			doc: "Virtual Router Identifier (RFC 9568 5.2.3): the same on all hosts of this virtual router, and different from that of every " +
				"other one on the same network and address family, other vendors' included.",
			example: `vrid = 61`, elsewhere: []string{"virtual_router_id", "virtual_router", "vrrp_id", "id"},
		},
		{
			name: "priority", kind: number, min: 1, max: 255, def: vrrp.DefaultPriority, limits: "1–254, or 255 with `owner`",
			why: "0 is what a router sends when it gives up, and 255 belongs to the owner of the addresses (RFC 9568 5.2.4).",
			doc: "The host with the highest priority becomes Active; among equal ones, the one with the higher address of its own. Give every host its own " +
				"priority (backbeat check of both hosts warns where they are equal). " +
				"With `owner = true` it is 255 without being said.",
			example: `priority = { web1 = 150, web2 = 100 }[node.name]`, elsewhere: []string{"prio"},
		},
		{
			name: "owner", kind: boolean, def: false,
			doc: "The addresses are this host's own: they are configured on its interface anyway, and its priority is 255. The owner is Active whenever it " +
				"runs, and its addresses are never removed. True on at most one host.",
			example: `owner = node.name == "web1"`,
		},
		{
			name: "addresses", kind: texts, required: true, limits: "1–255 of the first one's family",
			doc: "The addresses the Active holds, each with a prefix length or else alone in its prefix (/32, /128). The family of the first " +
				"one is the family of the election, and the addresses of that family are advertised, in this order; those of the other family " +
				"ride along: they come and go with the others, and no second election is held. Where IPv6 elects, the first address is " +
				"link-local (RFC 9568 5.2.9), for example `fe80::1/64`.",
			example:   `addresses = ["192.0.2.101/24", "2001:db8:122::101/64"]`,
			elsewhere: []string{"virtual_ipaddress", "virtual_addresses", "vip", "vips", "ip"},
		},
		{
			name: "preempt", kind: boolean, def: true,
			doc:     "Whether a host takes over from a living Active of lower priority. With false it waits until that one leaves. The owner always takes over.",
			example: `preempt = false`, elsewhere: []string{"nopreempt", "preempt_mode"},
		},
		{
			name: "preempt_delay", kind: duration, def: "0s", longest: 1000 * time.Second, limits: "0s–1000s",
			doc: "How long a living Active of lower priority is left alone before it is preempted, so that a host that has just started can " +
				"warm up. A silent Active is replaced at once all the same.",
			example: `preempt_delay = "30s"`, elsewhere: []string{"preempt_hold_time", "hold_time"},
		},
	}
}

func timingArguments() []argument {
	return []argument{
		{
			name: "interval", kind: duration, def: "1s",
			shortest: vrrp.MinInterval, longest: vrrp.MaxInterval2, step: vrrp.IntervalUnit,
			limits: "10ms–40.95s in steps of 10ms; 1s–255s in whole seconds with `version = 2`",
			why:    "An advertisement carries it in 12 bits of hundredths of a second (RFC 9568 5.2.7).",
			doc: "Advertisement_Interval: how often the Active is heard. A Backup takes over after three of them and a little more " +
				"(Skew_Time, less than one). Give all hosts the same. Below `\"100ms\"` a busy host may be taken for a dead one: run the daemon " +
				"with real-time scheduling, as the unit file does.",
			example: `interval = "100ms"`, elsewhere: []string{"advert_int", "advertisement_interval", "adver_int"},
		},
		{
			name: "checksum", kind: word, def: "auto", words: []string{"auto", "rfc9568", "rfc5798"},
			doc: "Which bytes the IPv4 checksum covers when sending: RFC 9568 says the message alone; keepalived and FRR include a pseudo-header, " +
				"as RFC 5798 can be read. `\"auto\"` begins with RFC 9568 and mirrors the form heard from a peer. " +
				"Both forms are always accepted. IPv6 knows only one form.",
			example: `checksum = "rfc9568"`, elsewhere: []string{"v3_checksum_as_v2", "checksum_with_ipv4_pseudoheader"},
		},
	}
}

func announceBlock() block {
	return block{
		name: "announce", once: true,
		doc: "When the neighbours are told where the addresses are, by gratuitous ARP and unsolicited Neighbor Advertisements. A host that " +
			"becomes Active tells them at once; this block is about the times after that, and may be left out.",
		arguments: []argument{
			{
				name: "repeat", kind: number, def: 3, min: 0, max: 60,
				doc:     "How many rounds follow the first one. Frames get lost, above all while a switch is still learning.",
				example: `repeat = 5`, elsewhere: []string{"garp_master_repeat", "count"},
			},
			{
				name: "delay", kind: duration, def: "1s", shortest: 10 * time.Millisecond, longest: time.Minute,
				doc:     "The time between those rounds.",
				example: `delay = "500ms"`, elsewhere: []string{"garp_master_delay", "garp_interval"},
			},
			{
				name: "refresh", kind: duration, def: "60s", shortest: time.Second, longest: 24 * time.Hour, zero: true,
				doc:     "The period of the slow re-announcement that goes on while this host is Active, for neighbours and switches that have forgotten. `\"0s\"` switches it off.",
				example: `refresh = "5m"`, elsewhere: []string{"garp_master_refresh"},
			},
		},
		example: "announce {\n  repeat  = 5\n  delay   = \"500ms\"\n  refresh = \"0s\"\n}",
	}
}

func hookBlock() block {
	return block{
		name: "hook", label: "NAME",
		doc: "A command that is told about transitions of its virtual router. Hooks run one at a time per router, in the order of the file, with the " +
			"transition in `BACKBEAT_…` environment variables and as JSON on standard input. Nothing depends on their success, and the election never waits for them.",
		arguments: []argument{
			{
				name: "on", kind: words, required: true, words: []string{"active", "backup", "initialize", "fault"},
				doc: "The transitions to be told about: to Active, to Backup, to Initialize because the router was asked to leave, " +
					"and to Initialize because of a fault.",
				example: `on = ["active", "fault"]`, elsewhere: []string{"states", "when"},
			},
			{
				name: "command", kind: texts, required: true, limits: "the program's absolute path, then its arguments",
				doc: "What to run. There is no shell: every argument reaches the program as it is. The program and the directories " +
					"above it must not be writable by other users.",
				example:   `command = ["/usr/bin/logger", "-t", "backbeat", "${node.name}: look at the web pair"]`,
				elsewhere: []string{"exec", "script", "cmd", "notify", "notify_master", "notify_backup", "notify_fault", "path", "args"},
			},
			{
				name: "user", kind: text, def: "", limits: "the name of an account",
				doc:     "The account to run as. When it is empty: the account `backbeat` if there is one and the daemon runs as root, else the daemon's own.",
				example: `user = "nobody"`, elsewhere: []string{"run_as", "username"},
			},
			{
				name: "timeout", kind: duration, def: "10s", shortest: 100 * time.Millisecond, longest: time.Hour,
				doc:     "How long one run may take before it and its children get SIGTERM, and a moment later SIGKILL.",
				example: `timeout = "30s"`,
			},
		},
		example: "hook \"log\" {\n  on      = [\"active\", \"fault\"]\n" +
			"  command = [\"/usr/bin/logger\", \"-t\", \"backbeat\", \"${node.name}: look at the web pair\"]\n}",
		elsewhere: []string{"notify", "script", "exec"},
	}
}
