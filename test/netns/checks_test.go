package netns

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// check returns one check of a daemon as its status has it, nil if it is not there.
func (s *scene) check(d *lab.Backbeat, name string) *daemon.CheckStatus {
	page, err := d.Status(s.ctx)
	if err != nil {
		return nil
	}
	for i := range page.Checks {
		if page.Checks[i].Name == name {
			return &page.Checks[i]
		}
	}
	return nil
}

// Hosts behind the second link are asked by ping, of both families, by the
// interface that was named. One that is silent moves nothing; when both are, from
// one router, the address moves and nothing is lost.
func TestUplinkByPing(t *testing.T) {
	t.Parallel()
	s := newSceneOn(t, config(`check "icmp" "uplink" {
  targets   = ["10.78.0.3", "fd78::4"]
  interface = "eth1"
  interval  = "100ms"
  fall      = 2
}
`, web("depends_on { check = check.icmp.uplink }")), 2)
	s.start(s.r1, s.r2)
	s.active("r1")
	s.until("the uplink to answer", func() bool { c := s.check(s.r1, "icmp.uplink"); return c != nil && c.Verdict == "healthy" })
	s.rest(2 * interval)
	nowhere := func(target string) {
		_, err := s.Host("r1").Run(s.ctx, "ip", "neighbour", "replace", target, "lladdr", "02:00:00:00:00:99", "dev", "eth1", "nud", "permanent")
		s.must(err)
	}
	from := lab.Now()
	nowhere("10.78.0.3")
	s.rest(5 * interval)
	if c := s.check(s.r1, "icmp.uplink"); c == nil || c.Verdict != "healthy" {
		t.Errorf("one of two is silent: %+v", c)
	}
	nowhere("fd78::4")
	s.active("r2")
	s.gone("r1")
	s.rest(interval)
	s.lossless(from)
	want := "0 of 2 answered, wanted 1: "
	if c := s.check(s.r1, "icmp.uplink"); c == nil || c.Verdict != "failing" || !strings.Contains(c.Why, want) ||
		!strings.Contains(c.Why, "10.78.0.3 does not answer") || !strings.Contains(c.Why, "fd78::4 does not answer") {
		t.Errorf("%+v, want %q", c, want)
	}
	if c := s.check(s.r2, "icmp.uplink"); c == nil || c.Verdict != "healthy" {
		t.Errorf("r2: %+v", c)
	}
}

// A daemon with sockets of every kind open hands none of them to its commands.
func TestCommandsInheritNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(`check "exec" "fds" {
  command  = ["/bin/ls", "-l", "/proc/self/fd"]
  interval = "300ms"
}
check "icmp" "peer" { target = "10.77.0.3" }
check "http" "peer" { url = "http://10.77.0.3/" }
`, web(`depends_on { all = [check.exec.fds, check.icmp.peer] }`)))
	s.start(s.r1)
	s.active("r1")
	var out string
	s.until("some runs", func() bool {
		c, ping := s.check(s.r1, "exec.fds"), s.check(s.r1, "icmp.peer")
		if c == nil || c.Last == nil || c.Runs < 3 || ping == nil || ping.Verdict != "healthy" {
			return false
		}
		out = c.Last.Output
		return true
	})
	// Nothing, one pipe for both outputs, and the directory that ls reads.
	var kept []string
	for _, line := range strings.Split(out, "\n") {
		if _, to, ok := strings.Cut(line, " -> "); ok {
			kept = append(kept, to)
		}
	}
	if got := fmt.Sprint(kept); len(kept) != 4 || kept[0] != "/dev/null" || !strings.HasPrefix(kept[1], "pipe:") || kept[1] != kept[2] || !strings.HasPrefix(kept[3], "/proc/") {
		t.Errorf("descriptors of a command: %s\n%s", got, out)
	}
}

// A thousand checks a second, of which most find nobody, move no advert.
func TestThousandChecksMoveNoAdvert(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 250 {
		fmt.Fprintf(&b, "check \"icmp\" \"c%d\" { target = \"10.77.0.%d\" }\n", i, 50+i%50)
		fmt.Fprintf(&b, "check \"tcp\" \"c%d\" { address = \"10.77.0.3:%d\" }\n", i, 1+i)
		fmt.Fprintf(&b, "check \"http\" \"c%d\" { url = \"http://10.77.0.77/%d\" }\n", i, i)
		fmt.Fprintf(&b, "check \"load\" \"c%d\" { max_1m = %d }\n", i, 1000+i)
	}
	s := newScene(t, config(b.String(), web()))
	s.start(s.r1, s.r2)
	s.active("r1")
	s.rest(2 * interval)
	from := lab.Now()
	s.rest(4 * time.Second)
	last := from
	var worst time.Duration
	for _, f := range s.sniffer.Adverts(from, "r1") {
		worst, last = max(worst, f.At-last), f.At
	}
	page, err := s.r1.Status(s.ctx)
	s.must(err)
	var runs, late uint64
	for i := range page.Checks {
		runs, late = runs+page.Checks[i].Runs, late+page.Checks[i].Late
	}
	t.Logf("%d runs of %d checks, %d late; the longest time between adverts is %s, the machine stalled for %s", runs, len(page.Checks), late, worst, s.Stall(from))
	if worst > interval+s.slack(from) {
		t.Errorf("%s between two adverts, interval %s", worst, interval)
	}
	if len(s.sniffer.Adverts(from, "r2")) > 0 {
		t.Error("r2 took over")
	}
	if runs < 1000 {
		t.Errorf("%d runs", runs)
	}
}
