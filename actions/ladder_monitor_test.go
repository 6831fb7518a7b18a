package actions_test

import (
	"testing"

	"github.com/backbeat-ha/backbeat/actions"
)

// Rule 8: a failed monitor is repaired in place so often within a window, then rule 5.
func TestLadderRule8Restarts(t *testing.T) {
	g := raised(t, group(step("a"), step("b", monitored(2, 1)), step("c")))
	restarted := `
		b down => b:neither, stop c
		is !ready b=neither
		c ok   => look c
		c down => c:down, stop b
		b ok   => look b
		b down => b:down, start b
		b ok   => b:up, start c
		c ok   => c:up
		is ready !unfit
	`
	g.play("is next=10s\nwait => monitor b\nb up => -\nis next=10s\nwait => monitor b" + restarted)
	g.play("wait => monitor b" + restarted)
	if s := g.l.View(g.now).Steps[1]; s.Restarts != 2 || s.Allowed != 2 || s.Counters.Restarts != 2 || s.Counters.MonitorFailures != 2 {
		t.Errorf("shows %+v", s)
	}
	g.play(`
		wait    => monitor b
		b down  => alarm, stop c
		is unfit
	`)
	if u := g.l.Unfit(); u.Why != "is down and should be up (restarted 2 times within 10m0s already)" {
		t.Error(u.Why)
	}
	// What was long ago does not count.
	g = raised(t, group(step("a"), step("b", monitored(1, 1)), step("c")))
	g.play("wait => monitor b" + restarted)
	g.play("+10m => monitor b" + restarted)
}

// Failures in a row make one; what could not be found out is none, and does
// not interrupt the row.
func TestLadderMonitorFailuresInARow(t *testing.T) {
	g := raised(t, group(step("a", monitored(1, 3))))
	g.play(`
		wait      => monitor a
		a neither => warn
		wait      => monitor a
		a down    => warn
		wait      => monitor a
		a up      => -
		wait      => monitor a
		a down    => warn
		wait      => monitor a
		a down    => warn
		wait      => monitor a
		a fail    => warn
		wait      => monitor a
		a fail    => -
		is ready
		wait      => monitor a
		a down    => a:neither, stop a
	`)
}

func TestLadderMonitorPolicies(t *testing.T) {
	g := raised(t, group(step("a"), step("b", monitored(5, 1), onFailure(actions.OnFailureFailover))))
	g.play(`
		wait   => monitor b
		b down => alarm, stop b
		is unfit
	`)
	g = raised(t, group(step("a"), step("b", monitored(5, 1), onFailure(actions.OnFailureIgnore))))
	g.play(`
		wait   => monitor b
		b down => warn
		is ready b=degraded
		wait   => monitor b
		b down => -
		wait   => monitor b
		b up   => -
		is ready b=up
		wait       => monitor b
		b degraded => warn
		is ready b=degraded
		wait       => monitor b
		b degraded => -
		wait       => monitor b
		b up       => -
		is b=up
	`)
}

// A monitor in the way of a move is canceled; its answer is waited for.
func TestLadderMonitorInTheWay(t *testing.T) {
	g := raised(t, group(step("a", monitored(1, 1)), step("b", monitored(1, 1))))
	g.play(`
		wait       => monitor a, monitor b
		aim down   => cancel b
		again      => -
		b canceled => stop b
		# the other one goes on; what it finds makes nobody unfit
		a down     => a:neither
		is !unfit
		b ok       => look b
		b down     => b:down, stop a
	`)
	// It may have found something at the last moment.
	g = raised(t, group(step("a", monitored(1, 1))))
	g.play(`
		wait     => monitor a
		aim down => cancel a
		aim up   => -
		a down   => a:neither, stop a
	`)
	g = raised(t, group(step("a", monitored(1, 1))))
	g.play(`
		wait       => monitor a
		aim down   => cancel a
		aim up     => -
		a canceled => monitor a
		a up       => -
		is ready
	`)
}

// Hands that refuse (they are closing) are not asked again at once.
func TestLadderHandsRefuse(t *testing.T) {
	g := raised(t, group(step("a", monitored(1, 1))))
	g.play(`
		wait       => monitor a
		a canceled => -
		is next=10s
		aim down   => stop a
		a canceled => look a
		a canceled => a:neither
		is next=1s
	`)
	g = rested(t, group(step("a")))
	g.play(`
		aim up          => start a
		a canceled down => a:down
		is next=1s
		wait            => start a
	`)
}

// A start above a step that breaks has nothing to stand on.
func TestLadderBreaksDuringClimb(t *testing.T) {
	g := rested(t, group(step("a", monitored(1, 1)), step("b")))
	g.play(`
		aim up     => start a
		a ok       => a:up, start b
		wait       => monitor a
		a down     => a:neither, cancel b
		b canceled => b:neither, stop b
		b ok       => look b
		b down     => b:down, stop a
		a ok       => look a
		a down     => a:down, start a
	`)
}

// An order to restart a step brings down what stands on it first.
func TestLadderRestartStep(t *testing.T) {
	g := raised(t, group(step("a"), step("b"), step("c")))
	g.play(`
		restart b => stop c
		restart b => -
		c ok      => look c
		c down    => c:down, stop b
		b ok      => look b
		b down    => b:down, start b
		b ok      => b:up, start c
		restart b => cancel c
		c ok      => c:up, stop c
		c ok      => look c
		c down    => c:down, stop b
		b ok      => look b
		b down    => b:down, start b
		b ok      => b:up, start c
		c ok      => c:up
		is ready next=never
	`)
	g.step(actions.RestartStep{Step: -1})
	g.step(actions.RestartStep{Step: 3})
	g.play("is ready idle")
}

// The limit keeps what is above it down; what is below is served.
func TestLadderLimitHeight(t *testing.T) {
	g := raised(t, group(step("a"), step("b"), step("c")))
	g.play(`
		limit 1 => stop c
		c ok    => look c
		limit 2 => -
		c down  => c:down
		is ready height=2 idle next=never
		limit 0 => stop b
		b ok    => look b
		b down  => b:down, stop a
		limit 9 => -
		a ok    => look a
		a down  => a:down, start a
		a ok    => a:up, start b
		limit 1 => cancel b
		b canceled down => b:down
		is ready height=1 idle
	`)
}

// How a host that does not serve is asked whether it could.
func TestLadderQualify(t *testing.T) {
	spec := group(step("a"), step("b"))
	spec.Qualify = 60e9
	g := newRig(t, spec)
	g.play(`
		begin  => look a, look b
		a down => -
		b down => prepare a, prepare b
		a ok   => qualify a
		b fail => warn
		is !known unqualified
		a ok   => -
		is known next=10s
		wait   => prepare b
		b ok   => qualify b
		b ok   => -
		is known !unqualified next=50s
		wait   => qualify a
		a fail => warn
		is unqualified
		wait   => qualify b
		b ok   => -
		# what it needs may have gone
		wait   => prepare a
		a ok   => qualify a
		a ok   => -
		is !unqualified
		wait   => qualify b
		b ok   => -
		# a question in the way is canceled
		wait   => qualify a
		aim up => cancel a
		aim down => -
		a canceled => qualify a
		a ok   => -
		aim up => start a
	`)
	// Without a pace it is asked once, and again when failures are forgotten.
	g = newRig(t, group(step("a")))
	g.play(`
		begin      => look a
		a down     => prepare a
		a hopeless => warn
		is known unqualified next=never
		clear      => qualify a
		is !known
		a ok       => -
		is known !unqualified next=never
		clear      => qualify a
		a fail     => warn
		clear      => prepare a
		a ok       => qualify a
		a ok       => -
		is !unqualified
	`)
}
