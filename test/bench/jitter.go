package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// jitterVRID and the time watched of each case.
const jitterWindow = 20 * time.Second

// jitter measures the pauses between one router's adverts: at 10 and 100 ms, alone
// and beside a busy process on every processor, with and without real-time
// scheduling.
func jitter(end time.Time) error {
	times := []bool{false}
	if why := noRealTime(); why != "" {
		fmt.Printf("# real-time scheduling is left out: %s\n", why)
	} else {
		times = append(times, true)
	}
	for _, m := range available() {
		for _, rt := range times {
			for _, hogs := range []int{0, runtime.NumCPU()} {
				for _, t := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond} {
					if err := jitterOf(m, t, hogs, rt, end); err != nil {
						return fmt.Errorf("jitter of %s at %s: %w", m.name, t, err)
					}
				}
			}
		}
	}
	return nil
}

func jitterOf(m maker, t time.Duration, hogs int, rt bool, end time.Time) (err error) {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	l, err := lab.New(lab.Plan{Hosts: []string{"r1"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	tap, err := l.Tap()
	if err != nil {
		return err
	}
	r, err := m.make(l.Host("r1"), spec{priority: scalePriority, routers: 1, links: 1, interval: t, realTime: rt})
	if err != nil {
		return err
	}
	if err := r.Start(ctx); err != nil {
		return err
	}
	for range hogs {
		if _, err := l.Host("r1").Start(exec.Command("/proc/self/exe", "hog")); err != nil {
			return err
		}
	}
	if err := sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	began := lab.Now()
	if err := sleep(ctx, jitterWindow); err != nil {
		return err
	}
	var gaps []time.Duration
	list := tap.Since(began, 1)
	for i := range list[:max(0, len(list)-1)] {
		gaps = append(gaps, list[i+1].At-list[i].At)
	}
	if len(gaps) == 0 {
		return errors.New("no adverts")
	}
	g := sorted(gaps)
	mean := (list[len(list)-1].At - list[0].At) / time.Duration(len(gaps))
	ms := func(d time.Duration) string { return fmt.Sprintf("%.3f", float64(d)/1e6) }
	fmt.Printf("jitter daemon=%s interval=%s real_time=%t hogs=%d adverts=%d p50_ms=%s p99_ms=%s p999_ms=%s max_ms=%s mean_ms=%s machine_stall_ms=%s load=%s\n",
		m.name, t, rt, hogs, len(list), ms(percentile(g, 0.5)), ms(percentile(g, 0.99)), ms(percentile(g, 0.999)), ms(g[len(g)-1]), ms(mean),
		millis(l.Stall(began)), loadAverage())
	return nil
}

// hog keeps a processor busy, with ordinary scheduling, until the lab ends.
func hog() {
	ordinary()
	for n := uint64(1); ; n = n*6364136223846793005 + 1 {
		if n == 0 {
			os.Exit(0) // never: the generator's period has no zero here
		}
	}
}

// noRealTime says why nothing can be run under SCHED_RR, "" if it can.
func noRealTime() string {
	out, err := exec.Command("chrt", "-r", "10", "true").CombinedOutput()
	if err != nil {
		return fmt.Sprintf("chrt -r 10: %v: %s; it needs root", err, out)
	}
	return ""
}
