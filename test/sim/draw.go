package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// shared is one virtual router of a history as all hosts share it.
type shared struct {
	link      int
	vrid      uint8
	family    vrrp.Family
	version   uint8
	group     netip.Addr
	unicast   bool
	mac       bool
	secret    bool
	verify    bool
	mortal    bool
	adverts   bool // Router Advertisements
	rideAlong int  // a link for one more address, or -1
	farewell  bool
	preempt   bool
	delay     time.Duration
	hooks     bool
	equal     bool // all hosts have one priority
	depends   *checks.Dependency
	owner     int // host, or -1
	sync      string
	base      time.Duration
}

// draw makes the virtual routers of a history.
func (h *History) draw() {
	o, rng := h.lan.opt, h.lan.Rand()
	count, inSync, equalSync := o.Links+rng.IntN(3), 0, rng.IntN(8) == 0 && h.unit >= 300*time.Millisecond
	if o.Links > 1 && rng.IntN(2) == 0 {
		inSync = 2 + rng.IntN(2)
	}
	for i := range count {
		g := shared{link: i % o.Links, vrid: uint8(i + 1), family: vrrp.IPv4, preempt: rng.IntN(3) > 0, hooks: rng.IntN(2) == 0, equal: rng.IntN(5) == 0,
			owner: -1, rideAlong: -1, base: h.unit * time.Duration(1+rng.IntN(3)), farewell: rng.IntN(4) > 0, mac: rng.IntN(3) == 0, unicast: rng.IntN(4) == 0}
		if rng.IntN(2) == 0 {
			g.family, g.adverts = vrrp.IPv6, rng.IntN(3) == 0
		} else if g.version = vrrp.Version3; h.unit >= 300*time.Millisecond && rng.IntN(2) == 0 {
			g.version, g.base = vrrp.Version2, time.Second
			g.secret, g.verify = rng.IntN(2) == 0, rng.IntN(2) == 0
		}
		if g.family == vrrp.IPv4 && rng.IntN(4) == 0 {
			g.group = netip.AddrFrom4([4]byte{224, 0, 0, 200})
		}
		if rng.IntN(3) == 0 {
			g.rideAlong = rng.IntN(o.Links)
		}
		g.mortal = h.whole && rng.IntN(2) == 0
		if rng.IntN(5) == 0 {
			g.delay = h.unit * time.Duration(1+rng.IntN(10))
		}
		if draw := rng.IntN(6); draw < 3 {
			g.depends = &checks.Dependency{Influence: checks.Influence(draw)}
			if g.depends.Influence == checks.Weigh {
				g.depends.Weight = []int{-20, -100, 30}[rng.IntN(3)]
			}
		}
		if i < inSync {
			g.sync, g.equal = "gw", equalSync
			if h.unit < 300*time.Millisecond {
				g.depends = nil // ill hosts have equal priorities, whose rest takes minutes
			}
		} else if rng.IntN(8) == 0 {
			g.mac, g.owner = false, rng.IntN(o.Hosts)
			h.lan.hosts[g.owner].Own(RouterOn(g.link, "", g.family, g.vrid, 1, h.unit))
		}
		h.routers = append(h.routers, g)
	}
}

// interval rounds to what the protocol can say.
func interval(d time.Duration) time.Duration {
	return min(max(d/vrrp.IntervalUnit*vrrp.IntervalUnit, vrrp.MinInterval), vrrp.MaxInterval)
}

// router makes a host's part of a virtual router, with deviations that people make.
func (h *History) router(host *Host, g *shared, others []daemon.RouterConfig) daemon.RouterConfig {
	rng := h.lan.Rand()
	t := g.base
	if rng.IntN(8) == 0 && g.version != vrrp.Version2 {
		t *= time.Duration(1 + rng.IntN(3))
	}
	c := RouterOn(g.link, fmt.Sprintf("r%d", g.vrid), g.family, g.vrid, h.priority(host, g, others), interval(t))
	s := &c.Spec
	s.Preempt, s.PreemptDelay, s.Version, s.Group, s.Farewell = g.preempt, g.delay, g.version, g.group, g.farewell
	if rng.IntN(8) == 0 {
		s.Preempt = !s.Preempt
	}
	if rng.IntN(8) == 0 {
		s.Farewell = !s.Farewell
	}
	switch {
	case g.version == vrrp.Version2:
		s.AnswerLower, s.VerifyAddresses = rng.IntN(4) == 0, g.verify
		if g.secret {
			s.Secret = vrrp.Secret{'s', 'i', 'm'}
		}
	case g.family == vrrp.IPv4:
		s.Checksum = vrrp.ChecksumPolicy(rng.IntN(3))
	}
	if rng.IntN(4) == 0 {
		s.Settle = h.unit * time.Duration(rng.IntN(6))
	}
	if rng.IntN(3) == 0 {
		s.LinkDownDelay = h.lan.Between(0, 2*s.Interval-time.Millisecond)
	}
	c.VirtualMAC, c.Mortal = g.mac, g.mortal
	c.Announce = actions.AnnounceSpec{Repeat: rng.IntN(4), Delay: h.unit / 2}
	if rng.IntN(4) == 0 {
		c.Announce.Refresh = 5 * h.unit
	}
	if g.unicast {
		c = Unicast(c, host)
	}
	if g.rideAlong >= 0 {
		c = RideAlong(c, g.rideAlong)
	}
	c.RouterAdvert.On = g.adverts
	if g.depends != nil {
		c = Depending(c, *g.depends)
	}
	if g.hooks {
		c = WithHook(WithHook(c, "one"), "two")
	}
	if g.owner == host.ID {
		c.Owner, c.Spec.Priority, c.Spec.PreemptDelay = true, vrrp.PriorityOwner, 0
	}
	h.longT = max(h.longT, c.Spec.Interval)
	h.delay = max(h.delay, c.Spec.PreemptDelay+c.Spec.Settle+c.Spec.LinkDownDelay)
	return Grouped(c, g.sync)
}

// priority is anything, but the members of a sync group have the same, and
// only equal ones are equal on two hosts.
func (h *History) priority(host *Host, g *shared, others []daemon.RouterConfig) uint8 {
	if g.sync != "" {
		for _, o := range others {
			if h.sharedOf(o.Spec.VRID).sync == g.sync {
				return o.Spec.Priority
			}
		}
	}
	switch p := h.lan.Rand().IntN(50); {
	case g.equal:
		return 100
	case g.sync != "":
		return uint8(1 + 5*p + host.ID)
	default:
		return uint8(1 + 5*p + h.lan.Rand().IntN(5))
	}
}

func (h *History) sharedOf(vrid uint8) *shared { return &h.routers[vrid-1] }

func (h *History) boot(host *Host) {
	var routers []daemon.RouterConfig
	for i := range h.routers {
		if h.lan.Rand().IntN(10) > 0 || h.follows(h.routers[i].vrid) {
			routers = append(routers, h.router(host, &h.routers[i], routers))
		}
	}
	host.Boot(h.config(host, routers))
}

// reload changes something in a host's configuration, or nothing.
func (h *History) reload(host *Host) {
	rng := h.lan.Rand()
	if host.Config() == nil {
		return
	}
	routers := slices.Clone(host.Config().Routers)
	for i := range routers { // one that was left alone may get company again
		routers[i] = Grouped(routers[i], h.sharedOf(routers[i].Spec.VRID).sync)
	}
	if len(routers) == 0 {
		h.addMissing(host, &routers)
		host.Reload(h.config(host, routers))
		return
	}
	i := rng.IntN(len(routers))
	r := &routers[i]
	switch rng.IntN(9) {
	case 0: // nothing
	case 1:
		routers = slices.Delete(routers, i, i+1)
	case 2:
		h.addMissing(host, &routers)
	case 3: // one VRID, another name, which must wait
		r.Name = fmt.Sprintf("%c%d", "rstu"[rng.IntN(4)], r.Spec.VRID)
	case 4: // all get other names
		for j := range routers {
			routers[j].Name = fmt.Sprintf("%c%d", "rstu"[rng.IntN(4)], routers[j].Spec.VRID)
		}
	case 5:
		h.reprioritise(host, routers, r)
	case 6:
		if r.Spec.V() == vrrp.Version3 {
			r.Spec.Interval = interval(h.unit * time.Duration(1+rng.IntN(3)))
		}
		r.Spec.Preempt = !r.Spec.Preempt
		r.Spec.PreemptDelay, r.Spec.LinkDownDelay = 0, 0
	case 7:
		h.readdress(r)
	case 8:
		r.Spec.Farewell = !r.Spec.Farewell
		if h.follows(r.Spec.VRID) {
			break // all hosts must follow the same
		}
		*r = Grouped(*r, "") // the next reload has it in again
	}
	h.longT = max(h.longT, r.Spec.Interval)
	host.Reload(h.config(host, routers))
}

func (h *History) reprioritise(host *Host, routers []daemon.RouterConfig, r *daemon.RouterConfig) {
	if r.Owner {
		return
	}
	g := h.sharedOf(r.Spec.VRID)
	p := h.priority(host, g, nil)
	for j := range routers {
		if &routers[j] == r || g.sync != "" && h.sharedOf(routers[j].Spec.VRID).sync == g.sync {
			routers[j].Spec.Priority = p
		}
	}
}

// readdress gives a router one more address, or takes it away again.
func (h *History) readdress(r *daemon.RouterConfig) {
	if r.Owner || r.Spec.VerifyAddresses {
		return
	}
	plain := RouterOn(linkOf(r.Interface), "", r.Spec.Family, r.Spec.VRID, 1, h.unit)
	if n := len(plain.Spec.Addresses); len(r.Spec.Addresses) == n {
		last := r.Addresses[n-1].Prefix
		*r = WithAddress(*r, netip.PrefixFrom(last.Addr().Next(), last.Bits()))
	} else {
		r.Addresses = slices.Delete(slices.Clone(r.Addresses), n, len(r.Spec.Addresses))
		r.Spec.Addresses = plain.Spec.Addresses
	}
}

func (h *History) addMissing(host *Host, routers *[]daemon.RouterConfig) {
	for i := range h.routers {
		g := &h.routers[i]
		if !slices.ContainsFunc(*routers, func(c daemon.RouterConfig) bool { return c.Spec.VRID == g.vrid }) {
			*routers = append(*routers, h.router(host, g, *routers))
			return
		}
	}
}
