package daemon

import (
	"cmp"
	"slices"
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
			if r.cfg.Name == q.Name {
				list = append(list, r)
			}
		}
	}
	for _, r := range list {
		page.Routers = append(page.Routers, r.status(now))
	}
	if q.From > 0 {
		return page // the links came with the first page
	}
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

func (r *router) status(now time.Duration) RouterStatus {
	v := r.fsm.View()
	s := RouterStatus{
		Name: r.cfg.Name, Interface: r.cfg.Interface, VRID: v.Spec.VRID, Family: v.Spec.Family.String(), State: v.State.String(),
		Since: r.since, Cause: v.Reason.Cause.String(), Reason: v.Reason.String(), Term: v.Term, Yielding: v.Yielding,
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
	case v.State == vrrp.Backup && v.Heard.Src.IsValid():
		s.Active = &ActiveStatus{Address: v.Heard.Src.String(), Priority: v.Heard.Priority, Interval: v.Heard.Interval.Seconds(),
			Checksum: v.Heard.Form.String(), HeardAgo: (now - v.Heard.At).Seconds()}
	}
	s.ActiveDownIn, s.PreemptIn = rest(v.DownDue, now), rest(v.HoldDue, now)
	s.Addresses = r.addresses()
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

// refusals lists sightings, newest first.
func refusals(seen map[vrrp.Drop]*sighting, now time.Duration) []RefusedStatus {
	var out []RefusedStatus
	for d, v := range seen {
		s := RefusedStatus{Drop: d.String(), Text: refusedText(d, v.vrid), Count: v.count, VRID: v.vrid, AgoSeconds: (now - v.at).Seconds()}
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
func (r *router) addresses() []AddressStatus {
	out := make([]AddressStatus, 0, len(r.cfg.Addresses))
	if r.link != nil {
		r.link.refresh()
	}
	for i, p := range r.cfg.Addresses {
		a := AddressStatus{Address: p.String(), Advertised: i < len(r.cfg.Spec.Addresses),
			Wanted: r.fsm.State() == vrrp.Active, Restored: r.restored[p]}
		if r.link != nil {
			a.Present = r.link.present[p.Addr()]
		}
		out = append(out, a)
	}
	return out
}

// counters gives the statistics their names.
func counters(c *vrrp.Counters) map[string]uint64 {
	m := map[string]uint64{
		"active-transitions":      c.ActiveTransitions,
		"advertisement-rcvd":      c.AdvertisementRcvd,
		"advertisement-sent":      c.AdvertisementSent,
		"priority-zero-pkts-rcvd": c.PriorityZeroRcvd,
		"priority-zero-pkts-sent": c.PriorityZeroSent,
		"interval-errors":         c.IntervalErrors,
		"address-list-errors":     c.AddressListErrors,
		"checksum-form-other":     c.ChecksumFormOther,
		"owner-conflicts":         c.OwnerConflicts,
		"lower-discarded":         c.LowerDiscarded,
		"stalls":                  c.Stalls,
	}
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
