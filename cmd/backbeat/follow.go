package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// repeatPause is how long a line that differs from the one before in numbers
// only ("try 4") is not said again.
const repeatPause = 10.0

// follower turns looks at the status into lines of progress, and knows when what
// was asked for is so. It reads no clock: time is what the answers say.
type follower struct {
	look
	zone   *time.Location
	list   []control.CommandRequest // what was asked for and not refused
	before *control.Status          // as it was before
	last   *control.Status

	// routers and services are the names of those it concerns.
	routers, services []string
	told              map[string]string  // the last line about each thing
	toldAt            map[string]float64 // and when
	stepped           map[string]bool    // routers seen on their way out
	gone              map[string]bool    // routers that another host has taken over
	moving            map[string]float64 // since when a step is being moved

	// What the last look has come to.
	waits, failed, notes []string
	seen                 bool
}

func newFollower(t *tool, before *control.Status, list []control.CommandRequest) *follower {
	return &follower{look: t.look, zone: t.zone, before: before, last: before,
		told: map[string]string{}, toldAt: map[string]float64{}, stepped: map[string]bool{}, gone: map[string]bool{}, moving: map[string]float64{}}
}

// concerns notes a command that was accepted, and whom it is about.
func (f *follower) concerns(q *control.CommandRequest, a *control.CommandAnswer) {
	f.list = append(f.list, *q)
	for _, n := range a.Routers {
		f.routers = with(f.routers, n)
	}
	for _, n := range a.Services {
		f.services = with(f.services, n)
	}
	for i := range f.before.Services {
		s := &f.before.Services[i]
		if q.Verb == daemon.CommandClear && slices.Contains(a.Services, s.Name) {
			// Failures are forgotten for the sake of the virtual routers.
			for _, n := range s.Follows {
				if routerIn(f.before, n) != nil {
					f.routers = with(f.routers, n)
				}
			}
		}
		// A virtual router that leaves waits for its group, whoever named it.
		if len(a.Services) == 0 && slices.ContainsFunc(s.Follows, func(n string) bool { return slices.Contains(f.routers, n) }) {
			f.services = with(f.services, s.Name)
		}
	}
}

// with adds a name that is not there yet.
func with(list []string, name string) []string {
	if slices.Contains(list, name) {
		return list
	}
	return append(list, name)
}

// name is what to ask the status for: the one thing concerned, or everything.
func (f *follower) name() string {
	if len(f.list) == 1 && len(f.routers) <= 1 && len(f.services) <= 1 {
		return f.list[0].Name
	}
	return ""
}

// over reports whether there is nothing left to look for.
func (f *follower) over() bool { return f.seen && (len(f.waits) == 0 || len(f.failed) > 0) }

// done reports whether what was asked for is so.
func (f *follower) done() bool { return f.seen && len(f.waits) == 0 && len(f.failed) == 0 }

// observe takes a look in and returns what is new, line by line.
func (f *follower) observe(st *control.Status) (lines []string) {
	f.seen, f.waits, f.failed, f.notes = true, nil, nil, nil
	lines = f.routerLines(lines, st, true)
	for i := range st.Services {
		if s := &st.Services[i]; slices.Contains(f.services, s.Name) {
			lines = append(lines, f.groupLines(st, s)...)
		}
	}
	lines = f.routerLines(lines, st, false)
	f.judge(st)
	f.last = st
	return lines
}

// routerLines tells what has changed of the virtual routers: of those that wait
// for their group before what that does, of the others after it.
func (f *follower) routerLines(lines []string, st *control.Status, waiting bool) []string {
	for i := range st.Routers {
		r := &st.Routers[i]
		if !slices.Contains(f.routers, r.Name) || waiting != (r.SteppingAside != "") {
			continue
		}
		if r.Yielding || r.SteppingAside != "" {
			f.stepped[r.Name] = true
		}
		lines = f.say(lines, st, r.Name, r.Name, f.phrase(st, r))
	}
	return lines
}

// say adds a line about a thing unless that is what was said last.
func (f *follower) say(lines []string, st *control.Status, key, name, text string) []string {
	at := f.elapsed(st)
	was, known := f.told[key]
	if text == "" || known && (was == text || unnumbered(was) == unnumbered(text) && at-f.toldAt[key] < repeatPause) {
		return lines
	}
	f.told[key], f.toldAt[key] = text, at
	width := 0
	for _, n := range slices.Concat(f.routers, f.services) {
		width = max(width, len(n))
	}
	return append(lines, fmt.Sprintf("%s  %-*s  %s", f.dim(fmt.Sprintf("%6.1f s", at)), width, clean(name), text))
}

// unnumbered is a text without its numbers.
func unnumbered(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, s)
}

func (f *follower) elapsed(st *control.Status) float64 { return st.At.Sub(f.before.At).Seconds() }

// phrase says where a virtual router is on its way; empty as long as it is
// where it was before the request.
func (f *follower) phrase(st *control.Status, r *daemon.RouterStatus) string {
	news := f.news(st, r)
	now := f.stand(st, r, news)
	if old := routerIn(f.before, r.Name); old != nil && f.told[r.Name] == "" && f.stand(f.before, old, math.Inf(1)) == now {
		return ""
	}
	return now
}

// hearing is how much younger than the request an advert must be to be one that
// came after it, in seconds.
const hearing = 0.05

// news is how old an advert may be, in seconds, to say who serves: one from before
// the request may be the last one of a host that has just left. What has not
// moved hears the same Active as before.
func (f *follower) news(st *control.Status, r *daemon.RouterStatus) float64 {
	old := routerIn(f.before, r.Name)
	if !f.leaves() || old != nil && old.State == "backup" && r.State == "backup" && !f.stepped[r.Name] {
		return math.Inf(1)
	}
	return f.elapsed(st) - hearing
}

// leaves reports whether what was asked for takes routers away from this host.
func (f *follower) leaves() bool {
	return f.verb() == daemon.CommandStandby || f.verb() == daemon.CommandMove && !f.list[0].Here
}

// stand says where a virtual router is; adverts older than news do not count.
func (f *follower) stand(st *control.Status, r *daemon.RouterStatus, news float64) string {
	who, heard := f.successor(st, r, news)
	switch {
	case r.Yielding:
		return "has said goodbye; waits until a successor is heard"
	case r.State == "active" && r.SteppingAside != "":
		return "steps aside as soon as its service group is down"
	case r.State == "active":
		return f.green("is Active here")
	case heard:
		return who + " is Active now"
	case r.State == "backup":
		return "listens for an Active"
	case r.Standby != "":
		return "is out; nobody else has been heard yet"
	case r.Fault == "" && r.SettleIn != nil:
		return "the link has just come up; takes part soon (settle)"
	default:
		return f.yellow("takes no part: " + faultText(r))
	}
}

// successor names the other host that is Active: as heard now, or, for a router
// that takes no part and believes nobody, whoever was heard since it left; in
// either case not longer than news ago.
func (f *follower) successor(st *control.Status, r *daemon.RouterStatus, news float64) (who string, heard bool) {
	if a := r.Active; a != nil && !a.Self && a.Priority > 0 && a.HeardAgo <= news {
		return fmt.Sprintf("%s (priority %d)", clean(a.Address), a.Priority), true
	}
	// The successor's first advert ends our time as Active, and may be older than that by a bit.
	if p := lastPeer(r, min(news, st.At.Sub(r.Since).Seconds()+0.1)); p != nil {
		return fmt.Sprintf("%s (priority %d)", clean(p.Address), p.Priority), true
	}
	who = overheardWithin(r, news)
	return who, who != ""
}

// lastPeer is the peer that a router in Initialize has believed last, within
// that many seconds.
func lastPeer(r *daemon.RouterStatus, within float64) *daemon.PeerStatus {
	for i := range r.Peers {
		if p := &r.Peers[i]; r.State == "initialize" && p.RefusedAs == "" && !p.ForeignGroup && p.Priority > 0 && p.HeardAgo <= within {
			return p
		}
	}
	return nil
}

// overheard is who else advertises for a router in Initialize, which does not
// listen to anybody; empty if nobody was heard lately.
func overheard(r *daemon.RouterStatus) string { return overheardWithin(r, math.Inf(1)) }

// overheardWithin is overheard, and not longer than so many seconds ago.
func overheardWithin(r *daemon.RouterStatus, within float64) string {
	lately := 3*max(r.AdvertisementInterval, r.ActiveAdverInterval) + 1
	for i := range r.Refused {
		if v := &r.Refused[i]; r.State == "initialize" && v.Drop == vrrp.DropNotReady.String() && v.Source != "" && v.AgoSeconds < lately && v.AgoSeconds <= within {
			return clean(v.Source)
		}
	}
	if p := lastPeer(r, min(lately, within)); p != nil {
		return clean(p.Address)
	}
	return ""
}

// groupLines tells what has changed of a group and its steps.
func (f *follower) groupLines(st *control.Status, s *daemon.ServiceStatus) (lines []string) {
	old := serviceIn(f.last, s.Name)
	steps := slices.Clone(s.Steps)
	if s.Aim == "down" || slices.ContainsFunc(steps, func(k daemon.StepStatus) bool { return moves(k.Doing) && strings.HasSuffix(k.Doing, "stop") }) {
		slices.Reverse(steps) // as they go
	}
	type event struct {
		at        float64
		key, text string
	}
	var events []event
	for i := range steps {
		k, key := &steps[i], s.Name+"/"+steps[i].Name
		if _, known := f.moving[key]; moves(k.Doing) && !known {
			f.moving[key] = f.elapsed(st) - k.DoingFor
		}
		if text := f.stepLine(st, stepIn(old, k.Name), k, key); text != "" {
			at := f.elapsed(st)
			switch {
			case !moves(k.Doing):
				at -= k.For
			case k.Progress == "": // else it is about now
				at -= k.DoingFor
			}
			events = append(events, event{at, key, text})
		}
		if !moves(k.Doing) && k.State != "neither" {
			delete(f.moving, key)
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) }) // as it went
	for _, e := range events {
		lines = f.say(lines, st, e.key, s.Name, e.text)
	}
	switch s.State {
	case "claiming":
		lines = f.say(lines, st, s.Name, s.Name, f.yellow("waits before it touches exclusive data: "+clean(s.ClaimWaits)))
	case "unfit":
		lines = f.say(lines, st, s.Name, s.Name, f.red("this host cannot serve: "+clean(s.Unfit)))
	}
	return lines
}

// stepLine is what is new about a step since the last look, or nothing.
func (f *follower) stepLine(st *control.Status, was, k *daemon.StepStatus, key string) string {
	name := clean(k.Name)
	switch {
	case k.Stuck && (was == nil || !was.Stuck):
		return f.red(name + " is stuck: " + clean(k.Detail))
	case was == nil:
		return ""
	case moves(k.Doing) && k.Progress != "" && k.Progress != was.Progress:
		return name + " " + doing(k.Doing) + ": " + clean(k.Progress)
	case moves(k.Doing):
		if k.Doing == was.Doing && k.DoingFor > was.DoingFor {
			return ""
		}
		return name + " " + doing(k.Doing)
	case k.State != was.State:
		took := ""
		if at, known := f.moving[key]; known && f.elapsed(st)-k.For > at {
			took = " (" + rest(math.Round((f.elapsed(st)-k.For-at)*100)/100) + ")"
		}
		return f.stepState(name, k, took)
	}
	return ""
}

func (f *follower) stepState(name string, k *daemon.StepStatus, took string) string {
	detail := ""
	if k.Detail != "" {
		detail = ": " + clean(k.Detail)
	}
	switch k.State {
	case "up":
		return f.green(name+" up") + took + detail
	case "down":
		if !strings.HasPrefix(k.Detail, "Secondary") { // a role is worth a word; that what is down does not run is not
			detail = ""
		}
		return name + " down" + took + detail
	case "neither":
		if detail != "" {
			return f.yellow(name) + detail
		}
		return f.yellow(name + " is neither up nor down")
	default:
		return f.yellow(name+" cannot be looked at") + detail
	}
}

// moves reports whether a job changes something.
func moves(verb string) bool {
	switch verb {
	case actions.Start.String(), actions.Stop.String(), actions.ForceStop.String(), actions.Prepare.String():
		return true
	}
	return false
}

// doing is what a job does, in words.
func doing(verb string) string {
	switch verb {
	case actions.Start.String():
		return "starting"
	case actions.Stop.String():
		return "stopping"
	case actions.ForceStop.String():
		return "being stopped by force"
	case actions.Prepare.String():
		return "being prepared"
	case actions.Look.String():
		return "being looked at"
	case actions.Qualify.String():
		return "being asked whether it could be brought up"
	default:
		return clean(verb)
	}
}

// end prints what it has come to.
func (f *follower) end(w io.Writer, out *outcome) {
	for _, s := range out.Notes {
		fmt.Fprintln(w, s)
	}
	for _, s := range out.Failed {
		fmt.Fprintln(w, f.red("failed: ")+s)
	}
	if len(out.Waits) > 0 && len(out.Failed) == 0 {
		fmt.Fprintln(w, f.yellow(fmt.Sprintf("not done after %s, and not followed any longer; it goes on by itself. It waits for:", rest(out.Took))))
		for _, s := range out.Waits {
			fmt.Fprintln(w, "  "+s)
		}
		fmt.Fprintln(w, "backbeat status shows how it goes on"+f.wayBack())
	}
}

func routerIn(st *control.Status, name string) *daemon.RouterStatus {
	for i := range st.Routers {
		if st.Routers[i].Name == name {
			return &st.Routers[i]
		}
	}
	return nil
}

func serviceIn(st *control.Status, name string) *daemon.ServiceStatus {
	for i := range st.Services {
		if st.Services[i].Name == name {
			return &st.Services[i]
		}
	}
	return nil
}

func stepIn(s *daemon.ServiceStatus, name string) *daemon.StepStatus {
	if s == nil {
		return nil
	}
	for i := range s.Steps {
		if s.Steps[i].Name == name {
			return &s.Steps[i]
		}
	}
	return nil
}
