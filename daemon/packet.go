package daemon

import (
	"fmt"
	"log/slog"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// What becomes of a packet: it finds its router, or it is dropped under a name.

// packet finds the router of a packet and steps it. Nothing is allocated on
// the way of an advert that changes nothing.
func (l *Loop) packet(p *vrrp.Packet) {
	k := l.byIndex[p.Link]
	if k == nil {
		return
	}
	if drop := vrrp.ParseIP(p.Family, p.Data, &l.datagram); drop != vrrp.Accepted {
		l.refuse(k, nil, drop)
		return
	}
	r := k.find(&l.datagram)
	if r == nil {
		k.noteVRID(p.Family, l.datagram.VRID)
		l.refuse(k, nil, vrrp.DropVRID)
		return
	}
	form, drop := vrrp.Validate(&l.datagram, &r.cfg.Spec, &l.received.Advert)
	if drop != vrrp.Accepted {
		if drop == vrrp.DropOwner && r.service != nil { // deaf in the election; data is another matter
			l.received.Src, l.received.At = l.datagram.Src, p.At
			l.heardWord(max(l.reading, p.At), r)
		}
		l.refuse(k, r, drop)
		return
	}
	l.received.Src, l.received.TTL, l.received.Form, l.received.At = l.datagram.Src, l.datagram.TTL, form, p.At
	now := max(l.reading, p.At)
	l.step(now, r, &l.received)
	if r.service != nil {
		l.heardWord(now, r)
	}
	if l.received.Advert.Priority == vrrp.PriorityStop && r.group != nil && r.fsm.GaveUp(&l.received) {
		l.peerLeft(now, r)
	}
}

// refuse counts a dropped packet and tells, at a bounded rate.
func (l *Loop) refuse(k *link, r *router, d vrrp.Drop) {
	k.drops[d]++
	who, seen := k.name, k.refused
	now := l.ports.Clock.Now()
	foreign := false
	if r != nil {
		foreign = r.fsm.Refuse(&l.datagram, d, now)
		if r.refused == nil {
			r.refused = map[vrrp.Drop]*sighting{}
		}
		who, seen = r.cfg.Name, r.refused
	}
	s := seen[d]
	if s == nil {
		s = &sighting{}
		seen[d] = s
	}
	s.count++
	s.at, s.src, s.vrid = now, l.datagram.Src, l.datagram.VRID
	level := slog.LevelWarn
	switch {
	case d == vrrp.DropOwnLooped:
		level = slog.LevelDebug
	case d == vrrp.DropVRID && s.count == 1:
		level = slog.LevelInfo // once: it may be a neighbour, or a typing error in one of the two files
	case d == vrrp.DropVRID:
		level = slog.LevelDebug // other groups on a shared link are normal
	}
	if n, ok := s.limit.allow(now); ok {
		s.detail = l.refusedDetail(r, d)
		if foreign {
			s.detail = joined(s.detail, "none of its addresses is ours: another group on this VRID"+r.freeVRID())
		}
		l.log(level, fmt.Sprintf("(%s) packet from %s dropped: %s%s", who, l.datagram.Src, s.refused(d), heldBack(n)),
			slog.String("drop", d.String()), slog.String("interface", k.name))
	}
}
