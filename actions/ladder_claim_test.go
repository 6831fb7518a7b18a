package actions_test

import (
	"testing"

	"github.com/backbeat-ha/backbeat/actions"
)

// data is a group of a service below exclusive data, and one on it.
func data() actions.LadderSpec { return group(step("a"), step("b", exclusive), step("c")) }

// What stands before exclusive data, by safety and by what is known of the other host.
func TestLadderClaims(t *testing.T) {
	for _, c := range []struct {
		name   string
		spec   actions.LadderSpec
		script string
		how    string
	}{
		{"none, silent", unsafe(data()), `
			aim up silent => start a
			a ok => a:up, start b
		`, `the host that was Active before is silent; safety is "none"`},
		{"none, releasing, released", unsafe(data()), `
			aim up releasing => start a
			a ok     => a:up
			is !claimed next=20s
			+5s      => -
			released => start b
		`, "the host that was Active before has let go"},
		{"none, releasing, for too long", unsafe(data()), `
			aim up releasing => start a
			+5s  => -
			a ok => a:up
			is !claimed next=15s
			wait => start b
		`, `the host that was Active before has not said that it let go; safety is "none"`},
		{"none, nobody else", unsafe(data()), `
			aim up => start a
			a ok   => a:up, start b
		`, "this host held it all the time"},
		{"fence, nobody else", fenced(data()), `
			aim up => start a
			a ok   => a:up, start b
		`, "this host held it all the time"},
		{"fence, silent", fenced(data()), `
			aim up silent => start a
			a ok     => a:up, fence
			is !claimed next=never
			again    => -
			fence ok => warn, start b
		`, "the other host was fenced"},
		{"fence, releasing, released", fenced(data()), `
			aim up releasing => start a
			released => -
			a ok     => a:up, start b
		`, "the host that was Active before has let go"},
		{"fence, releasing, for too long", fenced(data()), `
			aim up releasing => start a
			a ok     => a:up
			wait     => fence
			fence ok => warn, start b
		`, "the other host was fenced"},
		{"fence, releasing, then silent", fenced(data()), `
			aim up releasing => start a
			a ok             => a:up
			aim up silent    => fence
			fence ok         => warn, start b
		`, "the other host was fenced"},
		{"fence, fails, again", fenced(data()), `
			aim up silent => start a
			a ok          => a:up, fence
			fence fail    => alarm
			is !claimed next=10s
			+9s           => -
			wait          => fence
			fence fail    => alarm
			clear         => fence
			fence ok      => warn, start b
		`, "the other host was fenced"},
		{"fence, fails, released", fenced(data()), `
			aim up silent => start a
			a ok          => a:up, fence
			fence fail    => alarm
			released      => start b
		`, "the host that was Active before has let go"},
		{"fence, released meanwhile", fenced(data()), `
			aim up silent  => start a
			a ok           => a:up, fence
			released       => cancel group, start b
			released       => -
			fence canceled => -
		`, "the host that was Active before has let go"},
		{"fence, confirmed", fenced(data()), `
			aim up silent => start a
			a ok          => a:up, fence
			fence fail    => alarm
			confirm       => start b
			is next=never
		`, "confirmed by anna: the other host is off"},
		{"fence, confirmed meanwhile", fenced(data()), `
			aim up silent => start a
			a ok          => a:up, fence
			confirm       => cancel group, start b
			# no alarm: it is not needed any more
			fence fail    => -
			is next=never
		`, "confirmed by anna: the other host is off"},
		{"fence, refused by the hands", fenced(data()), `
			aim up silent  => start a
			a ok           => a:up, fence
			fence canceled => alarm
			is next=10s
			wait           => fence
			progress fence bmc: power is on => -
			fence ok       => warn, start b
		`, "the other host was fenced"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := rested(t, c.spec)
			g.play(c.script)
			g.play("b ok => b:up, start c\nc ok => c:up\nis ready claimed")
			if v := g.l.View(g.now); v.ClaimHow != c.how || v.ClaimWaits != "" {
				t.Errorf("claimed as %q, waits for %q", v.ClaimHow, v.ClaimWaits)
			}
		})
	}
}

// A claim belongs to one time up. It is asked for again after the data has
// been let go, and kept when it has not.
func TestLadderClaimAgain(t *testing.T) {
	g := rested(t, fenced(data()))
	g.play(`
		aim up silent => start a
		a ok          => a:up, fence
		fence ok      => warn, start b
		b ok          => b:up, start c
		aim down      => cancel c
		c ok          => c:up, stop c
		# the data is still here: nobody is fenced for it
		aim up silent => -
		c ok          => look c
		c down        => c:down, start c
		aim down      => cancel c
		c canceled down => c:down, stop b
		is claimed
		aim up silent => -
		b ok          => look b
		b down        => b:down, start b
		b ok          => b:up, start c
		aim down      => cancel c
		c canceled down => c:down, stop b
		b ok          => look b
		b down        => b:down, stop a
		is !claimed
		# now somebody else may have it
		aim up silent => -
		a ok          => look a
		a down        => a:down, start a
		a ok          => a:up, fence
	`)
	// A word that was given for the time before is none for this one, also while the
	// fence that it has ended is not back yet.
	g = rested(t, fenced(data()))
	g.play(`
		aim up silent   => start a
		a ok            => a:up, fence
		confirm         => cancel group, start b
		aim down        => cancel b
		b canceled down => b:down, stop a
		aim up silent   => -
		is !claimed
		fence canceled  => -
		a ok            => look a
		a down          => a:down, start a
		a ok            => a:up, fence
	`)
	// A start under way is data in hand.
	g = rested(t, unsafe(data()))
	g.play(`
		aim up silent    => start a
		a ok             => a:up, start b
		aim down         => cancel b
		is claimed
		aim up releasing => -
		b ok             => b:up, start c
		is claimed
	`)
	// An answer of the time before is none.
	g = rested(t, fenced(data()))
	g.play(`
		released         => -
		aim up releasing => start a
		released         => -
		aim down         => cancel a
		aim up silent    => -
		a ok             => a:up, fence
	`)
}

// A hold-off does not fence again: this host has been Active all the time.
func TestLadderClaimDuringHoldOff(t *testing.T) {
	g := rested(t, fenced(data()))
	g.play(`
		aim up silent   => start a
		a ok            => a:up, fence
		fence ok        => warn, start b
		b hopeless down => b:down, alarm, stop a
		a ok            => look a
		a down          => a:down
		is unfit claimed
		wait            => start a
		a ok            => a:up, start b
	`)
}

// A fence that succeeds after nobody wants it is told, and forgotten.
func TestLadderFenceTooLate(t *testing.T) {
	g := rested(t, fenced(data()))
	g.play(`
		aim up silent => start a
		a ok          => a:up, fence
		aim down      => stop a
		confirm       => -
		released      => -
		fence ok      => warn
		is !claimed
		a ok          => look a
		a down        => a:down
		is bottom next=never
	`)
	g = rested(t, fenced(data()))
	g.play(`
		aim up silent => start a
		a ok          => a:up, fence
		aim down      => stop a
		aim up silent => -
		fence ok      => warn
		is claimed
		a ok          => look a
		a down        => a:down, start a
		a ok          => a:up, start b
	`)
	g = rested(t, fenced(data()))
	g.play(`
		aim up silent => start a
		a ok          => a:up, fence
		aim down      => stop a
		fence fail    => -
		is !claimed
	`)
}

// Orders given in maintenance do not carry a claim over it: somebody may have
// moved the data by hand.
func TestLadderClaimAcrossMaintenance(t *testing.T) {
	g := raised(t, fenced(data()))
	g.play(`
		is claimed
		manage off    => -
		aim down      => -
		aim up silent => -
		is !claimed
		manage on     => look a, look b, look c
		a up          => -
		b down        => b:down
		c down        => c:down, fence
	`)
	g = raised(t, fenced(data()))
	g.play(`
		aim down      => stop c
		manage off    => -
		c ok          => look c
		c down        => c:down
		manage on     => look a, look b, look c
		aim up silent => -
		is !claimed
		a up          => -
		c down        => -
		b down        => b:down, fence
	`)
}

// Fences that failed before a human confirmed are forgotten with that.
func TestLadderClaimAfterFailedFence(t *testing.T) {
	g := rested(t, fenced(data()))
	g.others = map[string]actions.LadderSpec{"none": unsafe(data()), "fence": fenced(data())}
	g.play(`
		aim up silent   => start a
		a ok            => a:up, fence
		fence fail      => alarm
		confirm         => start b
		b hopeless down => b:down, alarm, stop a
		configure none  => -
		configure fence => -
		is !claimed
		a ok            => look a
		a down          => a:down
		wait            => start a
		a ok            => a:up, fence
	`)
}

// What one mode of safety lets pass, another may not.
func TestLadderClaimConfigure(t *testing.T) {
	g := rested(t, unsafe(data()))
	g.others = map[string]actions.LadderSpec{"fence": fenced(data())}
	g.play(`
		aim up silent => start a
		a ok          => a:up, start b
		b hopeless down => b:down, alarm, stop a
		is claimed
		configure fence => -
		is !claimed
		a ok          => look a
		a down        => a:down
		wait          => start a
		a ok          => a:up, fence
	`)
}
