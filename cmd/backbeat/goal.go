package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

// When is what was asked for so? Every verb has an answer here, for the virtual
// routers and for the service groups it concerns.

// emptyWait is how long after a router has left a successor may still show up,
// in seconds, beside three of its intervals.
const emptyWait = 2.0

// keepWait is how long a move must last to have succeeded, in seconds: a successor
// whose service group does not come up gives back what it has taken over.
const keepWait = 3.0

// judge fills in what is waited for, what has failed, and what to say at the end.
func (f *follower) judge(st *control.Status) {
	for i := range st.Routers {
		if r := &st.Routers[i]; slices.Contains(f.routers, r.Name) {
			f.judgeRouter(st, r)
		}
	}
	for i := range st.Services {
		if s := &st.Services[i]; slices.Contains(f.services, s.Name) {
			f.judgeGroup(s)
		}
	}
	f.closing(st)
}

func (f *follower) wait(format string, args ...any) {
	f.waits = append(f.waits, fmt.Sprintf(format, args...))
}
func (f *follower) fail(format string, args ...any) {
	f.failed = append(f.failed, fmt.Sprintf(format, args...))
}
func (f *follower) note(format string, args ...any) {
	f.notes = append(f.notes, fmt.Sprintf(format, args...))
}

// verb is what was asked for: all requests of one line have the same.
func (f *follower) verb() daemon.CommandVerb { return f.list[0].Verb }

func (f *follower) judgeRouter(st *control.Status, r *daemon.RouterStatus) {
	name := clean(r.Name)
	switch f.verb() {
	case daemon.CommandStandby:
		f.judgeLeaving(st, r)
	case daemon.CommandMove:
		switch {
		case f.list[0].Here && (r.State != "active" || r.Yielding):
			f.wait("%s: %s", name, f.notYetActive(r))
		case !f.list[0].Here:
			f.judgeLeaving(st, r)
		}
	case daemon.CommandOnline:
		switch {
		case r.Standby != "":
			f.wait("%s: %s", name, clean(r.Standby))
		case r.Fault == "pending" || r.State == "initialize" && r.Fault == "":
			f.wait("%s: %s", name, f.notYetActive(r))
		case r.Fault != "":
			f.note("%s %s", name, f.yellow("takes no part all the same: "+faultText(r)))
		case r.State == "backup" && r.Active == nil:
			f.wait("%s: listens for an Active%s", name, downIn(r))
		case r.State == "backup":
			f.note("%s takes part again: %s", name, hears(r))
		}
	case daemon.CommandUnmove:
		if r.Pinned != "" || r.MovedAway || r.MovedHere {
			f.wait("%s: the move to be taken back", name)
		}
	case daemon.CommandClear:
		f.judgeCleared(r)
	}
}

// judgeLeaving is about a router that is to be Active elsewhere.
func (f *follower) judgeLeaving(st *control.Status, r *daemon.RouterStatus) {
	name, old := clean(r.Name), routerIn(f.before, r.Name)
	was := old != nil && old.State == "active" || f.stepped[r.Name]
	who, heard := f.successor(st, r, f.news(st, r))
	left := st.At.Sub(r.Since).Seconds()
	patience := emptyWait + 3*max(r.AdvertisementInterval, r.ActiveAdverInterval)
	if was && heard && r.State != "active" {
		f.gone[r.Name] = true
	}
	switch {
	case r.Yielding:
		f.wait("%s: a successor to be heard", name)
	case r.State == "active" && r.SteppingAside != "":
		f.wait("%s: its service group to come down", name)
	case r.State == "active" && f.gone[r.Name]:
		f.fail("%s is Active here again: whoever had taken over has given it back. See why on the other host: backbeat history %s", name, name)
	case r.State == "active" && f.stepped[r.Name]:
		f.fail("nobody took over: %s stays Active here. See on the other host: backbeat status %s", name, name)
	case r.State == "active":
		f.wait("%s: still Active here", name)
	case was && heard && f.verb() == daemon.CommandMove && left < keepWait:
		f.wait("%s: %s to keep it", name, who)
	case heard, !was && f.verb() == daemon.CommandMove:
	case min(left, f.elapsed(st)) < patience:
		f.wait("%s: another host to %s", name, map[bool]string{true: "take over", false: "be heard"}[was])
	case was:
		f.fail("nobody has taken over %s: its addresses are on no host that is heard here. Take them back: backbeat %s", name, f.back(r.Name))
	case old != nil && old.State == "backup":
		f.fail("nobody is heard who serves %s: its addresses may be on no host. To take part again: backbeat %s", name, f.back(r.Name))
	default:
		f.note("%s", f.yellow("nobody is heard who serves "+name))
	}
}

// judgeCleared is about a router whose group has been given another chance: it is
// seen through if this host is going to serve.
func (f *follower) judgeCleared(r *daemon.RouterStatus) {
	name, alone := clean(r.Name), r.Active == nil || r.Active.Priority == 0
	switch {
	case len(f.failed) > 0:
	case r.Fault == "service-group":
		f.wait("%s: %s", name, faultText(r))
	case r.Fault != "" && r.Fault != "pending":
		f.note("%s %s", name, f.yellow("takes no part all the same: "+faultText(r)))
	case r.State == "initialize" || r.State == "backup" && alone:
		f.wait("%s: %s", name, f.notYetActive(r))
	case r.State == "backup" && r.Active.Priority < r.EffectivePriority && r.Preempt && !r.MovedAway && r.PreemptDelay == 0 && r.PreemptIn == nil:
		f.wait("%s: %s", name, hears(r))
	case r.State == "backup":
		f.note("%s may serve again: %s", name, hears(r))
	}
}

// notYetActive says what a router that is to become Active waits for.
func (f *follower) notYetActive(r *daemon.RouterStatus) string {
	switch {
	case r.Fault != "":
		return "takes no part: " + faultText(r)
	case r.SettleIn != nil:
		return fmt.Sprintf("the link has just come up; takes part in %s (settle)", rest(*r.SettleIn))
	case r.Ready:
		return "won here; waits for the other members of sync group " + clean(r.SyncGroup)
	case r.Active != nil:
		return hears(r)
	default:
		return "listens for an Active" + downIn(r)
	}
}

func downIn(r *daemon.RouterStatus) string {
	if r.ActiveDownIn == nil {
		return ""
	}
	return "; takes over in " + rest(*r.ActiveDownIn) + " if there is none"
}

func (f *follower) judgeGroup(s *daemon.ServiceStatus) {
	name := clean(s.Name)
	switch f.verb() {
	case daemon.CommandMaintenanceOn:
		if s.Maintenance == "" {
			f.wait("%s: maintenance to begin", name)
		}
	case daemon.CommandMaintenanceOff:
		if s.Maintenance != "" {
			f.wait("%s: maintenance to end", name)
		}
	case daemon.CommandGroupStop:
		f.judgeStop(s)
	case daemon.CommandGroupRestart:
		f.judgeRestart(s)
	case daemon.CommandUnmove:
	default:
		f.judgeSettled(s)
	}
}

// judgeSettled: a group is where it is wanted.
func (f *follower) judgeSettled(s *daemon.ServiceStatus) {
	name := clean(s.Name)
	switch {
	case s.Stuck != "":
		f.fail("%s is stuck: %s. Correct it, then: backbeat clear %s", name, clean(s.Stuck), name)
	case s.Aim == "up" && (s.State == "up" || s.State == "limited"):
	case s.State == "unfit" && (s.Aim == "up" || f.wantsUp()):
		f.fail("%s: this host cannot serve: %s. Correct it, then: backbeat clear %s", name, clean(s.Unfit), name)
	case s.State == "looking" && f.verb() == daemon.CommandClear:
		f.wait("%s: %s", name, groupWaits(s))
	case s.Aim == "down" && standsDown(s, 0):
		if f.verb() == daemon.CommandClear && s.Unqualified != "" {
			f.note("%s: %s", name, f.yellow("it still could not be brought up here: "+clean(s.Unqualified)))
		}
	case s.Maintenance != "":
		f.note("%s: %s", name, f.yellow("its steps are not touched: "+clean(s.Maintenance)))
	default:
		f.wait("%s: %s", name, groupWaits(s))
	}
}

// wantsUp reports whether what was asked for is to bring the group up, so that a host
// that cannot has failed, although it has settled.
func (f *follower) wantsUp() bool {
	switch f.verb() {
	case daemon.CommandClear, daemon.CommandGroupStart, daemon.CommandGroupRestart, daemon.CommandFenceConfirm:
		return true
	case daemon.CommandMove:
		return f.list[0].Here
	}
	return false
}

// judgeStop: the steps from the one named on are down.
func (f *follower) judgeStop(s *daemon.ServiceStatus) {
	from := f.stepIndex(s)
	switch name := clean(s.Name); {
	case s.Stuck != "":
		f.fail("%s is stuck: %s. Correct it, then: backbeat clear %s", name, clean(s.Stuck), name)
	case !standsDown(s, from):
		f.wait("%s: %s", name, groupWaits(s))
	case f.list[0].Unmanage && s.Maintenance == "":
		f.wait("%s: maintenance to begin", name)
	}
}

// judgeRestart: the step named has been started anew, and all is up again.
func (f *follower) judgeRestart(s *daemon.ServiceStatus) {
	name, i := clean(s.Name), f.stepIndex(s)
	if i >= len(s.Steps) {
		return
	}
	k := &s.Steps[i]
	old := stepIn(serviceIn(f.before, s.Name), k.Name)
	switch again := old == nil || k.Starts > old.Starts; {
	case s.Stuck != "" || s.State == "unfit":
		f.judgeSettled(s)
	case !again || s.Aim == "up" && s.State != "up" && s.State != "limited":
		f.wait("%s: %s", name, groupWaits(s))
	}
}

// stepIndex is the step that was named, 0 without a name.
func (f *follower) stepIndex(s *daemon.ServiceStatus) int {
	want := f.list[0].Step
	if want == "" {
		return 0
	}
	for i := range s.Steps {
		if n := s.Steps[i].Name; n == want || strings.HasSuffix(n, "."+want) {
			return i
		}
	}
	return len(s.Steps)
}

// standsDown reports whether the steps from one on are down and stay so.
func standsDown(s *daemon.ServiceStatus, from int) bool {
	for i := min(from, len(s.Steps)); i < len(s.Steps); i++ {
		if k := &s.Steps[i]; k.State != "down" || moves(k.Doing) && k.Doing != "prepare" {
			return false
		}
	}
	return true
}

// groupWaits says what a group is at: the step that is being moved and what that
// waits for.
func groupWaits(s *daemon.ServiceStatus) string {
	for i := range s.Steps {
		k := &s.Steps[i]
		if !moves(k.Doing) {
			continue
		}
		text := fmt.Sprintf("%s %s for %s", clean(k.Name), doing(k.Doing), rest(k.DoingFor))
		if k.Progress != "" {
			text += ": " + clean(k.Progress)
		} else if k.Detail != "" {
			text += ": " + clean(k.Detail)
		}
		return text
	}
	if s.ClaimWaits != "" && s.State == "claiming" {
		return clean(s.ClaimWaits)
	}
	if s.Text != "" {
		return clean(s.Text)
	}
	return clean(s.State)
}

// closing is what to say when everything is so.
func (f *follower) closing(st *control.Status) {
	if len(f.waits) > 0 || len(f.failed) > 0 {
		return
	}
	for i := range f.list {
		if s := f.closed(st, &f.list[i]); s != "" {
			f.notes = append(f.notes, s)
		}
	}
}

func (f *follower) closed(st *control.Status, q *control.CommandRequest) string {
	name, until := clean(q.Name), ""
	if q.For > 0 {
		until = ", or until " + f.before.At.Add(time.Duration(q.For*float64(time.Second))).In(f.zone).Format("2006-01-02 15:04:05")
	}
	all := name
	if all == "" {
		all = "this host (" + clean(st.Node) + ")"
	}
	command := func(verb string) string { return strings.TrimSpace("backbeat " + verb + " " + name) }
	switch q.Verb {
	case daemon.CommandStandby:
		return fmt.Sprintf("%s is in standby until %s%s", all, command("online"), until)
	case daemon.CommandOnline:
		if !slices.ContainsFunc(f.routers, func(n string) bool { r := routerIn(f.before, n); return r != nil && r.Standby != "" }) {
			return "" // the answer has said that it is not
		}
		return all + " is not in standby" + f.stands(st)
	case daemon.CommandMove:
		switch {
		case q.Here:
			return name + " is Active here" + f.stands(st)
		case q.Pin:
			return fmt.Sprintf("%s stays away from this host until %s%s, unless there is no other", name, command("unmove"), until)
		default:
			return fmt.Sprintf("%s has moved; this host does not take it back while the other is well (%s lets priorities decide again)", name, command("unmove"))
		}
	case daemon.CommandUnmove:
		if !slices.ContainsFunc(f.routers, func(n string) bool {
			r := routerIn(f.before, n)
			return r != nil && (r.Pinned != "" || r.MovedAway || r.MovedHere || r.SteppingAside != "" || r.Yielding)
		}) {
			return "" // the answer has said that it was not moved
		}
		return name + ": priorities decide again"
	case daemon.CommandMaintenanceOn:
		return fmt.Sprintf("maintenance of %s: steps are looked at and not touched until %s%s", joined(f.services), command("maintenance off"), until)
	case daemon.CommandMaintenanceOff:
		if !slices.ContainsFunc(f.services, func(n string) bool { s := serviceIn(f.before, n); return s != nil && s.Maintenance != "" }) {
			return "" // the answer has said that there was none
		}
		return "maintenance is over" + f.stands(st)
	case daemon.CommandGroupStop:
		what := "all of it stays down"
		if s := serviceIn(st, joined(f.services)); q.Step != "" && s != nil && f.stepIndex(s) < len(s.Steps) {
			what = clean(s.Steps[f.stepIndex(s)].Name) + " and what stands on it stay down"
		}
		s := fmt.Sprintf("%s: %s until backbeat group start %s", name, what, name)
		if q.Unmanage {
			s += fmt.Sprintf("; nothing is touched until %s%s", command("maintenance off"), until)
		}
		return s
	case daemon.CommandClear:
		return name + ": failures are forgotten" + f.stands(st)
	case daemon.CommandFenceConfirm:
		return "the other host counts as off" + f.stands(st)
	default:
		return "done" + f.stands(st)
	}
}

// stands is ": site is up, 3 of 3 steps".
func (f *follower) stands(st *control.Status) string {
	var list []string
	for _, n := range f.services {
		if s := serviceIn(st, n); s != nil {
			list = append(list, fmt.Sprintf("%s is %s, %d of %d steps up", clean(n), clean(s.State), s.Up, s.Total))
		}
	}
	if len(list) == 0 {
		return ""
	}
	return ": " + strings.Join(list, "; ")
}

// back is the verb that undoes what was asked of a router.
func (f *follower) back(router string) string {
	switch q := &f.list[0]; {
	case q.Verb == daemon.CommandStandby && q.Name == "":
		return "online"
	case q.Verb == daemon.CommandStandby:
		return "online " + clean(q.Name)
	default:
		return "move " + clean(router) + " --here"
	}
}

// wayBack is how to undo what goes on, where there is a way.
func (f *follower) wayBack() string {
	if len(f.list) == 0 {
		return ""
	}
	switch q := &f.list[0]; q.Verb {
	case daemon.CommandStandby:
		return "; to go back: backbeat " + f.back("")
	case daemon.CommandMove:
		if q.Here {
			return ""
		}
		return "; to go back: backbeat unmove " + clean(q.Name)
	case daemon.CommandGroupStop:
		return "; to go back: backbeat group start " + clean(q.Name)
	default:
		return ""
	}
}

func joined(list []string) string { return clean(strings.Join(list, ", ")) }
