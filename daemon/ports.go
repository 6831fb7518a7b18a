package daemon

import (
	"net/netip"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// The ports: what the loop needs of the world. Every call returns at once;
// whatever takes time happens in a goroutine of the implementation and comes
// back as an Input. The real ones are vrrp/wire, actions/address,
// actions/announce, actions/run; the simulated LAN in test/sim has its own.

// RouterID names a virtual router within one process. IDs are never reused, so
// a late answer for a router that a reload removed finds nobody.
type RouterID uint32

// Clock is the loop's time.
type Clock interface {
	// Now is the monotonic instant all deadlines are on. It counts suspended
	// time (CLOCK_BOOTTIME), so that a machine that slept knows.
	Now() time.Duration
	// Wall is for people: history and status.
	Wall() time.Time
}

// Packet is one received IP packet. Data aliases a buffer of the Wire and is
// valid during the call it was handed over in.
type Packet struct {
	// Link is the interface index.
	Link   int
	Family vrrp.Family
	Data   []byte
	// At is when the kernel received it, on the loop's clock, not after Now.
	At time.Duration
}

// Wire sends and receives advertisements.
type Wire interface {
	// Listen asks for sockets on an interface and family; SocketReady answers.
	// Asking again for what is open is harmless.
	Listen(link int, family vrrp.Family)
	// Forget closes what Listen opened on the interface.
	Forget(link int)
	// Receive hands queued packets to f until the queues are empty or budget
	// packets have been read; it reports whether more may be waiting.
	Receive(budget int, f func(*Packet)) (more bool)
	// Send queues one VRRP message; the Wire copies it and adds the headers.
	Send(link int, family vrrp.Family, src netip.Addr, message []byte)
	// Flush sends what is queued, in one system call per interface and batch.
	// It never blocks: what the kernel does not take is counted and dropped.
	Flush()
	// Wait returns when a packet can be read, at the deadline, or after Wake.
	Wait(deadline time.Duration)
	// Wake ends a Wait; it may be called from any goroutine.
	Wake()
	// Stats returns counters of the sockets of one interface.
	Stats(link int) WireStats
}

// WireStats are the counters of the sockets on one interface.
type WireStats struct {
	// Sent and SendErrors count frames; LastSendError explains the last failure.
	Sent, SendErrors uint64
	LastSendError    string
	// Received counts packets read, KernelDrops those the kernel had no room for.
	Received, KernelDrops uint64
}

// Addresses makes the kernel hold what the routers want: desired state, the
// latest wish wins.
type Addresses interface {
	// Want replaces what a router wants on a link. An empty list wants nothing.
	// Applied answers, with the same term, when the kernel is so; addresses
	// that somebody else removes are put back, and Restored tells.
	Want(w Wanted)
}

// Wanted is one router's wish.
type Wanted struct {
	Router RouterID
	Term   uint64
	Link   int
	// LinkName is for the ledger and for messages.
	LinkName  string
	Addresses []netip.Prefix
	// Own says the addresses are the interface's own (address owner): those
	// that are there already are left alone and never removed.
	Own bool
	// Final says the router goes away: after this wish it is forgotten.
	Final bool
}

// Announcer tells the neighbours where the addresses are.
type Announcer interface {
	// Announce starts a paced schedule and replaces the router's earlier one.
	Announce(a Announcement)
	// Cancel ends a router's schedule.
	Cancel(r RouterID)
}

// Announcement is a schedule for one router's addresses.
type Announcement struct {
	Router    RouterID
	Term      uint64
	Link      int
	Addresses []netip.Addr
	// Schedule gives the rounds after the first, which goes out at once.
	Schedule AnnounceSpec
	// Once says to send a single round now and to leave a running schedule as it is.
	Once bool
}

// Runner runs commands.
type Runner interface {
	// Run starts a command in the background; HookDone answers with the same job.
	Run(job HookJob)
}

// HookJob is one run of a hook.
type HookJob struct {
	Router RouterID
	Job    uint64
	Spec   actions.HookSpec
	// Env are the documented variables (BACKBEAT_…), sorted; Stdin is the JSON object.
	Env   []string
	Stdin []byte
}

// Journal takes what should be written down. It never blocks; what does not
// fit is dropped and counted.
type Journal interface {
	// Log is a line for people.
	Log(l Line)
	// Transition is a history record that has just begun or has got a follow-up.
	Transition(t Transition)
}
