package daemon

import (
	"slices"
	"time"
)

// checkStatus copies the checks out: all, or those that the routers of a
// query depend on.
func (l *Loop) checkStatus(now time.Duration, name string, list []*router) []CheckStatus {
	var out []CheckStatus
	users := map[string][]string{}
	for _, r := range l.routers {
		for _, d := range l.dependencies(r) {
			for _, c := range d.Checks {
				if !slices.Contains(users[c], r.cfg.Name) {
					users[c] = append(users[c], r.cfg.Name)
				}
			}
		}
	}
	for _, c := range l.checks {
		of := users[c.fsm.Spec().Name]
		if name != "" && !slices.ContainsFunc(list, func(r *router) bool { return slices.Contains(of, r.cfg.Name) }) {
			continue
		}
		out = append(out, c.status(now, of))
	}
	return out
}

func (c *check) status(now time.Duration, users []string) CheckStatus {
	v, spec := c.fsm.View(), c.fsm.Spec()
	s := CheckStatus{Name: spec.Name, Verdict: v.Verdict.String(), Since: c.since, Stand: v.Stand.String(), Why: c.fsm.Why(), Routers: users,
		Interval: spec.Interval.Seconds(), Timeout: spec.Timeout.Seconds(), Rise: spec.Rise, Fall: spec.Fall, Running: v.Running,
		Runs: v.Counters.Runs, Failed: v.Counters.Failed, NotRun: v.Counters.NotRun, Late: v.Counters.Late, Changes: v.Counters.Changes}
	if users == nil {
		s.Routers = []string{}
	}
	if v.Ended {
		s.Last = &RunStatus{Outcome: v.Last.Outcome.String(), Detail: v.Last.Detail, Output: v.Last.Output,
			Took: v.Last.Took.Seconds(), Ago: (now - v.LastAt).Seconds()}
	}
	return s
}

// contributions are the lines of why a router's priority is what it is.
func (l *Loop) contributions(r *router) []ContributionStatus {
	var out []ContributionStatus
	deps := l.dependencies(r)
	for i := range deps {
		d := &deps[i]
		c := l.contribution(d)
		s := ContributionStatus{Checks: d.Checks, Effect: d.Influence.String(), Weight: d.Weight, Adds: c.Weight, Stand: c.Stand.String(), Why: l.whyBad(d)}
		if len(d.Checks) > 1 {
			s.Mode = d.Mode.String()
		}
		out = append(out, s)
	}
	return out
}
