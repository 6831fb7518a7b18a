package daemon

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// ServiceStatus is one service group for status. Durations are seconds.
type ServiceStatus struct {
	Name string `json:"name"`
	// Follows are the virtual routers it follows.
	Follows []string `json:"follows"`
	// State is "down", "starting", "up", "stopping", "unfit", "stuck", "claiming",
	// "looking" (not known yet), "limited" (up to where an operator allows).
	State string `json:"state"`
	// Aim is "up" or "down".
	Aim string `json:"aim"`
	// Up is how many steps from the first one are up, of Total.
	Up    int `json:"up"`
	Total int `json:"total"`
	// Text says in a sentence what is going on and why.
	Text string `json:"text"`
	// Safety is "not-needed", "none" or "fence": how two writers are prevented.
	Safety string `json:"safety"`
	// Claim says why exclusive data may be taken, ClaimWaits what that waits for.
	Claim      string `json:"claim,omitempty"`
	ClaimWaits string `json:"claim_waits,omitempty"`
	// FenceTrouble is why the fence devices would not work now, as they said when
	// they were tried last: every ten minutes.
	FenceTrouble string `json:"fence_trouble,omitempty"`
	// Unfit is why this host cannot serve; UnfitFor is the rest of the hold-off,
	// absent while the group still comes down.
	Unfit    string   `json:"unfit,omitempty"`
	UnfitFor *float64 `json:"unfit_for_seconds,omitempty"`
	// Unqualified is why this host could not bring the group up if it had to.
	Unqualified string `json:"unqualified,omitempty"`
	// Stuck names the step that cannot be brought down.
	Stuck string `json:"stuck,omitempty"`
	// Maintenance is the order for which nothing is touched.
	Maintenance string `json:"maintenance,omitempty"`
	// StoppedFrom is the step from which on an operator keeps the steps down.
	StoppedFrom   string       `json:"stopped_from,omitempty"`
	AddressesWhen string       `json:"addresses_when"`
	Steps         []StepStatus `json:"steps"`
}

// StepStatus is one step of a service group.
type StepStatus struct {
	// Name is kind and name: "drbd.wwwdata".
	Name string `json:"name"`
	// State is "up", "down", "neither", "unknown".
	State string `json:"state"`
	// For is how long it has been so.
	For float64 `json:"for_seconds"`
	// Doing is the job under way ("start", "stop", "force-stop", "look",
	// "qualify", "prepare"), DoingFor since when, Progress what it waits for.
	Doing    string  `json:"doing,omitempty"`
	DoingFor float64 `json:"doing_for_seconds,omitempty"`
	Progress string  `json:"progress,omitempty"`
	Detail   string  `json:"detail,omitempty"`
	Output   string  `json:"output,omitempty"`
	Degraded bool    `json:"degraded,omitempty"`
	Stuck    bool    `json:"stuck,omitempty"`
	// Unqualified is why it could not be brought up here.
	Unqualified string `json:"unqualified,omitempty"`
	// Stray is what was found of a step that is down, because this host does not serve,
	// and that somebody else has brought up all the same.
	Stray string `json:"stray,omitempty"`
	// LookedAgo is the time since it was looked at last, absent if it never was.
	LookedAgo *float64 `json:"looked_ago_seconds,omitempty"`
	// Restarts are those within the window, Allowed how many may be.
	Restarts        int    `json:"restarts"`
	Allowed         int    `json:"restarts_allowed"`
	Starts          uint64 `json:"starts"`
	StartFailures   uint64 `json:"start_failures"`
	Stops           uint64 `json:"stops"`
	StopFailures    uint64 `json:"stop_failures"`
	Monitors        uint64 `json:"monitors"`
	MonitorFailures uint64 `json:"monitor_failures"`
}

// serviceStatus copies the groups out: all, or those that the routers of a query
// have or that have its name.
func (l *Loop) serviceStatus(now time.Duration, name string, list []*router) []ServiceStatus {
	var out []ServiceStatus
	for _, s := range l.services {
		if name != "" && s.cfg.Ladder.Name != name && !slices.ContainsFunc(list, func(r *router) bool { return r.service == s }) {
			continue
		}
		out = append(out, l.oneService(now, s))
	}
	slices.SortFunc(out, func(a, b ServiceStatus) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (l *Loop) oneService(now time.Duration, s *service) ServiceStatus {
	v := s.ladder.View(now)
	st := ServiceStatus{Name: s.cfg.Ladder.Name, Follows: s.cfg.Follows, Aim: "down", Up: v.Height, Total: len(v.Steps),
		Safety: s.ladder.Spec().Safety.Mode.String(), ClaimWaits: v.ClaimWaits, FenceTrouble: s.devices.why, AddressesWhen: "active",
		Unqualified: s.face.unqualified, Stuck: s.face.stuck}
	if v.Aim {
		st.Aim = "up"
	}
	if v.Claimed {
		st.Claim = v.ClaimHow
	}
	if s.cfg.WhenReady {
		st.AddressesWhen = "ready"
	}
	if u := v.Unfit; u != nil {
		st.Unfit = u.Step + ": " + u.Why
		st.UnfitFor = rest(u.Until, now)
	}
	if o := l.orders.of(OrderMaintenance, s.cfg.Ladder.Name); o != nil {
		st.Maintenance = o.String()
	}
	if v.Limit < len(v.Steps) {
		st.StoppedFrom = v.Steps[v.Limit].Name
	}
	for i := range v.Steps {
		st.Steps = append(st.Steps, stepStatus(now, &v.Steps[i]))
	}
	st.State, st.Text = s.describe(&v, &st)
	return st
}

func stepStatus(now time.Duration, v *actions.StepView) StepStatus {
	s := StepStatus{Name: v.Name, State: v.State.String(), For: (now - v.Since).Seconds(), Progress: v.Progress, Detail: v.Detail, Output: v.Output,
		Degraded: v.Degraded, Stuck: v.Stuck, Unqualified: v.Unqualified, Stray: v.Stray, Restarts: v.Restarts, Allowed: v.Allowed,
		Starts: v.Counters.Starts, StartFailures: v.Counters.StartFailures, Stops: v.Counters.Stops, StopFailures: v.Counters.StopFailures,
		Monitors: v.Counters.Monitors, MonitorFailures: v.Counters.MonitorFailures}
	if v.Since == 0 {
		s.For = 0
	}
	if v.Working {
		s.Doing, s.DoingFor = v.Doing.String(), (now - v.Began).Seconds()
	}
	if v.LastAt > 0 {
		ago := (now - v.LastAt).Seconds()
		s.LookedAgo = &ago
	}
	return s
}

// describe is the state of a group in a word and in a sentence.
func (s *service) describe(v *actions.LadderView, st *ServiceStatus) (word, text string) {
	moving := ""
	for i := range v.Steps {
		if w := &v.Steps[i]; w.Working && !w.Monitor && w.Doing != actions.Qualify {
			moving = fmt.Sprintf("%s: %s", w.Name, w.Doing)
			if w.Progress != "" {
				moving += ": " + w.Progress
			}
		}
	}
	where := "followed router is not Active here"
	for _, r := range s.routers {
		if r.reluctant() {
			where = r.cfg.Name + " steps aside as soon as all steps are down"
		}
	}
	switch {
	case st.Stuck != "":
		return "stuck", st.Stuck + "; nothing below it is touched"
	case !v.Known && !v.Aim:
		return "looking", "finding out what is up"
	case v.Unfit != nil:
		return "unfit", "this host cannot serve: " + st.Unfit
	case v.Aim && v.ClaimWaits != "" && !v.Claimed:
		return "claiming", v.ClaimWaits
	case v.Ready && v.Limit < len(v.Steps):
		return "limited", "an operator keeps " + st.StoppedFrom + " and what stands on it down"
	case v.Ready:
		return "up", "all steps are up"
	case v.Aim:
		return "starting", moving
	case !v.Bottom:
		return "stopping", cmp.Or(moving, where)
	case st.Unqualified != "":
		return "down", "could not be brought up here: " + st.Unqualified
	default:
		return "down", where
	}
}
