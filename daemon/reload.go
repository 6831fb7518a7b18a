package daemon

import (
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// reload carries out the difference between the configuration in force and a
// new one. A router that does not differ does not notice. It returns the plan.
func (l *Loop) reload(now time.Duration, cfg *Config) Plan {
	plan := MakePlan(l.cfg, cfg)
	if l.stopping {
		return Plan{Stopping: true}
	}
	next := make(map[string]*RouterConfig, len(cfg.Routers))
	for i := range cfg.Routers {
		next[cfg.Routers[i].Name] = &cfg.Routers[i]
	}
	l.cfg = cfg
	l.waiting = nil
	gone := map[string]*router{}
	for _, s := range plan.Steps {
		if r := l.find(s.Router); r != nil && (s.Change == Remove || s.Change == Replace) {
			gone[s.Router], r.leaving = r, true // before its service group is given to others
		}
	}
	l.recheck(now, cfg.Checks)
	l.reserve(now, cfg.Services)
	l.regroup()
	for _, s := range plan.Steps {
		switch s.Change {
		case Keep, Adjust:
			if r := l.find(s.Router); r != nil && s.Change == Keep {
				r.cfg = next[s.Router] // the same in every respect: the plan has compared them
			} else if r != nil {
				l.adjust(now, r, next[s.Router])
			} else {
				l.waiting = append(l.waiting, next[s.Router]) // still waiting for its predecessor
			}
		case Remove, Replace:
			if r := gone[s.Router]; r != nil {
				l.remove(now, r, s.Change)
			}
		}
		if s.Change == Add || s.Change == Replace {
			l.waiting = append(l.waiting, next[s.Router])
		}
	}
	l.follows()
	l.undefer()
	l.regroup() // by what the routers are configured for now
	l.tidy(now)
	for _, r := range l.routers {
		l.assess(now, r) // a member's checks are those of its whole group
	}
	return plan
}

// find returns the running router of a name; one that is leaving has no name any more.
func (l *Loop) find(name string) *router {
	if i, ok := l.place(name); ok && !l.routers[i].leaving {
		return l.routers[i]
	}
	return nil
}

// place is where a name is in the sorted list, or would be. No two routers have
// one name: a successor waits until its predecessor has departed.
func (l *Loop) place(name string) (int, bool) {
	return slices.BinarySearchFunc(l.routers, name, func(r *router, n string) int { return strings.Compare(r.cfg.Name, n) })
}

// adjust changes a running router. Without a difference it only takes over the pointer.
func (l *Loop) adjust(now time.Duration, r *router, cfg *RouterConfig) {
	old := r.cfg
	if old.Equal(cfg) {
		r.cfg = cfg
		return
	}
	l.count(r, old, -1)
	r.cfg = cfg
	l.count(r, cfg, 1)
	r.encoded.valid = false
	r.hooks.Configure(cfg.Hooks)
	l.follow(now, r, Followup{What: "reload", Note: strings.Join(differences(old, cfg), ", ")})
	wish := r.wish
	a := l.commanded(r, l.healthOf(r))
	l.step(now, r, vrrp.Configure{Spec: cfg.Spec, Priority: a.Priority, Ask: asks(r, a), Detail: "reload"})
	if !cfg.Spec.Grouped {
		l.step(now, r, vrrp.Promote{}) // it may have been waiting for a group
	}
	if r.fsm.State() == vrrp.Active && r.held && r.wish == wish && !sameHolding(old, cfg) {
		// The machine knows the advertised addresses; what goes with them is ours.
		l.want(r, true)
		r.announceDue = true
	}
	if old.RouterAdvert.On && !cfg.RouterAdvert.On {
		l.ports.Advertiser.Withdraw(r.id)
	}
	l.evaluate(now, r)
	r.link.stale, l.untidy = true, true
	l.runHooks(r)
}

// sameHolding reports whether two configurations of a router want the same of
// the kernel and of the neighbours while it is Active.
func sameHolding(a, b *RouterConfig) bool {
	return slices.Equal(a.Addresses, b.Addresses) && slices.Equal(a.Routes, b.Routes) && slices.Equal(a.Rules, b.Rules) &&
		a.Accept == b.Accept && a.Mortal == b.Mortal && a.Owner == b.Owner && a.Announce == b.Announce && advertEqual(&a.RouterAdvert, &b.RouterAdvert)
}

// remove makes a router step aside and go.
func (l *Loop) remove(now time.Duration, r *router, c Change) {
	r.leaving = true
	r.group.part(l, r)
	l.dismiss(now, r, vrrp.Shutdown{Yield: true, Cause: vrrp.CauseRemoved, Detail: "reload: " + c.String()})
	l.departed(now, r)
}

// departed lets a router go that has left and whose addresses are off.
func (l *Loop) departed(now time.Duration, r *router) {
	if r.leaving && r.link != nil && r.fsm.Stopped() && !r.wishOpen {
		l.depart(now, r)
	}
}

// depart forgets a router that has left and whose addresses are off. Those
// that had to wait for it start at the end of the turn, all at once: a reload
// can rename thousands.
func (l *Loop) depart(now time.Duration, r *router) {
	l.flushHooks(now, r)
	if r.heapIndex >= 0 {
		l.due.remove(&r.slot)
	}
	l.ports.Announcer.Cancel(r.id)
	l.forgetWish(r)
	l.detach(r)
	l.drop(r)
	if r.service != nil {
		l.follows()
	}
	l.untidy = true
}

// tidy starts waiting routers whose predecessors have departed and brings the
// links up to date.
func (l *Loop) tidy(now time.Duration) {
	l.untidy = false
	l.startWaiting(now)
	for _, k := range l.links {
		if !k.stale {
			continue
		}
		k.stale = false
		for _, r := range slices.Clone(k.routers) {
			l.evaluate(now, r)
		}
	}
	l.watch()
}

// startWaiting starts every new router that clashes with nobody leaving.
func (l *Loop) startWaiting(now time.Duration) {
	waiting := l.waiting
	l.waiting = nil
	var started []*router
	for _, cfg := range waiting {
		if l.clashes(cfg) {
			l.waiting = append(l.waiting, cfg)
			continue
		}
		r := l.newRouter(cfg)
		recalled := l.recall(now, r)
		i, _ := l.place(cfg.Name)
		l.routers = slices.Insert(l.routers, i, r)
		l.attach(r)
		l.due.add(&r.slot)
		started = append(started, r)
		if !recalled {
			l.tellDied(r)
		}
	}
	if len(started) == 0 {
		return
	}
	// Once for all of them: a start has thousands.
	l.regroup()
	l.follows()
	for _, r := range started {
		if s := r.service; s != nil && s.heldBy == 0 && s.held > 0 && s.held == r.fsm.Term() && s.cfg.first() == r.cfg.Name {
			s.heldBy = r.id // recalled: its terms go on
		}
		l.assess(now, r)
		l.evaluate(now, r)
	}
}

// tellDied writes down that the daemon before ended without leaving, if it did.
func (l *Loop) tellDied(r *router) {
	if t := l.history.died(r); t != nil {
		l.ports.Journal.Transition(*t)
		l.log(slog.LevelWarn, fmt.Sprintf("(%s) was %s when it ended: %s", r.cfg.Name, t.From, t.Reason), slog.String("router", r.cfg.Name))
	}
}

// claim is an address as two routers can clash over it: link-local ones are
// unique per interface, all others per host.
type claim struct {
	addr netip.Addr
	link string
}

func claimOf(cfg *RouterConfig, a *actions.Address) claim {
	addr := a.Prefix.Addr()
	if addr.IsLinkLocalUnicast() {
		return claim{addr, cfg.on(a.Interface)}
	}
	return claim{addr: addr}
}

// clashes reports whether a new router must wait for another to depart: one of
// the same name, with the same VRID on the same link and family, or with one of
// the same addresses.
// In a valid configuration that one is on its way out, or about to be sent there.
func (l *Loop) clashes(cfg *RouterConfig) bool {
	if _, found := l.place(cfg.Name); found {
		return true
	}
	if k := l.links[cfg.Interface]; k != nil {
		for r := k.router(cfg.Spec.Family, cfg.Spec.VRID); r != nil; r = r.next {
			if r.leaving || listeningOf(&r.cfg.Spec) == listeningOf(&cfg.Spec) && !cfg.Spec.Unicast() {
				return true
			}
		}
	}
	for i := range cfg.Addresses {
		if l.claims[claimOf(cfg, &cfg.Addresses[i])] > 0 {
			return true
		}
	}
	return false
}

// watch tells the watcher which interfaces matter, those of running, leaving
// and waiting routers, if that has changed, and forgets the others.
func (l *Loop) watch() {
	names := map[string]bool{}
	for _, r := range l.routers {
		names[r.cfg.Interface] = true
		for _, n := range r.cfg.elsewhere() {
			names[n] = true
		}
	}
	for _, c := range l.waiting {
		names[c.Interface] = true
		for _, n := range c.elsewhere() {
			names[n] = true
		}
	}
	for _, c := range l.checks {
		if n := checks.Watches(c.fsm.Spec().Probe); n != "" {
			names[n] = true
		}
	}
	for name, k := range l.links {
		if !names[name] {
			l.forgetLink(k)
		}
	}
	list := slices.Sorted(maps.Keys(names))
	if l.watched == nil || !slices.Equal(list, l.watched) {
		l.watched = list
		l.ports.Watch(list)
	}
}
