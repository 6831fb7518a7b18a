package probe

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// TestMain runs the tests in namespaces of their own, where the loopback
// interface, its ports and its sysctls are theirs, and no root is needed.
func TestMain(m *testing.M) {
	// A fuzzing worker needs no kernel; it talks to its parent through
	// descriptors that the lab would take.
	if slices.Contains(os.Args, "-test.fuzzworker") {
		os.Exit(m.Run())
	}
	lab.Main(lab.Options{}, func() int {
		if lab.Unavailable() == "" {
			lo, err := netlink.LinkByName("lo")
			if err == nil {
				err = netlink.LinkSetUp(lo)
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, "bring lo up:", err)
				return 1
			}
		}
		return m.Run()
	})
}

// sysctl sets a switch of the namespace until the test ends.
func sysctl(t *testing.T, name, value string) {
	t.Helper()
	lab.Need(t)
	path := "/proc/sys/net/" + name
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(path, before, 0o644) })
}

// neighbour makes a host at the other end of a cable: 10.9.0.1 and fd09::1 here,
// .2 and ::2 there. Its namespace ends with the test.
func neighbour(t *testing.T, near, far string) netns.NsHandle {
	t.Helper()
	made := make(chan netns.NsHandle)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		ns, err := netns.New()
		if err != nil {
			t.Errorf("making a network namespace: %v", err)
			ns = netns.None()
		}
		made <- ns
	}()
	ns := <-made
	if !ns.IsOpen() {
		t.FailNow()
	}
	t.Cleanup(func() { ns.Close() })
	lab.IP(t, "link", "add", near, "type", "veth", "peer", "name", far)
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", near).Run() })
	l, err := netlink.LinkByName(far)
	if err == nil {
		err = netlink.LinkSetNsFd(l, int(ns))
	}
	if err != nil {
		t.Fatal(err)
	}
	lab.IP(t, "address", "add", "10.9.0.1/24", "dev", near)
	lab.IP(t, "address", "add", "fd09::1/64", "dev", near, "nodad")
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock
		if err := netns.Set(ns); err != nil {
			t.Errorf("entering a network namespace: %v", err)
			return
		}
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+far+"/accept_dad", []byte("0"), 0o644); err != nil {
			t.Error(err)
		}
		lab.IP(t, "address", "add", "10.9.0.2/24", "dev", far)
		lab.IP(t, "address", "add", "fd09::2/64", "dev", far, "nodad")
		lab.IP(t, "link", "set", far, "up")
	}()
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+near+"/accept_dad", []byte("0"), 0o644); err != nil {
		t.Fatal(err)
	}
	lab.IP(t, "link", "set", near, "up")
	<-done
	lab.AwaitCarrier(t, near)
	return ns
}
