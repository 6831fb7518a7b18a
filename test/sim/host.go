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

const (
	// noticeDelay is how long the kernel takes to tell the watcher.
	noticeDelay = 200 * time.Microsecond
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

	offset time.Duration // of its monotonic clock
	wall   time.Duration // error of its wall clock

	nics       []*nic      // one a link
	indexes    int         // the last interface index given
	links      map[int]int // the link of every index there ever was
	broken     bool        // sockets cannot be opened
	noMACs     bool        // macvlans cannot be made
	newerFirst bool        // whether the kernel lists virtual addresses before its own

	finds checks.Outcome // what its check finds

	proc     *process
	last     *daemon.Config
	resumeAt time.Duration // the process does not run before
	paused   bool          // nor does the machine
	resumed  time.Duration // when it last came back from a stall
}

func newHost(n *LAN, id int) *Host {
	h := &Host{lan: n, ID: id, Name: fmt.Sprintf("h%d", id+1), indexes: firstIndex - 1, links: map[int]int{}, resumed: -1}
	h.offset = time.Duration(id+1) * 1000 * time.Second
	if n.opt.OddClocks {
		h.offset += n.between(0, time.Second)
		h.newerFirst = n.chance(0.5)
	}
	for link := range n.opt.Links {
		h.nics = append(h.nics, newNIC(h, link))
	}
	return h
}

// nic returns the interface with an index, nil if there is none.
func (h *Host) nic(index int) *nic {
	for _, n := range h.nics {
		if index != 0 && n.index == index {
			return n
		}
	}
	return nil
}

func (h *Host) stalled() bool { return h.resumeAt > h.lan.now }

// Running reports whether a daemon runs and has not been asked to stop.
func (h *Host) Running() bool { return h.proc != nil && !h.proc.stopping }

// Boot starts the daemon. What an earlier life left in the kernel is swept first.
func (h *Host) Boot(cfg *daemon.Config) {
	h.lan.fault("%s starts", h.Name)
	for _, n := range h.nics {
		n.kernel = slices.DeleteFunc(n.kernel, func(a kernelAddress) bool { return a.router != 0 })
		clear(n.macvlans)
	}
	h.last = cfg
	h.proc = newProcess(h, cfg)
	h.proc.begin()
}

// Config returns the configuration the daemon was last given.
func (h *Host) Config() *daemon.Config { return h.last }

// Crash ends the process without a word; the addresses stay.
func (h *Host) Crash() {
	h.lan.fault("%s crashes", h.Name)
	h.endProcess()
}

func (h *Host) endProcess() {
	if h.proc != nil {
		h.proc.dead = true
		h.proc = nil
	}
}

// Stop asks the daemon to leave.
func (h *Host) Stop(yield bool) {
	h.lan.fault("%s is asked to stop, yield=%t", h.Name, yield)
	if h.proc != nil {
		h.proc.stopping = true
		h.proc.post(daemon.Stop{Yield: yield, Detail: "SIGTERM"})
	}
}

// Reload gives the daemon another configuration.
func (h *Host) Reload(cfg *daemon.Config) {
	h.lan.fault("%s reloads", h.Name)
	h.last = cfg
	if h.proc != nil {
		h.proc.reload(cfg)
	}
}

// Stall keeps the process from running; packets are queued for it.
func (h *Host) Stall(d time.Duration) {
	h.lan.fault("%s: the process stalls for %v", h.Name, d)
	h.freeze(d)
}

// Pause stops the whole machine: packets are lost, timers of the kernel too late.
func (h *Host) Pause(d time.Duration) {
	h.lan.fault("%s: the machine is paused for %v", h.Name, d)
	h.paused = true
	h.freeze(d)
}

func (h *Host) freeze(d time.Duration) {
	h.resumeAt = max(h.resumeAt, h.lan.now+d)
	at := h.resumeAt
	h.lan.queue.push(at, func() {
		if h.resumeAt == at {
			h.paused, h.resumed = false, at
			h.lan.fault("%s runs again", h.Name)
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
	h.lan.fault("%s: sockets broken=%t", h.Name, broken)
	h.broken = broken
}

// BreakMACs makes making macvlans fail, or work again. Those there are stay.
func (h *Host) BreakMACs(broken bool) {
	h.lan.fault("%s: macvlans broken=%t", h.Name, broken)
	h.noMACs = broken
}

// StepWall moves the wall clock, which nothing may depend on.
func (h *Host) StepWall(d time.Duration) {
	h.lan.fault("%s: wall clock steps by %v", h.Name, d)
	h.wall += d
}

// Own makes a router's virtual addresses the interface's own (address owner).
func (h *Host) Own(c daemon.RouterConfig) {
	n := h.nics[linkOf(c.Interface)]
	for _, a := range c.Addresses {
		n.owned = append(n.owned, a.Prefix)
	}
	n.reset()
}

// Claim is an ARP packet or a Neighbor Advertisement, forged or mistaken, for
// one of the addresses the host has announced.
func (h *Host) Claim() {
	h.lan.note(nil, "--- somebody claims an address of %s", h.Name)
	if h.proc == nil || h.stalled() {
		return
	}
	for id := actions.RouterID(1); id <= h.proc.lastID; id++ {
		a := h.proc.schedules[id]
		if a == nil {
			continue
		}
		at := a.Targets[0]
		mac := [6]byte{0xbb, 5: 0xbb}
		h.proc.post(actions.Claimed{Router: id, Term: a.Term, Link: at.Link, Address: at.Addresses[0], MAC: mac, Source: mac})
		return
	}
}

// holds reports whether an address is on any interface of the host.
func (h *Host) holds(a netip.Addr) bool {
	return slices.ContainsFunc(h.nics, func(n *nic) bool { return n.holds(a) })
}

// State is what a host last said about its part in a virtual router:
// "initialize", "backup" or "active".
func (h *Host) State(c *daemon.RouterConfig) string {
	if h.proc == nil {
		return initialize
	}
	return h.proc.stateOf(keyOf(c))
}

// Since returns when that state began.
func (h *Host) Since(c *daemon.RouterConfig) time.Duration {
	if h.proc != nil {
		if s := h.proc.router(keyOf(c)); s != nil {
			return s.since
		}
	}
	return 0
}

// Spoke returns when the host last sent an advert for a virtual router in its present state.
func (h *Host) Spoke(c *daemon.RouterConfig) time.Duration {
	if h.proc != nil {
		if s := h.proc.router(keyOf(c)); s != nil {
			return s.spoke
		}
	}
	return 0
}

// canServe reports whether a host can take part in a virtual router.
func (h *Host) canServe(k key) bool {
	if !h.Running() || h.stalled() {
		return false
	}
	c, n := h.proc.configOf(k), h.nics[k.link]
	return c != nil && !h.effective(c).Faulted && n.wired() && h.proc.sockets[vrrp.Listening{Link: n.index, Family: k.family, Group: c.Spec.MulticastGroup()}]
}
