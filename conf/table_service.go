package conf

import "time"

// serviceBlock is what follows a virtual router: an ordered list of steps.
func serviceBlock() block {
	return block{
		name: "service_group", label: "NAME",
		doc: "Services that run where a virtual router, or a sync group, is Active: steps that go up in the order of the file and down in the opposite " +
			"one. The election and its addresses never wait for them. A group that cannot be brought up makes its routers leave the election, so that another " +
			"host serves. Whatever the steps start must not be started at boot by anybody else.",
		arguments: []argument{
			{name: "follows", kind: text, required: true, limits: "virtual_router.NAME or sync_group.NAME",
				doc: "What it follows. A virtual_router with `election = \"both\"` stands for both its elections; one that is in a sync_group is followed by naming the group. " +
					"It can have one service group only. With `preempt = true` the services move back when the preferred host returns: say `preempt = false` there if they should not.",
				example: `follows = virtual_router.inside`, elsewhere: []string{"virtual_router", "router", "with", "sync_group"}},
			{name: "addresses_when", kind: word, def: "active", words: []string{"active", "ready"},
				doc:     "When the addresses go up: `\"active\"` with the election, beside the steps, or `\"ready\"` when all steps are up, so that no client meets a host that does not serve yet.",
				example: `addresses_when = "ready"`},
			{name: "on_stuck", kind: word, def: "block", words: []string{"block", "reboot"},
				doc: "What follows when a step cannot be brought down by any means. `\"block\"`: nothing below is touched, and status says so, until it is down in fact or " +
					"`backbeat clear` is given. `\"reboot\"`: this host reboots at once, without a shutdown, so that the other may take over.",
				example: `on_stuck = "reboot"`, elsewhere: []string{"on_demote_fail", "on_stop_fail"}},
			{name: "hold_off", kind: duration, def: "30s", shortest: time.Second, longest: time.Hour,
				doc:     "How long this host stays out of the election after the group could not be brought up here; doubled each time it happens again.",
				example: `hold_off = "1m"`, elsewhere: []string{"hold"}},
			{name: "hold_off_max", kind: duration, def: "10m", shortest: time.Second, longest: 24 * time.Hour,
				doc: "What the hold-off grows to at most.", example: `hold_off_max = "1h"`},
			{name: "qualify", kind: duration, def: "5s", shortest: 100 * time.Millisecond, longest: time.Hour, zero: true,
				doc:     "How often a host that does not serve is asked whether it could (is the data good, is the unit there). One that could not takes no part. At the pace of their monitors its steps are looked at, too: what somebody else has brought up is told, and left alone. `\"0s\"`: never.",
				example: `qualify = "10s"`},
		},
		blocks: append([]block{safetyBlock()}, stepBlocks()...),
		example: "service_group \"site\" {\n  follows = virtual_router.inside\n\n  safety {\n    mode               = \"none\" # two nodes, no fencing: we know what that means\n" +
			"    accept_split_brain = true\n  }\n\n  step \"drbd\" \"wwwdata\" { resource = \"wwwdata\" }\n  step \"filesystem\" \"www\" {\n    drbd   = \"wwwdata\"\n" +
			"    target = \"/var/www/html\"\n    type   = \"ext4\"\n  }\n  step \"systemd\" \"apache\" {\n    unit = \"apache2.service\"\n    monitor { interval = \"10s\" }\n  }\n}",
		elsewhere: []string{"resource_group", "services", "service", "cluster", "primitive"},
	}
}

func safetyBlock() block {
	return block{
		name: "safety", once: true,
		doc: "How two hosts are kept from writing the same data. VRRP decides by silence, and a silent host may be alive and writing. A group with a step that has " +
			"exclusive data (drbd, postgresql, redis, a shared filesystem, or `exclusive = true`) must have this block.",
		arguments: []argument{
			{name: "mode", kind: text, required: true, limits: "`none` or `fence`",
				doc: "`\"fence\"`: a peer that has not said that it let go is switched off, and that is confirmed, before its data is taken. `\"none\"`: nobody prevents it; " +
					"after a network failure both hosts may write, and one side's writes are lost afterwards. `\"lease\"` is not built yet.",
				example: `mode = "fence"`},
			{name: "accept_split_brain", kind: boolean, def: false,
				doc: "Says in so many words that the consequences of `mode = \"none\"` are known. Without it that mode is refused.", example: `accept_split_brain = true`},
			{name: "release_timeout", kind: duration, def: "60s", shortest: time.Second, longest: time.Hour,
				doc: "How long a peer that was Active may take to bring its exclusive steps down when we take over from it alive. When it is over, the mode decides. It should be longer " +
					"than the stop timeouts of these steps and of those above.",
				example: `release_timeout = "2m"`},
		},
		blocks:  []block{fenceBlock()},
		example: "safety {\n  mode               = \"none\"\n  accept_split_brain = true\n}",
	}
}

func fenceBlock() block {
	return block{
		name: "fence", label: "NAME",
		doc: "A device that can switch the other host off. Several are tried in the order of the file until one has confirmed it. The command is a fence agent of " +
			"ClusterLabs, or one with its interface: `key=value` lines on standard input, exit status 0 when it is done.",
		arguments: []argument{
			{name: "command", kind: texts, required: true, limits: "the program's absolute path, then its arguments",
				doc: "What to run. There is no shell. The program and the directories above it must not be writable by other users.", example: `command = ["/usr/sbin/fence_ipmilan"]`},
			{name: "target", kind: text, required: true, limits: "a host's name, not this one's",
				doc: "The host that it switches off.", example: `target = { web1 = "web2", web2 = "web1" }[node.name]`, elsewhere: []string{"node", "host"}},
			{name: "options", kind: mapping, doc: "The lines for the command, but for `action` and for secrets. Usually none if it has all it needs as arguments.",
				example: `options = { ip = "192.0.2.202", username = "backbeat", lanplus = 1 }`, elsewhere: []string{"params", "parameters"}},
			{name: "secrets", kind: mapping, secret: true,
				doc: "More such lines, whose values are in no message, log or status. A value that begins with `file:` is the path of a file that has it in its first line, read at each run; " +
					"`env(\"NAME\")` works as everywhere.",
				example: `secrets = { password = "file:/etc/backbeat/ipmi.secret" }`},
			{name: "action", kind: word, def: "off", words: []string{"off", "reboot"},
				doc: "What to ask for. `\"off\"` leaves a host that failed for people to look at, and cannot start a fight of two hosts that reboot each other.", example: `action = "reboot"`},
			accountArgument("root"),
			{name: "timeout", kind: duration, def: "60s", shortest: time.Second, longest: time.Hour, doc: "How long one run may take. Then the next device is tried.", example: `timeout = "30s"`},
			{name: "delay", kind: duration, def: "0s", longest: 10 * time.Minute, limits: "0s–10m",
				doc:     "Waited before the run. Two hosts that have lost each other would switch each other off at the same moment: give one of them 5s, so that the other survives.",
				example: `delay = { web1 = "0s", web2 = "5s" }[node.name]`},
		},
		example: "fence \"ipmi\" {\n  command = [\"/usr/sbin/fence_ipmilan\"]\n  target  = { web1 = \"web2\", web2 = \"web1\" }[node.name]\n" +
			"  options = { ip = { web1 = \"192.0.2.202\", web2 = \"192.0.2.201\" }[node.name], username = \"backbeat\", lanplus = 1 }\n" +
			"  secrets = { password = \"file:/etc/backbeat/ipmi.secret\" }\n  delay   = { web1 = \"0s\", web2 = \"5s\" }[node.name]\n}",
		elsewhere: []string{"stonith", "device"},
	}
}
