package actions_test

import (
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// A host that does not serve looks at its steps at the pace of their monitors: what
// somebody else has brought up there is told, and left alone.
func TestLadderStray(t *testing.T) {
	spec := group(step("a"), step("b", monitored(1, 1)))
	spec.Qualify = 5 * time.Second
	g := rested(t, spec)
	stray := func() string { return g.l.View(g.now).Steps[1].Stray }
	g.play(`
		+5s       => qualify a, qualify b
		a ok      => -
		b ok      => -
		+5s       => qualify a, look b
		a ok      => -
		b up      => warn, qualify b
		b ok      => -
		is b=down bottom
	`)
	if stray() == "" {
		t.Error("not seen")
	}
	g.play(`
		+5s       => qualify a, qualify b
		a ok      => -
		b ok      => -
		+5s       => qualify a, look b
		a ok      => -
		# told once; and what cannot be found out changes nothing
		b up      => qualify b
		b ok      => -
		+10s      => qualify a, look b
		a ok      => -
		b fail    => qualify b
		b ok      => -
	`)
	if stray() == "" {
		t.Error("forgotten")
	}
	g.play(`
		+10s      => qualify a, look b
		a ok      => -
		b down    => qualify b
		b ok      => -
	`)
	if stray() != "" {
		t.Errorf("still %q", stray())
	}
	// It does not hold up a climb, and is forgotten by it.
	g.play(`
		+10s      => qualify a, look b
		a ok      => -
		b up      => warn, qualify b
		b ok      => -
		+10s      => qualify a, look b
		a ok      => -
		aim up    => start a
		a ok      => a:up, cancel b
		b canceled => start b
		b ok      => b:up
		is ready
	`)
	if stray() != "" {
		t.Errorf("it is ours, and still %q", stray())
	}
}

// Where nobody asks for it there is no look: without qualify, without a monitor, in
// maintenance.
func TestLadderStrayIsNotLookedFor(t *testing.T) {
	slow := func(q time.Duration, s actions.StepSpec) *rig {
		spec := group(s)
		spec.Qualify = q
		return rested(t, spec)
	}
	for name, g := range map[string]*rig{"no qualify": slow(0, step("a", monitored(1, 1))), "no monitor": slow(time.Minute, step("a"))} {
		g.settle("+20s", actions.Down)
		g.event("+20s")
		if said := render(g.said); strings.Contains(said, "look") {
			t.Errorf("%s: %s", name, said)
		}
	}
	g := slow(5*time.Second, step("a", monitored(1, 1)))
	g.play("manage off => -\n+20s => -")
}
