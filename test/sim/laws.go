package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/simlan"
	"github.com/backbeat-ha/backbeat/vrrp"
)

const (
	// gridSlack is what rounding up to whole milliseconds can add once.
	gridSlack = time.Millisecond
	// yieldSlack is what a yield may take beyond one interval: 100 ms of slack
	// and 20 ms of linger (vrrp, the constants beside Router).
	yieldSlack = 120 * time.Millisecond
	// auditEvery is how often silence is looked for.
	auditEvery = 5 * time.Millisecond
)

// judge is called after every event.
func (o *observer) judge() {
	if o.dirty {
		o.dirty = false
		o.count()
		o.cover()
	}
	if len(o.rivals) > 0 && o.lan.Calm() {
		for r, since := range o.rivals {
			if d := o.lan.Now() - max(since, o.calmSince); d > o.window(r.key) {
				o.lan.Violate("two actives", "%s has two Actives on island %d for %v, more than %v", r.key, r.island, d, o.window(r.key))
			}
		}
	}
	if o.lan.Now() >= o.audited+auditEvery {
		o.audited = o.lan.Now()
		if o.audited > o.silentBy {
			o.audit()
		}
		for _, h := range o.lan.hosts {
			if h.Process != nil && !h.Stalled() && h.life().discordant {
				o.discord(h.life())
			}
		}
	}
}

// window is how long two Actives may last in a calm LAN (see the package comment).
func (o *observer) window(k key) time.Duration {
	n := o.lan
	return 2*o.longest[k] + 2*(n.Opt.MaxDelay+n.opt.WakeDelay+gridSlack) + yieldSlack
}

// count finds out where there are several Actives now.
func (o *observer) count() {
	n := map[rivalry]int{}
	for _, h := range o.lan.hosts {
		if h.Process == nil || h.Stalled() {
			continue
		}
		for _, s := range h.life().seen {
			if s.state == active && h.NICs()[s.key.link].Wired() {
				n[rivalry{s.key, o.lan.Island(s.key.link, h.Host)}]++
			}
		}
	}
	for r := range o.rivals {
		if n[r] < 2 {
			delete(o.rivals, r)
		}
	}
	for r, count := range n {
		if _, known := o.rivals[r]; count > 1 && !known {
			o.rivals[r] = o.lan.Now()
		}
	}
}

func (o *observer) cover() {
	for a, c := range o.covered {
		bare := !slices.ContainsFunc(o.lan.hosts, func(h *Host) bool { return h.Holds(a.Addr()) })
		switch {
		case bare && !c.bare:
			c.since = o.lan.Now()
		case !bare && c.bare:
			c.longest = max(c.longest, o.lan.Now()-c.since)
		}
		c.bare = bare
	}
}

// audit looks for Actives that should have spoken, and for when that can be so next.
func (o *observer) audit() {
	o.silentBy = vrrp.Never
	for _, h := range o.lan.hosts {
		if h.Process == nil {
			continue
		}
		for name, s := range h.life().seen {
			if s.state != active {
				continue
			}
			by := s.spoke + max(o.longestGap(s.interval), o.patience(h.life(), s))
			switch {
			case o.lan.Now() <= by:
				o.silentBy = min(o.silentBy, by)
			case h.Stalled():
				o.silentBy = min(o.silentBy, h.ResumeAt)
			case !s.farewell && s.spoke > h.Resumed:
				o.lan.Violate("adverts", "%s %s is Active and silent for %v", h.Name, name, o.lan.Now()-s.spoke)
			}
		}
	}
}

// spoken: an Active has just said something, or is one now; it may not be silent for
// longer than its interval.
func (o *observer) spoken(s *seen) {
	o.silentBy = min(o.silentBy, s.spoke+s.interval)
}

// patience is how much longer a router may be silent that has been handed over.
func (o *observer) patience(p *life, s *seen) time.Duration {
	if s.spoke < p.bornAt {
		return o.gapAfterRestart(p, s.interval, s.key)
	}
	return 0
}

// discord: the members of a sync group are Active together or not at all, but
// for the time in which one that was told by the others says goodbye and waits
// for its successor, and that in which a member settles or waits for its lost link.
func (o *observer) discord(p *life) {
	p.discordant = false
	for _, g := range p.Config.Groups {
		actives := 0
		var bound, settle time.Duration
		for _, name := range g.Members {
			k := p.keys[name]
			if p.stateOf(k) == active {
				actives++
			}
			bound = max(bound, o.longest[k]+yieldSlack)
			if c := p.configOf(k); c != nil {
				settle = max(settle, c.Spec.Settle, c.Spec.LinkDownDelay)
			}
		}
		bound += settle + o.lan.opt.LookDelay + 2*auditEvery + gridSlack + 2*o.lan.opt.WakeDelay
		if actives == 0 || actives == len(g.Members) {
			delete(p.mixed, g.Name)
			continue
		}
		p.discordant = true
		since, known := p.mixed[g.Name]
		if !known {
			since = o.lan.Now()
			p.mixed[g.Name] = since
		}
		if c := serviceFor(p.Config, g.Members[0]); c != nil && o.anything(p, c) {
			delete(p.mixed, g.Name) // a member that is to leave waits for the steps
			continue
		}
		if d := o.lan.Now() - max(since, p.Host.Resumed, p.reloaded); d > bound {
			o.lan.Violate("groups", "%s: of sync group %s %d members of %d are Active for %v, more than %v", p.Host.Name, g.Name, actives, len(g.Members), d, bound)
		}
	}
}

func (o *observer) longestGap(interval time.Duration) time.Duration {
	return interval + gridSlack + 2*o.lan.opt.WakeDelay
}

// transition judges a journal record; follow-ups repeat one that is known.
func (o *observer) transition(p *life, t daemon.Transition) {
	if t.Seq <= p.lastSeq {
		return // a follow-up; a hook can end after its router has left
	}
	p.lastSeq, p.discordant = t.Seq, true
	h := o.lan.hosts[p.Host.ID]
	h.lastSeq = max(h.lastSeq, t.Seq)
	s := p.seen[t.Router]
	bad := func(what string) {
		o.lan.Violate("journal", "%s %s term %d, %s -> %s (%s): %s", p.Host.Name, t.Router, t.Term, t.From, t.To, t.Cause, what)
	}
	if t.Cause == vrrp.CauseDied.String() { // of the life before
		if was := p.before[t.Router]; was.state != t.From || was.term+1 != t.Term {
			bad(fmt.Sprintf("the process before was %s in term %d", was.state, was.term))
		}
		if s != nil {
			delete(p.seen, t.Router)
			delete(p.speaks, s.key)
			delete(p.inherited, s.key)
		}
		delete(h.before, t.Router)
		return
	}
	if s == nil || t.Term == 1 { // a new router, perhaps of an old name
		if s != nil && p.inherited[s.key] && p.renamed(t.Router) { // it did not go on after all
			delete(p.speaks, s.key)
			delete(p.inherited, s.key)
			if s.spoke == o.lan.Now() { // it has begun as Active just now
				p.pending = append(p.pending, promise{s.key, s.interval})
			}
		} else if s != nil && s.state != initialize {
			bad("begins while its predecessor is " + s.state)
		}
		s = &seen{state: initialize, key: p.keys[t.Router]}
		if other := p.router(s.key); other != nil && other.state != initialize {
			bad("begins while another router has its VRID")
		}
		p.seen[t.Router], p.speaks[s.key] = s, s
	}
	switch {
	case t.From != s.state:
		bad("was " + s.state)
	case t.To == t.From:
		bad("goes nowhere")
	case t.Term != s.term+1:
		bad(fmt.Sprintf("the term before was %d", s.term))
	case t.Cause == "" || t.Cause == vrrp.CauseNone.String() || t.Reason == "":
		bad("has no reason")
	case t.Evidence.Priority == 0 || t.Evidence.Silence < 0:
		bad("has impossible evidence")
	case (t.Cause == vrrp.CauseHigherPriority.String() || t.Cause == vrrp.CauseHigherAddress.String()) && !o.better(p, s.key, &t):
		bad("stepped down for a worse one")
	}
	if t.From == active {
		o.lan.Note(p.Host, "(%s) sent %d adverts", t.Router, s.adverts)
	}
	o.parted(p, s, &t)
	s.state, s.term, s.since = t.To, t.Term, o.lan.Now()
	s.farewell, s.said, s.adverts, s.goodbye, s.held = false, false, 0, 0, nil
	h.before[t.Router] = s
	delete(p.inherited, s.key)
	if t.To == active {
		i := slices.IndexFunc(p.pending, func(x promise) bool { return x.key == s.key })
		if i < 0 {
			bad("became Active without an advert")
			return
		}
		if p.unread(s.key) {
			bad("became Active with an unread advert of another")
		}
		s.spoke, s.said, s.adverts, s.interval = o.lan.Now(), true, 1, p.pending[i].interval
		o.spoken(s)
		p.pending = slices.Delete(p.pending, i, i+1)
	}
	p.count.transitions++
	if o.transitions++; t.From == active || t.To == active {
		o.changes++
	}
	o.dirty, p.changed = true, true
}

// better reports whether the peer a router stepped down for is better than it:
// farewells and goodbyes of losers must not.
func (o *observer) better(p *life, k key, t *daemon.Transition) bool {
	peer, err := netip.ParseAddr(t.Evidence.Peer)
	if err != nil || t.Evidence.PeerPriority == nil {
		return false
	}
	if theirs := *t.Evidence.PeerPriority; theirs != t.Evidence.Priority {
		return theirs > t.Evidence.Priority
	}
	return slices.ContainsFunc(p.Host.NICs()[k.link].Own, func(a netip.Prefix) bool {
		return vrrp.FamilyOf(a.Addr()) == vrrp.FamilyOf(peer) && a.Addr().Compare(peer) < 0
	})
}

// unread reports whether an advert of a living Active waits in the socket:
// packets are drained before deadlines are judged.
func (p *life) unread(k key) bool {
	header := 20
	if k.family == vrrp.IPv6 {
		header = 40
	}
	return slices.ContainsFunc(p.Unread, func(x simlan.Packet) bool {
		return x.Link == p.Host.NICs()[k.link].Index && x.Family == k.family && x.Data[header+1] == k.vrid && x.Data[header+2] != vrrp.PriorityStop
	})
}

// turned looks at a process after each of its turns: what it wants is what its
// states say.
func (o *observer) turned(p *life) {
	if len(p.pending) > 0 {
		o.lan.Violate("adverts", "%s advertises vrid %d without being Active", p.Host.Name, p.pending[0].key.vrid)
	}
	if !p.changed {
		return
	}
	p.changed = false
	for k, s := range p.speaks {
		if w := p.holds[k]; (w != nil) != (s.state == active) && !p.inherited[k] && !(w == nil && p.defers[k]) {
			o.lan.Violate("addresses", "%s: %s is %s but wants addresses: %t", p.Host.Name, k, s.state, w != nil)
		}
	}
	for r, k := range p.advertised {
		if p.stateOf(k) != active {
			o.lan.Violate("addresses", "%s sends Router Advertisements as router %d for %s and is not Active", p.Host.Name, r, k)
		}
	}
}

// wanted judges a wish as it is made.
func (o *observer) wanted(p *life, k *simlan.Wish) {
	before := p.Wishes[k.Router]
	if before != nil && !k.Final && k.Term <= before.Term {
		o.lan.Violate("addresses", "%s router %d: term %d after %d", p.Host.Name, k.Router, k.Term, before.Term)
	}
	if before != nil && before.Active {
		delete(p.holds, wished(before))
	}
	if !k.Active && len(k.Addresses)+len(k.Routes)+len(k.Rules) > 0 {
		o.lan.Violate("addresses", "%s router %d wants %v and is not Active", p.Host.Name, k.Router, k.Addresses)
	}
	if k.Active {
		delete(p.inherited, wished(k))
		p.holds[wished(k)] = k
		o.wantedMAC(p, k)
	}
	p.changed = true
}

// wantedMAC: the wish names the macvlan it should.
func (o *observer) wantedMAC(p *life, k *simlan.Wish) {
	c := p.configs[wished(k)]
	if c == nil || c.VirtualMAC != (k.VirtualMAC != nil) {
		o.lan.Violate("virtual MAC", "%s: %s wants the macvlan %v", p.Host.Name, wished(k), k.VirtualMAC)
	} else if v := k.VirtualMAC; v != nil && v.MAC != vrrp.VirtualMAC(wished(k).family, wished(k).vrid) {
		o.lan.Violate("virtual MAC", "%s: %s wants %x", p.Host.Name, wished(k), v.MAC)
	}
}

// announced: nobody is told where an address is before it is there, after it
// has gone, or with another MAC than the one it is at.
func (o *observer) announced(p *life, a *actions.Announcement, begins bool) {
	w := p.Wishes[a.Router]
	// A schedule that runs goes on while the wish changes, which takes nothing away.
	if w == nil || !w.Active || begins && (!w.Applied || w.Term != a.Term) {
		o.lan.Violate("addresses", "%s announces %v, which are not there", p.Host.Name, a.Targets)
		return
	}
	k := wished(w)
	s := p.router(k)
	if s == nil || s.state != active {
		o.lan.Violate("virtual MAC", "%s announces %v and is not Active", p.Host.Name, a.Targets)
		return
	}
	for _, to := range a.Targets {
		at := p.Host.NIC(to.Link)
		if at == nil {
			continue // gone, and the loop has yet to hear of it
		}
		want := at.Hardware()
		if w.VirtualMAC != nil && to.Link == w.VirtualMAC.Parent {
			want = w.VirtualMAC.MAC
		}
		if to.MAC != want && w.Applied && w.Term == a.Term && o.lan.Now() > at.Upset+2*simlan.NoticeDelay+2*o.lan.opt.WakeDelay && p.Host.Resumed+simlan.NoticeDelay < o.lan.Now() {
			o.lan.Violate("virtual MAC", "%s announces %v with %x, want %x", p.Host.Name, to.Addresses, to.MAC, want)
		}
	}
	if !a.Once {
		return
	}
	// Not because the link itself asked for it, which may be heard of late.
	calm := max(p.Host.NICs()[k.link].Upset, p.Host.Resumed) + 2*simlan.NoticeDelay + 2*o.lan.opt.WakeDelay
	if d := o.lan.Now() - s.repeated; s.repeated > s.since && o.lan.Now() > calm && d < time.Second {
		o.lan.Violate("addresses", "%s repeats its announcement after %v", p.Host.Name, d)
	}
	s.repeated = o.lan.Now()
}

// advertises: Router Advertisements come from a virtual address that is there.
func (o *observer) advertises(p *life, a *actions.RouterAdvert) key {
	w := p.Wishes[a.Router]
	if w == nil || !w.Applied || !w.Active || w.Term != a.Term || wished(w).family != vrrp.IPv6 {
		o.lan.Violate("addresses", "%s sends Router Advertisements from %s, which is not there", p.Host.Name, a.Source)
		return key{}
	}
	return wished(w)
}

// hook judges the order in which hooks are told.
func (o *observer) hook(p *life, job actions.HookJob) {
	s := p.seen[simlan.Variable(job, "BACKBEAT_ROUTER")]
	if s == nil || termOf(job) == 0 {
		o.lan.Violate("hooks", "%s runs a hook for an unknown router: %v", p.Host.Name, job.Env)
		return
	}
	if job.Router < s.hookRouter {
		return // still about an earlier router of that name
	}
	// Histories name their hooks in the order of the alphabet.
	if term := termOf(job); job.Router == s.hookRouter && (term < s.hookTerm || term == s.hookTerm && job.Spec.Name <= s.hookName) {
		o.lan.Violate("hooks", "%s tells %s of term %d after %s of term %d", p.Host.Name, job.Spec.Name, term, s.hookName, s.hookTerm)
	}
	s.hookRouter, s.hookTerm, s.hookName = job.Router, termOf(job), job.Spec.Name
}

// termOf is the term that a hook is told of.
func termOf(job actions.HookJob) uint64 {
	n, err := strconv.ParseUint(simlan.Variable(job, "BACKBEAT_TERM"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
