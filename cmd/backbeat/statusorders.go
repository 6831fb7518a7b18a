package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

// orders prints the standing orders: who, when, why, until when, and what ends
// them. Nobody should have to wonder at three in the morning why nothing moves.
func (p *statusPrinter) orders(w io.Writer) {
	for i := range p.st.Orders {
		p.line(w, p.yellow("order: "+p.orderText(&p.st.Orders[i])), 2)
	}
	if len(p.st.Orders) > 0 {
		fmt.Fprintln(w)
	}
}

// orderText is "standby of all of this host since 11:38:00 (22m 0s) by root (uid 0): kernel update; ends with backbeat online".
func (p *statusPrinter) orderText(o *daemon.Order) string {
	of := clean(o.Name)
	if of == "" {
		of = "all of this host"
	}
	kind := clean(string(o.Kind))
	if o.Kind == daemon.OrderPin {
		kind = "pin to another host"
	}
	s := fmt.Sprintf("%s of %s since %s (%s) by %s", kind, of, p.clock(o.Since), span(p.now.Sub(o.Since)), clean(o.By))
	if o.Reason != "" {
		s += ": " + clean(o.Reason)
	}
	ends := "; ends with " + ender(o)
	if !o.Until.IsZero() {
		ends = fmt.Sprintf("; ends at %s (in %s), or with %s", p.clock(o.Until), span(o.Until.Sub(p.now)), ender(o))
	}
	return s + ends
}

// ender is the command that takes an order back.
func ender(o *daemon.Order) string {
	verb := map[daemon.OrderKind]string{daemon.OrderStandby: "online", daemon.OrderPin: "unmove", daemon.OrderMaintenance: "maintenance off"}[o.Kind]
	return strings.TrimSpace("backbeat " + verb + " " + clean(o.Name))
}

// orderOf is the order of a kind that concerns a name: its own, or the host's.
func orderOf(st *control.Status, kind daemon.OrderKind, name string) *daemon.Order {
	for _, n := range []string{name, ""} {
		if i := slices.IndexFunc(st.Orders, func(o daemon.Order) bool { return o.Kind == kind && o.Name == n }); i >= 0 {
			return &st.Orders[i]
		}
	}
	return nil
}

// stateText is the state with what an operator or a service group makes of it.
func stateText(r *daemon.RouterStatus) string {
	s := word(r.State)
	switch {
	case r.SteppingAside != "":
		s += ", stepping aside"
	case r.Yielding:
		s += ", yielding"
	case r.Standby != "":
		s += ", standby"
	}
	switch {
	case r.Pinned != "":
		s += ", pinned away"
	case r.MovedAway:
		s += ", moved away"
	case r.MovedHere:
		s += ", moved here"
	}
	return s
}

// ordered says what operators have to do with where a router is, line by line.
func (p *statusPrinter) ordered(r *daemon.RouterStatus) (out []string) {
	for _, kind := range []daemon.OrderKind{daemon.OrderStandby, daemon.OrderPin} {
		if o := orderOf(p.st, kind, r.Name); o != nil && (kind == daemon.OrderStandby || o.Name == r.Name) {
			out = append(out, p.yellow(p.orderText(o)))
		}
	}
	if r.Standby != "" && orderOf(p.st, daemon.OrderStandby, r.Name) == nil {
		out = append(out, p.yellow(clean(r.Standby)))
	}
	name := clean(r.Name)
	switch {
	case r.MovedAway:
		out = append(out, fmt.Sprintf("moved to another host: not taken back while that one is well; backbeat unmove %s lets priorities decide again", name))
	case r.MovedHere:
		out = append(out, fmt.Sprintf("moved here: kept until another host has to take over; backbeat unmove %s lets priorities decide again", name))
	}
	return out
}
