package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// lifetimes measures what renewing the lifetimes of addresses costs an Active, for 1,
// 1,000 and 5,000 addresses, with address_lifetime = "off" beside it; and how long
// the kernel keeps the addresses of one that is killed or stopped. Cases that hardly
// use the kernel's lock run at the same time, each on a host of its own; of those that
// renew a thousand addresses one at a time, since all hosts here share that lock, and
// a daemon that finds the kernel slow makes lifetimes longer. Under four minutes.
func lifetimes(end time.Time) error {
	for _, cases := range renewals(end) {
		if err := abreast(cases); err != nil {
			return fmt.Errorf("renewal: %w", err)
		}
	}
	var light []measured
	var heavy [][]measured
	for _, n := range []int{1, 1000} {
		for _, family := range []string{"ipv4", "ipv6"} {
			for _, mac := range []bool{false, true} {
				for _, how := range []string{"killed", "stopped"} {
					c := func() (string, error) { return heldByTheDead(family, n, mac, how, end) }
					if n == 1 {
						light = append(light, c)
					} else {
						heavy = append(heavy, []measured{c})
					}
				}
			}
		}
	}
	for _, cases := range append([][]measured{light}, heavy...) {
		if err := abreast(cases); err != nil {
			return fmt.Errorf("addresses of the dead: %w", err)
		}
	}
	return nil
}

// renewals are the cases of renewal, those together that do not disturb each other.
func renewals(end time.Time) (rounds [][]measured) {
	of := func(family string, n int) (pair []measured) {
		for _, life := range []string{"off", "auto"} {
			pair = append(pair, func() (string, error) { return renewalCost(family, n, life, end) })
		}
		return pair
	}
	rounds = append(rounds, append(of("ipv4", 1), of("ipv6", 1)...))
	for _, n := range []int{1000, 5000} {
		rounds = append(rounds, of("ipv4", n), of("ipv6", n))
	}
	return rounds
}

// measured is one case: it returns the line that tells of it.
type measured func() (string, error)

// abreast runs cases at the same time and prints their lines in order.
func abreast(cases []measured) error {
	lines, errs := make([]string, len(cases)), make([]error, len(cases))
	var running sync.WaitGroup
	for i, c := range cases {
		running.Go(func() { lines[i], errs[i] = c() })
	}
	running.Wait()
	for i := range lines {
		if errs[i] == nil {
			fmt.Println(lines[i])
		}
	}
	return errors.Join(errs...)
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

func renewalCost(family string, n int, life string, end time.Time) (string, error) {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	l, err := lab.New(lab.Plan{Hosts: []string{"r1"}})
	if err != nil {
		return "", err
	}
	defer l.Close()
	d, err := alone(ctx, l, n, heavy(family, n, fmt.Sprintf("address_lifetime = %q", life)))
	if err != nil {
		return "", err
	}
	if err := sleep(ctx, 6*time.Second); err != nil { // the announcements are over
		return "", err
	}
	from := lab.Now()
	before, err := d.Process().CPU()
	if err != nil {
		return "", err
	}
	if err := sleep(ctx, 15*time.Second); err != nil { // with 5,000 a lifetime is fifteen
		return "", err
	}
	after, err := d.Process().CPU()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("renewal family=%s n=%d address_lifetime=%s cpu_ms_per_s=%.1f lost=%d machine_stall_ms=%s", family, n, life,
		1000*(after-before).Seconds()/(lab.Now()-from).Seconds(), strings.Count(d.Log(), "put back"), millis(l.Stall(from))), nil
}

func heldByTheDead(family string, n int, mac bool, how string, end time.Time) (string, error) {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	l, err := lab.New(lab.Plan{Hosts: []string{"r1"}})
	if err != nil {
		return "", err
	}
	defer l.Close()
	d, err := alone(ctx, l, n, heavy(family, n, fmt.Sprintf("virtual_mac = %t", mac)))
	if err != nil {
		return "", err
	}
	if err := sleep(ctx, 3*time.Second); err != nil { // renewed more than once
		return "", err
	}
	from := lab.Now()
	if how == "killed" {
		d.Kill()
	} else {
		d.Freeze()
	}
	var first time.Duration
	err = lab.Until(ctx, "the addresses to go", func() bool {
		time.Sleep(20 * time.Millisecond) // the answer of the kernel takes its lock
		left := carried(l, n)
		if left >= 0 && left <= n/2 && first == 0 {
			first = lab.Now() - from
		}
		return left == 0
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("held_by_the_dead family=%s n=%d virtual_mac=%t %s half_gone_ms=%s all_gone_ms=%s down_interval_plus_1s_ms=%s machine_stall_ms=%s", family, n, mac, how,
		millis(first), millis(lab.Now()-from), millis(down(time.Second, backup)+time.Second), millis(l.Stall(from))), nil
}
