package vrrp

import (
	"net/netip"
	"time"
)

// Event is something that happened to a Router. The set is closed.
type Event interface{ event() }

// Received is an advertisement that passed ParseIP, the VRID lookup and
// Validate. It is handed over by pointer and not kept: the caller may use one
// value for all packets.
type Received struct {
	Advert Advert
	Src    netip.Addr
	TTL    uint8
	Form   ChecksumForm
	// At is when the kernel received it; not later than the now of the Step.
	At time.Duration
}

// Timeout says that time has passed. What is due happens; if nothing is due,
// nothing does, so a spurious one is harmless.
type Timeout struct{}

// LinkState is the level of everything the router needs from its host. With
// FaultNone, or a peaceful fault, Source is the address to send from: the
// interface's primary IPv4 address or its own link-local IPv6 address, never a virtual one.
type LinkState struct {
	Fault  Fault
	Detail string
	Source netip.Addr
}

// SetPriority changes the effective priority. It is clamped to 1–254: 0 is
// reserved, 255 comes from ownership only, and an owner ignores the event.
type SetPriority struct {
	Priority uint8
	// Ask: an Active whose priority falls asks whether anybody is better, by
	// saying goodbye (priority 0) with the addresses kept. Backups answer that
	// after their Skew_Time, the better the sooner. If nobody has by the time
	// a better one would have, it goes on as Active. Without, it
	// advertises the new priority and waits to be preempted.
	Ask bool
	// Detail says why ("http.site: 3 of 3 failed").
	Detail string
}

// Configure replaces the configuration of a running router. VRID and Family
// must be those it has: another VRID is another router.
type Configure struct {
	Spec Spec
	// Priority is the effective priority under the new configuration; 0: that of
	// Spec if it differs from the one before, else what it was.
	Priority uint8
	// Ask and Detail are as in SetPriority.
	Ask    bool
	Detail string
}

// Shutdown ends the router's part in the election for good. With Yield, an
// Active says goodbye first and keeps its addresses until the successor has
// been heard or the wait is over; without, it leaves at once.
type Shutdown struct {
	Yield  bool
	Cause  Cause // CauseShutdown or CauseRemoved
	Detail string
	// Quiet: without Yield, nothing is said: a service group is still up, and a host
	// that is Active already would take the goodbye for LetGo.
	Quiet bool
}

// Stall says that the loop did not run for Late, although something was due.
// It comes before the packets that piled up meanwhile.
type Stall struct{ Late time.Duration }

// Promote makes a ready member of a Group Active; any other ignores it.
type Promote struct{}

// Demote makes an Active member of a Group Backup, because another member is.
// It says goodbye first (priority 0), unless Quiet: somebody better is Active, and
// would take priority 0 for the word that exclusive data has been let go of.
type Demote struct {
	Quiet bool
	// Detail names the member that stepped down.
	Detail string
}

// PeerLeft tells a Backup that the Active gave up on the link of another member
// of its Group: it need not wait for silence on its own.
type PeerLeft struct{ Peer netip.Addr }

// Challenged tells an Active that somebody else claims one of its addresses (an
// ARP packet or a Neighbor Advertisement).
type Challenged struct {
	Address netip.Addr
	MAC     [6]byte
}

// Moved tells that the link changed under us and its neighbours must learn anew
// where we are: a bond's failover, another MAC.
type Moved struct{}

// StepAside makes an Active hand over to whoever takes over, once: it says
// goodbye with the addresses kept. If nobody has by the time the worst priority
// would have, it goes on as Active. Whoever took over is then not preempted,
// until they are gone or Return comes.
type StepAside struct{ Detail string }

// TakeOver makes a Backup Active at once, whatever the Active's priority. To stay
// so it needs the better priority (SetPriority before).
type TakeOver struct{ Detail string }

// Return ends what StepAside left: preemption is as configured again.
type Return struct{}

// LetGo says that a service group with exclusive data has come down after the
// router stopped being Active. The successor, who waits for that, is told by one
// more priority 0: an Active answers it at once, so that no Backup is misled.
type LetGo struct{}

func (StepAside) event()   {}
func (TakeOver) event()    {}
func (Return) event()      {}
func (LetGo) event()       {}
func (Promote) event()     {}
func (Demote) event()      {}
func (PeerLeft) event()    {}
func (Challenged) event()  {}
func (Moved) event()       {}
func (*Received) event()   {}
func (Timeout) event()     {}
func (LinkState) event()   {}
func (SetPriority) event() {}
func (Configure) event()   {}
func (Shutdown) event()    {}
func (Stall) event()       {}

// EffectKind is what should happen in the world.
type EffectKind uint8

// The effects, carried out in the order in which Step returned them.
const (
	// Send one advertisement with Effect.Priority.
	Send EffectKind = iota
	// Become: the state changed From → To for Reason; Term is the new term.
	Become
	// Hold: the addresses are wanted from now on.
	Hold
	// Release: they are not.
	Release
	// Announce the addresses to the neighbours, once they are really there.
	Announce
	// Ready: the election is won, and the Group decides (Reason says how it was won).
	Ready
	// Tell: something worth a line in the log, rate limited, without a transition.
	Tell
)

// String returns the kind's name as transcripts print it.
func (k EffectKind) String() string {
	switch k {
	case Send:
		return "send"
	case Become:
		return "become"
	case Hold:
		return "hold"
	case Release:
		return "release"
	case Announce:
		return "announce"
	case Ready:
		return "ready"
	case Tell:
		return "tell"
	default:
		return "effect?"
	}
}

// Effect is one thing to do. It is plain data: printable, comparable.
type Effect struct {
	Kind EffectKind
	// Priority of the advertisement to send.
	Priority uint8
	// From, To, Reason and Term describe a transition. Term is set on Hold,
	// Release and Announce as well: completions carry it back.
	From, To State
	Term     uint64
	Reason   Reason
	// Repeat says that an Announce only repeats what neighbours should know:
	// one paced round instead of the full schedule.
	Repeat bool
	Notice Notice
}

// NoticeKind names something worth telling that is no transition.
type NoticeKind uint8

// The notices.
const (
	NoticeNone NoticeKind = iota
	// NoticeInterval: a peer advertises another interval (RFC 9568 7.1: log, never drop).
	NoticeInterval
	// NoticeAddressList: a peer advertises other addresses (7.1).
	NoticeAddressList
	// NoticeOwnerConflict: a second router claims priority 255 (erratum 8298).
	NoticeOwnerConflict
	// NoticeDuplicateSource: a peer sends from our address.
	NoticeDuplicateSource
	// NoticeChecksumForm: "auto" now sends the form the peer sends.
	NoticeChecksumForm
	// NoticeChecksumMixed: peers use both forms; no single form can serve them all.
	NoticeChecksumMixed
	// NoticeLowerActive: we are Active and heard a worse one: two Actives until it hears us.
	NoticeLowerActive
	// NoticeStalled: we did not run for longer than the down interval.
	NoticeStalled
	// NoticeResumed: after a stall nobody was heard; Active again in word and deed.
	NoticeResumed
	// NoticeYielding: said goodbye, waiting for the successor.
	NoticeYielding
	// NoticeForeignGroup: somebody uses our VRID for addresses of which none is ours.
	NoticeForeignGroup
	// NoticeAsking: priority fell; said goodbye to hear whether anybody is better.
	NoticeAsking
	// NoticeKept: priority fell and nobody better was there.
	NoticeKept
	// NoticeClaimed: somebody else claims one of our addresses (ARP or NA).
	NoticeClaimed

	// NumNotices is the length of a table indexed by NoticeKind.
	NumNotices
)

var noticeNames = [NumNotices]string{
	NoticeNone:            "none",
	NoticeInterval:        "interval-mismatch",
	NoticeAddressList:     "address-list-mismatch",
	NoticeOwnerConflict:   "owner-conflict",
	NoticeDuplicateSource: "duplicate-source",
	NoticeChecksumForm:    "checksum-form-learned",
	NoticeChecksumMixed:   "checksum-forms-mixed",
	NoticeLowerActive:     "lower-priority-active",
	NoticeStalled:         "stalled",
	NoticeResumed:         "resumed",
	NoticeYielding:        "yielding",
	NoticeForeignGroup:    "foreign-group",
	NoticeAsking:          "asking",
	NoticeKept:            "kept",
	NoticeClaimed:         "address-claimed",
}

// String returns the stable name.
func (k NoticeKind) String() string {
	if k < NumNotices {
		return noticeNames[k]
	}
	return "unknown-notice"
}

// Notice is a NoticeKind with its evidence.
type Notice struct {
	Kind         NoticeKind
	Peer         netip.Addr
	PeerPriority uint8
	// Interval is the peer's interval (NoticeInterval), the length of the
	// stall (NoticeStalled) or the longest wait (NoticeYielding, NoticeAsking).
	Interval time.Duration
	Form     ChecksumForm
	// MAC claims Peer, which is one of our addresses (NoticeClaimed).
	MAC [6]byte
}
