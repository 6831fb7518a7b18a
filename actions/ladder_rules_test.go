package actions_test

import (
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// The rules are those of the design's section on service groups, by number.

// Rule 1: one step at a time, from the bottom up and from the top down.
func TestLadderRule1OneStepAtATime(t *testing.T) {
	g := rested(t, group(step("a"), step("b"), step("c")))
	g.play(`
		is bottom known idle height=0 next=never
		aim up => start a
		a ok   => a:up, start b
		b ok   => b:up, start c
		is !ready height=2
		c ok   => c:up
		is ready idle height=3 next=never
		aim down => stop c
		is !ready !bottom
		c ok   => look c
		c down => c:down, stop b
		b ok   => look b
		b down => b:down, stop a
		a ok   => look a
		is !bottom
		a down => a:down
		is bottom
	`)
}

// Rule 2: the goal is a level. Ten flips during one slow step are the last one.
func TestLadderRule2FlipsCollapse(t *testing.T) {
	g := raised(t, group(step("a"), step("b")))
	g.play("aim down => stop b")
	for range 5 {
		g.play(`
			aim up   => -
			aim down => -
		`)
	}
	g.play(`
		b ok   => look b
		aim up => -
		b down => b:down, start b
		b ok   => b:up
		is ready
	`)
	g = rested(t, group(step("a"), step("b")))
	g.play("aim up => start a\naim down => cancel a")
	for range 5 {
		g.play("aim up => -\naim down => -") // it is canceled once
	}
	g.play(`
		aim up          => -
		a canceled down => a:down, start a
	`)
}

// A step that is being stopped is not up, whatever is wanted meanwhile.
func TestLadderStoppingIsNotReady(t *testing.T) {
	g := raised(t, group(step("a"), step("b")))
	g.play(`
		aim down => stop b
		aim up   => -
		is !ready b=neither
		b ok     => look b
		is !ready
		b down   => b:down, start b
		is !ready b=neither
		b ok     => b:up
		is ready
	`)
}

// Rule 3: an interrupted Up is neither; its Down runs before anything else.
func TestLadderRule3InterruptedUp(t *testing.T) {
	g := rested(t, group(step("a"), step("b")))
	g.play(`
		aim up     => start a
		a ok       => a:up, start b
		aim down   => cancel b
		b canceled => b:neither, stop b
		aim up     => -
		b ok       => look b
		b down     => b:down, start b
	`)
	// What came up all the same is up, and comes down as anything else.
	g.play(`
		aim down => cancel b
		b ok     => b:up, stop b
		b ok     => look b
		b down   => b:down, stop a
	`)
	// A Down is never interrupted.
	g.play(`
		aim up   => -
		aim down => -
		a ok     => look a
		a down   => a:down
	`)
}

// Rule 4: a flip to up during a Down waits for it, then climbs from there.
func TestLadderRule4FlipDuringDown(t *testing.T) {
	g := raised(t, group(step("a"), step("b"), step("c")))
	g.play(`
		aim down => stop c
		c ok     => look c
		c down   => c:down, stop b
		aim up   => -
		b ok     => look b
		b down   => b:down, start b
		b ok     => b:up, start c
		c ok     => c:up
		is ready
	`)
}

// Rule 5: retries, each after a stop and a pause, then the host is unfit for a
// hold-off that grows.
func TestLadderRule5Unfit(t *testing.T) {
	g := rested(t, group(step("a"), step("b", retries(1))))
	g.play(`
		aim up => start a
		a ok   => a:up, start b
		b fail => b:neither, stop b
		b ok   => look b
		b down => b:down
		is !unfit next=1s
		wait   => start b
		b fail => b:neither, alarm, stop b
		is unfit
		b ok   => look b
		b down => b:down, stop a
		a ok   => look a
		is unfit
		a down => a:down
		is unfit bottom next=30s holds=1
	`)
	if u := g.l.Unfit(); u.Step != "lsb.b" || u.Why != "did not start: broken" || u.Until != g.now+30*time.Second {
		t.Errorf("unfit is %+v", u)
	}
	g.play(`
		+29s  => -
		is unfit
		+1s   => start a
		is !unfit
	`)
	g.failToClimb("is unfit next=1m0s holds=2")
	g.play("wait => start a")
	g.failToClimb("is unfit next=2m0s")
	g.play("wait => start a")
	for _, next := range []string{"4m0s", "8m0s", "10m0s", "10m0s"} {
		g.failToClimb("is unfit next=" + next)
		g.play("wait => start a")
	}
	g.failToClimb("is unfit")
	g.play(`
		clear => start a
		is !unfit holds=0
	`)
	g.failToClimb("is unfit next=30s holds=1")
}

// failToClimb goes on after "start a", and fails at once at b.
func (g *rig) failToClimb(is string) {
	g.t.Helper()
	g.play(`
		a ok   => a:up, start b
		b hopeless down => b:down, alarm, stop a
		a ok   => look a
		a down => a:down
		` + is)
}

// A start that says that nothing has happened needs no stop. Its pause holds all the same.
func TestLadderRetryWithoutStop(t *testing.T) {
	g := rested(t, group(step("a", retries(1))))
	g.play(`
		aim up      => start a
		a fail down => a:down
		is next=1s
		+500ms      => -
		+500ms      => start a
		a ok        => a:up
		is ready next=never
	`)
}

// Hopeless is not tried again, whatever the retries.
func TestLadderHopeless(t *testing.T) {
	g := rested(t, group(step("a", retries(100))))
	g.play(`
		aim up     => start a
		a hopeless => a:neither, alarm, stop a
		is unfit
		a ok       => look a
		a down     => a:down
	`)
	// What is not there cannot be stopped, but that does not make it stuck.
	g = newRig(t, group(step("a")))
	g.play(`
		begin      => look a
		a hopeless => prepare a
		a hopeless => -
		is known unqualified a=down
		aim up     => start a
		a hopeless => a:neither, alarm, stop a
		a hopeless => look a
		a hopeless => a:down
		is unfit bottom
	`)
	// What was up is another thing: there, not knowing is not enough.
	g = raised(t, group(step("a")))
	g.play(`
		aim down   => stop a
		a hopeless => look a
		a hopeless => a:neither
		is !bottom next=1s
	`)
}

// Rule 7: a promotion retries by itself and tells what it waits for.
func TestLadderRule7Progress(t *testing.T) {
	g := rested(t, group(step("a")))
	g.play(`
		aim up => start a
		progress a waiting for web2 to demote: try 4 => -
	`)
	if s := g.l.View(g.now).Steps[0]; s.Progress != "waiting for web2 to demote: try 4" || !s.Working || s.Doing != actions.Start {
		t.Errorf("shows %+v", s)
	}
	g.play("a ok => a:up")
	if s := g.l.View(g.now).Steps[0]; s.Progress != "" {
		t.Errorf("still shows %q", s.Progress)
	}
}

// Rule 9: at start, what is up is adopted if it is wanted, and comes down from the top if not.
func TestLadderRule9Start(t *testing.T) {
	spec := group(step("a"), step("b"), step("c"))
	g := newRig(t, spec)
	g.play(`
		aim up => look a, look b, look c
		is !known
		c up   => c:up
		a up   => a:up
		b up   => b:up
		is ready idle known
	`)
	g = newRig(t, spec)
	g.play(`
		begin  => look a, look b, look c
		a up   => a:up
		b down => -
		c up   => c:up, stop c
		c ok   => look c
		c down => c:down, stop a
		a ok   => look a
		a down => a:down, prepare a, prepare b, prepare c
	`)
	// A hole: what stands on it comes down first.
	g = newRig(t, spec)
	g.play(`
		aim up => look a, look b, look c
		a up   => a:up
		b neither => -
		c up   => c:up, stop c
		c ok   => look c
		c down => c:down, stop b
		b ok   => look b
		b down => b:down, start b
	`)
	// What cannot be told comes down before anything else.
	g = newRig(t, group(step("a")))
	g.play(`
		aim up => look a
		a fail => stop a
		a ok   => look a
		a down => a:down, start a
	`)
	// A look that did not take place is made again.
	g = newRig(t, group(step("a")))
	g.play(`
		begin      => look a
		a canceled => -
		is next=1s
		wait       => look a
		a down     => prepare a
	`)
}

// Rule 12: hold-offs expire and are visible; after ten calm minutes they are forgotten.
func TestLadderRule12Calm(t *testing.T) {
	g := rested(t, group(step("a"), step("b")))
	g.play("aim up => start a")
	g.failToClimb("is unfit next=30s holds=1")
	if v := g.l.View(g.now); v.Unfit == nil || v.Unfit.Step != "lsb.b" || v.Unfit.Why != "did not start: broken" && v.Unfit.Why != "did not start: not installed" {
		t.Errorf("shows %+v", v.Unfit)
	}
	g.play(`
		wait => start a
		a ok => a:up, start b
		b ok => b:up
		is ready holds=1 next=10m0s
		+9m  => -
		is holds=1
		wait => -
		is holds=0 next=never
	`)
	// A hold-off ends, and is what it was, although nothing is wanted meanwhile.
	g = rested(t, group(step("a"), step("b")))
	g.play("aim up => start a")
	g.failToClimb("is unfit next=30s")
	g.play(`
		aim down => -
		aim up   => -
		is unfit
		aim down => -
		wait     => -
		is !unfit bottom
		aim up   => start a
	`)
}

// A stale answer, or one twice, is nobody's.
func TestLadderStaleDone(t *testing.T) {
	g := rested(t, group(step("a")))
	g.play("aim up => start a\nstale => -")
	job := g.flight[0].Job
	g.play("a ok => a:up")
	g.step(actions.Done{Group: 1, Job: job})
	g.step(actions.Done{Group: 1})
	g.step(actions.Progress{Group: 1, Job: job, Text: "late"})
	g.play("is ready idle\nleave => stop a\na ok => look a\na down => a:down\nis bottom next=never")
}
