package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"syscall"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// restarted gives a daemon's place to the installed program: backbeat hands over;
// keepalived is stopped and started, as `systemctl restart` does.
func restarted(ctx context.Context, s subject) error {
	if b, ok := s.(backbeat); ok {
		b.Process().Signal(syscall.SIGUSR2)
		return nil
	}
	if err := s.Stop(ctx); err != nil {
		return err
	}
	return s.Begin(ctx)
}

// stoodStill is what backbeat's log says of how long no loop turned.
var stoodStill = regexp.MustCompile(`is Active as in the process before \(pid \d+\), ([0-9.]+ m?s) ago`)

// restarts measures what a restart of the Active costs: a client at 1 ms spacing,
// and the others; then of thousands of routers.
func restarts(o *options, end time.Time) error {
	for i, t := range []time.Duration{time.Second, 100 * time.Millisecond, 10 * time.Millisecond} {
		for _, m := range available() {
			if err := restartsOf(m, t, o.runs[i], end); err != nil {
				return fmt.Errorf("restarts of %s at %s: %w", m.name, t, err)
			}
		}
	}
	for _, n := range o.scale.routers {
		s := spec{priority: scalePriority, routers: n, links: max(1, (n+perLink-1)/perLink), interval: 100 * time.Millisecond, realTime: o.scale.realTime}
		if err := restartOfMany(s, end); err != nil {
			return fmt.Errorf("restart of %d routers: %w", n, err)
		}
	}
	return nil
}

func restartsOf(m maker, t time.Duration, runs int, end time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	p, err := newPair(ctx, m, t)
	if err != nil {
		return err
	}
	defer p.lab.Close()
	sniffer, err := p.lab.Sniff()
	if err != nil {
		return err
	}
	var lost, moves []int
	var silence, pause []time.Duration
	var stall time.Duration
	for range runs {
		if err := p.answers(ctx, "r1"); err != nil {
			return err
		}
		if err := sleep(ctx, 5*t/2+300*time.Millisecond+rand.N(t)); err != nil {
			return err
		}
		at := lab.Now()
		if err := restarted(ctx, p.r1); err != nil {
			return err
		}
		if err := sleep(ctx, 5*t+2*time.Second); err != nil {
			return err
		}
		r := p.probe.Since(at)
		lost, moves, silence = append(lost, r.Lost), append(moves, r.Changes), append(silence, r.Silence)
		stall = max(stall, r.WorstStall)
		longest, last := time.Duration(0), at
		for _, f := range sniffer.Adverts(at-t, "r1") {
			if f.At > at {
				longest = max(longest, f.At-last)
			}
			last = f.At
		}
		pause = append(pause, longest)
	}
	fmt.Printf("restart daemon=%s interval=%s runs=%d lost=%s moves=%s silence_ms=%s longest_pause_of_adverts_ms=%s stood_still=%q probe_worst_stall_ms=%s\n",
		m.name, t, runs, counts3(lost), counts3(moves), spread(silence), spread(pause), lastSaid(p.r1.Log()), millis(stall))
	return nil
}

// lastSaid is for how long no loop turned, the last time.
func lastSaid(log string) string {
	all := stoodStill.FindAllStringSubmatch(log, -1)
	if len(all) == 0 {
		return "-"
	}
	return all[len(all)-1][1]
}

// restartOfMany hands thousands of Actives over, and watches their adverts.
func restartOfMany(s spec, end time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	c, err := newCrowd(makers[0], s)
	if err != nil {
		return err
	}
	defer c.lab.Close()
	if err := c.start(ctx); err != nil {
		return err
	}
	c.tap.Forget()
	at := lab.Now()
	if err := restarted(ctx, c.r1); err != nil {
		return err
	}
	if err := sleep(ctx, 6*time.Second); err != nil {
		return err
	}
	n, worst := c.gaps(1, at)
	others := map[seat]bool{}
	for _, x := range c.tap.Since(at, 2) {
		others[seat{x.Link, x.VRID}] = true
	}
	c.print("restart", "adverts=%d worst_gap_t=%.2f false_takeovers=%d stood_still=%q", n, float64(worst)/float64(s.interval), len(others), lastSaid(c.r1.Log()))
	return nil
}
