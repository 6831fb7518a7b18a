package vrrp

import (
	"net/netip"
	"slices"
	"time"
)

// maxPeers bounds how many other routers are remembered by one. A VRID has two
// or three hosts; more than this is a mistake or an attack, and the one heard
// longest ago makes room.
const maxPeers = 8

// PeerView is another router that speaks on our VRID, believed or not: what
// differs between two sides is what makes both Active, so it is kept for
// whoever is refused as well.
type PeerView struct {
	Src netip.Addr
	// First and At are when it was heard first and last.
	First, At time.Duration
	// Version, Priority, Interval, Addresses (their count) and Auth (the type of
	// version 2) are as last advertised.
	Version   uint8
	Priority  uint8
	Interval  time.Duration
	Addresses int
	Auth      uint8
	// Form is the checksum form; FormUnknown for a packet that was refused.
	Form ChecksumForm
	// Unicast and TTL are how it came.
	Unicast bool
	TTL     uint8
	// SameAddresses: its last believed list was ours. Foreign: none of those it
	// sent last, believed or not, is ours.
	SameAddresses, Foreign bool
	// Believed and Refused count its packets; Drop is why the last one was
	// refused, Accepted if it was not.
	Believed, Refused uint64
	Drop              Drop
}

// peer returns the entry of a source, making one and, if need be, room for it.
func (r *Router) peer(src netip.Addr, at time.Duration) *PeerView {
	oldest := 0
	for i := range r.peers {
		if r.peers[i].Src == src {
			r.peers[i].At = at
			return &r.peers[i]
		}
		if r.peers[i].At < r.peers[oldest].At {
			oldest = i
		}
	}
	fresh := PeerView{Src: src, First: at, At: at}
	if len(r.peers) < maxPeers {
		r.peers = append(r.peers, fresh)
		return &r.peers[len(r.peers)-1]
	}
	r.peers[oldest] = fresh
	return &r.peers[oldest]
}

// meet remembers who sent an advertisement that was believed.
func (r *Router) meet(e *Received, same bool) {
	p, a := r.peer(e.Src, e.At), &e.Advert
	p.Version, p.Priority, p.Interval, p.Addresses = a.Version, a.Priority, a.Interval, len(a.Addresses)
	p.Form, p.Unicast, p.TTL, p.Drop = e.Form, r.spec.Unicast(), e.TTL, Accepted
	p.SameAddresses, p.Foreign = same, !same && disjoint(a.Addresses, r.spec.Addresses)
	p.Believed++
	if a.Version == Version2 && r.spec.Secret != (Secret{}) {
		p.Auth = AuthSimpleText
	}
}

// Refuse counts a packet that Validate dropped for this router, and, where it
// was a sane advertisement from a live router, remembers its sender. It reports
// whether that is of another group: none of its addresses is ours.
func (r *Router) Refuse(d *Datagram, why Drop, at time.Duration) (foreign bool) {
	r.counters.Refuse(why)
	switch why {
	case DropTTL, DropModeMismatch, DropVersion, DropPeerSource, DropAuthType, DropAuthMismatch, DropAuthFailure,
		DropInterval, DropIntervalZero, DropNotLinkLocal, DropAddressList, DropOwner, DropChecksum:
	default:
		return false // nothing a router of good will would send
	}
	if !d.Src.IsValid() || len(d.Message) < headerSize || d.Src == r.source {
		return false
	}
	m := d.Message
	if why == DropOwner && m[2] == PriorityOwner {
		r.counters.OwnerConflicts++
	}
	p := r.peer(d.Src, at)
	p.Version, p.Priority, p.Addresses, p.Form = m[0]>>4, m[2], int(m[3]), FormUnknown
	p.Auth, p.Interval = 0, time.Duration(uint16(m[4]&0x0f)<<8|uint16(m[5]))*IntervalUnit
	if p.Version == Version2 {
		p.Auth, p.Interval = m[4], time.Duration(m[5])*time.Second
	}
	p.Unicast, p.TTL, p.Drop = !d.Dst.IsMulticast(), d.TTL, why
	p.Foreign = why != DropChecksum && r.spec.foreign(d)
	p.Refused++
	return p.Foreign
}

// foreign reports whether a message, valid or not, names addresses of which none
// is ours. A list that is not all there says nothing.
func (s *Spec) foreign(d *Datagram) bool {
	count, size, list := int(d.Message[3]), d.Family.AddressSize(), d.Message[headerSize:]
	if count == 0 || len(list) < count*size {
		return false
	}
	for ; count > 0; count-- {
		if a, _ := netip.AddrFromSlice(list[:size]); slices.Contains(s.Addresses, a) {
			return false
		}
		list = list[size:]
	}
	return true
}

// Peers returns a copy of what is known of other routers on this VRID, the one
// heard last first.
func (r *Router) Peers() []PeerView {
	out := slices.Clone(r.peers)
	slices.SortStableFunc(out, func(a, b PeerView) int { return int(b.At - a.At) })
	return out
}

// disjoint reports whether two lists have no address in common.
func disjoint(a, b []netip.Addr) bool {
	return !slices.ContainsFunc(a, func(x netip.Addr) bool { return slices.Contains(b, x) })
}
