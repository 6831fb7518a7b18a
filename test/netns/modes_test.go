package netns

import (
	"net/netip"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// A carrier that is back within link_down_delay was never lost: no transition, no
// address moved. Without the delay the same makes a failover (TestLinkCut).
func TestShortLossOfCarrierIsBridged(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web(`link_down_delay = "3500ms"`, `interval = "2s"`)))
	before := s.router("r1")
	s.must(s.Host("r1").Cut())
	s.until("the lost carrier to be noticed", func() bool {
		page, err := s.r1.Status(s.ctx)
		return err == nil && !page.Links[0].Up
	})
	s.must(s.Host("r1").Heal())
	back := lab.Now()
	s.until("an advert after it", func() bool { return len(s.sniffer.Adverts(back, "r1")) > 1 })
	if now := s.router("r1"); now.State != "active" || now.Term != before.Term {
		t.Errorf("r1 is %s in term %d, was in term %d: %s", now.State, now.Term, before.Term, now.Reason)
	}
	if got := s.sniffer.Adverts(0, "r2"); len(got) > 0 {
		t.Errorf("r2 sent %d adverts", len(got))
	}
	s.only("r1")
}

// Both families elect, each for its own addresses, and go together.
func TestElectionOfBothFamilies(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(routerBlock("web", 61, `election = "both"`, `addresses = ["10.77.0.100/24", "fe80::61/64", "fd77::100/64"]`)))
	holds := func(name string) func() bool {
		return func() bool { return s.Host(name).Has(vip4) && s.Host(name).Has(vip6) && s.probe.Answerer() == name }
	}
	s.start(s.r1, s.r2)
	s.until("r1 to hold both", holds("r1"))
	s.rest(2 * interval)
	families := map[bool]int{}
	for _, f := range s.sniffer.Adverts(0, "r1") {
		families[f.Src.Is4()]++
		for _, a := range f.Advert.Addresses {
			if a.Is4() != f.Src.Is4() {
				t.Errorf("an advert from %s names %s", f.Src, a)
			}
		}
	}
	if families[true] == 0 || families[false] == 0 {
		t.Errorf("adverts over IPv4 %d, over IPv6 %d", families[true], families[false])
	}
	fault := lab.Now()
	s.r1.Kill()
	s.until("r2 to hold both", holds("r2"))
	s.takeover(fault, down)
}

// Another multicast group: adverts go to it and to no other, and are heard there.
func TestAnotherMulticastGroup(t *testing.T) {
	t.Parallel()
	group := netip.MustParseAddr("239.0.0.18")
	s := newPair(t, config(web(`multicast_group = "239.0.0.18"`)))
	s.rest(2 * down)
	if got := s.sniffer.Adverts(0, "r2"); len(got) > 0 {
		t.Errorf("the Backup sent %d adverts", len(got))
	}
	fault := lab.Now()
	s.r1.Kill()
	s.active("r2")
	s.takeover(fault, down)
	for _, f := range s.sniffer.Adverts(0, "") {
		if f.Dst != group || f.DstMAC.String() != "01:00:5e:00:00:12" {
			t.Fatalf("an advert went to %s (%s)", f.Dst, f.DstMAC)
		}
	}
}

// settle keeps a host that has just come up from taking part.
func TestSettle(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web(`settle = "1s"`)))
	began := lab.Now()
	s.start(s.r1)
	s.active("r1")
	first := s.firstAdvert("r1", began).At - began
	if least := time.Second + 3*interval; first < least {
		t.Errorf("Active %s after the start, want %s at least", first, least)
	}
}
