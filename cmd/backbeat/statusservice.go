package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
)

// manySteps is how many steps the overview shows; of more, those of the groups
// that are not simply up or down.
const manySteps = 24

// services prints the service groups below the routers: a table of groups, and
// below each its steps.
func (p *statusPrinter) services(w io.Writer) {
	list := p.st.Services
	if len(list) == 0 {
		return
	}
	total := 0
	rows := [][]cell{{{text: "GROUP", paint: p.dim}, {text: "STATE", paint: p.dim}, {text: "STEPS", paint: p.dim}, {text: "FOR", paint: p.dim}, {text: "FOLLOWS", paint: p.dim}}}
	for i := range list {
		s := &list[i]
		total += len(s.Steps)
		rows = append(rows, []cell{{text: clean(s.Name), paint: p.bold}, {text: clean(s.State), paint: p.groupPaint(s)},
			{text: fmt.Sprintf("%d/%d", s.Up, s.Total)}, {text: groupFor(s)}, {text: clean(strings.Join(s.Follows, ", "))}})
	}
	fmt.Fprintln(w)
	lines, steps := columns(rows), p.stepTable(list)
	p.line(w, lines[0], 4)
	for i := range list {
		s := &list[i]
		p.line(w, lines[i+1], 4)
		if total <= manySteps || !calm(s) {
			for _, l := range steps[i] {
				p.line(w, "  "+l, 6)
			}
		}
		for _, l := range p.remarks(s) {
			p.line(w, "  "+l, 4)
		}
	}
}

// calm reports whether a group is simply up or down.
func calm(s *daemon.ServiceStatus) bool {
	return (s.State == "up" || s.State == "down") && s.Unqualified == "" && !slices.ContainsFunc(s.Steps, func(k daemon.StepStatus) bool {
		return k.Degraded || k.Stuck || k.Stray != "" || k.State == "neither" || k.State == "unknown"
	})
}

// groupFor is the time since one of the steps has changed last, if that is known.
func groupFor(s *daemon.ServiceStatus) string {
	least := 0.0
	for i := range s.Steps {
		if d := s.Steps[i].For; d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	if least == 0 {
		return "-"
	}
	return lasting(least)
}

// lasting is span of a number.
func lasting(s float64) string { return span(time.Duration(s * float64(time.Second))) }

func (p *statusPrinter) groupPaint(s *daemon.ServiceStatus) func(string) string {
	switch s.State {
	case "up":
		return p.green
	case "down":
		return func(t string) string { return t }
	case "unfit", "stuck":
		return p.red
	default:
		return p.yellow
	}
}

// stepTable lays out the steps of all groups in one table and gives each group
// its lines.
func (p *statusPrinter) stepTable(list []daemon.ServiceStatus) [][]string {
	var rows [][]cell
	for i := range list {
		for k := range list[i].Steps {
			rows = append(rows, p.stepRow(&list[i].Steps[k]))
		}
	}
	lines := columns(rows)
	out := make([][]string, len(list))
	for i := range list {
		n := len(list[i].Steps)
		out[i], lines = lines[:n], lines[n:]
	}
	return out
}

func (p *statusPrinter) stepRow(k *daemon.StepStatus) []cell {
	since := "-"
	if k.For > 0 {
		since = lasting(k.For)
	}
	state, paint := clean(k.State), func(s string) string { return s }
	switch {
	case k.Stuck:
		state, paint = "stuck", p.red
	case moves(k.Doing):
		state, paint, since = doing(k.Doing), p.yellow, rest(k.DoingFor)
	case k.Degraded:
		state, paint = state+", degraded", p.yellow
	case k.Stray != "":
		state, paint = "up, not by us", p.yellow
	case k.State == "up":
		paint = p.green
	case k.State != "down":
		paint = p.yellow
	}
	return []cell{{text: clean(k.Name)}, {text: state, paint: paint}, {text: since}, {text: strings.Join(stepNotes(k), "; ")}}
}

// stepNotes are what is worth knowing of a step now.
func stepNotes(k *daemon.StepStatus) (out []string) {
	switch {
	case k.Progress != "":
		out = append(out, clean(k.Progress))
	case k.Detail != "" && !(k.State == "down" && !k.Stuck && couldBe(k.Detail)):
		out = append(out, clean(k.Detail))
	}
	if k.Stray != "" {
		out = append(out, "somebody else has started it: "+clean(k.Stray))
	}
	if k.Unqualified != "" && k.Unqualified != k.Detail {
		out = append(out, "could not be brought up: "+clean(k.Unqualified))
	}
	if k.LookedAgo != nil && k.State == "up" && !moves(k.Doing) {
		out = append(out, "looked at "+ago(*k.LookedAgo))
	}
	if k.Restarts > 0 {
		out = append(out, fmt.Sprintf("restarts %d/%d", k.Restarts, k.Allowed))
	}
	return out
}

// couldBe reports whether a detail says only that a step could be brought up: of one
// that is down that is no news.
func couldBe(detail string) bool {
	return strings.HasPrefix(detail, "its commands can be run") || strings.HasPrefix(detail, "installed")
}

// remarks are what else is to be said of a group, with what to do about it.
func (p *statusPrinter) remarks(s *daemon.ServiceStatus) (out []string) {
	name := clean(s.Name)
	if !calm(s) && s.Unfit == "" && (s.Unqualified == "" || s.State != "down") && s.Text != "" {
		out = append(out, p.dim("why: "+clean(s.Text)))
	}
	if s.Stuck != "" {
		out = append(out, p.red("stuck: nothing below that step is touched. Correct it by hand, then: backbeat clear "+name))
	}
	if s.Unfit != "" {
		out = append(out, p.red("unfit: "+clean(s.Unfit)), p.red("       "+holdOff(s)))
	}
	if s.State == "claiming" {
		out = append(out, p.yellow("next: it is tried again by itself. If the other host is off for certain: backbeat fence --confirm "+name))
	}
	if s.StoppedFrom != "" {
		first := ""
		if s.Maintenance != "" {
			first = "backbeat maintenance off, then "
		}
		out = append(out, p.yellow(fmt.Sprintf("next: %sbackbeat group start %s lets %s and what stands on it up", first, name, clean(s.StoppedFrom))))
	}
	if s.Maintenance != "" {
		out = append(out, p.yellow("hands off: "+clean(s.Maintenance)))
	}
	if t := protection(s); t != "" {
		out = append(out, p.dim(t))
	}
	return out
}

// holdOff says when a host that cannot serve tries again, and how to be sooner.
func holdOff(s *daemon.ServiceStatus) string {
	again := "it comes down first; then the hold-off begins"
	if s.UnfitFor != nil {
		again = "may serve again in " + rest(*s.UnfitFor)
	}
	return fmt.Sprintf("%s. Correct it, then, to be sooner: backbeat clear %s", again, clean(s.Name))
}

// protection says how two writers are prevented; empty if nothing is exclusive.
func protection(s *daemon.ServiceStatus) string {
	how := ""
	switch s.Safety {
	case "", "not-needed":
		return ""
	case "none":
		how = "none (accepted)"
	default:
		how = clean(s.Safety)
	}
	if s.Claim != "" {
		how += "; taken because " + clean(s.Claim)
	}
	return "split-brain protection: " + how
}

// group prints everything about a group, for status NAME.
func (p *statusPrinter) group(w io.Writer, s *daemon.ServiceStatus) {
	p.line(w, fmt.Sprintf("service group %s is %s  %s", p.bold(clean(s.Name)), p.groupPaint(s)(clean(s.State)),
		p.dim(fmt.Sprintf("(%d of %d steps up, follows %s, node %s)", s.Up, s.Total, clean(strings.Join(s.Follows, ", ")), clean(p.st.Node)))), 2)
	p.block(w, "why", []string{clean(s.Text)})
	p.block(w, "steps", p.stepLines(s))
	if s.Unqualified != "" {
		p.block(w, "could not", []string{p.yellow("be brought up here: " + clean(s.Unqualified))})
	}
	if s.Unfit != "" {
		p.block(w, "unfit", []string{p.red(clean(s.Unfit)), holdOff(s)})
	}
	if s.Stuck != "" {
		p.block(w, "stuck", []string{p.red(clean(s.Stuck)), "nothing below that step is touched. Correct it by hand, then: backbeat clear " + clean(s.Name)})
	}
	if s.State == "claiming" {
		p.block(w, "claim", []string{p.yellow("waits: " + clean(s.ClaimWaits)), "if the other host is off for certain: backbeat fence --confirm " + clean(s.Name)})
	}
	if s.StoppedFrom != "" {
		p.block(w, "kept down", []string{p.yellow(clean(s.StoppedFrom) + " and what stands on it, until backbeat group start " + clean(s.Name))})
	}
	if s.Maintenance != "" {
		p.block(w, "maintenance", []string{p.yellow(clean(s.Maintenance)), "steps are looked at and not touched"})
	}
	if t := strings.TrimPrefix(protection(s), "split-brain protection: "); t != "" {
		p.block(w, "split brain", []string{"protection: " + t})
	}
	if s.AddressesWhen == "ready" {
		p.block(w, "addresses", []string{"go up when all steps are up (addresses_when = \"ready\")"})
	}
	p.block(w, "counters", p.stepCounters(s))
}

// stepLines are the steps with what commands have printed of those that are not well.
func (p *statusPrinter) stepLines(s *daemon.ServiceStatus) (out []string) {
	for i, l := range p.stepTable([]daemon.ServiceStatus{*s})[0] {
		out = append(out, l)
		k := &s.Steps[i]
		if k.Output != "" && (k.Stuck || k.Degraded || k.State == "neither" || k.State == "unknown" || strings.HasPrefix(s.Unfit, k.Name+":")) {
			out = append(out, p.tail(k.Output)...)
		}
	}
	return out
}

// stepCounters are the counters of the steps that have any.
func (p *statusPrinter) stepCounters(s *daemon.ServiceStatus) []string {
	var rows [][]cell
	count := func(n, failed uint64, what string) cell {
		t := fmt.Sprintf("%d %s", n, what)
		if failed > 0 {
			t += fmt.Sprintf(", %d failed", failed)
		}
		return cell{text: t}
	}
	for i := range s.Steps {
		k := &s.Steps[i]
		if cmp.Or(k.Starts, k.StartFailures, k.Stops, k.StopFailures, k.Monitors, k.MonitorFailures) == 0 {
			continue
		}
		rows = append(rows, []cell{{text: clean(k.Name)}, count(k.Starts, k.StartFailures, "starts"), count(k.Stops, k.StopFailures, "stops"),
			count(k.Monitors, k.MonitorFailures, "looks while up")})
	}
	return columns(rows)
}
