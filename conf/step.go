package conf

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/backbeat-ha/backbeat/actions"
)

// agent is the table of the kinds.
func (d *decoder) agent(g *service, b *section, name string) actions.Agent {
	switch b.def.kind {
	case "drbd":
		return d.drbdStep(b)
	case "filesystem":
		return d.filesystemStep(b)
	case "systemd":
		return actions.Systemd{Unit: d.unit(b.get("unit")), Unsafe: b.get("exclusive").yes}
	case "lsb":
		if v := b.get("script"); v.ok {
			d.programs[hookKey{serviceKey(g.sec.name), name + ".script"}] = v.at
		}
		return d.lsbStep(b)
	case "ocf":
		return d.ocfStep(b)
	case "exec":
		return d.execStep(g, b, name)
	case "postgresql":
		return d.postgresStep(b)
	case "redis":
		return d.redisStep(b)
	case "address":
		return d.addressStep(g, b)
	case "route":
		return d.routeStep(g, b)
	default: // the table and this list agree; a test holds them to it
		panic("conf: no agent for kind " + b.def.kind)
	}
}

// untouchable are units and init scripts that a host needs to be reached and to
// run at all: on a host that does not serve they would be stopped.
var untouchable = []string{"ssh", "sshd", "sshd-keygen", "dbus", "dbus-broker", "NetworkManager", "networking", "network", "wicked", "wickedd", "backbeat",
	"polkit", "getty", "rc-local", "cron", "crond", "rsyslog"}

// guarded are those of the firewall: without them a host is open, or closed.
var guarded = []string{"nftables", "iptables", "ip6tables", "firewalld", "ufw", "netfilter-persistent", "shorewall"}

// stranger judges whether what is called so may be started and stopped.
func (d *decoder) stranger(v value, name string) {
	base, _, _ := strings.Cut(name, "@")
	switch {
	case base == "backbeat":
		d.errorf(v.at, "backbeat would stop itself", "A group cannot have the daemon that runs it as a step. Remove it.")
	case slices.Contains(untouchable, base) || strings.HasPrefix(base, "systemd-"):
		d.errorf(v.at, fmt.Sprintf("%s must run on every host", name), "A step runs on the Active only: on the other host it would be stopped, and the host could not be reached or run. Remove it.")
	case slices.Contains(guarded, base):
		d.warnf(v.at, fmt.Sprintf("%s is the firewall", name), "It would be up on the Active only. Is that meant?")
	}
}

// unitTypesUp are the types of unit that can be a step (systemd.unit(5)).
var unitTypesUp = []string{"service", "socket", "mount", "automount", "swap", "target", "path", "timer"}

// unit reads the name of a unit; without an ending it is a service, as for systemctl.
func (d *decoder) unit(v value) string {
	if !v.ok {
		return ""
	}
	name, kind := v.text, "service"
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 && slices.Contains([]string{"device", "slice", "scope"}, name[dot+1:]) {
		d.errorf(v.at, fmt.Sprintf("A %s cannot be started", name[dot+1:]), "A step is a unit of one of the types %s.", strings.Join(unitTypesUp, ", "))
		return name
	} else if dot >= 0 && slices.Contains(unitTypesUp, name[dot+1:]) {
		name, kind = name[:dot], name[dot+1:]
	}
	switch {
	case name == "" || len(name)+1+len(kind) > 255 || strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(":-_.\\@", r))
	}):
		d.errorf(v.at, "Not the name of a unit", "Write one as systemctl lists it, for example \"apache2.service\". A path is escaped by systemd-escape.")
	case strings.HasSuffix(name, "@"):
		d.errorf(v.at, "A template, not a unit", "Write which instance of it, for example %q.", name+"main."+kind)
	case kind == "service" || kind == "socket":
		d.stranger(v, name)
	}
	return name + "." + kind
}

func (d *decoder) lsbStep(b *section) actions.Agent {
	v := b.get("script")
	a := actions.LSB{Script: v.text, StatusText: b.get("status_text").text, User: d.account(b.get("user")), Unsafe: b.get("exclusive").yes}
	switch {
	case !v.ok:
	case strings.HasPrefix(v.text, "/"):
		d.clean(v)
	case v.text == "" || strings.ContainsAny(v.text, "/ \t\r\n\x00") || v.text[0] == '.' || v.text[0] == '-':
		d.errorf(v.at, "Not an init script", "Write its name in /etc/init.d, or its absolute path.")
	default:
		a.Script = "/etc/init.d/" + v.text
	}
	if v.ok && path.Dir(a.Script) == "/etc/init.d" {
		d.stranger(v, path.Base(a.Script))
	}
	return a
}

// execStep reads a step of commands.
func (d *decoder) execStep(g *service, b *section, name string) actions.Agent {
	a := actions.Command{Start: b.get("start").texts, Stop: b.get("stop").texts, Status: b.get("status").texts, User: d.account(b.get("user")), Unsafe: b.get("exclusive").yes}
	for _, which := range []string{"start", "stop", "status"} {
		v := b.get(which)
		d.command(v)
		if v.ok {
			d.programs[hookKey{serviceKey(g.sec.name), name + "." + which}] = v.each[0]
		}
	}
	if a.Unsafe && a.Status == nil && b.get("status").ok == b.get("status").written {
		d.warnf(b.header, "Exclusive, and nobody can tell whether it is down", "After a stop only its exit status would say so. Add status.")
	}
	return a
}

// serviceKey is what Diagnostics.HookPlace calls a service group.
func serviceKey(group string) string { return "service_group." + group }

// drbdName: what drbdadm takes for the name of a resource.
func (d *decoder) drbdName(v value) string {
	if v.ok && (v.text != "" || v.written) && badName(v.text) != "" {
		d.errorf(v.at, "Not the name of a resource", "Write it as in its .res file, for example \"wwwdata\". A device belongs into a filesystem step.")
	}
	return v.text
}

func (d *decoder) drbdStep(b *section) actions.Agent {
	return actions.DRBD{Resource: d.drbdName(b.get("resource")), AllowOutdated: b.get("allow_outdated").yes, AllowDiskless: b.get("allow_diskless").yes,
		ForceSecondary: b.get("force_secondary").yes, Admin: d.absolute(b.get("drbdadm")), Setup: d.absolute(b.get("drbdsetup"))}
}

// unsafeAgents are OCF agents whose data is exclusive unless the file says otherwise.
var unsafeAgents = []string{"Filesystem", "LVM", "LVM-activate", "ZFS", "Raid1"}

func (d *decoder) ocfStep(b *section) actions.Agent {
	a := actions.OCF{Root: d.clean(b.get("root")), Params: d.withSecrets(b.get("params"), b.get("secrets")), CheckLevel: b.get("check_level").num, Promotable: b.get("promotable").yes}
	v := b.get("agent")
	if !v.ok {
		return a
	}
	parts := strings.Split(v.text, ":")
	if parts[0] == "ocf" {
		parts = parts[1:]
	}
	switch {
	case len(parts) == 2 && (parts[0] == "systemd" || parts[0] == "service"), len(parts) == 2 && parts[0] == "lsb":
		d.errorf(v.at, "Not an OCF agent", "%s is a step of its own kind: step %q %q.", v.text, map[bool]string{true: "lsb", false: "systemd"}[parts[0] == "lsb"], b.name)
		return a
	case len(parts) != 2 || badName(parts[0]) != "" || badName(parts[1]) != "":
		d.errorf(v.at, "Not an OCF agent", "Write ocf:PROVIDER:TYPE, for example \"ocf:heartbeat:apache\".")
		return a
	}
	a.Provider, a.Type = parts[0], parts[1]
	a.Unsafe = slices.Contains(unsafeAgents, a.Type)
	if e := b.get("exclusive"); e.written {
		a.Unsafe = e.yes
	}
	if e := b.get("exclusive"); e.written && !e.yes && a.Promotable {
		d.errorf(e.at, "Promotable, and not exclusive", "What is promoted on one host only is exclusive. Remove exclusive.")
	}
	if instead, needs := actions.NeedsPacemaker(a); needs {
		detail := "It asks Pacemaker for scores and attributes, and nobody here answers."
		if instead != "" {
			detail += " Use instead: " + instead + "."
		}
		d.errorf(v.at, fmt.Sprintf("%s needs Pacemaker", a.Type), "%s", detail)
	}
	if a.Provider == "linbit" && a.Type == "drbd" {
		d.warnf(v.at, "An agent for DRBD", "A step \"drbd\" does the same and says what it waits for. Use that.")
	}
	if a.Type == "IPaddr2" || a.Type == "IPaddr" {
		d.warnf(v.at, "An agent for an address", "An address of the virtual router is there at once and put back when somebody removes it; where it must wait for a step, step \"address\" does. The agent forks a shell for each look.")
	}
	return a
}

func (d *decoder) postgresStep(b *section) actions.Agent {
	a := actions.PostgreSQL{Data: d.clean(b.get("data")), Bin: d.clean(b.get("bin")), Config: d.clean(b.get("config")), Host: b.get("host").text, Port: b.get("port").num, User: d.account(b.get("user")),
		Role: b.get("role").text, Database: b.get("database").text, MaxAge: b.get("max_age").time, Manage: b.get("manage").yes}
	if v := b.get("max_lag"); v.ok && v.text != "0" {
		var ok bool
		if a.MaxLag, ok = size(v.text); !ok {
			d.errorf(v.at, "Not a size", "Write bytes like \"16MiB\" or \"1GiB\".")
		}
	}
	if v := b.get("config"); a.Config != "" && !a.Manage && v.ok && b.get("manage").ok {
		d.warnf(v.at, "config does nothing", "It is for the server's start, which is ours only with manage = true. Remove one of the two, or add it.")
	}
	if h := b.get("host"); h.ok && !strings.HasPrefix(h.text, "/") {
		if _, err := netip.ParseAddr(h.text); err != nil {
			d.errorf(h.at, "Neither a directory nor an address", "Write the directory of the server's socket, or its address: a name would ask the resolver, too.")
		}
	}
	for _, name := range []string{"role", "database"} {
		if v := b.get(name); v.ok && (v.text == "" || strings.ContainsAny(v.text, "\x00\n\r")) {
			d.errorf(v.at, fmt.Sprintf("Unusable %s", name), "Write its name.")
		}
	}
	return a
}

func (d *decoder) redisStep(b *section) actions.Agent {
	a := actions.Redis{Address: b.get("address").text, Unix: d.clean(b.get("unix")), PasswordFile: d.absolute(b.get("password_file")), User: b.get("user").text,
		Follow: b.get("follow").text, MaxLag: b.get("max_lag").time}
	switch v := b.get("address"); {
	case a.Address != "" && a.Unix != "":
		d.errorf(v.at, "address and unix", "One of the two is asked. Remove the other.")
	case a.Address != "":
		d.hostPort(v)
	case a.Unix == "":
		a.Address = "127.0.0.1:6379"
	}
	if b.get("follow").ok {
		d.hostPort(b.get("follow"))
	}
	return a
}

// hostPort judges an address with a port.
func (d *decoder) hostPort(v value) {
	if !v.ok {
		return
	}
	host, port, err := net.SplitHostPort(v.text)
	if n, bad := strconv.Atoi(port); err != nil || host == "" || bad != nil || n < 1 || n > 65535 {
		d.errorf(v.at, "Not host and port", "Write them with a colon between, for example \"192.0.2.101:6379\" or \"[2001:db8::101]:6379\".")
	}
}

// clean judges an absolute path that has to be written as the kernel has it.
func (d *decoder) clean(v value) string {
	p := d.absolute(v)
	if v.ok && path.IsAbs(p) && (path.Clean(p) != p || strings.ContainsAny(p, "\x00\n")) {
		d.errorf(v.at, "A path with detours", "Write it in its shortest form: %q.", path.Clean(strings.NewReplacer("\x00", "", "\n", "").Replace(p)))
	}
	return p
}

func (d *decoder) addressStep(g *service, b *section) actions.Agent {
	a := actions.AddressStep{Interface: d.checkInterface(b.get("interface"))}
	v := b.get("address")
	if v.ok {
		p, summary, detail := parseAddress(v.text)
		if summary != "" {
			d.errorf(v.at, summary, "%s", detail)
		}
		a.Prefix = p
	}
	if a.Interface == "" && len(g.routers) > 0 {
		a.Interface = g.routers[0].cfg.Interface
		if slices.ContainsFunc(g.routers, func(r *router) bool { return r.cfg.Interface != a.Interface }) && b.get("interface").ok {
			d.errorf(b.header, "On which interface?", "The group follows several virtual routers: write interface = %q, or another.", a.Interface)
		}
	}
	return a
}

func (d *decoder) routeStep(g *service, b *section) actions.Agent {
	v := b.get("destination")
	if !v.ok {
		return actions.RouteStep{}
	}
	home := &router{}
	if len(g.routers) > 0 {
		home = g.routers[0]
	}
	as := *b // d.route reads the destination from the label
	as.name, as.nameRange = v.text, v.at
	x, _ := d.route(&as, home)
	return actions.RouteStep{Route: x}
}
