package netns

import (
	"slices"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// conformance: I3, B1, W23
func TestStartMakesExactlyOneActive(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web()))
	began := lab.Now()
	s.start(s.r1, s.r2)
	s.active("r1")
	first := s.firstAdvert("r1", began)
	t.Logf("first advert %s after the start (Active_Down_Interval of priority 150 is %s)", first.At-began, 3*interval+interval*106/256)
	if first.At-began < 3*interval+interval*106/256 {
		t.Error("it did not wait for its Active_Down_Interval")
	}
	s.rest(interval)
	rest := lab.Now()
	s.rest(10 * interval)
	s.only("r1")
	if got := s.sniffer.Adverts(rest, "r2"); len(got) > 0 {
		t.Errorf("a Backup sent %d adverts", len(got))
	}
	if r2 := s.router("r2"); r2.State != "backup" || r2.Active == nil || r2.Active.Address != "10.77.0.1" {
		t.Errorf("r2 is %s and thinks that the Active is %+v", r2.State, r2.Active)
	}
}

// conformance: B2, B16
func TestKillIsTakenOver(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web()))
	fault := lab.Now()
	s.r1.Kill()
	s.active("r2")
	r := s.takeover(fault, down)
	if r.Silence > s.slack(fault) {
		t.Errorf("the kernel of the dead host should have answered until the takeover; the client heard nothing for %s", r.Silence)
	}
	var frames []lab.Frame
	arp, na := -1, -1
	s.until("both announcements of r2", func() bool { // the sniffer may be behind the client
		frames = s.sniffer.Frames(fault, func(f *lab.Frame) bool {
			return f.Host == "r2" && (f.Advert != nil || announced(f, vip4) || announced(f, vip6))
		})
		arp = slices.IndexFunc(frames, func(f lab.Frame) bool { return f.ARP != nil })
		na = slices.IndexFunc(frames, func(f lab.Frame) bool { return f.Neighbour != nil })
		return arp >= 0 && na >= 0
	})
	if frames[0].Advert == nil {
		t.Error("it announced the addresses before it advertised")
	}
	if a := frames[arp].ARP; a.Op != 1 || a.SenderMAC.String() != s.Host("r2").MAC(0).String() || frames[arp].DstMAC.String() != "ff:ff:ff:ff:ff:ff" {
		t.Errorf("gratuitous ARP: %+v to %s", a, frames[arp].DstMAC)
	}
	if n := frames[na].Neighbour; !n.Override || !n.Router || n.Solicited || n.MAC.String() != s.Host("r2").MAC(0).String() {
		t.Errorf("Neighbor Advertisement: %+v", n)
	}
	t.Logf("advert, then ARP after %s, NA after %s", frames[arp].At-frames[0].At, frames[na].At-frames[0].At)
}

// conformance: L4
func TestRestartAfterKillRemovesWhatWasLeft(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web()))
	s.r1.Kill()
	s.active("r2")
	if !s.Host("r1").Has(vip4) {
		t.Fatal("nothing was left behind: this test shows nothing")
	}
	again := lab.Now()
	s.start(s.r1)
	s.until("the addresses to leave r1", func() bool { return !s.Host("r1").Has(vip4) && !s.Host("r1").Has(vip6) })
	if state := s.r1.State(s.ctx, "web"); state == "active" {
		t.Error("the addresses left only with the next election")
	}
	s.only("r2")
	s.active("r1")
	s.gone("r2")
	s.only("r1")
	if r := s.probe.Since(again); r.Silence > s.slack(again) {
		t.Errorf("the hand-back cost the client %s", r.Silence)
	} else {
		t.Log("hand-back:", r)
	}
}

// conformance: L8
func TestLinkCut(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web()))
	fault := lab.Now()
	s.must(s.Host("r1").Cut())
	s.state("r1", "initialize")
	noticed := lab.Now() - fault
	s.gone("r1")
	t.Logf("r1 was in Initialize after %s, its addresses off after %s", noticed, lab.Now()-fault)
	if noticed > s.slack(fault) {
		t.Errorf("it took %s to act on the lost carrier", noticed)
	}
	r1 := s.router("r1")
	if r1.Fault == "" || r1.Cause != "interface-down" {
		t.Errorf("fault %q, cause %q", r1.Fault, r1.Cause)
	}
	s.active("r2")
	s.takeover(fault, down)
	s.only("r2")
	s.must(s.Host("r1").Heal())
	s.active("r1")
	s.gone("r2")
	s.rest(3 * interval)
	s.only("r1")
}

// TestLose is a switch that swallows every frame: there is no carrier event, so
// both are Active until they hear each other again.
func TestLose(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web()))
	fault := lab.Now()
	s.must(s.Host("r1").Lose())
	s.active("r2")
	s.takeover(fault, down)
	s.state("r1", "active")
	healed := lab.Now()
	s.must(s.Host("r1").Unlose())
	s.state("r2", "backup")
	t.Logf("r2 stepped down %s after they could hear each other", lab.Now()-healed)
	s.gone("r2")
	s.active("r1")
	s.rest(3 * interval)
	s.only("r1")
	if r := s.probe.Between(healed, lab.Now()); !r.Answered {
		t.Errorf("the client was not led back: %s", r)
	}
}

// TestDeafBackup hears nothing and takes over, wrongly but by the protocol; as
// soon as it hears again it yields to the better one.
func TestDeafBackup(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web()))
	s.must(s.Host("r2").Deafen())
	s.state("r2", "active")
	s.must(s.Host("r2").Undeafen())
	s.state("r2", "backup")
	s.gone("r2")
	s.rest(2 * interval)
	s.only("r1")
	s.active("r1")
}

// conformance: A10, A11, T9
func TestStopCostsNothing(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web()))
	fault := lab.Now()
	s.must(s.r1.Stop(s.ctx))
	s.active("r2")
	r := s.takeover(fault, skew)
	if allowed := 100*time.Millisecond + s.slack(fault) - margin; r.Silence > allowed {
		t.Errorf("the client heard nothing for %s", r.Silence)
	}
	s.only("r2")
	s.rest(2 * interval)
	adverts := s.sniffer.Adverts(fault, "r1")
	if s.zeros(fault, "r1") != 1 {
		t.Errorf("it sent %d adverts of priority 0, want one", s.zeros(fault, "r1"))
	}
	if last := adverts[len(adverts)-1]; last.Advert.Priority != 0 {
		t.Errorf("it went on after its farewell, with priority %d", last.Advert.Priority)
	}
	if zero := adverts[len(adverts)-1]; zero.Advert.VRID != 61 || len(zero.Advert.Addresses) != 1 || zero.Advert.Addresses[0] != vip4 {
		t.Errorf("the farewell is %+v", zero.Advert)
	}
}

// conformance: A10
func TestStopOfTheOnlyRouterLeavesAnyway(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web()))
	s.start(s.r1)
	s.active("r1")
	fault := lab.Now()
	s.must(s.r1.Stop(s.ctx))
	if took := lab.Now() - fault; took > interval+s.slack(fault) {
		t.Errorf("it took %s", took)
	}
	if s.Host("r1").Has(vip4) || s.Host("r1").Has(vip6) {
		t.Error("it left its addresses behind")
	}
	if n := s.zeros(fault, "r1"); n != 1 {
		t.Errorf("it sent %d adverts of priority 0, want one", n)
	}
}

// conformance: B8
func TestStopOfABackupIsSilent(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web()))
	stop := lab.Now()
	s.must(s.r2.Stop(s.ctx))
	s.rest(2 * interval)
	if got := s.sniffer.Adverts(stop, "r2"); len(got) > 0 {
		t.Errorf("it sent %d adverts", len(got))
	}
	s.only("r1")
}

// conformance: B5, B6
func TestPreemptOff(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web("preempt = false")))
	s.start(s.r2)
	s.active("r2")
	s.start(s.r1)
	s.state("r1", "backup")
	s.rest(2 * down)
	if got := s.sniffer.Adverts(0, "r1"); len(got) > 0 {
		t.Errorf("r1 must not preempt, but sent %d adverts", len(got))
	}
	s.only("r2")
	fault := lab.Now()
	s.r2.Kill()
	s.active("r1")
	s.takeover(fault, 3*interval+interval*106/256)
}

// Both are Active when the link between them comes back: the one with the higher
// address, r2, stays. A Backup, by contrast, leaves an equal one alone.
//
// conformance: A3, A14, B3
func TestEqualPrioritiesAreDecidedByAddress(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web("priority = 100")))
	s.start(s.r1)
	s.active("r1")
	s.start(s.r2)
	s.state("r2", "backup")
	s.rest(2 * down)
	s.only("r1")
	s.must(s.Host("r1").Lose())
	s.active("r2")
	s.state("r1", "active")
	s.must(s.Host("r1").Unlose())
	s.state("r1", "backup")
	s.gone("r1")
	s.rest(2 * interval)
	s.only("r2")
	s.active("r2")
	if cause := s.router("r1").Cause; cause != "higher-address" {
		t.Errorf("the cause is %q", cause)
	}
}

// conformance: B20
func TestPreemptDelay(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web(`preempt_delay = "1500ms"`)))
	s.start(s.r2)
	s.active("r2")
	began := lab.Now()
	s.start(s.r1)
	s.active("r1")
	first := s.firstAdvert("r1", began)
	if wait := first.At - began; wait < 1500*time.Millisecond || wait > 1500*time.Millisecond+down+s.slack(began) {
		t.Errorf("it preempted after %s", wait)
	}
	if cause := s.router("r1").Cause; cause != "preempt-hold-timeout" {
		t.Errorf("the cause is %q", cause)
	}
	s.gone("r2")
}

// conformance: W8, L9, H3
func TestIPv6Election(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web6()))
	six, err := s.Host("client").Probe(lab.ProbeSpec{Target: vip6, Interval: time.Millisecond})
	s.must(err)
	s.until("r1 to answer over IPv6", func() bool { return six.Answerer() == "r1" })
	fault := lab.Now()
	s.r1.Kill()
	s.active("r2")
	s.takeover(fault, down)
	s.until("r2 to answer over IPv6", func() bool { return six.Answerer() == "r2" })
	if r := six.Since(fault); r.Takeover > down+s.slack(fault) {
		t.Errorf("IPv6: %s", r)
	}
	advert := s.firstAdvert("r2", fault)
	if advert.Src != s.Host("r2").LinkLocal(0) || advert.Dst.String() != "ff02::12" || advert.DstMAC.String() != "33:33:00:00:00:12" {
		t.Errorf("advert from %s to %s (%s)", advert.Src, advert.Dst, advert.DstMAC)
	}
	for _, a := range []string{"fe80::61", "fd77::100"} {
		answers := s.sniffer.Frames(fault, func(f *lab.Frame) bool {
			return f.Host == "r2" && f.Neighbour != nil && f.Neighbour.Target.String() == a
		})
		if len(answers) == 0 || answers[0].At-advert.At > s.slack(fault) {
			t.Errorf("%s was not announced with the takeover", a)
		}
	}
	fault = lab.Now()
	s.start(s.r1)
	s.active("r1")
	s.gone("r2")
	s.only("r1")
	s.must(s.r1.Stop(s.ctx))
	s.active("r2")
	s.only("r2")
	if r := six.Since(fault); r.Silence > s.slack(fault) {
		t.Errorf("hand-back and stop cost the IPv6 client %s", r.Silence)
	}
}
