package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// scaleOptions say what of the measurements with many routers is wanted.
type scaleOptions struct {
	routers   []int
	intervals []time.Duration
	window    time.Duration
	daemons   string
	realTime  bool
}

const (
	// perLink is how many routers an interface gets: VRIDs have 8 bits, and one
	// is left for the router that a reload adds.
	perLink = 250
	// scalePriority is the Active's. Its way back is 3 T and 0.22 T of skew.
	scalePriority = 200
	// newPatience is how long a router that a reload adds is waited for.
	newPatience = 30 * time.Second
	// returnPatience is how long the return after a link cut is waited for.
	returnPatience = 60 * time.Second
)

// scale measures two routers with thousands of virtual routers between them.
func scale(o scaleOptions, end time.Time) error {
	for _, m := range available() {
		if o.daemons != "" && !strings.Contains(o.daemons, m.name) {
			continue
		}
		one := spec{priority: scalePriority, routers: 1, links: 1, interval: time.Second, realTime: o.realTime}
		base, err := restingPair(m, one, end)
		if err != nil {
			return fmt.Errorf("scale of %s with one router: %w", m.name, err)
		}
		for _, n := range o.routers {
			for _, t := range o.intervals {
				s := spec{priority: scalePriority, routers: n, links: max(1, (n+perLink-1)/perLink), interval: t, realTime: o.realTime}
				if err := scaleOf(m, s, o.window, base, end); err != nil {
					return fmt.Errorf("scale of %s with %d routers at %s: %w", m.name, n, t, err)
				}
			}
		}
	}
	return nil
}

// crowd is two routers at work, and what is heard of them.
type crowd struct {
	lab    *lab.Lab
	tap    *lab.Tap
	name   string
	spec   spec
	r1, r2 subject
	one    [2]footprint
}

// footprint is the memory of a process.
type footprint struct{ rss, pss int64 }

func newCrowd(m maker, s spec) (*crowd, error) {
	l, err := lab.New(lab.Plan{Hosts: []string{"r1", "r2"}, Links: s.links})
	if err != nil {
		return nil, err
	}
	c := &crowd{lab: l, name: m.name, spec: s}
	if c.tap, err = l.Tap(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	low := s
	low.priority = backup
	c.r1, err = m.make(l.Host("r1"), s)
	if err == nil {
		c.r2, err = m.make(l.Host("r2"), low)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return c, nil
}

// restingPair is the memory of two daemons with one router.
func restingPair(m maker, s spec, end time.Time) (f [2]footprint, err error) {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	c, err := newCrowd(m, s)
	if err != nil {
		return f, err
	}
	defer c.lab.Close()
	for _, r := range []subject{c.r1, c.r2} {
		if err := r.Start(ctx); err != nil {
			return f, err
		}
		if err := sleep(ctx, down(s.interval, scalePriority)+time.Second); err != nil {
			return f, err
		}
	}
	if err := sleep(ctx, 10*time.Second); err != nil {
		return f, err
	}
	if f, err = c.memory(); err != nil {
		return f, err
	}
	fmt.Printf("scale daemon=%s routers=1 interval=%s rss_mib=%s pss_mib=%s (active,backup)\n", m.name, s.interval,
		mebi(f[0].rss, f[1].rss), mebi(f[0].pss, f[1].pss))
	return f, nil
}

func mebi(a, b int64) string {
	return fmt.Sprintf("%.1f,%.1f", float64(a)/(1<<20), float64(b)/(1<<20))
}

func (c *crowd) memory() (f [2]footprint, err error) {
	for i, r := range []subject{c.r1, c.r2} {
		var e1, e2 error
		f[i].rss, e1 = r.RSS()
		f[i].pss, e2 = r.PSS()
		err = errors.Join(err, e1, e2)
	}
	return f, err
}

func scaleOf(m maker, s spec, window time.Duration, one [2]footprint, end time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	c, err := newCrowd(m, s)
	if err != nil {
		return err
	}
	c.one = one
	defer c.lab.Close()
	for _, part := range []func(context.Context) error{
		c.start,
		func(ctx context.Context) error { return c.steady(ctx, window) },
		c.reloads, c.cutAndHeal, c.kill,
	} {
		c.tap.Forget()
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *crowd) print(what, format string, args ...any) {
	lost := ""
	if n := c.tap.Lost(); n > 0 {
		lost = fmt.Sprintf(" lost_by_the_measurement=%d", n)
	}
	fmt.Printf("scale daemon=%s routers=%d interval=%s real_time=%t part=%s %s load=%s%s\n",
		c.name, c.spec.routers, c.spec.interval, c.spec.realTime, what, fmt.Sprintf(format, args...), loadAverage(), lost)
}

func loadAverage() string {
	b, _ := os.ReadFile("/proc/loadavg")
	word, _, _ := strings.Cut(string(b), " ")
	return word
}

// place names a router on the wire.
type seat struct{ link, vrid uint8 }

// everyRouter waits until a host has advertised every router since an instant, and
// returns when it did so first for each.
func (c *crowd) everyRouter(ctx context.Context, host int, from time.Duration, n int, patience time.Duration) (map[seat]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	first := make(map[seat]time.Duration, n)
	next := from
	err := lab.Until(ctx, fmt.Sprintf("adverts of %d routers", n), func() bool {
		for _, s := range c.tap.Since(next, host) {
			next = max(next, s.At-10*time.Millisecond)
			k := seat{s.Link, s.VRID}
			if at, seen := first[k]; s.Priority != 0 && s.At >= from && (!seen || s.At < at) {
				first[k] = s.At
			}
		}
		return len(first) >= n
	})
	if err != nil {
		return first, fmt.Errorf("%w (%d seen)", err, len(first))
	}
	return first, nil
}

func latest(m map[seat]time.Duration) (t time.Duration) {
	for _, at := range m {
		t = max(t, at)
	}
	return t
}

// start starts the better one, then the other.
func (c *crowd) start(ctx context.Context) error {
	began := lab.Now()
	if err := c.r1.Begin(ctx); err != nil {
		return err
	}
	first, err := c.everyRouter(ctx, 1, began, c.spec.routers, 2*time.Minute)
	if err != nil {
		return fmt.Errorf("start: %w\n%s", err, tail(c.r1.Log()))
	}
	took, adi := latest(first)-began, down(c.spec.interval, scalePriority)
	c.print("start", "all_active_ms=%s beyond_down_interval_ms=%s", millis(took), millis(took-adi))
	if err := c.r2.Start(ctx); err != nil {
		return err
	}
	return sleep(ctx, 3*down(c.spec.interval, backup)+time.Duration(c.spec.routers)*5*time.Millisecond)
}

func tail(text string) string { return text[max(0, len(text)-2000):] }

// steady measures what nothing costs.
func (c *crowd) steady(ctx context.Context, window time.Duration) error {
	var before, after [2]time.Duration
	for i, r := range []subject{c.r1, c.r2} {
		var err error
		if before[i], err = r.CPU(); err != nil {
			return err
		}
	}
	began := lab.Now()
	if err := sleep(ctx, window); err != nil {
		return err
	}
	span := lab.Now() - began
	for i, r := range []subject{c.r1, c.r2} {
		var err error
		if after[i], err = r.CPU(); err != nil {
			return err
		}
	}
	f, err := c.memory()
	if err != nil {
		return err
	}
	sent, worst := c.gaps(1, began)
	false2 := map[seat]bool{}
	for _, s := range c.tap.Since(began, 2) {
		false2[seat{s.Link, s.VRID}] = true
	}
	ideal := float64(c.spec.routers) * float64(span) / float64(c.spec.interval)
	share := func(i int) float64 { return float64(after[i]-before[i]) / float64(span) }
	each := func(i int) string {
		if c.spec.routers < 2 {
			return "-"
		}
		return fmt.Sprintf("%.0f", float64(f[i].rss-c.one[i].rss)/float64(c.spec.routers-1))
	}
	c.print("steady", "window_s=%.0f cpu_active=%.4f cpu_backup=%.4f us_per_advert=%.1f,%.1f sent_percent=%.2f worst_gap_t=%.2f false_takeovers=%d rss_mib=%s pss_mib=%s bytes_per_router=%s,%s machine_stall_ms=%s",
		span.Seconds(), share(0), share(1), 1e6*share(0)*span.Seconds()/max(1, float64(sent)), 1e6*share(1)*span.Seconds()/max(1, float64(sent)),
		100*float64(sent)/ideal, float64(worst)/float64(c.spec.interval), len(false2),
		mebi(f[0].rss, f[1].rss), mebi(f[0].pss, f[1].pss), each(0), each(1), millis(c.lab.Stall(began)))
	return nil
}

// gaps counts a host's adverts since an instant and finds the longest pause of a router.
func (c *crowd) gaps(host int, from time.Duration) (n int, worst time.Duration) {
	last := map[seat]time.Duration{}
	for _, s := range c.tap.Since(from-2*c.spec.interval, host) {
		k := seat{s.Link, s.VRID}
		if at, seen := last[k]; seen && s.At >= from {
			worst = max(worst, s.At-at)
		}
		last[k] = s.At
		if s.At >= from {
			n++
		}
	}
	return n, worst
}

// reloads reads an unchanged file again, then one with a router more, and watches
// the Active's adverts.
func (c *crowd) reloads(ctx context.Context) error {
	for _, added := range []int{0, 1} {
		s := c.spec
		s.added = added
		if err := sleep(ctx, 2*c.spec.interval+500*time.Millisecond); err != nil {
			return err
		}
		if err := c.r1.Configure(s.text(c.name)); err != nil {
			return err
		}
		at := lab.Now()
		c.r1.Hangup()
		adi := down(c.spec.interval, scalePriority)
		fresh := "-"
		if added > 0 {
			if first, err := c.newRouter(ctx, at); err == nil {
				fresh = millis(first - at - adi)
			} else {
				fresh = ">" + millis(newPatience) // one that does not manage is measured all the same
			}
		}
		if err := sleep(ctx, 3*time.Second+2*c.spec.interval); err != nil {
			return err
		}
		_, worst := c.gaps(1, at)
		others := map[seat]bool{}
		for _, s := range c.tap.Since(at, 2) {
			others[seat{s.Link, s.VRID}] = true
		}
		c.print("reload", "added=%d worst_gap_t=%.2f false_takeovers=%d new_one_active_beyond_down_interval_ms=%s machine_stall_ms=%s", added,
			float64(worst)/float64(c.spec.interval), len(others), fresh, millis(c.lab.Stall(at)))
	}
	return nil
}

// newRouter waits for the router that a reload added.
func (c *crowd) newRouter(ctx context.Context, at time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, newPatience)
	defer cancel()
	var first time.Duration
	err := lab.Until(ctx, "the router that the reload added", func() bool {
		for _, s := range c.tap.Since(at, 1) {
			if s.VRID == addedVRID && s.Link == 0 {
				first = s.At
				return true
			}
		}
		return false
	})
	return first, err
}

// cutAndHeal cuts all cables of the Active, waits for the takeover, puts them back
// and waits for the return.
func (c *crowd) cutAndHeal(ctx context.Context) error {
	h := c.lab.Host("r1")
	cut, err := c.eachLink(h.CutLink)
	if err != nil {
		return err
	}
	first, err := c.everyRouter(ctx, 2, cut[0], c.spec.routers, returnPatience)
	if err != nil {
		return fmt.Errorf("cut: %w\n%s", err, tail(c.r2.Log()))
	}
	worst, adi := since(first, cut), down(c.spec.interval, backup)
	c.print("cut", "last_takeover_ms=%s down_interval_ms=%s ratio=%.2f", millis(worst), millis(adi), float64(worst)/float64(adi))
	if err := sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	c.tap.Forget()
	heal, err := c.eachLink(h.HealLink)
	if err != nil {
		return err
	}
	first, err = c.everyRouter(ctx, 1, heal[0], c.spec.routers, returnPatience)
	ideal := down(c.spec.interval, scalePriority)
	if err != nil {
		c.print("return", "last_return_ms=>%s returned=%d ideal_ms=%s", millis(returnPatience), len(first), millis(ideal))
		return c.again(ctx)
	}
	worst = since(first, heal)
	c.print("return", "last_return_ms=%s ideal_ms=%s beyond_ms=%s", millis(worst), millis(ideal), millis(worst-ideal))
	return sleep(ctx, 3*time.Second)
}

// eachLink does something to each of the Active's links and returns when.
func (c *crowd) eachLink(do func(int) error) ([]time.Duration, error) {
	at := make([]time.Duration, c.spec.links)
	for k := range at {
		at[k] = lab.Now()
		if err := do(k); err != nil {
			return nil, err
		}
	}
	return at, nil
}

// since is the longest time from what happened to a router's link to its first advert.
func since(first map[seat]time.Duration, link []time.Duration) (worst time.Duration) {
	for k, at := range first {
		worst = max(worst, at-link[k.link])
	}
	return worst
}

// again makes the better one Active where it has not come back by itself.
func (c *crowd) again(ctx context.Context) error {
	c.r2.Kill()
	if err := sleep(ctx, 3*down(c.spec.interval, scalePriority)+10*time.Second); err != nil {
		return err
	}
	if err := c.r2.Start(ctx); err != nil {
		return err
	}
	return sleep(ctx, 3*down(c.spec.interval, backup)+time.Duration(c.spec.routers)*5*time.Millisecond)
}

// kill ends the Active without a word.
func (c *crowd) kill(ctx context.Context) error {
	at := lab.Now()
	c.r1.Kill()
	first, err := c.everyRouter(ctx, 2, at, c.spec.routers, returnPatience)
	if err != nil {
		return fmt.Errorf("kill: %w\n%s", err, tail(c.r2.Log()))
	}
	worst, adi := latest(first)-at, down(c.spec.interval, backup)
	c.print("kill", "last_takeover_ms=%s down_interval_ms=%s ratio=%.2f", millis(worst), millis(adi), float64(worst)/float64(adi))
	return nil
}

// asRealTime makes what is started within f run under SCHED_RR, as the unit has it.
func asRealTime(dir string, on bool, f func() error) error {
	if !on {
		return f()
	}
	path := filepath.Join(dir, "realtime")
	binary := lab.Binary()
	if err := os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\nexec chrt -r 10 %s \"$@\"\n", binary), 0o700); err != nil {
		return err
	}
	if err := os.Setenv(lab.EnvBinary, path); err != nil {
		return err
	}
	defer os.Setenv(lab.EnvBinary, binary)
	return f()
}

// percentile is the p-th of sorted durations.
func percentile(d []time.Duration, p float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return d[min(len(d)-1, int(p*float64(len(d))))]
}

func sorted(d []time.Duration) []time.Duration { return slices.Sorted(slices.Values(d)) }
