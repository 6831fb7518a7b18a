package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// addresses measures how long one router's addresses take to be added and
// announced, beside what "ip -batch" takes to add the same to an interface where
// nobody else is (of IPv6 it wants more than we do: it adds one in each call), and how late adverts are meanwhile: those of the router itself and
// those of another one beside it, which advertises every 20 ms.
func addresses(counts []int, realTime bool, end time.Time) error {
	for _, family := range []string{"ipv4", "ipv6"} {
		for _, n := range counts {
			if err := addMany(family, n, realTime, end); err != nil {
				return fmt.Errorf("%d %s addresses: %w", n, family, err)
			}
		}
	}
	return nil
}

const pulseInterval = 20 * time.Millisecond

func addMany(family string, n int, realTime bool, end time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	alone, err := byIP(ctx, family, n)
	if err != nil {
		return err
	}
	// The kernel takes a namespace with thousands of addresses down behind us, and
	// lets nobody else on that processor for tens of milliseconds.
	if err := sleep(ctx, 5*time.Second); err != nil {
		return err
	}
	l, err := lab.New(lab.Plan{Hosts: []string{"r1"}, Links: 2})
	if err != nil {
		return err
	}
	defer l.Close()
	sniffer, err := l.Sniff()
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "virtual_router \"pulse\" {\n  interface = \"eth1\"\n  vrid = 2\n  interval = %q\n  addresses = [\"10.78.1.1\"]\n}\n", pulseInterval)
	fmt.Fprintf(&b, "virtual_router \"many\" {\n  interface = \"eth0\"\n  vrid = 1\n  interval = \"1s\"\n  priority = 200\n  addresses = [%q]\n", extra(family, 0))
	if n > 1 {
		b.WriteString("  extra_addresses = [\n")
		for i := 1; i < n; i++ {
			fmt.Fprintf(&b, "    %q,\n", extra(family, i))
		}
		b.WriteString("  ]\n")
	}
	b.WriteString("}\n")
	d, err := l.Host("r1").Backbeat(b.String())
	if err != nil {
		return err
	}
	err = asRealTime(filepath.Dir(d.ConfigFile()), realTime, func() error { return d.Start(ctx) })
	if err != nil {
		return err
	}
	var added, announced float64
	var from time.Time
	err = lab.Until(ctx, "the announcement of all addresses", func() bool {
		list, err := d.History(ctx)
		if err != nil {
			return false
		}
		for _, t := range list {
			if t.Router != "many" || t.To != "active" {
				continue
			}
			for _, f := range t.Followed {
				switch f.What {
				case "addresses added":
					added, from = f.After, t.At
				case "announced":
					announced = f.After
				}
			}
		}
		return announced > 0
	})
	if err != nil {
		return err
	}
	began := lab.Now() - time.Since(from)
	until := began + time.Duration(announced*float64(time.Second))
	fmt.Printf("addresses family=%s n=%d real_time=%t added_ms=%.1f announced_ms=%.1f ip_batch_ms=%s worst_advert_lateness_ms=%s machine_stall_ms=%s load=%s\n",
		family, n, realTime, 1000*added, 1000*announced, millis(alone), millis(worstLate(sniffer, began, until)), millis(l.Stall(began)), loadAverage())
	return nil
}

// byIP is how long iproute2 takes for n addresses.
func byIP(ctx context.Context, family string, n int) (time.Duration, error) {
	l, err := lab.New(lab.Plan{Hosts: []string{"r1"}})
	if err != nil {
		return 0, err
	}
	defer l.Close()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "address add %s dev eth0 valid_lft 60 preferred_lft 0", extra(family, i))
		if family == "ipv6" {
			b.WriteString(" nodad")
		}
		b.WriteByte('\n')
	}
	file := l.Dir("addresses")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return 0, err
	}
	began := lab.Now()
	if out, err := l.Host("r1").Run(ctx, "ip", "-batch", file); err != nil {
		return 0, fmt.Errorf("ip -batch: %w: %s", err, out)
	}
	return lab.Now() - began, nil
}

// extra is address i.
func extra(family string, i int) string {
	if family == "ipv6" {
		if i == 0 {
			return "fe80::77:1/64"
		}
		return fmt.Sprintf("2001:db8:77::%x:%x/128", i/250+1, i%250+1)
	}
	return fmt.Sprintf("10.99.%d.%d/32", i/250, i%250+1)
}

// worstLate is by how much the latest advert of the pulse missed its slot.
func worstLate(s *lab.Sniffer, from, until time.Duration) time.Duration {
	var worst, last time.Duration
	for _, f := range s.Adverts(from-time.Second, "r1") {
		if f.Advert.VRID != 2 || f.At > until+time.Second {
			continue
		}
		if last > 0 && f.At >= from {
			worst = max(worst, f.At-last-pulseInterval)
		}
		last = f.At
	}
	return worst
}
