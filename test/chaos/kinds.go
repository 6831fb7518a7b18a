package chaos

import (
	"fmt"
	"time"
)

// class says what a fault needs for itself: one host has at most one fault of its
// process and one of its cable at a time, and there is one of each kind of the rest.
type class string

const (
	process class = "process"
	cable   class = "cable"
	machine class = "machine"
)

// kind is one kind of fault, with what it excuses: a row of docs/faults.md.
type kind struct {
	name        string
	class       class
	weight      int
	least, most time.Duration // how long it lasts
	services    bool          // only with a service group
	clock       bool          // only with -step-clock
	whole       bool          // needs a whole kernel: not with -step-clock
	// calm: no router may move because of it.
	calm bool
	// plants: the host may get an address that the daemon did not add.
	plants bool
	// takes: an address is taken in a moment in which the kernel's notice is lost, so that the
	// renewal of its lifetime may put it back and nobody know (see docs/faults.md).
	takes bool
	// two and none return until when an address may have two holders, or none.
	two, none func(*deed) time.Duration
	// silences reports whether a router may be silent, or its host not Active, though
	// it has the address.
	silences func(*deed, *node) bool
	// do begins the fault and returns what heals it, nil if it is over already.
	do func(*deed) (heal func() error, err error)
	// trace says what is missing of the explanation of it, nil if none has to be there.
	trace func(*deed) error
}

// What faults excuse.
var (
	// never: only the moment of a handover, which slack covers.
	never = func(d *deed) time.Duration { return d.begin }
	// untilTakeover: somebody else must notice first.
	untilTakeover = func(d *deed) time.Duration { return d.begin + down }
	// whileItLasts, and until an election is over.
	whileItLasts = func(d *deed) time.Duration { return d.end + down }
	// untilLifetime: nobody takes the addresses from the dead but the kernel.
	untilLifetime = func(d *deed) time.Duration { return d.begin + lifetime }
	// untilHeard: both are Active until the better one is heard.
	untilHeard = func(d *deed) time.Duration { return d.end + 2*interval }
	// untilWoken: the frozen lose the addresses by the kernel, or, woken, by what they hear.
	untilWoken = func(d *deed) time.Duration { return min(d.begin+lifetime, d.end+2*interval) }
	itself     = func(d *deed, n *node) bool { return d.node == n }
	all        = func(*deed, *node) bool { return true }
)

const ms = time.Millisecond

// kinds are all faults. (A list that is filled by init: their functions look into it.)
var kinds []kind

func init() {
	kinds = []kind{
		{name: "kill", class: process, weight: 10, least: 20 * ms, most: 3 * time.Second, two: untilLifetime, none: untilTakeover, silences: itself, do: kill, trace: diedRecorded},
		{name: "kill and release", class: process, weight: 4, least: 200 * ms, most: time.Second, two: untilLifetime, none: untilTakeover, silences: itself, do: killRelease},
		{name: "release beside", class: process, weight: 2, two: never, none: never, calm: true, do: releaseBeside},
		{name: "replace and kill", class: process, weight: 4, least: 20 * ms, most: 2 * time.Second, two: untilLifetime, none: untilTakeover, silences: itself, do: replaceKilled},
		{name: "freeze", class: process, weight: 12, least: 20 * ms, most: 3500 * ms, two: untilWoken, none: untilTakeover, silences: itself, do: freeze, trace: stallNoticed},
		{name: "stop", class: process, weight: 6, least: 20 * ms, most: 2 * time.Second, two: never, none: never, silences: itself, do: stop, trace: leaveRecorded},
		{name: "replace", class: process, weight: 6, two: untilReplaced, none: untilReplaced, calm: true, do: replace, trace: handoverLogged},
		{name: "standby", class: process, weight: 4, least: 100 * ms, most: 2 * time.Second, two: never, none: never, silences: itself, do: standby, trace: standbyRecorded},
		{name: "move", class: process, weight: 4, least: 100 * ms, most: 2 * time.Second, two: never, none: never, silences: itself, do: move},
		{name: "move here", class: process, weight: 2, least: 100 * ms, most: 2 * time.Second, two: never, none: never, silences: all, do: moveHere},
		{name: "good reload", class: process, weight: 3, least: 50 * ms, most: time.Second, two: never, none: never, calm: true, do: goodReload},
		{name: "bad reload", class: process, weight: 3, two: never, none: never, calm: true, do: badReload, trace: badReloadLogged},

		{name: "cut", class: cable, weight: 8, least: 20 * ms, most: 2500 * ms, two: never, none: untilTakeover, silences: itself, do: cut, trace: downRecorded},
		{name: "flap", class: cable, weight: 5, two: never, none: whileItLasts, silences: itself, do: flap},
		{name: "unplug", class: cable, weight: 3, least: 100 * ms, most: 2 * time.Second, two: never, none: untilTakeover, silences: itself, do: unplug},
		{name: "lose", class: cable, weight: 6, least: 100 * ms, most: 2500 * ms, two: untilHeard, none: never, silences: itself, do: lose, trace: parting},
		{name: "deafen", class: cable, weight: 4, least: 100 * ms, most: 2500 * ms, two: untilHeard, none: never, silences: itself, do: deafen, trace: deafness},
		{name: "mute", class: cable, weight: 5, least: 100 * ms, most: 2500 * ms, two: untilHeard, none: never, silences: itself, whole: true, do: filter("mute"), trace: muteness},
		{name: "deaf", class: cable, weight: 5, least: 100 * ms, most: 2500 * ms, two: untilHeard, none: never, silences: itself, whole: true, do: filter("deaf"), trace: deafness},
		{name: "no protocol 112", class: cable, weight: 5, least: 100 * ms, most: 2500 * ms, two: untilHeard, none: never, silences: itself, whole: true, do: filter("protocol"), trace: parting},
		{name: "loss", class: cable, weight: 5, least: 100 * ms, most: 3 * time.Second, two: untilHeard, none: never, silences: itself, whole: true, do: filter("loss")},

		{name: "theft", class: machine, weight: 6, two: never, none: never, calm: true, do: theft, trace: theftCounted},
		{name: "stranger", class: machine, weight: 4, least: 50 * ms, most: time.Second, two: never, none: never, calm: true, do: stranger, trace: claimNoticed},
		{name: "planted", class: machine, weight: 4, least: 50 * ms, most: time.Second, two: untilHeard, none: never, calm: true, plants: true, do: plant},
		{name: "overrun", class: machine, weight: 4, two: never, none: never, calm: true, silences: itself, takes: true, whole: true, do: overrun},
		{name: "full disk", class: machine, weight: 5, least: 100 * ms, most: 2500 * ms, two: never, none: never, calm: true, do: fullDisk},
		{name: "lost directories", class: machine, weight: 5, least: 100 * ms, most: 2500 * ms, two: never, none: never, calm: true, do: loseDirectories},
		{name: "read-only disk", class: machine, weight: 3, least: 100 * ms, most: 2500 * ms, two: never, none: never, calm: true, do: readOnly},
		{name: "clock step", class: machine, weight: 60, least: 50 * ms, most: 2 * time.Second, clock: true, two: never, none: never, calm: true, do: stepClock},
		{name: "hogs", class: machine, weight: 4, least: 200 * ms, most: 2 * time.Second, two: never, none: never, calm: true, do: hogs},
		{name: "flood", class: machine, weight: 5, least: time.Second, most: 2 * time.Second, two: never, none: never, calm: true, do: flood, trace: floodCounted},
		{name: "usurper", class: machine, weight: 3, least: 200 * ms, most: 1500 * ms, two: never, none: whileItLasts, silences: all, do: usurp, trace: usurperNamed},
		{name: "garbage", class: machine, weight: 4, most: 1500 * ms, two: never, none: never, calm: true, do: garbage},
		{name: "failing step", class: machine, weight: 8, least: 500 * ms, most: 2 * time.Second, services: true, two: never, none: whileItLasts, silences: all, do: failStep},
	}
}

// kindOf finds a kind by name.
func kindOf(name string) *kind {
	for i := range kinds {
		if kinds[i].name == name {
			return &kinds[i]
		}
	}
	panic("chaos: no kind " + name)
}

// errAnswer is what a verb that was refused comes to.
func errAnswer(code int, out, errs string) error {
	return fmt.Errorf("exit status %d: %s%s", code, out, errs)
}
