package announce

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// TestMain runs the tests in user, network and mount namespaces of their own:
// the host's interfaces are never touched and no root is needed.
func TestMain(m *testing.M) {
	// A fuzzing worker runs nothing but the fuzz target, which needs no kernel;
	// it talks to its parent through descriptors that the lab would take.
	if slices.Contains(os.Args, "-test.fuzzworker") {
		os.Exit(m.Run())
	}
	lab.Main(lab.Options{}, m.Run)
}

// pair makes a veth pair, near here and far in a network namespace of its own,
// both up, and returns near's index and far's namespace.
func pair(t *testing.T, near, far string) (int, netns.NsHandle) {
	t.Helper()
	lab.Need(t)
	lab.IP(t, "link", "add", near, "type", "veth", "peer", "name", far)
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", near).Run() })
	ns := newNamespace(t)
	l, err := netlink.LinkByName(far)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetNsFd(l, int(ns)); err != nil {
		t.Fatal(err)
	}
	lab.IP(t, "link", "set", near, "up")
	in(t, ns, func() {
		lab.IP(t, "link", "set", far, "up")
	})
	lab.AwaitCarrier(t, near)
	i, err := net.InterfaceByName(near)
	if err != nil {
		t.Fatal(err)
	}
	return i.Index, ns
}

func newNamespace(t *testing.T) netns.NsHandle {
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
	return ns
}

// in runs f on a thread in another network namespace.
func in(t *testing.T, ns netns.NsHandle, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock
		if err := netns.Set(ns); err != nil {
			t.Errorf("entering a network namespace: %v", err)
			return
		}
		f()
	}()
	<-done
}

// patience bounds every wait of a test.
const patience = 10 * time.Second
