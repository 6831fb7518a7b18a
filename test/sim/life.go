package sim

import (
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/simlan"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// life is what the observer has seen of one life of the daemon. It is the
// process's witness, and passes on what is to be judged.
type life struct {
	simlan.Blind
	*simlan.Process
	o *observer

	since      time.Duration                // it began
	begun      bool                         // it has a configuration
	leaving    bool                         // it has said that it leaves
	advertised map[actions.RouterID]key     // Router Advertisements under way
	seen       map[string]*seen             // by router name
	speaks     map[key]*seen                // the same by virtual router: the name that had a transition last
	holds      map[key]*simlan.Wish         // wishes for addresses in force
	changed    bool                         // states or wishes since the last look
	keys       map[string]key               // of every router name there ever was; a name keeps its VRID
	grouped    map[key]bool                 // was ever in a sync group: its goodbye can be taken back
	configs    map[key]*daemon.RouterConfig // the last of every virtual router there ever was
	reloaded   time.Duration
	reloading  bool                     // and may not have been read yet
	rash       *groupSeen               // a step of it was started in this turn although it was unfit before
	mixed      map[string]time.Duration // since when the members of a group have not been of one mind
	discordant bool                     // that is to be looked at: something has changed, or they are not of one mind
	lastSeq    uint64                   // of the journal's records
	pending    []promise                // adverts sent on the way to Active

	before    map[string]seen // what the life before knew of its routers
	defers    map[key]bool    // whether addresses wait, or have waited, for a service group
	wasServed map[key]bool    // a service group has followed it
	inherited map[key]bool    // went on where the life before was, and has wished for nothing yet
	// bornAt is when it began after a handoff, stoodAt when the one before stood still.
	bornAt, stoodAt time.Duration
	groups          map[string]*groupSeen
	fell            map[string]time.Duration // when the priority of a router changed last
	hasty           bool                     // it was told to leave at once
	unmanaged       bool                     // there was maintenance
	count           struct{ lines, transitions, failures, reloads int }
}

func (n *LAN) born(p *simlan.Process) simlan.Witness {
	l := &life{since: n.Now(), Process: p, o: &n.watch, advertised: map[actions.RouterID]key{},
		seen: map[string]*seen{}, speaks: map[key]*seen{}, holds: map[key]*simlan.Wish{}, keys: map[string]key{},
		grouped: map[key]bool{}, configs: map[key]*daemon.RouterConfig{}, mixed: map[string]time.Duration{},
		before: map[string]seen{}, inherited: map[key]bool{}, defers: map[key]bool{}, wasServed: map[key]bool{}, groups: map[string]*groupSeen{}, fell: map[string]time.Duration{}}
	l.inherit()
	return l
}

// Configured learns a configuration.
func (p *life) Configured(cfg *daemon.Config) {
	if p.begun {
		p.reloaded = p.o.lan.Now()
		p.count.reloads++
	}
	p.begun, p.discordant, p.reloading = true, true, true
	p.o.estranged(p, cfg)
	for name, g := range p.groups {
		if serviceOf(cfg, name) == nil {
			g.unfit = false // should it come again, its ladder is another one
		}
	}
	for i := range cfg.Routers {
		k := keyOf(&cfg.Routers[i])
		p.keys[cfg.Routers[i].Name], p.configs[k] = k, &cfg.Routers[i]
		p.o.lan.hosts[p.Host.ID].mortal[k] = cfg.Routers[i].Mortal && !cfg.Routers[i].Owner
		if g := serviceFor(cfg, cfg.Routers[i].Name); g != nil && g.WhenReady {
			p.defers[k] = true
		}
		if serviceFor(cfg, cfg.Routers[i].Name) != nil {
			p.wasServed[k] = true
		}
		p.grouped[k] = p.grouped[k] || cfg.Routers[i].Group != ""
	}
}

// Sent judges an advert.
func (p *life) Sent(path *vrrp.Path, message []byte) { p.o.sent(p, path, message) }

// Turned judges what a turn has left.
func (p *life) Turned() {
	if p.Waiting() > 1000 {
		p.o.lan.Violate("turns", "%s has a thousand unread inputs", p.Host.Name)
	}
	if p.Waiting() == 0 {
		p.reloading = false
	}
	if g := p.rash; g != nil && g.unfit {
		p.o.lan.Violate("steps", "%s starts a step and is unfit", p.Host.Name)
	}
	p.rash = nil
	p.o.turned(p)
}

// Left judges what is left when the daemon has stopped.
func (p *life) Left() {
	if p.o.lan.hosts[p.Host.ID].hasAny() {
		p.o.lan.deaf("a daemon has left with steps up: stuck, in a hurry, or in maintenance")
	}
	p.o.left(p)
}

// Wanted judges a wish.
func (p *life) Wanted(w *simlan.Wish) {
	p.o.stirs++
	p.o.wanted(p, w)
}

// Applied makes the observer look again at who has what.
func (p *life) Applied(*simlan.Wish) { p.o.dirty = true }

// Missed counts what the kernel has refused.
func (p *life) Missed(*simlan.Wish) { p.count.failures++ }

// Announced judges what neighbours are told.
func (p *life) Announced(a *actions.Announcement, begins bool) { p.o.announced(p, a, begins) }

// Advertised judges Router Advertisements.
func (p *life) Advertised(a *actions.RouterAdvert) { p.advertised[a.Router] = p.o.advertises(p, a) }

// Withdrawn forgets them.
func (p *life) Withdrawn(r actions.RouterID) { delete(p.advertised, r) }

// Hooked judges the order of hooks.
func (p *life) Hooked(job actions.HookJob) { p.o.hook(p, job) }

// HookFailed counts.
func (p *life) HookFailed(actions.HookJob) { p.count.failures++ }

// Logged counts the lines for people.
func (p *life) Logged(l daemon.Line) {
	p.o.stirs++
	p.count.lines++
	p.o.tally.said(l.Text)
	if strings.HasPrefix(l.Text, "stopping: ") {
		p.hasty = p.hasty || p.leaving || !yields(&l)
		p.leaving = true
	}
	if r, rest, ok := strings.Cut(strings.TrimPrefix(l.Text, "("), ") priority "); ok && strings.Contains(rest, " -> ") {
		p.fell[r] = p.o.lan.Now()
	}
	p.grants(&l)
}

// yields reads from a line whether the daemon leaves in peace.
func yields(l *daemon.Line) bool {
	for _, a := range l.Attrs {
		if a.Key == "yield" {
			return a.Value.Bool()
		}
	}
	return false
}

// Transition judges a record.
func (p *life) Transition(t daemon.Transition) {
	p.o.stirs++
	if t.Seq > p.lastSeq {
		p.o.tally["because of "+t.Cause]++
	}
	p.o.transition(p, t)
}
