package sim

import (
	"net/netip"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// key names a virtual router on the LAN: the same on every host.
type key struct {
	link   int
	family vrrp.Family
	vrid   uint8
}

// seen is what the observer knows of one router of one process, from its
// journal and its adverts alone.
type seen struct {
	key   key
	state string
	term  uint64
	// since is when the present state began; spoke and interval are of the last
	// advert in it.
	since, spoke, interval time.Duration
	said                   bool // an advert in this state, or on the way to it
	farewell               bool
	// goodbye is when it has said priority 0 as Active, held the exclusive steps there were then.
	goodbye time.Duration
	held    []string
	adverts int
	// Of the last hook run: which life of the router's name, which term, which hook.
	hookRouter actions.RouterID
	hookTerm   uint64
	hookName   string
	// repeated is when the neighbours were last told once more.
	repeated time.Duration
}

// promise is an advert of a router that has yet to say that it is Active.
type promise struct {
	key      key
	interval time.Duration
}

const (
	initialize = "initialize"
	backup     = "backup"
	active     = "active"
)

// observer judges. Everything it needs it has seen itself.
type observer struct {
	lan *LAN
	// dirty: something changed since the last look at who is Active.
	dirty     bool
	calmSince time.Duration
	audited   time.Duration
	// What an advert is judged in.
	packet   []byte
	datagram vrrp.Datagram
	advert   vrrp.Advert
	silentBy time.Duration             // until then no Active can have been silent for too long
	rivals   map[rivalry]time.Duration // since when
	longest  map[key]time.Duration     // longest interval anybody ever had
	covered  map[netip.Prefix]*coverage

	tally       Tally
	transitions int
	stirs       int             // everything but adverts, looks and checks
	changes     int             // transitions from and to Active
	unlooked    bool            // a step has died that nobody looks at
	moves       int             // jobs that move a step
	apart       bool            // a group has followed different routers on two hosts
	deafness    string          // why somebody may not have heard something
	beyond      string          // why not even fencing promises anything
	late        map[string]bool // groups whose release was not waited for any longer
}

// rivalry is two Actives for one virtual router on one island.
type rivalry struct {
	key    key
	island int
}

// coverage is how long an address was nowhere.
type coverage struct {
	bare           bool
	since, longest time.Duration
}

func (o *observer) init(n *LAN) {
	*o = observer{lan: n, tally: Tally{}, rivals: map[rivalry]time.Duration{}, longest: map[key]time.Duration{}, covered: map[netip.Prefix]*coverage{}, late: map[string]bool{}}
}

// disturb begins the calm anew.
func (o *observer) disturb() {
	o.calmSince, o.dirty = o.lan.Now(), true
	for _, h := range o.lan.hosts {
		if h.Process != nil {
			for i := range h.Process.Config.Routers {
				c := &h.Process.Config.Routers[i]
				k := keyOf(c)
				o.longest[k] = max(o.longest[k], c.Spec.Interval)
			}
		}
	}
}

func keyOf(c *daemon.RouterConfig) key { return key{linkOf(c.Interface), c.Spec.Family, c.Spec.VRID} }

// configOf returns what a process is configured to do for a virtual router.
func (p *life) configOf(k key) *daemon.RouterConfig {
	for i := range p.Config.Routers {
		if c := &p.Config.Routers[i]; keyOf(c) == k {
			return c
		}
	}
	return nil
}

// router returns what is known of the router of a process that speaks for k,
// or spoke last.
func (p *life) router(k key) *seen { return p.speaks[k] }

// stateOf is a process's state for a virtual router.
func (p *life) stateOf(k key) string {
	if s := p.router(k); s != nil {
		return s.state
	}
	return initialize
}

// Cover begins to measure how long an address is on no host at all.
func (n *LAN) Cover(a netip.Prefix) { n.watch.covered[a] = &coverage{} }

// Uncovered returns the longest time for which a covered address was nowhere.
func (n *LAN) Uncovered(a netip.Prefix) time.Duration {
	c := n.watch.covered[a]
	if c.bare {
		return max(c.longest, n.Now()-c.since)
	}
	return c.longest
}
