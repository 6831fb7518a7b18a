package vrrp

import (
	"net/netip"
	"time"
)

// View is a copy of everything a Router knows, for status and tests. It shares
// no memory with the Router except the address list of the Spec, which nobody changes.
type View struct {
	Spec     Spec
	State    State
	Term     uint64
	Priority uint8 // effective
	Owner    bool
	Source   netip.Addr
	Fault    Fault
	// FaultDetail says more about the fault, if anything is known.
	FaultDetail string
	Reason      Reason
	// Promoted is the cause of the last promotion, CauseNone if there was none since this process began.
	Promoted Cause
	// Since is the instant of the last transition, Started that of leaving Initialize.
	Since, Started time.Duration
	Heard          Heard
	// ActiveInterval is Active_Adver_Interval; SkewTime and ActiveDownInterval follow from it.
	ActiveInterval, SkewTime, ActiveDownInterval time.Duration
	// AdverDue, DownDue and HoldDue are when the timers fire, or Never.
	AdverDue, DownDue, HoldDue time.Duration
	// Form is the checksum form sent (IPv4).
	Form     ChecksumForm
	Yielding bool
	// Asking: the yield is a question, whether anybody is better.
	Asking  bool
	Stopped bool
	// Ready: won, and waiting for the other members of the Group.
	Ready bool
	// Aside: moved away by an operator; whoever took over is not preempted.
	Aside bool
	// SettleDue is when a link that has come up is believed, or Never.
	SettleDue time.Duration
	// Peers are the other routers on this VRID, the one heard last first.
	Peers    []PeerView
	Counters Counters
}

// Stalls returns how many stalls concerned this router.
func (r *Router) Stalls() uint64 { return r.counters.Stalls }

// View returns the copy.
func (r *Router) View() View {
	return View{
		Spec: r.spec, State: r.state, Term: r.term, Priority: r.priority,
		Owner: r.priority == PriorityOwner, Source: r.source,
		Fault: r.fault, FaultDetail: r.detail, Reason: r.reason, Promoted: r.promoted,
		Since: r.since, Started: r.started, Heard: r.heard,
		ActiveInterval: r.activeInterval, SkewTime: r.skewTime(), ActiveDownInterval: r.downInterval(),
		AdverDue: r.timers[timerAdver], DownDue: r.timers[timerActiveDown], HoldDue: r.timers[timerHold],
		Form: r.Form(), Yielding: r.yielding, Asking: r.asking, Stopped: r.stopped, Ready: r.ready, Aside: r.aside, SettleDue: r.timers[timerSettle],
		Peers: r.Peers(), Counters: r.counters,
	}
}

// State returns the state.
func (r *Router) State() State { return r.state }

// Term returns the number of transitions so far. Everything asynchronous that
// is done for a transition carries its term back.
func (r *Router) Term() uint64 { return r.term }

// Spec returns the configuration in force.
func (r *Router) Spec() Spec { return r.spec }

// Source returns the address adverts are sent from; invalid before the first good LinkState.
func (r *Router) Source() netip.Addr { return r.source }

// Priority returns the effective priority.
func (r *Router) Priority() uint8 { return r.priority }

// DownInterval returns Active_Down_Interval as it stands. The daemon compares its
// own lateness with it (Stall).
func (r *Router) DownInterval() time.Duration { return r.downInterval() }

// Parting reports whether an Active is on its way out: it has said goodbye, and
// not only asked whether anybody is better.
func (r *Router) Parting() bool {
	return r.yielding && (!r.asking || r.leaving.Cause == CauseMoved)
}

// Speaks reports whether the router is Active and says so: it does not listen
// after a stall.
func (r *Router) Speaks() bool { return r.state == Active && r.timers[timerListen] == Never }

// Before returns who was heard last as Active before this router became it; invalid if
// nobody was. It need not be who gave up (Reason.Peer): anybody may say priority 0.
func (r *Router) Before() netip.Addr { return r.before }

// Why returns the reason of the last transition.
func (r *Router) Why() Reason { return r.reason }

// Stopped reports whether the router has been shut down and has left: nothing
// will come from it any more.
func (r *Router) Stopped() bool { return r.stopped && r.state == Initialize }

// Ready reports whether the election is won and only the Group is waited for.
func (r *Router) Ready() bool { return r.ready }

// Fault returns why the router cannot take part, as it knows it: FaultNone also
// while a lost link is still waited for.
func (r *Router) Fault() Fault { return r.fault }

// Yielding reports whether the router has said goodbye and waits for a successor.
func (r *Router) Yielding() bool { return r.yielding }

// Form returns the checksum form to send. For IPv6 there is only one.
func (r *Router) Form() ChecksumForm {
	switch {
	case r.spec.V() == Version2:
		return MessageOnly
	case r.spec.Family == IPv6 || r.spec.Checksum == ChecksumRFC5798:
		return WithPseudoHeader
	case r.spec.Checksum == ChecksumAuto && r.learned != FormUnknown:
		return r.learned
	default:
		return MessageOnly
	}
}

// Advert returns the advertisement the router sends at a priority. The address
// list is shared, not copied.
func (r *Router) Advert(priority uint8) Advert {
	return Advert{Version: r.spec.V(), VRID: r.spec.VRID, Priority: priority, Interval: r.spec.Interval,
		Addresses: r.spec.Addresses, Secret: r.spec.Secret}
}
