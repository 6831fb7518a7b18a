package netns

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// TestStolenAddressIsBack removes each address as somebody else would.
func TestStolenAddressIsBack(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web()))
	h := s.Host("r1")
	for _, text := range []string{"10.77.0.100/24", "fd77::100/64"} {
		p := netip.MustParsePrefix(text)
		stolen := lab.Now()
		s.must(h.DelAddr(p))
		s.until(text+" to be back", func() bool { return h.Has(p.Addr()) })
		took := lab.Now() - stolen
		t.Logf("%s was back after %s", text, took)
		if took > 100*time.Millisecond+s.slack(stolen) {
			t.Errorf("%s was back after %s", text, took)
		}
		s.until("the restoration to be counted", func() bool {
			for _, a := range s.router("r1").Addresses {
				if a.Address == text {
					return a.Restored == 1 && a.Present
				}
			}
			return false
		})
	}
	s.logged(s.r1, "10.77.0.100/24")
	s.logged(s.r1, "removed")
	if r1 := s.router("r1"); r1.State != "active" {
		t.Errorf("r1 is %s", r1.State)
	}
	s.only("r1")
}

// conformance: I4, L7
func TestMissingInterfaceIsAStateNotAnError(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web()))
	s.must(s.Host("r1").Unplug())
	s.start(s.r1)
	s.until("r1 to say what is missing", func() bool { return s.router("r1").Fault == "interface-missing" })
	if r := s.router("r1"); r.State != "initialize" || !strings.Contains(r.FaultDetail, "eth0") {
		t.Errorf("r1 is %s: %q", r.State, r.FaultDetail)
	}
	s.must(s.Host("r1").Replug())
	s.active("r1")
	s.must(s.Host("r1").Unplug())
	s.state("r1", "initialize")
	s.must(s.Host("r1").Replug())
	s.active("r1")
	s.only("r1")
}

// conformance: I4, L8
func TestAdministrativelyDown(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web()))
	fault := lab.Now()
	s.must(s.Host("r1").Down())
	s.state("r1", "initialize")
	s.active("r2")
	s.takeover(fault, down)
	if d := s.router("r1").FaultDetail; !strings.Contains(d, "down") {
		t.Errorf("the fault's detail is %q", d)
	}
	s.must(s.Host("r1").Up())
	s.active("r1")
	s.gone("r2")
	s.only("r1")
}

// conformance: I5
func TestInterfaceWithoutAnAddress(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web()))
	own := s.Host("r1").Addr4(0)
	s.must(s.Host("r1").DelAddr(own))
	s.start(s.r1)
	s.until("r1 to say what is missing", func() bool { return s.router("r1").Fault == "no-primary-ip-address" })
	if state := s.r1.State(s.ctx, "web"); state != "initialize" {
		t.Errorf("r1 is %s", state)
	}
	s.must(s.Host("r1").AddAddr(own))
	s.active("r1")
}

// An address that was there before us belongs to somebody else: it is used and left alone.
func TestForeignAddressIsLeftAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web()))
	foreign := netip.MustParsePrefix("10.77.0.100/24")
	s.must(s.Host("r1").AddAddr(foreign))
	s.start(s.r1)
	s.active("r1")
	s.must(s.r1.Stop(s.ctx))
	if !s.Host("r1").Has(foreign.Addr()) {
		t.Error("it removed an address that it had not put there")
	}
	if s.Host("r1").Has(vip6) {
		t.Error("it left its own address behind")
	}
}

// conformance: L6
func TestNeighbouringAddressesDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	two := routerBlock("web", 61, `addresses = ["10.77.0.100/24", "fd77::100/64", "10.77.0.101/24"]`)
	s := newScene(t, config(two))
	s.start(s.r1)
	s.active("r1")
	s.must(s.r1.Configure(config(web())))
	s.r1.Hangup()
	s.until("10.77.0.101 to go", func() bool { return !s.Host("r1").Has(netip.MustParseAddr("10.77.0.101")) })
	s.rest(interval)
	if !s.Host("r1").Has(vip4) || !s.Host("r1").Has(s.Host("r1").Addr4(0).Addr()) {
		t.Error("another address of the same network went with it")
	}
	s.active("r1")
}
