package main

import (
	"bufio"
	"fmt"
	"slices"
	"strings"

	"github.com/backbeat-ha/backbeat/daemon/play"
)

// mostRows is up to how many combinations each has a line of its own.
const mostRows = 64

// playPrinter prints a play for people.
type playPrinter struct {
	look
	width int // of the terminal, 0 without one
	w     *bufio.Writer
	r     *play.Result
	nodes int // width of the longest node name
	// calm are the lines of checks that begin healthy, which are counted instead.
	calm map[*play.Event]bool
}

func (p *playPrinter) all() {
	var names []string
	for i := range p.r.Hosts {
		names = append(names, clean(p.r.Hosts[i].Node))
		p.nodes = max(p.nodes, len(p.r.Hosts[i].Node))
	}
	p.print(0, p.bold(fmt.Sprintf("%s in virtual time: %s, seed %d", listed(names), took(p.r.Until), p.r.Seed)))
	p.cast()
	p.print(0, "")
	for i := range p.r.Timeline {
		if e := &p.r.Timeline[i]; !p.calm[e] {
			p.event(e)
		}
	}
	p.end()
	for i := range p.r.Tables {
		p.table(&p.r.Tables[i])
	}
	p.verdict()
}

// print prints a line, folded where the terminal ends.
func (p *playPrinter) print(indent int, text string) { fmt.Fprintln(p.w, fold(text, p.width, indent)) }

func (p *playPrinter) rows(rows [][]cell) {
	for _, line := range columns(rows) {
		p.print(6, line)
	}
}

// listed is "web1, web2 and web3".
func listed(names []string) string {
	if n := len(names) - 1; n > 0 {
		return strings.Join(names[:n], ", ") + " and " + names[n]
	}
	return strings.Join(names, "")
}

// cast says who is who: the addresses that reasons name.
func (p *playPrinter) cast() {
	var rows [][]cell
	invented := false
	for _, h := range p.r.Hosts {
		first := "  " + clean(h.Node)
		for _, n := range h.Interfaces {
			text := strings.Join(n.Addresses, " ")
			if n.Invented {
				invented, text = true, text+" *"
			}
			if len(n.Addresses) == 0 {
				continue
			}
			rows = append(rows, []cell{{text: first}, {text: clean(n.Name)}, {text: text}})
			first = ""
		}
	}
	p.rows(rows)
	if n := p.calmChecks(); n != "" {
		p.print(2, "  "+n)
	}
	if invented {
		p.print(2, p.dim("  * invented: the configuration does not say which addresses the host has itself"))
	}
}

// calmChecks counts the checks whose first verdict is that all is well.
func (p *playPrinter) calmChecks() string {
	p.calm = map[*play.Event]bool{}
	seen, count := map[string]bool{}, map[string]int{}
	for i := range p.r.Timeline {
		e := &p.r.Timeline[i]
		name, is := strings.CutPrefix(e.Text, "check ")
		name, what, _ := strings.Cut(name, " is ")
		if !is || e.Kind != play.KindLog || seen[e.Node+" "+name] {
			continue
		}
		if seen[e.Node+" "+name] = true; what == "healthy: passed" {
			p.calm[e] = true
			count[e.Node]++
		}
	}
	var parts []string
	for i := range p.r.Hosts {
		if n := count[p.r.Hosts[i].Node]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d on %s", n, clean(p.r.Hosts[i].Node)))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "checks that begin healthy: " + listed(parts)
}

// event is one line of the timeline: when, where, what.
func (p *playPrinter) event(e *play.Event) {
	node, text := clean(e.Node), clean(e.Text)
	switch e.Kind {
	case play.KindFault:
		text = p.bold(text)
		if node == "" {
			node = "LAN"
		}
	case play.KindTransition:
		text = fmt.Sprintf("%s is %s: %s", clean(e.Router), p.state(e.To, word(e.To)), text)
	case play.KindLog:
		if text = p.dim(text); e.Level == "error" {
			text = p.red(clean(e.Text))
		}
	case play.KindWriters:
		text = p.red("! " + text)
	case play.KindHolders:
		text = p.holders(e)
	}
	indent := 2 + 8 + 2 + p.nodes + 2
	p.print(indent, fmt.Sprintf("  %s  %-*s  %s", p.dim(fmt.Sprintf("%8.3f", e.At)), p.nodes, node, text))
}

func (p *playPrinter) holders(e *play.Event) string {
	text := clean(e.Text)
	if e.Before != nil {
		who := "nobody"
		if *e.Before > 1 {
			who = plural(*e.Before, "host")
		}
		text += fmt.Sprintf("; %s held it for %s", who, took(e.BeforeSeconds))
	}
	if len(e.Holders) == 1 {
		return p.green("= ") + text
	}
	return p.red("! " + text)
}

// end is how everything is when the play is over.
func (p *playPrinter) end() {
	p.print(0, "\n"+p.bold("At the end"))
	var rows [][]cell
	for i := range p.r.Hosts {
		h := &p.r.Hosts[i]
		for _, r := range h.Routers {
			rows = append(rows, p.endRow(h, &r))
		}
	}
	slices.SortStableFunc(rows, func(a, b []cell) int { return strings.Compare(a[0].text, b[0].text) })
	for i := len(rows) - 1; i > 0; i-- {
		if rows[i][0].text == rows[i-1][0].text {
			rows[i][0].text = ""
		}
	}
	p.rows(rows)
	p.services()
	p.print(0, "")
	rows = [][]cell{{{text: "  address", paint: p.bold}, {text: "held by", paint: p.bold}, {text: "by nobody", paint: p.bold, right: true}, {text: "longest", paint: p.bold, right: true},
		{text: "by several", paint: p.bold, right: true}, {text: "longest", paint: p.bold, right: true}}}
	for i := range p.r.Addresses {
		a := &p.r.Addresses[i]
		holders := cell{text: strings.Join(cleanAll(a.Holders), " and ")}
		if len(a.Holders) != 1 {
			holders.paint = p.red
		}
		if len(a.Holders) == 0 {
			holders.text = "nobody"
		}
		long := func(s float64) cell {
			if s == 0 {
				return cell{text: "-", right: true}
			}
			return cell{text: took(s), right: true}
		}
		rows = append(rows, []cell{{text: "  " + play.Brief(a.Addresses)}, holders, long(a.Nobody), long(a.LongestNobody), long(a.Several), long(a.LongestSeveral)})
	}
	p.rows(rows)
	p.groupUses()
}

// groupUses are the service groups and how long each was up nowhere.
func (p *playPrinter) groupUses() {
	if len(p.r.Services) == 0 {
		return
	}
	p.print(0, "")
	rows := [][]cell{{{text: "  service group", paint: p.bold}, {text: "up on", paint: p.bold}, {text: "nowhere", paint: p.bold, right: true}, {text: "longest", paint: p.bold, right: true},
		{text: "times up", paint: p.bold, right: true}}}
	long := func(s float64) cell {
		if s == 0 {
			return cell{text: "-", right: true}
		}
		return cell{text: took(s), right: true}
	}
	for i := range p.r.Services {
		g := &p.r.Services[i]
		on := cell{text: strings.Join(cleanAll(g.UpOn), " and ")}
		if len(g.UpOn) == 0 {
			on = cell{text: "nowhere", paint: p.red}
			if g.FirstUp == nil {
				on.text = "never"
			}
		}
		rows = append(rows, []cell{{text: "  " + clean(g.Name)}, on, long(g.Nowhere), long(g.LongestNowhere), {text: fmt.Sprint(g.Ups), right: true}})
	}
	p.rows(rows)
}

// services are the service groups at the end.
func (p *playPrinter) services() {
	var rows [][]cell
	for i := range p.r.Hosts {
		for _, s := range p.r.Hosts[i].Services {
			rows = append(rows, []cell{{text: "  " + clean(s.Name), paint: p.bold}, {text: clean(p.r.Hosts[i].Node)},
				{text: clean(s.State)}, {text: fmt.Sprintf("%d of %d steps up", s.Up, s.Total)}, {text: clean(s.Text)}})
		}
	}
	p.rows(rows)
}

func (p *playPrinter) endRow(h *play.HostResult, r *play.RouterResult) []cell {
	state := cell{text: word(r.State), paint: func(s string) string { return p.state(r.State, s) }}
	why := clean(r.Reason)
	if r.FaultDetail != "" {
		why = clean(r.FaultDetail)
	}
	if h.State != "running" {
		state = cell{text: h.State, paint: p.red}
		if h.State == "frozen" {
			why = "was " + word(r.State) + " when it stood still"
		}
	}
	priority := ""
	switch {
	case r.State == "":
	case r.EffectivePriority != r.Priority:
		priority = fmt.Sprintf("priority %d of %d", r.EffectivePriority, r.Priority)
	default:
		priority = fmt.Sprintf("priority %d", r.Priority)
	}
	return []cell{{text: "  " + clean(r.Name), paint: p.bold}, {text: clean(h.Node)}, state, {text: priority}, {text: why}}
}

// table is what check results come to for one virtual router or more.
func (p *playPrinter) table(t *play.CheckedUnit) {
	p.print(0, "\n"+p.bold("Check results and who serves: "+strings.Join(cleanAll(t.Routers), ", ")))
	if len(t.Rows) < 2 {
		p.print(2, "  no checks change its priority: the order is always the same")
		return
	}
	covered := uint64(0)
	for i := range t.Rows {
		covered += t.Rows[i].Covers
	}
	if t.Reduced != "" && covered < t.Count {
		p.print(2, "  "+p.yellow(clean(t.Reduced)))
	}
	rows := t.Rows
	if t.Reduced != "" || len(rows) > mostRows {
		rows = t.Merged()
		p.print(2, p.dim(fmt.Sprintf("  %d combinations; those that come to the same are one line, and its number says how many", covered)))
	}
	head := []cell{{text: "  failing", paint: p.bold}}
	for _, h := range t.Hosts {
		head = append(head, cell{text: clean(h.Node), paint: p.bold, right: true})
	}
	head = append(head, cell{text: "serves", paint: p.bold})
	out := [][]cell{head}
	for i := range rows {
		out = append(out, p.tableRow(&rows[i]))
	}
	p.rows(out)
}

func (p *playPrinter) tableRow(r *play.Row) []cell {
	failing := "none"
	if len(r.Failing) > 0 {
		failing = strings.Join(cleanAll(r.Failing), ", ")
	}
	if r.Covers > 1 {
		failing += fmt.Sprintf(" (%d)", r.Covers)
	}
	row := []cell{{text: "  " + failing}}
	for _, h := range r.Hosts {
		text := fmt.Sprint(h.Priority)
		switch {
		case h.Faulted:
			text = "out"
		case h.Degraded:
			text += " degraded"
		}
		row = append(row, cell{text: text, right: true})
	}
	serves := cell{text: strings.Join(cleanAll(r.Serves), " and ")}
	if len(r.Serves) != 1 {
		serves.text, serves.paint = "nobody", p.red
		if len(r.Serves) > 1 {
			serves.text = strings.Join(cleanAll(r.Serves), " and ")
		}
	} else if r.Remark != "" {
		serves.text, serves.paint = serves.text+" !  "+clean(r.Remark), p.red
	}
	return append(row, serves)
}

// verdict is what is wrong, and what else is to be said.
func (p *playPrinter) verdict() {
	p.print(0, "")
	for i := range p.r.Findings {
		f := &p.r.Findings[i]
		p.print(2, fmt.Sprintf("%s %s: %s", p.red("!"), p.bold(clean(f.Router)), clean(f.Text)))
	}
	for _, n := range p.r.Notes {
		p.print(2, p.yellow("- ")+clean(n))
	}
	if len(p.r.Findings) == 0 {
		text := " Every address is held by one host."
		if len(p.r.Services) > 0 {
			text = " Every address is held by one host, and every service group is up."
		}
		p.print(0, p.green("Nothing to complain of.")+text)
	}
}
