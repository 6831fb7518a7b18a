package play

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/simlan"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// order is a standby or a move that was asked for, and what the daemon said to it.
type order struct {
	fault   *Fault
	what    string // "standby", "move web"
	at      time.Duration
	process *simlan.Process // nil: no daemon ran there
	reply   chan daemon.CommandResult
	active  []string // the routers it is about that were Active there
	over    bool
}

// ordered begins to watch what becomes of a command.
func (s *stage) ordered(f *Fault, what string, c daemon.Command) *order {
	o := &order{fault: f, what: what, at: s.Now(), process: s.hosts[f.host].Process, reply: make(chan daemon.CommandResult, 1)}
	s.orders = append(s.orders, o)
	for _, name := range s.meant(f) {
		if s.states[f.host][name].State == vrrp.Active.String() {
			o.active = append(o.active, name)
		}
	}
	s.command(f, what, c, o.reply)
	return o
}

// meant are the virtual routers that a command names: one, those of a sync group
// or of a service group, or all.
func (s *stage) meant(f *Fault) (out []string) {
	c := s.opt.Hosts[f.host]
	for i := range c.Services {
		if c.Services[i].Ladder.Name == f.name {
			out = append(out, c.Services[i].Follows...)
		}
	}
	for i := range c.Routers {
		if r := &c.Routers[i]; (f.name == "" || r.Name == f.name || r.Group != "" && r.Group == f.name) && !slices.Contains(out, r.Name) {
			out = append(out, r.Name)
		}
	}
	return out
}

// settleOrders judges the orders of a host, or with -1 of all, that are not over:
// they end now.
func (s *stage) settleOrders(host int) {
	for _, o := range s.orders {
		if o.over || host >= 0 && (o.fault.host != host) {
			continue
		}
		o.over = true
		if why := s.unfulfilled(o); why != "" {
			node := s.hosts[o.fault.host].Name
			s.failed = append(s.failed, Finding{Kind: FindOrder, Router: strings.Join(s.meant(o.fault), ", "), Node: node,
				Text: fmt.Sprintf("backbeat %s on %s at %s is not fulfilled: %s", o.what, node, vrrp.Span(o.at), why)})
		}
	}
}

// unfulfilled says what keeps an order from being carried out, or nothing.
func (s *stage) unfulfilled(o *order) string {
	if o.process == nil {
		return "no daemon ran there"
	}
	select {
	case answer := <-o.reply:
		if !answer.OK {
			return answer.Text
		}
	default:
	}
	h := s.hosts[o.fault.host]
	if h.Process != o.process {
		return "" // whatever came after that is another story
	}
	var still []string
	for _, name := range o.active {
		if !s.left(o, name) {
			still = append(still, fmt.Sprintf("%s is Active there%s", name, map[bool]string{true: " still"}[o.fault.kind.Name == "move"]))
		}
	}
	if o.fault.kind.Name == "standby" {
		for _, u := range s.groups.uses {
			up := 0
			for _, job := range u.jobs[o.fault.host] {
				if x := h.Steps[job]; x != actions.Unknown && x != actions.Down {
					up++
				}
			}
			if up > 0 {
				still = append(still, fmt.Sprintf("of service group %s %d of %d steps are not down", u.name, up, len(u.jobs[o.fault.host])))
			}
		}
	}
	return strings.Join(still, ", ")
}

// left reports whether a router has given up being Active since an order; after a
// standby it must not be Active again.
func (s *stage) left(o *order, router string) bool {
	node := s.hosts[o.fault.host].Name
	if o.fault.kind.Name == "standby" {
		return s.states[o.fault.host][router].State != vrrp.Active.String()
	}
	return slices.ContainsFunc(s.timeline, func(e Event) bool {
		return e.Kind == KindTransition && e.Node == node && e.Router == router && e.From == vrrp.Active.String() && e.At >= o.at.Seconds()
	})
}
