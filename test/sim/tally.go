package sim

import (
	"fmt"
	"strings"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/simlan"
)

// Tally is how often each thing has happened in a history: faults, orders, what hands
// have done, and what has become of them. A test says which must occur.
type Tally map[string]int

// Tally returns what has happened on the LAN so far.
func (n *LAN) Tally() Tally { return n.watch.tally }

// faulted counts a fault by what it is, and not by whom it is of.
func (o *observer) faulted(format string, args []any) {
	kind := strings.TrimPrefix(strings.TrimPrefix(format, "%s: "), "%s ")
	for _, a := range args {
		switch v := a.(type) {
		case daemon.CommandVerb:
			o.tally["command "+string(v)]++
			return
		case bool:
			kind = strings.Replace(kind, "%t", fmt.Sprint(v), 1)
		}
	}
	o.tally[kind]++
}

// count counts what is in a history from its beginning.
func (h *History) count() {
	t, has := h.lan.watch.tally, func(kind string, is bool) {
		if is {
			h.lan.watch.tally["history: "+kind]++
		}
	}
	t[fmt.Sprintf("history: %d hosts", len(h.lan.hosts))]++
	has("the whole daemon", h.whole)
	has("peaceful", h.peaceful)
	has("a wild medium: delays of half an interval, packets overtake each other", h.lan.opt.MaxDelay > h.unit/4)
	has("two links", h.lan.opt.Links == 2)
	has("storage that refuses", h.whole && !h.lan.opt.Ignorant)
	for i := range h.routers {
		g := &h.routers[i]
		has("sync group", g.sync != "" && (i == 0 || h.routers[i-1].sync == ""))
		has("unicast", g.unicast)
		has("virtual MAC", g.mac)
		has("IPv6", g.family != 4)
		has("version 2", g.version == 2)
		has("address owner", g.owner >= 0)
		has("checks", g.depends != nil)
		has("hooks", g.hooks)
		has("addresses with a lifetime", g.mortal)
	}
	for i := range h.groups {
		l := &h.groups[i].cfg.Ladder
		has("service group", true)
		has("exclusive data, fence", l.Safety.Mode == actions.SafetyFence)
		has("exclusive data, none", l.Safety.Mode == actions.SafetyNone)
		has("addresses when ready", h.groups[i].cfg.WhenReady)
	}
}

// deed notes what hands have made of a job.
func (t Tally) deed(job *actions.Job, d *simlan.Deed) {
	kind := ""
	switch {
	case d.Hangs:
		kind = "hangs"
	case d.Lies:
		kind = "lies"
	case d.Refused:
		kind = "is refused"
	case d.Blind:
		kind = "finds nothing out"
	case d.Fails != "":
		kind = "fails"
	default:
		return
	}
	t["hands: "+job.Verb.String()+" "+kind]++
}

// said notes the grounds on which exclusive data were taken, and other lines of interest.
func (t Tally) said(text string) {
	for _, x := range [...]string{"exclusive data may be taken: this host held it", "exclusive data may be taken: the host that was Active before has let go",
		"exclusive data may be taken: the host that was Active before is silent", "exclusive data may be taken: the other host was fenced",
		"exclusive data may be taken: confirmed by", "has not said that it let go", "is stuck", "this host cannot serve", "the hold-off is over",
		"as in the process before", "too long to go on", "asking whether anybody is better", "has expired", "did not run for",
		"is failing: ", "is healthy: passed"} {
		if strings.Contains(text, x) {
			t["log: "+x]++
		}
	}
}
