package vrrp

import (
	"net/netip"
	"time"
)

// Counters are the statistics of one virtual router since it was made. Names
// follow the YANG model's statistics container (RFC 8347) with "master"
// replaced; the comments name leaves that differ.
type Counters struct {
	// ActiveTransitions counts entries into Active.
	ActiveTransitions uint64
	// AdvertisementRcvd counts accepted advertisements.
	AdvertisementRcvd uint64
	AdvertisementSent uint64
	// PriorityZeroRcvd and Sent are priority-zero-pkts-rcvd and -sent.
	PriorityZeroRcvd uint64
	PriorityZeroSent uint64
	// IntervalErrors counts intervals that differ from ours (accepted) or are zero (dropped).
	IntervalErrors uint64
	// AddressListErrors counts lists that differ from ours (accepted), are
	// empty, or do not begin link-local (dropped).
	AddressListErrors uint64
	// ChecksumFormOther counts valid packets in another form than we would have sent.
	ChecksumFormOther uint64
	// OwnerConflicts counts advertisements with priority 255 heard by an owner.
	OwnerConflicts uint64
	// LowerDiscarded counts advertisements a preempting Backup or an Active discarded as worse.
	LowerDiscarded uint64
	// Stalls counts the times the loop was late by more than Active_Down_Interval.
	Stalls uint64
	// Drops counts refused packets by name.
	Drops [NumDrops]uint64
}

// Refuse counts a packet that was dropped for this router by Validate or by
// the router itself.
func (c *Counters) Refuse(d Drop) {
	c.Drops[d]++
	switch d {
	case DropAddrCountZero, DropNotLinkLocal, DropAddressList:
		c.AddressListErrors++
	case DropIntervalZero, DropInterval:
		c.IntervalErrors++
	}
}

// Heard is the last accepted advertisement of somebody else.
type Heard struct {
	Src      netip.Addr
	Priority uint8
	Interval time.Duration
	Form     ChecksumForm
	At       time.Duration
}
