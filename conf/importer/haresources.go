package importer

import (
	"cmp"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// HaresourcesOptions says what the two files of Heartbeat leave open.
type HaresourcesOptions struct {
	// VRID of the first line's virtual router; the next lines get the next numbers. 0: 51.
	VRID int
	// LSB makes init scripts of bare names instead of systemd units.
	LSB bool
}

// haGroup is one line of haresources.
type haGroup struct {
	name, node string
	line       int
	addresses  []string
	iface      string
	steps      []string // HCL
	names      []string // of the steps
	behind     []int    // how many steps stand before each address
	exclusive  bool
}

// Haresources translates haresources and ha.cf; cf may be empty. The result is for
// all hosts that ha.cf names.
func Haresources(cf, resources Source, opt HaresourcesOptions) Result {
	w := &writer{file: cmp.Or(cf.Name, "ha.cf")}
	h := w.readHA(string(cf.Text))
	if len(cf.Text) == 0 {
		w.note(0, "there is no ha.cf: deadtime, interface and nodes are guesses")
	}
	missing := w.String()
	w.Reset()
	w.file = resources.Name
	groups := w.resources(string(resources.Text), h, opt)
	w.Reset() // what could not be read is written where it belongs
	w.comment("Made by backbeat import haresources from %s. The same file on all hosts.", resources.Name)
	w.WriteString(missing)
	for _, n := range w.notes {
		if n.Missing && n.File == resources.Name {
			w.comment("%s", n)
		}
	}
	w.note(0, "authkeys is not needed: VRRPv3 has no authentication; what protects it is that adverts come from the same link (TTL 255)")
	w.note(0, "what the steps start must not be started at boot: systemctl disable the units, and heartbeat itself")
	w.WriteString("\n")
	if len(groups) > 0 {
		w.writePings(h)
	}
	for n, g := range groups {
		w.writeGroup(g, h, opt, n)
	}
	if len(groups) == 0 {
		w.missing(0, "there is no line in it that could be translated")
	}
	r := w.result()
	r.Nodes = h.nodes
	return r
}

// resources reads the lines of haresources.
func (w *writer) resources(text string, h *heartbeat, opt HaresourcesOptions) (out []*haGroup) {
	var words []string
	start, line := 0, 0
	used, held := names{}, map[netip.Addr]bool{}
	for l := range strings.SplitSeq(text, "\n") {
		line++
		l, _, _ = strings.Cut(l, "#")
		l = strings.TrimSpace(l)
		more := strings.HasSuffix(l, "\\")
		if len(words) == 0 {
			start = line
		}
		words = append(words, strings.Fields(strings.TrimSuffix(l, "\\"))...)
		if more || len(words) == 0 {
			continue
		}
		if words[0] == "ucast" || words[0] == "bcast" {
			h.directive(w, words, start) // it belongs into ha.cf, and is understood here, too
			w.note(start, "%s belongs into ha.cf", words[0])
			words = nil
			continue
		}
		g := &haGroup{node: words[0], line: start, name: used.make("ha")}
		if !slices.Contains(h.nodes, g.node) {
			if len(h.nodes) > 0 {
				w.note(start, "%s is no node of ha.cf", g.node)
			}
			h.nodes = append(h.nodes, g.node)
		}
		for _, r := range words[1:] {
			w.resource(g, r, held, opt)
		}
		words = nil
		if len(g.addresses) == 0 {
			w.missing(g.line, "the line of %s has no address, and a virtual router needs one", g.node)
			continue
		}
		out = append(out, g)
	}
	return out
}

// resource reads one resource: NAME::ARGUMENT::…, or an address alone.
func (w *writer) resource(g *haGroup, r string, held map[netip.Addr]bool, opt HaresourcesOptions) {
	f := strings.Split(r, "::")
	args := f[1:]
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	name := path.Base(f[0])
	if first, _, _ := strings.Cut(f[0], "/"); len(args) == 0 {
		if _, err := netip.ParseAddr(first); err == nil {
			name, args = "IPaddr", []string{f[0]}
		}
	}
	switch name {
	case "IPaddr", "IPaddr2", "IPv6addr":
		w.haAddress(g, arg(0), held)
	case "drbddisk", "drbdupper":
		g.exclusive = true
		g.step("drbd", cmp.Or(arg(0), "r0"), "resource = "+quote(cmp.Or(arg(0), "r0")))
		if arg(0) == "" {
			w.note(g.line, "drbddisk without a resource means all of them: r0 is a guess")
		}
	case "Filesystem":
		w.haFilesystem(g, args)
	case "SendArp", "IPsrcaddr", "MailTo", "AudibleAlarm", "WinPopup", "Delay", "hto-mapfuncs", "portblock", "ICP", "ServeRAID", "ids", "WAS", "WAS6", "Xinetd", "ipx":
		w.missing(g.line, "%s: %s", r, cmp.Or(untranslated[name], "there is nothing like it here"))
	case "ldirectord":
		w.missing(g.line, "%s: ldirectord is not started here: backbeat does not balance load; run it on both hosts by systemd, or make it a step \"systemd\"", r)
	case "LVM", "Raid1", "ZFS":
		g.exclusive = true
		param := map[string]string{"LVM": "volgrpname", "Raid1": "raiddev", "ZFS": "pool"}[name]
		g.step("ocf", cmp.Or(arg(0), name), "agent = "+quote("ocf:heartbeat:"+name), "params = { "+param+" = "+quote(arg(0))+" }")
	case "apache":
		if arg(0) != "" {
			g.step("ocf", name, `agent = "ocf:heartbeat:apache"`, "params = { configfile = "+quote(arg(0))+" }")
			return
		}
		w.haService(g, name, args, opt)
	default:
		w.haService(g, name, args, opt)
	}
}

// untranslated is why resources have no counterpart, and what there is instead.
var untranslated = map[string]string{
	"SendArp":      "always done",
	"MailTo":       "write a hook that sends mail",
	"AudibleAlarm": "write a hook that makes the noise",
	"WinPopup":     "write a hook that sends the message",
	"IPsrcaddr":    "it makes the address the source of what this host sends: write a block route \"default\" { via = \"…\" source = \"ADDRESS\" } in the virtual router",
	"Delay":        "nothing has to wait here; a step is up when its start returns",
	"portblock":    "it is a rule of the firewall around a service: write a step \"exec\" with commands of your own",
	"hto-mapfuncs": "it is a part of Heartbeat's own scripts",
	"ICP":          "it switches a RAID controller: write a step \"exec\" with commands of your own",
	"ServeRAID":    "it switches a RAID controller: write a step \"exec\" with commands of your own",
	"ids":          "it is a database server's script: write a step \"systemd\" or \"exec\"",
	"WAS":          "it is an application server's script: write a step \"systemd\" or \"exec\"",
	"WAS6":         "it is an application server's script: write a step \"systemd\" or \"exec\"",
	"Xinetd":       "it switches a service of xinetd: write a step \"exec\" with commands of your own",
	"ipx":          "it is no IP address",
}

// haService makes a step of an init script.
func (w *writer) haService(g *haGroup, name string, args []string, opt HaresourcesOptions) {
	base, _, _ := strings.Cut(name, "@")
	switch {
	case !program.MatchString(strings.ReplaceAll(name, "@", "-")):
		w.missing(g.line, "%s: not the name of a script", name)
	case slices.Contains([]string{"ssh", "sshd", "network", "networking", "NetworkManager", "backbeat", "heartbeat", "cron", "crond", "rsyslog", "dbus"}, base) || strings.HasPrefix(base, "systemd-"):
		w.missing(g.line, "%s: it must run on every host", name)
	case len(args) > 0:
		script := "/etc/ha.d/resource.d/" + name
		call := func(verb string) string { return list(append(append([]string{script}, args...), verb)) }
		g.step("exec", name, "start = "+call("start"), "stop = "+call("stop"), "status = "+call("status"))
		w.note(g.line, "%s is called with its arguments: see that %s exists and that its status exits with 0 when it runs and 3 when it does not", name, script)
	case opt.LSB:
		g.step("lsb", name, "script = "+quote(name))
	default:
		g.step("systemd", name, "unit = "+quote(name+".service"))
	}
}

// step appends a step; its name is made unique.
func (g *haGroup) step(kind, name string, lines ...string) {
	taken := names{}
	for _, s := range g.steps {
		for _, n := range strings.Split(s, "\"")[3:4] {
			taken[n] = true
		}
	}
	g.names = append(g.names, name)
	g.steps = append(g.steps, fmt.Sprintf("step %s %s {\n%s\n}\n", quote(kind), quote(taken.make(name)), strings.Join(lines, "\n")))
}

// haAddress reads ADDRESS[/LENGTH[/DEVICE[/BROADCAST]]].
func (w *writer) haAddress(g *haGroup, text string, held map[netip.Addr]bool) {
	f := strings.Split(text, "/")
	a, err := netip.ParseAddr(f[0])
	if err != nil || a.Is6() {
		w.missing(g.line, "address %s: %s", text, map[bool]string{true: "where IPv6 elects, the first address must be link-local (RFC 9568 5.2.9); as the second of a line it could ride along", false: "cannot be read"}[err == nil])
		return
	}
	bits := 32
	if len(f) > 1 && f[1] != "" {
		n, ok := maskLength(f[1])
		if ok {
			bits = n
		} else {
			w.note(g.line, "/%s of %s is not a gateway: Heartbeat takes what stands there for the netmask, and this is none. It is left out; a route belongs into a block: route \"default\" { via = %s }", f[1], a, quote(f[1]))
		}
	} else {
		w.note(g.line, "%s has no length: it is written as /32, which is enough for an address that others reach by this host's network", a)
	}
	if len(f) > 2 && f[2] != "" {
		dev, label, labelled := strings.Cut(f[2], ":")
		if labelled {
			w.note(g.line, "the label %s:%s of %s is left out, and nothing but old tools shows it; to keep it, take the address out of addresses, or give another one a block: address \"…\" { label = %s }", dev, label, a, quote(f[2]))
		}
		if g.iface != "" && g.iface != dev {
			w.missing(g.line, "%s goes on %s, and another address of the line on %s: write an address block with interface = %s", a, dev, g.iface, quote(dev))
		}
		g.iface = cmp.Or(g.iface, dev)
	}
	p := netip.PrefixFrom(a, bits)
	if fixed := usable(p); fixed != p {
		w.note(g.line, "%s is the network's own or its broadcast address: it is written as %s", p, fixed)
		p = fixed
	} else if b := a.As4(); bits == 32 && (b[3] == 0 || b[3] == 255) {
		w.note(g.line, "%s is the network's own or the broadcast address of a /24, which many hosts do not talk to", a)
	}
	if held[a] {
		w.note(g.line, "%s is given twice; the second one is left out", a)
		return
	}
	held[a] = true
	g.behind = append(g.behind, len(g.steps))
	g.addresses = append(g.addresses, p.String())
}

// maskLength reads a netmask: a length, or a dotted quad that is one.
func maskLength(s string) (int, bool) {
	if n, ok := whole(s, 1, 32); ok {
		return n, true
	}
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return 0, false
	}
	b := a.As4()
	m := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	for n := 1; n <= 32; n++ {
		if m == ^uint32(0)<<(32-n) {
			return n, true
		}
	}
	return 0, false
}

// haFilesystem reads Filesystem::DEVICE::TARGET::TYPE[::OPTIONS].
func (w *writer) haFilesystem(g *haGroup, args []string) {
	if len(args) < 2 || !path.IsAbs(args[1]) || path.Clean(args[1]) == "/" {
		w.missing(g.line, "Filesystem::%s: device and directory are needed", strings.Join(args, "::"))
		return
	}
	lines := []string{"device = " + quote(args[0]), "target = " + quote(path.Clean(args[1]))}
	if len(args) > 2 && args[2] != "" {
		kind := args[2]
		if kind == "gfs2" || kind == "ocfs2" {
			w.note(g.line, "%s is for hosts that all have it mounted at once; here one host has it at a time. The type is left out: ext4 or xfs is right for that", kind)
			kind = "auto"
		}
		lines = append(lines, "type = "+quote(kind))
	}
	if len(args) > 3 && args[3] != "" {
		lines = append(lines, "options = "+list(strings.Split(args[3], ",")))
	}
	g.exclusive = g.exclusive || !strings.Contains(args[0], ":/")
	g.step("filesystem", path.Base(args[1]), lines...)
}

// writePings writes what ipfail did: a host that reaches nobody gives way.
func (w *writer) writePings(h *heartbeat) {
	if len(h.pings) == 0 {
		return
	}
	fmt.Fprintf(w, "check \"icmp\" \"reach\" {\ntargets = %s\n}\n\n", list(h.pings))
}

// writeGroup writes the virtual router and the service group of one line.
func (w *writer) writeGroup(g *haGroup, h *heartbeat, opt HaresourcesOptions, n int) {
	iface, peers := w.linkOf(g, h)
	vrid := cmp.Or(opt.VRID, 51) + n
	w.note(g.line, "VRID %d is chosen: it must be free on this network, and the same on all hosts", vrid)
	w.comment("%s of %s", strings.Join(g.addresses, ", "), g.node)
	fmt.Fprintf(w, "virtual_router %s {\n", quote(g.name))
	w.line("interface", quote(iface))
	w.line("vrid", strconv.Itoa(min(vrid, 255)))
	w.line("priority", g.priorities(h))
	w.line("addresses", list(g.addresses))
	fmt.Fprintf(w, "interval = %s # deadtime %v: three of them and the skew\n", seconds(h.interval()), h.deadtime)
	if h.failback == "off" {
		w.WriteString("preempt = false # auto_failback off\n")
	}
	if h.initdead > 0 && h.initdead <= 1000*time.Second {
		fmt.Fprintf(w, "settle = %s # initdead\n", seconds(h.initdead))
	}
	if len(peers) > 0 {
		w.line("peers", list(peers))
		if len(peers) == 1 {
			w.note(0, "ucast names one peer, %s: on that host write the other's address: peers = { %s = [\"%s\"], … }[node.name]", peers[0], h.nodes[0], peers[0])
		}
		w.WriteString("# Each host's own address, if both are in peers: source = { node1 = \"…\", node2 = \"…\" }[node.name]\n")
	}
	if len(h.pings) > 0 {
		w.WriteString("\ndepends_on {\ncheck = check.icmp.reach\n}\n")
	}
	w.WriteString("}\n\n")
	if len(g.steps) == 0 {
		return
	}
	fmt.Fprintf(w, "service_group %s {\n", quote(g.name))
	w.line("follows", reference("virtual_router", g.name))
	w.writeWhen(g)
	if g.exclusive {
		w.WriteString("\n# As with Heartbeat without STONITH: after a network failure both hosts may write to\n# the same data. mode = \"fence\" with a fence device prevents that.\n" +
			"safety {\nmode = \"none\"\naccept_split_brain = true\n}\n")
		w.note(g.line, "nothing prevents two writers, as with Heartbeat without STONITH: think about safety { mode = \"fence\" … }")
	} else if h.failback != "off" && slices.ContainsFunc(g.steps, func(s string) bool { return !strings.HasPrefix(s, "step \"ocf\"") }) {
		w.note(g.line, "on automatic failback Heartbeat's other host stopped everything first; here both have their steps for some tenths of a second. A step that must never run twice gets exclusive = true, and the group a safety block")
	}
	for _, s := range g.steps {
		w.WriteString("\n" + s)
	}
	w.WriteString("}\n\n")
}

// writeWhen keeps the order of addresses and steps, as far as one word for all addresses
// can. A step behind an address may bind to it, so that one must not wait for all steps.
func (w *writer) writeWhen(g *haGroup) {
	if slices.Min(g.behind) == len(g.steps) {
		w.WriteString("addresses_when = \"ready\" # they stand behind the services in haresources\n")
		return
	}
	for i, n := range g.behind {
		if n > 0 {
			w.note(g.line, "%s stands behind %s; here all addresses of the line go up with the election, before the steps, since what follows an address may need it. "+
				"addresses_when = \"ready\" has all of them wait for all steps", g.addresses[i], g.names[n-1])
		}
	}
}

// priorities prefers the line's node.
func (g *haGroup) priorities(h *heartbeat) string {
	var out []string
	others := lowest
	for _, n := range h.nodes {
		p := 150
		if n != g.node {
			p = others
			others--
		}
		out = append(out, fmt.Sprintf("%s = %d", quote(n), max(p, 1)))
	}
	return "{ " + strings.Join(out, ", ") + " }[node.name]"
}

// linkOf says where a line's adverts go.
func (w *writer) linkOf(g *haGroup, h *heartbeat) (iface string, peers []string) {
	iface = g.iface
	defer func(file string) { w.file = file }(w.file)
	for _, l := range h.links {
		if iface == "" {
			iface = l.dev
		}
		if l.dev != iface {
			w.file = l.file
			w.missing(l.line, "%s %s: a virtual router sends its adverts on one interface, %s; a second path needs a bond, or a sync_group", l.kind, l.dev, iface)
			continue
		}
		peers = append(peers, l.peers...)
	}
	if iface == "" {
		iface = "eth0"
		w.missing(g.line, "no interface is said: eth0 is a guess")
	}
	return iface, peers
}
