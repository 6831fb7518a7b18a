package play

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/backbeat-ha/backbeat/daemon"
)

// conclude writes down how everything is at the end.
func (s *stage) conclude(r *Result) {
	for i := range s.hosts {
		r.Hosts = append(r.Hosts, s.hostResult(i))
	}
	lines, uses, findings := s.holders.report(s.Now())
	r.Addresses = uses
	for i := range findings {
		findings[i].Text += s.leftBehind(&findings[i])
	}
	s.settleOrders(-1)
	findings = append(append(findings, s.concludeGroups(r)...), s.failed...)
	for i := range s.opt.Hosts {
		for _, g := range s.opt.Hosts[i].Services {
			for _, step := range g.Ladder.Steps {
				if name := g.Ladder.Name + "/" + step.Name; s.writers[name] {
					delete(s.writers, name)
					findings = append(findings, Finding{Kind: FindWriters, Router: strings.Join(g.Follows, ", "),
						Text: fmt.Sprintf("%s was up on several hosts at one time: two writers damage exclusive data", name)})
				}
			}
		}
	}
	r.Findings = append(r.Findings, findings...)
	r.Timeline = append(s.timeline, lines...)
	if r.Timeline == nil {
		r.Timeline = []Event{}
	}
	slices.SortStableFunc(r.Timeline, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
}

// leftBehind names the hosts that hold an address although no daemon runs there.
func (s *stage) leftBehind(f *Finding) string {
	var dead []string
	for _, h := range s.hosts {
		if f.Kind == FindSeveral && h.Process == nil && slices.Contains(f.holders, h.Name) {
			dead = append(dead, h.Name)
		}
	}
	if len(dead) == 0 {
		return ""
	}
	return fmt.Sprintf("; on %s no daemon runs, and the address stays there until one starts", strings.Join(dead, " and "))
}

func (s *stage) hostResult(i int) HostResult {
	h := s.hosts[i]
	r := HostResult{Node: h.Name, State: "running", Interfaces: []NICResult{}, Routers: []RouterResult{}}
	switch {
	case h.Off():
		r.State = "off"
	case h.Process == nil:
		r.State = "stopped"
	case s.frozen[i]:
		r.State = "frozen"
	}
	for _, n := range h.NICs() {
		if n.Name == "" {
			continue
		}
		x := NICResult{Name: n.Name, Link: n.Link + 1, Addresses: []string{}, Invented: s.cast.invented[place{i, n.Name}]}
		for _, a := range n.Own {
			x.Addresses = append(x.Addresses, a.String())
		}
		r.Interfaces = append(r.Interfaces, x)
	}
	now := map[string]*daemon.RouterStatus{}
	if h.Running() && !h.Stalled() {
		reply := make(chan daemon.StatusPage, 1)
		h.Process.Ask(daemon.StatusQuery{Limit: len(s.opt.Hosts[i].Routers), Reply: reply})
		page := <-reply
		for _, v := range page.Services {
			r.Services = append(r.Services, ServiceResult{v.Name, v.State, v.Up, v.Total, v.Text})
		}
		for j := range page.Routers {
			now[page.Routers[j].Name] = &page.Routers[j]
		}
	}
	for j := range s.opt.Hosts[i].Routers {
		c := &s.opt.Hosts[i].Routers[j]
		x := s.states[i][c.Name]
		if h.Process == nil {
			x = RouterResult{}
		}
		if v := now[c.Name]; v != nil {
			x.State, x.Reason, x.EffectivePriority, x.FaultDetail = v.State, v.Reason, v.EffectivePriority, v.FaultDetail
		}
		x.Name, x.Priority = c.Name, c.Spec.Priority
		r.Routers = append(r.Routers, x)
	}
	return r
}
