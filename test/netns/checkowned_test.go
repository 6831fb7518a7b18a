package netns

import (
	"net/netip"
	"strings"
	"testing"
)

// `check` tells what the daemon has put on this host from what is the host's own.
func TestCheckTellsOwnAddresses(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web()))
	check := func(host string, want int) {
		t.Helper()
		b := s.node(host)
		out, errs, code, err := b.Verb(s.ctx, "check", "--runtime-dir", b.RuntimeDir(), b.ConfigFile())
		s.must(err)
		if n := strings.Count(errs, "is on this host already, on eth0"); code != 0 || n != want {
			t.Errorf("%s: exit status %d, %d warnings, want %d: %s%s", host, code, n, want, out, errs)
		}
	}
	check("r1", 0) // Active
	check("r2", 0)
	s.must(s.Host("r2").AddAddr(netip.PrefixFrom(vip4, 24)))
	check("r2", 1)
}
