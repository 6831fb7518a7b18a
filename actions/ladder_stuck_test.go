package actions_test

import (
	"testing"

	"github.com/backbeat-ha/backbeat/actions"
)

// Rule 6: a Down that fails is tried again, then forced; then the step is
// stuck and nothing below it is touched.
func TestLadderRule6Stuck(t *testing.T) {
	g := jammed(t, group(step("a"), step("b")))
	g.play(`
		is stuck !bottom a=up b=neither next=5s
		wait => look b
		b up => -
		is stuck next=5s
		wait => look b
		b fail => -
		wait => look b
		b neither => -
		clear => stop b
		is !stuck
		b ok => look b
		b up => b:neither
		+1s  => stop b
		b ok => look b
		b down => b:down, stop a, qualify b
	`)
	// The fact frees it.
	g = jammed(t, group(step("a"), step("b")))
	g.play(`
		wait => look b
		b down => b:down, stop a
		is !stuck
	`)
	// Wanted again: adopted when it is up, else brought down first.
	g = jammed(t, group(step("a"), step("b")))
	g.play(`
		aim up    => -
		wait      => look b
		b neither => -
		is stuck next=5s
		wait      => look b
		b up      => b:up
		is ready !stuck
		aim down  => stop b
	`)
}

// jammed returns a ladder of a and b whose b cannot be stopped.
func jammed(t testing.TB, spec actions.LadderSpec) *rig {
	g := raised(t, spec)
	g.play(`
		aim down => stop b
		b fail   => look b
		b up     => b:neither
		is next=1s
		wait     => stop b
		b fail   => look b
		b up     => b:neither, force-stop b
		b fail   => look b
	`)
	g.event("b up")
	g.told(actions.Alarm, "lsb.b is stuck: it cannot be brought down, and nothing below it is touched: broken")
	return g
}

// A stuck step may be what the host reboots for, once.
func TestLadderStuckReboot(t *testing.T) {
	spec := group(step("a"), step("b"))
	spec.OnStuck = actions.StuckReboot
	g := jammed(t, spec)
	if got := render(g.said); got != "alarm, reboot" {
		t.Fatal(got)
	}
	g.play("reboot fail => alarm")
	g.told(actions.Alarm, "this host could not be rebooted: broken")
	g.play(`
		wait => look b
		b up => -
		wait => look b
		b down => b:down, stop a
	`)
	// Nor for the same step again, when another one above it, never seen, is freed.
	g = jammed(t, spec)
	more := group(step("a"), step("b"), step("c"))
	more.OnStuck = actions.StuckReboot
	g.others = map[string]actions.LadderSpec{"more": more}
	g.play(`
		configure more => look c
		c fail => stop c
		c fail => look c
		c fail => c:neither
		wait   => stop c
		c fail => look c
		c fail => c:neither, force-stop c
		c fail => look c
		c fail => alarm
		+10s   => look c
		c down => c:down, look b
		is stuck
	`)
	// Not during maintenance; after it, if nobody has helped.
	g = raised(t, spec)
	g.play(`
		aim down => stop b
		b fail   => look b
		b up     => b:neither
		wait     => stop b
		b fail   => look b
		b up     => b:neither, force-stop b
		manage off => -
		b fail   => look b
		b up     => alarm
		+1m      => -
		manage on => look a, look b
		a up     => -
		b up     => -
		wait     => look b, reboot
		b up     => -
		wait     => look b
	`)
	// What was never seen up, nor started by us, is no reason: it might reboot at each boot.
	g = newRig(t, spec)
	g.play(`
		begin  => look a, look b
		a down => -
		b fail => stop b
		b fail => look b
		b fail => b:neither
		wait   => stop b
		b fail => look b
		b fail => b:neither, force-stop b
		b fail => look b
		b fail => alarm
		is stuck
	`)
}

// Rule 11: the fact decides, not the exit code.
func TestLadderRule11FactDecides(t *testing.T) {
	g := raised(t, group(step("a"), step("b")))
	g.play(`
		aim down => stop b
		b fail   => look b
		b down   => b:down, stop a
		a ok     => look a
		a up     => a:neither
		wait     => stop a
		a ok     => look a
		a fail   => a:neither, force-stop a
		a fail   => look a
		a down   => a:down
		is bottom
	`)
	// Where there is no fact to be had, the exit code must do.
	g = raised(t, group(step("a", without)))
	g.play(`
		aim down  => stop a
		a fail    => look a
		a unknown => a:neither
		wait      => stop a
		a ok      => look a
		a unknown => a:down
	`)
}

// What a stop that succeeded had to do is told: whom it ended.
func TestLadderTellsWhatTheStopDid(t *testing.T) {
	g := raised(t, group(step("a")))
	g.play("aim down => stop a")
	g.answer(0, actions.Done{OK: true, State: actions.Down, Detail: "not mounted; ended: bash (pid 7) by KILL"})
	g.answer(0, actions.Done{OK: true, State: actions.Down, Detail: "not mounted"})
	if got := g.said[0].Text; got != "is down: not mounted; ended: bash (pid 7) by KILL" {
		t.Errorf("told %q", got)
	}
}
