package netns

import (
	"net/netip"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// better is an advert that an Active of priority 150 must yield to if it believes it.
func better(s *scene) lab.Forgery {
	return lab.Forgery{Advert: lab.Advert{VRID: 61, Priority: 250, Interval: interval, Addresses: []netip.Addr{vip4}}}
}

// TestBadAdvertsAreRefusedAndCounted sends what must not be believed and looks
// for the counter; then the good one, which must be.
//
// conformance: V1, V2, V4, V6, V7, V8, V9, V10, V11, V16, V18, V30
func TestBadAdvertsAreRefusedAndCounted(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web()))
	s.start(s.r1)
	s.active("r1")
	other := s.Host("other")
	src, dst := other.Addr4(0).Addr(), netip.MustParseAddr("224.0.0.18")
	good := func() []byte {
		a := better(s).Advert
		a.Version, a.Type = 3, 1
		return a.Encode(src, dst, lab.MessageOnly)
	}
	with := func(change func(*lab.Forgery)) lab.Forgery {
		f := better(s)
		change(&f)
		return f
	}
	tests := []struct {
		row, counter string
		f            lab.Forgery
	}{
		{"V1", "ip-ttl-errors", with(func(f *lab.Forgery) { f.TTL = 254 })},
		{"V2", "ip-ttl-errors", with(func(f *lab.Forgery) { f.TTL = 1 })},
		{"V4", "version-errors", with(func(f *lab.Forgery) { f.Version, f.Type = 2, 1 })},
		{"V4", "version-errors", with(func(f *lab.Forgery) { f.Version, f.Type = 4, 1 })},
		{"V6", "invalid-type-pkts-rcvd", with(func(f *lab.Forgery) { f.Version, f.Type = 3, 2 })},
		{"V7", "incomplete-packets", with(func(f *lab.Forgery) { f.Message = good()[:7] })},
		{"V8", "packet-length-errors", with(func(f *lab.Forgery) { f.Message = good(); f.Message[3] = 3 })},
		{"V9", "packet-length-errors", with(func(f *lab.Forgery) { f.Message = append(good(), 10, 77, 0, 101) })},
		{"V10", "addr-count-zero", with(func(f *lab.Forgery) { f.Message = []byte{0x31, 61, 250, 0, 0, 20, 0xd4, 0xad} })},
		{"V11", "checksum-errors", with(func(f *lab.Forgery) { f.Sum = lab.BadSum })},
		{"V16", "vrid-errors", with(func(f *lab.Forgery) { f.VRID = 53 })},
		{"V18", "interval-zero", with(func(f *lab.Forgery) { f.Interval = 0 })},
	}
	for _, tt := range tests {
		before := s.refused(tt.counter)
		s.must(other.Forge(tt.f))
		s.until(tt.row+" to be counted as "+tt.counter, func() bool { return s.refused(tt.counter) == before+1 })
		if state := s.r1.State(s.ctx, "web"); state != "active" {
			t.Fatalf("%s: r1 is %s", tt.row, state)
		}
	}
	s.must(other.Forge(better(s)))
	s.became("r1", "backup", "higher-priority")
}

// refused is a counter of refusals. The interface counts all of them, the
// router those that were meant for it.
func (s *scene) refused(counter string) uint64 {
	s.t.Helper()
	page, err := s.r1.Status(s.ctx)
	s.must(err)
	n := page.Routers[0].Counters[counter]
	for _, l := range page.Links {
		n = max(n, l.Drops[counter])
	}
	return n
}

// conformance: V3, V13, V21
func TestBadAdvertsAreRefusedOverIPv6(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web6()))
	s.start(s.r1)
	s.active("r1")
	six := lab.Forgery{Advert: lab.Advert{VRID: 61, Priority: 250, Interval: interval,
		Addresses: []netip.Addr{netip.MustParseAddr("fe80::61"), vip6}}}
	hops, sum, global := six, six, six
	hops.TTL = 254
	sum.Sum = lab.MessageOnly
	global.Addresses = []netip.Addr{vip6, netip.MustParseAddr("fe80::61")}
	for _, tt := range []struct {
		row, counter string
		f            lab.Forgery
	}{{"V3", "ip-ttl-errors", hops}, {"V13", "checksum-errors", sum}, {"V21", "not-link-local-first", global}} {
		s.must(s.Host("other").Forge(tt.f))
		s.until(tt.row+" to be counted as "+tt.counter, func() bool { return s.refused(tt.counter) == 1 })
		if state := s.r1.State(s.ctx, "web"); state != "active" {
			t.Fatalf("%s: r1 is %s", tt.row, state)
		}
	}
	s.must(s.Host("other").Forge(six))
	s.became("r1", "backup", "higher-priority")
}

// conformance: V12, V31
func TestTheOtherChecksumFormIsAcceptedAndMirrored(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web()))
	s.start(s.r1)
	s.active("r1")
	f := better(s)
	f.Sum = lab.WithPseudo
	s.must(s.Host("other").Forge(f))
	s.became("r1", "backup", "higher-priority")
	if n := s.counter("r1", "checksum-form-other"); n != 1 {
		t.Errorf("counted %d times", n)
	}
	from := lab.Now()
	s.active("r1")
	for _, f := range s.sniffer.Adverts(from, "r1") {
		if f.Advert.Form != lab.WithPseudo {
			t.Errorf("it answers with %s", f.Advert.Form)
		}
	}
}

// conformance: A1, A5
func TestALosingAdvertIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web(`interval = "1s"`)))
	s.start(s.r1)
	s.active("r1")
	s.rest(200 * time.Millisecond)
	f := better(s)
	f.Priority = 50
	sent := lab.Now()
	s.must(s.Host("other").Forge(f))
	s.until("an answer", func() bool { return len(s.sniffer.Adverts(sent, "r1")) > 0 })
	answer := s.firstAdvert("r1", sent)
	t.Logf("answered after %s", answer.At-sent)
	if answer.At-sent > 50*time.Millisecond+s.slack(sent) || answer.Advert.Priority != 150 {
		t.Errorf("answered after %s with priority %d", answer.At-sent, answer.Advert.Priority)
	}
	if state := s.r1.State(s.ctx, "web"); state != "active" {
		t.Errorf("r1 is %s", state)
	}
}

// conformance: A4, A13, T5, B21
func TestABetterAdvertDeposesAndItsIntervalIsLearned(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web("priority = 100")))
	s.start(s.r1)
	s.active("r1")
	f := better(s)
	f.Interval = 800 * time.Millisecond // long enough to look at a Backup in
	sent := lab.Now()
	s.must(s.Host("other").Forge(f))
	s.gone("r1")
	off := lab.Now() - sent
	t.Logf("the addresses were off %s after the better advert", off)
	if off > 100*time.Millisecond+s.slack(sent) {
		t.Errorf("it took %s", off)
	}
	names, err := s.Host("client").WhoHas(vip4, 100*time.Millisecond)
	s.must(err)
	if names != nil {
		t.Errorf("%v still answers ARP", names)
	}
	s.active("r1")
	back := s.firstAdvert("r1", sent+50*time.Millisecond)
	// Active_Down_Interval from the interval that was heard, not from ours.
	learned := 3*f.Interval + f.Interval*156/256
	t.Logf("it took over again after %s (Active_Down_Interval from %s: %s)", back.At-sent, f.Interval, learned)
	if wait := back.At - sent; wait < learned-2*time.Millisecond || wait > learned+s.slack(sent) {
		t.Errorf("it waited %s, want %s", wait, learned)
	}
}

// conformance: A8, A9
func TestPriorityZeroIsAnsweredByTheActive(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web(`interval = "1s"`)))
	s.start(s.r1)
	s.active("r1")
	s.rest(200 * time.Millisecond)
	f := better(s)
	f.Priority = 0
	sent := lab.Now()
	s.must(s.Host("other").Forge(f))
	s.until("two adverts", func() bool { return len(s.sniffer.Adverts(sent, "r1")) >= 2 })
	got := s.sniffer.Adverts(sent, "r1")
	if got[0].At-sent > s.slack(sent) {
		t.Errorf("answered after %s", got[0].At-sent)
	}
	if gap := got[1].At - got[0].At; gap < 950*time.Millisecond || gap > time.Second+s.slack(sent) {
		t.Errorf("the next advert came %s later, want 1s", gap)
	}
}
