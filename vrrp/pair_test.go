package vrrp_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// Two hosts with a sync group over two links, in virtual time: the machines,
// Decide, and the least a daemon does between them.

const members = 2

// flight is an advertisement on its way.
type flight struct {
	at         time.Duration
	host, link int // whom it reaches
	e          vrrp.Received
}

type pair struct {
	t       *testing.T
	now     time.Duration
	hosts   [2][members]*rig
	own     [2][members]vrrp.Fault
	wire    []flight
	cut     [members]bool // the link carries nothing
	changes int           // transitions so far
	log     []string
}

func newPair(t *testing.T, sp vrrp.Spec, priorities [2]uint8) *pair {
	p := &pair{t: t, now: epoch}
	for h := range p.hosts {
		for l := range p.hosts[h] {
			sp := sp
			sp.Grouped, sp.Priority, sp.VRID = true, priorities[h], uint8(51+l)
			p.hosts[h][l] = newRig(t, sp)
			p.own[h][l] = vrrp.FaultInterfaceDown
		}
	}
	return p
}

func (p *pair) step(h, l int, ev vrrp.Event) {
	g := p.hosts[h][l]
	g.now = p.now
	was := g.r.State()
	for _, e := range g.step(ev) {
		switch e.Kind {
		case vrrp.Send:
			if !p.cut[l] && p.own[h][l] == vrrp.FaultNone && p.own[1-h][l] == vrrp.FaultNone {
				adv := g.r.Advert(e.Priority)
				p.wire = append(p.wire, flight{p.now + ms, 1 - h, l, vrrp.Received{Src: host(h), TTL: 255, Form: g.r.Form(), Advert: adv}})
			}
		case vrrp.Become:
			p.changes++
			p.log = append(p.log, fmt.Sprintf("%v host %d link %d: %v>%v %v", p.now-epoch, h, l, e.From, e.To, e.Reason.Cause))
		}
	}
	if e, ok := ev.(*vrrp.Received); ok && e.Advert.Priority == 0 && was == vrrp.Backup {
		for other := range members {
			if other != l {
				p.step(h, other, vrrp.PeerLeft{Peer: e.Src})
			}
		}
	}
}

// decide carries out what the groups come to, as the daemon does once a turn.
func (p *pair) decide() {
	for h := range p.hosts {
		var list []vrrp.Member
		for _, g := range p.hosts[h] {
			list = append(list, vrrp.Member{State: g.r.State(), Ready: g.r.Ready()})
		}
		for l := range members {
			switch vrrp.Decide(list) {
			case vrrp.PromoteAll:
				p.step(h, l, vrrp.Promote{})
			case vrrp.DemoteAll:
				p.step(h, l, vrrp.Demote{})
			}
		}
	}
}

// level tells the members of a host what is true of them, their own and each other's.
func (p *pair) level(h, l int, f vrrp.Fault) {
	p.own[h][l] = f
	for m := range members {
		st := vrrp.LinkState{Fault: p.own[h][m], Source: host(h)}
		if st.Fault == vrrp.FaultNone && p.own[h][1-m] != vrrp.FaultNone {
			st.Fault = vrrp.FaultGroup
		}
		p.step(h, m, st)
	}
	p.decide()
}

// run lets time pass.
func (p *pair) run(d time.Duration) {
	for end := p.now + d; ; {
		next := end
		for h := range p.hosts {
			for _, g := range p.hosts[h] {
				next = min(next, g.r.Deadline())
			}
		}
		for _, f := range p.wire {
			next = min(next, f.at)
		}
		p.now = max(p.now, next)
		due := slices.Clone(p.wire)
		p.wire = slices.DeleteFunc(p.wire, func(f flight) bool { return f.at <= p.now })
		for _, f := range due {
			if f.at <= p.now && p.own[f.host][f.link] == vrrp.FaultNone {
				f.e.At = p.now
				p.step(f.host, f.link, &f.e)
			}
		}
		for h := range p.hosts {
			for l, g := range p.hosts[h] {
				if g.r.Deadline() <= p.now {
					p.step(h, l, vrrp.Timeout{})
				}
			}
		}
		p.decide()
		if next >= end {
			return
		}
	}
}

// active lists the hosts that are Active on all links, and fails on a host that is so on some.
func (p *pair) active() (list []int) {
	p.t.Helper()
	for h := range p.hosts {
		n := 0
		for _, g := range p.hosts[h] {
			if g.r.State() == vrrp.Active {
				n++
			}
		}
		if n == members {
			list = append(list, h)
		} else if n > 0 {
			p.t.Fatalf("host %d is Active on %d of %d links\n%v", h, n, members, p.log)
		}
	}
	return list
}

func (p *pair) wants(hosts ...int) {
	p.t.Helper()
	if got := p.active(); !slices.Equal(got, hosts) {
		p.t.Fatalf("at %v Active are hosts %v, want %v\n%v", p.now-epoch, got, hosts, p.log)
	}
}

func (p *pair) up() {
	for h := range p.hosts {
		for l := range members {
			p.level(h, l, vrrp.FaultNone)
		}
	}
}

// The life of a pair: the better host wins, loses one link and hands over
// everything, comes back, resigns.
func TestPairOfHosts(t *testing.T) {
	p := newPair(t, spec4(), [2]uint8{100, 150})
	p.up()
	p.run(5 * s)
	p.wants(1)

	p.level(1, 0, vrrp.FaultInterfaceDown) // the other link works: goodbye there, and the addresses stay
	if !p.hosts[1][1].r.Yielding() {
		t.Error("the member with the good link did not say goodbye")
	}
	p.run(2 * s) // one skew, and not the down interval
	p.wants(0)
	p.run(time.Minute)
	p.level(1, 0, vrrp.FaultNone)
	p.run(5 * s)
	p.wants(1)

	p.cut[0] = true // silence on one link alone: the other is the second heartbeat
	before := p.changes
	p.run(time.Minute)
	if p.changes != before {
		t.Errorf("a cut link made %d transitions: %v", p.changes-before, p.log)
	}
	p.cut[0] = false
	p.run(time.Minute)
	p.wants(1)

	for l := range members {
		p.step(1, l, vrrp.Shutdown{Yield: true, Cause: vrrp.CauseShutdown})
	}
	p.run(2 * s)
	p.wants(0)
}

// Whatever happened to the links of two hosts, in peace they come to rest: one
// of them Active on all links, and no more transitions.
func TestPairsComeToRest(t *testing.T) {
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 5798))
		sp := spec4()
		sp.Preempt = rng.IntN(3) > 0
		sp.PreemptDelay = time.Duration(rng.IntN(3)) * 2 * s
		sp.LinkDownDelay = time.Duration(rng.IntN(2)) * 1500 * ms
		sp.Settle = time.Duration(rng.IntN(2)) * s
		p := newPair(t, sp, [2]uint8{100, 150})
		p.up()
		faults := []vrrp.Fault{vrrp.FaultNone, vrrp.FaultNone, vrrp.FaultInterfaceDown, vrrp.FaultNoPrimaryAddress}
		for range 40 {
			p.run(time.Duration(rng.IntN(2500)) * ms)
			h, l := rng.IntN(2), rng.IntN(members)
			switch rng.IntN(8) {
			case 0:
				p.cut[l] = !p.cut[l]
			case 1:
				late := time.Duration(rng.IntN(8)) * s
				p.now += late
				for h := range p.hosts {
					for l := range members {
						p.step(h, l, vrrp.Stall{Late: late})
					}
				}
			default:
				p.level(h, l, faults[rng.IntN(len(faults))])
			}
		}
		p.cut = [members]bool{}
		p.up()
		p.run(time.Minute)
		before := p.changes
		p.run(time.Minute)
		if got := p.active(); len(got) != 1 || p.changes != before {
			t.Fatalf("seed %d: Active are hosts %v, %d transitions in the last minute\n%v", seed, got, p.changes-before, p.log)
		}
		if sp.Preempt && p.active()[0] != 1 {
			t.Fatalf("seed %d: the worse host stays Active\n%v", seed, p.log)
		}
	}
}
