package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// Need skips a test where there are no namespaces, with the reason and the
// remedy; in CI it fails. A package whose tests need the kernel calls Main in
// its TestMain and Need where it begins to touch it.
func Need(t testing.TB) {
	t.Helper()
	if why := Unavailable(); why != "" {
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
}

// IP runs iproute2's ip in the current namespace and returns what it printed.
func IP(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// AwaitCarrier waits until an interface of the current namespace really
// passes frames. The kernel activates its queue some time after "link up": what
// is sent before vanishes without an error.
func AwaitCarrier(t testing.TB, name string) {
	t.Helper()
	for range 5000 {
		l, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatalf("wait for the carrier of %s: %v", name, err)
		}
		if l.Attrs().OperState == netlink.OperUp {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%s has no carrier after five seconds", name)
}

// AwaitSolicited waits until an IPv6 address of the current namespace can be
// asked for: a kernel worker joins its solicited-node group some time after "addr
// add", also with nodad (addrconf_dad_work), and until then solicitations go
// unanswered. IPv4 needs no such thing.
func AwaitSolicited(t testing.TB, link string, a netip.Addr) {
	t.Helper()
	if a.Is4() {
		return
	}
	b := a.As16()
	group := fmt.Sprintf("ff0200000000000000000001ff%02x%02x%02x", b[13], b[14], b[15])
	for range 5000 {
		text, err := os.ReadFile("/proc/thread-self/net/igmp6")
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			if f := strings.Fields(line); len(f) > 2 && f[1] == link && f[2] == group {
				return
			}
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%s has not joined the group for %s after five seconds", link, a)
}

// ForTest builds a lab that ends with the test, and a context for at most
// limit. Where there are no namespaces the test is skipped with the reason and
// the remedy; in CI it fails.
func ForTest(t testing.TB, p Plan, limit time.Duration) (*Lab, context.Context) {
	t.Helper()
	Need(t)
	l, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return l, ctx
}

// NeedPeer skips the test, naming what is missing, if look finds a program of
// the distribution missing; it fails instead where peers are required: CI=true
// or BACKBEAT_REQUIRE_PEERS=1.
func NeedPeer(t testing.TB, look func() (string, error)) {
	t.Helper()
	_, err := look()
	if err == nil {
		return
	}
	if os.Getenv("CI") == "true" || os.Getenv("BACKBEAT_REQUIRE_PEERS") == "1" {
		t.Fatal(err)
	}
	t.Skip(err)
}
