package conf

import (
	"fmt"
	"slices"
	"time"
)

// checkBlocks are the kinds of check: one block type whose first label selects.
func checkBlocks() []block {
	return []block{
		checkBlock("exec", 3, "Runs a command: exit status 0 is healthy, any other is failing, and so is a run that takes too long. One that cannot be "+
			"started (missing, refused by the rules for commands, no such user) says nothing about the service: it is unknown. "+
			"What the command prints last is shown in status. `BACKBEAT_CHECK` has the name of the check.",
			"check \"exec\" \"license\" {\n  command  = [\"/usr/bin/test\", \"-s\", \"/etc/license.key\"]\n  interval = \"10s\"\n}",
			argument{name: "command", kind: texts, required: true, limits: "the program's absolute path, then its arguments",
				doc:     "What to run. There is no shell. The program and the directories above it must not be writable by other users.",
				example: `command = ["/usr/bin/test", "-s", "/etc/license.key"]`, elsewhere: []string{"script", "exec", "cmd"}},
			argument{name: "user", kind: text, def: "", limits: "the name of an account",
				doc:     "The account to run as. When it is empty: the account `backbeat` if there is one and the daemon runs as root, else the daemon's own.",
				example: `user = "nobody"`},
			argument{name: "environment", kind: texts, empty: true, limits: "`NAME=value`",
				doc:     "Variables beside PATH, HOME, USER, LANG=C.UTF-8 and `BACKBEAT_CHECK`, which are all there are. Do not put a password here: messages quote the file.",
				example: `environment = ["PGCONNECT_TIMEOUT=2"]`}),
		checkBlock("http", 3, "Asks a web server, by http or https. It connects anew each time, follows no proxy, and looks at status, body and certificate.",
			"check \"http\" \"site\" {\n  url      = \"http://127.0.0.1/server-status?auto\"\n  match    = \"BusyWorkers\"\n  interval = \"2s\"\n}",
			append([]argument{
				{name: "url", kind: text, required: true, limits: "http://… or https://…", doc: "What to ask for.", example: `url = "http://127.0.0.1/server-status?auto"`, elsewhere: []string{"uri"}},
				{name: "method", kind: word, def: "GET", words: []string{"GET", "HEAD", "POST", "OPTIONS"}, doc: "The method.", example: `method = "HEAD"`},
				{name: "status", kind: texts, empty: true, limits: "codes and ranges of codes", doc: "The status codes that are healthy. Without it: 200–299.", example: `status = ["200-299", "401"]`, elsewhere: []string{"status_code"}},
				{name: "match", kind: text, def: "", limits: "a regular expression (RE2)", doc: "Must match the first MiB of the body.", example: `match = "BusyWorkers"`, elsewhere: []string{"body", "regex"}},
				{name: "not_match", kind: text, def: "", limits: "a regular expression (RE2)", doc: "Must not match the first MiB of the body.", example: `not_match = "read-only"`},
				{name: "headers", kind: texts, empty: true, limits: "`Name: value`", doc: "More headers. Do not put a password here: messages quote the file.", example: `headers = ["X-Check: backbeat"]`},
				{name: "host", kind: text, def: "", doc: "The Host header, and the name in the certificate, where the URL has an address.", example: `host = "www.example.net"`, elsewhere: []string{"virtualhost"}},
				{name: "unix", kind: text, def: "", limits: "an absolute path", doc: "Connect to this unix socket instead.", example: `unix = "/run/app/web.sock"`},
				{name: "follow_redirects", kind: boolean, def: false, doc: "Follow up to ten redirects. Without it a redirect is an answer like others.", example: `follow_redirects = true`},
				sourceArgument("connect"),
			}, tlsArguments()...)...),
		checkBlock("tcp", 3, "Connects; with `send` and `expect` it holds a short conversation.",
			"check \"tcp\" \"redis\" {\n  address = \"127.0.0.1:6379\"\n  send    = \"PING\\r\\n\"\n  expect  = \"^\\\\+PONG\"\n}",
			append([]argument{
				{name: "address", kind: text, def: "", limits: "host:port", doc: "Where to connect to; this or `unix`.", example: `address = "127.0.0.1:6379"`, elsewhere: []string{"connect_ip", "port"}},
				{name: "unix", kind: text, def: "", limits: "an absolute path", doc: "A unix socket to connect to.", example: `unix = "/run/mysqld/mysqld.sock"`},
				{name: "send", kind: text, def: "", doc: "What to send first. Do not put a password here: messages quote the file.", example: `send = "PING\r\n"`},
				{name: "expect", kind: text, def: "", limits: "a regular expression (RE2)", doc: "Must match the first 64 KiB of the answer. Without it, to be connected is enough.", example: `expect = "^\\+PONG"`},
				{name: "tls", kind: boolean, def: false, doc: "Speak TLS from the beginning.", example: `tls = true`},
				sourceArgument("connect"),
			}, tlsArguments()...)...),
		checkBlock("icmp", 3, "Sends an echo request to each target and waits for the answers (ping). What others answer, or answer to other requests, does not count. "+
			"All these checks share one socket for each family.",
			"check \"icmp\" \"uplink\" {\n  targets = [\"192.0.2.1\", \"192.0.2.2\", \"2001:db8::1\"]\n  quorum  = 2\n}",
			argument{name: "target", kind: text, def: "", limits: "an address", doc: "Whom to ask; this or `targets`.", example: `target = "192.0.2.1"`, elsewhere: []string{"address", "host", "connect_ip"}},
			argument{name: "targets", kind: texts, limits: "addresses of any family", doc: "Several, so that the failure of one is not taken for that of this host's network.", example: `targets = ["192.0.2.1", "192.0.2.2", "2001:db8::1"]`},
			argument{name: "quorum", kind: number, def: 1, min: 1, max: 1000, limits: "1–the number of targets", doc: "How many of the targets must answer.", example: `quorum = 2`},
			argument{name: "interface", kind: text, def: "", limits: "at most 15 characters", doc: "The interface to send by, whatever the routes say. While it does not exist the check fails.", example: `interface = "eth1"`, elsewhere: []string{"dev"}},
			sourceArgument("send")),
		checkBlock("dns", 3, "Asks a name server, by UDP and, where the answer is cut off, by TCP. What is no answer to the question (another number, another question, garbage) does not count.",
			"check \"dns\" \"resolver\" {\n  name    = \"www.example.net\"\n  answers = [\"192.0.2.80\"]\n}",
			argument{name: "name", kind: text, required: true, limits: "a domain name", doc: "What to ask for.", example: `name = "www.example.net"`},
			argument{name: "type", kind: word, def: "A", words: []string{"A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"}, doc: "The type of the records.", example: `type = "SOA"`},
			argument{name: "server", kind: text, def: "127.0.0.1", limits: "an address, or address:port", doc: "Whom to ask.", example: `server = "192.0.2.53"`, elsewhere: []string{"connect_ip"}},
			argument{name: "answers", kind: texts, empty: true, limits: "records", doc: "Records that must be in the answer, others may be there beside them. Without it: at least one of the type. " +
				"An address, a name, `10 mail.example.net` (MX), `10 5 5060 sip.example.net` (SRV), or the text (TXT).", example: `answers = ["192.0.2.80"]`},
			argument{name: "rcode", kind: word, def: "NOERROR", words: []string{"NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "NOTIMP", "FORMERR"}, doc: "The response code that is healthy.", example: `rcode = "NXDOMAIN"`},
			argument{name: "authoritative", kind: boolean, def: false, doc: "The answer must be the server's own (AA), not from a cache.", example: `authoritative = true`},
			argument{name: "recursive", kind: boolean, def: true, doc: "Ask the server to find out (RD). With false it should tell what it has.", example: `recursive = false`},
			argument{name: "tcp", kind: boolean, def: false, doc: "Ask by TCP only.", example: `tcp = true`},
			sourceArgument("ask")),
		checkBlock("systemd", 3, "Asks systemd, over D-Bus, whether a unit is active (also while it reloads). A unit that does not exist is failing; a systemd that cannot be asked is unknown.",
			"check \"systemd\" \"apache\" {\n  unit      = \"apache2.service\"\n  sub_state = \"running\"\n}",
			argument{name: "unit", kind: text, required: true, limits: "a unit's name", doc: "The unit; without an ending it is a service.", example: `unit = "apache2.service"`, elsewhere: []string{"service", "name"}},
			argument{name: "sub_state", kind: text, def: "", limits: "as `systemctl show -p SubState` prints it", doc: "What it must be within active; empty: any. A service made from an init script stays active (exited) when " +
				"its processes have ended: `\"running\"` notices.", example: `sub_state = "running"`}),
		checkBlock("file", 3, "Looks at a file. One that is missing or cannot be read is unknown, never healthy.",
			"check \"file\" \"heartbeat\" {\n  path    = \"/run/app/heartbeat\"\n  max_age = \"30s\"\n}",
			argument{name: "path", kind: text, required: true, limits: "an absolute path", doc: "The file.", example: `path = "/run/app/heartbeat"`, elsewhere: []string{"file"}},
			argument{name: "absent", kind: boolean, def: false, doc: "Healthy while the file does not exist, failing while it does: a flag like /run/maintenance.", example: `absent = true`},
			argument{name: "max_age", kind: duration, def: "0s", shortest: time.Second, longest: 366 * 24 * time.Hour, zero: true, doc: "How long ago it may have been written; `\"0s\"`: any time.", example: `max_age = "30s"`},
			argument{name: "integer", kind: boolean, def: false, doc: "It has a whole number in it, which a `depends_on` with `weight` multiplies. Anything else in it is unknown.", example: `integer = true`},
			argument{name: "match", kind: text, def: "", limits: "a regular expression (RE2)", doc: "Must match its first 64 KiB.", example: `match = "^state=up"`}),
		checkBlock("process", 3, "Counts processes by name, or looks for the one of a pid file. One look at /proc serves all these checks.",
			"check \"process\" \"named\" {\n  name = \"named\"\n}",
			argument{name: "name", kind: text, def: "", doc: "The name of the command, as `ps -C` has it, or the base name of its `argv[0]`.", example: `name = "named"`, elsewhere: []string{"process"}},
			argument{name: "pid_file", kind: text, def: "", limits: "an absolute path", doc: "A file with the number of the process. It must exist, and be called `name` if that is said. Without the file: failing.", example: `pid_file = "/run/named/named.pid"`, elsewhere: []string{"pidfile"}},
			argument{name: "min", kind: number, def: 1, min: 0, max: 100000, doc: "How many there must be.", example: `min = 2`, elsewhere: []string{"quorum"}},
			argument{name: "max", kind: number, def: 0, min: 0, max: 100000, doc: "How many there may be; 0: any number.", example: `max = 1`, elsewhere: []string{"quorum_max"}}),
		checkBlock("link", 1, "Looks at a network interface: up and with carrier. It runs at once when the kernel tells of a change. `depends_on { link = \"eth1\" }` is short for one with all defaults.",
			"check \"link\" \"uplink\" {\n  interface = \"eth1\"\n}",
			argument{name: "interface", kind: text, required: true, limits: "at most 15 characters", doc: "The interface.", example: `interface = "eth1"`, elsewhere: []string{"dev"}},
			argument{name: "min_speed", kind: number, def: 0, min: 0, max: 1 << 30, doc: "The least speed in Mbit/s; 0: any. Where the driver does not tell, it is unknown.", example: `min_speed = 1000`}),
		checkBlock("address", 1, "Looks for an address on this host; one that is still tentative or a duplicate does not count.",
			"check \"address\" \"service\" {\n  address = \"192.0.2.7\"\n}",
			argument{name: "address", kind: text, required: true, limits: "an address", doc: "The address.", example: `address = "192.0.2.7"`},
			argument{name: "interface", kind: text, def: "", limits: "at most 15 characters", doc: "The interface it must be on; empty: any.", example: `interface = "eth0"`, elsewhere: []string{"dev"}},
			argument{name: "absent", kind: boolean, def: false, doc: "Healthy while it is not there.", example: `absent = true`}),
		checkBlock("route", 1, "Looks for a route in the kernel: exactly this destination, by a link that works. With `interface` it runs at once when the kernel tells of a change there.",
			"check \"route\" \"uplink\" {\n  destination = \"default\"\n  via         = \"198.51.100.1\"\n}",
			argument{name: "destination", kind: text, required: true, limits: "a network, or `\"default\"`", doc: "The destination. `\"default\"` is of the family of `via`, or IPv4.", example: `destination = "203.0.113.0/24"`, elsewhere: []string{"prefix", "dst"}},
			argument{name: "via", kind: text, def: "", limits: "an address", doc: "The next hop it must have.", example: `via = "198.51.100.1"`, elsewhere: []string{"gateway", "gw"}},
			argument{name: "interface", kind: text, def: "", limits: "at most 15 characters", doc: "The interface it must leave by.", example: `interface = "eth1"`, elsewhere: []string{"dev"}},
			argument{name: "table", kind: number, def: "main", names: tables, min: 1, max: anyU32, limits: tableLimits, doc: "The routing table.", example: `table = 100`}),
		checkBlock("load", 3, "Looks at the load averages; at least one limit is needed.",
			"check \"load\" \"busy\" {\n  max_5m  = 4\n  per_cpu = true\n}",
			loadArgument("max_1m", "1 minute"), loadArgument("max_5m", "5 minutes"), loadArgument("max_15m", "15 minutes"),
			argument{name: "per_cpu", kind: boolean, def: false, doc: "The averages are divided by the number of processors.", example: `per_cpu = true`}),
		checkBlock("disk", 3, "Looks at the file system that a path is on; at least one limit is needed.",
			"check \"disk\" \"var\" {\n  path     = \"/var\"\n  min_free = \"5%\"\n  writable = true\n}",
			argument{name: "path", kind: text, required: true, limits: "an absolute path", doc: "Any path on it.", example: `path = "/var"`},
			argument{name: "min_free", kind: text, def: "", limits: "a percentage, or bytes with KiB, MiB, GiB or TiB", doc: "What must be free for users other than root.", example: `min_free = "2GiB"`},
			argument{name: "min_inodes", kind: text, def: "", limits: "a percentage", doc: "How many of its inodes must be free.", example: `min_inodes = "5%"`},
			argument{name: "writable", kind: boolean, def: false, doc: "It must not be mounted read-only, as ext4 does by itself after errors.", example: `writable = true`}),
	}
}

func loadArgument(name, span string) argument {
	return argument{name: name, kind: text, def: "", limits: "a number above 0", doc: fmt.Sprintf("The most the load average of %s may be.", span), example: name + " = 4.5"}
}

func sourceArgument(verb string) argument {
	return argument{name: "source", kind: text, def: "", limits: "an address of this host", doc: fmt.Sprintf("The address to %s from.", verb), example: `source = "192.0.2.1"`, elsewhere: []string{"bindto"}}
}

func tlsArguments() []argument {
	return []argument{
		{name: "verify", kind: boolean, def: true, doc: "Verify the server's certificate. With false, anybody may answer.", example: `verify = false`},
		{name: "server_name", kind: text, def: "", doc: "The name the certificate must be for. Without it: the host.", example: `server_name = "www.example.net"`, elsewhere: []string{"sni"}},
		{name: "ca_file", kind: text, def: "", limits: "an absolute path", doc: "PEM certificates to trust instead of the system's.", example: `ca_file = "/etc/ssl/own-ca.pem"`},
		{name: "certificate_remaining", kind: duration, def: "0s", longest: 366 * 24 * time.Hour, limits: "0s–8784h", doc: "How long the certificate must still be valid.", example: `certificate_remaining = "72h"`},
	}
}

// checkBlock is one kind, with the arguments that all have. fall is its default:
// what the kernel says for certain needs no second opinion.
func checkBlock(kind string, fall int, doc, example string, own ...argument) block {
	rise := min(fall, 2)
	common := []argument{
		{name: "interval", kind: duration, def: "1s", shortest: 100 * time.Millisecond, longest: 24 * time.Hour, doc: "The time from one run to the next. A run that takes longer makes the next ones be left out, and counted.", example: `interval = "2s"`},
		{name: "timeout", kind: duration, shortest: 10 * time.Millisecond, longest: time.Hour, limits: "10ms–interval", doc: "How long one run may take. Without it: the interval, at most 10s.", example: `timeout = "1s"`},
		{name: "rise", kind: number, def: rise, min: 1, max: 1000, doc: "How many runs in a row must pass for a failing check to be healthy. The first result of all decides alone.", example: `rise = 3`},
		{name: "fall", kind: number, def: fall, min: 1, max: 1000, doc: "How many runs in a row must fail for a healthy check to be failing.", example: `fall = 2`},
		{name: "initial", kind: word, def: "unknown", words: []string{"unknown", "healthy", "failing"}, doc: "What is taken for known at the start. With `\"unknown\"` the first result decides; a router with `effect = \"fault\"` waits for it.", example: `initial = "failing"`, elsewhere: []string{"init_fail"}},
		{name: "unknown", kind: word, def: "hold", words: []string{"hold", "failing", "ignore"}, doc: "What counts while it cannot be run, `fall` times in a row: what was known last (failing if nothing was), failing, or nothing at all.", example: `unknown = "failing"`},
		{name: "splay", kind: duration, shortest: time.Millisecond, longest: time.Hour, zero: true, limits: "0s–interval", doc: "The first run comes at a moment in this time that depends on the name, so that many checks do not run together. Without it: the interval, at most 1s.", example: `splay = "0s"`},
	}
	return block{name: "check", kind: kind, label: "NAME", doc: doc, example: example, arguments: slices.Concat(own, common),
		elsewhere: []string{"vrrp_script", "vrrp_track_file", "vrrp_track_process"}}
}

func dependsBlock() block {
	return block{
		name: "depends_on",
		doc: "What this virtual router makes of checks: one of `check`, `all`, `any`, `link`, and what they do to it. In a sync group the dependencies of all members " +
			"count for each of them. See docs/checks.md.",
		arguments: []argument{
			{name: "check", kind: text, def: "", limits: "check.KIND.NAME", doc: "One check.", example: `check = check.http.site`, elsewhere: []string{"track_script", "track_file", "track_process", "script"}},
			{name: "all", kind: texts, limits: "two or more checks", doc: "Several, of which all must be healthy.", example: `all = [check.http.site, check.tcp.db]`},
			{name: "any", kind: texts, limits: "two or more checks", doc: "Several, of which one is enough.", example: `any = [check.http.site, check.tcp.db]`},
			{name: "link", kind: text, def: "", limits: "at most 15 characters", doc: "An interface that must be up and have carrier.", example: `link = "eth1"`, elsewhere: []string{"track_interface", "interface"}},
			{name: "effect", kind: word, def: "degrade", words: []string{"degrade", "fault"}, doc: "While it is bad: `\"degrade\"` drops this host into the priorities 1–50, in which hosts keep their rank, so that " +
				"healthy always beats degraded, and the best of the degraded serves where nobody is healthy. `\"fault\"` takes it out of the election.", example: `effect = "fault"`},
			{name: "weight", kind: number, def: 0, min: -253, max: 253, doc: "Instead of an effect, keepalived's arithmetic: a negative number is added to the priority while it is bad, a positive one while it is good; the number in " +
				"a `file` check with `integer` is multiplied by it.", example: `weight = -20`},
		},
		example:   "depends_on {\n  check = check.http.site\n}",
		elsewhere: []string{"track_script", "track_interface", "track_file", "track_process", "track"},
	}
}
