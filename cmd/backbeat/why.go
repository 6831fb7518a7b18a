package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

func (t *tool) whyVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "why NAME",
		Short: "Explain where a virtual router or service group is, and what would change that",
		Long: `Explain why the virtual router or service group NAME is where it is: what the last
change rests on, what makes its priority, orders, the service group, and what would
change it.`,
		Args: exactlyOne,
	}
	path, output := controlFlag(c), outputFlag(c)
	c.ValidArgsFunction = completeNames(path, routersAndGroups, false)
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx, cancel := context.WithTimeout(c.Context(), clientPatience)
		defer cancel()
		client := control.Dial(*path)
		st, err := client.Status(ctx, args[0])
		if err != nil {
			return failed(err)
		}
		e := explanation{Schema: control.SchemaVersion, Name: args[0]}
		p := &statusPrinter{look: t.look, width: t.width, zone: t.zone, st: st, now: st.At, tool: versionText()}
		for i := range st.Routers {
			r := &st.Routers[i]
			h, err := client.History(ctx, r.Name, 1)
			if err != nil {
				return failed(err)
			}
			var last *daemon.Transition
			if n := len(h.Transitions); n > 0 {
				last = &h.Transitions[n-1]
			}
			e.add(p.whyRouter(r, last))
		}
		for i := range st.Services {
			e.add(p.whyGroup(&st.Services[i]))
		}
		if output.json() {
			return t.printJSON(e)
		}
		w := bufio.NewWriter(t.out)
		e.print(p, w)
		return failed(w.Flush())
	}
	return c
}

// explanation is what `why` has to say: --output json prints it.
type explanation struct {
	Schema int    `json:"schema_version"`
	Name   string `json:"name"`
	// About are the virtual router, or those a group follows, and the group.
	About []because `json:"about"`
}

// because explains one thing.
type because struct {
	Name string `json:"name"`
	// Kind is "virtual_router" or "service_group".
	Kind string `json:"kind"`
	// Is says where it is and for how long.
	Is string `json:"is"`
	// Because are the reasons, the first one first.
	Because []string `json:"because"`
	// Orders are those of operators that concern it.
	Orders []string `json:"orders,omitempty"`
	// Priority is what makes it.
	Priority []string `json:"priority,omitempty"`
	// Changes are what would change it.
	Changes []string `json:"would_change"`
}

func (e *explanation) add(b because) { e.About = append(e.About, b) }

func (e *explanation) print(p *statusPrinter, w io.Writer) {
	for i := range e.About {
		if i > 0 {
			fmt.Fprintln(w)
		}
		b := &e.About[i]
		p.line(w, p.bold(clean(b.Name))+" "+b.Is, 2)
		p.block(w, "because", b.Because)
		p.block(w, "priority", b.Priority)
		p.block(w, "order", b.Orders)
		p.block(w, "changes if", b.Changes)
	}
}

// whyRouter explains a virtual router.
func (p *statusPrinter) whyRouter(r *daemon.RouterStatus, last *daemon.Transition) because {
	b := because{Name: r.Name, Kind: "virtual_router", Is: fmt.Sprintf("is %s on %s for %s", stateText(r), clean(p.st.Node), span(p.now.Sub(r.Since)))}
	if r.State == "backup" && r.Active != nil {
		b.Because = append(b.Because, p.why(r))
	} else if r.SteppingAside != "" || r.Ready || r.SettleIn != nil || r.Fault != "" && !strings.Contains(r.Reason, faultText(r)) {
		b.Because = append(b.Because, p.why(r))
	}
	change := clean(r.Reason)
	if last != nil && last.Reason == r.Reason {
		change = fmt.Sprintf("%s %s -> %s: %s", p.clock(last.At), word(last.From), word(last.To), clean(last.Reason))
		if s := evidence(&last.Evidence, last.Reason); s != "" {
			change += " (" + s + ")"
		}
	}
	b.Because = append(b.Because, change)
	if s := serviceIn(p.st, r.ServiceGroup); s != nil && !calm(s) && s.State != "up" {
		b.Because = append(b.Because, fmt.Sprintf("service group %s is %s: %s", clean(s.Name), clean(s.State), clean(s.Text)))
	}
	b.Priority = append(b.Priority, priorityLine(r))
	for i := range r.Contributions {
		b.Priority = append(b.Priority, clean(contributionText(&r.Contributions[i])))
	}
	b.Orders = p.ordered(r)
	b.Changes = p.wouldChange(r)
	return b
}

// wouldChange lists what would put a virtual router elsewhere.
func (p *statusPrinter) wouldChange(r *daemon.RouterStatus) (out []string) {
	switch {
	case r.Standby != "":
		o := &daemon.Order{Kind: daemon.OrderStandby, Name: r.Name}
		if known := orderOf(p.st, daemon.OrderStandby, r.Name); known != nil {
			o = known
		}
		out = append(out, "the order ends: "+ender(o))
	case r.Fault == "service-group":
		out = append(out, p.groupRemedy(r))
	case r.Fault != "":
		out = append(out, "this is over: "+faultText(r))
	case r.State == "active":
		return p.wouldLeave(r)
	default:
		return p.wouldTake(r)
	}
	return out
}

// groupRemedy is what lets a host serve again whose group cannot be brought up.
func (p *statusPrinter) groupRemedy(r *daemon.RouterStatus) string {
	s := serviceIn(p.st, r.ServiceGroup)
	switch {
	case s == nil:
		return "the service group can be brought up again"
	case s.Unfit != "" && s.UnfitFor != nil:
		return fmt.Sprintf("the hold-off ends in %s, or by backbeat clear %s", rest(*s.UnfitFor), clean(s.Name))
	case s.Stuck != "":
		return "the stuck step can be brought down: correct it by hand, then backbeat clear " + clean(s.Name)
	default:
		return "service group " + clean(s.Name) + " could be brought up here again: it is asked from time to time"
	}
}

// wouldLeave is what takes an Active away from here.
func (p *statusPrinter) wouldLeave(r *daemon.RouterStatus) (out []string) {
	name := clean(r.Name)
	switch {
	case r.SteppingAside != "":
		return []string{"service group " + clean(r.ServiceGroup) + " is down: then it goes"}
	case r.IsOwner:
		out = append(out, "nobody can take it from the owner of the addresses")
	default:
		out = append(out, fmt.Sprintf("a host with more than priority %d on VRID %d shows up and preempts", r.EffectivePriority, r.VRID))
	}
	out = append(out, p.couldFail(r)...)
	out = append(out, clean(r.Interface)+" is lost, or this host dies",
		fmt.Sprintf("you say so: backbeat move %s (once), backbeat standby %s (until online)", name, name))
	return out
}

// couldFail are the checks whose failure would lower the priority or end it.
func (p *statusPrinter) couldFail(r *daemon.RouterStatus) (out []string) {
	for i := range r.Contributions {
		c := &r.Contributions[i]
		if c.Stand != checks.Good.String() {
			continue
		}
		what := "degrade it"
		switch c.Effect {
		case checks.Fault.String():
			what = "take it away"
		case checks.Weigh.String():
			if c.Adds <= 0 {
				continue
			}
			what = fmt.Sprintf("cost it %d", c.Adds)
		}
		out = append(out, fmt.Sprintf("%s fails: that would %s", clean(strings.Join(c.Checks, ", ")), what))
	}
	if s := serviceIn(p.st, r.ServiceGroup); s != nil {
		out = append(out, fmt.Sprintf("a step of service group %s cannot be kept up", clean(s.Name)))
	}
	return out
}

// wouldTake is what brings a Backup here.
func (p *statusPrinter) wouldTake(r *daemon.RouterStatus) (out []string) {
	name, a := clean(r.Name), r.Active
	switch {
	case r.Ready:
		return []string{"the other members of sync group " + clean(r.SyncGroup) + " win their elections, too"}
	case a == nil || a.Self:
		return []string{"nobody is heard" + downIn(r)}
	}
	who := clean(a.Address)
	out = append(out, fmt.Sprintf("%s says goodbye, or is silent for %s", who, took(r.ActiveDownInterval)))
	switch {
	case r.Pinned != "":
		out = append(out, "the pin ends: backbeat unmove "+name)
	case r.MovedAway:
		out = append(out, "the move is taken back: backbeat unmove "+name)
	case r.PreemptIn != nil:
		out = append(out, fmt.Sprintf("preempt_delay is over, in %s", rest(*r.PreemptIn)))
	case a.Priority > r.EffectivePriority && r.Preempt:
		out = append(out, fmt.Sprintf("its priority %d falls below our %d", a.Priority, r.EffectivePriority))
		if r.EffectivePriority < r.Priority && r.Priority > a.Priority {
			out = append(out, fmt.Sprintf("our priority is %d again", r.Priority))
		}
	case a.Priority <= r.EffectivePriority && !r.Preempt:
		out = append(out, "not by priority alone: preempt = false")
	}
	return append(out, "you say so: backbeat move "+name+" --here")
}

// whyGroup explains a service group.
func (p *statusPrinter) whyGroup(s *daemon.ServiceStatus) because {
	b := because{Name: s.Name, Kind: "service_group", Is: fmt.Sprintf("is %s on %s, %d of %d steps up", clean(s.State), clean(p.st.Node), s.Up, s.Total)}
	b.Because = append(b.Because, clean(s.Text))
	for i := range s.Steps {
		k := &s.Steps[i]
		if k.Stuck || k.Degraded || moves(k.Doing) || k.State == "neither" || k.State == "unknown" || s.Aim == "up" && k.State != "up" && len(stepNotes(k)) > 0 {
			b.Because = append(b.Because, strings.TrimSuffix(fmt.Sprintf("step %s: %s", clean(k.Name), strings.Join(append([]string{clean(k.State)}, stepNotes(k)...), "; ")), "; "))
		}
	}
	if t := protection(s); t != "" {
		b.Because = append(b.Because, t)
	}
	if o := orderOf(p.st, daemon.OrderMaintenance, s.Name); o != nil {
		b.Orders = append(b.Orders, p.yellow(p.orderText(o)))
	}
	b.Changes = groupChanges(s)
	return b
}

// groupChanges is what would move a service group.
func groupChanges(s *daemon.ServiceStatus) (out []string) {
	name, follows := clean(s.Name), clean(strings.Join(s.Follows, ", "))
	switch {
	case s.Maintenance != "":
		out = append(out, "maintenance ends; until then nothing moves")
	case s.Stuck != "":
		out = append(out, "you correct the step by hand, then: backbeat clear "+name)
	case s.Unfit != "":
		if s.UnfitFor != nil {
			out = append(out, fmt.Sprintf("the hold-off ends, in %s", rest(*s.UnfitFor)))
		}
		out = append(out, "you correct it, then, to be sooner: backbeat clear "+name)
	case s.State == "claiming":
		out = append(out, "the other host lets go, or is fenced; if it is off for certain: backbeat fence --confirm "+name)
	case s.StoppedFrom != "":
		out = append(out, "backbeat group start "+name)
	case s.Aim == "up":
		out = append(out, follows+" is no longer Active here", "a step fails more often than its restarts allow")
	case s.Unqualified != "":
		out = append(out, "it could be brought up here again: it is asked from time to time")
	default:
		out = append(out, follows+" becomes Active here")
	}
	return slices.Clip(out)
}
