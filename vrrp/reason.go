package vrrp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Cause is why a transition happened. No transition without one.
type Cause uint8

// The causes.
const (
	// CauseNone: nothing has happened yet.
	CauseNone Cause = iota
	// CauseStartup: the interface and the source address are usable; listen first.
	CauseStartup
	// CauseInterfaceUp: as CauseStartup, after a fault.
	CauseInterfaceUp
	// CauseOwnerStartup: as CauseStartup, for the address owner, who does not wait.
	CauseOwnerStartup
	// CauseNoResponse: Active_Down_Timer fired in silence.
	CauseNoResponse
	// CauseResigned: the Active sent priority 0 and Skew_Time passed.
	CauseResigned
	// CausePreempted: Active_Down_Timer fired while a worse Active went on advertising.
	CausePreempted
	// CausePreemptHold: the preempt delay ran out while a worse Active went on advertising.
	CausePreemptHold
	// CauseHigherPriority: an advertisement of higher priority was heard.
	CauseHigherPriority
	// CauseHigherAddress: one of equal priority and higher source address was heard.
	CauseHigherAddress
	// CauseReplacedInStall: we did not run for longer than the down interval, and somebody took over.
	CauseReplacedInStall
	// CauseShutdown: asked to stop.
	CauseShutdown
	// CauseYielded: asked to stop, and the successor has been heard.
	CauseYielded
	// CauseNobodyTookOver: asked to stop, and no successor was heard in time.
	CauseNobodyTookOver
	// CauseInterfaceMissing: there is no such interface.
	CauseInterfaceMissing
	// CauseInterfaceDown: the interface is down or has no carrier.
	CauseInterfaceDown
	// CauseNoPrimaryAddress: the interface has no address to send from.
	CauseNoPrimaryAddress
	// CauseSocket: the sockets for advertisements could not be opened.
	CauseSocket
	// CauseRemoved: a reload removed the virtual router or changed what it is.
	CauseRemoved
	// CauseSyncGroup: another member of the sync group decided.
	CauseSyncGroup
	// CauseVirtualMAC: there is no macvlan to carry the virtual MAC.
	CauseVirtualMAC
	// CauseDegraded: the priority fell, for a check or a reload, and a better router has taken over.
	CauseDegraded
	// CauseCheck: a check that the router must not be without is failing.
	CauseCheck
	// CauseCheckPassed: as CauseStartup, after CauseCheck.
	CauseCheckPassed
	// CauseService: the service group that follows the router cannot be brought up on this host.
	CauseService
	// CauseServiceFit: as CauseStartup, after CauseService.
	CauseServiceFit
	// CauseStandby: an operator has ordered that this host must not be Active.
	CauseStandby
	// CauseOnline: as CauseStartup, after CauseStandby.
	CauseOnline
	// CauseMoved: an operator moved it, to or from this host.
	CauseMoved
	// CauseDied: the daemon before this one ended without leaving. The loop
	// finds that in the history; no Router says it.
	CauseDied

	numCauses
)

var causeNames = [numCauses]string{
	CauseNone:             "none",
	CauseStartup:          "startup",
	CauseInterfaceUp:      "interface-up",
	CauseOwnerStartup:     "owner-startup",
	CauseNoResponse:       "no-response",
	CauseResigned:         "active-resigned",
	CausePreempted:        "preempted",
	CausePreemptHold:      "preempt-hold-timeout",
	CauseHigherPriority:   "higher-priority",
	CauseHigherAddress:    "higher-address",
	CauseReplacedInStall:  "replaced-in-stall",
	CauseShutdown:         "shutdown",
	CauseYielded:          "yielded",
	CauseNobodyTookOver:   "nobody-took-over",
	CauseInterfaceMissing: "interface-missing",
	CauseInterfaceDown:    "interface-down",
	CauseNoPrimaryAddress: "no-primary-ip-address",
	CauseSocket:           "socket-error",
	CauseRemoved:          "removed",
	CauseSyncGroup:        "sync-group",
	CauseVirtualMAC:       "virtual-mac",
	CauseDegraded:         "degraded",
	CauseCheck:            "check-failed",
	CauseCheckPassed:      "check-passed",
	CauseService:          "service-group",
	CauseServiceFit:       "service-group-fit",
	CauseStandby:          "standby",
	CauseOnline:           "online",
	CauseMoved:            "moved",
	CauseDied:             "died",
}

// String returns the stable name used in JSON and in hooks.
func (c Cause) String() string {
	if c < numCauses {
		return causeNames[c]
	}
	return fmt.Sprintf("Cause(%d)", uint8(c))
}

// Reason is a cause with its evidence: what was heard, from whom, and which
// timer said so. Fields that do not apply are zero.
type Reason struct {
	Cause Cause
	// Priority is our own effective priority at that moment.
	Priority uint8
	// Peer and PeerPriority are the other router's, as last heard.
	Peer         netip.Addr
	PeerPriority uint8
	// Silence is the time since the last accepted advertisement, or since startup.
	Silence time.Duration
	// Timer is the length of the timer that fired.
	Timer time.Duration
	// Detail is free text from whoever caused it ("SIGTERM").
	Detail string
}

// String is the reason as a sentence for a person.
func (r Reason) String() string {
	var b strings.Builder
	r.describe(&b)
	if r.Detail != "" {
		fmt.Fprintf(&b, " (%s)", r.Detail)
	}
	return b.String()
}

func (r Reason) describe(b *strings.Builder) {
	peer := func() string {
		if !r.Peer.IsValid() {
			return "an unknown peer"
		}
		return fmt.Sprintf("%s (priority %d)", r.Peer, r.PeerPriority)
	}
	switch r.Cause {
	case CauseNone:
		b.WriteString("not started yet")
	case CauseStartup:
		fmt.Fprintf(b, "started; listening for an Active for %s", Span(r.Timer))
	case CauseInterfaceUp:
		fmt.Fprintf(b, "the interface is usable again; listening for an Active for %s", Span(r.Timer))
	case CauseCheckPassed:
		fmt.Fprintf(b, "the check is healthy again; listening for an Active for %s", Span(r.Timer))
	case CauseServiceFit:
		fmt.Fprintf(b, "this host can serve again; listening for an Active for %s", Span(r.Timer))
	case CauseOnline:
		fmt.Fprintf(b, "no longer in standby; listening for an Active for %s", Span(r.Timer))
	case CauseService:
		b.WriteString("the service group cannot be brought up on this host")
	case CauseStandby:
		b.WriteString("in standby by order of an operator")
	case CauseMoved:
		if r.Peer.IsValid() {
			fmt.Fprintf(b, "moved by an operator; the other host is %s", peer())
		} else {
			b.WriteString("moved by an operator")
		}
	case CauseDied:
		b.WriteString("the daemon before this one ended without leaving: killed, crashed, or the power failed")
	case CauseOwnerStartup:
		b.WriteString("started as owner of the addresses (priority 255)")
	case CauseNoResponse:
		if r.Peer.IsValid() {
			fmt.Fprintf(b, "nothing heard from %s for %s (Active_Down_Interval %s)", peer(), Span(r.Silence), Span(r.Timer))
		} else {
			fmt.Fprintf(b, "no Active heard for %s since startup (Active_Down_Interval %s)", Span(r.Silence), Span(r.Timer))
		}
	case CauseResigned:
		fmt.Fprintf(b, "%s gave up (priority 0) and nobody better took over within %s", r.Peer, Span(r.Timer))
	case CausePreempted:
		fmt.Fprintf(b, "preempting %s with priority %d", peer(), r.Priority)
	case CausePreemptHold:
		fmt.Fprintf(b, "preempting %s with priority %d after preempt_delay %s", peer(), r.Priority, Span(r.Timer))
	case CauseHigherPriority:
		fmt.Fprintf(b, "%s is better than our priority %d", peer(), r.Priority)
	case CauseHigherAddress:
		fmt.Fprintf(b, "%s has our priority and the higher address", peer())
	case CauseReplacedInStall:
		fmt.Fprintf(b, "this host did not run for %s and %s took over meanwhile", Span(r.Silence), peer())
	case CauseShutdown:
		b.WriteString("left on request")
	case CauseYielded:
		fmt.Fprintf(b, "stepped aside on request; %s has taken over", peer())
	case CauseNobodyTookOver:
		fmt.Fprintf(b, "stepped aside on request; nobody took over within %s", Span(r.Timer))
	case CauseInterfaceMissing:
		b.WriteString("the interface does not exist")
	case CauseInterfaceDown:
		b.WriteString("the interface is down")
	case CauseNoPrimaryAddress:
		b.WriteString("the interface has no address to send from")
	case CauseSocket:
		b.WriteString("the advertisement sockets could not be opened")
	case CauseRemoved:
		b.WriteString("left on request")
	case CauseSyncGroup:
		b.WriteString("following another member of its sync group")
	case CauseDegraded:
		fmt.Fprintf(b, "the priority fell to %d; %s has taken over", r.Priority, peer())
	case CauseCheck:
		b.WriteString("a check is failing without which this router must not serve")
	case CauseVirtualMAC:
		b.WriteString("the macvlan for the virtual MAC could not be made")
	default:
		b.WriteString(r.Cause.String())
	}
}

// Span writes a duration as people read it, in one form everywhere: "3.414 s",
// "609.4 ms", "0.41 ms".
func Span(d time.Duration) string {
	number := func(x float64, digits int) string {
		s := strconv.FormatFloat(x, 'f', digits, 64)
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		return s
	}
	switch ms := float64(d) / float64(time.Millisecond); {
	case d >= time.Second:
		return number(d.Seconds(), 3) + " s"
	case d >= 10*time.Millisecond:
		return number(ms, 1) + " ms"
	default:
		return number(ms, 3) + " ms" // skews at short intervals differ by microseconds
	}
}

// Fault is why a router cannot take part, as a level and not as an event: it is
// computed from what is true now, never counted up and down.
type Fault uint8

// The faults, in the order in which they hide each other.
const (
	FaultNone Fault = iota
	FaultInterfaceMissing
	FaultInterfaceDown
	FaultNoPrimaryAddress
	FaultSocket
	// FaultVirtualMAC: there is no macvlan.
	FaultVirtualMAC
	// FaultCheck: a check is failing without which the router must not serve. The
	// link works, so it leaves in peace.
	FaultCheck
	// FaultService: the service group cannot be brought up here. The link works.
	FaultService
	// FaultStandby: an operator has ordered this host away. The link works.
	FaultStandby
	// FaultGroup: another member of the sync group is in a fault. This member's
	// link works, so it leaves in peace.
	FaultGroup
	// FaultPending: the kernel's view has not arrived yet.
	FaultPending
)

// String returns the stable name.
func (f Fault) String() string {
	switch f {
	case FaultNone:
		return "none"
	case FaultPending:
		return "pending"
	default:
		return f.cause().String()
	}
}

// Peaceful reports whether the router's own link works: an Active leaves for such
// a fault by a yield, and nothing need be lost.
func (f Fault) Peaceful() bool {
	switch f {
	case FaultCheck, FaultService, FaultStandby, FaultGroup:
		return true
	default:
		return false
	}
}

// after is the cause of coming back when the fault is over.
func (f Fault) after() Cause {
	switch f {
	case FaultCheck:
		return CauseCheckPassed
	case FaultService:
		return CauseServiceFit
	case FaultStandby:
		return CauseOnline
	default:
		return CauseInterfaceUp
	}
}

func (f Fault) cause() Cause {
	switch f {
	case FaultInterfaceMissing:
		return CauseInterfaceMissing
	case FaultInterfaceDown:
		return CauseInterfaceDown
	case FaultNoPrimaryAddress:
		return CauseNoPrimaryAddress
	case FaultSocket, FaultPending:
		return CauseSocket
	case FaultVirtualMAC:
		return CauseVirtualMAC
	case FaultCheck:
		return CauseCheck
	case FaultService:
		return CauseService
	case FaultStandby:
		return CauseStandby
	case FaultGroup:
		return CauseSyncGroup
	default:
		return CauseNone
	}
}
