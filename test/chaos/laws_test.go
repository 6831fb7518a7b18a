package chaos

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// Each law is shown observations that keep it, and one that breaks it: a law that
// passes those checks nothing.

// staged is a run of two routers as the laws see it, of which nothing is real: r1 holds
// everything from second 1 on and speaks every interval, until second 11.
type staged struct {
	*Arena
	r1, r2  *node
	adverts []lab.Frame
	records map[*node][]daemon.Transition
}

const (
	s     = time.Second
	start = 1 * s
	round = 3 * s // when the round begins that is judged
	last  = 11 * s
)

func stage(t *testing.T) *staged {
	t.Helper()
	g := &staged{r1: &node{name: "r1"}, r2: &node{name: "r2", index: 1}, records: map[*node][]daemon.Transition{}}
	o := &observer{nodes: []*node{g.r1, g.r2}, seen: map[netip.Addr][]change{}, at: last}
	g.Arena = &Arena{Plan: Plan{Shape: Shape{Routers: 2}}, nodes: o.nodes, observer: o, figures: map[string]time.Duration{}, proven: map[string]int{}}
	g.witness = witness{
		stall: func(time.Duration) time.Duration { return 0 },
		adverts: func(from time.Duration, host string) []lab.Frame {
			return slices.DeleteFunc(slices.Clone(g.adverts), func(f lab.Frame) bool { return f.At < from || host != "" && f.Host != host })
		},
		history:  func(n *node) ([]daemon.Transition, error) { return g.records[n], nil },
		restored: func(*node, virtual) bool { return false },
	}
	for _, v := range routers {
		for _, p := range v.addresses {
			o.seen[p.Addr()] = []change{{start, 1}}
		}
	}
	g.speaks("r1", start, last)
	return g
}

// speaks lets a host advertise every router; silent takes adverts away again.
func (g *staged) speaks(host string, from, to time.Duration) {
	for at := from; at <= to; at += interval {
		for _, v := range routers {
			g.adverts = append(g.adverts, lab.Frame{At: at, Host: host, Advert: &lab.Advert{VRID: v.vrid, Priority: 100}})
		}
	}
	slices.SortStableFunc(g.adverts, func(a, b lab.Frame) int { return int(a.At - b.At) })
}

func (g *staged) silent(host string, from, to time.Duration) {
	g.adverts = slices.DeleteFunc(g.adverts, func(f lab.Frame) bool { return f.Host == host && f.At > from && f.At < to })
}

// held lets an address have holders from an instant on.
func (g *staged) held(a netip.Addr, at time.Duration, holders set) {
	g.observer.seen[a] = append(g.observer.seen[a], change{at, holders})
}

func (g *staged) allHeld(at time.Duration, holders set) {
	for _, v := range routers {
		for _, p := range v.addresses {
			g.held(p.Addr(), at, holders)
		}
	}
}

// why lets a host have a record of becoming Active of all its routers.
func (g *staged) why(n *node, at time.Duration) {
	for _, v := range routers {
		g.records[n] = append(g.records[n], daemon.Transition{Router: v.name, To: "active", Reason: "nobody was heard", At: time.Now().Add(at - lab.Now())})
	}
}

// deed is a fault of a kind on a host in the round.
func (g *staged) deed(kind string, n *node, from, to time.Duration) *deed {
	k := *kindOf(kind)
	k.trace = nil
	return &deed{Arena: g.Arena, Act: Act{Kind: kind}, kind: &k, node: n, begin: from, end: to, alone: true}
}

const (
	onR1 set = 1
	onR2 set = 2
)

var four, six = routers[0].addresses[0].Addr(), routers[1].addresses[1].Addr()

func TestLaws(t *testing.T) {
	for _, c := range []struct {
		law    string
		broken func(g *staged) []*deed
		want   string // "" for one that keeps the law
	}{
		{"nothing happens", func(g *staged) []*deed { return []*deed{g.deed("garbage", g.r1, round, round)} }, ""},
		{"a takeover within its bounds", func(g *staged) []*deed {
			g.takeover(round+700*ms, round+1500*ms)
			return []*deed{g.deed("kill", g.r1, round, round+300*ms)}
		}, ""},
		{"never two holders", func(g *staged) []*deed {
			g.held(four, round+s, onR1|onR2)
			g.held(four, round+s+margin+100*ms, onR1)
			g.why(g.r2, round+s)
			return []*deed{g.deed("stop", g.r1, round, round)}
		}, "10.77.0.100 held by r1 r2"},
		{"never two holders longer than a lifetime after a kill", func(g *staged) []*deed {
			g.takeover(round+700*ms, round+lifetime+margin+100*ms)
			return []*deed{g.deed("kill", g.r1, round, round+300*ms)}
		}, "held by r1 r2"},
		{"never two holders before the fault", func(g *staged) []*deed {
			g.held(six, round+100*ms, onR1|onR2)
			g.held(six, round+800*ms, onR1)
			g.why(g.r2, round+100*ms)
			return []*deed{g.deed("lose", g.r1, round+s, round+2*s)}
		}, "fd77::102 held by r1 r2"},
		{"never two holders at the end", func(g *staged) []*deed {
			g.held(six, last-s, onR1|onR2)
			g.why(g.r2, last-s)
			return []*deed{g.deed("flap", g.r1, round, round+s)}
		}, "fd77::102 held by r1 r2"},
		{"never nobody", func(g *staged) []*deed {
			g.held(six, round+s, 0)
			g.held(six, round+s+margin+100*ms, onR1)
			g.why(g.r1, round+s)
			return []*deed{g.deed("stop", g.r1, round, round)}
		}, "fd77::102 held by nobody"},
		{"never nobody longer than a takeover takes", func(g *staged) []*deed {
			g.allHeld(round+100*ms, 0)
			g.allHeld(round+down+margin+200*ms, onR2)
			g.why(g.r2, round+down+margin)
			g.silent("r1", round, last+s)
			g.speaks("r2", round+s, last)
			return []*deed{g.deed("kill", g.r1, round, round+300*ms)}
		}, "held by nobody"},
		{"adverts of a healthy Active never pause", func(g *staged) []*deed {
			g.silent("r1", round+s, round+s+600*ms)
			return []*deed{g.deed("kill", g.r2, round, round+3*s)}
		}, "four of r1 paused for 600ms"},
		{"adverts never pause for ever", func(g *staged) []*deed {
			g.silent("r1", round+s, last+s)
			return []*deed{g.deed("kill", g.r2, round, round+300*ms)}
		}, "paused for 7s"},
		{"adverts never pause until another host takes over", func(g *staged) []*deed {
			g.allHeld(round+s+750*ms, onR2)
			g.why(g.r2, round+s+700*ms)
			g.silent("r1", round+s, last+s)
			g.speaks("r2", round+s+700*ms, last)
			return []*deed{g.deed("no protocol 112", g.r2, round, round+100*ms)}
		}, "paused for 750ms"},
		{"adverts never pause where the round begins", func(g *staged) []*deed {
			g.silent("r1", round-200*ms, round+400*ms)
			return []*deed{g.deed("garbage", g.r1, round+100*ms, round+100*ms)}
		}, "paused for 600ms"},
		{"a pause of the one that is frozen is its own", func(g *staged) []*deed {
			g.silent("r1", round, round+600*ms)
			return []*deed{g.deed("freeze", g.r1, round, round+500*ms)}
		}, ""},
		{"faults that touch nothing move nothing", func(g *staged) []*deed {
			g.allHeld(round+s, onR2)
			g.why(g.r2, round+s)
			g.silent("r1", round+s, last+s)
			g.speaks("r2", round+s, last)
			return []*deed{g.deed("hogs", g.r1, round, round+s)}
		}, "four moved from r1 to r2"},
		{"history says why", func(g *staged) []*deed {
			g.takeover(round+700*ms, round+1500*ms)
			g.records = nil
			return []*deed{g.deed("kill", g.r1, round, round+300*ms)}
		}, "its history does not say why"},
		{"history says why with a reason", func(g *staged) []*deed {
			g.takeover(round+700*ms, round+1500*ms)
			g.records[g.r2][0].Reason = ""
			return []*deed{g.deed("kill", g.r1, round, round+300*ms)}
		}, "r2 got 10.77.0.100 and its history does not say why"},
	} {
		t.Run(c.law, func(t *testing.T) {
			g := stage(t)
			g.judge(round, round+4*s, c.broken(g))
			told := strings.Join(g.Failures(), "\n")
			if c.want == "" && told != "" || !strings.Contains(told, c.want) {
				t.Errorf("judged: %q, want %q", told, c.want)
			}
		})
	}
}

// takeover: r2 has everything from an instant on, r1 until another.
func (g *staged) takeover(at, until time.Duration) {
	g.allHeld(at, onR1|onR2)
	g.allHeld(until, onR2)
	g.why(g.r2, at)
	g.silent("r1", round, last+s)
	g.speaks("r2", at-30*ms, last)
}

// At rest exactly one host has all addresses of a router, and nobody else speaks for it.
func TestLawOfRest(t *testing.T) {
	for _, c := range []struct {
		law    string
		broken func(g *staged)
		want   string
	}{
		{"rest", func(*staged) {}, ""},
		{"two holders", func(g *staged) { g.held(four, last-s, onR1|onR2) }, "is held by r1 r2"},
		{"nobody", func(g *staged) { g.held(six, last-s, 0) }, "by nobody"},
		{"addresses of one router on two hosts", func(g *staged) { g.held(six, last-s, onR2) }, "fe80::62/64 is held by r1, fd77::102/64 by r2"},
		{"two speak", func(g *staged) { g.speaks("r2", last-s, last) }, "r2 speaks for four"},
		{"nobody speaks", func(g *staged) { g.silent("r1", last-s, last+s) }, "nobody speaks for four"},
		{"another than the holder speaks", func(g *staged) { g.silent("r1", last-s, last+s); g.speaks("r2", last-s, last) }, "r2 speaks for four"},
		{"not the preferred host", func(g *staged) {
			g.Plan.Shape.Preempt = true
			g.allHeld(last-s, onR2)
			g.silent("r1", last-2*s, last+s)
			g.speaks("r2", last-s, last)
		}, "four is not on the preferred host"},
		{"a service without its address", func(g *staged) { g.Plan.Shape.Services, g.dir = true, t.TempDir() }, "r1 holds the address: true, its service is up: false"},
	} {
		t.Run(c.law, func(t *testing.T) {
			g := stage(t)
			c.broken(g)
			if told := g.unrest(last); c.want == "" && told != "" || !strings.Contains(told, c.want) {
				t.Errorf("judged: %q, want %q", told, c.want)
			}
		})
	}
}

// Memory is flat: what a process has at its first rest it may exceed by memoryBound.
func TestLawOfMemory(t *testing.T) {
	g := stage(t)
	for _, c := range []struct {
		pid  int
		rss  int64
		want string
	}{
		{7, 30 << 20, ""}, {7, 30<<20 + memoryBound, ""}, {8, 200 << 20, ""}, {8, 201<<20 + memoryBound, "r1 has grown by"},
	} {
		g.judgeMemory(g.r1, c.pid, c.rss)
		if told := strings.Join(g.Failures(), "\n"); c.want == "" && told != "" || !strings.Contains(told, c.want) {
			t.Errorf("process %d with %d MiB: %q, want %q", c.pid, c.rss>>20, told, c.want)
		}
	}
}

var errUnexplained = errors.New("no record of it")

// A fault that its daemon does not name is a failure.
func TestLawOfTraces(t *testing.T) {
	g := stage(t)
	g.ctx = t.Context()
	d := g.deed("kill", g.r1, round, round+s)
	d.kind.trace = func(*deed) error { return errUnexplained }
	g.judge(round, round+4*s, []*deed{d})
	if told := strings.Join(g.Failures(), "\n"); !strings.Contains(told, "is not explained: "+errUnexplained.Error()) {
		t.Errorf("judged: %q", told)
	}
}

// What the daemons leave behind is told from what was there.
func TestLawOfLeaving(t *testing.T) {
	before := []string{"address eth0 inet 10.77.0.1/24", "link eth0 up"}
	for _, c := range []struct{ after, want []string }{
		{before, nil},
		{append(slices.Clone(before), "address eth0 inet 10.77.0.100/24"), []string{"+ address eth0 inet 10.77.0.100/24"}},
		{before[:1], []string{"- link eth0 up"}},
	} {
		if got := differences(before, c.after); !slices.Equal(got, c.want) {
			t.Errorf("differences %q, want %q", got, c.want)
		}
	}
}

// What differs though it is the same (seed 90217: the snapshot before was taken while the
// kernel still tried the host's own address).
func TestSteady(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{`address 7: eth0    inet6 fe80::1/64 scope link tentative \       valid_lft forever preferred_lft forever`,
			`address 9: eth0    inet6 fe80::1/64 scope link \       valid_lft forever preferred_lft forever`, true},
		{`address 7: eth0    inet 10.77.0.100/24 scope global \       valid_lft 3sec preferred_lft 3sec`,
			`address 7: eth0    inet 10.77.0.101/24 scope global \       valid_lft 3sec preferred_lft 3sec`, false},
	} {
		if a, b := steady(c.a), steady(c.b); (a == b) != c.same {
			t.Errorf("%q and %q are the same: %t, want %t", a, b, a == b, c.same)
		}
	}
}

// What excuses a pause is what one thread has waited, and not the sum of what all have.
func TestStarved(t *testing.T) {
	n := &node{waits: []waited{
		{1 * s, map[string]time.Duration{"a": 10 * s, "b": 20 * s}},
		{2 * s, map[string]time.Duration{"a": 10*s + 300*ms, "b": 20*s + 200*ms}},
		{3 * s, map[string]time.Duration{"a": 10*s + 300*ms, "b": 20*s + 600*ms, "c": 100 * ms}},
		{4 * s, map[string]time.Duration{"a": 19 * s, "b": 29 * s}},
	}}
	for _, c := range []struct{ from, to, want time.Duration }{
		{1100 * ms, 1900 * ms, 300 * ms}, {1100 * ms, 2900 * ms, 600 * ms}, {2100 * ms, 2900 * ms, 400 * ms}, {5 * s, 6 * s, 0},
	} {
		if got := n.starved(c.from, c.to); got != c.want {
			t.Errorf("between %s and %s: %s, want %s", c.from, c.to, got, c.want)
		}
	}
}
