package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// The priorities of the two routers; the bounds are those of the Backup.
const (
	preferred = 150
	backup    = 100
)

func skew(t time.Duration, priority int) time.Duration { return t * time.Duration(256-priority) / 256 }
func down(t time.Duration, priority int) time.Duration { return 3*t + skew(t, priority) }

// fault is something that happens to the Active, and its end.
type fault struct {
	name  string
	bound func(t time.Duration) time.Duration
	do    func(context.Context, *pair) error
	undo  func(context.Context, *pair) error
}

var faults = []fault{
	{"kill", func(t time.Duration) time.Duration { return down(t, backup) },
		func(_ context.Context, p *pair) error { p.r1.Kill(); return nil },
		func(ctx context.Context, p *pair) error { return p.r1.Start(ctx) }},
	{"cut", func(t time.Duration) time.Duration { return down(t, backup) },
		func(_ context.Context, p *pair) error { return p.lab.Host("r1").Cut() },
		func(_ context.Context, p *pair) error { return p.lab.Host("r1").Heal() }},
	{"stop", func(t time.Duration) time.Duration { return skew(t, backup) },
		func(ctx context.Context, p *pair) error { return p.r1.Stop(ctx) },
		func(ctx context.Context, p *pair) error { return p.r1.Start(ctx) }},
}

// pair is two routers of one kind and a client.
type pair struct {
	lab    *lab.Lab
	r1, r2 subject
	probe  *lab.Probe
}

// figure is the runs of one kind of failover.
type figure struct {
	daemon            string
	t                 time.Duration
	fault             string
	bound             time.Duration
	silence, takeover []time.Duration
	lost              []int
	stall             time.Duration
}

func failovers(runs []int, end time.Time) error {
	var figures []figure
	for i, t := range []time.Duration{time.Second, 100 * time.Millisecond, 10 * time.Millisecond} {
		for _, m := range available() {
			got, err := failover(m, t, runs[i], end)
			if err != nil {
				return fmt.Errorf("%s at %s: %w", m.name, t, err)
			}
			figures = append(figures, got...)
		}
	}
	table(figures)
	return nil
}

func failover(m maker, t time.Duration, runs int, end time.Time) ([]figure, error) {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	p, err := newPair(ctx, m, t)
	if err != nil {
		return nil, err
	}
	defer p.lab.Close()
	var figures []figure
	for _, f := range faults {
		fig := figure{daemon: m.name, t: t, fault: f.name, bound: f.bound(t)}
		for range runs {
			if err := p.once(ctx, t, f, &fig); err != nil {
				return nil, fmt.Errorf("%s: %w\n%s\n%s", f.name, err, p.r1.Log(), p.r2.Log())
			}
		}
		fig.print()
		figures = append(figures, fig)
	}
	return figures, nil
}

func newPair(ctx context.Context, m maker, t time.Duration) (*pair, error) {
	l, err := lab.New(lab.Plan{Hosts: []string{"r1", "r2", "client"}})
	if err != nil {
		return nil, err
	}
	p := &pair{lab: l}
	s := spec{priority: preferred, routers: 1, links: 1, interval: t}
	if p.r1, err = m.make(l.Host("r1"), s); err != nil {
		return nil, err
	}
	low := s
	low.priority = backup
	if p.r2, err = m.make(l.Host("r2"), low); err != nil {
		return nil, err
	}
	// The address lies in no network of the client: it needs to know that it is on the link.
	if err := l.Host("client").OnLink(s.address(0)); err != nil {
		return nil, err
	}
	for _, r := range []subject{p.r1, p.r2} {
		if err := r.Start(ctx); err != nil {
			return nil, err
		}
	}
	p.probe, err = l.Host("client").Probe(lab.ProbeSpec{Target: s.address(0)})
	return p, err
}

// once waits until all is at rest, strikes at a random moment of the
// interval, waits for the takeover and undoes the fault.
func (p *pair) once(ctx context.Context, t time.Duration, f fault, fig *figure) error {
	if err := p.answers(ctx, "r1"); err != nil {
		return err
	}
	if err := sleep(ctx, 5*t/2+300*time.Millisecond+rand.N(t)); err != nil {
		return err
	}
	at := lab.Now()
	if err := f.do(ctx, p); err != nil {
		return err
	}
	if err := p.answers(ctx, "r2"); err != nil {
		return err
	}
	if err := sleep(ctx, t+100*time.Millisecond); err != nil {
		return err
	}
	r := p.probe.Since(at)
	fig.silence = append(fig.silence, r.Silence)
	fig.takeover = append(fig.takeover, r.Takeover)
	fig.lost = append(fig.lost, r.Lost)
	fig.stall = max(fig.stall, r.WorstStall)
	return f.undo(ctx, p)
}

func (p *pair) answers(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return lab.Until(ctx, host+" to answer", func() bool { return p.probe.Answerer() == host })
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f figure) print() {
	fmt.Printf("failover daemon=%s interval=%s fault=%s runs=%d silence_ms=%s takeover_ms=%s lost_median=%d bound_ms=%s probe_worst_stall_ms=%s\n",
		f.daemon, f.t, f.fault, len(f.silence), spread(f.silence), spread(f.takeover), median(f.lost), millis(f.bound), millis(f.stall))
}

// spread is median(min-max) in milliseconds.
func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "-"
	}
	return fmt.Sprintf("%s(%s-%s)", millis(median(d)), millis(slices.Min(d)), millis(slices.Max(d)))
}

func median[T int | time.Duration](v []T) T {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)) }

func table(figures []figure) {
	fmt.Printf("\nclient-seen failover, milliseconds, median (min-max)\n%-8s %-6s %-11s %-26s %-26s %8s\n",
		"interval", "fault", "daemon", "silence", "takeover", "bound")
	for _, t := range []time.Duration{time.Second, 100 * time.Millisecond, 10 * time.Millisecond} {
		for _, k := range faults {
			for _, f := range figures {
				if f.t == t && f.fault == k.name {
					fmt.Printf("%-8s %-6s %-11s %-26s %-26s %8s\n", t, k.name, f.daemon, spread(f.silence), spread(f.takeover), millis(f.bound))
				}
			}
		}
	}
	fmt.Println()
}
