package netns

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// Two scenarios at a time, however many processors there are: all namespaces
// share the kernel's lock for addresses and links, and each would measure how
// long the others hold it.
func TestMain(m *testing.M) {
	if os.Getenv(envRouter) != "" {
		os.Exit(multicastRouter())
	}
	lab.Main(lab.Options{Binary: true}, func() int {
		if err := flag.Set("test.parallel", "2"); err != nil {
			panic("netns: " + err.Error())
		}
		return m.Run()
	})
}

var (
	vip4 = netip.MustParseAddr("10.77.0.100")
	vip6 = netip.MustParseAddr("fd77::100")
)

// The interval of most scenarios, and what follows from it for a Backup of priority 100
// (RFC 9568 6.1). See slack for margin.
const (
	interval = 200 * time.Millisecond
	skew     = interval * 156 / 256
	down     = 3*interval + skew
	margin   = 500 * time.Millisecond
)

// web is the configuration of most scenarios: r1 is preferred to r2, IPv4
// elects and an IPv6 address rides along. Lines are added to the router's block.
func web(lines ...string) string {
	return routerBlock("web", 61, append([]string{
		`addresses = ["10.77.0.100/24", "fd77::100/64"]`,
	}, lines...)...)
}

// web6 is the same with an IPv6 election.
func web6(lines ...string) string {
	return routerBlock("web", 61, append([]string{
		`addresses = ["fe80::61/64", "fd77::100/64", "10.77.0.100/24"]`,
	}, lines...)...)
}

func routerBlock(name string, vrid int, lines ...string) string {
	block := fmt.Sprintf("virtual_router %q {\n  interface = \"eth0\"\n  vrid = %d\n", name, vrid)
	defaults := []string{
		`priority = { r1 = 150, r2 = 100 }[node.name]`,
		fmt.Sprintf(`interval = "%s"`, interval),
	}
	for _, d := range defaults {
		key, _, _ := strings.Cut(d, " ")
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, key+" ") }) {
			lines = append(lines, d)
		}
	}
	return block + "  " + strings.Join(lines, "\n  ") + "\n}\n"
}

func config(blocks ...string) string {
	return "node {\n  name = env(\"BACKBEAT_NODE\")\n}\n" + strings.Join(blocks, "\n")
}

// scene is r1, r2, a client that probes vip4, a host called other that can
// play any part, and a sniffer.
type scene struct {
	*lab.Lab
	t       *testing.T
	ctx     context.Context
	r1, r2  *lab.Backbeat
	sniffer *lab.Sniffer
	probe   *lab.Probe
	v2      bool // adverts of version 2 are expected too
}

// newScene starts nothing but the sniffer and the client. At its end every
// advert that was seen must have been well-formed, and a failed test shows the logs.
func newScene(t *testing.T, text string) *scene {
	t.Helper()
	return newSceneOn(t, text, 1)
}

// newSceneOn is newScene with several links.
func newSceneOn(t *testing.T, text string, links int) *scene {
	t.Helper()
	l, ctx := lab.ForTest(t, lab.Plan{Hosts: []string{"r1", "r2", "client", "other"}, Links: links}, 60*time.Second)
	s := &scene{Lab: l, t: t, ctx: ctx}
	var err error
	s.sniffer, err = l.Sniff()
	s.must(err)
	s.r1, err = l.Host("r1").Backbeat(text)
	s.must(err)
	s.r2, err = l.Host("r2").Backbeat(text)
	s.must(err)
	s.probe, err = l.Host("client").Probe(lab.ProbeSpec{Target: vip4, Interval: time.Millisecond})
	s.must(err)
	t.Cleanup(s.finish)
	return s
}

// newPair starts both routers and waits until r1 is Active and at rest.
func newPair(t *testing.T, text string) *scene {
	t.Helper()
	s := newScene(t, text)
	s.start(s.r1, s.r2)
	s.active("r1")
	return s
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) start(nodes ...*lab.Backbeat) {
	s.t.Helper()
	for _, n := range nodes {
		s.must(n.Start(s.ctx))
	}
}

func (s *scene) node(name string) *lab.Backbeat {
	if name == "r1" {
		return s.r1
	}
	return s.r2
}

// until waits for a condition; limit is generous, since what is measured is
// measured by the client and the sniffer.
func (s *scene) until(what string, condition func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	s.must(lab.Until(ctx, what, condition))
}

// active waits until the host is Active, has both addresses and answers the client.
func (s *scene) active(name string) {
	s.t.Helper()
	h := s.Host(name)
	s.until(name+" to be Active", func() bool {
		return s.node(name).State(s.ctx, "web") == "active" && h.Has(vip4) && h.Has(vip6) && s.probe.Answerer() == name
	})
}

func (s *scene) state(name, want string) {
	s.t.Helper()
	s.until(name+" to be in "+want, func() bool { return s.node(name).State(s.ctx, "web") == want })
}

// became waits for a transition in the history, for states that do not last: a
// Backup that hears a single advert is Active again after Active_Down_Interval,
// and the machine may stall for longer than that.
func (s *scene) became(name, state, cause string) {
	s.t.Helper()
	s.until(name+" to become "+state+" for "+cause, func() bool {
		list, err := s.node(name).History(s.ctx)
		return err == nil && slices.ContainsFunc(list, func(t daemon.Transition) bool { return t.To == state && t.Cause == cause })
	})
}

// firstAdvert is a host's first advert since an instant. The sniffer may be behind
// what a client has had an answer to.
func (s *scene) firstAdvert(host string, from time.Duration) (first lab.Frame) {
	s.t.Helper()
	s.until("an advert of "+host, func() bool {
		got := s.sniffer.Adverts(from, host)
		if len(got) > 0 {
			first = got[0]
		}
		return len(got) > 0
	})
	return first
}

// gone waits until a host has none of the addresses.
func (s *scene) gone(name string) {
	s.t.Helper()
	h := s.Host(name)
	s.until("the addresses to leave "+name, func() bool { return !h.Has(vip4) && !h.Has(vip6) })
}

// only fails unless exactly one host has each address.
func (s *scene) only(name string) {
	s.t.Helper()
	for _, a := range []netip.Addr{vip4, vip6} {
		if got := s.Holders(a); !slices.Equal(got, []string{name}) {
			s.t.Errorf("%s is held by %v, want %s alone", a, got, name)
		}
	}
}

// rest lets time pass in which nothing should happen.
func (s *scene) rest(d time.Duration) {
	time.Sleep(d)
}

// slack is what the machine may add to anything since an instant: half a
// second, and ten times what the kernel or the scheduler made somebody wait. A
// takeover waits for the kernel more than once, and a new IPv6 address answers
// only when a kernel worker has got the same lock. On a machine that does nothing
// else a stall is a few milliseconds.
func (s *scene) slack(since time.Duration) time.Duration {
	stall := s.stall(since)
	if stall > 100*time.Millisecond {
		s.t.Logf("the machine stalled for %s", stall)
	}
	return margin + 10*stall
}

// stall is for how long the kernel or the scheduler made somebody wait at worst.
func (s *scene) stall(since time.Duration) time.Duration {
	return max(s.Stall(since), s.probe.Since(since).WorstStall)
}

// takeover reports what the client saw since a fault and fails if nobody else
// answered within bound and margin.
func (s *scene) takeover(fault, bound time.Duration) lab.Report {
	s.t.Helper()
	r := s.probe.Since(fault)
	s.t.Logf("%s; the protocol's bound is %s", r, bound)
	if r.By == "" || r.Takeover > bound+s.slack(fault) {
		s.t.Errorf("takeover after %s by %q, bound %s", r.Takeover, r.By, bound)
	}
	return r
}

func (s *scene) router(name string) *daemon.RouterStatus {
	s.t.Helper()
	r, err := s.node(name).Router(s.ctx, "web")
	s.must(err)
	return r
}

func (s *scene) counter(name, counter string) uint64 {
	s.t.Helper()
	n, ok := s.router(name).Counters[counter]
	if !ok {
		s.t.Fatalf("there is no counter %q", counter)
	}
	return n
}

// logged waits for a word in a daemon's log, which is written behind everything else.
func (s *scene) logged(n *lab.Backbeat, word string) {
	s.t.Helper()
	s.until(word+" in the log", func() bool { return strings.Contains(n.Log(), word) })
}

// finish is the end of every scenario.
func (s *scene) finish() {
	s.sniffer.Stop()
	for _, f := range s.sniffer.Frames(0, func(f *lab.Frame) bool { return f.Host == "r1" || f.Host == "r2" }) {
		if f.Malformed != nil {
			s.t.Errorf("%s sent a malformed advert: %v", f.Host, f.Malformed)
		}
		if a := f.Advert; a != nil && (f.TTL != 255 || a.Version != 3 && !s.v2 || a.Type != 1 || a.Form == lab.BadSum ||
			a.Reserve != 0 || a.Count == 0 || f.TOS != 0xc0) {
			s.t.Errorf("%s sent a bad advert: TTL %d, %+v", f.Host, f.TTL, a)
		}
	}
	s.judge()
	if n := s.sniffer.Lost(); n > 0 {
		s.t.Errorf("the sniffer lost %d frames", n)
	}
	if s.t.Failed() {
		s.t.Logf("== log of r1\n%s", s.r1.Log())
		s.t.Logf("== log of r2\n%s", s.r2.Log())
	}
}

// judge asks tshark, where there is one, about every advert of ours. (CI has it:
// TestTsharkAgrees fails without.)
func (s *scene) judge() {
	if _, err := lab.TsharkPath(); err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, complaints, err := s.sniffer.Judge(ctx, "r1", "r2"); err != nil || len(complaints) > 0 {
		s.t.Errorf("tshark: %v, %s", err, strings.Join(complaints, "\n"))
	}
}

// zeros are the adverts with priority 0 of a host.
func (s *scene) zeros(from time.Duration, host string) int {
	n := 0
	for _, f := range s.sniffer.Adverts(from, host) {
		if f.Advert.Priority == 0 {
			n++
		}
	}
	return n
}

// announced reports whether a host told the link about an address.
func announced(f *lab.Frame, a netip.Addr) bool {
	return f.ARP != nil && f.ARP.Gratuitous() && f.ARP.SenderAddr == a ||
		f.Neighbour != nil && !f.Neighbour.Solicited && f.Neighbour.Target == a
}
