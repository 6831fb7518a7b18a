package sim

import (
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// History is a random life of a LAN: what is configured, and chaos followed by rest.
type History struct {
	lan     *LAN
	unit    time.Duration // the shortest interval; everything else is in its proportion
	longT   time.Duration
	delay   time.Duration // longest preempt delay, settle time and delay of a lost link
	broken  bool          // sockets or macvlans were broken once, so rest has to outlast a retry
	routers []shared

	// whole: the histories are about the whole daemon: service groups, operators,
	// restarts. peaceful: nothing happens that keeps anybody from hearing.
	whole, peaceful bool
	groups          []sharedGroup

	awaited time.Duration // somebody comes back to life by then

	faults int          // planned so far
	skip   map[int]bool // those that do not happen
}

// Faults is how many faults have been planned.
func (h *History) Faults() int { return h.faults }

// Skip leaves out faults, which are counted from 0. What is left to chance after
// one is another history, so a shorter one that fails as well is found by trying.
func (h *History) Skip(list ...int) {
	for _, i := range list {
		h.skip[i] = true
	}
}

// LAN returns the LAN the history happens on.
func (h *History) LAN() *LAN { return h.lan }

// Run lives the history, one or two rounds of chaos and rest, and returns the
// first violation of a law.
func (h *History) Run() error {
	h.count()
	for _, host := range h.lan.hosts {
		h.boot(host)
	}
	rounds := 1 + h.lan.Rand().IntN(2)
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

var paces = []time.Duration{10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, time.Second}

// NewHistory makes a history that its seed decides: two to five hosts, one to
// four virtual routers on one or two links. Nothing happens before Run.
func NewHistory(seed uint64, transcript bool) *History {
	// The options come from a generator of their own, the LAN's begins after them.
	draw := New(Options{Seed: seed ^ 0xa5a5a5a5}).Rand()
	unit, whole := paces[draw.IntN(len(paces))], seed%2 == 1
	if whole {
		unit = paces[3+draw.IntN(3)]
	}
	o := Options{Seed: seed, Hosts: 2 + draw.IntN(4), Links: 1 + draw.IntN(2), Reversed: draw.IntN(3) == 0, OddClocks: draw.IntN(4) > 0, Transcript: transcript, Adverts: transcript,
		MinDelay: 20 * time.Microsecond, KernelDelay: unit / 4, HookDelay: unit * time.Duration(draw.IntN(4)), HookFailures: 0.2}
	if draw.IntN(2) == 0 {
		o.MaxDelay = unit / 2
	}
	if draw.IntN(2) == 0 {
		o.WakeDelay = 200 * time.Microsecond
	}
	if whole {
		o.MaxDelay = unit / 100 // shorter than any Skew_Time: what answers a priority 0 is in time
		o.Disks, o.StepDelay, o.LookDelay = true, time.Duration(1+draw.IntN(20))*50*time.Millisecond, 50*time.Millisecond
		o.HookDelay = min(o.HookDelay, time.Second) // what a restart waits for
		o.Ignorant = draw.IntN(4) > 0
		if draw.IntN(2) == 0 {
			o.Hosts = 2
		}
	}
	h := &History{lan: New(o), unit: unit, longT: unit, skip: map[int]bool{}, whole: whole, peaceful: whole && draw.IntN(3) == 0}
	h.draw()
	if whole {
		h.drawGroups()
		for _, host := range h.lan.hosts {
			host.groups = slices.Clone(h.groups)
		}
		h.lan.revive = func(o *Host) { h.later(h.lan.Between(0, 10*h.unit)+time.Second, func() { h.revive(o) }) }
	}
	return h
}

// chaos plans faults over some time and lives through it.
func (h *History) chaos() error {
	span := 25 * h.unit
	for range 2 + h.lan.Rand().IntN(10) {
		i := h.faults
		h.faults++
		h.lan.After(h.lan.Between(0, span), func() {
			if !h.skip[i] {
				h.fault()
			}
		})
	}
	return h.lan.Run(span)
}

func (h *History) reboot(host *Host) {
	if host.Process == nil && !host.Off() {
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
	link := n.Rand().IntN(n.opt.Links)
	islands := slices.Clone(n.Islands(link))
	n.Heal()
	if n.Rand().IntN(3) == 0 && !h.fences() && (!h.whole || n.opt.Ignorant) { // storage may know of a host that routers do not hear
		n.Partition(link, islands...)
	}
	for _, host := range n.hosts {
		h.mend(host)
		host.BreakSockets(false)
		host.BreakMACs(false)
		if host.finds == checks.NotRun {
			host.Ail(checks.Passed)
		}
		for l := range host.NICs() {
			host.Appear(l)
			host.LinkUp(l)
		}
		if n.Rand().IntN(3) > 0 || host.hasAny() {
			h.reboot(host)
		}
	}
	settle := 5*vrrp.ActiveDownInterval(h.longT, 1) + 3*h.delay + 20*n.opt.HookDelay + 300*time.Millisecond
	longer := time.Duration(0)
	if slices.ContainsFunc(h.routers, func(g shared) bool { return g.sync != "" && (g.equal || g.depends != nil) }) {
		longer += 4 * time.Minute // until the hold-off has ended the swings
	}
	if h.broken {
		settle += 5 * time.Second // the daemon's pause between attempts to open sockets
	}
	if h.whole {
		longer += 100 * time.Second // hold-offs, releases, what is tried again
	}
	if h.whole {
		if err := n.Run(20 * time.Second); err != nil { // what hangs has been given up
			return err
		}
		for _, host := range n.hosts {
			h.free(host)
			host.putAway()
		}
	}
	if err := n.Run(settle); err != nil {
		return err
	}
	if err := h.calm(longer); err != nil {
		return err
	}
	if err := n.CheckRest(); err != nil {
		return err
	}
	if h.uneven() {
		return nil // the rest have turns at being pushed down by who is alone
	}
	if h.whole {
		if err := h.quietly(); err != nil {
			return err
		}
	}
	before := n.transitions()
	if err := n.Run(2 * vrrp.ActiveDownInterval(h.longT, 1)); err != nil {
		return err
	}
	if after := n.transitions(); after != before {
		n.Violate("one active", "%d transitions at rest", after-before)
	}
	return n.CheckRest()
}

// calm lets the LAN settle for so long at most. In most histories it is left as soon as
// nothing has happened for a while and all is as it should be at rest: what follows
// judges that it stays so, and most of a history would be such calm. One in eight has
// all of it, for what comes late.
func (h *History) calm(most time.Duration) error {
	n := h.lan
	if n.Rand().IntN(8) == 0 {
		return n.Run(most)
	}
	const quiet = 10 * time.Second
	for most > 0 {
		before := n.watch.stirs
		if err := n.Run(min(quiet, most)); err != nil {
			return err
		}
		if most -= quiet; n.watch.stirs == before && n.Now() > h.awaited && n.atRest() {
			return nil
		}
	}
	return n.Err()
}

// later plans a return to life, which rest waits for.
func (h *History) later(d time.Duration, do func()) {
	h.awaited = max(h.awaited, h.lan.Now()+d)
	h.lan.After(d, do)
}

// uneven reports whether a host has some members of a sync group and not the others:
// where one is Active on one link alone, and better, the others win together on the
// rest, and are pushed down, with longer and longer pauses.
func (h *History) uneven() bool {
	want := 0
	for i := range h.routers {
		if h.routers[i].sync != "" {
			want++
		}
	}
	return slices.ContainsFunc(h.lan.hosts, func(host *Host) bool {
		if host.Process == nil {
			return false
		}
		have := 0
		for i := range host.Process.Config.Routers {
			if h.sharedOf(host.Process.Config.Routers[i].Spec.VRID).sync != "" {
				have++
			}
		}
		return have > 0 && have < want
	})
}

// mend ends what is wrong with a host but for its links, and most of what an
// operator has ordered.
func (h *History) mend(host *Host) {
	if !h.whole {
		return
	}
	host.troubles = nil
	if host.Off() {
		host.PowerOn()
	}
	if host.Running() && h.lan.Rand().IntN(4) > 0 {
		h.relieve(host)
	} else if host.Process != nil {
		host.Order(daemon.Command{Verb: daemon.CommandMaintenanceOff})
	}
}

// transitions is how many there have been, on all hosts.
func (n *LAN) transitions() int { return n.watch.transitions }
