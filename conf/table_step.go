package conf

import (
	"slices"
	"time"
)

// pace is what the kinds of step differ in: how long one try may take, and how
// a step that is up is looked at.
type pace struct {
	start, stop, interval, look string
}

// stepBlocks are the kinds of step: one block type whose first label selects,
// so that the order in the file is the order of the steps.
//
// The timeouts are those that the agents of resource-agents 4.12 recommend, where
// there is one of the kind; systemd's are its own defaults.
func stepBlocks() []block {
	return []block{
		stepBlock("drbd", pace{"60s", "60s", "10s", "20s"},
			"A DRBD resource: Primary here while the group is up, Secondary otherwise. A promotion is tried until `start_timeout` is over, because the peer may still be demoting. Always exclusive. "+
				"Never forced: what would lose data is for people.",
			"step \"drbd\" \"wwwdata\" {\n  resource = \"wwwdata\"\n}", []string{"drbdadm", "linbit"},
			argument{name: "resource", kind: text, required: true, limits: "as in its .res file", doc: "The resource.", example: `resource = "wwwdata"`, elsewhere: []string{"drbd_resource", "name"}},
			argument{name: "allow_outdated", kind: boolean, def: false, doc: "Promote data that is known to be old. What the peer wrote since is lost.", example: `allow_outdated = true`},
			argument{name: "allow_diskless", kind: boolean, def: false, doc: "Promote without a disk of our own, over a connected peer (DRBD 9).", example: `allow_diskless = true`},
			argument{name: "force_secondary", kind: boolean, def: false, doc: "Demote with `--force` when everything else has failed (DRBD 9.1.7 and later): whoever has the device open gets errors.", example: `force_secondary = true`},
			pathArgument("drbdadm", "/usr/sbin/drbdadm", "The command drbdadm."),
			pathArgument("drbdsetup", "/usr/sbin/drbdsetup", "The command drbdsetup.")),
		filesystemBlock(),
		stepBlock("systemd", pace{"90s", "90s", "10s", "20s"},
			"A systemd unit. While it is ours, `Restart=` of a service does nothing: it is us who restart it. It must not be enabled at boot.",
			"step \"systemd\" \"apache\" {\n  unit = \"apache2.service\"\n}", []string{"service", "unit"},
			argument{name: "unit", kind: text, required: true, limits: "a unit's name", doc: "The unit; without an ending it is a service. What a host needs to be reached and run (sshd, systemd's own, the network) is refused.",
				example: `unit = "apache2.service"`, elsewhere: []string{"service", "name"}},
			exclusiveArgument("no")),
		stepBlock("lsb", pace{"60s", "60s", "30s", "30s"},
			"An init script with LSB's actions start, stop, status. Where systemd has a unit of the same name, a step of kind systemd is better.",
			"step \"lsb\" \"asterisk\" {\n  script = \"asterisk\"\n}", []string{"init", "initscript"},
			argument{name: "script", kind: text, required: true, limits: "a name, or an absolute path", doc: "The script; a bare name is one of /etc/init.d.", example: `script = "asterisk"`, elsewhere: []string{"name", "path"}},
			argument{name: "status_text", kind: text, def: "", doc: "What the output of status must contain for the script to count as running, for scripts whose exit status says nothing.", example: `status_text = "is running"`},
			accountArgument("root"), exclusiveArgument("no")),
		ocfBlock(),
		stepBlock("exec", pace{"60s", "60s", "30s", "30s"},
			"Commands of your own. All must be harmless when there is nothing to do: starting what is up, stopping what is down.",
			"step \"exec\" \"announce\" {\n  start  = [\"/usr/local/sbin/announce\", \"up\"]\n  stop   = [\"/usr/local/sbin/announce\", \"down\"]\n  status = [\"/usr/local/sbin/announce\", \"status\"]\n}", []string{"command", "script", "cmd"},
			argument{name: "start", kind: texts, required: true, limits: commandLimits, doc: "Brings it up, and returns when it is usable. There is no shell.", example: `start = ["/usr/local/sbin/announce", "up"]`, elsewhere: []string{"up"}},
			argument{name: "stop", kind: texts, required: true, limits: commandLimits, doc: "Brings it down, and returns when it is down.", example: `stop = ["/usr/local/sbin/announce", "down"]`, elsewhere: []string{"down"}},
			argument{name: "status", kind: texts, limits: commandLimits, doc: "Says what is so: exit status 0 is up, 1, 3 and 7 are down, any other is failed. Without it the step is taken to be as the last start or stop left it.",
				example: `status = ["/usr/local/sbin/announce", "status"]`, elsewhere: []string{"monitor_command", "probe"}},
			accountArgument("root"), exclusiveArgument("no")),
		postgresBlock(), redisBlock(),
		stepBlock("address", pace{"10s", "10s", "10s", "5s"},
			"An address as a step, for groups in which it must not be there before the steps above it in the file are up. It is no address of a virtual router, and no election is held over it.",
			"step \"address\" \"service\" {\n  address   = \"192.0.2.50/24\"\n  interface = \"eth0\"\n}", []string{"vip", "ip", "ipaddr"},
			argument{name: "address", kind: text, required: true, limits: "an address with its prefix length", doc: "The address.", example: `address = "192.0.2.50/24"`, elsewhere: []string{"ip"}},
			argument{name: "interface", kind: text, def: "", limits: "at most 15 characters", doc: "The interface it goes on. Without it: that of the virtual router, if there is one only.", example: `interface = "eth0"`, elsewhere: []string{"dev", "nic"}}),
		routeStepBlock(),
	}
}

const commandLimits = "the program's absolute path, then its arguments"

func filesystemBlock() block {
	return stepBlock("filesystem", pace{"60s", "60s", "20s", "30s"},
		"A mounted file system. It is exclusive if `shared` says so.",
		"step \"filesystem\" \"www\" {\n  device = \"/dev/disk/by-id/wwn-0x600508b1001c4d4e\"\n  target = \"/var/www/html\"\n  type   = \"xfs\"\n}", []string{"mount", "fs"},
		argument{name: "device", kind: text, def: "", limits: "a path, `LABEL=…`, `UUID=…`, or `host:/path`", doc: "What to mount; this or `drbd`.", example: `device = "/dev/drbd/by-res/wwwdata/0"`, elsewhere: []string{"source", "what"}},
		argument{name: "drbd", kind: text, def: "", limits: "the name of a resource", doc: "The DRBD resource whose device it is, so that nobody need know its number.", example: `drbd = "wwwdata"`},
		argument{name: "volume", kind: number, def: 0, min: 0, max: 65534, doc: "The volume of that resource.", example: `volume = 1`},
		argument{name: "target", kind: text, required: true, limits: "an absolute path", doc: "Where to mount it. The directory must exist.", example: `target = "/var/www/html"`, elsewhere: []string{"directory", "mountpoint", "where"}},
		argument{name: "type", kind: text, def: "auto", doc: "The type, as for mount(8). `\"auto\"` leaves it to mount.", example: `type = "ext4"`, elsewhere: []string{"fstype"}},
		argument{name: "options", kind: texts, empty: true, doc: "mount's options.", example: `options = ["noatime", "nodev"]`},
		argument{name: "fsck", kind: word, def: "auto", words: []string{"auto", "force", "no"}, doc: "`\"auto\"` runs fsck in its careful mode before mounting, where the type needs it.", example: `fsck = "no"`, elsewhere: []string{"run_fsck"}},
		argument{name: "kill", kind: boolean, def: true, doc: "On the way down, end the processes that hold it: TERM, then KILL. A shell that stands in it is one of them.", example: `kill = false`, elsewhere: []string{"force_unmount"}},
		argument{name: "shared", kind: boolean, doc: "Whether another host can reach the same data, which makes the step exclusive. Without it: no for network and memory file systems (NFS, CIFS, CephFS, GlusterFS, tmpfs), " +
			"whose server decides or which have nothing to share, and for `bind` mounts; yes for all others, DRBD, iSCSI and multipath devices among them, because a path or a UUID does not tell that a disk is not shared. Say false for a disk that only this host has.",
			example: `shared = false`})
}

func ocfBlock() block {
	return stepBlock("ocf", pace{"60s", "60s", "30s", "30s"},
		"A resource agent of the Open Cluster Framework, as Pacemaker uses them. Agents that need Pacemaker itself are refused. Exit status 6 (not configured) condemns this host only.",
		"step \"ocf\" \"apache\" {\n  agent  = \"ocf:heartbeat:apache\"\n  params = { configfile = \"/etc/apache2/apache2.conf\" }\n}", []string{"resource", "primitive", "agent"},
		argument{name: "agent", kind: text, required: true, limits: "`ocf:PROVIDER:TYPE`", doc: "The agent.", example: `agent = "ocf:heartbeat:apache"`, elsewhere: []string{"class", "type"}},
		argument{name: "params", kind: mapping, doc: "Its parameters: OCF_RESKEY_… without the prefix.", example: `params = { configfile = "/etc/apache2/apache2.conf" }`, elsewhere: []string{"parameters", "options"}},
		argument{name: "secrets", kind: mapping, secret: true, doc: "More parameters, whose values are in no message, log or status. A value that begins with `file:` is the path of a file that has it in its first line.",
			example: `secrets = { passwd = "file:/etc/backbeat/db.secret" }`},
		argument{name: "check_level", kind: number, def: 0, min: 0, max: 100, doc: "How deeply its monitor looks (OCF_CHECK_LEVEL).", example: `check_level = 10`, elsewhere: []string{"depth"}},
		argument{name: "promotable", kind: boolean, def: false, doc: "Started where the host takes part, promoted where it is Active. Always exclusive.", example: `promotable = true`, elsewhere: []string{"master", "ms"}},
		argument{name: "exclusive", kind: boolean, doc: "Whether it has data that two hosts must never have at once. Without it: yes for promotable ones and for Filesystem, LVM, LVM-activate, ZFS, Raid1; no for others.", example: `exclusive = true`},
		pathArgument("root", "/usr/lib/ocf", "OCF_ROOT: the agents are in resource.d below it."))
}

func postgresBlock() block {
	return stepBlock("postgresql", pace{"120s", "120s", "10s", "20s"},
		"A PostgreSQL server that streams from the Active and is promoted here when the group goes up. Always exclusive.",
		"step \"postgresql\" \"main\" {\n  data = \"/var/lib/postgresql/15/main\"\n  bin  = \"/usr/lib/postgresql/15/bin\"\n}", []string{"postgres", "pgsql"},
		argument{name: "data", kind: text, required: true, limits: "an absolute path", doc: "PGDATA.", example: `data = "/var/lib/postgresql/15/main"`, elsewhere: []string{"pgdata"}},
		argument{name: "bin", kind: text, required: true, limits: "an absolute path", doc: "The directory of pg_ctl, pg_controldata and psql.", example: `bin = "/usr/lib/postgresql/15/bin"`, elsewhere: []string{"bindir"}},
		argument{name: "config", kind: text, def: "", limits: "an absolute path", doc: "postgresql.conf where it is not in `data`; used with `manage`.", example: `config = "/etc/postgresql/15/main/postgresql.conf"`},
		argument{name: "host", kind: text, def: "/var/run/postgresql", doc: "The directory of its socket, or its address.", example: `host = "127.0.0.1"`, elsewhere: []string{"socketdir", "pghost"}},
		argument{name: "port", kind: number, def: 5432, min: 1, max: 65535, doc: "Its port.", example: `port = 5433`, elsewhere: []string{"pgport"}},
		accountArgument("postgres", "pgdba"),
		argument{name: "role", kind: text, def: "postgres", doc: "The database role that asks and promotes.", example: `role = "backbeat"`},
		argument{name: "database", kind: text, def: "postgres", doc: "The database to connect to.", example: `database = "template1"`, elsewhere: []string{"pgdb"}},
		argument{name: "max_lag", kind: text, def: "0", limits: "0, or bytes with KiB, MiB, GiB or TiB", doc: "How much of the WAL that it has received a standby may still have to replay for it to count as fit; a promotion waits for the rest. `\"0\"`: not looked at.", example: `max_lag = "16MiB"`},
		argument{name: "max_age", kind: duration, def: "0s", shortest: time.Second, longest: 366 * 24 * time.Hour, zero: true, doc: "How long ago a standby may have lost its Active; `\"0s\"`: any time. With a limit, two hosts that were both off for longer need a person.", example: `max_age = "10m"`},
		argument{name: "manage", kind: boolean, def: false, doc: "The server is started and stopped by us, with pg_ctl. Without it, it must run already.", example: `manage = true`})
}

func redisBlock() block {
	return stepBlock("redis", pace{"60s", "60s", "10s", "10s"},
		"A Redis or Valkey server that replicates the Active and becomes master here when the group goes up. It must run already. Always exclusive.",
		"step \"redis\" \"cache\" {\n  follow = \"192.0.2.101:6379\"\n}", []string{"valkey"},
		argument{name: "address", kind: text, def: "", limits: "host:port", doc: "Where the server here listens. Without it and `unix`: 127.0.0.1:6379.", example: `address = "127.0.0.1:6380"`},
		argument{name: "unix", kind: text, def: "", limits: "an absolute path", doc: "Its unix socket, instead.", example: `unix = "/run/redis/redis.sock"`, elsewhere: []string{"socket"}},
		argument{name: "user", kind: text, def: "", doc: "Its ACL user.", example: `user = "backbeat"`},
		argument{name: "password_file", kind: text, def: "", limits: "an absolute path", doc: "A file whose first line is the password.", example: `password_file = "/etc/backbeat/redis.secret"`},
		argument{name: "follow", kind: text, required: true, limits: "host:port", doc: "What it replicates while it is not the master: usually the virtual address.", example: `follow = "192.0.2.101:6379"`, elsewhere: []string{"replicaof", "slaveof"}},
		argument{name: "max_lag", kind: duration, def: "0s", shortest: time.Second, longest: 366 * 24 * time.Hour, zero: true, doc: "How long its link to the master may have been down; `\"0s\"`: any time.", example: `max_lag = "1m"`})
}

func routeStepBlock() block {
	r := routeBlock()
	own := []argument{{name: "destination", kind: text, required: true, limits: "a network, or `\"default\"`", doc: "The destination. `\"default\"` is of the family of `via`.", example: `destination = "198.51.100.0/24"`, elsewhere: []string{"prefix", "dst", "to"}}}
	own = append(own, r.arguments...)
	return stepBlock("route", pace{"10s", "10s", "10s", "5s"},
		"A route as a step. Its arguments are those of a `route` of a virtual_router.",
		"step \"route\" \"uplink\" {\n  destination = \"198.51.100.0/24\"\n  via         = \"192.0.2.254\"\n}", nil, own...)
}

func pathArgument(name, def, doc string) argument {
	return argument{name: name, kind: text, def: def, limits: "an absolute path", doc: doc, example: name + ` = "/usr/local` + def + `"`}
}

func accountArgument(def string, elsewhere ...string) argument {
	return argument{name: "user", kind: text, def: def, limits: "the name of an account", doc: "The account to run as.", example: `user = "nobody"`, elsewhere: elsewhere}
}

func exclusiveArgument(def string) argument {
	return argument{name: "exclusive", kind: boolean, def: def == "yes", doc: "Whether it must never run on two hosts at once, or has data that two must never have. It waits then for the other host's word, and the group needs a `safety` block.", example: `exclusive = true`}
}

// stepBlock is one kind, with what all have.
func stepBlock(kind string, p pace, doc, example string, elsewhere []string, own ...argument) block {
	span := func(name, def, doc, example string, others ...string) argument {
		return argument{name: name, kind: duration, def: def, shortest: 100 * time.Millisecond, longest: 24 * time.Hour, doc: doc, example: name + " = " + example, elsewhere: others}
	}
	common := []argument{
		span("start_timeout", p.start, "How long one try to bring it up may take.", `"2m"`, "promote_timeout"),
		span("stop_timeout", p.stop, "How long one try to bring it down may take.", `"2m"`, "demote_timeout"),
		{name: "retries", kind: number, def: 0, min: 0, max: 100, doc: "How often a failed start is tried again here, after a stop, before another host gets its turn.", example: `retries = 1`},
		{name: "restarts", kind: number, def: 3, min: 0, max: 1000, doc: "How often in `window` a step that failed is repaired here, by a stop and a start of it and of what stands on it. After that another host serves.",
			example: `restarts = 1`, elsewhere: []string{"max_restarts", "migration_threshold"}},
		{name: "window", kind: duration, def: "10m", shortest: time.Second, longest: 24 * time.Hour, doc: "The time in which `restarts` are counted.", example: `window = "1h"`, elsewhere: []string{"within", "failure_timeout"}},
		{name: "on_failure", kind: word, def: "restart", words: []string{"restart", "failover", "ignore"}, doc: "What a failed monitor leads to: repair, another host, or a line in status.", example: `on_failure = "failover"`, elsewhere: []string{"on_fail"}},
	}
	monitor := block{
		name: "monitor", once: true,
		doc: "How a step that is up is looked at.",
		arguments: []argument{
			{name: "interval", kind: duration, def: p.interval, shortest: 100 * time.Millisecond, longest: 24 * time.Hour, zero: true, doc: "The time from the end of one look to the beginning of the next; `\"0s\"`: it is not looked at.", example: `interval = "30s"`},
			{name: "timeout", kind: duration, def: p.look, shortest: 100 * time.Millisecond, longest: time.Hour, doc: "How long one look may take.", example: `timeout = "5s"`},
			{name: "failures", kind: number, def: 1, min: 1, max: 100, doc: "How many in a row count as one failure.", example: `failures = 2`},
		},
		example: "monitor {\n  interval = \"30s\"\n  failures = 2\n}", elsewhere: []string{"op"},
	}
	return block{name: "step", kind: kind, label: "NAME", doc: doc, example: example, arguments: slices.Concat(own, common), blocks: []block{monitor}, elsewhere: elsewhere}
}
