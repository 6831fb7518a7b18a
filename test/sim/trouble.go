package sim

import (
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/simlan"
)

// trouble is what is wrong with the hands of a host.
type trouble struct {
	step  string // of the job's name; empty: all
	verbs []actions.Verb
	often float64
	deed  simlan.Deed
}

var (
	starts = []actions.Verb{actions.Start}
	stops  = []actions.Verb{actions.Stop}
	forces = []actions.Verb{actions.Stop, actions.ForceStop}
	looks  = []actions.Verb{actions.Look}
	asks   = []actions.Verb{actions.Qualify, actions.Prepare}
	fences = []actions.Verb{actions.Fence}
	all    = []actions.Verb{actions.Start, actions.Stop, actions.ForceStop, actions.Look, actions.Qualify, actions.Prepare}
)

// troubles are all there are.
var troubles = []trouble{
	{verbs: starts, often: 1, deed: simlan.Deed{Fails: "no"}},
	{verbs: starts, often: 0.5, deed: simlan.Deed{Fails: "no", Half: true}},
	{verbs: starts, often: 1, deed: simlan.Deed{Fails: "not installed", Hopeless: true}},
	{verbs: starts, often: 0.7, deed: simlan.Deed{Hangs: true}},
	{verbs: starts, often: 1, deed: simlan.Deed{Lies: true}},
	{verbs: stops, often: 1, deed: simlan.Deed{Fails: "busy"}},
	{verbs: stops, often: 1, deed: simlan.Deed{Lies: true}},
	{verbs: stops, often: 0.5, deed: simlan.Deed{Fails: "busy", Half: true}},
	{verbs: forces, often: 1, deed: simlan.Deed{Fails: "in use"}},
	{verbs: forces, often: 0.7, deed: simlan.Deed{Hangs: true}},
	{verbs: looks, often: 0.5, deed: simlan.Deed{Blind: true}},
	{verbs: looks, often: 0.3, deed: simlan.Deed{Hangs: true}},
	{verbs: asks, often: 0.7, deed: simlan.Deed{Fails: "outdated"}},
	{verbs: asks, often: 0.7, deed: simlan.Deed{Hangs: true}},
	{verbs: all, often: 0.2, deed: simlan.Deed{Refused: true}},
	{verbs: fences, often: 0.7, deed: simlan.Deed{Fails: "no route to BMC"}},
	{verbs: fences, often: 1, deed: simlan.Deed{Hangs: true}},
}

// acts decides what becomes of a job on a host in trouble.
func (h *Host) acts(job *actions.Job) simlan.Deed {
	for i := range h.troubles {
		t := &h.troubles[i]
		for _, v := range t.verbs {
			if v == job.Verb && (t.step == "" || t.step == job.Name) && h.lan.Chance(t.often) {
				if t.deed.Lies || t.deed.Hangs {
					h.unsure[job.Name] = true
				}
				h.lan.watch.tally.deed(job, &t.deed)
				return t.deed
			}
		}
	}
	return simlan.Deed{}
}

// shoots carries out a fence: the target has no power any more, and gets it back
// a while later if the history says so.
func (h *Host) shoots(job *actions.Job) (bool, string) {
	for _, f := range job.Fence {
		for _, o := range h.lan.hosts {
			if o.Name != f.Target {
				continue
			}
			h.lan.watch.shot(h, o, job)
			if !o.Off() {
				o.PowerOff()
			}
			if again := h.lan.revive; again != nil {
				again(o)
			}
			return true, o.Name + " is off"
		}
	}
	return false, "nobody to fence"
}

// stepsOf are the names of the jobs of a configuration's steps.
func stepsOf(cfg *daemon.Config) (names []string) {
	if cfg == nil {
		return nil
	}
	for i := range cfg.Services {
		l := &cfg.Services[i].Ladder
		for k := range l.Steps {
			names = append(names, l.Name+"/"+l.Steps[k].Name)
		}
	}
	return names
}

// trouble gives a host's hands some for a while, or lets a step of it die. A trouble that
// nothing is asked of the hands in is none, so mostly something is.
func (h *History) trouble(host *Host, later time.Duration) {
	rng := h.lan.Rand()
	for _, o := range h.lan.hosts {
		if o.hasAny() && rng.IntN(2) == 0 {
			host = o // where there is something to bring down
		}
	}
	names := stepsOf(host.Config())
	if len(names) == 0 {
		return
	}
	name := names[rng.IntN(len(names))]
	if rng.IntN(4) == 0 {
		host.unsure[name] = true
		host.Die(name)
		return
	}
	t := troubles[rng.IntN(len(troubles))]
	if h.fences() && rng.IntN(4) == 0 {
		t = troubles[len(troubles)-1-rng.IntN(2)] // the devices'
	}
	if t.step = name; rng.IntN(2) == 0 || t.verbs[0] == actions.Fence {
		t.step = ""
	}
	h.lan.Fault("%s: %v of %q: %+v", host.Name, t.verbs, t.step, t.deed)
	host.troubles = append(host.troubles, t)
	if rng.IntN(4) > 0 {
		h.provoke(host, &t, name, later)
	}
	h.lan.After(2*later+time.Second, func() {
		if len(host.troubles) > 0 {
			h.lan.Fault("%s: hands are well", host.Name)
			host.troubles = nil
		}
	})
}

// provoke asks something of hands in trouble.
func (h *History) provoke(host *Host, t *trouble, step string, later time.Duration) {
	group, step, _ := strings.Cut(step, "/")
	switch rng := h.lan.Rand(); {
	case t.verbs[0] == actions.Fence && !h.peaceful:
		for _, o := range h.lan.hosts {
			if o != host {
				h.power(o, later)
			}
		}
	case t.verbs[0] == actions.Start && rng.IntN(2) == 0, t.verbs[0] == actions.Look:
		host.unsure[group+"/"+step] = true
		host.Die(group + "/" + step)
	default:
		verb := []daemon.CommandVerb{daemon.CommandGroupRestart, daemon.CommandMove, daemon.CommandStandby, daemon.CommandGroupStop}[rng.IntN(4)]
		c := daemon.Command{Verb: verb, Name: group, For: 3 * time.Second}
		if verb == daemon.CommandGroupStop {
			c.For, c.Step = 0, step
		}
		host.Order(c)
	}
}
