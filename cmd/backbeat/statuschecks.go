package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
)

// manyChecks is how many checks the overview shows; of more, those that are not
// healthy.
const manyChecks = 12

// checks prints the table of checks below the one of the routers.
func (p *statusPrinter) checks(w io.Writer) {
	list := p.st.Checks
	if len(list) == 0 {
		return
	}
	rows := [][]cell{{{text: "CHECK", paint: p.dim}, {text: "VERDICT", paint: p.dim}, {text: "FOR", paint: p.dim}, {text: "LAST RUN", paint: p.dim}}}
	well := 0
	for i := range list {
		c := &list[i]
		if len(list) > manyChecks && c.Verdict == checks.Healthy.String() {
			well++
			continue
		}
		rows = append(rows, []cell{{text: clean(c.Name), paint: p.bold}, {text: verdictText(c), paint: p.verdict(c)},
			{text: span(p.now.Sub(c.Since))}, {text: p.lastRun(c)}})
	}
	fmt.Fprintln(w)
	if len(rows) > 1 {
		for _, l := range columns(rows) {
			p.line(w, l, 4)
		}
	}
	if well > 0 {
		p.line(w, p.dim(plural(well, "check")+" healthy"), 2)
	}
}

// verdictText is the verdict, marked where it is bad for somebody.
func verdictText(c *daemon.CheckStatus) string {
	if c.Stand == checks.Bad.String() && len(c.Routers) > 0 {
		return c.Verdict + " !"
	}
	return c.Verdict
}

func (p *statusPrinter) verdict(c *daemon.CheckStatus) func(string) string {
	switch {
	case c.Stand == checks.Bad.String():
		return p.red
	case c.Verdict == checks.Healthy.String():
		return p.green
	default:
		return p.yellow
	}
}

func (p *statusPrinter) lastRun(c *daemon.CheckStatus) string {
	if c.Last == nil {
		return clean(c.Why)
	}
	s := clean(c.Why)
	if s == "passed" || s == "" {
		s = "passed"
	}
	return fmt.Sprintf("%s, %s", s, ago(c.Last.Ago))
}

// dependLines show what every dependency does to the priority, and the checks of
// those that are not good with what a command has printed.
func (p *statusPrinter) dependLines(r *daemon.RouterStatus) (out []string) {
	for i := range r.Contributions {
		c := &r.Contributions[i]
		s := clean(contributionText(c))
		switch c.Stand {
		case checks.Bad.String():
			s = p.red(s)
		case checks.Good.String():
		default:
			s = p.yellow(s)
		}
		out = append(out, s)
		if c.Stand != checks.Good.String() {
			for _, name := range c.Checks {
				out = append(out, p.outputOf(name)...)
			}
		}
	}
	return out
}

func (p *statusPrinter) outputOf(name string) []string {
	i := slices.IndexFunc(p.st.Checks, func(c daemon.CheckStatus) bool { return c.Name == name })
	if i < 0 || p.st.Checks[i].Last == nil {
		return nil
	}
	return p.tail(p.st.Checks[i].Last.Output)
}

// contributionText is one line of why the priority is what it is.
func contributionText(c *daemon.ContributionStatus) string {
	does := ""
	switch {
	case c.Effect == checks.Weigh.String() && c.Adds != 0:
		does = fmt.Sprintf("adds %+d", c.Adds)
	case c.Effect == checks.Weigh.String():
		does = fmt.Sprintf("adds nothing of %+d", c.Weight)
	case c.Stand == checks.Bad.String() && c.Effect == checks.Fault.String():
		does = "keeps this host out"
	case c.Stand == checks.Bad.String():
		does = "degrades this host"
	case c.Effect == checks.Fault.String():
		does = "would keep this host out"
	default:
		does = "would degrade this host"
	}
	if len(c.Checks) > 1 {
		return fmt.Sprintf("%s of %s: %s; %s", c.Mode, strings.Join(c.Checks, ", "), c.Why, does)
	}
	return fmt.Sprintf("%s; %s", c.Why, does)
}

// influences is the end of the priority line: by what it is not the configured one.
func influences(r *daemon.RouterStatus) string {
	var by []string
	switch {
	case r.MovedHere && r.EffectivePriority > r.Priority:
		by = append(by, "moved here by an operator")
	case r.Pinned != "" && r.EffectivePriority == 1:
		by = append(by, "pinned to another host by an operator")
	}
	for i := range r.Contributions {
		c := &r.Contributions[i]
		switch {
		case c.Adds != 0:
			by = append(by, fmt.Sprintf("%+d by %s", c.Adds, clean(c.Why)))
		case c.Effect == checks.Degrade.String() && c.Stand == checks.Bad.String() && r.Degraded:
			by = append(by, "by "+clean(c.Why))
		}
	}
	return strings.Join(by, "; ")
}

// checkWarnings are the checks that are bad for somebody, and those that cannot be run.
func checkWarnings(list []daemon.CheckStatus) (out []string) {
	for i := range list {
		c := &list[i]
		switch {
		case c.Last != nil && c.Last.Outcome == checks.NotRun.String():
			out = append(out, fmt.Sprintf("check %s could not be run: %s", clean(c.Name), clean(c.Last.Detail)))
		case c.Stand == checks.Bad.String() && len(c.Routers) > 0:
			out = append(out, fmt.Sprintf("check %s is %s: %s", clean(c.Name), clean(c.Verdict), clean(c.Why)))
		}
		// What is late because it fails at its timeout is said above.
		slow := c.Timeout < c.Interval || c.Last != nil && c.Last.Outcome == checks.Passed.String()
		if c.Late > 0 && c.Runs > 0 && c.Late*10 > c.Runs && slow {
			out = append(out, fmt.Sprintf("check %s is slower than its interval of %s: left out %s", clean(c.Name), took(c.Interval), times(c.Late)))
		}
	}
	return out
}
