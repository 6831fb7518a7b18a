package daemon

import (
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// The ports: what the loop needs of the world. Every call returns at once;
// whatever takes time happens in a goroutine of the implementation and comes
// back as an Input. The real ones are vrrp/wire, actions/address,
// actions/announce, actions/run; the simulated LAN in daemon/simlan has its own.

// Clock is the loop's time.
type Clock interface {
	// Now is the monotonic instant all deadlines are on. It counts suspended
	// time (CLOCK_BOOTTIME), so that a machine that slept knows.
	Now() time.Duration
	// Wall is for people: history and status.
	Wall() time.Time
}

// Wire sends and receives advertisements.
type Wire interface {
	// Listen asks for sockets; SocketReady answers. Asking again for what is
	// open is harmless and answered again.
	Listen(l vrrp.Listening)
	// Forget closes what Listen opened on the interface.
	Forget(link int)
	// Receive hands queued packets to f until the queues are empty or budget
	// packets have been read; it reports whether more may be waiting.
	Receive(budget int, f func(*vrrp.Packet)) (more bool)
	// Send queues one VRRP message; the Wire copies both and adds the headers.
	Send(path *vrrp.Path, message []byte)
	// Leave notes an advert for whoever speaks between the end of this process and
	// the next one's first: it is due at next, and then every interval.
	Leave(path *vrrp.Path, message []byte, next, every time.Duration)
	// Flush sends what is queued, in one system call per interface and batch.
	// It never blocks: what the kernel does not take is counted and dropped.
	Flush()
	// Wait returns when a packet can be read, at the deadline, or after Wake.
	Wait(deadline time.Duration)
	// Wake ends a Wait; it may be called from any goroutine.
	Wake()
	// Stats returns counters of the sockets of one interface.
	Stats(link int) vrrp.SocketStats
}

// Addresses makes the kernel hold what the routers want: desired state, the
// latest wish wins.
type Addresses interface {
	// Want replaces what a router wants on a link. An empty list wants nothing.
	// Applied answers, with the same term, when the kernel is so; addresses
	// that somebody else removes are put back, and Restored tells.
	Want(w actions.Wanted)
	// Renew says that routers are alive: their addresses live on for another
	// Wanted.Lifetime. The slice is the callee's.
	Renew(routers []actions.RouterID)
}

// Announcer tells the neighbours where the addresses are.
type Announcer interface {
	// Announce starts a paced schedule and replaces the router's earlier one.
	// While it runs, actions.Claimed tells of others who claim the addresses.
	Announce(a actions.Announcement)
	// Cancel ends a router's schedule.
	Cancel(r actions.RouterID)
}

// Advertiser sends Router Advertisements (RFC 4861) for IPv6 virtual routers.
type Advertiser interface {
	// Advertise starts, or replaces, a router's Router Advertisements.
	Advertise(a actions.RouterAdvert)
	// Withdraw stops them without a word: the next Active goes on from the
	// same address, so a lifetime of zero must not be sent.
	Withdraw(r actions.RouterID)
}

// Runner runs commands.
type Runner interface {
	// Run starts a command in the background; HookDone answers with the same job.
	Run(job actions.HookJob)
}

// Prober makes runs of checks.
type Prober interface {
	// Probe makes one run in the background; checks.Done answers, once.
	Probe(job checks.Job)
}

// Agents carries out jobs of service groups.
type Agents interface {
	// Do makes one job in the background; actions.Done answers, once, and
	// actions.Progress tells of a long one before.
	Do(job actions.Job)
	// Cancel ends a job early; its actions.Done comes all the same.
	Cancel(group actions.GroupID, job uint64)
	// Forget says that a step, which is down, has been removed from the
	// configuration: what the hands have left for it may go. name is Job.Name.
	Forget(a actions.Agent, name string)
}

// Journal takes what should be written down. It never blocks; what does not
// fit is dropped and counted.
type Journal interface {
	// Log is a line for people.
	Log(l Line)
	// Transition is a history record that has just begun or has got a follow-up.
	Transition(t Transition)
}
