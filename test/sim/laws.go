package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
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
	if len(o.rivals) > 0 && o.lan.calm() {
		for r, since := range o.rivals {
			if d := o.lan.now - max(since, o.calmSince); d > o.window(r.key) {
				o.lan.violate("two actives", "vrid %d %s has two Actives on island %d for %v, more than %v", r.key.vrid, r.key.family, r.island, d, o.window(r.key))
			}
		}
	}
	if o.lan.now >= o.audited+auditEvery {
		o.audited = o.lan.now
		o.audit()
	}
}

// window is how long two Actives may last in a calm LAN (see the package comment).
func (o *observer) window(k key) time.Duration {
	n := o.lan
	return 2*o.longest[k] + 2*(n.opt.MaxDelay+n.opt.WakeDelay+gridSlack) + yieldSlack
}

// count finds out where there are several Actives now.
func (o *observer) count() {
	n := map[rivalry]int{}
	for _, h := range o.lan.hosts {
		if h.proc == nil || h.stalled() || !h.wired() {
			continue
		}
		for _, s := range h.proc.seen {
			if s.state == active {
				n[rivalry{s.key, o.lan.island[h.ID]}]++
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
			o.rivals[r] = o.lan.now
		}
	}
}

func (o *observer) cover() {
	for a, c := range o.covered {
		bare := !slices.ContainsFunc(o.lan.hosts, func(h *Host) bool { return h.holds(a) })
		switch {
		case bare && !c.bare:
			c.since = o.lan.now
		case !bare && c.bare:
			c.longest = max(c.longest, o.lan.now-c.since)
		}
		c.bare = bare
	}
}

// audit looks for Actives that should have spoken.
func (o *observer) audit() {
	for _, h := range o.lan.hosts {
		if h.proc == nil || h.stalled() {
			continue
		}
		for name, s := range h.proc.seen {
			if s.state == active && !s.farewell && s.spoke > h.resumed && o.lan.now-s.spoke > o.longestGap(s.interval) {
				o.lan.violate("adverts", "%s %s is Active and silent for %v", h.Name, name, o.lan.now-s.spoke)
			}
		}
	}
}

func (o *observer) longestGap(interval time.Duration) time.Duration {
	return interval + gridSlack + 2*o.lan.opt.WakeDelay
}

// sent judges an advert as it is handed to the wire.
func (o *observer) sent(p *process, family vrrp.Family, src netip.Addr, message []byte) {
	n, h := o.lan, p.host
	var d vrrp.Datagram
	var a vrrp.Advert
	drop := vrrp.ParseIP(family, ipPacket(family, src, message), &d)
	if drop == vrrp.Accepted {
		_, drop = vrrp.Validate(&d, &a)
	}
	if drop != vrrp.Accepted {
		n.violate("adverts", "%s sent what a receiver drops: %s", h.Name, drop)
		return
	}
	if !slices.ContainsFunc(slices.Concat(h.own, h.owned), func(x netip.Prefix) bool { return x.Addr() == src }) {
		n.violate("adverts", "%s sent from %s, which is not its own", h.Name, src)
	}
	k := key{family, a.VRID}
	s := p.router(k)
	off := false
	switch {
	case s != nil && s.state == active:
		off = o.spacing(h, s, &a)
	case a.Priority == vrrp.PriorityStop:
		n.violate("adverts", "%s vrid %d: priority 0 from a router that is not Active", h.Name, a.VRID)
	default:
		p.pending = append(p.pending, promise{k, a.Interval}) // must become Active in this turn
	}
	if n.opt.Transcript && (n.opt.Adverts || off || a.Priority == vrrp.PriorityStop || s == nil || s.state != active) {
		n.note(h, "advert %s vrid %d priority %d", family, a.VRID, a.Priority)
	}
}

// spacing judges an Active's advert by the one before. It reports whether it
// came before its time.
func (o *observer) spacing(h *Host, s *seen, a *vrrp.Advert) (early bool) {
	now := o.lan.now
	switch {
	case s.farewell:
		o.lan.violate("adverts", "%s vrid %d: speaks after its farewell", h.Name, a.VRID)
	case a.Priority == vrrp.PriorityStop:
		s.farewell = true
	case s.said && s.spoke > h.resumed:
		gap := now - s.spoke
		early = gap < a.Interval
		most := o.longestGap(max(a.Interval, s.interval))
		if o.lan.opt.WakeDelay == 0 && (s.spoke+h.offset)%gridSlack == 0 {
			most -= gridSlack // on the grid there is nothing to round
		}
		if gap > most {
			o.lan.violate("adverts", "%s vrid %d: %v between two adverts, the interval is %v", h.Name, a.VRID, gap, a.Interval)
		}
	}
	s.spoke, s.interval, s.said = now, a.Interval, true
	s.adverts++
	return early
}

// transition judges a journal record; follow-ups repeat one that is known.
func (o *observer) transition(p *process, t daemon.Transition) {
	if t.Seq <= p.lastSeq {
		return // a follow-up; a hook can end after its router has left
	}
	p.lastSeq = t.Seq
	s := p.seen[t.Router]
	bad := func(what string) {
		o.lan.violate("journal", "%s %s term %d, %s -> %s (%s): %s", p.host.Name, t.Router, t.Term, t.From, t.To, t.Cause, what)
	}
	if s == nil || t.Term == 1 { // a new router, perhaps of an old name
		if s != nil && s.state != initialize {
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
	}
	if t.From == active {
		o.lan.note(p.host, "(%s) sent %d adverts", t.Router, s.adverts)
	}
	s.state, s.term, s.since = t.To, t.Term, o.lan.now
	s.farewell, s.said, s.adverts = false, false, 0
	if t.To == active {
		i := slices.IndexFunc(p.pending, func(x promise) bool { return x.key == s.key })
		if i < 0 {
			bad("became Active without an advert")
			return
		}
		if p.unread(s.key) {
			bad("became Active with an unread advert of another")
		}
		s.spoke, s.said, s.adverts, s.interval = o.lan.now, true, 1, p.pending[i].interval
		p.pending = slices.Delete(p.pending, i, i+1)
	}
	p.count.transitions++
	o.dirty, p.changed = true, true
}

// unread reports whether an advert of a living Active waits in the socket:
// packets are drained before deadlines are judged.
func (p *process) unread(k key) bool {
	header := 20
	if k.family == vrrp.IPv6 {
		header = 40
	}
	return slices.ContainsFunc(p.rx, func(x packet) bool {
		return x.family == k.family && x.data[header+1] == k.vrid && x.data[header+2] != vrrp.PriorityStop
	})
}

// turned looks at a process after each of its turns: what it wants is what its
// states say.
func (o *observer) turned(p *process) {
	if len(p.pending) > 0 {
		o.lan.violate("adverts", "%s advertises vrid %d without being Active", p.host.Name, p.pending[0].key.vrid)
	}
	if !p.changed {
		return
	}
	p.changed = false
	for k, s := range p.speaks {
		if w := p.holds[k]; (w != nil) != (s.state == active) {
			o.lan.violate("addresses", "%s vrid %d %s is %s but wants addresses: %t", p.host.Name, k.vrid, k.family, s.state, w != nil)
		}
	}
}

// wanted judges a wish as it is made.
func (o *observer) wanted(p *process, k *wish) {
	before := p.wishes[k.Router]
	if before != nil && !k.Final && k.Term <= before.Term {
		o.lan.violate("addresses", "%s router %d: term %d after %d", p.host.Name, k.Router, k.Term, before.Term)
	}
	if before != nil && len(before.Addresses) > 0 {
		delete(p.holds, before.key())
	}
	if len(k.Addresses) > 0 {
		p.holds[k.key()] = k
	}
	p.changed = true
}

// announced: nobody is told where an address is before it is there.
func (o *observer) announced(p *process, a actions.Announcement) {
	w := p.wishes[a.Router]
	if w == nil || !w.applied || len(w.Addresses) == 0 || w.Term != a.Term {
		o.lan.violate("addresses", "%s announces %v, which are not there", p.host.Name, a.Addresses)
	}
}

// hook judges the order in which hooks are told.
func (o *observer) hook(p *process, job actions.HookJob) {
	s := p.seen[variable(job, "BACKBEAT_ROUTER")]
	if s == nil || termOf(job) == 0 {
		o.lan.violate("hooks", "%s runs a hook for an unknown router: %v", p.host.Name, job.Env)
		return
	}
	if job.Router < s.hookRouter {
		return // still about an earlier router of that name
	}
	// Histories name their hooks in the order of the alphabet.
	if term := termOf(job); job.Router == s.hookRouter && (term < s.hookTerm || term == s.hookTerm && job.Spec.Name <= s.hookName) {
		o.lan.violate("hooks", "%s tells %s of term %d after %s of term %d", p.host.Name, job.Spec.Name, term, s.hookName, s.hookTerm)
	}
	s.hookRouter, s.hookTerm, s.hookName = job.Router, termOf(job), job.Spec.Name
}
