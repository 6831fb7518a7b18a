package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// Interface is the name of every host's interface on the LAN.
const Interface = "eth0"

const (
	// noticeDelay is how long the kernel takes to tell the watcher.
	noticeDelay = 200 * time.Microsecond
	// socketDelay is how long opening a socket takes.
	socketDelay = 100 * time.Microsecond
	// queueLength is how many packets a socket holds; real ones hold about as many adverts.
	queueLength = 4096
)

// Host is one machine: an interface, clocks, addresses, and at most one life of the daemon.
type Host struct {
	lan  *LAN
	ID   int
	Name string

	offset time.Duration // of its monotonic clock
	wall   time.Duration // error of its wall clock

	index   int // of the interface; 0 while it does not exist
	indexes int // how many interfaces there have been
	up      bool
	mac     byte
	own     []netip.Prefix  // its own addresses
	owned   []netip.Prefix  // of these, those that are virtual too (address owner)
	kernel  []kernelAddress // in the kernel's order
	broken  bool            // sockets cannot be opened

	proc       *process
	last       *daemon.Config
	resumeAt   time.Duration // the process does not run before
	paused     bool          // nor does the machine
	resumed    time.Duration // when it last came back from a stall
	newerFirst bool          // whether the kernel lists virtual addresses before its own
}

type kernelAddress struct {
	prefix netip.Prefix
	router actions.RouterID // 0: the host's own
}

func newHost(n *LAN, id int) *Host {
	h := &Host{lan: n, ID: id, Name: fmt.Sprintf("h%d", id+1), index: 2, indexes: 2, up: true, resumed: -1,
		own: []netip.Prefix{
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(id + 1)}), 24),
			netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: byte(id + 1)}), 64),
		}}
	h.offset = time.Duration(id+1) * 1000 * time.Second
	if n.opt.OddClocks {
		h.offset += n.between(0, time.Second)
		h.newerFirst = n.chance(0.5)
	}
	h.resetKernel()
	return h
}

// wired reports whether the interface carries packets.
func (h *Host) wired() bool { return h.index != 0 && h.up && !h.paused }

func (h *Host) stalled() bool { return h.resumeAt > h.lan.now }

// Running reports whether a daemon runs and has not been asked to stop.
func (h *Host) Running() bool { return h.proc != nil && !h.proc.stopping }

// Boot starts the daemon. What an earlier life left in the kernel is swept first.
func (h *Host) Boot(cfg *daemon.Config) {
	h.lan.fault("%s starts", h.Name)
	h.kernel = slices.DeleteFunc(h.kernel, func(a kernelAddress) bool { return a.router != 0 })
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

// LinkDown takes the carrier away, LinkUp brings it back.
func (h *Host) LinkDown() { h.carrier(false) }

// LinkUp brings the carrier back.
func (h *Host) LinkUp() { h.carrier(true) }

func (h *Host) carrier(up bool) {
	h.lan.fault("%s: carrier %t", h.Name, up)
	h.up = up
	h.notify()
}

// Vanish removes the interface with all its addresses.
func (h *Host) Vanish() {
	h.lan.fault("%s: %s vanishes", h.Name, Interface)
	h.index, h.kernel = 0, nil
	if h.proc != nil {
		clear(h.proc.sockets)
		h.proc.rx = nil
	}
	h.notify()
}

// Appear makes a new interface of the same name; its addresses come a little later.
func (h *Host) Appear() {
	if h.index != 0 {
		return
	}
	h.lan.fault("%s: %s appears", h.Name, Interface)
	h.indexes++
	h.index, h.up = h.indexes, true
	h.notify()
	index := h.index
	h.lan.After(3*time.Millisecond, func() {
		if h.index == index {
			h.resetKernel()
			h.notify()
		}
	})
}

// Replace puts another interface of the same name in the place of the old one,
// so fast that the watcher sees only the new one.
func (h *Host) Replace() {
	if h.index == 0 {
		return
	}
	h.lan.fault("%s: %s is replaced by another of that name", h.Name, Interface)
	h.indexes++
	h.index, h.up = h.indexes, true
	h.resetKernel()
	if h.proc != nil {
		clear(h.proc.sockets)
		h.proc.rx = nil
	}
	h.notify()
}

// ChangeMAC gives the interface another link-layer address, as a bond does.
func (h *Host) ChangeMAC() {
	h.lan.fault("%s: another MAC address", h.Name)
	h.mac++
	if h.proc != nil {
		h.proc.rx = nil
	}
	h.notify()
}

// BreakSockets makes opening sockets fail, or work again. Open ones stay.
func (h *Host) BreakSockets(broken bool) {
	h.lan.fault("%s: sockets broken=%t", h.Name, broken)
	h.broken = broken
}

// StepWall moves the wall clock, which nothing may depend on.
func (h *Host) StepWall(d time.Duration) {
	h.lan.fault("%s: wall clock steps by %v", h.Name, d)
	h.wall += d
}

// Own makes virtual addresses the interface's own (address owner).
func (h *Host) Own(addresses ...netip.Prefix) {
	h.owned = append(h.owned, addresses...)
	h.resetKernel()
}

// arrive is the network card: a packet is queued for the process, or lost.
func (h *Host) arrive(family vrrp.Family, data []byte) {
	p := h.proc
	if !h.wired() || p == nil || !p.sockets[socket{h.index, family}] || len(p.rx) >= queueLength {
		return
	}
	p.rx = append(p.rx, packet{h.index, family, data, h.lan.now})
	p.wake()
}
