package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// lifetimes measures what renewing the lifetimes of addresses costs an Active, for 1,
// 1,000 and 5,000 addresses, with address_lifetime = "off" beside it; and how long
// the kernel keeps the addresses of one that is killed or stopped.
func lifetimes(end time.Time) error {
	for _, family := range []string{"ipv4", "ipv6"} {
		for _, n := range []int{1, 1000, 5000} {
			for _, life := range []string{"off", "auto"} {
				if err := renewalCost(family, n, life, end); err != nil {
					return fmt.Errorf("renewal of %d %s addresses: %w", n, family, err)
				}
			}
		}
		for _, n := range []int{1, 1000} {
			for _, mac := range []bool{false, true} {
				for _, how := range []string{"killed", "stopped"} {
					if err := heldByTheDead(family, n, mac, how, end); err != nil {
						return fmt.Errorf("%d %s addresses of one %s: %w", n, family, how, err)
					}
				}
			}
		}
	}
	return nil
}

// heavy is the configuration of one router with n addresses.
func heavy(family string, n int, lines ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "virtual_router \"many\" {\n  interface = \"eth0\"\n  vrid = 1\n  interval = \"1s\"\n  priority = 200\n  addresses = [%q]\n", extra(family, 0))
	for _, l := range lines {
		b.WriteString("  " + l + "\n")
	}
	if n > 1 {
		b.WriteString("  extra_addresses = [\n")
		for i := 1; i < n; i++ {
			fmt.Fprintf(&b, "    %q,\n", extra(family, i))
		}
		b.WriteString("  ]\n")
	}
	return b.String() + "}\n"
}

// alone starts one such router and waits until it holds everything.
func alone(ctx context.Context, l *lab.Lab, n int, text string) (*lab.Backbeat, error) {
	d, err := l.Host("r1").Backbeat(text)
	if err != nil {
		return nil, err
	}
	if err := d.Start(ctx); err != nil {
		return nil, err
	}
	err = lab.Until(ctx, "all addresses", func() bool {
		time.Sleep(20 * time.Millisecond)
		return carried(l, n) == n
	})
	return d, err
}

// carried counts the n addresses of heavy that the host has, -1 if its kernel cannot be asked.
func carried(l *lab.Lab, n int) int {
	list, err := l.Host("r1").Addresses()
	if err != nil {
		return -1
	}
	there := make(map[netip.Addr]bool, len(list))
	for _, p := range list {
		there[p.Addr()] = true
	}
	count := 0
	for _, family := range []string{"ipv4", "ipv6"} {
		for i := range n {
			text, _, _ := strings.Cut(extra(family, i), "/")
			if there[netip.MustParseAddr(text)] {
				count++
			}
		}
	}
	return count
}

func renewalCost(family string, n int, life string, end time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	l, err := lab.New(lab.Plan{Hosts: []string{"r1"}})
	if err != nil {
		return err
	}
	defer l.Close()
	d, err := alone(ctx, l, n, heavy(family, n, fmt.Sprintf("address_lifetime = %q", life)))
	if err != nil {
		return err
	}
	if err := sleep(ctx, 8*time.Second); err != nil { // the announcements are over
		return err
	}
	const span = 20 * time.Second
	from, before := lab.Now(), cpuTime(d.Process().PID())
	if err := sleep(ctx, span); err != nil {
		return err
	}
	took := cpuTime(d.Process().PID()) - before
	fmt.Printf("renewal family=%s n=%d address_lifetime=%s cpu_ms_per_s=%.1f lost=%d machine_stall_ms=%s\n", family, n, life,
		1000*took.Seconds()/(lab.Now()-from).Seconds(), strings.Count(d.Log(), "put back"), millis(l.Stall(from)))
	return nil
}

// cpuTime is what a process has used, see proc_pid_stat(5); a tick is 10 ms.
func cpuTime(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var ticks int
	for _, i := range []int{11, 12} { // utime, stime
		t, _ := strconv.Atoi(f[i])
		ticks += t
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func heldByTheDead(family string, n int, mac bool, how string, end time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	l, err := lab.New(lab.Plan{Hosts: []string{"r1"}})
	if err != nil {
		return err
	}
	defer l.Close()
	d, err := alone(ctx, l, n, heavy(family, n, fmt.Sprintf("virtual_mac = %t", mac)))
	if err != nil {
		return err
	}
	if err := sleep(ctx, 3*time.Second); err != nil { // renewed more than once
		return err
	}
	from := lab.Now()
	if how == "killed" {
		d.Kill()
	} else {
		d.Freeze()
	}
	var first time.Duration
	err = lab.Until(ctx, "the addresses to go", func() bool {
		left := carried(l, n)
		if left >= 0 && left <= n/2 && first == 0 {
			first = lab.Now() - from
		}
		return left == 0
	})
	if err != nil {
		return err
	}
	fmt.Printf("held_by_the_dead family=%s n=%d virtual_mac=%t %s half_gone_ms=%s all_gone_ms=%s down_interval_plus_1s_ms=%s machine_stall_ms=%s\n", family, n, mac, how,
		millis(first), millis(lab.Now()-from), millis(down(time.Second, backup)+time.Second), millis(l.Stall(from)))
	return nil
}
