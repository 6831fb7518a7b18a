package simlan

import (
	"net/netip"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
)

const (
	// NoticeDelay is how long the kernel takes to tell the watcher.
	NoticeDelay = 200 * time.Microsecond
	// socketDelay is how long opening a socket takes.
	socketDelay = 100 * time.Microsecond
	// firstIndex is the index of every host's first interface.
	firstIndex = 2
	// queueLength is how many packets a socket holds; real ones hold about as many adverts.
	queueLength = 4096
)

// Host is one machine: interfaces, clocks, addresses, and at most one life of the daemon.
type Host struct {
	lan  *LAN
	ID   int
	Name string
	// Offset is the origin of its monotonic clock.
	Offset time.Duration
	// Process is the daemon while it runs.
	Process *Process
	// Resumed is when it last came back from a stall, -1 before; the process does
	// not run before ResumeAt.
	Resumed, ResumeAt time.Duration
	// NoMACs: macvlans cannot be made.
	NoMACs bool
	// Finds decides what a run of a check finds; nil: all is well.
	Finds func(job *checks.Job) checks.Result

	// Steps are those of service groups, by the name of their jobs ("site/drbd.wwwdata").
	Steps map[string]actions.State
	// Breaks says why a job fails, empty if it does not; nil: none does. Shoots
	// carries out a fence, Reboots a reboot of the host.
	Breaks  func(job *actions.Job) string
	Shoots  func(job *actions.Job) (ok bool, detail string)
	Reboots func()

	// Acts decides what becomes of a job, before Breaks is asked; nil: all do what they should.
	Acts func(job *actions.Job) Deed
	// Ordered are the standing orders on its disk.
	Ordered []daemon.Order

	starting map[string]int // jobs under way that bring a step up, by its name
	left     []byte         // what the last process has handed over
	leftIn   int            // in which of its lives
	past     []daemon.Transition

	lives      int           // how often it has had power
	wall       time.Duration // error of its wall clock
	nics       []*NIC        // one a link
	indexes    int           // the last interface index given
	links      map[int]int   // the link of every index there ever was
	broken     bool          // sockets cannot be opened
	newerFirst bool          // whether the kernel lists virtual addresses before its own
	standIn    *standIn      // speaks between two processes; nil: nobody
	paused     bool          // the machine does not run
	off        bool          // it has no power

	last *daemon.Config
}

func newHost(n *LAN, id int, spec *HostSpec) *Host {
	h := &Host{lan: n, ID: id, Name: spec.Name, indexes: firstIndex - 1, links: map[int]int{}, Resumed: -1, Steps: map[string]actions.State{}, starting: map[string]int{}}
	h.Offset = time.Duration(id+1) * 1000 * time.Second
	if n.Opt.OddClocks {
		h.Offset += n.Between(0, time.Second)
		h.newerFirst = n.Chance(0.5)
	}
	for link := range spec.NICs {
		h.nics = append(h.nics, newNIC(h, link, &spec.NICs[link]))
	}
	return h
}

// NICs are the host's interfaces, one for each link.
func (h *Host) NICs() []*NIC { return h.nics }

// NIC returns the interface with an index, nil if there is none.
func (h *Host) NIC(index int) *NIC {
	for _, n := range h.nics {
		if index != 0 && n.Index == index {
			return n
		}
	}
	return nil
}

// Named returns the interface with a name, whether it exists or not; nil if the
// host was made without.
func (h *Host) Named(name string) *NIC {
	for _, n := range h.nics {
		if n.Name == name && name != "" {
			return n
		}
	}
	return nil
}

// LinkOf returns the link that an interface index is on, or was.
func (h *Host) LinkOf(index int) int { return h.links[index] }

// Stalled reports whether the process is kept from running.
func (h *Host) Stalled() bool { return h.ResumeAt > h.lan.now }

// Off reports whether the host is without power.
func (h *Host) Off() bool { return h.off }

// Running reports whether a daemon runs and has not been asked to stop.
func (h *Host) Running() bool { return h.Process != nil && !h.Process.Stopping }

// Paused reports whether the whole machine stands still.
func (h *Host) Paused() bool { return h.paused }

// Boot starts the daemon. What an earlier life has handed over it goes on with; else
// what that has left in the kernel is swept first.
func (h *Host) Boot(cfg *daemon.Config) {
	h.lan.Fault("%s starts", h.Name)
	h.last = cfg
	if left := h.takeHandoff(); left != nil {
		h.Process = newProcess(h, cfg, left)
		h.adopt(h.Process)
		h.Process.begin()
		return
	}
	for _, n := range h.nics {
		for _, a := range n.Kernel {
			if a.Router != 0 {
				n.moved(a.Prefix)
			}
		}
		n.Kernel = slices.DeleteFunc(n.Kernel, func(a KernelAddress) bool { return a.Router != 0 })
		clear(n.MACVLANs)
		n.inherited = nil
	}
	h.Process = newProcess(h, cfg, nil)
	h.Process.begin()
}

// Config returns the configuration the daemon was last given.
func (h *Host) Config() *daemon.Config { return h.last }

// Crash ends the process without a word; the addresses stay.
func (h *Host) Crash() {
	h.lan.Fault("%s crashes", h.Name)
	h.endProcess()
}

func (h *Host) endProcess() {
	if p := h.Process; p != nil {
		p.dead = true
		h.Process = nil
		if then := p.handed; p.handing != nil {
			p.handing, p.handed = nil, nil
			then(false)
		}
	}
}

// PowerOff takes everything away: the process, the addresses, the carrier of
// its interfaces. PowerOn makes a machine of it again, on which nothing runs.
func (h *Host) PowerOff() {
	h.lan.Fault("%s loses power", h.Name)
	h.endProcess()
	h.off, h.paused, h.ResumeAt, h.standIn = true, false, 0, nil
	h.lives++
	clear(h.Steps)
	clear(h.starting)
	for _, n := range h.nics {
		n.movedAll()
		if n.Index != 0 {
			n.Reset()
		}
	}
}

// PowerOn gives the power back.
func (h *Host) PowerOn() {
	h.lan.Fault("%s has power", h.Name)
	h.off = false
	for _, n := range h.nics {
		n.movedAll()
	}
}

// Stop asks the daemon to leave.
func (h *Host) Stop(yield bool) {
	h.lan.Fault("%s is asked to stop, yield=%t", h.Name, yield)
	if h.Process != nil {
		h.Process.Stopping = true
		h.Process.Post(daemon.Stop{Yield: yield, Detail: "SIGTERM"})
	}
}

// Reload gives the daemon another configuration.
func (h *Host) Reload(cfg *daemon.Config) {
	h.lan.Fault("%s reloads", h.Name)
	h.last = cfg
	if h.Process != nil {
		h.Process.reload(cfg)
	}
}

// Stall keeps the process from running; packets are queued for it.
func (h *Host) Stall(d time.Duration) {
	h.lan.Fault("%s: the process stalls for %v", h.Name, d)
	h.freeze(d)
}

// Pause stops the whole machine: packets are lost, timers of the kernel too late.
func (h *Host) Pause(d time.Duration) {
	h.lan.Fault("%s: the machine is paused for %v", h.Name, d)
	h.paused = true
	h.freeze(d)
	for _, n := range h.nics {
		n.movedAll()
	}
}

func (h *Host) freeze(d time.Duration) {
	h.ResumeAt = max(h.ResumeAt, h.lan.now+d)
	at := h.ResumeAt
	h.lan.At(at, func() {
		if h.ResumeAt == at {
			h.paused, h.Resumed = false, at
			h.lan.Fault("%s runs again", h.Name)
			for _, n := range h.nics {
				n.movedAll()
			}
		}
	})
}

// LinkDown takes the carrier of a link away, LinkUp brings it back.
func (h *Host) LinkDown(link int) { h.nics[link].carrier(false) }

// LinkUp brings the carrier of a link back.
func (h *Host) LinkUp(link int) { h.nics[link].carrier(true) }

// Vanish removes the interface on a link with all its addresses.
func (h *Host) Vanish(link int) { h.nics[link].vanish() }

// Appear makes a new interface of the same name; its addresses come a little later.
func (h *Host) Appear(link int) { h.nics[link].appear() }

// Replace puts another interface of the same name in the place of the old one.
func (h *Host) Replace(link int) { h.nics[link].replace() }

// ChangeMAC gives the interface on a link another link-layer address.
func (h *Host) ChangeMAC(link int) { h.nics[link].changeMAC() }

// Failover is a bond on a link that changes its active port.
func (h *Host) Failover(link int) { h.nics[link].failover() }

// BreakSockets makes opening sockets fail, or work again. Open ones stay.
func (h *Host) BreakSockets(broken bool) {
	h.lan.Fault("%s: sockets broken=%t", h.Name, broken)
	h.broken = broken
}

// BreakMACs makes making macvlans fail, or work again. Those there are stay.
func (h *Host) BreakMACs(broken bool) {
	h.lan.Fault("%s: macvlans broken=%t", h.Name, broken)
	h.NoMACs = broken
}

// StepWall moves the wall clock, which nothing may depend on.
func (h *Host) StepWall(d time.Duration) {
	h.lan.Fault("%s: wall clock steps by %v", h.Name, d)
	h.wall += d
}

// Claim is an ARP packet or a Neighbor Advertisement, forged or mistaken, for
// one of the addresses the host has announced.
func (h *Host) Claim() {
	h.lan.Note(nil, "--- somebody claims an address of %s", h.Name)
	if h.Process == nil || h.Stalled() {
		return
	}
	for id := actions.RouterID(1); id <= h.Process.lastID; id++ {
		a := h.Process.schedules[id]
		if a == nil {
			continue
		}
		at := a.Targets[0]
		mac := [6]byte{0xbb, 5: 0xbb}
		h.Process.Post(actions.Claimed{Router: id, Term: a.Term, Link: at.Link, Address: at.Addresses[0], MAC: mac, Source: mac})
		return
	}
}

// Holds reports whether an address is on any interface of the host.
func (h *Host) Holds(a netip.Addr) bool {
	return slices.ContainsFunc(h.nics, func(n *NIC) bool { return n.Holds(a) })
}

// Answers reports whether an address is on an interface of the host that
// carries packets: what its neighbours see.
func (h *Host) Answers(a netip.Addr) bool {
	return slices.ContainsFunc(h.nics, func(n *NIC) bool { return n.Wired() && n.Holds(a) })
}

// Steal removes one of the daemon's addresses, as another tool would. The
// keeper puts it back if it is still wanted.
func (h *Host) Steal() {
	for _, n := range h.nics {
		i := slices.IndexFunc(n.Kernel, func(a KernelAddress) bool { return a.Router != 0 })
		if i < 0 {
			continue
		}
		a, p := n.Kernel[i], h.Process
		h.lan.Note(h, "another tool removes %s", a.Prefix)
		n.remove(a.Prefix)
		if p != nil {
			h.lan.After(max(NoticeDelay, h.ResumeAt-h.lan.now), func() { p.restore(n, a, "another tool") })
		}
		return
	}
}
