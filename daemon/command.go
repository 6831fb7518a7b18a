package daemon

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// command carries out an operator's request, or says why not.
func (l *Loop) command(now time.Duration, c Command) CommandResult {
	if l.stopping {
		return CommandResult{Code: "stopping", Text: "the daemon is leaving"}
	}
	var res CommandResult
	switch c.Verb {
	case CommandStandby, CommandOnline:
		res = l.commandStandby(now, &c)
	case CommandMove:
		res = l.commandMove(now, &c)
	case CommandUnmove:
		res = l.commandUnmove(now, &c)
	case CommandClear:
		res = l.commandClear(now, &c)
	case CommandGroupStop, CommandGroupStart, CommandGroupRestart:
		res = l.commandGroup(now, &c)
	case CommandMaintenanceOn, CommandMaintenanceOff:
		res = l.commandMaintenance(now, &c)
	case CommandFenceConfirm:
		res = l.commandConfirm(now, &c)
	default:
		res = CommandResult{Code: "refused", Text: fmt.Sprintf("%q is not a command", c.Verb)}
	}
	if res.OK {
		l.followCommand(now, &c, &res)
	}
	level, word := slog.LevelInfo, "command"
	if !res.OK {
		level, word = slog.LevelWarn, "command refused"
	}
	reason := ""
	if c.Reason != "" {
		reason = " (" + c.Reason + ")"
	}
	l.log(level, fmt.Sprintf("%s by %s: %s%s: %s", word, c.By, strings.TrimSpace(string(c.Verb)+" "+c.Name+" "+c.Step), reason, res.Text))
	return res
}

// followCommand notes a command in the history of those it concerns.
func (l *Loop) followCommand(now time.Duration, c *Command, res *CommandResult) {
	f := Followup{What: "order: " + strings.Join(strings.Fields(string(c.Verb)+" "+c.Name+" "+c.Step), " "), Note: "by " + c.By}
	if c.Reason != "" {
		f.Note += ": " + c.Reason
	}
	for _, r := range l.routers {
		if slices.Contains(res.Routers, r.cfg.Name) || r.service != nil && slices.Contains(res.Services, r.service.cfg.Ladder.Name) {
			l.follow(now, r, f)
		}
	}
}

// chosen are the routers that a name means: one, all members of a sync group, those of
// a service group, or all with an empty name.
func (l *Loop) chosen(name string) (list []*router, fail *CommandResult) {
	for _, r := range l.routers {
		if !r.leaving && (name == "" || r.cfg.Name == name || r.cfg.Group == name || r.service != nil && r.service.cfg.Ladder.Name == name) {
			list = append(list, r)
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	f := CommandResult{Code: "unknown-name", Text: fmt.Sprintf("there is no virtual router or service group %q here", name)}
	if name == "" {
		f.Text = "there is no virtual router here"
	}
	for _, r := range l.routers {
		f.Suggestions = append(f.Suggestions, r.cfg.Name)
	}
	for _, s := range l.services {
		f.Suggestions = append(f.Suggestions, s.cfg.Ladder.Name)
	}
	return nil, &f
}

// tied adds the other members of the sync groups: they go together.
func tied(list []*router) []*router {
	var all []*router
	seen := map[*router]bool{}
	add := func(r *router) {
		if !seen[r] && !r.leaving {
			seen[r] = true
			all = append(all, r)
		}
	}
	for _, r := range list {
		add(r)
		if r.group != nil {
			for _, m := range r.group.members {
				add(m)
			}
		}
	}
	return all
}

func began(list []*router, text string) CommandResult {
	res := CommandResult{OK: true, Text: text}
	for _, r := range list {
		res.Routers = append(res.Routers, r.cfg.Name)
		if r.service != nil && (len(res.Services) == 0 || res.Services[len(res.Services)-1] != r.service.cfg.Ladder.Name) {
			res.Services = append(res.Services, r.service.cfg.Ladder.Name)
		}
	}
	return res
}

// order makes a standing order of a command.
func (l *Loop) order(kind OrderKind, name string, c *Command) Order {
	o := Order{Kind: kind, Name: name, By: c.By, Reason: c.Reason, Since: l.ports.Clock.Wall().Round(time.Second)}
	if c.For > 0 {
		o.Until = o.Since.Add(c.For)
	}
	return o
}

// ordered brings routers and groups to the orders in force, and keeps these.
func (l *Loop) ordered(now time.Duration) {
	if l.ports.Orders != nil {
		l.ports.Orders.Keep(append([]Order(nil), l.orders.list...))
	}
	l.armOrders(now)
	for _, s := range l.services {
		if managed := l.orders.of(OrderMaintenance, s.cfg.Ladder.Name) == nil; managed != s.ladder.Managed() {
			l.stepService(now, s, actions.Manage{On: managed})
		}
	}
	for _, r := range l.routers {
		if r.link != nil && !r.leaving {
			l.assess(now, r)
			l.stale(r)
		}
	}
	l.reevaluate(now)
}

// armOrders notes when the next order expires.
func (l *Loop) armOrders(now time.Duration) {
	l.orderAt = vrrp.Never
	wall := l.ports.Clock.Wall()
	for i := range l.orders.list {
		if until := l.orders.list[i].Until; !until.IsZero() {
			l.orderAt = min(l.orderAt, now+max(until.Sub(wall), 0)+time.Millisecond)
		}
	}
}

// expireOrders drops orders whose time has come.
func (l *Loop) expireOrders(now time.Duration) {
	l.orderAt = vrrp.Never
	wall := l.ports.Clock.Wall()
	var left []Order
	for _, o := range l.orders.list {
		if !o.Until.IsZero() && !wall.Before(o.Until) {
			l.log(slog.LevelInfo, fmt.Sprintf("%s has expired", o.String()))
			continue
		}
		left = append(left, o)
	}
	if len(left) == len(l.orders.list) {
		l.armOrders(now) // the wall clock was set back
		return
	}
	l.orders.list = left
	l.ordered(now)
}

func (l *Loop) commandStandby(now time.Duration, c *Command) CommandResult {
	list, fail := l.chosen(c.Name)
	if fail != nil {
		return *fail
	}
	who := "this host"
	if c.Name != "" {
		who = c.Name
	}
	if c.Verb == CommandOnline {
		if !l.lift(OrderStandby, c.Name, list) {
			if o := l.orders.of(OrderStandby, c.Name); o != nil {
				return CommandResult{Code: "refused", Text: fmt.Sprintf("the whole host is in %s: backbeat online, without a name, ends that", o)}
			}
			return began(list, who+" is not in standby")
		}
		l.ordered(now)
		return began(list, who+" takes part again")
	}
	for _, r := range list {
		if res := l.handsOff(r, c); res != nil {
			return *res
		}
	}
	if c.Name == "" {
		l.orders.set(l.order(OrderStandby, "", c))
	} else {
		for _, r := range list { // the name may be a group's
			l.orders.set(l.order(OrderStandby, r.cfg.Name, c))
		}
	}
	l.ordered(now)
	return began(list, who+" goes into standby")
}

// lift takes back the orders of a kind for routers, or with an empty name all of that kind.
func (l *Loop) lift(kind OrderKind, name string, list []*router) (some bool) {
	if name == "" {
		return l.orders.remove(kind, "")
	}
	for _, r := range list {
		some = l.orders.remove(kind, r.cfg.Name) || some
	}
	return some
}

// handsOff refuses what would need the steps of a group in maintenance to move.
func (l *Loop) handsOff(r *router, c *Command) *CommandResult {
	s := r.service
	if s == nil || s.ladder.Managed() || r.fsm.State() != vrrp.Active || s.ladder.Bottom() || c.Force {
		return nil
	}
	return &CommandResult{Code: "refused", Text: fmt.Sprintf("service group %s is in maintenance, so its steps would stay up on this host: backbeat maintenance off first", s.cfg.Ladder.Name)}
}

func (l *Loop) commandMove(now time.Duration, c *Command) CommandResult {
	list, fail := l.chosen(c.Name)
	if fail != nil {
		return *fail
	}
	if c.Name == "" {
		return CommandResult{Code: "refused", Text: "say what to move: backbeat move NAME"}
	}
	list = tied(list)
	if c.Here {
		return l.moveHere(now, list, c)
	}
	for _, r := range list {
		if res := l.handsOff(r, c); res != nil {
			return *res
		}
		switch st := r.fsm.State(); {
		case r.cfg.Owner:
			return CommandResult{Code: "refused", Text: fmt.Sprintf("%s has its addresses as owner (priority 255), which nobody can take: backbeat standby %s instead", r.cfg.Name, r.cfg.Name)}
		case st != vrrp.Active && !c.Pin:
			where := ""
			if h := r.fsm.View().Heard; st == vrrp.Backup && h.Src.IsValid() {
				where = fmt.Sprintf("; %s is Active", h.Src)
			}
			return CommandResult{Code: "not-active", Text: fmt.Sprintf("%s is %s here%s: run backbeat move %s there, or backbeat move %s --here", r.cfg.Name, title(st), where, c.Name, c.Name)}
		case st == vrrp.Active && r.service != nil && !c.Force:
			// Without a group there is nothing to lose: if nobody takes over, nothing has moved.
			if why := r.noTaker(now); why != "" {
				return CommandResult{Code: "refused", Text: why + ", so all steps would go down and up again for nothing; --force tries all the same"}
			}
		}
	}
	if c.Pin {
		for _, r := range list {
			l.orders.set(l.order(OrderPin, r.cfg.Name, c))
		}
	}
	for _, r := range list {
		if r.fsm.State() == vrrp.Active {
			r.moving, r.movedBy = true, "move by "+c.By
			if c.Reason != "" {
				r.movedBy += ": " + c.Reason
			}
			l.stepAside(now, r)
		}
	}
	if c.Pin {
		l.ordered(now)
	}
	return began(list, fmt.Sprintf("%s steps aside for whoever takes over", c.Name))
}

// stepAside lets a router that is moving go, now or when its group is down.
func (l *Loop) stepAside(now time.Duration, r *router) {
	if l.standing(r) {
		r.service.touch(l)
		return
	}
	r.moving = false
	l.step(now, r, vrrp.StepAside{Detail: r.movedBy})
}

func (l *Loop) moveHere(now time.Duration, list []*router, c *Command) CommandResult {
	for _, r := range list {
		st := r.fsm.View()
		switch {
		case st.State == vrrp.Active && !st.Yielding:
			return began(list, fmt.Sprintf("%s is Active here already", r.cfg.Name))
		case st.State != vrrp.Backup:
			return CommandResult{Code: "refused", Text: fmt.Sprintf("%s takes no part in the election here: %s", r.cfg.Name, r.fault())}
		case r.health.Degraded && !c.Force:
			return CommandResult{Code: "refused", Text: fmt.Sprintf("this host is degraded by %s; --force moves it here all the same", r.health.why)}
		}
	}
	for _, r := range list {
		l.orders.remove(OrderPin, r.cfg.Name)
		r.movedHere = true
		l.assess(now, r)
		l.step(now, r, vrrp.TakeOver{Detail: "move by " + c.By})
	}
	l.ordered(now)
	return began(list, fmt.Sprintf("%s comes here", c.Name))
}

// fault is why a router takes no part, in words.
func (r *router) fault() string {
	if text := faultText(r.cfg.Interface, r.told); text != "" {
		return text
	}
	return r.fsm.Why().String()
}

func (l *Loop) commandUnmove(now time.Duration, c *Command) CommandResult {
	list, fail := l.chosen(c.Name)
	if fail != nil {
		return *fail
	}
	list = tied(list)
	some := false
	for _, r := range list {
		some = l.orders.remove(OrderPin, r.cfg.Name) || some || r.movedHere || r.moving || r.fsm.View().Aside
		r.movedHere = false
		if r.moving {
			r.moving = false
			r.service.touch(l)
		}
		l.step(now, r, vrrp.Return{})
	}
	l.ordered(now)
	if !some {
		return began(list, c.Name+" was not moved")
	}
	return began(list, c.Name+" is where its priorities put it again")
}
