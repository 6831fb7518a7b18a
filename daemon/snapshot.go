package daemon

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// status copies one page out. It runs on the loop, so it copies and does not
// encode; a page is bounded by whoever asks.
func (l *Loop) status(now time.Duration, q StatusQuery) StatusPage {
	page := StatusPage{Node: l.cfg.Node, Since: l.since, Total: len(l.routers), Routers: []RouterStatus{}, Links: []LinkStatus{},
		Loop: LoopStatus{Turns: l.stats.turns, Stalls: l.stats.stalls, StaleResults: l.stats.stale, WorstLateness: l.stats.worst.Seconds()}}
	if l.ports.Dropped != nil {
		page.Loop.LogDropped = l.ports.Dropped()
	}
	from := min(max(q.From, 0), len(l.routers))
	list := l.routers[from:min(from+max(q.Limit, 0), len(l.routers))]
	if q.Name != "" {
		list = nil
		for _, r := range l.routers {
			if r.cfg.Name == q.Name || r.service != nil && r.service.cfg.Ladder.Name == q.Name {
				list = append(list, r)
			}
		}
	}
	for _, r := range list {
		page.Routers = append(page.Routers, l.routerStatus(r, now))
	}
	if q.From > 0 {
		return page // the links and checks came with the first page
	}
	page.Checks = l.checkStatus(now, q.Name, list)
	page.Services = l.serviceStatus(now, q.Name, list)
	page.Orders = slices.Clone(l.orders.list)
	for _, k := range l.links {
		if q.Name == "" || slices.ContainsFunc(list, func(r *router) bool { return r.link == k }) {
			page.Links = append(page.Links, l.linkStatus(now, k))
		}
	}
	slices.SortFunc(page.Links, func(a, b LinkStatus) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return page
}

func (l *Loop) routerStatus(r *router, now time.Duration) RouterStatus {
	v := r.fsm.View()
	s := RouterStatus{
		Name: r.cfg.Name, Interface: r.cfg.Interface, VRID: v.Spec.VRID, Family: v.Spec.Family.String(), State: v.State.String(),
		Since: r.since, Cause: v.Reason.Cause.String(), Reason: v.Reason.String(), LastEvent: v.Reason.Cause.ModelEvent(),
		NewActiveReason: v.Promoted.NewActiveReason(), Term: v.Term, Yielding: v.Yielding,
		Priority: v.Spec.Priority, EffectivePriority: v.Priority, IsOwner: v.Owner,
		Preempt: v.Spec.Preempt, PreemptDelay: v.Spec.PreemptDelay.Seconds(),
		Checksum: v.Spec.Checksum.String(), ChecksumSent: v.Form.String(),
		AdvertisementInterval: v.Spec.Interval.Seconds(), ActiveAdverInterval: v.ActiveInterval.Seconds(),
		SkewTime: v.SkewTime.Seconds(), ActiveDownInterval: v.ActiveDownInterval.Seconds(),
		Counters: counters(&v.Counters),
	}
	if v.Source.IsValid() {
		s.PrimaryIPAddr = v.Source.String()
	}
	if v.Fault != vrrp.FaultNone {
		s.Fault = v.Fault.String()
		s.FaultDetail = faultText(r.cfg.Interface, vrrp.LinkState{Fault: v.Fault, Detail: v.FaultDetail})
	}
	switch {
	case v.State == vrrp.Active:
		s.Active = &ActiveStatus{Self: true, Address: s.PrimaryIPAddr, Priority: v.Priority, Interval: v.Spec.Interval.Seconds(), Checksum: v.Form.String()}
	case v.Heard.Src.IsValid() && (v.State == vrrp.Backup || v.State == vrrp.Initialize && now-v.Heard.At < 4*v.Heard.Interval):
		s.Active = &ActiveStatus{Address: v.Heard.Src.String(), Priority: v.Heard.Priority, Interval: v.Heard.Interval.Seconds(),
			Checksum: v.Heard.Form.String(), HeardAgo: (now - v.Heard.At).Seconds()}
	}
	l.statusOfOrders(r, &s, &v)
	s.Degraded = r.health.Degraded
	s.Contributions = l.contributions(r)
	s.ActiveDownIn, s.PreemptIn = rest(v.DownDue, now), rest(v.HoldDue, now)
	s.Addresses = l.addresses(r)
	l.statusOfLink(r, &s, &v, now)
	for _, n := range r.noticed {
		_, text := noticeText(r, &n.notice)
		s.Notices = append(s.Notices, NoticeStatus{Name: n.notice.Kind.String(), Text: text, Count: n.count, AgoSeconds: (now - n.at).Seconds()})
	}
	slices.SortFunc(s.Notices, func(a, b NoticeStatus) int { return cmp.Compare(a.AgoSeconds, b.AgoSeconds) })
	s.Refused = refusals(r.refused, now)
	for _, h := range r.hooks.View() {
		hs := HookStatus{Name: h.Name, Running: h.Running, Queued: h.Queued, Runs: h.Runs, Failed: h.Failed, Skipped: h.Skipped,
			LastError: h.Err, LastTook: h.Took.Seconds(), LastOutput: h.Output}
		if h.Finished {
			exit := h.Exit
			hs.LastExit = &exit
		}
		s.Hooks = append(s.Hooks, hs)
	}
	return s
}

// statusOfOrders fills in what operators and the service group have to do with it.
func (l *Loop) statusOfOrders(r *router, s *RouterStatus, v *vrrp.View) {
	if o := l.orders.of(OrderStandby, r.cfg.Name); o != nil {
		s.Standby = o.String()
	}
	if o := l.orders.find(OrderPin, r.cfg.Name); o != nil {
		s.Pinned = o.String()
	}
	s.MovedAway, s.MovedHere = v.Aside, r.movedHere
	if r.service == nil {
		return
	}
	s.ServiceGroup = r.service.cfg.Ladder.Name
	switch {
	case r.dismissal != nil:
		s.SteppingAside = "leaves as soon as the service group is down: " + r.dismissal.Detail
	case r.moving:
		s.SteppingAside = "steps aside as soon as the service group is down: " + r.movedBy
	case r.heldBack:
		own := r.own
		if own.Fault == vrrp.FaultNone {
			own, _ = r.group.faultOf(r)
		}
		s.SteppingAside = "steps aside as soon as the service group is down: " + faultText(r.cfg.Interface, own)
	}
}

// statusOfLink fills in how the router is on its link: version, mode, virtual
// MAC, group, peers, routes and rules.
func (l *Loop) statusOfLink(r *router, s *RouterStatus, v *vrrp.View, now time.Duration) {
	spec := &v.Spec
	s.Version, s.Mode, s.AcceptMode = spec.V(), modeName(spec.Unicast()), r.cfg.Accept || r.cfg.Owner
	if g := spec.MulticastGroup(); g.IsValid() {
		s.MulticastGroup = g.String()
	}
	for _, p := range spec.Peers {
		s.UnicastPeers = append(s.UnicastPeers, p.Addr.String())
	}
	if spec.V() == vrrp.Version2 {
		s.Authentication = "none"
		if spec.Secret != (vrrp.Secret{}) {
			s.Authentication = "pass"
		}
	}
	if r.cfg.VirtualMAC {
		s.VirtualMAC = macText(vrrp.VirtualMAC(spec.Family, spec.VRID))
	}
	s.RouterAdvertisements = r.cfg.RouterAdvert.On
	s.SyncGroup, s.Ready, s.SettleIn = r.cfg.Group, v.Ready, rest(v.SettleDue, now)
	s.Peers = peers(v.Peers, now)
	for i := range r.cfg.Routes {
		s.Routes = append(s.Routes, r.cfg.Routes[i].String())
	}
	for i := range r.cfg.Rules {
		s.Rules = append(s.Rules, r.cfg.Rules[i].String())
	}
	if r.held && !r.wishOpen {
		s.KernelError = r.refusedPlace
	}
}

// refusals lists sightings, newest first.
func refusals(seen map[vrrp.Drop]*sighting, now time.Duration) []RefusedStatus {
	var out []RefusedStatus
	for d, v := range seen {
		s := RefusedStatus{Drop: d.String(), Text: v.refused(d), Count: v.count, VRID: v.vrid, AgoSeconds: (now - v.at).Seconds()}
		if v.src.IsValid() {
			s.Source = v.src.String()
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b RefusedStatus) int { return cmp.Compare(a.AgoSeconds, b.AgoSeconds) })
	return out
}

// rest is the time left of a timer in seconds, or nil when it does not run.
func rest(due, now time.Duration) *float64 {
	if due == vrrp.Never {
		return nil
	}
	s := max(due-now, 0).Seconds()
	return &s
}

// addresses tells wanted and really present apart.
func (l *Loop) addresses(r *router) []AddressStatus {
	out := make([]AddressStatus, 0, len(r.cfg.Addresses))
	for i := range r.cfg.Addresses {
		c := &r.cfg.Addresses[i]
		a := AddressStatus{Address: c.Prefix.String(), Interface: c.Interface, Advertised: i < len(r.cfg.Spec.Addresses),
			Wanted: r.fsm.State() == vrrp.Active, Restored: r.restored[c.Prefix]}
		switch k := l.links[r.cfg.on(c.Interface)]; {
		case r.cfg.VirtualMAC && c.Interface == "":
			// On the macvlan, which nobody watches but the keeper: as it said.
			a.Present = r.held && !r.wishOpen && r.refusedPlace == ""
		case k != nil:
			k.refresh()
			a.Present = k.present[c.Prefix.Addr()]
		}
		out = append(out, a)
	}
	return out
}

// peers shows who else speaks on the VRID, believed or not.
func peers(list []vrrp.PeerView, now time.Duration) []PeerStatus {
	var out []PeerStatus
	for _, p := range list {
		s := PeerStatus{Address: p.Src.String(), Version: p.Version, Priority: p.Priority, Interval: p.Interval.Seconds(),
			Mode: modeName(p.Unicast), AddressCount: p.Addresses, SameAddresses: p.SameAddresses, ForeignGroup: p.Foreign,
			Believed: p.Believed, Refused: p.Refused, HeardAgo: (now - p.At).Seconds()}
		if p.Form != vrrp.FormUnknown && p.Version == vrrp.Version3 {
			s.Checksum = p.Form.String()
		}
		if p.Version == vrrp.Version2 {
			s.Authentication = authName(p.Auth)
		}
		if p.TTL != vrrp.HopLimit {
			s.TTL = p.TTL
		}
		if p.Drop != vrrp.Accepted {
			s.RefusedAs, s.Text = p.Drop.String(), p.Drop.Explain()
		}
		out = append(out, s)
	}
	return out
}

func modeName(unicast bool) string {
	if unicast {
		return "unicast"
	}
	return "multicast"
}

func authName(kind uint8) string {
	switch kind {
	case vrrp.AuthNone:
		return "none"
	case vrrp.AuthSimpleText:
		return "pass"
	case 2:
		return "ah"
	default:
		return strconv.Itoa(int(kind))
	}
}

// counters gives the statistics their names.
func counters(c *vrrp.Counters) map[string]uint64 {
	m := make(map[string]uint64, 11+int(vrrp.NumDrops)) // else it grows three times, for each router of a page
	m["active-transitions"] = c.ActiveTransitions
	m["advertisement-rcvd"] = c.AdvertisementRcvd
	m["advertisement-sent"] = c.AdvertisementSent
	m["priority-zero-pkts-rcvd"] = c.PriorityZeroRcvd
	m["priority-zero-pkts-sent"] = c.PriorityZeroSent
	m["interval-errors"] = c.IntervalErrors
	m["address-list-errors"] = c.AddressListErrors
	m["checksum-form-other"] = c.ChecksumFormOther
	m["owner-conflicts"] = c.OwnerConflicts
	m["lower-discarded"] = c.LowerDiscarded
	m["stalls"] = c.Stalls
	for d := vrrp.Accepted + 1; d < vrrp.NumDrops; d++ {
		m[d.String()] = c.Drops[d]
	}
	return m
}

func (l *Loop) linkStatus(now time.Duration, k *link) LinkStatus {
	s := LinkStatus{Name: k.name, Index: k.index, Up: k.index != 0 && k.level.Up, Detail: k.level.Detail}
	if k.index == 0 {
		s.Detail = "does not exist"
	} else {
		w := l.ports.Wire.Stats(k.index)
		s.Sent, s.SendErrors, s.LastSendError, s.Received, s.KernelDrops = w.Sent, w.SendErrors, w.LastSendError, w.Received, w.KernelDrops
	}
	s.Refused = refusals(k.refused, now)
	for d, n := range k.drops {
		if n > 0 {
			if s.Drops == nil {
				s.Drops = map[string]uint64{}
			}
			s.Drops[vrrp.Drop(d).String()] = n
		}
	}
	return s
}
