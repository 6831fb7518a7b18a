package netns

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// conformance: B9, B10, A13
func TestOnlyTheActiveAnswersForTheAddresses(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web()))
	ask := func(want string) {
		t.Helper()
		for _, a := range []netip.Addr{vip4, vip6} {
			var names []string
			s.until("an answer for "+a.String(), func() bool {
				var err error
				names, err = s.Host("client").WhoHas(a, 200*time.Millisecond)
				s.must(err)
				return len(names) > 0
			})
			if !slices.Equal(names, []string{want}) {
				t.Errorf("%s: %v answer, want %s once", a, names, want)
			}
		}
	}
	ask("r1")
	s.must(s.r1.Stop(s.ctx))
	s.active("r2")
	ask("r2")
	s.start(s.r1)
	s.active("r1")
	s.gone("r2")
	ask("r1")
}

// TestABackupIsSilentToPings sends the client's echo requests for the address to
// the Backup's own MAC, past the neighbour cache.
//
// conformance: B14
func TestABackupIsSilentToPings(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web()))
	client := s.Host("client")
	for _, a := range []netip.Addr{vip4, vip6} {
		probe, err := client.Probe(lab.ProbeSpec{Target: a, Interval: time.Millisecond})
		s.must(err)
		s.until("r1 to answer", func() bool { return probe.Answerer() == "r1" })
		s.must(client.PinNeighbour(a, s.Host("r2").MAC(0)))
		s.until("answers to end", func() bool { return probe.Answerer() == "" })
		from := lab.Now()
		s.rest(300 * time.Millisecond)
		if r := probe.Since(from); r.Lost < r.Sent/2 || r.Answered {
			t.Errorf("%s: a Backup answers: %s", a, r)
		}
		// The same requests do reach it: once it is Active, it answers.
		if a == vip6 {
			s.must(s.r1.Stop(s.ctx))
			s.until("r2 to answer as the Active", func() bool { return probe.Answerer() == "r2" })
		}
		probe.Stop()
	}
}
