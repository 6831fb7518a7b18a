package firewall

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// transmitted is the number of packets an interface has sent.
func transmitted(t *testing.T, link string) int {
	t.Helper()
	b, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	_, line, ok := strings.Cut(string(b), link+":")
	fields := strings.Fields(line)
	if !ok || len(fields) < 10 {
		t.Fatalf("%s is not in /proc/net/dev:\n%s", link, b)
	}
	n, err := strconv.Atoi(fields[9]) // after eight columns of what was received and the bytes sent
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func nft(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("nft", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (w *wire) check(want bool) {
	w.t.Helper()
	if same, err := w.table.Check(); same != want || err != nil {
		w.t.Fatalf("Check: %v, %v; want %v\n%s", same, err, want, nft(w.t, "list", "ruleset"))
	}
}

// TestRulesetFlushed: somebody flushes the ruleset, deletes an element, a rule,
// a chain, adds an element: Check sees it and Flush mends it.
func TestRulesetFlushed(t *testing.T) {
	w := newWire(t, "vb0")
	one, two := vmac(4, 1), vmac(4, 2)
	w.check(true)
	w.table.Silence(w.near, one, two)
	w.table.Refuse(Refused{Addr: own4}, Refused{Addr: far6}, Refused{Addr: farLL, Link: w.near})
	w.check(true) // nothing told yet, nothing differs
	w.flush()
	w.check(true)
	want := nft(t, "-s", "list", "ruleset")
	for _, harm := range []string{
		"flush ruleset",
		"delete table inet backbeat",
		"delete element netdev backbeat passive-vb0 { 00:00:5e:00:01:01 }",
		"add element netdev backbeat passive-vb0 { 00:00:5e:00:01:05 }",
		"flush chain netdev backbeat out-vb0",
		"flush set inet backbeat refused6",
		"flush chain inet backbeat input",
		"delete chain netdev backbeat in-vb0",
	} {
		nft(t, strings.Fields(harm)...)
		w.check(false)
		w.flush()
		w.check(true)
		if got := nft(t, "-s", "list", "ruleset"); got != want {
			t.Fatalf("after %s:\n%s\nwant:\n%s", harm, got, want)
		}
	}
	// Without Check, Flush finds out by itself.
	nft(t, "flush", "ruleset")
	w.table.Open(w.near, two)
	w.flush()
	w.check(true)
	got := nft(t, "list", "ruleset")
	if !strings.Contains(got, "00:00:5e:00:01:01") || strings.Contains(got, "00:00:5e:00:01:02") {
		t.Errorf("after Open on a flushed ruleset:\n%s", got)
	}
}

// spare makes another interface, down.
func spare(t *testing.T, name string) {
	t.Helper()
	lab.IP(t, "link", "add", name, "type", "veth", "peer", "name", name+"p")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", name).Run() })
}

// TestForget: the chains of an interface go, those of another stay; a new
// interface of the same name gets new ones.
func TestForget(t *testing.T) {
	w := newWire(t, "vg0")
	mac := vmac(4, 1)
	spare(t, "vg1.5")
	w.table.Silence("vg1.5", mac)
	w.table.Silence(w.near, mac)
	w.table.Silence("missing", mac) // left out
	w.flush()
	w.check(true)
	w.table.Forget("vg1.5")
	w.flush()
	if got := nft(t, "list", "ruleset"); strings.Contains(got, "vg1.5") || !strings.Contains(got, "in-vg0") {
		t.Errorf("after Forget:\n%s", got)
	}
	w.table.Silence("vg1.5", mac)
	w.flush()

	// Gone and back without Forget, and with both at once.
	for _, forget := range []bool{false, true} {
		lab.IP(t, "link", "del", "vg1.5")
		spare(t, "vg1.5")
		if forget {
			w.table.Forget("vg1.5")
		}
		w.table.Silence("vg1.5", mac)
		w.flush()
		w.check(true)
		lab.IP(t, "link", "set", "vg1.5", "up")
		if got := nft(t, "list", "table", "netdev", "backbeat"); strings.Count(got, `"vg1.5"`) != 2 {
			t.Errorf("forget %v: the chains do not hang on the new interface:\n%s", forget, got)
		}
	}
	lab.IP(t, "link", "del", "vg1.5")
	w.table.Forget("vg1.5")
	w.flush()
	w.check(true)
}

// TestPredecessor: what a crashed daemon left is replaced, what another daemon
// or somebody else has is left alone, and Clear removes only our own.
func TestPredecessor(t *testing.T) {
	w := newWire(t, "vp0")
	crashed, other := New(""), New("blue")
	crashed.Silence(w.near, vmac(4, 1), vmac(4, 2))
	crashed.Refuse(Refused{Addr: far4})
	other.Silence(w.near, vmac(4, 3))
	for _, x := range []*Table{crashed, other} {
		if err := x.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = other.Clear() })
	nft(t, "add", "table", "inet", "somebody")
	w.table.Silence(w.near, vmac(4, 2))
	w.flush()
	w.check(true)
	if got := nft(t, "list", "ruleset"); strings.Contains(got, "00:00:5e:00:01:01") || strings.Contains(got, "table inet backbeat") {
		t.Errorf("the predecessor's are still there:\n%s", got)
	}
	if err := w.table.Clear(); err != nil {
		t.Fatal(err)
	}
	got := nft(t, "list", "tables")
	if strings.TrimSpace(got) != "table netdev backbeat-blue\ntable inet somebody" {
		t.Errorf("after Clear:\n%s", got)
	}
	nft(t, "delete", "table", "inet", "somebody")
}

// TestMany: more than fits one transaction, in and out and anew.
func TestMany(t *testing.T) {
	w := newWire(t, "vy0")
	var list []Refused
	a := far6
	for range 5000 {
		a = a.Next()
		list = append(list, Refused{Addr: a}, Refused{Addr: farLL, Link: a.String()[10:]})
	}
	w.table.Refuse(list...)
	w.flush()
	w.check(true)
	nft(t, "flush", "ruleset")
	w.table.Accept(list[:4000]...)
	w.flush()
	w.check(true)
	w.table.Accept(list...)
	w.flush()
	w.check(true)
	if n := len(w.table.refused[refused6].booked); n != 0 {
		t.Errorf("%d addresses left", n)
	}
}

// TestRenamed: Linux 6.16 and later unhooks the chains of an interface that is
// renamed, earlier ones do not; Forget and Silence in one Flush are right for both.
func TestRenamed(t *testing.T) {
	w := newWire(t, "vx0")
	mac, vip := vmac(4, 9), netip.MustParseAddr("192.0.2.100")
	w.link(mac, vip.String()+"/32")
	w.table.Silence(w.near, mac)
	w.flush()
	lab.IP(t, "link", "set", "vx0", "name", "vx1")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "vx1").Run() })
	w.check(true) // what Flush could not mend by itself is no difference
	w.table.Forget("vx0")
	w.table.Silence("vx1", mac)
	w.flush()
	w.check(true)
	w.forget()
	w.ping(mac, vip)
	w.arp(vip)
	w.none("a question after renaming", func(f frame) bool { return echo(vip)(f) || arpReply(vip)(f) })
	w.table.Open("vx1", mac)
	w.flush()
	w.ping(mac, vip)
	if n := len(w.answers(echo(vip))); n != 1 {
		t.Errorf("%d answers after opening", n)
	}
}

// TestNotPermitted: without CAP_NET_ADMIN the error names it, what was queued
// stays queued, and Check does not say that all is well.
func TestNotPermitted(t *testing.T) {
	w := newWire(t, "vc0")
	w.table.Silence(w.near, vmac(4, 9))
	done := make(chan error)
	go func() {
		// The thread ends with the goroutine, since it is not unlocked.
		runtime.LockOSThread()
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			done <- err
			return
		}
		done <- w.table.Flush()
	}()
	if err := <-done; err == nil || !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Fatalf("Flush: %v", err)
	}
	w.flush()
	w.check(true)
	if got := nft(t, "list", "ruleset"); !strings.Contains(got, "00:00:5e:00:01:09") {
		t.Errorf("not made later:\n%s", got)
	}
}
