package systemd

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

var vip = netip.MustParseAddr("10.77.0.100")

// hiccup is how long these machines stand still now and then: more can be to blame for
// what a client sees.
const hiccup = 10 * time.Millisecond

// pair is r1, whose backbeat systemd runs, r2 with a plain one, and a client that asks
// for the address each millisecond. r1 is preferred.
type pair struct {
	*machine
	lab     *lab.Lab
	r2      *lab.Backbeat
	probe   *lab.Probe
	sniffer *lab.Sniffer
}

// web is a configuration for both hosts; blocks are added.
func web(interval string, blocks ...string) string {
	return fmt.Sprintf(`node {
  name = env("BACKBEAT_NODE")
}
virtual_router "web" {
  interface = "eth0"
  vrid      = 61
  priority  = { r1 = 150, r2 = 100 }[node.name]
  interval  = %q
  addresses = ["%s/24"]
}
`, interval, vip) + strings.Join(blocks, "\n")
}

// newPair boots r1, without starting backbeat on it.
func newPair(t *testing.T, text string) *pair { return newPairIn(t, text, false) }

func newPairIn(t *testing.T, text string, pure bool) *pair {
	t.Helper()
	t.Parallel()
	need(t)
	l, ctx := lab.ForTest(t, lab.Plan{Hosts: []string{"r1", "r2", "client"}}, 90*time.Second)
	p := &pair{lab: l, machine: newMachine(t, ctx, l, "r1", pure)}
	var err error
	p.sniffer, err = l.Sniff()
	p.must(err)
	p.r2, err = l.Host("r2").Backbeat(text)
	p.must(err)
	p.r2.RealTime()
	p.probe, err = l.Host("client").Probe(lab.ProbeSpec{Target: vip, Interval: time.Millisecond})
	p.must(err)
	p.configure(text)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("== log of r2\n%s", p.r2.Log())
		}
	})
	return p
}

// newRunning is newPair with backbeat started on both and at rest.
func newRunning(t *testing.T, text string) *pair {
	t.Helper()
	p := newPair(t, text)
	p.run()
	return p
}

func (p *pair) run() {
	p.t.Helper()
	p.systemctl("start", "backbeat")
	p.must(p.r2.Start(p.ctx))
	p.active("r1")
}

// configure writes r1's file.
func (p *pair) configure(text string) {
	p.t.Helper()
	p.write("/etc/backbeat/backbeat.hcl", text)
}

// state is that of the virtual router on a host.
func (p *pair) state(name string) string {
	if name == "r2" {
		return p.r2.State(p.ctx, "web")
	}
	for _, r := range p.status().Routers {
		if r.Name == "web" {
			return r.State
		}
	}
	return ""
}

// active waits until a host is Active, has the address and answers, and the other rests.
func (p *pair) active(name string) {
	p.t.Helper()
	p.until(name+" to be Active", func() bool {
		return p.state(name) == "active" && slices.Equal(p.lab.Holders(vip), []string{name}) && p.probe.Answerer() == name
	})
}

// only waits until a host is the only one with the address.
func (p *pair) only(name string) {
	p.t.Helper()
	p.until(name+" alone to have the address", func() bool { return slices.Equal(p.lab.Holders(vip), []string{name}) })
}

// transitions is what both hosts remember.
func (p *pair) transitions() string {
	p.t.Helper()
	mine, err := p.history()
	p.must(err)
	theirs, err := p.r2.History(p.ctx)
	p.must(err)
	var lines []string
	for _, x := range mine {
		lines = append(lines, fmt.Sprintf("r1 %d %s -> %s %s", x.Seq, x.From, x.To, x.Cause))
	}
	for _, x := range theirs {
		lines = append(lines, fmt.Sprintf("r2 %d %s -> %s %s", x.Seq, x.From, x.To, x.Cause))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// unnoticed does something of which nobody may notice anything: no probe lost, no
// transition on either host. What a machine that stood still is to blame for is done
// once more, and one of five tries must be good.
func (p *pair) unnoticed(what string, act func()) {
	p.t.Helper()
	const tries = 5
	for try := 1; ; try++ {
		before, from := p.transitions(), lab.Now()
		act()
		rest := 100 * time.Millisecond
		time.Sleep(rest)
		now, r := p.transitions(), p.probe.Since(from)
		stall := max(p.lab.Stall(from), r.WorstStall)
		p.t.Logf("%s: %v; the machine's worst stall %s", what, r, stall)
		switch {
		case now == before && r.Lost == 0 && r.Changes == 0:
			return
		case stall < hiccup || try == tries:
			p.t.Fatalf("%s: %v; the machine's worst stall %s; transitions\n%s\nbefore\n%s", what, r, stall, now, before)
		}
		p.active("r1")
		time.Sleep(200 * time.Millisecond)
	}
}

// lossless fails if the client has lost something since an instant, unless the machine
// stood still for as long.
func (p *pair) lossless(what string, from time.Duration) {
	p.t.Helper()
	r := p.probe.Since(from)
	stall := max(p.lab.Stall(from), r.WorstStall)
	p.t.Logf("%s: %v; the machine's worst stall %s", what, r, stall)
	if r.Lost > 0 && (stall < hiccup || time.Duration(r.Lost)*time.Millisecond > stall) {
		p.t.Errorf("%s: lost %d of %d", what, r.Lost, r.Sent)
	}
}

// goodbyes counts the adverts of priority 0 that r1 has sent.
func (p *pair) goodbyes(from time.Duration) (n int) {
	for _, f := range p.sniffer.Adverts(from, "r1") {
		if f.Advert.Priority == 0 {
			n++
		}
	}
	return n
}

// clean fails unless nothing is left of a daemon that was stopped: no address, no process
// but those that may stay, nothing for a successor.
func (p *pair) clean() {
	p.t.Helper()
	if p.host.Has(vip) {
		p.t.Errorf("r1 still has %s", vip)
	}
	if left := p.members("backbeat.service"); len(left) > 0 {
		p.t.Errorf("processes left: %v", left)
	}
	p.noTrace()
}

// noTrace fails if a file of a restart is left.
func (p *pair) noTrace() {
	p.t.Helper()
	for _, name := range []string{"standin.json", "handoff.json"} {
		if text := p.read("/run/backbeat/" + name); text != "" {
			p.t.Errorf("%s is left: %s", name, text)
		}
	}
}

// settled waits until nothing but the daemon is in its control group.
func (p *pair) settled() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	pid := p.pid()
	if err := lab.Until(ctx, "the daemon to be alone in its control group", func() bool {
		all := p.members("backbeat.service")
		_, ours := all[pid]
		return ours && len(all) == 1
	}); err != nil {
		p.t.Fatalf("%v; process %d, in the group: %v", err, pid, p.members("backbeat.service"))
	}
}
