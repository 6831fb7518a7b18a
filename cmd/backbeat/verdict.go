package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// verdictLevel is what a monitoring system knows; the numbers are exit codes
// (Nagios, Icinga, Checkmk).
type verdictLevel int

const (
	verdictOK verdictLevel = iota
	verdictWarning
	verdictCritical
	verdictUnknown
)

// String returns the word that monitoring systems expect.
func (v verdictLevel) String() string { return [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}[v] }

// exitCode is an error that has been told already, with an exit code of its own.
type exitCode int

func (e exitCode) Error() string { return "" }

// checkLine is `status --check`: one line, and the exit code for it.
func (t *tool) checkLine(ctx context.Context, path, name string) error {
	level, text := verdictUnknown, ""
	st, err := status(ctx, control.Dial(path), name)
	if err != nil {
		text = clean(err.Error())
	} else {
		p := &statusPrinter{zone: t.zone, st: st, now: st.At, tool: versionText(), served: served(ctx, path, name, st)}
		level, text = p.overall()
	}
	if _, err := fmt.Fprintf(t.out, "BACKBEAT %s - %s\n", level, text); err != nil {
		return failed(err)
	}
	if level == verdictOK {
		return nil
	}
	return exitCode(level)
}

// served tells for which virtual routers that take no part another host is
// Active. They believe nobody, and only count what they do not listen to: whether
// that count grows takes a second look, some intervals later.
func served(ctx context.Context, path, name string, st *control.Status) map[string]bool {
	const most = 2500 * time.Millisecond
	wait := time.Duration(0)
	for i := range st.Routers {
		if r := &st.Routers[i]; r.Fault != "" && overheard(r) == "" {
			wait = max(wait, time.Duration(2.2*max(r.AdvertisementInterval, r.ActiveAdverInterval)*float64(time.Second)))
		}
	}
	if wait == 0 {
		return nil
	}
	pause(ctx, min(wait, most))
	again, err := status(ctx, control.Dial(path), name)
	if err != nil {
		return nil
	}
	out := map[string]bool{}
	for i := range st.Routers {
		r := &st.Routers[i]
		if now := routerIn(again, r.Name); now != nil {
			ignored := vrrp.DropNotReady.String()
			out[r.Name] = now.Counters[ignored] > r.Counters[ignored]
		}
	}
	return out
}

// overall judges this host: critical is what nobody may serve for, or what two
// hosts may serve at once; warning is what would make the next failover worse.
func (p *statusPrinter) overall() (verdictLevel, string) {
	severe := p.severe()
	worse := slices.DeleteFunc(append(p.warnings(), p.abnormal()...), func(s string) bool { return slices.Contains(severe, s) })
	level, list := verdictOK, slices.Concat(severe, worse)
	switch {
	case len(severe) > 0:
		level = verdictCritical
	case len(worse) > 0:
		level = verdictWarning
	default:
		list = []string{p.inShort()}
	}
	const many = 3
	more := ""
	if n := len(list) - many; n > 1 {
		list, more = list[:many], fmt.Sprintf("; and %d more", n)
	}
	// What follows "|" is performance data.
	text := strings.ReplaceAll(clean(p.st.Node)+": "+strings.Join(list, "; ")+more, "|", "/")
	count := map[string]int{}
	for i := range p.st.Routers {
		count[p.st.Routers[i].State]++
	}
	return level, fmt.Sprintf("%s | active=%d backup=%d initialize=%d", text, count["active"], count["backup"], count["initialize"])
}

// severe is what needs somebody now. The texts are those of the warnings.
func (p *statusPrinter) severe() (out []string) {
	for i := range p.st.Routers {
		r := &p.st.Routers[i]
		served := p.served[r.Name] || overheard(r) != "" // another host is Active
		switch {
		case r.Fault != "" && r.Fault != "pending" && r.Fault != "standby" && r.Fault != "service-group" && !served:
			out = append(out, faultWarning(r))
		case r.Fault == "standby" && !served:
			out = append(out, fmt.Sprintf("%s is in standby, and nobody else is heard", clean(r.Name)))
		}
		if r.State != vrrp.Active.String() {
			continue
		}
		for _, a := range r.Addresses {
			if a.Wanted && !a.Present && !addressesWait(p.st, r) {
				out = append(out, missingAddress(r, &a))
			}
		}
		// Whoever is refused while we are Active is Active too.
		out = append(out, refusedWarnings(r.Name, r.Refused, nil)...)
	}
	for i := range p.st.Services {
		s := &p.st.Services[i]
		switch {
		case s.Stuck != "" || s.State == "claiming", (s.Unfit != "" || p.keptOut(s)) && !slices.ContainsFunc(p.st.Routers, func(r daemon.RouterStatus) bool {
			return slices.Contains(s.Follows, r.Name) && (p.served[r.Name] || overheard(&r) != "" || r.Active != nil && !r.Active.Self)
		}):
			out = append(out, groupWarning(s))
		}
	}
	return out
}

// keptOut reports whether a group that could not be brought up here keeps its virtual
// routers out of the election.
func (p *statusPrinter) keptOut(s *daemon.ServiceStatus) bool {
	return s.Unqualified != "" && slices.ContainsFunc(p.st.Routers, func(r daemon.RouterStatus) bool {
		return slices.Contains(s.Follows, r.Name) && r.Fault == "service-group"
	})
}

// abnormal is what an operator has ordered, or what is on its way.
func (p *statusPrinter) abnormal() (out []string) {
	for i := range p.st.Orders {
		out = append(out, p.orderText(&p.st.Orders[i]))
	}
	for i := range p.st.Routers {
		if r := &p.st.Routers[i]; r.Degraded {
			out = append(out, fmt.Sprintf("%s is degraded: priority %s", clean(r.Name), priorityLine(r)))
		}
	}
	for i := range p.st.Services {
		s := &p.st.Services[i]
		switch s.State {
		case "starting", "stopping", "limited", "looking":
			out = append(out, fmt.Sprintf("%s is %s, %d of %d steps up: %s", clean(s.Name), clean(s.State), s.Up, s.Total, clean(s.Text)))
		}
	}
	return out
}

// inShort is what there is, when all is well.
func (p *statusPrinter) inShort() string {
	count := map[string]int{}
	for i := range p.st.Routers {
		count[p.st.Routers[i].State]++
	}
	text := summary(len(p.st.Routers), count)
	for i := range p.st.Services {
		s := &p.st.Services[i]
		text += fmt.Sprintf("; %s %s %d/%d", clean(s.Name), clean(s.State), s.Up, s.Total)
	}
	return text
}
