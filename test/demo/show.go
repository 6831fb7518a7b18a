package main

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// show prints for people. Colours are for terminals only.
type show struct {
	w      io.Writer
	colour bool
	began  time.Duration
}

func newShow(w io.Writer, colour bool) *show {
	return &show{w: w, colour: colour, began: lab.Now()}
}

// The few SGR codes that are legible on a light and on a dark ground.
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
)

func (s *show) paint(code, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s *show) intro(targets []netip.Addr) {
	fmt.Fprintf(s.w, "%s\n\n", s.paint(bold, "backbeat: two routers, one address, one client, in namespaces of this machine"))
	fmt.Fprintf(s.w, "  r1 and r2 share %s and %s by VRRPv3 (%s).\n", targets[0], targets[1], configFile)
	fmt.Fprintf(s.w, "  Each Active says so every %s. If r2 hears nothing for 3 × %s + skew = %s, it takes over;\n",
		interval, interval, seconds(down(100)))
	fmt.Fprintf(s.w, "  if r1 says that it is leaving, r2 takes over after the skew alone, %s.\n", seconds(skew(100)))
	fmt.Fprintf(s.w, "  The client sends a ping to each address every 0.5 ms and notes who answers.\n")
}

func (s *show) chapter(format string, a ...any) {
	fmt.Fprintf(s.w, "\n%s\n", s.paint(bold, fmt.Sprintf(format, a...)))
}

// event is a line with the time on the left.
func (s *show) event(format string, a ...any) {
	at := fmt.Sprintf("%7.3f", (lab.Now() - s.began).Seconds())
	fmt.Fprintf(s.w, "  %s  %s\n", s.paint(dim, at), fmt.Sprintf(format, a...))
}

func (s *show) note(format string, a ...any) {
	fmt.Fprintf(s.w, "  %s  %s\n", strings.Repeat(" ", 7), s.paint(dim, fmt.Sprintf(format, a...)))
}

func (s *show) state(name, state, reason string) {
	if reason != "" {
		reason = ": " + reason
	}
	switch state {
	case "":
		s.event("%s does not run", name)
	case "active":
		s.event("%s is %s%s", name, s.paint(green, "Active"), reason)
	default:
		s.event("%s is %s%s", name, strings.ToUpper(state[:1])+state[1:], reason)
	}
}

func (s *show) answer(target netip.Addr, by string) {
	if by == "" {
		s.event("client: %s", s.paint(red, fmt.Sprintf("%s does not answer", target)))
		return
	}
	s.event("client: %s is answered by %s", target, by)
}

// measured tells what the client has lost.
func (s *show) measured(r result) {
	v4, v6 := r.reports[0], r.reports[1]
	s.note("measured: %s answered the client after %s; longest silence %s (IPv4), %s (IPv6)",
		v4.By, seconds(v4.Takeover), seconds(v4.Silence), seconds(v6.Silence))
}

// tolerance is what a loaded machine may add before we call a takeover late:
// the daemon shares two processors with whatever else runs here.
const tolerance = 250 * time.Millisecond

// table prints the results and tells whether every takeover happened in time.
func (s *show) table(results []result) bool {
	good := true
	fmt.Fprintf(s.w, "\n%s\n", s.paint(bold, fmt.Sprintf("  %-22s %12s %12s %12s   %s",
		"what happened", "silence v4", "silence v6", "takeover", "the protocol's bound")))
	var worst time.Duration
	for _, r := range results {
		v4, v6 := r.reports[0], r.reports[1]
		takeover, bound := seconds(max(v4.Takeover, v6.Takeover)), ""
		verdict := s.paint(green, "good")
		switch {
		case v4.By == "" || v6.By == "":
			takeover, verdict, good = "-", s.paint(red, "did not happen"), false
		case r.bound == 0:
			takeover = "-" // a hand-back is not urgent: nobody waits for it
		case max(v4.Takeover, v6.Takeover) > r.bound+tolerance:
			verdict, good = s.paint(red, "late"), false
		}
		if r.bound != 0 {
			bound = fmt.Sprintf("%s (%s)", seconds(r.bound), r.rule)
		}
		for _, rep := range r.reports {
			worst = max(worst, rep.WorstStall)
		}
		fmt.Fprintf(s.w, "  %-22s %12s %12s %12s   %-26s %s\n", r.what, seconds(v4.Silence), seconds(v6.Silence), takeover, bound, verdict)
	}
	fmt.Fprintf(s.w, "\n  silence: the longest time in which the client got no answer. takeover: from the fault to the first answer of the other router.\n")
	fmt.Fprintf(s.w, "  The bound counts from the last advertisement, so a fault costs up to one interval less.\n")
	fmt.Fprintf(s.w, "  A killed daemon leaves its addresses behind: its kernel lets them go when their lifetime ends, at about the moment the other takes over.\n")
	fmt.Fprintf(s.w, "  The client's own worst stall was %s.\n", seconds(worst))
	if good {
		fmt.Fprintf(s.w, "\n  %s\n", s.paint(green, "Every takeover happened."))
	} else {
		fmt.Fprintf(s.w, "\n  %s\n", s.paint(red, "Not every takeover happened in time."))
	}
	return good
}

func (s *show) complain(text string) { fmt.Fprintf(s.w, "\n%s %s\n", s.paint(red, "demo:"), text) }

func (s *show) log(name, text string) {
	fmt.Fprintf(s.w, "\n%s\n%s\n", s.paint(bold, "log of "+name), text)
}

// seconds prints a duration as people read it: 3.609 s, 61.2 ms.
func seconds(d time.Duration) string {
	if d < 100*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.3f s", d.Seconds())
}
