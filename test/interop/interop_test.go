package interop

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// Two scenarios at a time, however many processors there are: all namespaces
// share the kernel's lock for addresses and links.
func TestMain(m *testing.M) {
	lab.Main(lab.Options{Binary: true}, func() int {
		if err := flag.Set("test.parallel", "6"); err != nil {
			panic("interop: " + err.Error())
		}
		return m.Run()
	})
}

const (
	interval = 200 * time.Millisecond
	// margin is what keepalived's own milliseconds and the scheduler may add; see slack.
	margin = 500 * time.Millisecond
	high   = 150
	low    = 100
)

func skew(priority int) time.Duration { return interval * time.Duration(256-priority) / 256 }
func down(priority int) time.Duration { return 3*interval + skew(priority) }

// family is what differs between the two elections.
type family struct {
	name      string
	addresses []string
	target    netip.Addr
}

var families = []family{
	{"IPv4", []string{"10.77.0.100/24"}, netip.MustParseAddr("10.77.0.100")},
	{"IPv6", []string{"fe80::61/64", "fd77::100/64"}, netip.MustParseAddr("fd77::100")},
}

// peer is either program, as far as the scenarios are concerned.
type peer struct {
	host     string
	priority int
	start    func() error
	kill     func()
	stop     func() error
	log      func() string
}

// scene is a backbeat on bb, a keepalived on ka, a client and a sniffer.
type scene struct {
	t       *testing.T
	ctx     context.Context
	lab     *lab.Lab
	f       family
	bb, ka  *peer
	daemon  *lab.Backbeat
	probe   *lab.Probe
	sniffer *lab.Sniffer
}

func newScene(t *testing.T, f family, bbPriority, kaPriority int) *scene {
	t.Helper()
	lab.NeedPeer(t, lab.KeepalivedPath)
	l, ctx := lab.ForTest(t, lab.Plan{Hosts: []string{"bb", "ka", "client"}}, 60*time.Second)
	s := &scene{t: t, ctx: ctx, lab: l, f: f}
	var err error
	s.sniffer, err = l.Sniff()
	s.must(err)
	s.probe, err = l.Host("client").Probe(lab.ProbeSpec{Target: f.target, Interval: time.Millisecond})
	s.must(err)
	s.daemon, err = l.Host("bb").Backbeat(backbeatConfig(f, bbPriority))
	s.must(err)
	k, err := l.Host("ka").Keepalived(keepalivedConfig(f, kaPriority), "-D")
	s.must(err)
	s.bb = &peer{"bb", bbPriority, func() error { return s.daemon.Start(ctx) }, s.daemon.Kill,
		func() error { return s.daemon.Stop(ctx) }, s.daemon.Log}
	s.ka = &peer{"ka", kaPriority, k.Start, k.Kill, func() error { return k.Stop(ctx) }, k.Log}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("== backbeat\n%s\n== keepalived\n%s", s.bb.log(), s.ka.log())
		}
	})
	return s
}

func backbeatConfig(f family, priority int) string {
	return fmt.Sprintf(`virtual_router "web" {
  interface = "eth0"
  vrid      = 61
  priority  = %d
  interval  = "%s"
  addresses = ["%s"]
}
`, priority, interval, strings.Join(f.addresses, `", "`))
}

func keepalivedConfig(f family, priority int) string {
	return fmt.Sprintf(`vrrp_instance web {
  state BACKUP
  interface eth0
  virtual_router_id 61
  version 3
  priority %d
  advert_int %g
  virtual_ipaddress {
    %s
  }
}
`, priority, interval.Seconds(), strings.Join(f.addresses, "\n    "))
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// answers waits until a peer holds the addresses and answers the client.
func (s *scene) answers(p *peer) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	s.must(lab.Until(ctx, p.host+" to answer", func() bool {
		return s.lab.Host(p.host).Has(s.f.target) && s.probe.Answerer() == p.host
	}))
}

// atRest fails unless for a few intervals only one peer advertises, and it
// alone holds the addresses. dead is a killed peer, whose addresses nobody takes off.
func (s *scene) atRest(p *peer, dead string) {
	s.t.Helper()
	// An election may still be on when the first answer is there.
	time.Sleep(2 * interval)
	from := lab.Now()
	time.Sleep(5 * interval)
	// Five intervals are enough, but for a machine that stalls meanwhile.
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	s.must(lab.Until(ctx, "three adverts of "+p.host, func() bool { return len(s.sniffer.Adverts(from, p.host)) >= 3 }))
	for _, f := range s.sniffer.Adverts(from, "") {
		if f.Host != p.host {
			s.t.Errorf("at rest with %s Active, %s sent an advert of priority %d", p.host, f.Host, f.Advert.Priority)
			break
		}
	}
	for _, text := range s.f.addresses {
		a := netip.MustParsePrefix(text).Addr()
		got := slices.DeleteFunc(s.lab.Holders(a), func(h string) bool { return h == dead })
		if !slices.Equal(got, []string{p.host}) {
			s.t.Errorf("at rest with %s Active, %v hold %s", p.host, got, a)
		}
	}
}

// slack is margin and ten times what the machine stalled: a takeover waits for
// the kernel more than once (see test/netns).
func (s *scene) slack(since time.Duration) time.Duration {
	return margin + 10*max(s.lab.Stall(since), s.probe.Since(since).WorstStall)
}

func (s *scene) takeover(what string, fault, bound time.Duration) lab.Report {
	s.t.Helper()
	r := s.probe.Since(fault)
	s.t.Logf("%s: %s; bound %s", what, r, bound)
	if r.By == "" || r.Takeover > bound+s.slack(fault) {
		s.t.Errorf("%s: takeover after %s by %q, bound %s", what, r.Takeover, r.By, bound)
	}
	return r
}

// play is election, kill, hand-back, SIGTERM and hand-back between the
// preferred peer and the other one.
func (s *scene) play(preferred, other *peer) {
	s.t.Helper()
	s.must(other.start())
	s.answers(other)
	s.must(preferred.start())
	s.answers(preferred)
	s.atRest(preferred, "")

	fault := lab.Now()
	preferred.kill()
	s.answers(other)
	s.takeover(preferred.host+" killed", fault, down(other.priority))
	s.atRest(other, preferred.host)

	fault = lab.Now()
	s.must(preferred.start())
	s.answers(preferred)
	if r := s.takeover(preferred.host+" back", fault, down(preferred.priority)+time.Second); r.Silence > s.slack(fault) {
		s.t.Errorf("the hand-back cost the client %s", r.Silence)
	}
	s.atRest(preferred, "")

	fault = lab.Now()
	s.must(preferred.stop())
	s.answers(other)
	s.takeover(preferred.host+" stopped", fault, skew(other.priority))
	s.atRest(other, "")

	s.must(preferred.start())
	s.answers(preferred)
	s.atRest(preferred, "")
}

// conformance: X2, X4
func TestBackbeatPreferred(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, f, high, low)
			s.play(s.bb, s.ka)
		})
	}
}

// conformance: X2, X4
func TestKeepalivedPreferred(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, f, low, high)
			s.play(s.ka, s.bb)
		})
	}
}

// TestBackbeatFirst is the hard order for checksums: backbeat advertises in the
// form of RFC 9568, which keepalived throws away, so keepalived becomes Active
// as well, until backbeat has learned its form and answers in it.
//
// conformance: X2, V12
func TestBackbeatFirst(t *testing.T) {
	t.Parallel()
	s := newScene(t, families[0], high, low)
	s.must(s.bb.start())
	s.answers(s.bb)
	began := lab.Now()
	s.must(s.ka.start())
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	s.must(lab.Until(ctx, "backbeat to learn keepalived's form", func() bool {
		r, err := s.daemon.Router(ctx, "web")
		return err == nil && r.ChecksumSent == "rfc5798"
	}))
	s.atRest(s.bb, "")
	wrong := 0
	for _, f := range s.sniffer.Adverts(began, "ka") {
		if f.Advert.Priority != 0 {
			wrong++
		}
	}
	t.Logf("keepalived was Active for %d adverts before they understood each other", wrong)
	if wrong > 2 {
		t.Errorf("keepalived went on for %d adverts", wrong)
	}
	if r, err := s.daemon.Router(ctx, "web"); err != nil || r.Counters["checksum-form-other"] == 0 || r.State != "active" {
		t.Errorf("backbeat's status: %+v, %v", r, err)
	}
	s.answers(s.bb)
}

// conformance: X6
func TestIntervalsDiffer(t *testing.T) {
	t.Parallel()
	s := newScene(t, families[0], low, high)
	// backbeat's own interval is one second, keepalived's a fifth of it.
	s.must(s.daemon.Configure(strings.Replace(backbeatConfig(s.f, low), interval.String(), "1s", 1)))
	s.must(s.ka.start())
	s.answers(s.ka)
	s.must(s.bb.start())
	time.Sleep(3 * interval)
	fault := lab.Now()
	s.ka.kill()
	s.answers(s.bb)
	s.takeover("keepalived killed", fault, down(low))
}
