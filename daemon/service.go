package daemon

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// service is one service group at work: its ladder, and the routers it follows.
type service struct {
	id     actions.GroupID
	cfg    *ServiceConfig
	ladder actions.Ladder
	slot
	routers []*router // that it follows, running or on their way out
	open    bool      // in Loop.unserved
	leaving bool      // removed by a reload, goes when it is down
	// entitled: when it began to leave, exclusive data could be taken without asking.
	entitled bool

	up bool // the aim that the ladder was given last
	// held is the term of the first router for which the aim was up, heldBy that
	// router (0: of the process before): with the same term again nobody else can
	// have been Active meanwhile. Another router counts its own terms.
	held   uint64
	heldBy actions.RouterID
	// addedTo is the router that was Active already when a reload added the group, in
	// its term addedIn.
	addedTo actions.RouterID
	addedIn uint64
	// owes: a LetGo is due as soon as the ladder is down; waited: the last time it was
	// up it still waited for a LetGo itself.
	owes, waited bool
	// said: priority 0 was, so that a host that is Active as well may have taken the data.
	said bool
	// toldTimes is how often it was said to the Active of now, toldAt when last.
	toldTimes int
	toldAt    time.Duration
	// unmanage is the maintenance that begins when the steps from unmanageAt on are down.
	unmanage   Order
	unmanageAt int
	face       face // what the routers and people were told last
	wall       time.Time
	devices    devices
}

// wordPause is how long a silent host is waited for before it is fenced. A Backup
// answers our first advert at once; a second is ten times what a loaded one needs.
const wordPause = time.Second

// meetPause is the same where nobody is fenced: two hosts that became Active at one
// moment, in the silence of a start, have found out by then which of them stays so.
const meetPause = 200 * time.Millisecond

// reserve brings the service groups to what a configuration says. One that stays
// keeps its steps where they are; one that clashes with another on its way out
// begins when that one is down.
func (l *Loop) reserve(now time.Duration, list []ServiceConfig) {
	wanted := make(map[string]bool, len(list))
	for i := range list {
		wanted[list[i].Ladder.Name] = true
	}
	for _, s := range l.services {
		if !s.leaving && !wanted[s.cfg.Ladder.Name] {
			s.leaving, s.entitled = true, s.ladder.View(now).Entitled
			s.ladder.Leave()
			l.stepService(now, s, actions.LadderTimeout{})
		}
	}
	for i := range list {
		c := &list[i]
		s := l.serviceNamed(c.Ladder.Name)
		switch {
		case s == nil && slices.ContainsFunc(l.services, func(o *service) bool { return o.leaving && o.cfg.clashes(c) }):
			// departService comes back to it.
		case s == nil:
			l.newService(now, c)
		default:
			old := s.cfg
			s.cfg = c
			if !old.Ladder.Equal(&c.Ladder) {
				l.stepService(now, s, actions.ConfigureLadder{Spec: c.Ladder})
			}
		}
	}
	l.follows()
}

// newService begins a group by looking what is up.
func (l *Loop) newService(now time.Duration, c *ServiceConfig) {
	l.groupID++
	s := &service{id: l.groupID, cfg: c, ladder: actions.NewLadder(l.groupID, l.cfg.Node, c.Ladder), wall: l.ports.Clock.Wall()}
	s.slot = slot{heapIndex: -1, deadline: vrrp.Never, service: s}
	l.serviceDue.add(&s.slot)
	l.byGroup[s.id] = s
	l.services = append(l.services, s)
	if l.orders.of(OrderMaintenance, c.Ladder.Name) != nil {
		l.stepService(now, s, actions.Manage{On: false})
	}
	if r := l.find(c.first()); r != nil && r.fsm.State() == vrrp.Active {
		// Added to a router that serves: the other host, which is a Backup, says that
		// it holds nothing as soon as it has the group too. Until then it is waited for.
		s.addedTo, s.addedIn = r.id, r.fsm.Term()
	}
	l.recallService(now, s)
	l.stepService(now, s, actions.LadderTimeout{})
}

// clashes reports whether two groups must not be at work at once: they have the
// name, a router or a thing in common.
func (c *ServiceConfig) clashes(o *ServiceConfig) bool {
	return c.Ladder.Name == o.Ladder.Name ||
		slices.ContainsFunc(c.Follows, func(r string) bool { return slices.Contains(o.Follows, r) }) ||
		slices.ContainsFunc(c.Ladder.Steps, func(a actions.StepSpec) bool {
			return slices.ContainsFunc(o.Ladder.Steps, func(b actions.StepSpec) bool { return reflect.DeepEqual(a.Agent, b.Agent) })
		})
}

// serviceNamed returns the group of a name that is not on its way out.
func (l *Loop) serviceNamed(name string) *service {
	for _, s := range l.services {
		if s.cfg.Ladder.Name == name && !s.leaving {
			return s
		}
	}
	return nil
}

// follows ties groups and routers anew; routers that are leaving stay tied.
func (l *Loop) follows() {
	for _, r := range l.routers {
		if !r.leaving {
			r.service = nil
		}
	}
	for _, s := range l.services {
		// One that is leaving stays tied to what it has to wait for.
		s.routers = slices.DeleteFunc(s.routers, func(r *router) bool { return !r.leaving || r.service != s || r.link == nil })
		for _, name := range s.cfg.Follows {
			i, found := l.place(name)
			if !found || l.routers[i].leaving {
				continue
			}
			if r := l.routers[i]; r.service == nil || !s.leaving {
				r.service = s
				s.routers = append(s.routers, r)
			}
		}
		slices.SortFunc(s.routers, func(x, y *router) int { return strings.Compare(x.cfg.Name, y.cfg.Name) })
		s.touch(l)
	}
}

// undefer puts addresses up that have waited for a service group and need not wait
// any longer: it has gone, or is not waited for.
func (l *Loop) undefer() {
	for _, r := range l.routers {
		if r.fsm.State() == vrrp.Active && !r.held && !r.leaving && !r.defers() && !r.fsm.Parting() && r.link != nil && r.link.index != 0 {
			l.want(r, true)
			r.announceDue = true
		}
	}
}

// touch notes that something has happened that may concern a group; it is looked
// at when the routers have taken their steps.
func (s *service) touch(l *Loop) {
	if s != nil && !s.open {
		s.open = true
		l.unserved = append(l.unserved, s)
	}
}

// serve brings the groups to where their routers are, and routers to what the
// groups allow, until both agree.
func (l *Loop) serve(now time.Duration) {
	for len(l.unserved) > 0 || len(l.toAssess) > 0 {
		if n := len(l.toAssess); n > 0 {
			r := l.toAssess[n-1]
			l.toAssess = l.toAssess[:n-1]
			l.assess(now, r)
			continue
		}
		s := l.unserved[0]
		l.unserved = l.unserved[1:]
		s.open = false
		l.steer(now, s)
		l.unmanage(now, s)
		l.release(now, s)
		l.departService(now, s)
	}
	l.unserved = nil
}

// steer gives the ladder the aim that follows from its routers.
func (l *Loop) steer(now time.Duration, s *service) {
	// One that is missing still waits for its predecessor to leave.
	up := len(s.routers) > 0 && len(s.routers) == len(s.cfg.Follows) && !l.stopping
	for _, r := range s.routers {
		// One that goes on from the process before, and has not seen its link yet, may have
		// been about to leave: what was not wanted up then waits until that is known.
		if r.fsm.State() != vrrp.Active || r.fsm.Parting() || r.reluctant() || r.leaving || !r.toldOnce && !s.up {
			up = false
		}
	}
	if up == s.up {
		return
	}
	s.up = up
	aim := actions.Aim{Up: up}
	if up {
		r := s.routers[0]
		if aim.Peer, aim.Word = s.peerBefore(now), wordPause; s.cfg.Ladder.Safety.Mode != actions.SafetyFence {
			aim.Word = meetPause
		}
		s.held, s.heldBy = r.fsm.Term(), r.id
		s.owes, s.said = true, false
	} else if !s.ladder.View(now).Entitled {
		s.held, s.heldBy, s.waited = 0, 0, true // it was Active, and never had the data
	}
	l.stepService(now, s, aim)
}

// peerBefore says who may still have exclusive data when the routers serve.
func (s *service) peerBefore(now time.Duration) actions.Peer {
	if r := s.routers[0]; r.fsm.Term() == s.held && r.id == s.heldBy {
		if s.said && !s.ladder.Holds() {
			return actions.PeerSilent // it said that nothing is held here, and went on
		}
		return actions.PeerNone // Active all the time
	}
	if r := s.routers[0]; s.addedTo == r.id && s.addedIn == r.fsm.Term() {
		return actions.PeerReleasing
	}
	for _, r := range s.routers {
		if r.fsm.Why().Cause != vrrp.CauseNoResponse {
			return actions.PeerReleasing // on one link it was there
		}
		if slices.ContainsFunc(r.owing, func(o owing) bool { return now-o.at < 3*o.interval }) {
			return actions.PeerReleasing // a worse one, which was not followed: to miss an advert or two is not death
		}
	}
	return actions.PeerSilent
}

// reluctant reports whether a router that is Active wants to leave as soon as its
// service group is down.
func (r *router) reluctant() bool { return r.heldBack || r.dismissal != nil || r.moving }

// standing reports whether a router must not leave in peace yet: its group still
// has something up. A stuck step is waited for, but not by a host that stops.
func (l *Loop) standing(r *router) bool {
	s := r.service
	if s == nil || r.fsm.State() != vrrp.Active || s.ladder.Bottom() || !s.ladder.Managed() {
		return false
	}
	_, _, stuck := s.ladder.Stuck()
	return !stuck || !l.stopping
}

// release lets routers go that waited for their group, and tells the peer when
// exclusive data has been let go of.
func (l *Loop) release(now time.Duration, s *service) {
	for _, r := range slices.Clone(s.routers) {
		if !r.reluctant() || l.standing(r) {
			continue
		}
		if d := r.dismissal; d != nil {
			r.dismissal, r.moving, r.heldBack = nil, false, false
			l.step(now, r, *d)
			l.departed(now, r)
		}
		if r.moving {
			r.moving = false
			l.step(now, r, vrrp.StepAside{Detail: r.movedBy})
		}
		if r.heldBack && r.told.Fault == vrrp.FaultNone { // else it waits for its link
			r.heldBack = false
			l.tellState(now, r)
		}
	}
	if !s.owes || s.up || !s.ladder.Bottom() {
		return
	}
	if !s.ladder.Looked() || slices.ContainsFunc(s.routers, func(r *router) bool { return r.fsm.State() == vrrp.Active }) {
		return
	}
	if s.waited && s.awaits(now) {
		return
	}
	s.owes, s.waited = false, false
	s.toldTimes, s.toldAt = s.toldTimes+1, now
	for _, r := range s.routers {
		l.step(now, r, vrrp.LetGo{})
	}
}

// departService forgets a group that a reload removed and that is down. Those that
// waited for it begin. Who takes over its routers has had the data as long as it had.
func (l *Loop) departService(now time.Duration, s *service) {
	_, _, stuck := s.ladder.Stuck()
	switch {
	case !s.leaving, s.heapIndex < 0:
		return
	case s.ladder.Managed() && !stuck && !(s.ladder.Bottom() && s.ladder.Idle()):
		return
	case s.owes && slices.ContainsFunc(s.routers, func(r *router) bool { return r.leaving && !r.fsm.Stopped() }):
		return // the last word is said when they have left
	}
	if !s.ladder.Bottom() {
		l.log(slog.LevelWarn, fmt.Sprintf("(%s) removed from the configuration with steps that are not down; they are not looked after any more", s.cfg.Ladder.Name))
	}
	if s.ladder.Bottom() && l.serviceNamed(s.cfg.Ladder.Name) == nil {
		for i := range s.cfg.Ladder.Steps {
			l.ports.Agents.Forget(s.cfg.Ladder.Steps[i].Agent, s.cfg.Ladder.Name+"/"+s.cfg.Ladder.Steps[i].Name)
		}
	}
	l.serviceDue.remove(&s.slot)
	delete(l.byGroup, s.id)
	l.services = slices.DeleteFunc(l.services, func(x *service) bool { return x == s })
	for _, r := range s.routers {
		if r.service == s {
			r.service = nil
		}
	}
	if l.stopping {
		l.follows()
		return
	}
	before := len(l.services)
	l.reserve(now, l.cfg.Services)
	for _, n := range l.services[before:] {
		if s.entitled && n.held == 0 && n.cfg.first() == s.cfg.first() {
			n.held, n.heldBy = s.held, s.heldBy
		}
	}
	l.undefer()
}

// runServices lets ladders react whose time has come. Adverts have left before.
func (l *Loop) runServices(now time.Duration) {
	for range checkBatch {
		if l.serviceDue.next() > now {
			return
		}
		s := l.serviceDue.first().service
		l.tryDevices(now, s)
		l.stepService(now, s, actions.LadderTimeout{})
	}
}

func (l *Loop) onStepDone(now time.Duration, group actions.GroupID, ev actions.LadderEvent) {
	s := l.byGroup[group]
	if s == nil {
		l.stats.stale++
		return
	}
	if s.open {
		l.serve(now) // an input before may have taken the ground from under the next step
		if l.byGroup[group] == nil {
			return
		}
	}
	if done, ok := ev.(actions.Done); ok && done.Job >= deviceJob {
		l.devicesTried(s, &done)
		ev = actions.LadderTimeout{} // when they are tried next
	}
	l.stepService(now, s, ev)
}

// stepService is the only place where a ladder is stepped.
func (l *Loop) stepService(now time.Duration, s *service, ev actions.LadderEvent) {
	fx := s.ladder.Step(now, ev, nil)
	if s.deadline = min(s.ladder.Deadline(), s.nextTry()); s.heapIndex >= 0 {
		l.serviceDue.fix(&s.slot)
	}
	for i := range fx {
		switch e := &fx[i]; e.Kind {
		case actions.DoJob:
			l.ports.Agents.Do(e.Job)
		case actions.CancelJob:
			l.ports.Agents.Cancel(e.Job.Group, e.Job.Job)
		default:
			l.tellService(now, s, e)
		}
	}
	l.faceService(now, s)
	if s.leaving {
		s.touch(l) // it may go when the last job has been answered, though nothing shows
	}
}

// stale notes that a router must be evaluated anew when all steps have been taken.
func (l *Loop) stale(r *router) {
	if !slices.Contains(l.toEvaluate, r) {
		l.toEvaluate = append(l.toEvaluate, r)
	}
}

// reevaluate evaluates those routers.
func (l *Loop) reevaluate(now time.Duration) {
	for len(l.toEvaluate) > 0 {
		list := l.toEvaluate
		l.toEvaluate = nil
		list = slices.DeleteFunc(list, func(r *router) bool { return r.link == nil })
		l.evaluate(now, list...)
	}
}

// descending reports whether a group is still on its way down and may get there.
func (l *Loop) descending() bool {
	for _, s := range l.services {
		_, _, stuck := s.ladder.Stuck()
		if s.ladder.Managed() && !stuck && !s.ladder.Bottom() {
			return true
		}
	}
	return false
}
