package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// History is a random life of a LAN: what is configured, and chaos followed by rest.
type History struct {
	lan    *LAN
	unit   time.Duration // the shortest interval; everything else is in its proportion
	longT  time.Duration
	delay  time.Duration // longest preempt delay
	broken bool          // sockets were broken once, so rest has to outlast a retry
	groups []group
}

// group is one virtual router as all hosts share it.
type group struct {
	vrid    uint8
	family  vrrp.Family
	preempt bool
	delay   time.Duration
	hooks   bool
	equal   bool // all hosts have one priority
	owner   int  // host, or -1
	base    time.Duration
}

// LAN returns the LAN the history happens on.
func (h *History) LAN() *LAN { return h.lan }

// Run lives the history, one or two rounds of chaos and rest, and returns the
// first violation of a law.
func (h *History) Run() error {
	for _, host := range h.lan.hosts {
		h.boot(host)
	}
	rounds := 1 + h.lan.rng.IntN(2)
	for range rounds {
		if err := h.chaos(); err != nil {
			return err
		}
		if err := h.rest(); err != nil {
			return err
		}
	}
	return nil
}

var units = []time.Duration{10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, time.Second}

// NewHistory makes a history that its seed decides: two to five hosts, one to
// three virtual routers. Nothing happens before Run.
func NewHistory(seed uint64, transcript bool) *History {
	// The options come from a generator of their own, the LAN's begins after them.
	draw := New(Options{Seed: seed ^ 0xa5a5a5a5}).rng
	unit := units[draw.IntN(len(units))]
	o := Options{Seed: seed, Hosts: 2 + draw.IntN(4), OddClocks: draw.IntN(4) > 0, Transcript: transcript, Adverts: transcript,
		MinDelay: 20 * time.Microsecond, KernelDelay: unit / 4, HookDelay: unit * time.Duration(draw.IntN(4)), HookFailures: 0.2}
	if draw.IntN(2) == 0 {
		o.MaxDelay = unit / 2
	}
	if draw.IntN(2) == 0 {
		o.WakeDelay = 200 * time.Microsecond
	}
	h := &History{lan: New(o), unit: unit, longT: unit}
	rng := h.lan.rng
	for i := range 1 + rng.IntN(3) {
		g := group{vrid: uint8(i + 1), family: vrrp.IPv4, preempt: rng.IntN(3) > 0, hooks: rng.IntN(2) == 0, equal: rng.IntN(5) == 0,
			owner: -1, base: unit * time.Duration(1+rng.IntN(3))}
		if rng.IntN(2) == 0 {
			g.family = vrrp.IPv6
		}
		if rng.IntN(5) == 0 {
			g.delay = unit * time.Duration(1+rng.IntN(10))
		}
		if rng.IntN(8) == 0 {
			g.owner = rng.IntN(o.Hosts)
			host := h.lan.hosts[g.owner]
			host.Own(Router("", g.family, g.vrid, 1, unit).Addresses...)
		}
		h.groups = append(h.groups, g)
	}
	return h
}

// interval rounds to what the protocol can say.
func interval(d time.Duration) time.Duration {
	return min(max(d/vrrp.IntervalUnit*vrrp.IntervalUnit, vrrp.MinInterval), vrrp.MaxInterval)
}

// router makes a host's part of a group, with deviations that people make.
func (h *History) router(host *Host, g *group) daemon.RouterConfig {
	rng := h.lan.rng
	t := g.base
	if rng.IntN(8) == 0 {
		t *= time.Duration(1 + rng.IntN(3))
	}
	p := uint8(1 + rng.IntN(254))
	if g.equal {
		p = 100
	}
	c := Router(fmt.Sprintf("r%d", g.vrid), g.family, g.vrid, p, interval(t))
	c.Spec.Preempt, c.Spec.PreemptDelay = g.preempt, g.delay
	if rng.IntN(8) == 0 {
		c.Spec.Preempt = !c.Spec.Preempt
	}
	if g.hooks {
		c = WithHook(WithHook(c, "one"), "two")
	}
	if g.owner == host.ID {
		c.Owner, c.Spec.Priority, c.Spec.PreemptDelay = true, vrrp.PriorityOwner, 0
	}
	h.longT, h.delay = max(h.longT, c.Spec.Interval), max(h.delay, c.Spec.PreemptDelay)
	return c
}

func (h *History) boot(host *Host) {
	var routers []daemon.RouterConfig
	for i := range h.groups {
		if h.lan.rng.IntN(10) > 0 {
			routers = append(routers, h.router(host, &h.groups[i]))
		}
	}
	host.Boot(Config(host, routers...))
}

// reload changes something in a host's configuration, or nothing.
func (h *History) reload(host *Host) {
	rng := h.lan.rng
	if host.Config() == nil {
		return
	}
	routers := slices.Clone(host.Config().Routers)
	if len(routers) == 0 {
		h.addMissing(host, &routers)
		host.Reload(Config(host, routers...))
		return
	}
	i := rng.IntN(len(routers))
	r := &routers[i]
	switch rng.IntN(8) {
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
		if !r.Owner {
			r.Spec.Priority = uint8(1 + rng.IntN(254))
		}
	case 6:
		r.Spec.Interval = interval(h.unit * time.Duration(1+rng.IntN(3)))
		r.Spec.Preempt = !r.Spec.Preempt
		r.Spec.PreemptDelay = 0
	case 7:
		if r.Owner {
			break
		}
		if plain := Router("", r.Spec.Family, r.Spec.VRID, 1, h.unit); len(r.Addresses) == len(plain.Addresses) {
			*r = WithAddress(*r, extraAddress(r))
		} else {
			r.Addresses, r.Spec.Addresses = plain.Addresses, plain.Spec.Addresses
		}
	}
	h.longT = max(h.longT, r.Spec.Interval)
	host.Reload(Config(host, routers...))
}

func extraAddress(c *daemon.RouterConfig) netip.Prefix {
	last := c.Addresses[len(c.Addresses)-1]
	return netip.PrefixFrom(last.Addr().Next(), last.Bits())
}

func (h *History) addMissing(host *Host, routers *[]daemon.RouterConfig) {
	for i := range h.groups {
		g := &h.groups[i]
		if !slices.ContainsFunc(*routers, func(c daemon.RouterConfig) bool { return c.Spec.VRID == g.vrid }) {
			*routers = append(*routers, h.router(host, g))
			return
		}
	}
}

// chaos plans faults over some time and lives through it.
func (h *History) chaos() error {
	span := 25 * h.unit
	for range 2 + h.lan.rng.IntN(10) {
		h.lan.After(h.lan.between(0, span), h.fault)
	}
	return h.lan.Run(span)
}

// fault does one bad thing, or one that looks like one.
func (h *History) fault() {
	n, rng := h.lan, h.lan.rng
	host := n.hosts[rng.IntN(len(n.hosts))]
	other := n.hosts[rng.IntN(len(n.hosts))]
	later := n.between(0, 10*h.unit)
	switch rng.IntN(20) {
	case 0, 1:
		host.Crash()
		if rng.IntN(2) == 0 {
			n.After(later, func() { h.reboot(host) })
		}
	case 2, 3:
		host.Stop(rng.IntN(4) > 0)
	case 4, 5:
		h.reboot(host)
	case 6, 7:
		host.Stall(n.between(h.unit/2, 10*h.unit))
	case 8:
		host.Pause(n.between(h.unit/2, 10*h.unit))
	case 9:
		host.LinkDown()
		n.After(later, host.LinkUp)
	case 10:
		host.Vanish()
		n.After(later/2, host.Appear)
	case 11:
		n.SetLoss([]float64{0.1, 0.5, 1}[rng.IntN(3)])
		n.After(later, func() { n.SetLoss(0) })
	case 12:
		n.SetDuplicates(0.3)
	case 13:
		island := make([]int, len(n.hosts))
		for i := range island {
			island[i] = rng.IntN(2)
		}
		n.Partition(island...)
	case 14:
		if host != other {
			n.Cut(host, other)
		}
	case 15:
		n.Heal()
	case 16:
		host.Steal()
	case 17:
		h.reload(host)
		h.reload(other)
	case 18:
		host.StepWall(n.between(-time.Hour, time.Hour))
		if rng.IntN(2) == 0 {
			host.ChangeMAC()
		} else {
			host.Replace()
		}
	case 19:
		h.broken = true
		host.BreakSockets(true)
		host.Vanish()
		n.After(h.unit, host.Appear)
		n.After(later, func() { host.BreakSockets(false) })
	}
}

func (h *History) reboot(host *Host) {
	if host.proc == nil {
		h.boot(host)
	}
}

// rest ends all faults but those that may last, lets the LAN settle, judges
// it, and judges that it stays as it is.
func (h *History) rest() error {
	n := h.lan
	if err := n.Run(12 * h.unit); err != nil { // what was planned for later
		return err
	}
	islands := slices.Clone(n.island)
	n.Heal()
	if n.rng.IntN(3) == 0 {
		n.Partition(islands...)
	}
	for _, host := range n.hosts {
		host.BreakSockets(false)
		host.Appear()
		host.LinkUp()
		if n.rng.IntN(3) > 0 {
			h.reboot(host)
		}
	}
	settle := 5*vrrp.ActiveDownInterval(h.longT, 1) + 3*h.delay + 20*n.opt.HookDelay + 300*time.Millisecond
	if h.broken {
		settle += 5 * time.Second // the daemon's pause between attempts to open sockets
	}
	if err := n.Run(settle); err != nil {
		return err
	}
	if err := n.CheckRest(); err != nil {
		return err
	}
	before := n.transitions()
	if err := n.Run(2 * vrrp.ActiveDownInterval(h.longT, 1)); err != nil {
		return err
	}
	if after := n.transitions(); after != before {
		n.violate("one active", "%d transitions at rest", after-before)
	}
	return n.CheckRest()
}

func (n *LAN) transitions() (sum int) {
	for _, h := range n.hosts {
		if h.proc != nil {
			sum += h.proc.count.transitions
		}
	}
	return sum
}
