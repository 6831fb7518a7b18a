package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

func (t *tool) statusVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show who is Active, since when and why",
		Long: `Show the virtual routers of this host: who is Active, since when and why; with
NAME everything about one of them. What needs attention comes first, marked "!".`,
		Args: atMostOne,
	}
	path, output := controlFlag(c), outputFlag(c)
	c.ValidArgsFunction = completeRouter(path)
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx, cancel := context.WithTimeout(c.Context(), clientPatience)
		defer cancel()
		name := ""
		if len(args) == 1 {
			name = args[0]
		}
		st, err := control.Dial(*path).Status(ctx, name)
		if err != nil {
			return failed(err)
		}
		if output.json() {
			return t.printJSON(st)
		}
		p := &statusPrinter{look: t.look, zone: t.zone, st: st, now: st.At, tool: versionText()}
		w := bufio.NewWriter(t.out)
		if name == "" {
			p.all(w)
		} else {
			p.one(w)
		}
		return failed(w.Flush())
	}
	return c
}

// statusPrinter prints a status for people. It reads no clock: now is an argument.
type statusPrinter struct {
	look
	zone *time.Location
	st   *control.Status
	now  time.Time
	tool string // version of the tool
}

// all prints every router in one table.
func (p *statusPrinter) all(w io.Writer) {
	p.head(w)
	p.warn(w)
	if len(p.st.Routers) == 0 {
		fmt.Fprintln(w, "no virtual routers")
		return
	}
	rows := [][]cell{{{text: "NAME"}, {text: "STATE"}, {text: "FOR"}, {text: "PRIO", right: true}, {text: "ACTIVE"},
		{text: "INTERFACE"}, {text: "VRID", right: true}, {text: "ADDRESSES"}}}
	for i := range rows[0] {
		rows[0][i].paint = p.dim
	}
	for i := range p.st.Routers {
		rows = append(rows, p.row(&p.st.Routers[i]))
	}
	lines := columns(rows)
	fmt.Fprintln(w, lines[0])
	for i, l := range lines[1:] {
		fmt.Fprintln(w, l)
		fmt.Fprintln(w, p.dim("  why: "+why(&p.st.Routers[i])))
	}
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
	fmt.Fprintln(w, strings.Join(parts, " · "))
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
	list := warnings(p.st, p.tool)
	for i, s := range list {
		if i == maxWarnings && len(list) > maxWarnings+1 {
			fmt.Fprintln(w, p.yellow(fmt.Sprintf("! and %d more; see --output json", len(list)-i)))
			break
		}
		fmt.Fprintln(w, p.yellow("! "+s))
	}
	if len(list) > 0 {
		fmt.Fprintln(w)
	}
}

func (p *statusPrinter) row(r *daemon.RouterStatus) []cell {
	state := word(r.State)
	if r.Yielding {
		state += ", yielding"
	}
	return []cell{
		{text: clean(r.Name), paint: p.bold},
		{text: state, paint: func(s string) string { return p.state(r.State, s) }},
		{text: span(p.now.Sub(r.Since))},
		{text: priority(r), right: true},
		{text: holder(r)},
		{text: clean(r.Interface)},
		{text: strconv.Itoa(int(r.VRID)), right: true},
		{text: shortList(r.Addresses)},
	}
}

// why is the reason of the last transition, or what keeps it from the first one.
func why(r *daemon.RouterStatus) string {
	if r.Fault != "" {
		return faultText(r)
	}
	return clean(r.Reason)
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
