package main

import (
	"context"
	"fmt"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// thousand is the many routers of memory and many: 250 on each of four interfaces.
var thousand = spec{priority: preferred, routers: 1000, links: 4, interval: time.Second}

// memory prints the resident memory of one Active with 1 and with 1,000 routers.
func memory(end time.Time) error {
	for _, m := range available() {
		one := thousand
		one.routers = 1
		for _, s := range []spec{one, thousand} {
			if err := resident(m, s, end); err != nil {
				return fmt.Errorf("memory of %s with %d routers: %w", m.name, s.routers, err)
			}
		}
	}
	return nil
}

func resident(m maker, s spec, end time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	l, err := lab.New(lab.Plan{Hosts: []string{"r1"}, Links: s.links})
	if err != nil {
		return err
	}
	defer l.Close()
	sniffer, err := l.Sniff()
	if err != nil {
		return err
	}
	r1, err := m.make(l.Host("r1"), s)
	if err != nil {
		return err
	}
	began := lab.Now()
	if err := r1.Start(ctx); err != nil {
		return err
	}
	all, err := everyAdvert(ctx, sniffer, "r1", began, s)
	if err != nil {
		return err
	}
	// The announcements that follow the promotion are part of the work.
	if err := sleep(ctx, 5*time.Second); err != nil {
		return err
	}
	rss, err := r1.RSS()
	if err != nil {
		return err
	}
	fmt.Printf("memory daemon=%s routers=%d rss_mib=%.1f start_to_last_active_s=%.2f down_interval_s=%.2f\n",
		m.name, s.routers, float64(rss)/(1<<20), (all - began).Seconds(), down(s.interval, s.priority).Seconds())
	return nil
}

// everyAdvert waits until a host has advertised every router since an instant
// and returns when the last one was advertised first.
func everyAdvert(ctx context.Context, sniffer *lab.Sniffer, host string, from time.Duration, s spec) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	type key struct {
		link int
		vrid uint8
	}
	var last time.Duration
	seen := make(map[key]bool)
	next := from
	err := lab.Until(ctx, fmt.Sprintf("adverts of all %d routers of %s", s.routers, host), func() bool {
		for _, f := range sniffer.Adverts(next, host) {
			next = f.At + 1
			if k := (key{f.Link, f.Advert.VRID}); f.Advert.Priority != 0 && !seen[k] {
				seen[k], last = true, f.At
			}
		}
		return len(seen) >= s.routers
	})
	if err != nil {
		return 0, fmt.Errorf("%w (%d seen)", err, len(seen))
	}
	return last, nil
}

// many kills the Active of 1,000 routers and prints when the last of them was taken over.
func many(end time.Time) error {
	for _, t := range []time.Duration{time.Second, 100 * time.Millisecond} {
		for _, m := range available() {
			s := thousand
			s.interval = t
			if err := takeoverOfMany(m, s, end); err != nil {
				return fmt.Errorf("%s with %d routers at %s: %w", m.name, s.routers, t, err)
			}
		}
	}
	return nil
}

func takeoverOfMany(m maker, s spec, end time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	l, err := lab.New(lab.Plan{Hosts: []string{"r1", "r2"}, Links: s.links})
	if err != nil {
		return err
	}
	defer l.Close()
	sniffer, err := l.Sniff()
	if err != nil {
		return err
	}
	r1, err := m.make(l.Host("r1"), s)
	if err != nil {
		return err
	}
	low := s
	low.priority = backup
	r2, err := m.make(l.Host("r2"), low)
	if err != nil {
		return err
	}
	// One after the other: keepalived takes minutes to win 1,000 elections
	// against a worse router that is Active already (performance.md B).
	began := lab.Now()
	if err := r1.Start(ctx); err != nil {
		return err
	}
	if _, err := everyAdvert(ctx, sniffer, "r1", began, s); err != nil {
		return err
	}
	if err := r2.Start(ctx); err != nil {
		return err
	}
	if err := sleep(ctx, 2*down(s.interval, backup)+5*time.Second); err != nil {
		return err
	}
	early := len(sniffer.Adverts(lab.Now()-3*time.Second, "r2"))
	fault := lab.Now()
	r1.Kill()
	all, err := everyAdvert(ctx, sniffer, "r2", fault, s)
	if err != nil {
		return err
	}
	adi := down(s.interval, backup)
	fmt.Printf("many daemon=%s routers=%d interval=%s kill_to_last_takeover_ms=%s down_interval_ms=%s ratio=%.2f backup_adverts_before=%d\n",
		m.name, s.routers, s.interval, millis(all-fault), millis(adi), float64(all-fault)/float64(adi), early)
	return nil
}
