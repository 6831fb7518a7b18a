package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
	"github.com/backbeat-ha/backbeat/vrrp"
)

const (
	// maxWarnings keeps a thousand routers with one trouble readable.
	maxWarnings = 12
	// shortInterval is below what a host without real-time scheduling can be
	// trusted with: stalls of 152 ms were measured on busy ones.
	shortInterval = 0.1
	// shortestSafe is what one with it can be trusted with: the shortest there is.
	shortestSafe = 0.01
	// recent is how long what was noticed about peers is news, in seconds. The
	// daemon keeps it for ever; what has been corrected should not be shown.
	recent = 60.0
)

// warnings are what an operator should not have to look for, worst first.
func (p *statusPrinter) warnings() []string {
	st := p.st
	var first, faults, addresses, peers, hooks, others []string
	// Whatever else is wrong may have been corrected in the file.
	if c := st.Configuration; c != nil && c.RefusedAt != nil {
		first = append(first, fmt.Sprintf("the file has errors since %s: %s; running the configuration of %s; backbeat check %s says what to correct",
			p.clock(*c.RefusedAt), clean(c.RefusedWhy), p.clock(c.AppliedAt), clean(c.Path)))
	}
	for i := range st.Routers {
		r := &st.Routers[i]
		if r.Fault != "" && r.Fault != "standby" && r.Fault != "service-group" { // the order and the group say it
			faults = append(faults, faultWarning(r))
		}
		if r.KernelError != "" {
			addresses = append(addresses, fmt.Sprintf("%s: not everything is as wanted: %s", clean(r.Name), clean(r.KernelError)))
		}
		addresses = append(addresses, addressWarnings(r, !addressesWait(st, r))...)
		peers = append(peers, peerWarnings(r)...)
		hooks = append(hooks, hookWarnings(r)...)
		if st.Scheduling == nil { // else loopWarnings knows whether it is so
			others = append(others, intervalWarnings(r)...)
		}
	}
	for i := range st.Links {
		peers = append(peers, refusedWarnings(st.Links[i].Name, st.Links[i].Refused, nil)...)
		others = append(others, linkWarnings(&st.Links[i])...)
	}
	faults = append(faults, groupWarnings(st)...)
	faults = append(faults, checkWarnings(st.Checks)...)
	others = append(others, loopWarnings(st)...)
	if p.tool != "" && st.Version != "" && st.Version != p.tool {
		others = append(others, fmt.Sprintf("the running daemon is version %s and this tool is %s: restart the daemon to finish the upgrade", clean(st.Version), clean(p.tool)))
	}
	return slices.Concat(first, faults, addresses, peers, hooks, others)
}

// clock is a time of day, with the date where it is not today's.
func (p *statusPrinter) clock(at time.Time) string {
	at, now := at.In(p.zone), p.now.In(p.zone)
	if at.YearDay() == now.YearDay() && at.Year() == now.Year() {
		return at.Format("15:04:05")
	}
	return at.Format("2006-01-02 15:04")
}

// notes are what may be as it should be, or the reason why it is not.
func notes(st *control.Status) (out []string) {
	if s, least := st.Scheduling, shortestOf(st); s != nil && !s.RealTime && least >= s.SafeInterval {
		out = append(out, notRealTime(s, least))
	}
	for i := range st.Links {
		l := &st.Links[i]
		for _, v := range l.Refused {
			if v.Drop != vrrp.DropVRID.String() || v.AgoSeconds > recent {
				continue
			}
			// Other groups on a shared link are normal, but not to be alone beside one.
			for j := range st.Routers {
				r := &st.Routers[j]
				if r.Interface != l.Name || r.State != vrrp.Active.String() || r.Counters["advertisement-rcvd"] > 0 {
					continue
				}
				out = append(out, fmt.Sprintf("%s carries VRID %d%s, which is not configured here, and %s (VRID %d) has never heard a peer: should the two be the same?",
					clean(l.Name), v.VRID, from(&v), clean(r.Name), r.VRID))
				break
			}
		}
	}
	return out
}

// groupWarnings are the groups that need somebody, and steps that are not as they
// should be.
func groupWarnings(st *control.Status) (out []string) {
	for i := range st.Services {
		s := &st.Services[i]
		name := clean(s.Name)
		if w := groupWarning(s); w != "" {
			out = append(out, w)
		}
		for k := range s.Steps {
			if v := &s.Steps[k]; v.Degraded {
				out = append(out, fmt.Sprintf("%s: %s is up, but degraded: %s", name, clean(v.Name), clean(v.Detail)))
			} else if v.Stray != "" {
				out = append(out, fmt.Sprintf("%s: %s is up although this host does not serve, so that it may run on two: somebody else has started it (%s); stop it", name, clean(v.Name), clean(v.Stray)))
			}
		}
	}
	return out
}

// groupWarning is what somebody must know about a group, empty if nothing.
func groupWarning(s *daemon.ServiceStatus) string {
	name := clean(s.Name)
	switch {
	case s.Stuck != "":
		return fmt.Sprintf("%s is stuck: %s", name, clean(s.Stuck))
	case s.Unfit != "":
		return fmt.Sprintf("%s cannot be brought up here: %s", name, clean(s.Unfit))
	case s.State == "claiming":
		return fmt.Sprintf("%s waits before it touches exclusive data: %s", name, clean(s.ClaimWaits))
	case s.Unqualified != "" && s.Aim != "up":
		return fmt.Sprintf("%s could not be brought up here if it had to: %s", name, clean(s.Unqualified))
	}
	return ""
}

func faultWarning(r *daemon.RouterStatus) string {
	return fmt.Sprintf("%s cannot take part: %s", clean(r.Name), faultText(r))
}

// faultText is the sentence if there is one, else the stable name.
func faultText(r *daemon.RouterStatus) string {
	if r.FaultDetail != "" {
		return clean(r.FaultDetail)
	}
	return clean(r.Fault)
}

// addressesWait reports whether the addresses of an Active wait for its group.
func addressesWait(st *control.Status, r *daemon.RouterStatus) bool {
	s := serviceIn(st, r.ServiceGroup)
	return s != nil && s.AddressesWhen == "ready" && s.State != "up" && s.State != "limited"
}

func addressWarnings(r *daemon.RouterStatus, now bool) (out []string) {
	for _, a := range r.Addresses {
		switch {
		case a.Wanted && !a.Present && now:
			out = append(out, missingAddress(r, &a))
		case a.Present && !a.Wanted && !r.IsOwner && !r.Yielding:
			out = append(out, fmt.Sprintf("%s: address %s is on this host although it is not Active: somebody else put it there", clean(r.Name), clean(a.Address)))
		}
		if a.Restored > 0 {
			out = append(out, fmt.Sprintf("%s: address %s was removed by somebody else and put back %s", clean(r.Name), clean(a.Address), times(a.Restored)))
		}
	}
	return out
}

func missingAddress(r *daemon.RouterStatus, a *daemon.AddressStatus) string {
	return fmt.Sprintf("%s: address %s is wanted and not there", clean(r.Name), clean(a.Address))
}

func hookWarnings(r *daemon.RouterStatus) (out []string) {
	for _, h := range r.Hooks {
		if h.LastError != "" {
			out = append(out, fmt.Sprintf("%s: hook %s failed: %s", clean(r.Name), clean(h.Name), clean(h.LastError)))
		}
		if h.Skipped > 0 {
			out = append(out, fmt.Sprintf("%s: hook %s was skipped %s: it is slower than the transitions", clean(r.Name), clean(h.Name), times(h.Skipped)))
		}
	}
	return out
}

func intervalWarnings(r *daemon.RouterStatus) (out []string) {
	if r.AdvertisementInterval > 0 && r.AdvertisementInterval < shortInterval {
		out = append(out, fmt.Sprintf("%s: an interval of %s needs real-time scheduling (the systemd unit has it): a busy host stalls longer",
			clean(r.Name), took(r.AdvertisementInterval)))
	}
	return out
}

// peerWarnings are what the peers of a router do and should not.
func peerWarnings(r *daemon.RouterStatus) (out []string) {
	told := map[string]bool{}
	for _, n := range r.Notices {
		switch n.Name {
		case vrrp.NoticeInterval.String(), vrrp.NoticeAddressList.String(), vrrp.NoticeOwnerConflict.String(),
			vrrp.NoticeDuplicateSource.String(), vrrp.NoticeChecksumMixed.String(), vrrp.NoticeLowerActive.String(),
			vrrp.NoticeForeignGroup.String(), vrrp.NoticeClaimed.String():
			// The others are news about this host, and in the history or the loop's line.
			if n.AgoSeconds <= recent {
				told[n.Name] = true
				out = append(out, fmt.Sprintf("%s: %s", clean(r.Name), clean(n.Text)))
			}
		}
	}
	return append(out, refusedWarnings(r.Name, r.Refused, told)...)
}

// refusedWarnings are about packets that were not believed: whose, how many,
// what that means and what to do. Those of told are not said again.
func refusedWarnings(where string, list []daemon.RefusedStatus, told map[string]bool) (out []string) {
	for i := range list {
		v := &list[i]
		switch v.Drop {
		case vrrp.DropOwnLooped.String(), vrrp.DropNotReady.String(), vrrp.DropVRID.String():
			continue // harmless; normal; see notes
		}
		if v.AgoSeconds <= recent && !told[v.Drop] {
			out = append(out, fmt.Sprintf("%s: %s%s refused: %s", clean(where), plural(int(v.Count), "packet"), from(v), clean(v.Text)))
		}
	}
	return out
}

// from is " from 192.0.2.1", or nothing where nobody knows.
func from(v *daemon.RefusedStatus) string {
	if v.Source == "" {
		return ""
	}
	return " from " + clean(v.Source)
}

// shortestOf is the shortest interval, 0 without a router.
func shortestOf(st *control.Status) (least float64) {
	for i := range st.Routers {
		if d := st.Routers[i].AdvertisementInterval; least == 0 || d < least {
			least = d
		}
	}
	return least
}

// notRealTime says that real time was not granted, and what that is good for.
func notRealTime(s *control.Scheduling, least float64) string {
	return fmt.Sprintf("the daemon is not scheduled in real time: on a busy host intervals from %s up are safe, and the shortest here is %s; its systemd unit asks for it (CPUSchedulingPolicy=rr), and so does chrt -r 10",
		took(s.SafeInterval), took(least))
}

// loopWarnings are about the daemon itself.
func loopWarnings(st *control.Status) (out []string) {
	least := shortestOf(st)
	switch l := st.Loop; {
	case l.Stalls > 0:
		out = append(out, fmt.Sprintf("the daemon's loop stalled %s (worst %s late): this host is overloaded, or was suspended",
			times(l.Stalls), took(l.WorstLateness)))
	case least > 0 && l.WorstLateness > least:
		out = append(out, fmt.Sprintf("the daemon's loop was up to %s late, more than the shortest interval (%s): this host is overloaded, or was suspended",
			took(l.WorstLateness), took(least)))
	}
	if s := st.Scheduling; s != nil && !s.RealTime && least > 0 && least < s.SafeInterval {
		out = append(out, notRealTime(s, least))
	}
	if n := st.Loop.LogDropped; n > 0 {
		out = append(out, plural(int(n), "log line")+" dropped: the log is slower than the daemon")
	}
	return out
}

func linkWarnings(l *daemon.LinkStatus) (out []string) {
	if l.SendErrors > 0 {
		w := fmt.Sprintf("%s: %s not sent", clean(l.Name), plural(int(l.SendErrors), "advertisement"))
		if l.LastSendError != "" {
			w += ", last because: " + clean(l.LastSendError)
		}
		out = append(out, w)
	}
	if l.KernelDrops > 0 {
		out = append(out, fmt.Sprintf("%s: the kernel dropped %s: the daemon did not read fast enough", clean(l.Name), plural(int(l.KernelDrops), "received packet")))
	}
	return out
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
