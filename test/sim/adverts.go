package sim

import (
	"net/netip"
	"slices"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/simlan"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// sent judges an advert as it is handed to the wire.
func (o *observer) sent(p *life, path *vrrp.Path, message []byte) {
	n, h := o.lan, p.Host
	k := key{h.LinkOf(path.Link), path.Family, message[1]}
	c := p.configs[k]
	if c == nil {
		n.Violate("adverts", "%s speaks for %s, which it never had", h.Name, k)
		return
	}
	o.path(p, k, c, path)
	d, a := &o.datagram, &o.advert
	o.packet = simlan.AppendIP(o.packet[:0], path, message)
	drop := vrrp.ParseIP(path.Family, o.packet, d)
	if drop == vrrp.Accepted {
		_, drop = vrrp.Validate(d, receiver(c, path.Src), a)
	}
	if drop != vrrp.Accepted {
		n.Violate("adverts", "%s sent for %s what a receiver drops: %s", h.Name, k, drop)
		return
	}
	if c.Spec.Unicast() && path.Dst != c.Spec.Peers[0].Addr {
		return // a copy
	}
	s := p.router(k)
	off := false
	switch {
	case s != nil && s.state == active:
		off = o.spacing(h, s, a)
	case a.Priority == vrrp.PriorityStop:
		o.letGo(p, c)
	default:
		p.pending = append(p.pending, promise{k, a.Interval}) // must become Active in this turn
	}
	if n.opt.Transcript && (n.opt.Adverts || off || a.Priority == vrrp.PriorityStop || s == nil || s.state != active) {
		n.Note(h, "advert %s vrid %d priority %d", path.Family, a.VRID, a.Priority)
	}
}

// receiver is how another host with this router would judge an advert.
func receiver(c *daemon.RouterConfig, src netip.Addr) *vrrp.Spec {
	s := c.Spec
	if s.Unicast() {
		s.Peers = []vrrp.Peer{{Addr: src, MinTTL: vrrp.HopLimit}}
	}
	s.Priority, s.VerifyAddresses = vrrp.DefaultPriority, false
	return &s
}

// path judges the headers an advert gets.
func (o *observer) path(p *life, k key, c *daemon.RouterConfig, path *vrrp.Path) {
	if !p.Host.NICs()[k.link].IsOwn(path.Src) {
		o.lan.Violate("adverts", "%s sent from %s, which is not its own", p.Host.Name, path.Src)
	}
	mac := [6]byte{}
	if c.VirtualMAC && !c.Spec.Unicast() {
		mac = vrrp.VirtualMAC(k.family, k.vrid)
	}
	isPeer := slices.ContainsFunc(c.Spec.Peers, func(x vrrp.Peer) bool { return x.Addr == path.Dst })
	if path.MAC != mac {
		o.lan.Violate("virtual MAC", "%s: an advert of %s from %x, want %x", p.Host.Name, k, path.MAC, mac)
	}
	if path.TTL != vrrp.HopLimit || c.Spec.Unicast() != isPeer || !c.Spec.Unicast() && path.Dst != c.Spec.MulticastGroup() {
		o.lan.Violate("adverts", "%s: an advert of %s to %s with TTL %d", p.Host.Name, k, path.Dst, path.TTL)
	}
}

// spacing judges an Active's advert by the one before. It reports whether it
// came before its time.
func (o *observer) spacing(h *simlan.Host, s *seen, a *vrrp.Advert) (early bool) {
	now := o.lan.Now()
	switch {
	case s.farewell && a.Priority != vrrp.PriorityStop && (!h.Process.Witness.(*life).leaving || h.Process.Witness.(*life).served(s.key)):
		s.farewell = false // nobody better was there, or the reason has gone
	case s.farewell:
		o.lan.Violate("adverts", "%s vrid %d: speaks after its farewell", h.Name, a.VRID)
	case a.Priority == vrrp.PriorityStop:
		s.farewell, s.goodbye = true, now
		if c := h.Process.Witness.(*life).configOf(s.key); c != nil && h.Process.Witness.(*life).fell[c.Name] == now {
			s.goodbye = 0 // it asks whether anybody is better, and goes on if nobody is
		} else if c != nil && o.managed(h.Process.Witness.(*life), c.Name) {
			s.held = o.holding(h.Process.Witness.(*life), c.Name)
		}
	case s.said && s.spoke > h.Resumed:
		gap := now - s.spoke
		early = gap < a.Interval
		most := o.longestGap(max(a.Interval, s.interval))
		if o.lan.opt.WakeDelay == 0 && (s.spoke+h.Offset)%gridSlack == 0 {
			most -= gridSlack // on the grid there is nothing to round
		}
		if p := h.Process.Witness.(*life); s.spoke < p.bornAt {
			most = max(most, o.gapAfterRestart(p, max(a.Interval, s.interval), s.key))
		}
		if gap > most {
			o.lan.Violate("adverts", "%s vrid %d: %v between two adverts, the interval is %v", h.Name, a.VRID, gap, a.Interval)
		}
	}
	s.spoke, s.interval, s.said = now, a.Interval, true
	o.spoken(s)
	s.adverts++
	return early
}
