package netns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// holdings are how many addresses of which family the dead may have held.
var holdings = []struct {
	family string
	n      int
}{{"ipv4", 1}, {"ipv6", 1}, {"ipv4", 1000}, {"ipv6", 1000}}

// A daemon that is killed or stopped holds no address one second beyond
// Active_Down_Interval, however many there are, and one that wakes up takes them
// back only after it has listened.
func TestDeadDaemonHoldsNoAddress(t *testing.T) {
	for _, h := range holdings {
		for _, mac := range []bool{false, true} {
			for how, end := range map[string]func(*lab.Backbeat){"killed": (*lab.Backbeat).Kill, "stopped": (*lab.Backbeat).Freeze} {
				if how == "stopped" && h.n > 1 {
					continue // make bench, -only lifetime, has those too
				}
				t.Run(fmt.Sprintf("%d %s, virtual MAC %t, %s", h.n, h.family, mac, how), func(t *testing.T) {
					if testing.Short() && h.n > 1 {
						t.Skip("a thousand addresses take a while")
					}
					t.Parallel()
					s := newScene(t, config(heavy(h.family, h.n, mac)))
					s.start(s.r1, s.r2)
					s.carries("r1", h.n)
					s.rest(2500 * time.Millisecond) // renewed more than once
					s.deadHoldsNothing(h.n, end, how == "stopped")
				})
			}
		}
	}
}

// deadHoldsNothing ends the Active and measures until when its kernel has addresses.
func (s *scene) deadHoldsNothing(n int, end func(*lab.Backbeat), wakes bool) {
	s.t.Helper()
	const oneSecond = 3*time.Second + 156*time.Second/256
	from := lab.Now()
	life := s.longestLife("r1")
	end(s.r1)
	s.carries("r1", 0)
	took := lab.Now() - from
	s.t.Logf("gone after %s, Active_Down_Interval of the peer is %s, their lifetime was %s; the machine stalled for %s", took.Round(time.Millisecond),
		oneSecond, life, s.Stall(from))
	bound := oneSecond + time.Second
	if life > 3*time.Second && s.Stall(0) > 50*time.Millisecond {
		bound = max(bound, life+life/12+time.Second) // a kernel that is busy with others: they live longer
	}
	if took > bound+s.slack(from) {
		s.t.Errorf("held its addresses for %s, bound %s", took, bound)
	}
	s.carries("r2", n)
	if !wakes {
		return
	}
	woken := lab.Now()
	s.r1.Thaw()
	s.became("r1", "active", "preempted") // after it has listened
	s.until("r1 alone to hold all", func() bool { return s.carried("r1") == n && s.carried("r2") == 0 })
	if n == 1 {
		if r := s.probe.Since(woken); r.Lost > 5 && s.probe.Answerer() != "" && s.Stall(woken) < 10*time.Millisecond {
			s.t.Errorf("after it woke up: %v", r)
		}
	}
}

// longestLife is what is left of the lifetimes of a host's addresses at most.
func (s *scene) longestLife(host string) (most time.Duration) {
	s.t.Helper()
	for _, word := range strings.Fields(s.run(host, "ip", "-o", "addr")) {
		if d, err := time.ParseDuration(strings.TrimSuffix(word, "ec")); err == nil && strings.HasSuffix(word, "sec") {
			most = max(most, d)
		}
	}
	return most
}

// carries waits until a host has so many virtual addresses. Thousands of IPv6
// addresses take their time where others change theirs, too.
func (s *scene) carries(host string, n int) {
	s.t.Helper()
	s.must(lab.Until(s.ctx, fmt.Sprintf("%s to have %d addresses", host, n), func() bool { return s.carried(host) == n }))
}

// heavy is a router with n addresses of one family, of which the first elects: vip4,
// or a link-local one, which is not counted by carried.
func heavy(family string, n int, mac bool) string {
	first, extra := "10.77.0.100/24", "10.99.%d.%d/32"
	if family == "ipv6" {
		first, extra = "fd77::100/64", "2001:db8:77::%x:%x/128"
	}
	own := fmt.Sprintf("%q", first)
	if family == "ipv6" {
		own = `"fe80::61/64", ` + own
	}
	lines := []string{`interval = "1s"`, "addresses = [" + own + "]", fmt.Sprintf("virtual_mac = %t", mac)}
	if n > 1 {
		var b strings.Builder
		b.WriteString("extra_addresses = [")
		for i := 1; i < n; i++ {
			fmt.Fprintf(&b, "%q, ", fmt.Sprintf(extra, i/250, i%250+1))
		}
		lines = append(lines, b.String()+"]")
	}
	return routerBlock("web", 61, lines...)
}

// carried counts the virtual addresses of heavy that a host has.
func (s *scene) carried(host string) int {
	list, err := s.Host(host).Addresses()
	if err != nil {
		return -1
	}
	n := 0
	for _, p := range list {
		if a := p.Addr(); a == vip4 || a == vip6 || manyNet4.Contains(a) || manyNet6.Contains(a) {
			n++
		}
	}
	return n
}

var manyNet4, manyNet6 = netip.MustParsePrefix("10.99.0.0/16"), netip.MustParsePrefix("2001:db8:77::/48")

// With address_lifetime = "off" they stay, as they always did.
func TestLifetimeOff(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web(`address_lifetime = "off"`)))
	s.r1.Kill()
	s.rest(4 * time.Second)
	if !s.Host("r1").Has(vip4) {
		t.Error("the address went by itself")
	}
}

// What a crash left is taken off by `backbeat release`, which says goodbye for the
// dead: the other takes over after its Skew_Time.
func TestReleaseAfterACrash(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string][]string{
		"plain":       {`interval = "2s"`},
		"virtual MAC": {`interval = "2s"`, `virtual_mac = true`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newPair(t, config(web(lines...)))
			s.turnedDown(s.r1.Verb(s.ctx, "release", "--runtime-dir", s.r1.RuntimeDir(), "-c", s.r1.ConfigFile())) // refused beside a running daemon
			s.r1.Kill()
			from := lab.Now()
			out, errs, code, err := s.r1.Verb(s.ctx, "release", "--runtime-dir", s.r1.RuntimeDir(), "-c", s.r1.ConfigFile())
			s.must(err)
			if code != 0 || !strings.Contains(out, "removed ") || !strings.Contains(out, "said goodbye for web") {
				t.Fatalf("exit status %d: %s%s", code, out, errs)
			}
			if s.Host("r1").Has(vip4) {
				t.Error("the address is still there")
			}
			s.active("r2")
			const skew2 = 2 * time.Second * 156 / 256
			if took := lab.Now() - from; took > skew2+time.Second+s.slack(from) {
				t.Errorf("r2 took over after %s, its Skew_Time is %s", took, skew2)
			}
		})
	}
}

// turnedDown wants a verb to be refused.
func (s *scene) turnedDown(out, errs string, code int, err error) {
	s.t.Helper()
	s.must(err)
	if code == 0 {
		s.t.Errorf("not refused: %s%s", out, errs)
	}
}
