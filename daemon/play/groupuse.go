package play

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
)

// groups follows every service group: on which hosts all of its steps are up.
type groups struct {
	uses  []*groupUse
	off   []bool // by host, when it was looked last
	dirty bool
}

// groupUse is the life of one service group.
type groupUse struct {
	name  string
	jobs  [][]string // by host, the names of its steps' jobs; nil where there is no such group
	stays []stay
	first time.Duration // when it was up first, -1: never
	ups   int           // how often it came up on a host
}

func (g *groups) init(cfgs []*daemon.Config) {
	g.off = make([]bool, len(cfgs))
	for host, c := range cfgs {
		for i := range c.Services {
			l := &c.Services[i].Ladder
			n := slices.IndexFunc(g.uses, func(u *groupUse) bool { return u.name == l.Name })
			if n < 0 {
				n = len(g.uses)
				g.uses = append(g.uses, &groupUse{name: l.Name, jobs: make([][]string, len(cfgs)), stays: []stay{{}}, first: -1})
			}
			for k := range l.Steps {
				g.uses[n].jobs[host] = append(g.uses[n].jobs[host], l.Name+"/"+l.Steps[k].Name)
			}
		}
	}
}

// lookGroups looks where the groups are up, if a step or a host has changed.
func (s *stage) lookGroups() {
	for i, h := range s.hosts {
		if off := h.Off() || h.Paused(); off != s.groups.off[i] {
			s.groups.off[i], s.groups.dirty = off, true
		}
	}
	if !s.groups.dirty {
		return
	}
	s.groups.dirty = false
	for _, u := range s.groups.uses {
		u.look(s)
	}
}

func (u *groupUse) look(s *stage) {
	var up []string
	before := split(u.stays[len(u.stays)-1].hosts)
	for i, h := range s.hosts {
		down := func(job string) bool {
			f := s.broken[i][job]
			return h.Steps[job] != actions.Up || f != nil && !f.stuck
		}
		if len(u.jobs[i]) == 0 || s.groups.off[i] || slices.ContainsFunc(u.jobs[i], down) {
			continue
		}
		up = append(up, h.Name)
		if !slices.Contains(before, h.Name) {
			u.ups++
		}
	}
	now := stay{from: s.Now(), hosts: strings.Join(up, " "), count: len(up)}
	if u.first < 0 && now.count > 0 {
		u.first = now.from
	}
	if u.stays[len(u.stays)-1].hosts != now.hosts {
		u.stays = append(u.stays, now)
	}
}

// sum is what a life comes to.
func (u *groupUse) sum(end time.Duration) GroupUse {
	g := GroupUse{Name: u.name, UpOn: split(u.stays[len(u.stays)-1].hosts), Ups: u.ups}
	if u.first >= 0 {
		at := u.first.Seconds()
		g.FirstUp = &at
	}
	for i, x := range u.stays {
		if x.count == 0 && u.first >= 0 && x.from >= u.first {
			long := (until(u.stays, i, end) - x.from).Seconds()
			g.Nowhere += long
			g.LongestNowhere = max(g.LongestNowhere, long)
		}
	}
	return g
}

// follows names the routers of a service group, as the first host has it.
func (s *stage) follows(group string) string {
	for _, c := range s.opt.Hosts {
		for i := range c.Services {
			if c.Services[i].Ladder.Name == group {
				return strings.Join(c.Services[i].Follows, ", ")
			}
		}
	}
	return ""
}

// concludeGroups sums up the service groups, and finds those that are not up
// anywhere at the end and the hosts that are stuck with one or unfit for it.
func (s *stage) concludeGroups(r *Result) (findings []Finding) {
	for _, u := range s.groups.uses {
		g := u.sum(s.Now())
		r.Services = append(r.Services, g)
		if len(g.UpOn) == 0 {
			how := "at the end"
			if g.FirstUp == nil {
				how = "at any time"
			}
			findings = append(findings, Finding{Kind: FindDown, Router: s.follows(u.name), Service: u.name, Text: fmt.Sprintf("service group %s is up nowhere %s", u.name, how)})
		}
	}
	for i := range r.Hosts {
		for _, g := range r.Hosts[i].Services {
			kind := map[string]string{"stuck": FindGroupStuck, "unfit": FindUnfit}[g.State]
			if kind == "" {
				continue
			}
			findings = append(findings, Finding{Kind: kind, Router: s.follows(g.Name), Service: g.Name, Node: r.Hosts[i].Node,
				Text: fmt.Sprintf("service group %s is %s on %s at the end: %s", g.Name, g.State, r.Hosts[i].Node, g.Text)})
		}
	}
	return findings
}
