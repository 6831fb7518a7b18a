package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/simlan"
)

var verbs = []daemon.CommandVerb{daemon.CommandStandby, daemon.CommandStandby, daemon.CommandOnline, daemon.CommandMove, daemon.CommandMove, daemon.CommandMove,
	daemon.CommandUnmove, daemon.CommandClear, daemon.CommandGroupStop, daemon.CommandGroupStart, daemon.CommandGroupRestart,
	daemon.CommandMaintenanceOn, daemon.CommandMaintenanceOff, daemon.CommandFenceConfirm}

// operate is an operator who tries things.
func (h *History) operate(host *Host) {
	rng := h.lan.Rand()
	c := daemon.Command{Verb: verbs[rng.IntN(len(verbs))], Here: rng.IntN(3) == 0, Pin: rng.IntN(4) == 0, Force: rng.IntN(3) == 0, Unmanage: rng.IntN(4) == 0}
	if c.Verb == daemon.CommandFenceConfirm {
		h.confirm(host)
		return
	}
	if rng.IntN(3) > 0 {
		c.For = []time.Duration{3 * time.Second, 20 * time.Second}[rng.IntN(2)]
	}
	names := []string{"", "nonsense"}
	if cfg := host.Config(); cfg != nil {
		for i := range cfg.Routers {
			names = append(names, cfg.Routers[i].Name)
		}
		for i := range cfg.Services {
			l := &cfg.Services[i].Ladder
			names = append(names, l.Name, l.Name, l.Name)
			if c.Step == "" && rng.IntN(2) == 0 {
				c.Step = l.Steps[rng.IntN(len(l.Steps))].Name
			}
		}
	}
	if c.Name = names[rng.IntN(len(names))]; len(names) > 2 && rng.IntN(4) > 0 {
		c.Name = names[2+rng.IntN(len(names)-2)]
	}
	host.Order(c)
}

// confirm is an operator's word, given where the devices fail: the other hosts are off.
func (h *History) confirm(host *Host) {
	names := stepsOf(host.Config())
	if h.peaceful || len(names) == 0 {
		return
	}
	for _, o := range h.lan.hosts {
		if o != host && !o.Off() {
			h.power(o, 20*h.unit)
		}
	}
	host.troubles = append(host.troubles, trouble{verbs: fences, often: 1, deed: simlan.Deed{Fails: "no route to BMC"}})
	h.lan.After(6*h.unit+2*time.Second, func() {
		if h.alone(host) {
			group, _, _ := strings.Cut(names[0], "/")
			host.Order(daemon.Command{Verb: daemon.CommandFenceConfirm, Name: group})
		}
	})
}

// alone reports whether all other hosts are off for certain.
func (h *History) alone(host *Host) bool {
	return !slices.ContainsFunc(h.lan.hosts, func(o *Host) bool { return o != host && !o.Off() })
}

// Order gives the daemon a command, whose answer must come as soon as it turns.
func (h *Host) Order(c daemon.Command) {
	p := h.Process
	if p == nil {
		return
	}
	reply := make(chan daemon.CommandResult, 1)
	c.By, c.Reply = "root (uid 0)", reply
	h.lan.Fault("%s: command %s %s %s here=%t pin=%t force=%t for=%v", h.Name, c.Verb, c.Name, c.Step, c.Here, c.Pin, c.Force, c.For)
	p.Post(c)
	h.answered(p.Witness.(*life), &c, reply)
}

// answered waits for the answer to a command.
func (h *Host) answered(p *life, c *daemon.Command, reply chan daemon.CommandResult) {
	h.lan.After(h.lan.opt.WakeDelay+gridSlack, func() {
		select {
		case r := <-reply:
			h.lan.Note(h.Host, "answer: ok=%t %s %s", r.OK, r.Code, r.Text)
			if r.Text == "" || r.OK != (r.Code == "") {
				h.lan.Violate("commands", "%s: %s %s is answered with %+v", h.Name, c.Verb, c.Name, r)
			}
			return
		default:
		}
		switch {
		case h.Process != p.Process: // its connection has ended
		case h.Stalled():
			h.lan.At(h.ResumeAt, func() { h.answered(p, c, reply) })
		case p.Waiting() > 100:
			h.answered(p, c, reply)
		default:
			h.lan.Violate("commands", "%s: no answer to %s %s", h.Name, c.Verb, c.Name)
		}
	})
}

// order returns the order of a kind that concerns a name, nil if there is none.
func (h *Host) order(kind daemon.OrderKind, name string) *daemon.Order {
	for i := range h.Ordered {
		if o := &h.Ordered[i]; o.Kind == kind && (o.Name == name || o.Name == "") {
			return o
		}
	}
	return nil
}

// relieve ends what an operator has ordered on a host, or a part of it, and helps
// what only an operator can help.
func (h *History) relieve(host *Host) {
	rng := h.lan.Rand()
	for _, v := range []daemon.CommandVerb{daemon.CommandOnline, daemon.CommandUnmove, daemon.CommandMaintenanceOff, daemon.CommandGroupStart} {
		if rng.IntN(3) == 0 && v != daemon.CommandMaintenanceOff {
			continue
		}
		switch {
		case v == daemon.CommandUnmove:
			for i := range host.Process.Config.Routers {
				host.Order(daemon.Command{Verb: v, Name: host.Process.Config.Routers[i].Name})
			}
		case v == daemon.CommandGroupStart:
			for i := range host.Process.Config.Services {
				host.Order(daemon.Command{Verb: v, Name: host.Process.Config.Services[i].Ladder.Name})
			}
		default:
			host.Order(daemon.Command{Verb: v})
		}
	}
}

// free clears what is stuck: only an operator's word, or a fact, ends that.
func (h *History) free(host *Host) {
	if host.Process == nil || host.Process.Stopping || host.Stalled() {
		return
	}
	if host.order(daemon.OrderMaintenance, "") != nil || slices.ContainsFunc(host.Ordered, func(o daemon.Order) bool { return o.Kind == daemon.OrderMaintenance }) {
		host.Order(daemon.Command{Verb: daemon.CommandMaintenanceOff}) // it came back after the others' had been ended
	}
	page := host.page()
	for i := range page.Services {
		if s := &page.Services[i]; s.Stuck != "" || s.Unqualified != "" { // who says never is not asked again
			host.Order(daemon.Command{Verb: daemon.CommandClear, Name: s.Name})
		}
	}
}

// page is what the daemon says of itself.
func (h *Host) page() daemon.StatusPage {
	reply := make(chan daemon.StatusPage, 1)
	h.Process.Ask(daemon.StatusQuery{Limit: 1000, Reply: reply})
	return <-reply
}
