package advertise

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/test/lab"
)

func run(t *testing.T) *Advertiser {
	t.Helper()
	a := New()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run did not end")
		}
	})
	return a
}

// host makes the far end an ordinary host: it takes router advertisements up,
// and asks for none by itself.
func host(t *testing.T) (int, netns.NsHandle, *packet.Conn) {
	t.Helper()
	link, ns := pair(t, "n0", "f0")
	var c *packet.Conn
	in(t, ns, func() {
		for name, value := range map[string]string{"accept_ra": "2", "autoconf": "1", "router_solicitations": "0", "accept_ra_rtr_pref": "1"} {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/f0/"+name, []byte(value), 0o644); err != nil {
				t.Errorf("setting %s: %v", name, err)
			}
		}
		ifi, err := net.InterfaceByName("f0")
		if err == nil {
			c, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, nil)
		}
		if err != nil {
			t.Errorf("capturing: %v", err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() { c.Close() })
	return link, ns, c
}

// advertised returns the next advertisement from the virtual MAC, or nil if
// there is none within a time.
func advertised(t *testing.T, c *packet.Conn, within time.Duration) []byte {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2048)
	for {
		n, _, err := c.ReadFrom(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if n > ethernetSize && [6]byte(b[6:12]) == virtualMAC {
			return b[:n]
		}
	}
}

func ask(t *testing.T, c *packet.Conn) {
	t.Helper()
	b := asking(t, "fe80::7", &ndp.LinkLayerAddress{Direction: ndp.Source, Addr: hostMAC})
	if _, err := c.WriteTo(b, &packet.Addr{HardwareAddr: allRoutersMAC}); err != nil {
		t.Fatal(err)
	}
}

// What it is all for: a host gets its default route by the virtual link-local
// address and an address of its own.
func TestAHostTakesItUp(t *testing.T) {
	link, ns, c := host(t)
	a := run(t)
	a.Advertise(request(link))
	b := advertised(t, c, patience)
	if b == nil {
		t.Fatal("no advertisement")
	}
	decode(t, b)
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	far, err := h.LinkByName("f0")
	if err != nil {
		t.Fatal(err)
	}
	await(t, "a default route", func() bool {
		routes, err := h.RouteList(far, netlink.FAMILY_V6)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range routes {
			if (r.Dst == nil || r.Dst.IP.IsUnspecified()) && r.Gw.String() == "fe80::1:1" {
				return true
			}
		}
		return false
	})
	await(t, "an address", func() bool {
		list, err := h.AddrList(far, netlink.FAMILY_V6)
		if err != nil {
			t.Fatal(err)
		}
		prefix := netip.MustParsePrefix("2001:db8:1::/64")
		for _, one := range list {
			if ip, ok := netip.AddrFromSlice(one.IP); ok && prefix.Contains(ip) {
				return true
			}
		}
		return false
	})
	await(t, "it is counted", func() bool {
		got := a.Stats()
		// More than one, if the host has only just come up and missed the first.
		return got.Sent > 0 && got == Stats{Sent: got.Sent}
	})
}

func TestSolicitedAndWithdrawn(t *testing.T) {
	link, _, c := host(t)
	a := run(t)
	w := request(link)
	w.Spec.Interval = 1800 * time.Second
	a.Advertise(w)
	if advertised(t, c, patience) == nil {
		t.Fatal("no advertisement")
	}
	began := time.Now()
	await(t, "a solicitation heard", func() bool {
		ask(t, c)
		return a.Stats().Solicited > 0
	})
	// The next initial one would come after 16 s.
	if advertised(t, c, patience) == nil {
		t.Fatal("no answer")
	}
	if took := time.Since(began); took < betweenAdverts-100*time.Millisecond {
		t.Errorf("answered %v after the first one", took)
	}
	await(t, "it is counted", func() bool {
		s := a.Stats()
		return s.Sent == 2 && s.Answered == 1 && s.Errors == 0
	})
	ask(t, c)
	a.Withdraw(1)
	ask(t, c)
	if b := advertised(t, c, betweenAdverts+answerDelay+200*time.Millisecond); b != nil {
		t.Errorf("after the withdrawal: %x", b)
	}
	await(t, "the group is left", func() bool { return !member(t) })
}

// member reports whether this host receives frames to all routers on n0.
func member(t *testing.T) bool {
	t.Helper()
	out := lab.IP(t, "maddress", "show", "dev", "n0")
	return strings.Contains(out, "33:33:00:00:00:02") || strings.Contains(out, "ff02::2\n")
}

// Sockets and memberships are there as long as anything is advertised on the
// link, shared by its routers.
func TestSocketsAreShared(t *testing.T) {
	link, _, c := host(t)
	a := run(t)
	before := descriptors(t)
	const routers = 50
	for i := range routers {
		w := request(link)
		w.Router = actions.RouterID(i)
		a.Advertise(w)
	}
	for range routers {
		if advertised(t, c, patience) == nil {
			t.Fatal("no advertisement")
		}
	}
	await(t, "the group is joined", func() bool { return member(t) && descriptors(t) == before+3 })
	for i := range routers {
		a.Withdraw(actions.RouterID(i))
	}
	await(t, "the sockets are closed", func() bool { return !member(t) && descriptors(t) == before })
}

func TestErrorsAreCounted(t *testing.T) {
	link, _, c := host(t)
	a := run(t)
	w := request(link)
	w.Source = netip.MustParseAddr("2001:db8::1")
	a.Advertise(w)
	await(t, "an error", func() bool { return strings.Contains(a.Stats().LastError, "link-local") })
	w = request(link)
	w.Spec.On = false
	a.Advertise(w)
	w = request(1 << 20)
	w.Router = 2
	a.Advertise(w)
	await(t, "an error", func() bool { return strings.Contains(a.Stats().LastError, "the interface is gone") })
	lab.IP(t, "link", "set", "n0", "down")
	a.Advertise(request(link))
	await(t, "an error", func() bool { return strings.Contains(a.Stats().LastError, "the link is down") })
	lab.IP(t, "link", "set", "n0", "up")
	lab.AwaitCarrier(t, "n0")
	// It is tried again, and solicitations are still heard.
	_ = c.SetReadDeadline(time.Time{})
	await(t, "an advertisement", func() bool { return a.Stats().Sent > 0 })
	await(t, "a solicitation heard", func() bool {
		b := asking(t, "fe80::7")
		_, _ = c.WriteTo(b, &packet.Addr{HardwareAddr: allRoutersMAC}) // the first tells that the link was down
		return a.Stats().Solicited > 0
	})
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
