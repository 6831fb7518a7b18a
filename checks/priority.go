package checks

import (
	"fmt"
	"slices"
)

// Influence is what a dependency does to its virtual router while it is bad.
type Influence uint8

// The influences.
const (
	// Degrade: the host drops into the degraded band, keeping its rank there.
	Degrade Influence = iota
	// Weigh: a number is added to the priority, as keepalived does: a negative one
	// while failing, a positive one while healthy.
	Weigh
	// Fault: the virtual router leaves the election.
	Fault
)

// String returns the word of the configuration: "degrade", "weight" or "fault".
func (i Influence) String() string {
	switch i {
	case Weigh:
		return "weight"
	case Fault:
		return "fault"
	default:
		return "degrade"
	}
}

// Mode is how several checks guard one thing.
type Mode uint8

// The modes. One check may have either.
const (
	// All of them must be healthy.
	All Mode = iota
	// Any of them is enough.
	Any
)

// String returns "all" or "any".
func (m Mode) String() string {
	if m == Any {
		return "any"
	}
	return "all"
}

// Dependency is what one virtual router makes of one check or of several.
type Dependency struct {
	// Checks are names of checks, at least one.
	Checks    []string
	Mode      Mode
	Influence Influence
	// Weight is -253–253 and not 0 for Weigh, else 0.
	Weight int
}

// Equal reports whether two dependencies are the same.
func (d *Dependency) Equal(o *Dependency) bool {
	return d.Mode == o.Mode && d.Influence == o.Influence && d.Weight == o.Weight && slices.Equal(d.Checks, o.Checks)
}

// Stand is what a check counts as, its policy for the unknown included.
type Stand uint8

// The stands.
const (
	// Pending: nothing is known yet, and the first run has not ended.
	Pending Stand = iota
	Good
	Bad
	// Ignored: unknown, and not to be counted.
	Ignored
)

// String returns "pending", "good", "bad" or "ignored".
func (s Stand) String() string {
	return [...]string{"pending", "good", "bad", "ignored"}[s]
}

// Combine joins the stands of a dependency's checks. All is bad with the first
// bad one; Any is good with the first good one. What is ignored does not count;
// if nothing is left, the whole is ignored.
func Combine(m Mode, list []Stand) Stand {
	var n [Ignored + 1]int
	for _, s := range list {
		n[s]++
	}
	first, second := Bad, Good
	if m == Any {
		first, second = Good, Bad
	}
	switch {
	case n[first] > 0:
		return first
	case n[Pending] > 0:
		return Pending
	case n[second] > 0:
		return second
	default:
		return Ignored
	}
}

// DegradedMax is the top of the band 1–DegradedMax of degraded hosts.
const DegradedMax = 50

// Degraded moves a priority into the band, keeping its rank among degraded hosts.
func Degraded(base uint8) uint8 {
	if base == owner {
		return owner
	}
	return uint8(1 + int(base)*49/254)
}

// owner is priority 255, which no check changes.
const owner = 255

// Contribution is one line of "why the priority is what it is".
type Contribution struct {
	Influence Influence
	Stand     Stand
	// Weight is what is added now: 0 where nothing is.
	Weight int
}

// Contribute computes a dependency's line from the stands of its checks. value is
// the number that its only check has read from a file, nil for any other check.
func Contribute(d *Dependency, list []Stand, value *int) Contribution {
	c := Contribution{Influence: d.Influence, Stand: Combine(d.Mode, list)}
	switch {
	case d.Influence != Weigh:
	case value != nil && c.Stand == Good:
		// A number from a file counts with either sign, as in keepalived's track_file.
		c.Weight = min(max(d.Weight*min(max(*value, -limit), limit), -limit), limit)
	case value != nil:
	case c.Stand == Bad && d.Weight < 0, c.Stand == Good && d.Weight > 0:
		c.Weight = d.Weight
	}
	return c
}

// limit bounds what one number from outside can do: past it every priority is clamped.
const limit = 254

// Assessment is what all contributions come to.
type Assessment struct {
	// Priority is the effective one, 1–254, or 255 for the owner.
	Priority uint8
	// Degraded: Priority is in the degraded band because a Degrade dependency is bad.
	Degraded bool
	// Faulted: a Fault dependency is bad. Waiting: one is not known yet.
	Faulted, Waiting bool
}

// Effective computes the priority from the configured one: the weights are
// added and clamped to 1–254, then one bad Degrade dependency or several move
// the result into the degraded band.
func Effective(base uint8, list []Contribution) Assessment {
	a := Assessment{Priority: base}
	sum := int(base)
	for i := range list {
		c := &list[i]
		switch {
		case c.Influence == Weigh:
			sum += c.Weight
		case c.Stand == Bad && c.Influence == Fault:
			a.Faulted = true
		case c.Stand == Pending && c.Influence == Fault:
			a.Waiting = true
		case c.Stand == Bad:
			a.Degraded = true
		}
	}
	if base == owner {
		a.Degraded = false
		return a
	}
	a.Priority = uint8(min(max(sum, 1), 254))
	if a.Degraded {
		a.Priority = Degraded(a.Priority)
	}
	return a
}

// String is the dependency as people read it: "http.site", "all of a, b".
func (d *Dependency) String() string {
	if len(d.Checks) == 1 {
		return d.Checks[0]
	}
	s := d.Checks[0]
	for _, c := range d.Checks[1:] {
		s += ", " + c
	}
	return fmt.Sprintf("%s of %s", d.Mode, s)
}
