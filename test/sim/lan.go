package sim

import (
	"net/netip"
	"time"

	"github.com/backbeat-ha/backbeat/daemon/simlan"
)

// Options make a LAN. All durations are virtual.
type Options struct {
	// Seed decides everything that is left to chance.
	Seed uint64
	// Hosts is how many machines there are: 1–9.
	Hosts int
	// Links is how many LANs every host has an interface on: 1 (the default) or 2.
	Links int
	// Reversed orders the hosts' addresses on the second link the other way round.
	Reversed bool
	// The others are as in simlan.Options.
	MinDelay, MaxDelay, KernelDelay, HookDelay, WakeDelay time.Duration
	// StepDelay and LookDelay bound what the hands take, as in simlan.Options.
	StepDelay, LookDelay                   time.Duration
	HookFailures                           float64
	OddClocks, Transcript, Disks, Ignorant bool
	// Adverts puts every advertisement into the transcript.
	Adverts bool
}

// LAN is a simlan.LAN that is judged. Used from one goroutine.
type LAN struct {
	*simlan.LAN
	opt   Options
	hosts []*Host
	watch observer
	// revive gives a host its power back some time after another one, or itself, has
	// taken it; nil: it stays off.
	revive func(*Host)
}

// New makes a LAN whose hosts are up, connected, and run nothing yet.
func New(o Options) *LAN {
	o.Links = max(1, o.Links)
	n := &LAN{opt: o}
	n.watch.init(n)
	var specs []simlan.HostSpec
	for i := range o.Hosts {
		spec := simlan.HostSpec{Name: hostName(i)}
		for link := range o.Links {
			spec.NICs = append(spec.NICs, simlan.NICSpec{Name: InterfaceOn(link), Own: ownAddresses(i, link, o.Reversed)})
		}
		specs = append(specs, spec)
	}
	n.LAN = simlan.New(simlan.Options{Seed: o.Seed, Hosts: specs, MinDelay: o.MinDelay, MaxDelay: o.MaxDelay, KernelDelay: o.KernelDelay,
		HookDelay: o.HookDelay, WakeDelay: o.WakeDelay, HookFailures: o.HookFailures, OddClocks: o.OddClocks, Transcript: o.Transcript,
		StepDelay: o.StepDelay, LookDelay: o.LookDelay, Disks: o.Disks, Ignorant: o.Ignorant, Stepped: n.watch.stepped, Faulted: n.watch.faulted,
		Born: n.born, After: n.watch.judge, Disturbed: n.watch.disturb})
	for _, h := range n.LAN.Hosts() {
		n.hosts = append(n.hosts, newHost(n, h))
	}
	return n
}

// Hosts returns the machines; host 0 has the lowest address.
func (n *LAN) Hosts() []*Host { return n.hosts }

// Cut stops packets of a link from one host to another, in this direction only.
func (n *LAN) Cut(link int, from, to *Host) { n.LAN.Cut(link, from.Host, to.Host) }

// together reports whether two hosts are on one island of a link.
func (n *LAN) together(link int, a, b *Host) bool { return n.Together(link, a.Host, b.Host) }

// ownAddresses are those that an interface has by itself: IPv4, link-local, global.
func ownAddresses(host, link int, reversed bool) []netip.Prefix {
	last := byte(host + 1)
	if link > 0 && reversed {
		last = byte(200 - host)
	}
	l := byte(link)
	return []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{10, l, 0, last}), 24),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 13: l, 15: last}), 64),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 13: l, 15: last}), 64),
	}
}
