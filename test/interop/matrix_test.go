package interop

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// entry is one way of being a peer: how we are configured, and how it is.
type entry struct {
	name string
	t    time.Duration
	// lines are added to our virtual_router, whose addresses are these.
	lines     []string
	addresses []string
	// other makes the peer on its host.
	other func(s *table, h *lab.Host, priority int) (program, error)

	// late is what the other adds to its own takeovers: FRR's first advert over
	// IPv6 is not sent, since its macvlan has just been let go and has no usable
	// address yet ("Failed to find address to bind").
	late time.Duration
	// version of the election, for the length of Skew_Time.
	version int
}

// program is whatever takes part in an election.
type program interface {
	Start(ctx context.Context) error
	Kill()
	Stop(ctx context.Context) error
	Log() string
}

type keepalived struct{ *lab.Keepalived }

func (k keepalived) Start(context.Context) error { return k.Keepalived.Start() }

// kaLines makes a keepalived with further lines in its instance.
func kaLines(version int, lines ...string) func(*table, *lab.Host, int) (program, error) {
	return func(s *table, h *lab.Host, priority int) (program, error) {
		text := fmt.Sprintf("vrrp_instance web {\n  state BACKUP\n  interface eth0\n  virtual_router_id 61\n  version %d\n  priority %d\n  advert_int %g\n  %s\n  virtual_ipaddress {\n    %s\n  }\n}\n",
			version, priority, s.t.Seconds(), strings.Join(lines, "\n  "), strings.Join(s.addresses, "\n    "))
		k, err := h.Keepalived(text, "-D")
		return keepalived{k}, err
	}
}

func frr(version int) func(*table, *lab.Host, int) (program, error) {
	return func(s *table, h *lab.Host, priority int) (program, error) {
		spec := lab.FRRSpec{VRID: 61, Version: version, Priority: priority, Interval: s.t}
		for _, a := range s.addresses {
			spec.Addresses = append(spec.Addresses, netip.MustParsePrefix(a))
		}
		return h.FRR(spec)
	}
}

var (
	four  = []string{"10.77.0.100/24"}
	six   = []string{"fe80::61/64", "fd77::100/64"}
	quick = 200 * time.Millisecond
)

// matrix is what backbeat is put beside. Version 2 and FRR count in seconds, or
// are at their best so.
var matrix = []entry{
	{name: "keepalived v2", t: time.Second, version: 2, lines: []string{"version = 2"}, addresses: four, other: kaLines(2)},
	{name: "keepalived v2, password", t: time.Second, version: 2, lines: []string{"version = 2", `auth_pass = "s3cret"`}, addresses: four,
		other: kaLines(2, "authentication {\n    auth_type PASS\n    auth_pass s3cret\n  }")},
	{name: "keepalived v3 IPv4", t: quick, addresses: four, other: kaLines(3)},
	{name: "keepalived v3 IPv4, rfc5798", t: quick, lines: []string{`checksum = "rfc5798"`}, addresses: four, other: kaLines(3)},
	{name: "keepalived v3 IPv6", t: quick, addresses: six, other: kaLines(3)},
	{name: "keepalived unicast", t: quick, lines: []string{`peers = ["10.77.0.2"]`}, addresses: four,
		other: kaLines(3, "unicast_src_ip 10.77.0.2", "unicast_peer {\n    10.77.0.1\n  }")},
	{name: "keepalived, our virtual MAC", t: quick, lines: []string{"virtual_mac = true"}, addresses: four, other: kaLines(3)},
	{name: "keepalived, its virtual MAC", t: quick, addresses: four, other: kaLines(3, "use_vmac")},
	{name: "keepalived, both virtual MACs", t: quick, lines: []string{"virtual_mac = true"}, addresses: four, other: kaLines(3, "use_vmac")},
	{name: "keepalived IPv6, both virtual MACs", t: quick, lines: []string{"virtual_mac = true"}, addresses: six, other: kaLines(3, "use_vmac")},
	{name: "FRR v2", t: time.Second, version: 2, lines: []string{"version = 2"}, addresses: four, other: frr(2)},
	{name: "FRR v3 IPv4", t: time.Second, addresses: four, other: frr(3)},
	{name: "FRR v3 IPv6", t: time.Second, late: time.Second, addresses: six, other: frr(3)},
	{name: "FRR v3 IPv6, global first", t: time.Second, late: time.Second, lines: []string{"accept_global_first = true"}, addresses: []string{"fe80::61/64", "fd77::100/64"}, other: frrGlobalFirst},
}

// frrGlobalFirst configures FRR with the global address alone, as people do.
func frrGlobalFirst(s *table, h *lab.Host, priority int) (program, error) {
	return h.FRR(lab.FRRSpec{VRID: 61, Version: 3, Priority: priority, Interval: s.t, Addresses: []netip.Prefix{netip.MustParsePrefix("fd77::100/64")}})
}

// table is one entry at work.
type table struct {
	entry
	*testing.T
	ctx     context.Context
	lab     *lab.Lab
	sniffer *lab.Sniffer
	ours    program
	its     program
	first   time.Duration // when recording began
}

const better, worse = 150, 100

func newTable(t *testing.T, e entry, ourPriority, itsPriority int) *table {
	t.Helper()
	lab.NeedPeer(t, lab.KeepalivedPath)
	lab.NeedPeer(t, lab.FRRPath)
	lab.NeedPeer(t, lab.TsharkPath)
	l, ctx := lab.ForTest(t, lab.Plan{Hosts: []string{"bb", "it"}}, 90*time.Second)
	s := &table{entry: e, T: t, ctx: ctx, lab: l, first: lab.Now()}
	var err error
	s.sniffer, err = l.Sniff()
	s.must(err)
	text := fmt.Sprintf("virtual_router \"web\" {\n  interface = \"eth0\"\n  vrid = 61\n  priority = %d\n  interval = %q\n  addresses = [\"%s\"]\n  %s\n}\n",
		ourPriority, e.t, strings.Join(e.addresses, `", "`), strings.Join(e.lines, "\n  "))
	s.ours, err = l.Host("bb").Backbeat(text)
	s.must(err)
	s.its, err = e.other(s, l.Host("it"), itsPriority)
	s.must(err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("== backbeat\n%s\n== the other\n%s", s.ours.Log(), s.its.Log())
		}
	})
	return s
}

func (s *table) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *table) skew(priority int) time.Duration {
	base := s.t
	if s.version == 2 {
		base = time.Second
	}
	return base * time.Duration(256-priority) / 256
}

// alone waits until only one host has advertised for a while, and fails if
// that does not come.
func (s *table) alone(host string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 12*s.t+5*time.Second)
	defer cancel()
	var seen []string
	err := lab.Until(ctx, host+" to be the only one that advertises", func() bool {
		mine, others := 0, 0
		for _, f := range s.sniffer.Adverts(lab.Now()-3*s.t, "") {
			if f.Host == host && f.Advert.Priority > 0 {
				mine++
			} else if f.Host != host {
				others++
			}
		}
		return mine >= 2 && others == 0
	})
	if err != nil {
		for _, f := range s.sniffer.Adverts(lab.Now()-10*s.t, "") {
			seen = append(seen, fmt.Sprintf("%s %s v%d prio %d from %s (%s)", f.At, f.Host, f.Advert.Version, f.Advert.Priority, f.Src, f.Advert.Form))
		}
		s.Fatalf("%v\n%s", err, strings.Join(seen, "\n"))
	}
}

// successor is how long after an instant a host advertised first.
func (s *table) successor(host string, from, bound time.Duration) time.Duration {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, bound+5*time.Second)
	defer cancel()
	at := time.Duration(0)
	s.must(lab.Until(ctx, host+" to take over", func() bool {
		for _, f := range s.sniffer.Adverts(from, host) {
			if f.Advert.Priority > 0 {
				at = f.At - from
				return true
			}
		}
		return false
	}))
	if host == "it" {
		bound += s.late
	}
	if limit := bound + margin + 10*s.lab.Stall(from); at > limit {
		s.Errorf("%s took over after %s, bound %s", host, at, bound)
	}
	return at
}

// results gathers the figures of the table that is printed at the end.
var results struct {
	sync.Mutex
	rows     map[string][4]time.Duration
	together map[string]time.Duration
}

func recordTogether(name string, d time.Duration) {
	results.Lock()
	defer results.Unlock()
	if results.together == nil {
		results.together = map[string]time.Duration{}
	}
	results.together[name] = max(results.together[name], d)
}

func record(name string, column int, d time.Duration) {
	results.Lock()
	defer results.Unlock()
	if results.rows == nil {
		results.rows = map[string][4]time.Duration{}
	}
	row := results.rows[name]
	row[column] = d
	results.rows[name] = row
}

// play goes through one life: the better one Active, killed, back, stopped.
func (s *table) play(top, low program, topHost, lowHost string, columns [2]int) {
	s.Helper()
	s.must(low.Start(s.ctx))
	if s.t == quick {
		// keepalived has hardly begun when we are Active already, and it throws away
		// the checksum form of RFC 9568, which we use until we have heard it: what is
		// measured then is its start. TestBackbeatFirst is about that.
		s.alone(lowHost)
	}
	s.must(top.Start(s.ctx))
	s.alone(topHost)
	fault := lab.Now()
	top.Kill()
	record(s.name, columns[0], s.successor(lowHost, fault, 3*s.t+s.skew(worse)))
	s.alone(lowHost)
	s.must(top.Start(s.ctx))
	s.alone(topHost)
	fault = lab.Now()
	s.must(top.Stop(s.ctx))
	record(s.name, columns[1], s.successor(lowHost, fault, s.skew(worse)))
	s.alone(lowHost)
	s.must(low.Stop(s.ctx))
	s.judge()
}

// judge fails for two Actives beyond the protocol's own window, and asks tshark
// about every advert of the scene.
func (s *table) judge() {
	s.Helper()
	s.sniffer.Stop()
	both := together(s.sniffer.Adverts(s.first, ""), s.t)
	recordTogether(s.name, both)
	if limit := s.t + 10*s.lab.Stall(s.first); both > limit {
		s.Errorf("two hosts were Active together for %s, bound %s", both, limit)
	}
	n, complaints, err := s.sniffer.Judge(s.ctx)
	s.must(err)
	if n == 0 || len(complaints) > 0 {
		s.Errorf("tshark decoded %d adverts and complains: %s", n, strings.Join(complaints, "\n"))
	}
}

// together is the longest time for which two hosts were Active at once: each from
// one advert to a later one, with none of its own left out between. A worse
// Active ends that on hearing the better one's first advert, after a farewell of
// its own; one that heard nothing is told by the better one within an interval.
func together(adverts []lab.Frame, interval time.Duration) (longest time.Duration) {
	type span struct{ from, to time.Duration }
	spans := map[string]span{}
	for _, f := range adverts {
		if f.Advert.Priority == 0 {
			delete(spans, f.Host)
			continue
		}
		mine, on := spans[f.Host]
		if !on || f.At-mine.to > interval*3/2 {
			mine.from = f.At
		}
		mine.to = f.At
		spans[f.Host] = mine
		for host, other := range spans {
			if host != f.Host {
				longest = max(longest, min(mine.to, other.to)-max(mine.from, other.from))
			}
		}
	}
	return longest
}

// TestMatrix puts backbeat beside every peer there is, better and worse.
//
// conformance: X1, X2, X4, X5, X7, X8, X9, X10, X12
func TestMatrix(t *testing.T) {
	t.Cleanup(printMatrix)
	for _, e := range matrix {
		t.Run(e.name+"/better", func(t *testing.T) {
			t.Parallel()
			s := newTable(t, e, better, worse)
			s.play(s.ours, s.its, "bb", "it", [2]int{0, 1})
		})
		t.Run(e.name+"/worse", func(t *testing.T) {
			t.Parallel()
			s := newTable(t, e, worse, better)
			s.play(s.its, s.ours, "it", "bb", [2]int{2, 3})
		})
	}
}

func printMatrix() {
	results.Lock()
	defer results.Unlock()
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "# takeover in ms of\tit, we killed\tit, we stopped\tus, it killed\tus, it stopped\tboth Active\tT")
	for _, e := range matrix {
		row := results.rows[e.name]
		fmt.Fprintf(w, "# %s", e.name)
		for _, d := range row {
			fmt.Fprintf(w, "\t%.0f", float64(d)/1e6)
		}
		fmt.Fprintf(w, "\t%.1f\t%s\n", float64(results.together[e.name])/1e6, e.t)
	}
	w.Flush()
}

// With preempt off, whoever is Active stays it.
func TestPreemptOffBesideKeepalived(t *testing.T) {
	t.Parallel()
	e := entry{name: "preempt off", t: quick, lines: []string{"preempt = false"}, addresses: four, other: kaLines(3, "nopreempt")}
	s := newTable(t, e, better, worse)
	s.must(s.its.Start(s.ctx))
	s.alone("it")
	s.must(s.ours.Start(s.ctx))
	time.Sleep(8 * s.t)
	s.alone("it")
	s.its.Kill()
	s.alone("bb")
	s.must(s.its.Start(s.ctx))
	time.Sleep(8 * s.t)
	s.alone("bb")
	s.judge()
}

// Three implementations in one group: exactly one Active in every order of failure.
//
// conformance: X11
func TestThreeImplementations(t *testing.T) {
	t.Parallel()
	lab.NeedPeer(t, lab.KeepalivedPath)
	lab.NeedPeer(t, lab.FRRPath)
	l, ctx := lab.ForTest(t, lab.Plan{Hosts: []string{"bb", "ka", "fr"}}, 110*time.Second)
	s := &table{entry: entry{name: "three", t: time.Second, addresses: four}, T: t, ctx: ctx, lab: l}
	var err error
	s.sniffer, err = l.Sniff()
	s.must(err)
	rank := map[string]int{"bb": 120, "ka": 150, "fr": 100}
	all := map[string]program{}
	all["bb"], err = l.Host("bb").Backbeat(fmt.Sprintf("virtual_router \"web\" {\n  interface = \"eth0\"\n  vrid = 61\n  priority = %d\n  addresses = [\"10.77.0.100/24\"]\n}\n", rank["bb"]))
	s.must(err)
	all["ka"], err = kaLines(3)(s, l.Host("ka"), rank["ka"])
	s.must(err)
	all["fr"], err = frr(3)(s, l.Host("fr"), rank["fr"])
	s.must(err)
	t.Cleanup(func() {
		if t.Failed() {
			for name, p := range all {
				t.Logf("== %s\n%s", name, p.Log())
			}
		}
	})
	for _, p := range all {
		s.must(p.Start(ctx))
	}
	s.alone("ka")
	all["ka"].Kill()
	s.alone("bb")
	all["bb"].Kill()
	s.alone("fr")
	s.must(all["bb"].Start(ctx))
	s.alone("bb")
	s.must(all["ka"].Start(ctx))
	s.alone("ka")
	s.must(all["ka"].Stop(ctx))
	s.alone("bb")
	s.must(all["bb"].Stop(ctx))
	s.alone("fr")
	s.judge()
}
