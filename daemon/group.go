package daemon

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/vrrp"
)

const (
	// groupCalm is how long a group must have stayed what it is before a
	// demotion counts as a new story and not as one more swing.
	groupCalm = 2 * time.Minute
	// groupHoldMax bounds the hold-off between swings.
	groupHoldMax = time.Minute
)

// group is a sync group at work: vrrp.Decide over its members, and the hold-off
// that ends a swing between two hosts which each win on one link.
type group struct {
	cfg     GroupConfig
	members []*router // running and not leaving
	open    bool      // in Loop.undecided
	// depends are the dependencies of all configured members, also of one that still
	// waits for its predecessor.
	depends []checks.Dependency

	promoted  time.Duration // when it became Active last
	swings    int
	holdUntil time.Duration
}

// changed notes that a member took a step; the decision comes when all that
// arrived together has been looked at.
func (g *group) changed(l *Loop) {
	if g != nil && !g.open {
		g.open = true
		l.undecided = append(l.undecided, g)
	}
}

// serves reports whether a member is Active. Who comes then must not wait for long: the
// group would be Active by half, and nobody could take the other half over.
func (g *group) serves() bool {
	return g != nil && slices.ContainsFunc(g.members, func(m *router) bool { return m.fsm.State() == vrrp.Active })
}

// regroup ties the running routers as the configuration says.
func (l *Loop) regroup() {
	old := l.groups
	l.groups = make(map[string]*group, len(l.cfg.Groups))
	for _, c := range l.cfg.Groups {
		g := old[c.Name]
		if g == nil {
			g = &group{promoted: -groupCalm}
		}
		g.cfg, g.members, g.depends = c, g.members[:0], nil
		l.groups[c.Name] = g
	}
	for i := range l.cfg.Routers {
		if c := &l.cfg.Routers[i]; l.groups[c.Group] != nil {
			l.groups[c.Group].depends = union(l.groups[c.Group].depends, c.Depends)
		}
	}
	for _, r := range l.routers {
		r.group = nil
		if g := l.groups[r.cfg.Group]; g != nil && !r.leaving {
			r.group = g
			g.members = append(g.members, r)
			g.changed(l)
		}
	}
}

// part takes out a member that is leaving.
func (g *group) part(l *Loop, r *router) {
	if g == nil {
		return
	}
	g.members = slices.DeleteFunc(g.members, func(m *router) bool { return m == r })
	r.group = nil
	g.changed(l)
}

// decide carries out what the groups whose members changed come to.
func (l *Loop) decide(now time.Duration) {
	if now >= l.groupAt {
		l.groupAt = vrrp.Never
		for _, g := range l.groups {
			g.changed(l)
		}
	}
	for len(l.undecided) > 0 {
		g := l.undecided[0]
		l.undecided = l.undecided[1:]
		g.open = false
		l.decideGroup(now, g)
	}
	l.undecided = nil
}

func (l *Loop) decideGroup(now time.Duration, g *group) {
	list := make([]vrrp.Member, len(g.members))
	for i, r := range g.members {
		list[i] = vrrp.Member{State: r.fsm.State(), Ready: r.fsm.Ready()}
	}
	switch vrrp.Decide(list) {
	case vrrp.PromoteAll:
		if len(list) < len(g.cfg.Members) {
			return // one still waits for its predecessor to leave
		}
		if now < g.holdUntil {
			l.groupAt = min(l.groupAt, g.holdUntil)
			return
		}
		g.promoted = now
		for _, r := range g.members {
			l.step(now, r, vrrp.Promote{})
		}
	case vrrp.DemoteAll:
		l.demote(now, g)
	}
	for _, r := range g.members {
		l.tellState(now, r) // a member's fault may have begun or ended
	}
}

// demote takes the whole group down after one member.
func (l *Loop) demote(now time.Duration, g *group) {
	first := ""
	var down time.Duration
	for _, r := range g.members {
		down = max(down, r.fsm.DownInterval())
		if r.fsm.State() == vrrp.Backup && !r.fsm.Ready() && first == "" {
			first = fmt.Sprintf("%s is Backup on %s", r.cfg.Name, r.cfg.Interface)
		}
	}
	if now-g.promoted > groupCalm {
		g.swings = 0
	} else if now-g.promoted < 3*down {
		g.hold(l, now, down)
	}
	replaced := g.replaced()
	for _, r := range g.members {
		// One that has just been restarted may have been replaced on this link, too.
		quiet := replaced || r.recalledAt > 0 && now-r.recalledAt < down
		l.step(now, r, vrrp.Demote{Detail: first, Quiet: quiet && r.service != nil && !r.service.ladder.Bottom()})
	}
}

// replaced reports whether a member has stepped down for a better Active, which
// then is Active on the other links as well.
func (g *group) replaced() bool {
	return slices.ContainsFunc(g.members, func(r *router) bool {
		switch r.fsm.Why().Cause {
		case vrrp.CauseHigherPriority, vrrp.CauseHigherAddress, vrrp.CauseReplacedInStall:
			return r.fsm.State() == vrrp.Backup
		default:
			return false
		}
	})
}

// hold keeps a group that has been pushed down right after its promotion from
// the next try. Were both hosts to wait equally long, they would swing for
// ever, so the wait depends on the host's address as well.
func (g *group) hold(l *Loop, now, down time.Duration) {
	g.swings++
	if g.swings < 2 {
		return // once is what a returning better host looks like
	}
	low := byte(0)
	if src := g.members[0].fsm.Source(); src.IsValid() {
		low = src.AsSlice()[len(src.AsSlice())-1]
	}
	wait := min(down<<min(g.swings-2, 6), groupHoldMax)
	wait += wait * time.Duration(low) / 256
	g.holdUntil = now + wait
	l.log(slog.LevelWarn, fmt.Sprintf("(sync group %s) pushed down right after its promotion, %d times in a row: each host seems to win on another link. "+
		"Give the hosts different priorities; next try in %s", g.cfg.Name, g.swings, vrrp.Span(wait)))
}

// peerLeft tells the other members that the Active gave up on this one's link.
func (l *Loop) peerLeft(now time.Duration, r *router) {
	src := l.received.Src
	for _, m := range r.group.members {
		if m != r {
			l.step(now, m, vrrp.PeerLeft{Peer: src})
		}
	}
}

// faultOf is the fault that another member imposes on a router, if any.
func (g *group) faultOf(r *router) (vrrp.LinkState, bool) {
	if g == nil {
		return vrrp.LinkState{}, false
	}
	for _, m := range g.members {
		// Only a member that is out counts: a link that it still waits for
		// (LinkDownDelay) is no fault to the others either.
		if m == r || m.fsm.State() != vrrp.Initialize {
			continue
		}
		f := m.own.Fault
		switch {
		case r.fsm.Yielding() && r.told.Fault == vrrp.FaultGroup && (f == vrrp.FaultNone || f == vrrp.FaultPending):
			// The goodbye has been said, and the member is not back yet: taking it
			// back would mean to say it again.
			return r.told, true
		case f != vrrp.FaultNone && f != vrrp.FaultPending:
			return vrrp.LinkState{Fault: vrrp.FaultGroup,
				Detail: fmt.Sprintf("%s: %s", m.cfg.Name, faultText(m.cfg.Interface, m.own))}, true
		}
	}
	return vrrp.LinkState{}, false
}
