package daemon_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// handOver lets a loop stand still and returns what it leaves, as the file has it.
func (g *rig) handOver() *daemon.Handoff {
	g.t.Helper()
	reply := make(chan daemon.Handoff, 1)
	g.post(daemon.HandOver{Reply: reply, Cancel: make(chan struct{})})
	if !g.done {
		g.t.Fatal("does not stand still")
	}
	b, err := json.Marshal(<-reply)
	if err != nil {
		g.t.Fatal(err)
	}
	h := new(daemon.Handoff)
	if err := json.Unmarshal(b, h); err != nil {
		g.t.Fatal(err)
	}
	return h
}

// follow is the process after, with the ports of the one before.
func (g *rig) follow(h *daemon.Handoff, gap time.Duration, cfg *daemon.Config, change ...func(*daemon.Ports)) {
	g.t.Helper()
	g.now += gap
	g.took()
	g.sent, g.wants, g.done = nil, nil, false
	ports := g.ports()
	ports.Handoff = h
	ports.Past = g.records
	for _, f := range change {
		f(&ports)
	}
	g.loop = daemon.New(cfg, ports)
	g.turn()
}

// A restart leaves everything as it is: no goodbye, no wish, no transition; and the
// first thing the successor sends is an advert.
func TestHandOver(t *testing.T) {
	g := newRig(t, web(priority(150)))
	g.active()
	before := g.history()
	g.took()
	h := g.handOver()
	g.wantCalls()
	g.follow(h, 120*ms, config(web(priority(150))))
	g.wantCallsButWatch()
	if st := g.state("web"); st != "active" {
		t.Fatalf("%s at the start", st)
	}
	g.up()
	if calls := g.took(); !strings.HasPrefix(strings.Join(calls[1:], "; "), "listen 7 IPv4; send 52 150 from 10.0.0.1; want 1.1 [10.0.0.53/24]") &&
		!strings.Contains(strings.Join(calls, "; "), "send 52 150 from 10.0.0.1; want 1.1 [10.0.0.53/24]") {
		t.Errorf("calls %q", calls)
	}
	g.apply()
	g.wait(3 * s)
	if got := g.history(); got != before {
		t.Errorf("history\n%s\nbefore\n%s", got, before)
	}
	if n := len(g.sent); n < 3 || n > 4 {
		t.Errorf("%d adverts in 3 s", n)
	}
	if rec := g.records[len(g.records)-1]; len(rec.Followed) == 0 || !strings.Contains(rec.Followed[len(rec.Followed)-1].What+rec.Followed[0].What, "taken over") && !followed(rec, "taken over") {
		t.Errorf("followed by %+v", rec.Followed)
	}
}

func followed(t daemon.Transition, what string) bool {
	for _, f := range t.Followed {
		if f.What == what {
			return true
		}
	}
	return false
}

// A degraded host stays degraded: its checks are known before they run.
func TestHandOverOfChecks(t *testing.T) {
	cfg := config(web(priority(150), func(c *daemon.RouterConfig) {
		c.Depends = []checks.Dependency{{Checks: []string{"http.site"}, Influence: checks.Degrade}}
	}))
	cfg.Checks = []checks.Spec{{Name: "http.site", Interval: s, Timeout: s, Rise: 2, Fall: 2, Probe: checks.HTTP{URL: "http://127.0.0.1/"}}}
	g := &rig{t: t, now: epoch}
	g.loop = daemon.New(cfg, g.ports())
	g.up()
	g.post(checks.Done{Check: 1, Run: g.probes[0].Run, Result: checks.Result{Outcome: checks.Failed, Detail: "refused"}})
	if p := g.status("web").Routers[0].EffectivePriority; p > 50 {
		t.Fatalf("not degraded: %d", p)
	}
	g.wait(4 * s)
	g.apply()
	h := g.handOver()
	g.follow(h, 50*ms, cfg)
	g.up()
	if p := g.status("web").Routers[0].EffectivePriority; p > 50 {
		t.Errorf("priority %d after the restart", p)
	}
	for _, a := range g.sent {
		if a.priority > 50 {
			t.Errorf("advertised %d", a.priority)
		}
	}
}

// Steps that are up stay up, after a look; a step that is being moved is waited for.
func TestHandOverOfServices(t *testing.T) {
	h := servingSite(t)
	h.did()
	cfg := config(web())
	cfg.Services = []daemon.ServiceConfig{group1()}
	hand := h.g.handOver()
	h.open, h.cut = nil, nil
	h.g.follow(hand, 100*ms, cfg, func(p *daemon.Ports) { p.Agents = h })
	h.g.up()
	h.g.apply()
	h.pass(2 * s)
	h.want(h.did(), "")
	h.want(h.group().State, "up")
	if c := h.group().Claim; !strings.Contains(c, "all the time") && c != "" {
		t.Errorf("claim %q", c)
	}

	h.command(daemon.Command{Verb: daemon.CommandGroupRestart, Name: "site", Step: "apache"})
	reply := make(chan daemon.Handoff, 1)
	cancel := make(chan struct{})
	h.g.post(daemon.HandOver{Reply: reply, Cancel: cancel})
	if h.g.done {
		t.Fatal("stood still in the middle of a step")
	}
	h.pass(s)
	if !h.g.done {
		t.Error("did not stand still after it")
	}
}

// A hook that hangs is not waited for: the next process tells the last transition.
func TestHandOverTellsHooks(t *testing.T) {
	for _, state := range []string{"backup", "active"} {
		g := newRig(t, web(hooked("h"))).up()
		if state == "active" {
			g.active()
		}
		jobs := len(g.jobs)
		reply := make(chan daemon.Handoff, 1)
		g.post(daemon.HandOver{Reply: reply, Cancel: make(chan struct{})})
		for range 70 {
			if g.done {
				break
			}
			if state == "backup" {
				g.receive(52, 200)
			}
			g.wait(100 * ms)
		}
		if !g.done || jobs == 0 {
			t.Fatalf("%s: stood still %t after %d hooks", state, g.done, jobs)
		}
		h := <-reply
		g.follow(&h, 100*ms, config(web(hooked("h"))))
		g.up()
		g.apply()
		g.wait(100 * ms)
		if got := g.state("web"); len(g.jobs) != jobs+1 || got != state {
			t.Errorf("%d hooks after the restart, %s", len(g.jobs)-jobs, got)
		}
	}
}

// Taken back, the question leaves nothing behind.
func TestHandOverCanceled(t *testing.T) {
	h := servingSite(t)
	h.command(daemon.Command{Verb: daemon.CommandGroupRestart, Name: "site", Step: "apache"})
	cancel := make(chan struct{})
	h.g.post(daemon.HandOver{Reply: make(chan daemon.Handoff, 1), Cancel: cancel})
	close(cancel)
	h.pass(3 * s)
	if h.g.done {
		t.Error("stood still all the same")
	}
}

// Too late: the peers have replaced us, so it begins anew.
func TestHandOverTooLate(t *testing.T) {
	g := newRig(t, web(priority(150)))
	g.active()
	h := g.handOver()
	g.follow(h, 4*s, config(web(priority(150))))
	g.up()
	if st := g.state("web"); st != "backup" {
		t.Errorf("%s", st)
	}
}

// Mortal addresses: as long as the router speaks the kernel is told so, four times
// a second, and not while it listens after a stall.
func TestSignsOfLife(t *testing.T) {
	g := newRig(t, web(func(c *daemon.RouterConfig) { c.Mortal = true }))
	g.active()
	if w := g.wants[len(g.wants)-1]; w.Lifetime != 3*s {
		t.Errorf("lifetime %v, Active_Down_Interval is 3.609 s", w.Lifetime)
	}
	g.renewed = nil
	g.wait(2 * s)
	if n := len(g.renewed); n != 8 {
		t.Errorf("%d signs of life in 2 s", n)
	}
	g.now += 5 * s // the process stood still
	g.renewed = nil
	g.turn()
	g.wait(900 * ms)
	if n := len(g.renewed); n != 0 {
		t.Errorf("%d signs of life while it listens", n)
	}
	g.wait(s)
	if len(g.renewed) == 0 {
		t.Error("none afterwards")
	}
}

// The cable is out when the next process comes: what it never held goes with its first
// word, or the kernel would keep it for a second, and another host has it by then.
func TestHandOverToADeadLink(t *testing.T) {
	g := newRig(t, web(priority(150)))
	g.active()
	h := g.handOver()
	g.follow(h, 120*ms, config(web(priority(150))))
	g.post(level(func(k *actions.LinkChanged) { k.Up = false }), ready(eth0, vrrp.IPv4))
	if st := g.state("web"); st != "initialize" {
		t.Fatalf("%s without a carrier", st)
	}
	if n := len(g.wants); n == 0 || g.wants[n-1].Active || !g.wants[n-1].Inherited || len(g.wants[n-1].Addresses) != 1 {
		t.Errorf("wanted %+v", g.wants)
	}
	g.apply()
	// From then on the kernel's keeper knows what is held here.
	g.post(level())
	g.wait(5 * s)
	g.apply()
	g.post(level(func(k *actions.LinkChanged) { k.Up = false }))
	if w := g.wants[len(g.wants)-1]; w.Active || w.Inherited || len(w.Addresses) != 0 {
		t.Errorf("wanted later %+v", w)
	}
}
