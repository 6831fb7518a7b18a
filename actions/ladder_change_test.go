package actions_test

import (
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// While the hands are off nothing is moved; whoever takes them back looks first.
func TestLadderManage(t *testing.T) {
	g := raised(t, group(step("a"), step("b", monitored(1, 1))))
	g.play(`
		manage off => -
		aim down   => -
		is !managed next=10s
		wait       => monitor b
		b down     => warn
		wait       => monitor b
		b down     => -
		restart a  => warn
		is a=up
		aim up     => -
		manage on  => look a, look b
		aim down   => -
		a up       => -
		b down     => b:down, stop a
	`)
	// Adopted as it is found; the row of failures begins anew.
	g = raised(t, group(step("a"), step("b", monitored(1, 2))))
	g.play(`
		wait       => monitor b
		b down     => warn
		manage off => -
		manage on  => look a, look b
		b up       => -
		a up       => -
		is ready
		wait       => monitor b
		b down     => warn
		is ready
	`)
	// A start that ends meanwhile; one that is not wanted is canceled when the hands come back.
	g = rested(t, group(step("a"), step("b", retries(1))))
	g.play(`
		aim up     => start a
		a ok       => a:up, start b
		manage off => -
		b fail     => b:neither
		is next=1s
		+1s        => -
		manage on  => look a, look b
		a up       => -
		b neither  => stop b
		b ok       => look b
		b down     => b:down, start b
		manage off => -
		aim down   => -
		manage on  => cancel b, look a
		a up       => -
		b canceled => b:neither, look b
		b up       => b:up, stop b
	`)
}

// Maintenance in the middle of a way down.
func TestLadderManageDuringStop(t *testing.T) {
	g := raised(t, group(step("a"), step("b", monitored(1, 1))))
	g.play(`
		aim down   => stop b
		manage off => -
		b ok       => look b
		manage on  => look a
		# the look that decides on the stop is as good as a first one
		b up       => b:neither
		aim up     => -
		a up       => -
		wait       => stop b
		b ok       => look b
		b down     => b:down, start b
		b ok       => b:up
		wait       => monitor b
		b up       => -
		is ready
	`)
	// A way down that maintenance has ended begins anew when it comes again.
	g = raised(t, group(step("a"), step("b")))
	g.play(`
		aim down   => stop b
		b fail     => look b
		b up       => b:neither
		manage off => -
		aim up     => -
		manage on  => look a, look b
		a up       => -
		b up       => b:up
		is ready
		aim down   => stop b
		b fail     => look b
		b up       => b:neither
		wait       => stop b
	`)
	g = jammed(t, group(step("a"), step("b")))
	g.play(`
		manage off => -
		manage on  => look a, look b
		a up       => -
		b down     => b:down, stop a
		is !stuck
		a ok       => look a
		a down     => a:down
		aim up     => start a
		a ok       => a:up, start b
		b ok       => b:up
		aim down   => stop b
	`)
}

// What cannot be looked at after maintenance is as it was, if it was up; a
// command without a status is as we left it.
func TestLadderManageBlind(t *testing.T) {
	g := raised(t, group(step("a", without), step("b"), step("c")))
	g.play(`
		manage off => -
		manage on  => look a, look b, look c
		a unknown  => -
		b fail     => -
		c hopeless => -
		is ready
		# a look that was canceled says nothing
		manage off => -
		manage on  => look a, look b, look c
		a unknown  => -
		b canceled => -
		c up       => -
		is next=1s
		wait       => look b
		b down     => b:down, stop c
	`)
	g = rested(t, group(step("a")))
	g.play(`
		manage off => -
		manage on  => look a
		a fail     => stop a
	`)
}

// A new specification keeps what is the same from the bottom, and brings down
// what is not, by the old one.
func TestLadderConfigure(t *testing.T) {
	a, b, c := step("a"), step("b"), step("c")
	other := step("b", func(s *actions.StepSpec) { s.Agent = actions.Systemd{Unit: "b.service"} })
	g := raised(t, group(a, b, c))
	g.others = map[string]actions.LadderSpec{"other": group(a, other, c), "old": group(a, b, c), "less": group(a, b), "more": group(a, b, c, step("d")), "none": group()}
	g.play(`
		configure other => stop c
		is reconfiguring !ready
		c ok   => look c
		c down => c:down, stop b
	`)
	if j := g.flight[1]; j.Agent != (actions.LSB{Script: "/etc/init.d/b"}) {
		t.Errorf("stopped by the new one: %+v", j.Agent)
	}
	g.play(`
		b ok   => look b
		b down => b:down, look b, look c
		is !reconfiguring height=1
		c down => -
		b down => start b
	`)
	if j := g.flight[1]; j.Agent != (actions.Systemd{Unit: "b.service"}) {
		t.Errorf("started by the old one: %+v", j.Agent)
	}
	g.play(`
		# while it climbs
		configure old   => cancel b
		b canceled      => b:neither, stop b
		# and back, while it descends
		configure other => -
		is !reconfiguring
		b ok            => look b
		b down          => b:down, start b
		b ok            => b:up, start c
		c ok            => c:up
		is ready
		configure less  => stop c
		c ok            => look c
		c down          => c:down, stop b
		b ok            => look b
		b down          => b:down, look b
		b up            => b:up
		is ready height=2
		configure more  => look c, look d
		is !ready
		c down          => -
		d down          => start c
		c ok            => c:up, start d
		d ok            => d:up
		is ready height=4
		configure none  => stop d
	`)
	g.settle("again", actions.Down)
	g.play("is ready bottom idle next=never")
}

// A change of pace alone is taken over at once, and holds from now on.
func TestLadderConfigurePace(t *testing.T) {
	slow := step("a", monitored(1, 1))
	slow.Monitor.Interval = time.Hour
	spec := group(step("a", monitored(1, 1)), step("b"))
	spec.Qualify = time.Minute
	g := raised(t, group(slow, step("b")))
	g.others = map[string]actions.LadderSpec{"quick": spec, "never": group(step("a"), step("b")), "slow": group(slow, step("b"))}
	g.play(`
		is next=1h0m0s
		configure quick => monitor a
		is ready
		a up => -
		is next=10s
		configure never => -
		is ready
		+1m  => -
		is next=never
		configure slow => monitor a
	`)
	g = rested(t, group(step("a"), step("b")))
	g.others = map[string]actions.LadderSpec{"quick": spec}
	g.play(`
		is next=never
		configure quick => qualify a, qualify b
		a ok => -
		b ok => -
		is next=1m0s
	`)
}

// A step that goes is not asked any more, else it might never go.
func TestLadderConfigureAsksNobody(t *testing.T) {
	spec := group(step("a"), step("b"), step("c"))
	spec.Qualify = time.Second
	g := newRig(t, spec)
	g.settle("aim up", actions.Up)
	g.others = map[string]actions.LadderSpec{"none": group()}
	g.play(`
		limit 1 => stop c
		c ok    => look c
		c down  => c:down, stop b
		b ok    => look b
		b down  => b:down
		configure none => stop a
		+5s     => -
		a ok    => look a
		a down  => a:down
		is !reconfiguring bottom
	`)
}

// A limit is of one specification when it is below its top.
func TestLadderConfigureLimit(t *testing.T) {
	g := raised(t, group(step("a"), step("b")))
	g.others = map[string]actions.LadderSpec{"more": group(step("a"), step("b"), step("c"))}
	g.play(`
		limit 1 => stop b
		b ok    => look b
		b down  => b:down
		configure more => look c
		c down  => -
		is ready height=1 idle
		limit 3 => start b
	`)
}

// Leaving: down for good, whatever is wanted.
func TestLadderLeave(t *testing.T) {
	g := raised(t, group(step("a"), step("b")))
	g.play(`
		leave    => stop b
		is !ready
		aim down => -
		aim up   => -
		b ok     => look b
		b down   => b:down, stop a
		a ok     => look a
		a down   => a:down
		is bottom idle next=never
	`)
}

// An effect names its step, also when the index is another step's by then, or none's.
func TestLadderEffectNames(t *testing.T) {
	g := raised(t, group(step("a")))
	g.others = map[string]actions.LadderSpec{"none": group()}
	g.play(`
		configure none => stop a
		a ok           => look a
		a down         => a:down
		is !reconfiguring
	`)
	if e := g.said[0]; e.Name != "lsb.a" || e.Step != 0 || g.l.StepName(e.Step) != "" {
		t.Errorf("%+v, and step 0 is %q", e, g.l.StepName(0))
	}
}

// A daemon that starts in maintenance asks nothing of a step that is down, and so
// must not wait for an answer before it takes part.
func TestLadderStartsInMaintenance(t *testing.T) {
	g := newRig(t, group(step("a"), step("b")))
	g.play(`
		manage off => look a, look b
		a up       => a:up
	`)
	if g.l.Known() {
		t.Error("b has not been looked at")
	}
	g.event("b down")
	if !g.l.Known() {
		t.Error("waits for what it does not ask")
	}
	g.event("manage on")
	if g.l.Known() {
		t.Error("the hands are back, and nothing has been looked at")
	}
}

func TestLadderFind(t *testing.T) {
	mount := step("data", exclusive)
	mount.Name = "filesystem.data"
	l := actions.NewLadder(1, "web1", group(step("data"), mount, step("web")))
	for name, want := range map[string]int{"lsb.data": 0, "filesystem.data": 1, "data": -1, "web": 2, "eb": -1, "": -1, "lsb.web": 2, "none": -1} {
		if got := l.Find(name); got != want {
			t.Errorf("Find(%q) = %d, want %d", name, got, want)
		}
	}
	if l.StepName(2) != "lsb.web" || l.StepName(-1) != "" || l.StepName(3) != "" {
		t.Error("StepName is wrong")
	}
}
