package simlan

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// Options make a LAN. All durations are virtual.
type Options struct {
	// Seed decides everything that is left to chance.
	Seed uint64
	// Hosts are the machines; each has as many NICs as the first, one for each link.
	Hosts []HostSpec
	// MinDelay and MaxDelay bound the way of a packet. Packets overtake each other when they differ.
	MinDelay, MaxDelay time.Duration
	// KernelDelay is the longest time the kernel takes for a wish, HookDelay the
	// longest run of a hook. The time is drawn between a quarter and all of it.
	KernelDelay, HookDelay time.Duration
	// StepDelay is the longest time a step of a service group takes up or down,
	// LookDelay that of a look at one.
	StepDelay, LookDelay time.Duration
	// WakeDelay is the longest time between a deadline or a packet and the turn
	// of the process.
	WakeDelay time.Duration
	// ProbeDelay bounds the run of a check; nil: half of its timeout.
	ProbeDelay func(job *checks.Job) time.Duration
	// HookFailures is the probability that a hook fails.
	HookFailures float64
	// OddClocks gives every host's monotonic clock an origin of its own, so
	// that the milliseconds of two hosts do not coincide.
	OddClocks bool
	// Disks keep history and standing orders from one life of a daemon to the next.
	Disks bool
	// Ignorant: storage does not know whether another host has it, and refuses nothing.
	Ignorant bool
	// Transcript keeps a text of all that happens, for people and golden files.
	Transcript bool

	// Born gives a daemon that begins its witness; nil: nobody looks on.
	Born func(*Process) Witness
	// After is called after every event, Disturbed after every fault, Moved when
	// an address has come or gone, or its interface has; all may be nil.
	After, Disturbed func()
	Moved            func(h *Host, a netip.Prefix)
	// Faulted is called with each fault, as it would be printed; may be nil.
	Faulted func(format string, args []any)
	// Stepped is called when a step of a service group has changed; may be nil.
	Stepped func(h *Host, job *actions.Job)
}

// HostSpec is one machine.
type HostSpec struct {
	Name string
	NICs []NICSpec
}

// NICSpec is a host's interface on one link. Without a name there is none.
type NICSpec struct {
	Name string
	// Own are the interface's own addresses, Owned those of its own that are
	// virtual, too (address owner).
	Own, Owned []netip.Prefix
}

// LAN is the media, their hosts and the clock. Used from one goroutine.
type LAN struct {
	// Opt is what the LAN was made of; SetDelay changes it.
	Opt   Options
	links int
	rng   *rand.Rand
	now   time.Duration
	queue queue
	hosts []*Host
	text  transcript
	err   error
	// trying: a violation may be meant to be forgotten.
	trying bool

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
	n := &LAN{Opt: o, rng: rand.New(rand.NewPCG(o.Seed, 0x9568)), cut: map[cut]bool{}}
	n.Opt.MaxDelay = max(o.MinDelay, o.MaxDelay)
	if len(o.Hosts) > 0 {
		n.links = len(o.Hosts[0].NICs)
	}
	for range n.links {
		n.island = append(n.island, make([]int, len(o.Hosts)))
	}
	for i := range o.Hosts {
		n.hosts = append(n.hosts, newHost(n, i, &o.Hosts[i]))
	}
	return n
}

// Hosts returns the machines, in the order of the options.
func (n *LAN) Hosts() []*Host { return n.hosts }

// Links is how many links there are.
func (n *LAN) Links() int { return n.links }

// Now is the virtual time since the LAN was made.
func (n *LAN) Now() time.Duration { return n.now }

// Rand is the generator of all chance.
func (n *LAN) Rand() *rand.Rand { return n.rng }

// Err returns the first violation.
func (n *LAN) Err() error { return n.err }

// Transcript returns what has happened so far, if Options asked for it.
func (n *LAN) Transcript() string { return n.text.String() }

// After plans something for later, in virtual time.
func (n *LAN) After(d time.Duration, do func()) { n.At(n.now+d, do) }

// At plans something for an instant.
func (n *LAN) At(at time.Duration, do func()) { n.queue.push(event{at: at, do: do}) }

// Run lets time pass. It returns the first violation, now or earlier.
func (n *LAN) Run(d time.Duration) error {
	end := n.now + d
	for n.err == nil && len(n.queue.events) > 0 && n.queue.events[0].at <= end {
		e := n.queue.pop()
		n.now = e.at
		if e.nic != nil {
			e.nic.arrive(e.frame)
		} else {
			e.do()
		}
		n.after()
	}
	n.now = max(n.now, end)
	if n.err == nil {
		n.after()
	}
	return n.err
}

func (n *LAN) after() {
	if n.Opt.After != nil {
		n.Opt.After()
	}
}

// Violate records the first violation of a law, which ends Run.
func (n *LAN) Violate(law, format string, args ...any) {
	if n.err == nil {
		n.err = fmt.Errorf("at %s, law %q: %s", Stamp(n.now), law, fmt.Sprintf(format, args...))
		if !n.trying {
			n.Note(nil, "!!! %v", n.err)
		}
	}
}

// Try judges without consequences: a violation that f records is forgotten, and is
// what Try returns. After one that was recorded earlier it returns that.
func (n *LAN) Try(f func()) error {
	if n.err != nil {
		return n.err
	}
	n.trying = true
	f()
	err := n.err
	n.err, n.trying = nil, false
	return err
}

// Between draws a duration.
func (n *LAN) Between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(n.rng.Int64N(int64(high-low)+1))
}

// Chance draws whether something of probability p happens.
func (n *LAN) Chance(p float64) bool { return p > 0 && n.rng.Float64() < p }

// carry takes one packet from a host to all others that it reaches: to those
// on the link, or to the one that has the address.
func (n *LAN) carry(from *Host, f *frame) {
	if !from.nics[f.link].Wired() {
		return
	}
	for _, to := range n.hosts {
		if to == from || !n.Together(f.link, from, to) || n.cut[cut{f.link, from.ID, to.ID}] {
			continue
		}
		at := to.nics[f.link]
		if !f.dst.IsMulticast() && !at.IsOwn(f.dst) {
			continue
		}
		copies := 1
		if n.Chance(n.duplicates) {
			copies = 2
		}
		for range copies {
			if !n.Chance(n.loss) {
				n.queue.push(event{at: n.now + n.Between(n.Opt.MinDelay, n.Opt.MaxDelay), nic: at, frame: f})
			}
		}
	}
}

// Island is the number of the part of a link that a host is on.
func (n *LAN) Island(link int, h *Host) int { return n.island[link][h.ID] }

// Islands are the parts of a link by host.
func (n *LAN) Islands(link int) []int { return n.island[link] }

// Together reports whether two hosts are on one island of a link.
func (n *LAN) Together(link int, a, b *Host) bool {
	return n.island[link][a.ID] == n.island[link][b.ID]
}

// SetLoss makes the medium lose each copy of a packet with probability p.
func (n *LAN) SetLoss(p float64) { n.Fault("loss %.0f%%", 100*p); n.loss = p }

// SetDuplicates makes the medium deliver packets twice with probability p.
func (n *LAN) SetDuplicates(p float64) { n.Fault("duplicates %.0f%%", 100*p); n.duplicates = p }

// SetDelay changes how long packets take.
func (n *LAN) SetDelay(low, high time.Duration) {
	n.Fault("delay %v..%v", low, high)
	n.Opt.MinDelay, n.Opt.MaxDelay = low, max(low, high)
}

// Partition splits a link: hosts with the same number stay together.
func (n *LAN) Partition(link int, island ...int) {
	where := ""
	if n.links > 1 {
		where = fmt.Sprintf(" of link %d", link)
	}
	n.Fault("islands%s %v", where, island)
	copy(n.island[link], island)
}

// Cut stops packets of a link from one host to another, in this direction only.
func (n *LAN) Cut(link int, from, to *Host) {
	n.Fault("cut %s to %s", from.Name, to.Name)
	n.cut[cut{link, from.ID, to.ID}] = true
}

// Mend ends a cut.
func (n *LAN) Mend(link int, from, to *Host) {
	n.Fault("mended %s to %s", from.Name, to.Name)
	delete(n.cut, cut{link, from.ID, to.ID})
}

// Heal ends partitions, cuts, loss and duplication.
func (n *LAN) Heal() {
	n.Fault("healed")
	n.loss, n.duplicates = 0, 0
	for _, link := range n.island {
		clear(link)
	}
	clear(n.cut)
}

// Fault writes a change for the worse or the better down; the calm has to begin anew.
func (n *LAN) Fault(format string, args ...any) {
	if f := n.Opt.Faulted; f != nil {
		f(format, args)
	}
	n.Note(nil, "--- "+format, args...)
	n.disturbed()
}

func (n *LAN) disturbed() {
	if n.Opt.Disturbed != nil {
		n.Opt.Disturbed()
	}
}

// Calm reports whether nothing is wrong with the medium and every process runs.
func (n *LAN) Calm() bool {
	if n.loss > 0 || len(n.cut) > 0 {
		return false
	}
	for _, h := range n.hosts {
		if h.Stalled() {
			return false
		}
	}
	return true
}
