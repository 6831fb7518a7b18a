package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/simlan"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// The laws of service groups, as far as they can be seen from outside: in what
// the hands are asked for and in what is up in truth.

// groupSeen is what the observer knows of one service group of one process.
type groupSeen struct {
	names   []string // of the steps, by their index
	unfit   bool
	stuck   bool
	claimed string // on what exclusive data was taken last
}

// group returns what is known of a service group.
func (p *life) group(name string) *groupSeen {
	g := p.groups[name]
	if g == nil {
		g = &groupSeen{}
		p.groups[name] = g
	}
	return g
}

// serviceOf is the configuration of a service group, nil if there is none (any more).
func serviceOf(cfg *daemon.Config, name string) *daemon.ServiceConfig {
	for i := range cfg.Services {
		if cfg.Services[i].Ladder.Name == name {
			return &cfg.Services[i]
		}
	}
	return nil
}

// serviceFor is the service group that follows a router, nil if none does.
func serviceFor(cfg *daemon.Config, router string) *daemon.ServiceConfig {
	for i := range cfg.Services {
		if slices.Contains(cfg.Services[i].Follows, router) {
			return &cfg.Services[i]
		}
	}
	return nil
}

// Asked judges a job for the hands.
func (p *life) Asked(job *actions.Job) {
	n := p.o.lan
	group, _, _ := strings.Cut(job.Name, "/")
	if job.Step >= 0 {
		p.group(group).at(job.Step, job.Name)
	}
	if n.opt.Transcript && job.Verb != actions.Qualify && !job.Monitor {
		n.Note(p.Host, "job %d: %s %s", job.Job, job.Verb, job.Name)
	}
	switch job.Verb {
	case actions.Start, actions.Stop, actions.ForceStop:
		p.o.moves++
		p.o.stirs++
		p.o.moved(p, group, job)
	case actions.Fence, actions.Reboot:
		if o := n.hosts[p.Host.ID].order(daemon.OrderMaintenance, group); o != nil && job.Verb == actions.Reboot {
			n.Violate("steps", "%s reboots in %s", p.Host.Name, o)
		}
	}
}

// at notes which step has an index now.
func (g *groupSeen) at(i int, name string) {
	for k := range g.names {
		if g.names[k] == name {
			g.names[k] = ""
		}
	}
	for len(g.names) <= i {
		g.names = append(g.names, "")
	}
	g.names[i] = name
}

// moved judges a job that moves a step.
func (o *observer) moved(p *life, group string, job *actions.Job) {
	n, h := o.lan, o.lan.hosts[p.Host.ID]
	bad := func(format string, args ...any) {
		n.Violate("steps", "%s: %s of %s: "+format, append([]any{h.Name, job.Verb, job.Name}, args...)...)
	}
	if order := h.order(daemon.OrderMaintenance, group); order != nil {
		bad("the group is in %s", order)
	}
	names := p.group(group).names
	for i, name := range names {
		switch {
		case name == "" || h.unsure[name]:
		case job.Verb == actions.Start && i < job.Step && h.Steps[name] != actions.Up:
			bad("%s, on which it stands, is %s", name, h.Steps[name])
		case job.Verb != actions.Start && i > job.Step && h.Has(name):
			bad("%s, which stands on it, is %s", name, h.Steps[name])
		}
	}
	if job.Verb != actions.Start {
		return
	}
	if g := p.group(group); g.unfit {
		p.rash = g // it is said at the end of the turn that it is not any more
	}
	c := serviceOf(p.Config, group)
	switch {
	case p.leaving:
		bad("the daemon is leaving")
	case p.reloading:
	case c == nil:
		bad("the group has been removed")
	default:
		for _, r := range c.Follows {
			if s := p.seen[r]; s == nil || s.state != active {
				bad("%s is not Active", r)
			}
			if order := h.order(daemon.OrderStandby, r); order != nil {
				bad("%s is in %s", r, order)
			}
		}
	}
	if job.Agent.Exclusive() {
		o.exclusive(h, p, group, job)
	}
}

// exclusive: what two hosts must never have at once is brought up while another
// has it. What is promised depends on the mode of safety.
func (o *observer) exclusive(h *Host, p *life, group string, job *actions.Job) {
	for _, x := range o.lan.hosts {
		if x == h || x.Off() || !x.Has(job.Name) {
			continue
		}
		mode, how := actions.SafetyNone, p.group(group).claimed
		if c := serviceOf(p.Config, group); c != nil {
			mode = c.Ladder.Safety.Mode
		}
		switch {
		case mode == actions.SafetyFence && o.beyond != "":
			// What has happened is beyond what fencing promises.
		case mode == actions.SafetyFence:
			o.lan.Violate("exclusive", "%s starts %s, which is %s on %s; taken because %s", h.Name, job.Name, x.Steps[job.Name], x.Name, how)
		case o.deafness == "" && !o.late[group]:
			o.lan.Violate("exclusive", "%s starts %s, which is %s on %s, and all adverts were heard; taken because %s", h.Name, job.Name, x.Steps[job.Name], x.Name, how)
		}
	}
}

// grants reads on what exclusive data is taken.
func (p *life) grants(l *daemon.Line) {
	text, ok := strings.CutPrefix(l.Text, "(")
	if !ok {
		return
	}
	group, text, ok := strings.Cut(text, ") ")
	if !ok || p.groups[group] == nil {
		return
	}
	g := p.groups[group]
	switch {
	case strings.HasPrefix(text, "exclusive data may be taken: "):
		g.claimed = strings.TrimPrefix(text, "exclusive data may be taken: ")
		if strings.Contains(text, "has not said that it let go") {
			p.o.late[group] = true
		}
	case strings.HasPrefix(text, "this host cannot serve"):
		g.unfit = true
	case strings.HasPrefix(text, "the hold-off is over"), strings.HasPrefix(text, "failures cleared"):
		g.unfit = false
	}
	g.stuck = g.stuck || strings.Contains(text, "is stuck")
}

// estranged: a group that follows one router here and another one there, since each has
// been taken away somewhere, is not one group.
func (o *observer) estranged(p *life, cfg *daemon.Config) {
	for i := range cfg.Services {
		name := cfg.Services[i].Ladder.Name
		for _, h := range o.lan.hosts {
			if h.Process == nil || h.Process == p.Process || serviceOf(h.Process.Config, name) == nil {
				continue
			}
			mine, theirs := followedKeys(cfg, name), followedKeys(h.Process.Config, name)
			both := slices.DeleteFunc(slices.Clone(mine), func(k key) bool { return !slices.Contains(theirs, k) })
			if len(both) < len(mine) || len(both) < len(theirs) {
				o.lan.deaf("two hosts follow different routers with " + name) // a word on one of them says nothing of the others
			}
			o.apart = o.apart || len(both) == 0
		}
	}
}

// followedKeys are the virtual routers that a group follows.
func followedKeys(cfg *daemon.Config, group string) (keys []key) {
	c := serviceOf(cfg, group)
	for i := range cfg.Routers {
		if slices.Contains(c.Follows, cfg.Routers[i].Name) {
			keys = append(keys, keyOf(&cfg.Routers[i]))
		}
	}
	return keys
}

// shot: a host is switched off by another. One that lives, is heard and holds
// nothing must not be.
func (o *observer) shot(by, at *Host, job *actions.Job) {
	o.lan.Fault("%s fences %s", by.Name, at.Name)
	group, _, _ := strings.Cut(job.Name, "/")
	if o.deafness != "" || o.late[group] || at.Process == nil || o.lan.Now()-at.life().since < 30*time.Second {
		return
	}
	if serviceOf(at.Process.Config, group) == nil {
		return // it has no part in it, and nothing to say
	}
	for name := range at.Steps {
		if strings.HasPrefix(name, group+"/") && at.Has(name) {
			return
		}
	}
	o.lan.Violate("fencing", "%s fences %s, which lives and holds nothing, and all adverts were heard", by.Name, at.Name)
}

// letGo judges a priority 0 of a router that is not Active: it says that nothing
// is up here.
func (o *observer) letGo(p *life, c *daemon.RouterConfig) {
	g := serviceFor(p.Config, c.Name)
	if g == nil && p.wasServed[keyOf(c)] {
		return // its group has been removed meanwhile
	}
	if g == nil {
		o.lan.Violate("adverts", "%s vrid %d: priority 0 from a router that is not Active", p.Host.Name, c.Spec.VRID)
		return
	}
	h := o.lan.hosts[p.Host.ID]
	for _, name := range p.group(g.Ladder.Name).names {
		if name != "" && h.Has(name) && !h.unsure[name] {
			o.lan.Violate("steps", "%s says that it let go, and has %s (%s)", h.Name, name, h.Steps[name])
		}
	}
}

// holding are the exclusive steps of a router's group that a host has.
func (o *observer) holding(p *life, router string) (names []string) {
	c := serviceFor(p.Config, router)
	if c == nil {
		return nil
	}
	h := o.lan.hosts[p.Host.ID]
	for i := range c.Ladder.Steps {
		s := &c.Ladder.Steps[i]
		if name := c.Ladder.Name + "/" + s.Name; s.Agent.Exclusive() && h.Has(name) {
			names = append(names, name)
		}
	}
	return names
}

// managed reports whether no maintenance keeps a router's group from being moved.
func (o *observer) managed(p *life, router string) bool {
	g := serviceFor(p.Config, router)
	return g == nil || o.lan.hosts[p.Host.ID].order(daemon.OrderMaintenance, g.Ladder.Name) == nil
}

// anything reports whether a host has anything of a service group.
func (o *observer) anything(p *life, c *daemon.ServiceConfig) bool {
	h := o.lan.hosts[p.Host.ID]
	return slices.ContainsFunc(p.group(c.Ladder.Name).names, func(name string) bool { return name != "" && h.Has(name) })
}

// inPeace are the causes for which an Active leaves of its own will: then its
// service group is down before it says so.
var inPeace = []vrrp.Cause{vrrp.CauseShutdown, vrrp.CauseYielded, vrrp.CauseNobodyTookOver, vrrp.CauseRemoved, vrrp.CauseCheck,
	vrrp.CauseService, vrrp.CauseStandby, vrrp.CauseMoved}

// left judges an Active that has left by what it held when it said so.
func (o *observer) parted(p *life, s *seen, t *daemon.Transition) {
	o.abandoned(p, t)
	c := serviceFor(p.Config, t.Router)
	if o.lan.Now()-max(p.reloaded, p.Host.Resumed) < time.Second {
		return // what it follows may have changed
	}
	if c == nil || len(s.held) == 0 || p.hasty || p.group(c.Ladder.Name).stuck || t.From != active {
		return
	}
	h := o.lan.hosts[p.Host.ID]
	if h.order(daemon.OrderMaintenance, c.Ladder.Name) != nil || p.unmanaged {
		return
	}
	for _, cause := range inPeace {
		if t.Cause == cause.String() && s.goodbye > 0 {
			o.lan.Violate("steps", "%s (%s) left for %s, and had %v when it said so", h.Name, t.Router, t.Cause, s.held)
		}
	}
}

// abandoned: in maintenance the election goes on and steps are not touched. Whoever leaves
// the election then has said goodbye, and does not let go: what it has up is not waited for.
func (o *observer) abandoned(p *life, t *daemon.Transition) {
	if t.From != active || t.To != initialize {
		return
	}
	h := o.lan.hosts[p.Host.ID]
	for i := range p.Config.Services { // a reload may have put another router in the place of this one
		c := &p.Config.Services[i]
		follows := slices.ContainsFunc(c.Follows, func(r string) bool { s := p.seen[r]; return r != t.Router && s != nil && s.state == active })
		if name := c.Ladder.Name; !follows && h.order(daemon.OrderMaintenance, name) != nil && o.anything(p, c) {
			o.late[name] = true
		}
	}
}

// checkServices judges the service groups of a host at rest.
func (n *LAN) checkServices(h *Host, page *daemon.StatusPage) {
	cfg := h.Process.Config
	for i := range cfg.Services {
		c := &cfg.Services[i]
		if n.watch.apart || h.order(daemon.OrderMaintenance, c.Ladder.Name) != nil {
			continue
		}
		serves := true
		for _, r := range c.Follows {
			s := h.life().seen[r]
			serves = serves && s != nil && s.state == active
		}
		at := slices.IndexFunc(page.Services, func(s daemon.ServiceStatus) bool { return s.Name == c.Ladder.Name })
		if at < 0 {
			n.Violate("steps", "%s: status knows no group %s", h.Name, c.Ladder.Name)
			return
		}
		st := &page.Services[at]
		if st.Unfit != "" || st.Stuck != "" || st.Unqualified != "" {
			n.Violate("steps", "%s: at rest group %s is unfit %q, stuck %q, unqualified %q", h.Name, st.Name, st.Unfit, st.Stuck, st.Unqualified)
		}
		limited := false
		for k := range c.Ladder.Steps {
			s := &c.Ladder.Steps[k]
			limited = limited || st.StoppedFrom == s.Name
			want := actions.Down
			if serves && !limited {
				want = actions.Up
			}
			name := c.Ladder.Name + "/" + s.Name
			if h.unsure[name] && s.Monitor.Interval == 0 && want == actions.Up {
				n.watch.unlooked = true
				continue // nobody looks at it
			}
			if is := h.Steps[name]; is != want && !(is == actions.Unknown && want == actions.Down) {
				n.Violate("steps", "%s at rest: %s is %s, and should be %s (%s: %s, claim %q waits %q)", h.Name, s.Name, is, want, st.State, st.Text, st.Claim, st.ClaimWaits)
			}
		}
	}
	n.checkFootprint(h)
}

// checkFootprint: what the loop keeps follows from its configuration, not from
// what has happened.
func (n *LAN) checkFootprint(h *Host) {
	cfg, f := h.Process.Config, h.Process.Footprint()
	want := daemon.Footprint{Routers: len(cfg.Routers), RouterIDs: len(cfg.Routers), RouterDeadlines: len(cfg.Routers),
		Services: len(cfg.Services), ServiceIDs: len(cfg.Services), ServiceDeadlines: len(cfg.Services),
		Checks: len(cfg.Checks), CheckIDs: len(cfg.Checks), CheckDeadlines: len(cfg.Checks), Groups: len(cfg.Groups),
		Links: f.Links, Indexes: f.Indexes, Claims: f.Claims, Orders: len(h.Ordered), Records: f.Records, Histories: f.Histories}
	if f != want || f.Links > n.opt.Links || f.Indexes > f.Links {
		n.Violate("memory", "%s keeps %+v, want %+v", h.Name, f, want)
	}
}

// deaf notes that somebody may not have heard what was said.
func (n *LAN) deaf(why string) {
	if n.watch.deafness == "" {
		n.watch.deafness = why
	}
}

// Stepped looks at what is up in truth.
func (o *observer) stepped(h *simlan.Host, job *actions.Job) {
	if o.lan.opt.Transcript {
		o.lan.Note(h, "%s is %s", job.Name, h.Steps[job.Name])
	}
}

// gapAfterRestart is how long an Active may be silent after a restart: as long as
// nobody ran, and one interval. With a virtual MAC the kernel's word for it is waited for.
func (o *observer) gapAfterRestart(p *life, interval time.Duration, k key) time.Duration {
	most := p.bornAt - p.stoodAt + interval + 3*gridSlack + 4*o.lan.opt.WakeDelay
	if c := p.configs[k]; c != nil && c.VirtualMAC {
		if most += o.lan.opt.KernelDelay; p.reloaded > p.bornAt {
			most += o.lan.opt.KernelDelay // another wish
		}
	}
	return most
}
