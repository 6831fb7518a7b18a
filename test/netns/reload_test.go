package netns

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// quietAnnounce keeps the scheduled repetitions of announcements out of the
// picture where a test looks for frames that should not be there.
const quietAnnounce = "announce {\n    repeat = 0\n  }"

// reloads waits until the daemon has logged one more reload than before; without
// a line to wait for, the time of a status query after the signal must do.
func (s *scene) hangup(n *lab.Backbeat) {
	s.t.Helper()
	before := len(n.Log())
	n.Hangup()
	s.until("the reload to be logged", func() bool { return strings.Contains(strings.ToLower(n.Log()[before:]), "reload") })
	s.rest(50 * time.Millisecond)
}

func TestReloadOfAnUnchangedFileIsInvisible(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web(quietAnnounce)))
	s.rest(interval)
	began := lab.Now()
	term1, term2 := s.router("r1").Term, s.router("r2").Term
	for range 3 {
		s.hangup(s.r1)
		s.hangup(s.r2)
	}
	s.rest(3 * interval)
	adverts := s.sniffer.Adverts(began, "r1")
	for i, f := range adverts {
		if f.Advert.Priority != 150 {
			t.Errorf("an advert of priority %d", f.Advert.Priority)
		}
		// A late one is followed by a short gap: the grid stands.
		if stall := s.stall(began); i > 0 && (f.At-adverts[i-1].At > interval*3/2+stall || f.At-adverts[i-1].At < interval/2-stall) {
			t.Errorf("%s between two adverts, the machine stalled for %s", f.At-adverts[i-1].At, stall)
		}
	}
	if n := len(adverts); n < 2 || n > 1+int((adverts[n-1].At-adverts[0].At+interval/2+s.stall(began))/interval) {
		t.Errorf("%d adverts, some of them additional", n)
	}
	others := s.sniffer.Frames(began, func(f *lab.Frame) bool {
		return (f.Host == "r1" || f.Host == "r2") && (announced(f, vip4) || announced(f, vip6)) || f.Host == "r2" && f.Advert != nil
	})
	if len(others) > 0 {
		t.Errorf("%d frames besides the adverts of the Active, the first %+v", len(others), others[0])
	}
	if s.router("r1").Term != term1 || s.router("r2").Term != term2 {
		t.Error("a reload of an unchanged file made a transition")
	}
	if r := s.probe.Since(began); r.Silence > s.slack(began) {
		t.Errorf("the client noticed: %s", r)
	}
}

func TestReloadOfABadFileChangesNothing(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web()))
	term := s.router("r1").Term
	bad := strings.Replace(config(web()), "vrid = 61", "vrid = 61\n  vird = 62\n  wrong", 1)
	s.must(s.r1.Configure(bad))
	s.hangup(s.r1)
	s.until("the mistake to be in the log", func() bool { return strings.Contains(s.r1.Log(), "vird") || strings.Contains(s.r1.Log(), "wrong") })
	stdout, stderr, code, err := s.r1.Verb(s.ctx, "reload", "--control", s.r1.Socket())
	s.must(err)
	if text := stdout + stderr; code != 1 || !strings.Contains(text, "backbeat.hcl") {
		t.Errorf("backbeat reload: exit status %d\n%s", code, text)
	}
	if _, stderr, code, err = s.r1.Verb(s.ctx, "check", s.r1.ConfigFile()); err != nil || code != 1 {
		t.Errorf("backbeat check: exit status %d, %v\n%s", code, err, stderr)
	}
	s.rest(2 * interval)
	if r := s.router("r1"); r.State != "active" || r.Term != term {
		t.Errorf("r1 is %s in term %d, was Active in term %d", r.State, r.Term, term)
	}
	s.must(s.r1.Configure(config(web())))
	if _, stderr, code, err = s.r1.Verb(s.ctx, "reload", "--control", s.r1.Socket()); err != nil || code != 0 {
		t.Errorf("backbeat reload of the good file: exit status %d, %v\n%s", code, err, stderr)
	}
	s.only("r1")
}

// conformance: A20, A21, A22
func TestReloadAddsAndRemoves(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web()))
	more4, more6 := netip.MustParseAddr("10.77.0.101"), netip.MustParseAddr("fd77::102")
	second := netip.MustParseAddr("10.77.0.110")
	bigger := config(
		routerBlock("web", 61, `addresses = ["10.77.0.100/24", "10.77.0.101/24", "fd77::100/64", "fd77::102/64"]`, `priority = { r1 = 160, r2 = 100 }[node.name]`),
		routerBlock("mail", 62, `addresses = ["10.77.0.110/24"]`))
	term := s.router("r1").Term
	began := lab.Now()
	for _, n := range []*lab.Backbeat{s.r2, s.r1} {
		s.must(n.Configure(bigger))
		s.hangup(n)
	}
	r1 := s.Host("r1")
	s.until("the new addresses", func() bool { return r1.Has(more4) && r1.Has(more6) && r1.Has(second) })
	s.until("their announcement", func() bool {
		return len(s.sniffer.Frames(began, func(f *lab.Frame) bool { return f.Host == "r1" && announced(f, more4) })) > 0 &&
			len(s.sniffer.Frames(began, func(f *lab.Frame) bool { return f.Host == "r1" && announced(f, more6) })) > 0
	})
	s.until("adverts with the new addresses and priority", func() bool {
		all := s.sniffer.Adverts(began, "r1")
		for _, f := range all {
			if f.Advert.VRID == 61 && f.Advert.Priority == 160 && f.Advert.Count == 2 {
				return true
			}
		}
		return false
	})
	if now := s.router("r1"); now.Term != term {
		t.Errorf("the router that was adjusted went from term %d to %d", term, now.Term)
	}
	s.until("the new router to be Active", func() bool { return s.r1.State(s.ctx, "mail") == "active" && s.r2.State(s.ctx, "mail") == "backup" })
	began = lab.Now()
	for _, n := range []*lab.Backbeat{s.r1, s.r2} {
		s.must(n.Configure(config(web())))
		s.hangup(n)
	}
	s.until("the old addresses to go", func() bool { return !r1.Has(more4) && !r1.Has(more6) && !r1.Has(second) })
	zeros := map[uint8]int{}
	for _, f := range s.sniffer.Adverts(began, "r1") {
		if f.Advert.Priority == 0 {
			zeros[f.Advert.VRID]++
		}
	}
	// The one that stays asks whether anybody is better than its lower priority; nobody is.
	if zeros[62] != 1 || zeros[61] != 1 {
		t.Errorf("farewells by VRID: %v", zeros)
	}
	if now := s.router("r1"); now.Term != term {
		t.Errorf("the router that stays went from term %d to %d", term, now.Term)
	}
	s.only("r1")
	if s.r1.State(s.ctx, "mail") != "" {
		t.Error("the removed router is still in the status")
	}
}
