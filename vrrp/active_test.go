package vrrp_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// A: Active.

// "else: Discard the ADVERTISEMENT … and send an ADVERTISEMENT immediately", to
// assert the role and to re-teach the bridges. RFC 9568 6.4.3
func TestA1_AnswersALowerOneAtOnce(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := promoted(t, spec())
		g.wait(300 * ms)
		g.want(g.recv(g.peer(), 50, s), "tell lower-priority-active; send 100; announce again")
		g.state(vrrp.Active)
		if g.r.Deadline() != g.now+s {
			t.Errorf("next advert after %v, want a full interval", g.r.Deadline()-g.now)
		}
		g.counts("lower-discarded", g.r.View().Counters.LowerDiscarded, 1)
	})
}

// Equal priority and a lower address is a losing advertisement too. RFC 9568 6.4.3
func TestA2_EqualPriorityLowerAddress(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := promoted(t, spec())
		g.want(g.recv(g.low(), 100, s), "tell lower-priority-active; send 100; announce again")
		g.state(vrrp.Active)
	})
}

// "Priority … equal to the local Priority and the primary IPvX address of the
// sender is greater": Backup, with the timer from that advert. RFC 9568 6.4.3
func TestA3_EqualPriorityHigherAddress(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := promoted(t, spec())
		g.want(g.recv(g.peer(), 100, 400*ms), "tell interval-mismatch; send 100; active>backup higher-address; release")
		g.took(g.until(vrrp.Active), 1443750*time.Microsecond)

		g = promoted(t, spec(noFarewell)) // to the letter
		g.want(g.recv(g.peer(), 100, s), "active>backup higher-address; release")
		if fx := g.wait(3 * s); len(fx) != 0 {
			t.Errorf("not silent: %s", brief(plain(fx)))
		}
	})
}

// Priority beats address. RFC 9568 6.4.3
func TestA4_HigherPriorityLowerAddress(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := promoted(t, spec())
		g.want(g.recv(g.low(), 101, s), "send 100; active>backup higher-priority; release")
	})
}

// And the other way round. RFC 9568 6.4.3
func TestA5_LowerPriorityHigherAddress(t *testing.T) {
	g := promoted(t, spec4())
	g.want(g.recv(netip.MustParseAddr("10.0.0.250"), 99, s), "tell lower-priority-active; send 100; announce again")
	g.state(vrrp.Active)
}

// Addresses are compared "as unsigned integers in network byte order". RFC 9568 6.4.3
func TestA6_TieIsUnsigned(t *testing.T) {
	for src, want := range map[string]vrrp.State{
		"200.0.0.1": vrrp.Backup, "128.0.0.0": vrrp.Backup, "10.0.0.2": vrrp.Backup, "10.0.1.0": vrrp.Backup,
		"10.0.0.0": vrrp.Active, "9.255.255.255": vrrp.Active, "1.0.0.200": vrrp.Active,
	} {
		g := promoted(t, spec4())
		g.recv(netip.MustParseAddr(src), 100, s)
		if g.r.State() != want {
			t.Errorf("tie of 10.0.0.1 with %s: %v, want %v", src, g.r.State(), want)
		}
	}
}

// All 128 bits count for IPv6. RFC 9568 6.4.3
func TestA7_TieIPv6(t *testing.T) {
	for src, want := range map[string]vrrp.State{
		"fe80::1:0:0:1": vrrp.Backup, "fe80::ff:fe00:2": vrrp.Backup, "fe80::ffff:0:0": vrrp.Backup, "fe80:8000::": vrrp.Backup,
		"fe80::1": vrrp.Active, "fe80::ff:fe00:0": vrrp.Active, "fe80::fe:ffff:ffff": vrrp.Active,
	} {
		g := promoted(t, spec6())
		g.recv(netip.MustParseAddr(src), 100, s)
		if g.r.State() != want {
			t.Errorf("tie of %v with %s: %v, want %v", self6, src, g.r.State(), want)
		}
	}
}

// "If the Priority in the ADVERTISEMENT is 0: Send an ADVERTISEMENT, reset the
// Adver_Timer to Advertisement_Interval." RFC 9568 6.4.3
func TestA8_AnswersPriorityZero(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := promoted(t, spec())
		g.wait(700 * ms)
		g.want(g.recv(g.peer(), 0, s), "send 100")
		if at, _ := adverts(g.wait(s)); len(at) != 1 || at[0] != g.now {
			t.Errorf("the next one at %v, want after exactly 1s", at)
		}
		g.counts("priority-zero-pkts-rcvd", g.r.View().Counters.PriorityZeroRcvd, 1)
	})
}

// That is a MUST, also right after an answer to a losing advertisement: a false
// Active that we corrected says priority 0 as it leaves, and every Backup that
// hears it promotes itself within its skew unless it hears us. RFC 9568 6.4.3
//
// conformance: A8
func TestPriorityZeroIsAnsweredRightAfterAnotherAnswer(t *testing.T) {
	g := promoted(t, spec4())
	g.recv(peer4, 50, s)
	g.now += 20 * ms
	g.want(g.recv(peer4, 0, s), "send 100")
	if g.r.Deadline() != g.now+s {
		t.Errorf("Adver_Timer was not reset: next advert after %v", g.r.Deadline()-g.now)
	}
}

// Priority 0 is not compared. RFC 9568 6.4.3
func TestA9_PriorityZeroFromAHigherAddress(t *testing.T) {
	g := promoted(t, spec4(priority(1)))
	g.recv(netip.MustParseAddr("200.0.0.1"), 0, s)
	g.state(vrrp.Active)
}

// "If a Shutdown event is received: cancel the Adver_Timer, send an ADVERTISEMENT
// with Priority = 0, transition to Initialize." RFC 9568 6.4.3
//
// conformance: S7
func TestA10_ExactlyOneFarewell(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := promoted(t, spec())
		g.want(g.step(vrrp.Shutdown{Cause: vrrp.CauseShutdown}), "send 0; active>initialize shutdown; release")
		g.want(g.step(vrrp.Shutdown{Cause: vrrp.CauseShutdown}), "")
		g.want(g.linkUp(), "") // stopped is for good
		g.want(g.recv(g.peer(), 50, s), "")
		if fx := g.wait(time.Minute); len(fx) != 0 {
			t.Errorf("not silent afterwards: %s", brief(plain(fx)))
		}
		if !g.r.Stopped() {
			t.Error("not stopped")
		}
		g.counts("priority-zero-pkts-sent", g.r.View().Counters.PriorityZeroSent, 1)
		// The farewell is the same advertisement but for its priority.
		sp := spec()
		if a := g.r.Advert(vrrp.PriorityStop); a.Priority != 0 || a.VRID != sp.VRID || a.Interval != sp.Interval || len(a.Addresses) != len(sp.Addresses) {
			t.Errorf("the farewell is %+v", a)
		}
	})
}

// Every way to stop on purpose says goodbye before the addresses go. RFC 9568 6.4.3
func TestA11_FarewellBeforeRelease(t *testing.T) {
	for _, cause := range []vrrp.Cause{vrrp.CauseShutdown, vrrp.CauseRemoved} {
		g := promoted(t, spec4())
		g.want(g.step(vrrp.Shutdown{Cause: cause, Detail: "x"}), "send 0; active>initialize "+cause.String()+"; release")
	}
	for _, cause := range []vrrp.Cause{vrrp.CauseShutdown, vrrp.CauseRemoved} {
		g := promoted(t, spec4())
		g.want(g.step(vrrp.Shutdown{Yield: true, Cause: cause}), "send 0; tell yielding")
		if n := len(g.wait(900 * ms)); n != 0 {
			t.Errorf("%d effects while waiting", n)
		}
		g.want(plain(g.wait(200*ms)), "active>initialize nobody-took-over; release")
	}
}

// Preempt_Mode is not consulted in Active. RFC 9568 6.4.3
func TestA12_PreemptModeHasNoSayInActive(t *testing.T) {
	for _, change := range []func(*vrrp.Spec){noPreempt, holdTime(time.Minute)} {
		g := promoted(t, spec4(change))
		g.want(g.recv(peer4, 150, s), "send 100; active>backup higher-priority; release")
	}
}

// An Active that yields to a better one sends nothing and lets go at once. RFC 9568 6.4.3, 6.4.2
func TestA13_SteppingDownSaysNothing(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		for _, p := range []uint8{100, 101, 255} {
			g := promoted(t, spec(noFarewell))
			fx := g.recv(g.peer(), p, s)
			if contains(fx, vrrp.Send) || contains(fx, vrrp.Announce) {
				t.Errorf("sent something: %s", brief(fx))
			}
			if fx[len(fx)-1].Kind != vrrp.Release {
				t.Errorf("the addresses stay: %s", brief(fx))
			}
			if fx := g.wait(3 * s); len(fx) != 0 {
				t.Errorf("not silent: %s", brief(plain(fx)))
			}
		}
	})
}

// Two that were promoted together agree within one interval. RFC 9568 6.4.3
func TestA14_EqualPrioritiesPromotedTogether(t *testing.T) {
	low, high := started(t, spec4()), newRig(t, spec4())
	high.step(vrrp.LinkState{Source: peer4})
	low.until(vrrp.Active)
	high.until(vrrp.Active) // at the same instant: neither has heard the other
	if low.now != high.now {
		t.Fatalf("promoted at %v and %v", low.now, high.now)
	}
	// Their first adverts cross.
	low.want(low.recv(peer4, 100, s), "send 100; active>backup higher-address; release")
	high.recv(self4, 100, s)
	high.state(vrrp.Active)
}

// Two Actives that hear each other again announce against each other, and who stays may
// not have had the last word: what the bound on its announcements holds back comes when
// the bound is over, once. Or the neighbours believe the one who has left.
func TestTheLastWordIsOurs(t *testing.T) {
	claimed := vrrp.Challenged{Address: vip4, MAC: [6]byte{2, 0, 0, 0, 0, 9}}
	later := func(list []stamped) (fx []vrrp.Effect) {
		for _, e := range list {
			fx = append(fx, e.Effect)
		}
		return fx
	}
	announced := func(fx []vrrp.Effect) (n int) {
		for _, e := range fx {
			if e.Kind == vrrp.Announce {
				n++
			}
		}
		return n
	}
	g := promoted(t, spec4())
	if n := announced(g.recv(peer4, 50, s)); n != 1 {
		t.Fatalf("a losing Active: %d announcements", n)
	}
	begin := g.now
	g.now += ms
	if n := announced(g.step(claimed)); n != 0 {
		t.Errorf("claimed at once: %d more announcements", n)
	}
	g.now += ms
	if n := announced(g.recv(peer4, 50, s)); n != 0 {
		t.Errorf("the farewell: %d more announcements", n)
	}
	if n := announced(later(g.advance(begin+s-1, true))); n != 0 {
		t.Errorf("%d announcements within a second", n)
	}
	if n := announced(later(g.advance(begin+s, true))); n != 1 {
		t.Errorf("%d announcements when the second was over, want 1", n)
	}
	if n := announced(later(g.advance(begin+10*s, true))); n != 0 {
		t.Errorf("%d announcements later", n)
	}

	// Whoever is no longer Active says nothing.
	g.step(claimed)
	g.now += ms
	g.step(claimed)
	g.recv(peer4, 200, s)
	g.state(vrrp.Backup)
	if n := announced(later(g.advance(g.now+2*s, false))); n != 0 {
		t.Errorf("a Backup announced %d times", n)
	}
}

// A flood of losing adverts is answered at once, but not one for one: forged
// ones must not be amplified. reference/vrrp.md 4.3
func TestA15_AnswersAreLimited(t *testing.T) {
	g := promoted(t, spec4())
	begin, sent, repeats := g.now, 0, 0
	for i := range 100 {
		for _, e := range g.advance(begin+time.Duration(i)*10*ms, false) {
			if e.Kind == vrrp.Send {
				sent++
			}
		}
		fx := g.recv(peer4, 50, s)
		if i == 0 && !contains(fx, vrrp.Send) {
			t.Fatal("the first is not answered")
		}
		for _, e := range fx {
			switch e.Kind {
			case vrrp.Send:
				sent++
			case vrrp.Announce:
				repeats++
			}
		}
	}
	if sent > 12 || sent < 10 {
		t.Errorf("%d adverts in one second, want one per 100 ms", sent)
	}
	if repeats != 1 {
		t.Errorf("%d repeated announcements in one second, want 1", repeats)
	}
	g.state(vrrp.Active)

	// At short intervals the gap is half an interval.
	g = promoted(t, spec4(interval(20*ms)))
	g.recv(peer4, 50, 20*ms)
	g.now += 10*ms - 1
	if contains(g.recv(peer4, 50, 20*ms), vrrp.Send) {
		t.Error("answered twice within half an interval")
	}
	g.now++
	if !contains(g.recv(peer4, 50, 20*ms), vrrp.Send) {
		t.Error("not answered after half an interval")
	}
}

// Answers must not starve the period: however the flood comes, some advert
// leaves at least every interval.
//
// conformance: A15
func TestFloodDoesNotSilence(t *testing.T) {
	g := promoted(t, spec4())
	last := g.now
	for range 1000 {
		var fx []vrrp.Effect
		for _, e := range g.wait(7 * ms) {
			fx = append(fx, e.Effect)
		}
		fx = append(fx, g.recv(peer4, 50, s)...)
		if contains(fx, vrrp.Send) {
			last = g.now
		}
		if g.now-last > s+8*ms {
			t.Fatalf("silent for %v", g.now-last)
		}
	}
}

// Our own advertisement come back from a reflecting switch is nobody's. reference/vrrp.md 5.2 #0
func TestA16_OwnAdvertReflected(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := promoted(t, spec())
		due := g.r.Deadline()
		g.want(g.recv(g.self(), 100, s), "")
		g.want(g.recv(g.self(), 0, s), "") // our farewell from before a restart
		if g.r.Deadline() != due {
			t.Error("the timer moved")
		}
		v := g.r.View()
		g.counts("own-adverts-looped", v.Counters.Drops[vrrp.DropOwnLooped], 2)
		g.counts("advertisement-rcvd", v.Counters.AdvertisementRcvd, 0)

		// A Backup's too: it must not take its own echo for an Active.
		b := started(t, spec())
		b.wait(2 * s)
		b.want(b.recv(b.self(), 100, s), "")
		b.took(2*s+b.until(vrrp.Active), 3609375*time.Microsecond)
	})
}

// Our address with other content is a duplicate address: told, no state change. reference/vrrp.md 4.3
func TestA17_DuplicateSource(t *testing.T) {
	for name, change := range map[string]func(*vrrp.Advert){
		"priority":  func(a *vrrp.Advert) { a.Priority = 250 },
		"interval":  func(a *vrrp.Advert) { a.Interval = 2 * s },
		"addresses": func(a *vrrp.Advert) { a.Addresses = addrs("10.0.0.252") },
	} {
		t.Run(name, func(t *testing.T) {
			g := promoted(t, spec4())
			e := g.advert(self4, 100, s)
			change(&e.Advert)
			g.want(g.step(e), "tell duplicate-source")
			g.state(vrrp.Active)
			g.counts("duplicate-source", g.r.View().Counters.Drops[vrrp.DropDuplicateSource], 1)
		})
	}
}

// Two owners: told, and the lower address yields instead of both staying for
// ever. RFC 9568 8.3.2, erratum 8298
func TestA18_SecondOwnerHigherAddress(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := promoted(t, spec(priority(255)))
		g.want(g.recv(g.peer(), 255, s), "tell owner-conflict; send 255; active>backup higher-address; release")
		g.counts("owner-conflicts", g.r.View().Counters.OwnerConflicts, 1)
		g.wait(s)
		g.want(g.recv(g.peer(), 255, s), "tell owner-conflict")
		g.state(vrrp.Backup)
	})
}

// The other polarity: the higher address stays and says so. Erratum 8298
func TestA19_SecondOwnerLowerAddress(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := promoted(t, spec(priority(255)))
		g.want(g.recv(g.low(), 255, s), "tell owner-conflict; tell lower-priority-active; send 255; announce again")
		g.state(vrrp.Active)
	})
}

// A changed priority is in the next advertisement, which leaves at once. RFC 9568 6.4.3
func TestA20_PriorityChanged(t *testing.T) {
	g := promoted(t, spec4())
	g.wait(300 * ms)
	g.want(g.step(vrrp.SetPriority{Priority: 120}), "send 120")
	g.want(g.step(vrrp.SetPriority{Priority: 120}), "") // no change, no word
	at, p := adverts(g.wait(s))
	if len(at) != 1 || at[0] != g.now || p[0] != 120 {
		t.Errorf("then %v at %v", p, at)
	}
	// Falling below a live Backup does not depose us: that is the Backup's to do.
	g.want(g.step(vrrp.SetPriority{Priority: 10}), "send 10")
	g.state(vrrp.Active)
}

// An address added to a running Active is held, announced and advertised. RFC 9568 8.1.2
func TestA21_AddressAdded(t *testing.T) {
	g := promoted(t, spec4())
	sp := spec4(serving(addrs("10.0.0.253", "10.0.0.252")...))
	g.want(g.step(vrrp.Configure{Spec: sp}), "hold; announce")
	if a := g.r.Advert(100); len(a.Addresses) != 2 {
		t.Errorf("advertises %v", a.Addresses)
	}
	b := heard(t, spec4()) // a Backup has nothing to announce
	b.want(b.step(vrrp.Configure{Spec: sp}), "")
}

// A removed one is no longer wanted nor advertised. RFC 9568 6.4.3
func TestA22_AddressRemoved(t *testing.T) {
	g := promoted(t, spec4(serving(addrs("10.0.0.253", "10.0.0.252")...)))
	fx := g.step(vrrp.Configure{Spec: spec4()})
	if len(fx) == 0 || fx[0].Kind != vrrp.Hold { // the latest wish wins: it no longer names the address
		t.Errorf("effects: %s", brief(fx))
	}
	if a := g.r.Advert(100); len(a.Addresses) != 1 {
		t.Errorf("advertises %v", a.Addresses)
	}
}

// A losing Active may have taught the hosts: announce again, paced. RFC 9568 leaves it open
func TestA23_AnnouncesAgainAfterALowerOne(t *testing.T) {
	g := promoted(t, spec4())
	g.want(g.recv(peer4, 50, s), "tell lower-priority-active; send 100; announce again")
	g.wait(500 * ms)
	g.want(g.recv(peer4, 50, s), "tell lower-priority-active; send 100")
	if list := g.wait(500 * ms); !slices.ContainsFunc(list, func(e stamped) bool { return e.Kind == vrrp.Announce }) {
		t.Error("what was held back did not come") // see TestTheLastWordIsOurs
	}
	g.wait(s)
	g.want(g.recv(peer4, 50, s), "tell lower-priority-active; send 100; announce again")
}

// Ten periods are ten advertisements. RFC 8347 advertisement-sent
//
// conformance: S8
func TestCountsWhatItSends(t *testing.T) {
	g := promoted(t, spec4())
	before := g.r.View().Counters.AdvertisementSent
	g.wait(10 * s)
	g.counts("advertisement-sent", g.r.View().Counters.AdvertisementSent-before, 10)
	g.recv(peer4, 50, s)
	g.counts("advertisement-sent", g.r.View().Counters.AdvertisementSent-before, 11)
	g.counts("active-transitions", g.r.View().Counters.ActiveTransitions, 1)
}
