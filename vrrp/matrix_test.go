package vrrp_test

import (
	"testing"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// The matrix of reference/vrrp.md 4.4: every state meets every event, in both
// families. RFC 9568 6.4.1–6.4.3
func TestMatrix(t *testing.T) {
	states := map[string]func(*testing.T, makeSpec) *rig{
		"initialize":        func(t *testing.T, spec makeSpec) *rig { return newRig(t, spec()) },
		"initialize, owner": func(t *testing.T, spec makeSpec) *rig { return newRig(t, spec(priority(255))) },
		"backup":            func(t *testing.T, spec makeSpec) *rig { return heard(t, spec()) },
		"backup, no preempt": func(t *testing.T, spec makeSpec) *rig {
			return heard(t, spec(noPreempt))
		},
		"active": func(t *testing.T, spec makeSpec) *rig { return promoted(t, spec()) },
	}
	events := map[string]func(*rig) []vrrp.Effect{
		"startup":  func(g *rig) []vrrp.Effect { return g.linkUp() },
		"shutdown": func(g *rig) []vrrp.Effect { return g.step(vrrp.Shutdown{Cause: vrrp.CauseShutdown}) },
		"timer": func(g *rig) []vrrp.Effect {
			if due := g.r.Deadline(); due != vrrp.Never {
				g.now = due
			}
			return g.step(vrrp.Timeout{})
		},
		"p=0":         func(g *rig) []vrrp.Effect { return g.recv(g.peer(), 0, 2*s) },
		"p>P":         func(g *rig) []vrrp.Effect { return g.recv(g.low(), 101, s) },
		"p=P src>me":  func(g *rig) []vrrp.Effect { return g.recv(g.peer(), 100, s) },
		"p=P src<me":  func(g *rig) []vrrp.Effect { return g.recv(g.low(), 100, s) },
		"0<p<P":       func(g *rig) []vrrp.Effect { return g.recv(g.peer(), 99, s) },
		"p>P learned": func(g *rig) []vrrp.Effect { return g.recv(g.peer(), 101, 2*s) },
	}
	const answered = "tell lower-priority-active; send 100; announce again"
	cells := map[string]map[string]string{
		"initialize": {"startup": "initialize>backup startup"},
		"initialize, owner": {
			"startup": "send 255; initialize>active owner-startup; hold; announce",
		},
		"backup": {
			"shutdown":    "backup>initialize shutdown",
			"timer":       "send 100; backup>active no-response; hold; announce",
			"p=0":         "tell interval-mismatch",
			"p>P learned": "tell interval-mismatch",
		},
		"backup, no preempt": {
			"shutdown":    "backup>initialize shutdown",
			"timer":       "send 100; backup>active no-response; hold; announce",
			"p=0":         "tell interval-mismatch",
			"p>P learned": "tell interval-mismatch",
		},
		"active": {
			"shutdown":    "send 0; active>initialize shutdown; release",
			"timer":       "send 100",
			"p=0":         "tell interval-mismatch; send 100",
			"p>P":         "send 100; active>backup higher-priority; release",
			"p>P learned": "tell interval-mismatch; send 100; active>backup higher-priority; release",
			"p=P src>me":  "send 100; active>backup higher-address; release",
			"p=P src<me":  answered,
			"0<p<P":       answered,
		},
	}
	// What the timer is afterwards, from the instant of the event. Cells that
	// leave it alone are not here.
	down := vrrp.ActiveDownInterval(s, 100)
	timers := map[string]map[string]int64{
		"backup": {"p=0": int64(vrrp.SkewTime(s, 100)), "p>P": int64(down), "p=P src>me": int64(down),
			"p=P src<me": int64(down), "p>P learned": int64(2 * down), "timer": int64(s)},
		"active": {"timer": int64(s), "p=0": int64(s), "p>P": int64(down), "p>P learned": int64(2 * down),
			"p=P src>me": int64(down), "p=P src<me": int64(s), "0<p<P": int64(s)},
	}
	timers["backup, no preempt"] = map[string]int64{"0<p<P": int64(down)}
	for event, d := range timers["backup"] {
		timers["backup, no preempt"][event] = d
	}
	for state, begin := range states {
		for event, happen := range events {
			t.Run(state+"/"+event, func(t *testing.T) {
				bothFamilies(t, func(t *testing.T, spec makeSpec) {
					g := begin(t, spec)
					g.now += 123 * ms
					before := g.r.Deadline()
					fx := happen(g)
					g.want(fx, cells[state][event])
					if want, ok := timers[state][event]; ok {
						got := int64(g.r.Deadline() - g.now)
						if got < want || got >= want+int64(ms) || got != want && g.r.State() == vrrp.Backup {
							t.Errorf("the timer is %d ns from now, want %d", got, want)
						}
					} else if len(fx) == 0 && g.r.Deadline() != before {
						t.Errorf("the timer moved by %v", g.r.Deadline()-before)
					}
				})
			})
		}
	}
}
