package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
	"github.com/backbeat-ha/backbeat/vrrp"
)

func (t *tool) statusVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show who is Active, since when and why",
		Long: `Show the virtual routers and service groups of this host: who is Active, since when
and why, and which steps are up; with NAME everything about one of them. What needs
attention comes first, marked "!"; standing orders of operators come next.

With --check one line for a monitoring system (Nagios), and the exit status 0 (OK),
1 (warning), 2 (critical) or 3 (unknown: the daemon does not answer).`,
		Args: atMostOne,
	}
	path, output := controlFlag(c), outputFlag(c)
	check := c.Flags().Bool("check", false, "one line and an exit status for a monitoring system")
	c.ValidArgsFunction = completeNames(path, routersAndGroups, false)
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx, cancel := context.WithTimeout(c.Context(), clientPatience)
		defer cancel()
		name := ""
		if len(args) == 1 {
			name = args[0]
		}
		if *check && output.json() {
			return errors.New("--check prints one line for a monitoring system, and no JSON: use one of the two")
		}
		if *check {
			return t.checkLine(ctx, *path, name)
		}
		st, err := control.Dial(*path).Status(ctx, name)
		if err != nil {
			return failed(err)
		}
		if output.json() {
			return t.printJSON(st)
		}
		p := &statusPrinter{look: t.look, width: t.width, zone: t.zone, st: st, now: st.At, tool: versionText()}
		w := bufio.NewWriter(t.out)
		if name == "" {
			p.all(w)
		} else {
			p.named(w, name)
		}
		return failed(w.Flush())
	}
	return c
}

// statusPrinter prints a status for people. It reads no clock: now is an argument.
type statusPrinter struct {
	look
	width int // of the terminal, 0 without one
	zone  *time.Location
	st    *control.Status
	now   time.Time
	tool  string // version of the tool
	// served are the virtual routers for which another host is known to be Active.
	served map[string]bool
}

// all prints every router in one table.
func (p *statusPrinter) all(w io.Writer) {
	p.head(w)
	p.warn(w)
	p.orders(w)
	if len(p.st.Routers) == 0 {
		fmt.Fprintln(w, "no virtual routers")
		return
	}
	table := p.table()
	fmt.Fprintln(w, table.lines[0])
	for i, l := range table.lines[1:] {
		r := &p.st.Routers[i]
		fmt.Fprintln(w, l)
		if table.rest != nil {
			p.line(w, table.rest(r), 4)
		}
		p.line(w, p.dim("  why: "+p.why(r)), 4)
	}
	p.services(w)
	p.checks(w)
}

// line prints a line, folded where the terminal ends.
func (p *statusPrinter) line(w io.Writer, text string, indent int) {
	fmt.Fprintln(w, fold(text, p.width, indent))
}

// table is the routers one in a row, and what had no room in it.
type table struct {
	lines []string
	rest  func(r *daemon.RouterStatus) string // nil if everything is in the row
}

// table lays the routers out. What a narrow terminal has no room for goes below
// each row, from the right.
func (p *statusPrinter) table() table {
	rows := [][]cell{{{text: "NAME"}, {text: "STATE"}, {text: "FOR"}, {text: "PRIO", right: true}, {text: "ACTIVE"},
		{text: "INTERFACE"}, {text: "VRID", right: true}, {text: "ADDRESSES"}}}
	for i := range rows[0] {
		rows[0][i].paint = p.dim
	}
	for i := range p.st.Routers {
		rows = append(rows, p.row(&p.st.Routers[i]))
	}
	for _, t := range []struct {
		columns int
		rest    func(r *daemon.RouterStatus) string
	}{
		{len(rows[0]), nil},
		{len(rows[0]) - 1, func(r *daemon.RouterStatus) string { return "  addresses: " + shortList(r.Addresses) }},
		{len(rows[0]) - 3, func(r *daemon.RouterStatus) string {
			return fmt.Sprintf("  on %s, VRID %d: %s", clean(r.Interface), r.VRID, shortList(r.Addresses))
		}},
		{len(rows[0]) - 4, func(r *daemon.RouterStatus) string {
			return fmt.Sprintf("  on %s, VRID %d, Active: %s: %s", clean(r.Interface), r.VRID, holder(r), shortList(r.Addresses))
		}},
	} {
		cut := make([][]cell, len(rows))
		for i := range rows {
			cut[i] = rows[i][:t.columns]
		}
		lines := columns(cut)
		fits := p.width == 0 || !slices.ContainsFunc(lines, func(l string) bool { return visible(l) > p.width })
		if last := t.columns == len(rows[0])-4; fits || last {
			return table{lines, t.rest}
		}
	}
	panic("backbeat: no layout of the table is the last one")
}

// head is the line about the node and the daemon.
func (p *statusPrinter) head(w io.Writer) {
	count := map[string]int{}
	for i := range p.st.Routers {
		count[p.st.Routers[i].State]++
	}
	parts := []string{p.bold(clean(p.st.Node)), "backbeat " + clean(p.st.Version), "up " + span(p.now.Sub(p.st.Since))}
	if n := len(p.st.Routers); n > 0 {
		parts = append(parts, summary(n, count))
	}
	p.line(w, strings.Join(parts, " · "), 2)
	fmt.Fprintln(w)
}

// summary is "3 virtual routers: 2 active, 1 backup".
func summary(total int, count map[string]int) string {
	var parts []string
	for _, s := range []string{"active", "backup", "initialize"} {
		if n := count[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	text := plural(total, "virtual router")
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	return text
}

func (p *statusPrinter) warn(w io.Writer) {
	list := p.warnings()
	for i, s := range list {
		if i == maxWarnings && len(list) > maxWarnings+1 {
			p.line(w, p.yellow(fmt.Sprintf("! and %d more; see --output json", len(list)-i)), 2)
			break
		}
		p.line(w, p.yellow("! "+s), 2)
	}
	notes := notes(p.st)
	for _, s := range notes {
		p.line(w, "note: "+s, 2)
	}
	if len(list)+len(notes) > 0 {
		fmt.Fprintln(w)
	}
}

func (p *statusPrinter) row(r *daemon.RouterStatus) []cell {
	return []cell{
		{text: clean(r.Name), paint: p.bold},
		{text: stateText(r), paint: func(s string) string { return p.routerPaint(r, s) }},
		{text: span(p.now.Sub(r.Since))},
		{text: priority(r), right: true},
		{text: holder(r)},
		{text: clean(r.Interface)},
		{text: strconv.Itoa(int(r.VRID)), right: true},
		{text: shortList(r.Addresses)},
	}
}

// routerPaint colours a state: one that an order explains is no trouble.
func (p *statusPrinter) routerPaint(r *daemon.RouterStatus, text string) string {
	if r.Standby != "" && r.Fault == "standby" || r.SteppingAside != "" {
		return p.yellow(text)
	}
	return p.state(r.State, text)
}

// why says why the state is what it is: what keeps the router out of the
// election, what a Backup hears now, or else the reason of the last transition.
func (p *statusPrinter) why(r *daemon.RouterStatus) string {
	if r.SteppingAside != "" {
		return clean(r.SteppingAside)
	}
	if r.Fault != "" {
		return faultText(r)
	}
	if r.Ready {
		return fmt.Sprintf("won here; waits for the other members of sync group %s", clean(r.SyncGroup))
	}
	if r.SettleIn != nil {
		return fmt.Sprintf("the link has just come up; takes part in %s (settle)", rest(*r.SettleIn))
	}
	if s := hears(r); s != "" {
		return s
	}
	return clean(r.Reason)
}

// hears says how a Backup stands to the Active it hears; empty if there is none.
func hears(r *daemon.RouterStatus) string {
	a := r.Active
	if r.State != vrrp.Backup.String() || a == nil || a.Self {
		return ""
	}
	who, after := fmt.Sprintf("%s (priority %d)", clean(a.Address), a.Priority), ""
	if r.ActiveDownIn != nil {
		after = " in " + rest(*r.ActiveDownIn)
	}
	switch eff := r.EffectivePriority; {
	case a.Priority > 0 && a.Priority < eff && r.MovedAway && a.HeardAgo <= silent*max(a.Interval, r.ActiveAdverInterval):
		return who + " is Active; moved there by an operator"
	case a.Priority == vrrp.PriorityStop:
		return fmt.Sprintf("%s gave up (priority 0); we take over%s unless somebody better does", clean(a.Address), after)
	case a.HeardAgo > silent*max(a.Interval, r.ActiveAdverInterval):
		return fmt.Sprintf("%s is silent for %s; we take over%s", who, rest(a.HeardAgo), after)
	case a.Priority > eff:
		return fmt.Sprintf("%s is Active and better than our %d", who, eff)
	case a.Priority == eff:
		return fmt.Sprintf("%s is Active and as good as our %d", who, eff)
	case !r.Preempt:
		return fmt.Sprintf("%s is Active and worse than our %d; preempt = false", who, eff)
	case r.PreemptIn != nil:
		return fmt.Sprintf("%s is Active and worse than our %d; we take over in %s (preempt_delay)", who, eff, rest(*r.PreemptIn))
	default:
		return fmt.Sprintf("%s is Active and worse than our %d; we take over%s", who, eff, after)
	}
}

// silent is how many intervals without an advertisement are worth a word: one
// may be late or lost.
const silent = 1.9

// rest is a time that runs, for a glance: whole seconds where there are many.
func rest(seconds float64) string {
	switch {
	case seconds >= 60:
		return span(time.Duration(seconds * float64(time.Second)))
	case seconds >= 10:
		return took(math.Ceil(seconds))
	default:
		return took(math.Round(seconds*1000) / 1000)
	}
}

// priority is the effective one, and the configured one where they differ.
func priority(r *daemon.RouterStatus) string {
	if r.EffectivePriority == r.Priority {
		return strconv.Itoa(int(r.Priority))
	}
	return fmt.Sprintf("%d of %d", r.EffectivePriority, r.Priority)
}

// holder says who is Active as far as this host knows.
func holder(r *daemon.RouterStatus) string {
	switch a := r.Active; {
	case a == nil && r.State == "backup":
		return "nobody heard yet"
	case a == nil && overheard(r) != "":
		return overheard(r)
	case a == nil:
		return "-"
	case a.Self:
		return "this host"
	default:
		return fmt.Sprintf("%s, %s", clean(a.Address), ago(a.HeardAgo))
	}
}

// shortList is as much of the addresses as a table has room for.
func shortList(list []daemon.AddressStatus) string {
	const room = 2
	var names []string
	for i, a := range list {
		if i == room && len(list) > room+1 {
			names = append(names, fmt.Sprintf("+%d", len(list)-i))
			break
		}
		names = append(names, clean(a.Address))
	}
	return strings.Join(names, " ")
}
