package sim

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
)

// Step is a step of a service group as histories and scenarios have it. What has
// "data" in its name is exclusive.
func Step(name string) actions.StepSpec {
	s := actions.StepSpec{Name: name, Agent: actions.LSB{Script: "/etc/init.d/" + name}, StartTimeout: 3 * time.Second, StopTimeout: 3 * time.Second,
		Restarts: 1, Window: 30 * time.Second, Monitor: actions.MonitorSpec{Interval: 2 * time.Second, Timeout: time.Second, Failures: 1}}
	if strings.Contains(name, "data") {
		s.Agent = actions.Filesystem{Device: "/dev/" + name, Target: "/" + name, Type: "ext4", Shared: true}
	}
	return s
}

// Group makes a service group of these steps that follows routers.
func Group(name string, mode actions.SafetyMode, follows []string, steps ...string) daemon.ServiceConfig {
	c := daemon.ServiceConfig{Follows: follows, Ladder: actions.LadderSpec{Name: name, HoldOff: 2 * time.Second, HoldOffMax: 8 * time.Second, Qualify: 2 * time.Second}}
	for _, s := range steps {
		c.Ladder.Steps = append(c.Ladder.Steps, Step(s))
	}
	if c.Ladder.Exclusive() < len(steps) {
		c.Ladder.Safety = actions.SafetySpec{Mode: mode, ReleaseTimeout: 10 * time.Second}
	}
	return c
}

// WithServices returns the configuration with these service groups.
func WithServices(cfg *daemon.Config, services ...daemon.ServiceConfig) *daemon.Config {
	slices.SortFunc(services, func(a, b daemon.ServiceConfig) int { return strings.Compare(a.Ladder.Name, b.Ladder.Name) })
	cfg.Services = services
	return cfg
}

// Fenced returns the group with a device that switches another host off.
func Fenced(c daemon.ServiceConfig, target *Host, delay time.Duration) daemon.ServiceConfig {
	if c.Ladder.Safety.Mode == actions.SafetyFence {
		c.Ladder.Safety.Fence = []actions.FenceSpec{{Name: "bmc", Command: []string{"/usr/sbin/fence_sim"}, Action: "off", Target: target.Name, Timeout: 3 * time.Second, Delay: delay}}
	}
	return c
}

// sharedGroup is a service group as the hosts of a history share it.
type sharedGroup struct {
	vrids []uint8 // of the routers that it follows
	cfg   daemon.ServiceConfig
	delay bool // the first host shoots later
}

var stepNames = []string{"lsb.a", "fs.data1", "lsb.b", "fs.data2", "lsb.c"}

// drawGroups makes the service groups of a history: one or two, each behind a
// router or a sync group.
func (h *History) drawGroups() {
	rng := h.lan.Rand()
	mode := actions.SafetyNone
	if len(h.lan.hosts) == 2 && rng.IntN(3) > 0 {
		mode = actions.SafetyFence
	}
	for i, g := range h.routers {
		switch {
		case g.sync != "" && slices.ContainsFunc(h.groups, func(o sharedGroup) bool { return h.sharedOf(o.vrids[0]).sync == g.sync }):
			continue
		case len(h.groups) == 2, len(h.groups) > 0 && rng.IntN(2) == 0:
			continue
		}
		name := "g" + string(rune('1'+i))
		var steps []string
		for _, s := range stepNames {
			if rng.IntN(2) == 0 {
				steps = append(steps, s+name)
			}
		}
		if len(steps) == 0 {
			steps = []string{"fs.data1" + name}
		}
		s := sharedGroup{cfg: Group(name, mode, nil, steps...), delay: rng.IntN(2) == 0}
		for _, o := range h.routers {
			if o.vrid == g.vrid || g.sync != "" && o.sync == g.sync {
				s.vrids = append(s.vrids, o.vrid)
			}
		}
		h.drawLadder(&s.cfg)
		h.groups = append(h.groups, s)
	}
}

// drawLadder draws the paces and the policies of a group.
func (h *History) drawLadder(c *daemon.ServiceConfig) {
	rng := h.lan.Rand()
	c.WhenReady = rng.IntN(4) == 0
	l := &c.Ladder
	l.OnStuck = actions.OnStuck(rng.IntN(2))
	l.Qualify = time.Duration(rng.IntN(2)) * 2 * time.Second
	if l.Safety.Mode != actions.SafetyNotNeeded {
		l.Safety.ReleaseTimeout = time.Duration(2+rng.IntN(9)) * time.Second
	}
	for i := range l.Steps {
		s := &l.Steps[i]
		s.Retries, s.Restarts = rng.IntN(3), rng.IntN(3)
		s.Monitor.Interval = time.Duration(rng.IntN(3)) * time.Second
		s.Monitor.Failures = 1 + rng.IntN(2)
		s.OnFailure = actions.OnFailure(rng.IntN(2)) // what is ignored is not at rest
	}
}

// services are the groups of a host that its routers allow.
func (h *History) services(host *Host, cfg *daemon.Config) (out []daemon.ServiceConfig) {
	for i := range host.groups {
		g := &host.groups[i]
		c := g.cfg
		c.Follows = h.followed(g, cfg)
		if len(c.Follows) == 0 {
			continue
		}
		delay := time.Duration(0)
		if g.delay && host.ID == 0 {
			delay = time.Second
		}
		out = append(out, Fenced(c, h.lan.hosts[1-min(host.ID, 1)], delay))
	}
	return out
}

// followed are the names of the routers that a group follows as things are
// configured: all of a sync group, else one.
func (h *History) followed(g *sharedGroup, cfg *daemon.Config) (names []string) {
	sync := ""
	for i := range cfg.Routers {
		r := &cfg.Routers[i]
		if slices.Contains(g.vrids, r.Spec.VRID) && (len(names) == 0 || sync != "" && r.Group == sync) {
			names = append(names, r.Name)
			sync = r.Group
		}
	}
	return names
}

// config is a host's configuration with the groups that its routers allow.
func (h *History) config(host *Host, routers []daemon.RouterConfig) *daemon.Config {
	cfg := Config(host, routers...)
	if len(h.groups) > 0 {
		WithServices(cfg, h.services(host, cfg)...)
	}
	return cfg
}

// follows reports whether a service group follows a router.
func (h *History) follows(vrid uint8) bool {
	return slices.ContainsFunc(h.groups, func(g sharedGroup) bool { return slices.Contains(g.vrids, vrid) })
}

// regroup changes something in a host's service groups for its next configuration.
func (h *History) regroup(host *Host) {
	rng := h.lan.Rand()
	if len(host.groups) == 0 {
		return
	}
	c := &host.groups[rng.IntN(len(host.groups))].cfg
	l := &c.Ladder
	l.Steps = slices.Clone(l.Steps)
	switch top := len(l.Steps) - 1; rng.IntN(5) {
	case 0:
		h.drawLadder(c)
	case 1: // one more on top
		if name := "lsb.z" + l.Name; !slices.ContainsFunc(l.Steps, func(s actions.StepSpec) bool { return s.Name == name }) {
			l.Steps = append(l.Steps, Step(name))
		}
	case 2: // one less
		if top > 0 && !l.Steps[top].Agent.Exclusive() {
			l.Steps = l.Steps[:top]
		}
	case 3: // another thing of the same name
		if s := &l.Steps[rng.IntN(top+1)]; !s.Agent.Exclusive() {
			s.Agent = actions.LSB{Script: "/etc/init.d/other", StatusText: string(rune('a' + rng.IntN(26)))}
		}
	case 4: // another order
		i, j := rng.IntN(top+1), rng.IntN(top+1)
		l.Steps[i], l.Steps[j] = l.Steps[j], l.Steps[i]
	}
}

// fences reports whether hosts may shoot each other, which never rests while they
// do not hear each other.
func (h *History) fences() bool {
	return slices.ContainsFunc(h.groups, func(g sharedGroup) bool { return g.cfg.Ladder.Safety.Mode == actions.SafetyFence })
}

// served reports whether a service group follows a router: then it may go on when
// it has asked whether anybody is better, although it is to leave.
func (p *life) served(k key) bool {
	c := p.configOf(k)
	return c != nil && serviceFor(p.Config, c.Name) != nil
}

// hasAny reports whether any step is up on a host, with or without a daemon.
func (h *Host) hasAny() bool {
	for name := range h.Steps {
		if h.Has(name) {
			return true
		}
	}
	return false
}

// putAway ends what is up on a host and no daemon looks after: its group has been
// removed while it could not be brought down.
func (h *Host) putAway() {
	known := stepsOf(h.Config())
	for _, name := range slices.Sorted(maps.Keys(h.Steps)) {
		if h.Process != nil && !slices.Contains(known, name) {
			h.Die(name)
			h.Steps[name] = actions.Down
		}
	}
}
