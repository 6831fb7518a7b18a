package netns

import (
	"testing"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// A Backup that did not run finds the adverts that came meanwhile and stays.
//
// conformance: T15
func TestFrozenBackupStaysBackup(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web()))
	frozen := lab.Now()
	s.r2.Freeze()
	s.rest(4 * down)
	s.r2.Thaw()
	s.rest(2 * down)
	if got := s.sniffer.Adverts(frozen, "r2"); len(got) > 0 {
		t.Errorf("it sent %d adverts after the thaw", len(got))
	}
	s.state("r2", "backup")
	s.only("r1")
}

// An Active that did not run has been replaced; it listens before it speaks, so
// the client is not torn to and fro.
func TestFrozenActiveListensFirst(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web("preempt = false")))
	fault := lab.Now()
	s.r1.Freeze()
	s.active("r2")
	s.takeover(fault, down)
	s.rest(2 * down)
	thaw := lab.Now()
	s.r1.Thaw()
	s.state("r1", "backup")
	t.Logf("r1 stepped back %s after the thaw", lab.Now()-thaw)
	s.gone("r1")
	s.rest(2 * interval)
	for _, f := range s.sniffer.Adverts(thaw, "r1") {
		if f.Advert.Priority != 0 {
			t.Errorf("it advertised priority %d after the thaw", f.Advert.Priority)
		}
	}
	s.only("r2")
	if cause := s.router("r1").Cause; cause != "replaced-in-stall" {
		t.Errorf("the cause is %q", cause)
	}
	if r := s.probe.Since(thaw); r.Silence > s.slack(thaw) {
		t.Errorf("after the thaw %s", r)
	}
}

// Without a rival it goes on as Active.
func TestFrozenActiveWithoutRivalGoesOn(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web()))
	s.start(s.r1)
	s.active("r1")
	term := s.router("r1").Term
	s.r1.Freeze()
	s.rest(2 * down)
	s.r1.Thaw()
	thaw := lab.Now()
	s.until("adverts again", func() bool { return len(s.sniffer.Adverts(thaw, "r1")) > 2 })
	if now := s.router("r1"); now.State != "active" || now.Term != term {
		t.Errorf("it is %s in term %d, was Active in term %d", now.State, now.Term, term)
	}
	s.only("r1")
}
