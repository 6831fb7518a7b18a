package main

import (
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

// Pages by hand: what service groups and orders look like in every state.

// site is a service group with three steps; up says how many of them are.
func site(state string, up int) daemon.ServiceStatus {
	s := daemon.ServiceStatus{Name: "site", Follows: []string{"web"}, State: state, Aim: "down", Up: up, Total: 3, Safety: "none", AddressesWhen: "active",
		Text: "followed router is not Active here",
		Steps: []daemon.StepStatus{
			{Name: "drbd.wwwdata", State: "down", For: 7500, Detail: "Secondary, UpToDate", LookedAgo: ptr(4.1), Allowed: 3},
			{Name: "filesystem.www", State: "down", For: 7500, LookedAgo: ptr(4.1), Allowed: 3},
			{Name: "systemd.apache", State: "down", For: 7500, LookedAgo: ptr(0.4), Allowed: 3, Starts: 4},
		}}
	details := []string{"Primary, UpToDate; peer Secondary, UpToDate", "/dev/drbd0 on /srv/www", "active, pid 4711"}
	for i := range up {
		s.Steps[i].State, s.Steps[i].For, s.Steps[i].Detail = "up", 7490-float64(i), details[i]
	}
	return s
}

func upSite() daemon.ServiceStatus {
	s := site("up", 3)
	s.Aim, s.Text, s.Claim = "up", "all steps are up", "the host that was Active before has let go"
	s.Steps[2].Restarts, s.Steps[2].For, s.Steps[2].Monitors, s.Steps[2].MonitorFailures = 1, 540, 812, 1
	return s
}

func climbingSite() daemon.ServiceStatus {
	s := site("starting", 1)
	s.Aim, s.Text = "up", "filesystem.www: start: fsck of /dev/drbd0: 40 %"
	s.Steps[0].For = 3.2
	s.Steps[1].Doing, s.Steps[1].DoingFor, s.Steps[1].Progress = "start", 3.1, "fsck of /dev/drbd0: 40 %"
	return s
}

func unfitSite() daemon.ServiceStatus {
	s := site("unfit", 0)
	s.Unfit, s.UnfitFor, s.Text = "systemd.apache: did not start after 3 tries: exit status 1", ptr(41.3), "this host cannot serve: systemd.apache: did not start"
	s.Steps[2].For, s.Steps[2].Detail, s.Steps[2].Output, s.Steps[2].StartFailures = 12, "exit status 1", "AH00526: Syntax error on line 12\nInvalid \x1b[31mcommand\n", 3
	return s
}

func stuckSite() daemon.ServiceStatus {
	s := site("stuck", 2)
	s.Stuck, s.Text = "filesystem.www: target is busy: 812 (bash), 4 more", "filesystem.www: target is busy: 812 (bash), 4 more; nothing below it is touched"
	s.Steps[1].Stuck, s.Steps[1].Detail, s.Steps[1].StopFailures = true, "target is busy: 812 (bash), 4 more", 5
	return s
}

func claimingSite() daemon.ServiceStatus {
	s := site("claiming", 0)
	s.Aim, s.Safety = "up", "fence"
	s.ClaimWaits = "fencing failed: ipmi: no route to host"
	s.Text = s.ClaimWaits
	return s
}

func limitedSite() daemon.ServiceStatus {
	s := site("limited", 2)
	s.Aim, s.StoppedFrom, s.Text = "up", "systemd.apache", "an operator keeps systemd.apache and what stands on it down"
	return s
}

// webWith is the Active web with a group.
func webWith(s daemon.ServiceStatus, change ...func(*daemon.RouterStatus)) *control.Status {
	r := activeRouter()
	r.Addresses[0].Restored = 0
	r.ServiceGroup = "site"
	for _, f := range change {
		f(&r)
	}
	st := answer(r)
	st.Links = st.Links[:1]
	st.Links[0].Refused = nil
	st.Services = []daemon.ServiceStatus{s}
	return st
}

// gone turns the Active web into one that has left.
func gone(fault, detail, cause, reason string) func(*daemon.RouterStatus) {
	return func(r *daemon.RouterStatus) {
		r.State, r.Fault, r.FaultDetail, r.Cause, r.Reason, r.Active = "initialize", fault, detail, cause, reason, nil
		r.Since = noon().Add(-90 * time.Second)
		for i := range r.Addresses {
			r.Addresses[i].Wanted, r.Addresses[i].Present = false, false
		}
		r.Refused = []daemon.RefusedStatus{{Drop: "initialize-ignored", Text: "normal", Count: 90, Source: "192.168.122.12", VRID: 61, AgoSeconds: 0.4}}
	}
}

// beaten turns the Active web into the Backup of another.
func beaten(r *daemon.RouterStatus) {
	r.State, r.Since = "backup", noon().Add(-90*time.Second)
	r.Active = &daemon.ActiveStatus{Address: "192.168.122.12", Priority: 100, Interval: 1, HeardAgo: 0.3}
	r.ActiveDownIn = ptr(3.1)
	for i := range r.Addresses {
		r.Addresses[i].Wanted, r.Addresses[i].Present = false, false
	}
}

func order(kind daemon.OrderKind, name, reason string, until time.Duration) daemon.Order {
	o := daemon.Order{Kind: kind, Name: name, By: "root (uid 0)", Reason: reason, Since: noon().Add(-22 * time.Minute)}
	if until > 0 {
		o.Until = noon().Add(until)
	}
	return o
}

// orderedAway is the whole host in standby.
func standbyPage() *control.Status {
	o := order(daemon.OrderStandby, "", "kernel update", 0)
	st := webWith(site("down", 0), gone("standby", o.String(), "standby", "in standby by order of an operator ("+o.String()+")"),
		func(r *daemon.RouterStatus) { r.Standby = o.String() })
	st.Orders = []daemon.Order{o}
	return st
}

func pinnedPage() *control.Status {
	o := order(daemon.OrderPin, "web", "bad fan", 2*time.Hour)
	st := webWith(site("down", 0), beaten, func(r *daemon.RouterStatus) {
		r.Pinned, r.EffectivePriority, r.Cause = o.String(), 1, "moved"
		r.Reason = "moved by an operator; the other host is 192.168.122.12 (priority 100) (move by root (uid 0): bad fan)"
	})
	st.Orders = []daemon.Order{o}
	return st
}

func movedAwayPage() *control.Status {
	return webWith(site("down", 0), beaten, func(r *daemon.RouterStatus) {
		r.MovedAway, r.Cause = true, "moved"
		r.Reason = "moved by an operator; the other host is 192.168.122.12 (priority 100) (move by root (uid 0))"
	})
}

func maintenancePage() *control.Status {
	o := order(daemon.OrderMaintenance, "site", "", time.Hour)
	s := upSite()
	s.Maintenance = o.String()
	st := webWith(s)
	st.Orders = []daemon.Order{o}
	return st
}

func unfitPage() *control.Status {
	return webWith(unfitSite(), gone("service-group", "the service group cannot be brought up here: systemd.apache did not start after 3 tries: exit status 1",
		"service-group", "the service group cannot be brought up on this host"))
}

func stuckPage() *control.Status {
	return webWith(stuckSite(), func(r *daemon.RouterStatus) {
		r.SteppingAside = "steps aside as soon as the service group is down: move by root (uid 0)"
	})
}
