package announce

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// claimed returns the next Claimed. Until then the frames are sent again and
// again: nobody says when the watch has begun.
func claimed(t *testing.T, posted <-chan any, c *packet.Conn, frames ...[]byte) actions.Claimed {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(patience)
	for {
		select {
		case v := <-posted:
			if found, ok := v.(actions.Claimed); ok {
				return found
			}
		case <-again.C:
			for _, b := range frames {
				send(t, c, b)
			}
		case <-deadline:
			t.Fatal("no Claimed")
		}
	}
}

func send(t *testing.T, c *packet.Conn, b []byte) {
	t.Helper()
	if _, err := c.WriteTo(b, &packet.Addr{HardwareAddr: b[:6]}); err != nil {
		t.Fatal(err)
	}
}

func TestOthersAreNoticed(t *testing.T) {
	link, ns := pair(t, "n0", "f0")
	far := capture(t, ns, "f0")
	a, posted := run(t)
	a.Announce(actions.Announcement{Router: 4, Term: 9, Schedule: actions.AnnounceSpec{Refresh: time.Hour},
		Targets: []actions.AnnounceTarget{{Link: link, MAC: ownMAC, Addresses: addresses("192.0.2.1", "2001:db8::1")}}})
	announced(t, posted)
	// Neither our own frame, sent back, nor a probe nor a VLAN's frame is a claim.
	arp := built(t, "192.0.2.1", otherMAC)
	tagged := append(append(append([]byte{}, arp[:12]...), 0x81, 0, 0, 5), arp[12:]...)
	got := claimed(t, posted, far, built(t, "192.0.2.1", ownMAC), built(t, "2001:db8::1", ownMAC),
		changed(arp, 28, 0, 0, 0, 0), tagged, built(t, "192.0.2.2", otherMAC), built(t, "2001:db8::1", otherMAC))
	want := actions.Claimed{Router: 4, Term: 9, Link: link, Address: netip.MustParseAddr("2001:db8::1"), MAC: otherMAC, Source: otherMAC}
	if got != want {
		t.Errorf("told %+v, want %+v", got, want)
	}
	got = claimed(t, posted, far, changed(arp, 6, ownMAC[:]...))
	want.Address, want.Source = netip.MustParseAddr("192.0.2.1"), ownMAC
	if got != want {
		t.Errorf("told %+v, want %+v", got, want)
	}
	if s := a.Stats(); s.Claims < 2 || s.Unwatched != 0 {
		t.Errorf("stats %+v", s)
	}
}

// A flood is counted, not told.
func TestAFloodIsNotPassedOn(t *testing.T) {
	link, ns := pair(t, "n0", "f0")
	far := capture(t, ns, "f0")
	a, posted := run(t)
	a.Announce(actions.Announcement{Router: 1, Schedule: actions.AnnounceSpec{Refresh: time.Hour}, Targets: on(link, addresses("192.0.2.1")...)})
	announced(t, posted)
	flood := built(t, "192.0.2.1", otherMAC)
	claimed(t, posted, far, flood)
	began := time.Now()
	for deadline := time.After(patience); a.Stats().Claims < 1000; {
		select {
		case <-deadline:
			t.Fatalf("stats %+v", a.Stats())
		default:
			send(t, far, flood)
		}
	}
	if told, most := len(posted), int(time.Since(began)/claimPause)+1; told > most {
		t.Errorf("told %d times, at most %d", told, most)
	}
}

// The watch survives a link that is down for a while.
func TestWatchingGoesOnAfterTheLinkWasDown(t *testing.T) {
	link, ns := pair(t, "n0", "f0")
	far := capture(t, ns, "f0")
	a, posted := run(t)
	a.Announce(actions.Announcement{Router: 1, Schedule: actions.AnnounceSpec{Refresh: time.Hour}, Targets: on(link, addresses("192.0.2.1", "192.0.2.2")...)})
	announced(t, posted)
	claimed(t, posted, far, built(t, "192.0.2.1", otherMAC))
	lab.IP(t, "link", "set", "n0", "down")
	lab.IP(t, "link", "set", "n0", "up")
	lab.AwaitCarrier(t, "n0")
	if got := claimed(t, posted, far, built(t, "192.0.2.2", otherMAC)); got.Address != netip.MustParseAddr("192.0.2.2") {
		t.Errorf("told %+v", got)
	}
}

// Sockets are there as long as anything is announced, and no longer.
func TestSocketsAreClosed(t *testing.T) {
	link, ns := pair(t, "n0", "f0")
	far := capture(t, ns, "f0")
	a, posted := run(t)
	before := descriptors(t)
	w := actions.Announcement{Router: 1, Schedule: actions.AnnounceSpec{Refresh: time.Hour}, Targets: on(link, addresses("192.0.2.1")...)}
	for range 3 {
		a.Announce(w)
		announced(t, posted)
		claimed(t, posted, far, built(t, "192.0.2.1", otherMAC))
		if n := descriptors(t); n <= before {
			t.Errorf("%d descriptors while announcing, %d before", n, before)
		}
		a.Cancel(1)
		await(t, "the sockets are closed", func() bool { return descriptors(t) <= before })
		for len(posted) > 0 { // claims told before the cancellation
			<-posted
		}
	}
	// Opened and closed in one breath.
	for range 20 {
		a.Announce(w)
		a.Cancel(1)
	}
	w.Once = true
	a.Announce(w)
	announced(t, posted)
	await(t, "the sockets are closed", func() bool { return descriptors(t) <= before })
}

// A link that is no Ethernet is announced on, for what it is worth, but not read.
func TestOtherLinksAreNotWatched(t *testing.T) {
	lab.Need(t)
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	one := &watch{link: lo.Attrs().Index}
	conn, err := one.start()
	if err != nil || conn != nil {
		t.Errorf("a watch on the loopback: %v, %v", conn, err)
	}
	one.close()
	gone := &watch{link: 1 << 20}
	var counted Stats
	gone.read(newClaims(), func(h heard) { counted = h.Stats })
	if counted != (Stats{Unwatched: 1}) {
		t.Errorf("counted %+v", counted)
	}
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
