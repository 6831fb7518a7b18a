package actions

import (
	"net/netip"
	"time"
)

// The values that travel between the daemon's loop and the packages below
// actions. They live here so that neither side imports the other: wishes go
// down, answers come back with the RouterID and the term they answer.

// RouterID names a virtual router within one process. IDs are never reused, so
// a late answer for a router that a reload removed finds nobody.
type RouterID uint32

// Wanted is one router's wish for addresses on a link. The latest wish wins.
type Wanted struct {
	Router RouterID
	Term   uint64
	// Link is the interface index, LinkName its name for the ledger and for messages.
	Link     int
	LinkName string
	// Addresses to hold; empty wants nothing.
	Addresses []netip.Prefix
	// Own says the addresses are the interface's own (address owner): those
	// that are there already are left alone and never removed.
	Own bool
	// Final says the router goes away: after this wish it is forgotten.
	Final bool
}

// Applied answers a Wanted, with the same term, when the kernel is so.
type Applied struct {
	Router RouterID
	Term   uint64
	// Held tells whether addresses were wanted (true) or removed.
	Held bool
	// Took is from the wish to the kernel's last answer.
	Took time.Duration
	// Err is empty, or what could not be done, all of it.
	Err string
	// Note is empty, or what people should know although nothing failed ("… was
	// there already and is not ours", "the ledger could not be written").
	Note string
}

// Restored tells that somebody removed a wanted address and it is back.
type Restored struct {
	Router  RouterID
	Address netip.Prefix
	// Culprit is what is known of who removed it ("NetworkManager (pid 812)").
	Culprit string
	// Took is from the kernel's notice of the removal to the address being back.
	Took time.Duration
	// Err is empty, or why it could not be put back.
	Err string
}

// LinkChanged is the whole state of one interface, as a level: every message
// replaces the one before. It is sent for every watched name, also for missing
// ones: first when the watch begins and then on each change.
type LinkChanged struct {
	Name string
	// Index is 0 when the interface does not exist.
	Index int
	// Up means administratively up with carrier.
	Up bool
	// Detail says why it is not up ("no carrier", "administratively down").
	Detail string
	// MAC is the link-layer address, zero where there is none.
	MAC [6]byte
	// MTU in bytes.
	MTU int
	// Addresses in the kernel's order.
	Addresses []LinkAddress
}

// LinkAddress is one address of an interface.
type LinkAddress struct {
	Prefix netip.Prefix
	// Tentative: duplicate address detection has not finished, or has failed;
	// the address cannot be sent from.
	Tentative bool
	// Secondary is the kernel's IFA_F_SECONDARY.
	Secondary bool
}

// AnnounceSpec is the schedule of gratuitous ARP and unsolicited NA after a
// transition to Active.
type AnnounceSpec struct {
	// Repeat is how many rounds follow the first one, Delay apart.
	Repeat int
	Delay  time.Duration
	// Refresh is the period of the slow re-announcement while Active; 0 switches it off.
	Refresh time.Duration
}

// Announcement is a schedule for one router's addresses on a link.
type Announcement struct {
	Router    RouterID
	Term      uint64
	Link      int
	MAC       [6]byte
	Addresses []netip.Addr
	// Schedule gives the rounds after the first, which goes out at once.
	Schedule AnnounceSpec
	// Once says to send a single round now and to leave a running schedule as it is.
	Once bool
}

// Announced tells that the first round of an announcement is out.
type Announced struct {
	Router RouterID
	Term   uint64
	// ARP and NA are the frames of that round.
	ARP, NA int
	Took    time.Duration
	Err     string
}

// HookJob is one run of a hook.
type HookJob struct {
	Router RouterID
	Job    uint64
	Spec   HookSpec
	// Env are the documented variables (BACKBEAT_…), sorted; Stdin is the JSON object.
	Env   []string
	Stdin []byte
}

// HookDone answers a HookJob.
type HookDone struct {
	Router RouterID
	Job    uint64
	Took   time.Duration
	// Exit is the exit status, or -1 if it did not exit by itself.
	Exit int
	// Err is empty for exit status 0, else a sentence ("exit status 3",
	// "timed out after 10s", "/x: permission denied for user backbeat").
	Err string
	// Output is the bounded tail of its output.
	Output string
}
