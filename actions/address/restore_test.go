package address

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// soon bounds a restoration in these tests. The promise is 100 ms and the usual
// figure, which is logged, below one; two busy cores may add their own delays,
// and test/netns holds the promise against the running daemon.
const soon = time.Second

func TestWhatOthersRemoveIsPutBack(t *testing.T) {
	link := veth(t, "e0")
	k, posted := start(t, ledgerPath(t), nil)
	k.Want(actions.Wanted{Router: 3, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.1/24", "2001:db8::1/64")})
	applied(t, posted, 3, 1)
	for _, c := range []struct{ address, culprit string }{
		// ip has often ended before we can ask for its name.
		{"192.0.2.1/24", "ip (pid |a process that has ended (netlink port "},
		{"2001:db8::1/64", "unknown (the kernel does not tell who removes an IPv6 address)"},
	} {
		lab.IP(t, "addr", "del", c.address, "dev", "e0")
		r := next(t, posted, "Restored", func(actions.Restored) bool { return true })
		if r.Router != 3 || r.Address.String() != c.address || r.Err != "" {
			t.Errorf("restored %+v", r)
		}
		if r.Took <= 0 || r.Took > soon {
			t.Errorf("%s was back after %v, want less than %v", c.address, r.Took, soon)
		}
		a, b, _ := strings.Cut(c.culprit, "|")
		if !strings.HasPrefix(r.Culprit, a) && (b == "" || !strings.HasPrefix(r.Culprit, b)) {
			t.Errorf("%s: culprit %q, want %q", c.address, r.Culprit, c.culprit)
		}
		if _, there := present(t, link, c.address); !there {
			t.Errorf("%s is reported as restored and is not there", c.address)
		}
		t.Logf("%s removed by %s, back after %v", c.address, r.Culprit, r.Took)
	}
	if got := shown(t, "e0", "2001:db8::1"); got["deprecated"] != true || got["nodad"] != true {
		t.Errorf("restored without its flags: %v", got)
	}
}

// A culprit that is still running is named. The test itself plays it.
func TestCulpritIsNamed(t *testing.T) {
	link := veth(t, "e0")
	k, posted := start(t, "", nil)
	k.Want(actions.Wanted{Router: 3, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.1/24")})
	applied(t, posted, 3, 1)
	other, err := dialKernel()
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	if err := other.remove([]item{addressItem(link, "192.0.2.1/24")})[0]; err != nil {
		t.Fatal(err)
	}
	r := next(t, posted, "Restored", func(actions.Restored) bool { return true })
	// The keeper's socket was the first of this process, so this one tells nothing.
	if !strings.HasPrefix(r.Culprit, "an unknown process (netlink port ") {
		t.Errorf("culprit %q", r.Culprit)
	}
	if got := ownerOfPort(1); !strings.HasSuffix(got, " (pid 1)") {
		t.Errorf("port 1 belongs to %q", got)
	}
	// libnl's ports: the process ID and a socket count above it.
	if got := ownerOfPort(5<<22 | 1); !strings.HasSuffix(got, " (pid 1)") {
		t.Errorf("libnl's port of process 1 belongs to %q", got)
	}
	var w witness
	if got := w.culprit(0, false, time.Time{}); got != "the kernel (link down or address lifetime)" {
		t.Errorf("port 0 belongs to %q", got)
	}
}

func TestFlushIsRepaired(t *testing.T) {
	link := veth(t, "e0")
	k, posted := start(t, ledgerPath(t), nil)
	all := prefixes("192.0.2.1/32", "192.0.2.2/32", "198.51.100.1/24", "198.51.100.2/24", "2001:db8::1/128", "fe80::100/64")
	k.Want(actions.Wanted{Router: 3, Term: 1, Active: true, Addresses: placed(link, "e0", all)})
	applied(t, posted, 3, 1)
	// ip flushes in rounds, so that what is back already goes again; it may give
	// up after ten, which is its right.
	if out, err := exec.Command("ip", "addr", "flush", "dev", "e0").CombinedOutput(); err != nil && !strings.Contains(string(out), "incomplete") {
		t.Fatalf("flush: %v\n%s", err, out)
	}
	flushed := time.Now()
	for _, p := range all {
		for _, there := present(t, link, p.String()); !there; _, there = present(t, link, p.String()) {
			if time.Since(flushed) > soon {
				t.Fatalf("%s is not back after %v", p, soon)
			}
		}
	}
	for range all {
		if r := next(t, posted, "Restored", func(actions.Restored) bool { return true }); r.Err != "" || r.Took > soon {
			t.Errorf("restored %+v", r)
		}
	}
}

// Without promote_secondaries the kernel takes the other addresses of a subnet
// along with its first one: another router's, and somebody else's.
func TestRemovingThePrimaryTakesNobodyAlong(t *testing.T) {
	link := veth(t, "e0")
	const knob = "/proc/sys/net/ipv4/conf/e0/promote_secondaries"
	must(t, os.WriteFile(knob, []byte("0"), 0))
	k, posted := start(t, ledgerPath(t), nil)
	k.Want(actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.1/24")})
	applied(t, posted, 1, 1)
	k.Want(actions.Wanted{Router: 2, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.2/24")})
	applied(t, posted, 2, 1)
	lab.IP(t, "addr", "add", "192.0.2.3/24", "dev", "e0")
	k.Want(actions.Wanted{Router: 1, Term: 2})
	if a := applied(t, posted, 1, 2); a.Err != "" {
		t.Errorf("answer %+v", a)
	}
	for p, want := range map[string]bool{"192.0.2.1/24": false, "192.0.2.2/24": true, "192.0.2.3/24": true} {
		if _, there := present(t, link, p); there != want {
			t.Errorf("%s there: %v, want %v", p, there, want)
		}
	}
	select {
	case v := <-posted:
		t.Errorf("something had to be repaired: %+v", v)
	case <-time.After(50 * time.Millisecond):
	}
	if b, err := os.ReadFile(knob); err != nil || string(b) != "1\n" {
		t.Errorf("promote_secondaries is %q, %v", b, err)
	}
}

func TestLinkDownIsNotFought(t *testing.T) {
	link := veth(t, "e0")
	k, posted := start(t, ledgerPath(t), nil)
	k.Watch([]string{"e0"})
	k.Want(actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.1/32", "2001:db8::1/64")})
	applied(t, posted, 1, 1)
	lab.IP(t, "link", "set", "e0", "down") // removes the IPv6 address
	next(t, posted, "down, the address gone", func(l actions.LinkChanged) bool { return !l.Up && len(l.Addresses) == 1 })
	select {
	case v := <-posted:
		if r, ok := v.(actions.Restored); ok {
			t.Fatalf("an address was put on a link that is down: %+v", r)
		}
	case <-time.After(50 * time.Millisecond):
	}
	if _, there := present(t, link, "2001:db8::1/64"); there {
		t.Fatal("the IPv6 address is on a link that is down")
	}
	lab.IP(t, "link", "set", "e0", "up")
	r := next(t, posted, "Restored", func(actions.Restored) bool { return true })
	if r.Address.String() != "2001:db8::1/64" || r.Culprit != "the kernel (the link was down)" || r.Err != "" {
		t.Errorf("restored %+v", r)
	}
}

func TestOverrunLeadsToComparison(t *testing.T) {
	link := veth(t, "e0")
	// The monitor is held up in its first report while more notices come than
	// the smallest buffer takes.
	release := make(chan struct{})
	posted := make(chan any, 10_000)
	held := make(chan struct{}, 1)
	k := New(Options{Post: func(v any) {
		if _, is := v.(actions.LinkChanged); is {
			select {
			case held <- struct{}{}:
			default:
			}
			<-release
		}
		posted <- v
	}})
	k.readBuffer = 1
	run(t, k)
	k.Want(actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.1/32", "2001:db8::1/128")})
	applied(t, posted, 1, 1)
	k.Watch([]string{"e0"})
	<-held
	for range 50 {
		lab.IP(t, "addr", "add", "198.51.100.1/24", "dev", "e0")
		lab.IP(t, "addr", "del", "198.51.100.1/24", "dev", "e0")
	}
	lab.IP(t, "addr", "flush", "dev", "e0") // must be seen by the comparison alone
	close(release)
	back := map[string]bool{}
	lost := false
	for len(back) < 2 {
		r := next(t, posted, "Restored", func(actions.Restored) bool { return true })
		back[r.Address.String()] = true
		lost = lost || strings.Contains(r.Culprit, "notice was lost")
	}
	if !lost {
		t.Error("no notice was lost: the test has not tested the overrun")
	}
	// The level with both may have gone by with the Restored ones: ask for another.
	lab.IP(t, "link", "set", "e0", "mtu", "1400")
	l := next(t, posted, "the level afterwards", func(l actions.LinkChanged) bool { return l.MTU == 1400 && len(l.Addresses) == 2 })
	if !l.Up {
		t.Errorf("level %+v", l)
	}
}

// The kernel says once that it lost notices, and goes on losing them, without
// another word, until the queue has been read to its end (NETLINK_S_CONGESTED
// in net/netlink/af_netlink.c). What changes after the comparison and before
// that must not be lost for good.
func TestNothingIsLostWhileAnOverrunIsDealtWith(t *testing.T) {
	link := veth(t, "e0")
	levels, goOn := make(chan actions.LinkChanged), make(chan struct{})
	ended := make(chan struct{})
	k := New(Options{Post: func(v any) {
		if l, is := v.(actions.LinkChanged); is {
			select {
			case levels <- l:
				<-goOn
			case <-ended:
			}
		}
	}})
	k.readBuffer = 1
	run(t, k)
	t.Cleanup(func() { close(ended) }) // before the end of the keeper, which waits for Post
	level := func(what string, fits func(actions.LinkChanged) bool) {
		t.Helper()
		timeout := time.After(longest)
		for {
			select {
			case l := <-levels:
				if fits(l) {
					return
				}
				goOn <- struct{}{}
			case <-timeout:
				t.Fatalf("waited %s for %s", longest, what)
			}
		}
	}
	k.Watch([]string{"e0"})
	level("the first level", func(l actions.LinkChanged) bool { return l.Index == link })
	for range 20 {
		lab.IP(t, "addr", "add", "198.51.100.1/24", "dev", "e0")
		lab.IP(t, "addr", "del", "198.51.100.1/24", "dev", "e0")
	}
	lab.IP(t, "link", "set", "e0", "mtu", "1400") // seen by the comparison alone
	goOn <- struct{}{}
	level("the comparison", func(l actions.LinkChanged) bool { return l.MTU == 1400 })
	lab.IP(t, "link", "set", "e0", "mtu", "1300") // after the kernel was asked
	goOn <- struct{}{}
	level("what came after the comparison", func(l actions.LinkChanged) bool { return l.MTU == 1300 })
	goOn <- struct{}{}
}

func TestPeriodicComparison(t *testing.T) {
	link := veth(t, "e0")
	k, posted := start(t, "", func(k *Keeper) { k.resyncEvery = 20 * time.Millisecond })
	// An address that could not be added is added as soon as it can be.
	lab.IP(t, "link", "set", "e0", "mtu", "1000") // no IPv6 below 1280
	k.Want(actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: places(link, "e0", "2001:db8::1/128")})
	if a := applied(t, posted, 1, 1); a.Err == "" {
		t.Fatalf("answer %+v", a)
	}
	if err := exec.Command("ip", "link", "set", "e0", "mtu", "1500").Run(); err != nil {
		t.Fatal(err)
	}
	r := next(t, posted, "Restored", func(r actions.Restored) bool { return r.Err == "" })
	if r.Address.String() != "2001:db8::1/128" {
		t.Errorf("restored %+v", r)
	}
	if _, there := present(t, link, "2001:db8::1/128"); !there {
		t.Error("the address is not there")
	}
}

func TestBackoff(t *testing.T) {
	var b backoff
	now := time.Unix(0, 0)
	restore := func(after time.Duration) time.Duration {
		now = now.Add(after)
		wait := b.delay(now)
		now = now.Add(wait)
		b.did(now)
		return wait
	}
	for i := range freeRestorations {
		if wait := restore(time.Millisecond); wait != 0 {
			t.Fatalf("restoration %d waits %v", i+1, wait)
		}
	}
	for _, want := range []time.Duration{50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000} {
		if wait := restore(time.Millisecond); wait != want*time.Millisecond {
			t.Fatalf("waits %v, want %v", wait, want*time.Millisecond)
		}
	}
	if wait := restore(restoreWindow); wait != maxPause {
		t.Errorf("after 10s of peace exactly: waits %v", wait)
	}
	if wait := restore(restoreWindow + 1); wait != 0 {
		t.Errorf("after more than 10s of peace: waits %v", wait)
	}
	// Twenty slow ones within more than the window are nothing special.
	b = backoff{}
	for i := range 3 * freeRestorations {
		if wait := restore(600 * time.Millisecond); wait != 0 {
			t.Fatalf("slow restoration %d waits %v", i+1, wait)
		}
	}
}
