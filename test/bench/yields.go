package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// yieldInterval is the routers', probeSpacing the client's.
const (
	yieldInterval = time.Second
	probeSpacing  = time.Millisecond
	// undisturbed is what a machine may stall for without explaining a lost probe.
	undisturbed = 10 * time.Millisecond
)

// member is a daemon that is to step aside, or to take over.
type member struct {
	subject
	// full and less are its configurations, with the router and without; flag is the
	// file that makes its check fail.
	full, less, flag string
	reload           func(config string) error
	ill, well        func() error
}

// yieldCase is one way of stepping aside, and its end.
type yieldCase struct {
	name     string
	do, undo func(ctx context.Context, m *member) error
}

var yieldCases = []yieldCase{
	{"stop", func(ctx context.Context, m *member) error { return m.Stop(ctx) }, func(ctx context.Context, m *member) error { return m.Start(ctx) }},
	{"reload", func(_ context.Context, m *member) error { return m.reload(m.less) }, func(_ context.Context, m *member) error { return m.reload(m.full) }},
	{"check", func(_ context.Context, m *member) error { return m.ill() }, func(_ context.Context, m *member) error { return m.well() }},
}

// yields measures what a client loses when the Active steps aside on purpose: on
// stop, on a reload that removes the router, and when its check fails.
func yields(runs int, end time.Time) error {
	pairs := [][2]string{{"backbeat", "backbeat"}}
	if len(available()) > 1 {
		pairs = append(pairs, [2]string{"keepalived", "keepalived"}, [2]string{"backbeat", "keepalived"})
	}
	for _, p := range pairs {
		if err := yieldsOf(p[0], p[1], runs, end); err != nil {
			return fmt.Errorf("yields of %s to %s: %w", p[0], p[1], err)
		}
	}
	return nil
}

func yieldsOf(active, successor string, runs int, end time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	l, err := lab.New(lab.Plan{Hosts: []string{"r1", "r2", "client"}})
	if err != nil {
		return err
	}
	defer l.Close()
	sniffer, err := l.Sniff()
	if err != nil {
		return err
	}
	r1, err := newMember(l, "r1", active, preferred)
	if err != nil {
		return err
	}
	r2, err := newMember(l, "r2", successor, backup)
	if err != nil {
		return err
	}
	vip := spec{links: 1}.address(0)
	if err := l.Host("client").OnLink(vip); err != nil {
		return err
	}
	for _, m := range []*member{r1, r2} {
		if err := m.Start(ctx); err != nil {
			return err
		}
	}
	p := &pair{lab: l, r1: r1, r2: r2}
	if p.probe, err = l.Host("client").Probe(lab.ProbeSpec{Target: vip, Interval: probeSpacing}); err != nil {
		return err
	}
	for _, c := range yieldCases {
		fig := &yieldFigure{}
		for range runs {
			if err := p.yield(ctx, c, r1, sniffer, fig); err != nil {
				return fmt.Errorf("%s: %w\n%s\n%s", c.name, err, r1.Log(), r2.Log())
			}
		}
		fmt.Printf("yield active=%s successor=%s case=%s interval=%s probe_spacing=%s runs=%d lost=%s undisturbed_runs=%d undisturbed_lost=%s silence_ms=%s takeover_ms=%s after_verdict_ms=%s skew_ms=%s down_ms=%s machine_stall_ms=%s\n",
			active, successor, c.name, yieldInterval, probeSpacing, runs, counts3(fig.lost), len(fig.quiet), counts3(fig.quiet), spread(fig.silence), spread(fig.takeover), spread(fig.verdict),
			millis(skew(yieldInterval, backup)), millis(down(yieldInterval, backup)), millis(fig.stall))
	}
	return nil
}

// yieldFigure is the runs of one case.
type yieldFigure struct {
	lost                       []int
	quiet                      []int // lost in runs in which the machine did not stall
	silence, takeover, verdict []time.Duration
	stall                      time.Duration
}

// yield waits until all is at rest, has r1 step aside at a random moment of the
// interval, and undoes it. The verdict is the first advert of r1 that says so:
// priority 0, or a lower one.
func (p *pair) yield(ctx context.Context, c yieldCase, r1 *member, sniffer *lab.Sniffer, fig *yieldFigure) error {
	if err := p.answers(ctx, "r1"); err != nil {
		return err
	}
	if err := sleep(ctx, 5*yieldInterval/2+300*time.Millisecond+rand.N(yieldInterval)); err != nil {
		return err
	}
	at := lab.Now()
	if err := c.do(ctx, r1); err != nil {
		return err
	}
	if err := p.answers(ctx, "r2"); err != nil {
		return err
	}
	if err := sleep(ctx, yieldInterval+100*time.Millisecond); err != nil {
		return err
	}
	r := p.probe.Since(at)
	verdict := at
	for _, f := range sniffer.Adverts(at, "r1") {
		if f.Advert.VRID == 1 && f.Advert.Priority != preferred {
			verdict = f.At
			break
		}
	}
	fig.lost = append(fig.lost, r.Lost)
	if p.lab.Stall(at) < undisturbed {
		fig.quiet = append(fig.quiet, r.Lost)
	}
	fig.silence = append(fig.silence, r.Silence)
	fig.takeover = append(fig.takeover, r.Takeover)
	fig.verdict = append(fig.verdict, at+r.Takeover-verdict)
	fig.stall = max(fig.stall, p.lab.Stall(at))
	return c.undo(ctx, r1)
}

// counts3 is median(min-max).
func counts3(v []int) string {
	if len(v) == 0 {
		return "-"
	}
	low, high := v[0], v[0]
	for _, n := range v {
		low, high = min(low, n), max(high, n)
	}
	return fmt.Sprintf("%d(%d-%d)", median(v), low, high)
}

// newMember prepares one daemon with two routers, of which a reload removes the
// first, and a check of a file that the first depends on.
func newMember(l *lab.Lab, host, kind string, priority int) (*member, error) {
	m := &member{flag: filepath.Join(l.Dir("flag-" + host))}
	vip, other := spec{links: 1}.address(0), spec{links: 1}.address(1)
	if kind == "keepalived" {
		return m, m.keepalived(l.Host(host), priority, vip.String(), other.String())
	}
	router := func(name string, vrid int, address, more string) string {
		return fmt.Sprintf("virtual_router %q {\n  interface = \"eth0\"\n  vrid = %d\n  priority = %d\n  interval = %q\n  addresses = [%q]\n%s}\n",
			name, vrid, priority, yieldInterval, address, more)
	}
	m.less = router("other", 2, other.String(), "")
	m.full = fmt.Sprintf("check \"file\" \"flag\" {\n  path = %q\n  absent = true\n  interval = \"100ms\"\n  fall = 1\n  rise = 1\n}\n", m.flag) +
		router("web", 1, vip.String(), "  depends_on { check = check.file.flag }\n") + m.less
	d, err := l.Host(host).Backbeat(m.full)
	if err != nil {
		return nil, err
	}
	m.subject = backbeat{Backbeat: d}
	m.ill = func() error { return os.WriteFile(m.flag, nil, 0o600) }
	m.well = func() error { return os.Remove(m.flag) }
	m.reload = func(config string) error {
		defer d.Hangup()
		return d.Configure(config)
	}
	return m, nil
}

// keepalived has its fastest check: a file that it watches by inotify.
func (m *member) keepalived(h *lab.Host, priority int, vip, other string) error {
	instance := func(name string, vrid int, address, more string) string {
		return fmt.Sprintf("vrrp_instance %s {\n  state BACKUP\n  interface eth0\n  virtual_router_id %d\n  version 3\n  priority %d\n  advert_int %g\n  virtual_ipaddress {\n    %s/32\n  }\n%s}\n",
			name, vrid, priority, yieldInterval.Seconds(), address, more)
	}
	m.less = instance("other", 2, other, "")
	m.full = fmt.Sprintf("vrrp_track_file flag {\n  file %q\n  weight -100\n}\n", m.flag) + instance("web", 1, vip, "  track_file {\n    flag weight -100\n  }\n") + m.less
	m.ill = func() error { return os.WriteFile(m.flag, []byte("1"), 0o600) }
	m.well = func() error { return os.WriteFile(m.flag, []byte("0"), 0o600) }
	if err := m.well(); err != nil {
		return err
	}
	k, err := h.Keepalived(m.full)
	if err != nil {
		return err
	}
	m.subject = keepalived{k}
	m.reload = func(config string) error {
		defer k.Reload()
		return k.Configure(config)
	}
	return nil
}
