package main

import (
	"context"
	"fmt"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// result is one line of the closing table.
type result struct {
	what string
	// bound is the protocol's own, named by rule.
	bound time.Duration
	rule  string
	// reports are the client's, one for each family.
	reports []lab.Report
}

// skew is Skew_Time of a router and down its Active_Down_Interval (RFC 9568 6.1).
func skew(priority int) time.Duration { return interval * time.Duration(256-priority) / 256 }
func down(priority int) time.Duration { return 3*interval + skew(priority) }

// play is the whole demo.
func (d *demo) play(ctx context.Context) error {
	r1, r2 := d.routers[0], d.routers[1]
	d.out.chapter("two routers start")
	for _, n := range d.routers {
		if err := n.daemon.Start(ctx); err != nil {
			return err
		}
		d.out.event("%s runs backbeat with priority %d", n.Name, n.priority)
	}
	if err := d.until(ctx, r1, 2*down(r1.priority)); err != nil {
		return err
	}

	lost := fmt.Sprintf("3 × %s + skew", interval)
	d.out.chapter("1. %s is killed", r1.Name)
	if err := d.fail(ctx, "killed (SIGKILL)", down(r2.priority), lost, func() error {
		d.out.event("kill -9: nobody is left on %s to say goodbye, or to take its addresses off", r1.Name)
		r1.daemon.Kill()
		return nil
	}); err != nil {
		return err
	}
	if r1.Has(d.targets[0]) {
		d.out.note("%s's kernel still has %s, but the client's neighbour table points to %s now", r1.Name, d.targets[0], r2.Name)
	}
	if err := d.handBack(ctx, "started again", func() error { return r1.daemon.Start(ctx) }); err != nil {
		return err
	}

	d.out.chapter("2. %s is cut off from the network", r1.Name)
	if err := d.fail(ctx, "cut off (cable)", down(r2.priority), lost, func() error {
		d.out.event("the cable of %s is pulled", r1.Name)
		return r1.Cut()
	}); err != nil {
		return err
	}
	if err := d.handBack(ctx, "plugged in again", r1.Heal); err != nil {
		return err
	}

	d.out.chapter("3. %s is asked to stop", r1.Name)
	if err := d.fail(ctx, "stopped (SIGTERM)", skew(r2.priority), "skew", func() error {
		d.out.event("SIGTERM: %s says that it is leaving and keeps the addresses until %s has them", r1.Name, r2.Name)
		r1.daemon.Leave()
		return nil
	}); err != nil {
		return err
	}
	if err := r1.daemon.Wait(ctx); err != nil {
		return err
	}
	return d.handBack(ctx, "started again", func() error { return r1.daemon.Start(ctx) })
}

// fail does something to r1 and waits for r2.
func (d *demo) fail(ctx context.Context, what string, bound time.Duration, rule string, do func() error) error {
	if err := d.pause(ctx, 1500*time.Millisecond); err != nil {
		return err
	}
	fault := lab.Now()
	if err := do(); err != nil {
		return err
	}
	if err := d.until(ctx, d.routers[1], bound+2*time.Second); err != nil {
		return fmt.Errorf("after r1 was %s: %w", what, err)
	}
	d.record(ctx, result{what: "r1 " + what, bound: bound, rule: rule}, fault)
	return nil
}

// handBack gives r1 back what it lost and waits until it has taken over.
func (d *demo) handBack(ctx context.Context, what string, do func() error) error {
	if err := d.pause(ctx, time.Second); err != nil {
		return err
	}
	r1 := d.routers[0]
	d.out.event("%s is %s; it has the higher priority and takes its addresses back", r1.Name, what)
	fault := lab.Now()
	if err := do(); err != nil {
		return err
	}
	if err := d.until(ctx, r1, down(r1.priority)+3*time.Second); err != nil {
		return fmt.Errorf("after r1 was %s: %w", what, err)
	}
	d.record(ctx, result{what: "  " + what}, fault)
	return nil
}

// record lets the dust settle and asks the client.
func (d *demo) record(ctx context.Context, r result, fault time.Duration) {
	_ = d.pause(ctx, 500*time.Millisecond) // if the context ends here, the next step says so
	for _, p := range d.probes {
		r.reports = append(r.reports, p.Since(fault))
	}
	d.results = append(d.results, r)
	d.out.measured(r)
}

// until follows what happens until a router answers the client in both
// families, and shows each change.
func (d *demo) until(ctx context.Context, n *node, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return lab.Until(ctx, n.Name+" to take over and to answer", func() bool {
		d.look(ctx)
		return n.state == "active" && d.answers[0] == n.Name && d.answers[1] == n.Name
	})
}

// pause goes on looking for a while.
func (d *demo) pause(ctx context.Context, long time.Duration) error {
	end := lab.Now() + long
	return lab.Until(ctx, "time to pass", func() bool {
		d.look(ctx)
		return lab.Now() >= end
	})
}

// look shows what has changed since it was called last.
func (d *demo) look(ctx context.Context) {
	for _, n := range d.routers {
		state, reason := "", ""
		if r, err := n.daemon.Router(ctx, router); err == nil {
			state, reason = r.State, r.Reason
		}
		if state == n.state {
			continue
		}
		n.state = state
		d.out.state(n.Name, state, reason)
	}
	for i, p := range d.probes {
		if a := p.Answerer(); a != d.answers[i] {
			d.answers[i] = a
			d.out.answer(d.targets[i], a)
		}
	}
}
