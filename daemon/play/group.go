package play

import (
	"fmt"
	"slices"
	"strings"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/simlan"
)

// Service groups and what an operator asks for on the stage.

func (s *stage) breakStep(f *Fault) {
	what := "fails and does not come up"
	if f.stuck {
		what = "does not go down"
	}
	s.tell(f.host, "step %s %s from now on", f.name, what)
	s.broken[f.host][f.name] = f
	s.groups.dirty = true
}

func (s *stage) repairStep(f *Fault) {
	s.tell(f.host, "step %s is as before", f.name)
	delete(s.broken[f.host], f.name)
	s.groups.dirty = true
}

// breaks says why a job of a host fails.
func (s *stage) breaks(host int, job *actions.Job) string {
	f := s.broken[host][job.Name]
	if f == nil {
		return ""
	}
	down := job.Verb == actions.Stop || job.Verb == actions.ForceStop
	if f.stuck == down && (down || job.Verb == actions.Start || job.Verb == actions.Look) {
		return "simulated"
	}
	return ""
}

// stepped looks whether two hosts have exclusive data now.
func (s *stage) stepped(_ *simlan.Host, job *actions.Job) {
	s.groups.dirty = true
	if job.Agent == nil || !job.Agent.Exclusive() {
		return
	}
	var up []string
	for _, h := range s.hosts {
		if h.Steps[job.Name] == actions.Up {
			up = append(up, h.Name)
		}
	}
	if len(up) > 1 {
		s.writers[job.Name] = true
		s.timeline = append(s.timeline, Event{At: s.Now().Seconds(), Kind: KindWriters, Holders: up,
			Text: fmt.Sprintf("%s is up on %s: two writers", job.Name, strings.Join(up, " and "))})
	}
}

// shoot carries out a fence: the devices name the host, or it is the only other one.
func (s *stage) shoot(host int, job *actions.Job) (ok bool, detail string) {
	target := -1
	for _, d := range job.Fence {
		target = max(target, slices.IndexFunc(s.opt.Hosts, func(c *daemon.Config) bool { return c.Node == d.Target }))
	}
	if target < 0 && len(s.hosts) == 2 {
		target = 1 - host
	}
	if target < 0 {
		return false, "the host it would switch off is not in this simulation"
	}
	if h := s.hosts[target]; !h.Off() {
		s.tell(target, "is switched off by %s (fence)", s.hosts[host].Name)
		s.frozen[target] = false
		h.PowerOff()
		if slices.ContainsFunc(job.Fence, func(d actions.FenceSpec) bool { return d.Action == "reboot" }) {
			s.powerAgain(target)
		}
	}
	return true, ""
}

// reboot is what a service group that is stuck may end in.
func (s *stage) reboot(host int) {
	s.tell(host, "reboots")
	s.hosts[host].PowerOff()
	s.powerAgain(host)
}

func (s *stage) powerAgain(host int) {
	s.After(reboot, func() {
		if h := s.hosts[host]; h.Off() {
			h.PowerOn()
			s.boot(host, "is up again, backbeat starts")
		}
	})
}

// command is what an operator types on a host; the daemon's answer is in its log.
func (s *stage) command(f *Fault, what string, c daemon.Command, reply chan daemon.CommandResult) {
	s.tell(f.host, "backbeat %s", what)
	c.By, c.Reply = "the simulation", reply
	if p := s.hosts[f.host].Process; p != nil {
		p.Post(c)
	}
}

func (s *stage) standby(f *Fault) {
	s.ordered(f, "standby", daemon.Command{Verb: daemon.CommandStandby})
}

func (s *stage) online(f *Fault) {
	s.settleOrders(f.host)
	s.command(f, "online", daemon.Command{Verb: daemon.CommandOnline}, make(chan daemon.CommandResult, 1))
}

func (s *stage) move(f *Fault) {
	what := "move " + f.name
	if f.To > 0 {
		what += " --pin"
	}
	s.ordered(f, what, daemon.Command{Verb: daemon.CommandMove, Name: f.name, Pin: f.To > 0})
}

func (s *stage) unmove(f *Fault) {
	s.command(f, "unmove "+f.name, daemon.Command{Verb: daemon.CommandUnmove, Name: f.name}, make(chan daemon.CommandResult, 1))
}
