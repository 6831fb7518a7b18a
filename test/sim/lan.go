package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
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
	// MinDelay and MaxDelay bound the way of a packet. Packets overtake each other when they differ.
	MinDelay, MaxDelay time.Duration
	// KernelDelay is the longest time the kernel takes for a wish, HookDelay the
	// longest run of a hook. The time is drawn between a quarter and all of it.
	KernelDelay, HookDelay time.Duration
	// WakeDelay is the longest time between a deadline or a packet and the turn
	// of the process.
	WakeDelay time.Duration
	// HookFailures is the probability that a hook fails.
	HookFailures float64
	// OddClocks gives every host's monotonic clock an origin of its own, so
	// that the milliseconds of two hosts do not coincide.
	OddClocks bool
	// Transcript keeps a text of all that happens, for people and golden files;
	// Adverts puts every advertisement into it.
	Transcript, Adverts bool
}

// LAN is the medium, its hosts and its clock. Used from one goroutine.
type LAN struct {
	opt   Options
	rng   *rand.Rand
	now   time.Duration
	queue queue
	hosts []*Host
	text  transcript
	watch observer
	err   error

	loss, duplicates float64
	island           [][]int // by link and host
	cut              map[cut]bool
}

// cut is a direction in which a link carries nothing.
type cut struct{ link, from, to int }

// frame is one packet on its way.
type frame struct {
	link   int
	family vrrp.Family
	dst    netip.Addr
	data   []byte
}

// New makes a LAN whose hosts are up, connected, and run nothing yet.
func New(o Options) *LAN {
	n := &LAN{opt: o, rng: rand.New(rand.NewPCG(o.Seed, 0x9568)), cut: map[cut]bool{}}
	n.opt.MaxDelay, n.opt.Links = max(o.MinDelay, o.MaxDelay), max(1, o.Links)
	for range n.opt.Links {
		n.island = append(n.island, make([]int, o.Hosts))
	}
	n.watch.init(n)
	for i := range o.Hosts {
		n.hosts = append(n.hosts, newHost(n, i))
	}
	return n
}

// Hosts returns the machines; host 0 has the lowest address.
func (n *LAN) Hosts() []*Host { return n.hosts }

// Now is the virtual time since the LAN was made.
func (n *LAN) Now() time.Duration { return n.now }

// Err returns the first violation of a law.
func (n *LAN) Err() error { return n.err }

// Transcript returns what has happened so far, if Options asked for it.
func (n *LAN) Transcript() string { return n.text.String() }

// After plans something for later, in virtual time.
func (n *LAN) After(d time.Duration, do func()) { n.queue.push(n.now+d, do) }

// Run lets time pass. It returns the first violation of a law, now or earlier.
func (n *LAN) Run(d time.Duration) error {
	end := n.now + d
	for n.err == nil && len(n.queue.events) > 0 && n.queue.events[0].at <= end {
		e := n.queue.pop()
		n.now = e.at
		e.do()
		n.watch.judge()
	}
	n.now = max(n.now, end)
	if n.err == nil {
		n.watch.judge()
	}
	return n.err
}

// violate records the first violation.
func (n *LAN) violate(law, format string, args ...any) {
	if n.err == nil {
		n.err = fmt.Errorf("at %s, law %q: %s", stamp(n.now), law, fmt.Sprintf(format, args...))
		n.note(nil, "!!! %v", n.err)
	}
}

// between draws a duration.
func (n *LAN) between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(n.rng.Int64N(int64(high-low)+1))
}

func (n *LAN) chance(p float64) bool { return p > 0 && n.rng.Float64() < p }

// carry takes one packet from a host to all others that it reaches: to those
// on the link, or to the one that has the address.
func (n *LAN) carry(from *Host, f frame) {
	if !from.nics[f.link].wired() {
		return
	}
	for _, to := range n.hosts {
		if to == from || !n.together(f.link, from, to) || n.cut[cut{f.link, from.ID, to.ID}] {
			continue
		}
		at := to.nics[f.link]
		if !f.dst.IsMulticast() && !at.isOwn(f.dst) {
			continue
		}
		copies := 1
		if n.chance(n.duplicates) {
			copies = 2
		}
		for range copies {
			if !n.chance(n.loss) {
				n.After(n.between(n.opt.MinDelay, n.opt.MaxDelay), func() { at.arrive(&f) })
			}
		}
	}
}

// together reports whether two hosts are on one island of a link.
func (n *LAN) together(link int, a, b *Host) bool {
	return n.island[link][a.ID] == n.island[link][b.ID]
}

// SetLoss makes the medium lose each copy of a packet with probability p.
func (n *LAN) SetLoss(p float64) { n.fault("loss %.0f%%", 100*p); n.loss = p }

// SetDuplicates makes the medium deliver packets twice with probability p.
func (n *LAN) SetDuplicates(p float64) { n.fault("duplicates %.0f%%", 100*p); n.duplicates = p }

// SetDelay changes how long packets take.
func (n *LAN) SetDelay(low, high time.Duration) {
	n.fault("delay %v..%v", low, high)
	n.opt.MinDelay, n.opt.MaxDelay = low, max(low, high)
}

// Partition splits a link: hosts with the same number stay together.
func (n *LAN) Partition(link int, island ...int) {
	where := ""
	if n.opt.Links > 1 {
		where = " of " + InterfaceOn(link)
	}
	n.fault("islands%s %v", where, island)
	copy(n.island[link], island)
}

// Cut stops packets of a link from one host to another, in this direction only.
func (n *LAN) Cut(link int, from, to *Host) {
	n.fault("cut %s to %s", from.Name, to.Name)
	n.cut[cut{link, from.ID, to.ID}] = true
}

// Heal ends partitions, cuts, loss and duplication.
func (n *LAN) Heal() {
	n.fault("healed")
	n.loss, n.duplicates = 0, 0
	for _, link := range n.island {
		clear(link)
	}
	clear(n.cut)
}

// fault writes a change of the medium down; the calm has to begin anew.
func (n *LAN) fault(format string, args ...any) {
	n.note(nil, "--- "+format, args...)
	n.watch.disturb()
}

// calm reports whether nothing is wrong with the medium and every process runs.
func (n *LAN) calm() bool {
	if n.loss > 0 || len(n.cut) > 0 {
		return false
	}
	for _, h := range n.hosts {
		if h.stalled() {
			return false
		}
	}
	return true
}
