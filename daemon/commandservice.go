package daemon

import (
	"fmt"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// Commands to service groups.

func (l *Loop) commandClear(now time.Duration, c *Command) CommandResult {
	list, fail := l.served(c.Name)
	if fail != nil {
		return *fail
	}
	res := CommandResult{OK: true, Text: "failures cleared"}
	for _, s := range list {
		l.stepService(now, s, actions.ClearFailures{})
		res.Services = append(res.Services, s.cfg.Ladder.Name)
	}
	l.reevaluate(now)
	return res
}

// served are the service groups that a name means: one, or the one of a router.
func (l *Loop) served(name string) (list []*service, fail *CommandResult) {
	for _, s := range l.services {
		follows := false
		for _, r := range s.routers {
			follows = follows || r.cfg.Name == name
		}
		if name == "" || s.cfg.Ladder.Name == name || follows {
			list = append(list, s)
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	f := CommandResult{Code: "no-group", Text: fmt.Sprintf("there is no service group %q here", name)}
	if name == "" {
		f.Text = "there is no service group here"
	}
	for _, s := range l.services {
		f.Suggestions = append(f.Suggestions, s.cfg.Ladder.Name)
	}
	return nil, &f
}

func (l *Loop) commandGroup(now time.Duration, c *Command) CommandResult {
	list, fail := l.served(c.Name)
	switch {
	case fail != nil:
		return *fail
	case len(list) > 1:
		return CommandResult{Code: "refused", Text: "say which service group"}
	}
	s := list[0]
	n := len(s.cfg.Ladder.Steps)
	i := 0
	if c.Step != "" {
		if i = s.ladder.Find(c.Step); i < 0 {
			f := CommandResult{Code: "unknown-step", Text: fmt.Sprintf("service group %s has no step %q", s.cfg.Ladder.Name, c.Step)}
			for k := range s.cfg.Ladder.Steps {
				f.Suggestions = append(f.Suggestions, s.cfg.Ladder.Steps[k].Name)
			}
			return f
		}
	}
	if !s.ladder.Managed() {
		return CommandResult{Code: "refused", Text: fmt.Sprintf("service group %s is in maintenance: backbeat maintenance off first", s.cfg.Ladder.Name)}
	}
	res := CommandResult{OK: true, Services: []string{s.cfg.Ladder.Name}}
	name := s.ladder.StepName(i)
	switch c.Verb {
	case CommandGroupStop:
		l.stepService(now, s, actions.LimitHeight{Height: i})
		res.Text = fmt.Sprintf("%s and what stands on it goes down and stays down until backbeat group start %s", name, s.cfg.Ladder.Name)
		if c.Unmanage {
			s.unmanage = l.order(OrderMaintenance, s.cfg.Ladder.Name, c)
			s.unmanageAt = i
			l.unmanage(now, s)
			res.Text += "; then nothing is touched until backbeat maintenance off " + s.cfg.Ladder.Name
		}
	case CommandGroupStart:
		l.stepService(now, s, actions.LimitHeight{Height: n})
		res.Text = "all steps may be up"
	default:
		if s.ladder.View(now).Steps[i].State != actions.Up {
			return CommandResult{Code: "refused", Text: name + " is not up here"}
		}
		l.stepService(now, s, actions.RestartStep{Step: i})
		res.Text = fmt.Sprintf("%s and what stands on it goes down and up again", name)
	}
	l.reevaluate(now)
	return res
}

// unmanage takes the hands off once the steps that were to be stopped are down.
func (l *Loop) unmanage(now time.Duration, s *service) {
	if s.unmanage.Kind == "" {
		return
	}
	for i, st := range s.ladder.View(now).Steps {
		if i >= s.unmanageAt && (st.State != actions.Down || st.Working && st.Doing == actions.Stop) {
			return
		}
	}
	l.orders.set(s.unmanage)
	s.unmanage = Order{}
	l.ordered(now)
}

func (l *Loop) commandMaintenance(now time.Duration, c *Command) CommandResult {
	list, fail := l.served(c.Name)
	if fail != nil {
		return *fail
	}
	name := ""
	if c.Name != "" {
		name = list[0].cfg.Ladder.Name
	}
	res := CommandResult{OK: true}
	for _, s := range list {
		res.Services = append(res.Services, s.cfg.Ladder.Name)
	}
	if c.Verb == CommandMaintenanceOn {
		l.orders.set(l.order(OrderMaintenance, name, c))
		l.ordered(now)
		res.Text = "steps are looked at and not touched until backbeat maintenance off"
		return res
	}
	if !l.orders.remove(OrderMaintenance, name) {
		if o := l.orders.of(OrderMaintenance, name); o != nil {
			return CommandResult{Code: "refused", Text: fmt.Sprintf("all of this host is in %s: backbeat maintenance off, without a name, ends that", o)}
		}
		res.Text = "there is no maintenance"
		return res
	}
	l.ordered(now)
	res.Text = "steps are looked at, and then brought to where they should be"
	return res
}

func (l *Loop) commandConfirm(now time.Duration, c *Command) CommandResult {
	list, fail := l.served(c.Name)
	if fail != nil {
		return *fail
	}
	res := CommandResult{Code: "refused", Text: "nothing waits for another host to be off"}
	for _, s := range list {
		if v := s.ladder.View(now); v.ClaimWaits != "" && !v.Claimed {
			l.stepService(now, s, actions.Confirm{By: c.By})
			res.OK, res.Code, res.Text = true, "", "taken as off, on your word"
			res.Services = append(res.Services, s.cfg.Ladder.Name)
		}
	}
	return res
}
