package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

const macRouters = 250

// macs kills the Active of 250 routers with virtual MACs and prints how long the
// takeover took, and how many frames with a virtual MAC the Backup sent before
// it: none is right.
func macs(end time.Time) error {
	for _, virtual := range []bool{false, true} {
		for _, family := range []string{"ipv4", "ipv6"} {
			if err := takeoverOfMACs(family, virtual, end); err != nil {
				return fmt.Errorf("%d %s routers, virtual_mac = %t: %w", macRouters, family, virtual, err)
			}
		}
	}
	return nil
}

func takeoverOfMACs(family string, virtual bool, end time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	l, err := lab.New(lab.Plan{Hosts: []string{"r1", "r2"}, Links: 1})
	if err != nil {
		return err
	}
	defer l.Close()
	sniffer, err := l.Sniff()
	if err != nil {
		return err
	}
	daemons := map[string]*lab.Backbeat{}
	for host, priority := range map[string]int{"r1": preferred, "r2": backup} {
		d, err := l.Host(host).Backbeat(macConfig(family, virtual, priority))
		if err != nil {
			return err
		}
		if err := d.Start(ctx); err != nil {
			return err
		}
		daemons[host] = d
	}
	s := spec{priority: preferred, routers: macRouters, links: 1, interval: time.Second}
	if _, err := everyAdvert(ctx, sniffer, "r1", 0, s); err != nil {
		return err
	}
	if err := sleep(ctx, 6*time.Second); err != nil { // announcements and their repetition
		return err
	}
	calm := lab.Now()
	if err := sleep(ctx, 3*time.Second); err != nil {
		return err
	}
	fault := lab.Now()
	daemons["r1"].Kill()
	if _, err := everyAdvert(ctx, sniffer, "r2", fault, s); err != nil {
		return err
	}
	first := sniffer.Adverts(fault, "r2")[0].At
	leaked := len(sniffer.Frames(calm, func(f *lab.Frame) bool {
		return f.Host == "r2" && f.At < first && strings.HasPrefix(f.SrcMAC.String(), "00:00:5e:")
	}))
	if err := sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	var last, worst float64
	list, err := daemons["r2"].History(ctx)
	if err != nil {
		return err
	}
	for _, t := range list {
		if t.To != "active" {
			continue
		}
		for _, f := range t.Followed {
			if f.What == "addresses added" {
				last, worst = last+f.After, max(worst, f.After)
			}
		}
	}
	all, err := everyAdvert(ctx, sniffer, "r2", fault, s)
	if err != nil {
		return err
	}
	fmt.Printf("macs family=%s virtual_mac=%t routers=%d kill_to_last_takeover_ms=%s takeover_to_addresses_mean_ms=%.1f worst_ms=%.1f frames_of_a_backup_from_virtual_macs=%d\n",
		family, virtual, macRouters, millis(all-fault), 1000*last/macRouters, 1000*worst, leaked)
	return nil
}

func macConfig(family string, virtual bool, priority int) string {
	var b strings.Builder
	for i := range macRouters {
		list := fmt.Sprintf("%q", fmt.Sprintf("10.99.1.%d/32", i+1))
		if family == "ipv6" {
			list = fmt.Sprintf("%q, %q", fmt.Sprintf("fe80::77:%x/64", i+1), fmt.Sprintf("2001:db8:77::%x/128", i+1))
		}
		fmt.Fprintf(&b, "virtual_router \"r%d\" {\n  interface = \"eth0\"\n  vrid = %d\n  priority = %d\n  virtual_mac = %t\n  addresses = [%s]\n}\n",
			i, i+1, priority, virtual, list)
	}
	return b.String()
}
