package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
)

// groupPrefix tells sync_group.NAME from the name of a virtual router.
const groupPrefix = "sync_group."

// service is a service_group block on its way to becoming a daemon.ServiceConfig.
type service struct {
	cfg daemon.ServiceConfig
	sec *section
	// routers are those it follows; empty if that is wrong and reported.
	routers []*router
	// steps are the blocks of cfg.Ladder.Steps.
	steps []*section
}

// servicesOf converts the service_group blocks.
func (d *decoder) servicesOf(root *section, routers []*router, groups []daemon.GroupConfig) (out []daemon.ServiceConfig) {
	first := make(map[string]hcl.Range)
	followed := make(map[string]*section) // by router
	owned := make(map[string]hcl.Range)   // what one step of this host has
	for _, s := range root.all("service_group") {
		before, again := first[s.name]
		if again && s.name != "" {
			d.errorf(s.nameRange, fmt.Sprintf("Second service_group %q", s.name), "The first one is at %s. Give this one another name.", place(before))
		}
		first[s.name] = s.nameRange
		if s.name != "" && !again {
			d.serviceAt[s.name] = s.header
		}
		g := &service{sec: s, cfg: daemon.ServiceConfig{WhenReady: s.get("addresses_when").text == "ready"}}
		g.routers = d.follow(s, routers, groups)
		for _, r := range g.routers {
			if before := followed[r.cfg.Name]; before != nil {
				d.errorf(s.get("follows").at, fmt.Sprintf("%s has a service group already", r.block),
					"service_group %q at %s follows it. Put the steps of both into one group, in the order in which they go up.", before.name, place(before.header))
				break
			}
			followed[r.cfg.Name] = s
			g.cfg.Follows = append(g.cfg.Follows, r.cfg.Name)
		}
		d.ladder(g)
		d.stepsOnce(g, owned)
		d.stepAddresses(g, routers)
		d.storage(g)
		d.safety(g)
		d.idleService(g)
		out = append(out, g.cfg)
	}
	slices.SortFunc(out, func(a, b daemon.ServiceConfig) int { return cmp.Compare(a.Ladder.Name, b.Ladder.Name) })
	return out
}

// follow finds the routers of a group: one, both elections of a block, or all
// members of a sync group.
func (d *decoder) follow(s *section, routers []*router, groups []daemon.GroupConfig) (out []*router) {
	v := s.get("follows")
	if !v.ok {
		return nil
	}
	if name, ok := strings.CutPrefix(v.text, groupPrefix); ok {
		for i := range groups {
			if groups[i].Name == name {
				return slices.DeleteFunc(slices.Clone(routers), func(r *router) bool { return r.cfg.Group != name })
			}
		}
		d.errorf(v.at, fmt.Sprintf("No sync_group %q", name), "Name one of this file: sync_group.NAME, or virtual_router.NAME.")
		return nil
	}
	for _, r := range routers {
		if r.block == v.text {
			out = append(out, r)
		}
	}
	byBlock := make(map[string][]*router)
	for _, r := range routers {
		byBlock[r.block] = append(byBlock[r.block], r)
	}
	switch {
	case half(v.text, byBlock) != "":
		d.errorf(v.at, fmt.Sprintf("%s is half of a virtual_router", v.text), "Its two elections go together (election = \"both\"). Name the block, virtual_router.%s: it stands for both.", half(v.text, byBlock))
	case len(out) == 0 && slices.ContainsFunc(groups, func(g daemon.GroupConfig) bool { return g.Name == v.text }):
		d.errorf(v.at, fmt.Sprintf("%q is a sync_group", v.text), "Write follows = sync_group.%s.", v.text)
	case len(out) == 0:
		d.errorf(v.at, fmt.Sprintf("No virtual_router %q", v.text), "Name one of this file: virtual_router.NAME, or sync_group.NAME.")
	case out[0].cfg.Group != "" && !(out[0].both && out[0].cfg.Group == out[0].block):
		d.errorf(v.at, fmt.Sprintf("%s is in a sync group", v.text), "It is Active together with the other members or not at all, so the services follow the group: write follows = sync_group.%s.", out[0].cfg.Group)
		return nil
	}
	return out
}

// ladder converts a group's own arguments and its steps.
func (d *decoder) ladder(g *service) {
	s := g.sec
	l := &g.cfg.Ladder
	*l = actions.LadderSpec{Name: s.name, HoldOff: s.get("hold_off").time, HoldOffMax: s.get("hold_off_max").time, Qualify: s.get("qualify").time}
	if s.get("on_stuck").text == "reboot" {
		l.OnStuck = actions.StuckReboot
	}
	if l.HoldOffMax < l.HoldOff && s.get("hold_off").ok && s.get("hold_off_max").ok {
		at := s.get("hold_off_max").at
		if !s.get("hold_off_max").written {
			at = s.get("hold_off").at
		}
		d.errorf(at, "hold_off_max is less than hold_off", "The hold-off begins with %s and grows: write at least hold_off_max = %q.", short(l.HoldOff), short(l.HoldOff))
	}
	g.steps = s.all("step")
	if len(g.steps) == 0 && !s.meant["step"] {
		d.errorf(s.header, "A service group without steps", "Write at least one, for example:\n    step \"systemd\" \"apache\" { unit = \"apache2.service\" }")
	}
	first := make(map[string]hcl.Range)
	for _, b := range g.steps {
		name := b.def.kind + "." + b.name
		if before, again := first[name]; again && b.name != "" {
			d.errorf(b.nameRange, fmt.Sprintf("Second step %s", name), "The first one of %s is at %s. Give this one another name.", s.title(), place(before))
		}
		first[name] = b.nameRange
		l.Steps = append(l.Steps, d.step(g, b, name))
	}
}

// step converts one step.
func (d *decoder) step(g *service, b *section, name string) actions.StepSpec {
	m := d.sectionOrDefaults(b, "monitor")
	x := actions.StepSpec{Name: name, StartTimeout: b.get("start_timeout").time, StopTimeout: b.get("stop_timeout").time, Retries: b.get("retries").num,
		Restarts: b.get("restarts").num, Window: b.get("window").time,
		Monitor: actions.MonitorSpec{Interval: m.get("interval").time, Timeout: m.get("timeout").time, Failures: m.get("failures").num}}
	switch b.get("on_failure").text {
	case "failover":
		x.OnFailure = actions.OnFailureFailover
	case "ignore":
		x.OnFailure = actions.OnFailureIgnore
	}
	for _, name := range []string{"restarts", "window"} {
		if v := b.get(name); v.written && v.ok && (x.OnFailure != actions.OnFailureRestart || x.Monitor.Interval == 0 && m.get("interval").ok) {
			d.warnf(v.at, name+" does nothing", "A step is repaired in place only with on_failure = \"restart\" and a monitor that looks at it. Remove one of the two.")
			break
		}
	}
	x.Agent = d.agent(g, b, name)
	return x
}

// safety converts the safety block and insists on one where data is exclusive.
func (d *decoder) safety(g *service) {
	l := &g.cfg.Ladder
	exclusive := l.Exclusive()
	needed := exclusive < len(l.Steps)
	list := g.sec.all("safety")
	if len(list) == 0 {
		if needed && !g.sec.meant["safety"] {
			d.unsafe(g, exclusive)
		}
		return
	}
	s := list[0]
	mode, accept := s.get("mode"), s.get("accept_split_brain")
	l.Safety.ReleaseTimeout = s.get("release_timeout").time
	l.Safety.Fence = d.fences(s)
	switch {
	case !mode.ok:
		return
	case mode.text == "none":
		l.Safety.Mode = actions.SafetyNone
		if !accept.yes && accept.ok {
			d.errorf(mode.at, "Nothing prevents two writers", "After a network failure both hosts may write, and one side's writes are lost. If that is known and accepted, say so in so many words: "+
				"accept_split_brain = true. Otherwise write mode = \"fence\" and a fence device.")
		}
		if len(l.Safety.Fence) > 0 {
			d.errorf(mode.at, "mode = \"none\", and fence devices", "They would never be used. Write mode = \"fence\", or remove them.")
		}
	case mode.text == "fence":
		l.Safety.Mode = actions.SafetyFence
		if len(l.Safety.Fence) == 0 && !s.meant["fence"] && len(s.all("fence")) == 0 {
			d.errorf(mode.at, "Fencing without a device", "Say what can switch the other host off:\n    fence \"ipmi\" {\n      command = [\"/usr/sbin/fence_ipmilan\"]\n      target  = \"web2\"\n    }")
		}
		if accept.written && accept.yes {
			d.errorf(accept.at, "mode = \"fence\" and accept_split_brain", "One says that two writers are prevented, the other that they are accepted. Remove accept_split_brain.")
		}
	case mode.text == "lease":
		d.errorf(mode.at, "lease is not built yet", "Use mode = \"fence\".")
	default:
		d.errorf(mode.at, fmt.Sprintf("mode does not know %q", mode.text), "It takes \"none\" or \"fence\".")
	}
	if !needed && !d.HasErrors() {
		d.warnf(s.header, "safety does nothing", "No step of this group has exclusive data. If one has, say so there (exclusive = true, or shared = true of a filesystem); otherwise remove the block.")
		l.Safety.Mode = actions.SafetyNotNeeded
	}
}

// unsafe refuses a group with exclusive data and without a word about it.
func (d *decoder) unsafe(g *service, step int) {
	b := g.steps[step]
	more := ""
	if b.def.kind == "filesystem" && !b.get("shared").written && b.get("drbd").text == "" {
		more = " If only this host can reach the device, say shared = false."
	}
	d.errorf(b.header, fmt.Sprintf("%s has data that two hosts must never write at once", b.title()),
		"VRRP decides by silence, and a silent host may be alive and writing. Say in %s how two writers are prevented:\n"+
			"    safety {\n      mode = \"fence\"\n      fence \"ipmi\" {\n        command = [\"/usr/sbin/fence_ipmilan\"]\n        target  = \"web2\"\n      }\n    }\n"+
			"or that they are not:\n    safety {\n      mode               = \"none\"\n      accept_split_brain = true\n    }%s", g.sec.title(), more)
}

// fences converts the fence blocks.
func (d *decoder) fences(s *section) (out []actions.FenceSpec) {
	first := make(map[string]hcl.Range)
	for _, b := range s.all("fence") {
		if before, again := first[b.name]; again && b.name != "" {
			d.errorf(b.nameRange, fmt.Sprintf("Second fence %q", b.name), "The first one is at %s. Give this one another name.", place(before))
		}
		first[b.name] = b.nameRange
		f := actions.FenceSpec{Name: b.name, Command: b.get("command").texts, Options: d.withSecrets(b.get("options"), b.get("secrets")),
			Action: b.get("action").text, Target: b.get("target").text, User: d.account(b.get("user")), Timeout: b.get("timeout").time, Delay: b.get("delay").time}
		d.command(b.get("command"))
		for i, o := range b.get("options").options {
			if o.Name == "action" {
				d.errorf(b.get("options").each[i], "action is not an option here", "Write action = \"off\" beside options.")
			}
		}
		switch t := b.get("target"); {
		case !t.ok:
		case t.text == d.node && d.node != "":
			d.errorf(t.at, "This host would switch itself off", "node.name is %q, and the target is the other host: target = { web1 = \"web2\", web2 = \"web1\" }[node.name].", d.node)
		case badName(t.text) != "":
			d.errorf(t.at, "Not the name of a host", "%s", badName(t.text))
		}
		out = append(out, f)
	}
	return out
}

// idleService warns of what does nothing.
func (d *decoder) idleService(g *service) {
	v := g.sec.get("addresses_when")
	if g.cfg.WhenReady && slices.ContainsFunc(g.routers, func(r *router) bool { return r.cfg.Owner }) {
		d.warnf(v.at, "addresses_when does nothing for the owner", "Its addresses are the interface's own and always there. Remove it, or owner.")
	}
}

// account judges the name of an account.
func (d *decoder) account(v value) string {
	if v.ok && (v.text == "" && v.written || strings.ContainsAny(v.text, " \t\r\n:/\x00")) {
		d.errorf(v.at, "Unusable account name", "%q is not the name of an account: see getent passwd.", v.text)
	}
	return v.text
}
