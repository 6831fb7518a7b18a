package play

import (
	"fmt"
	"slices"

	"github.com/backbeat-ha/backbeat/daemon"
)

// contradictions finds faults that cannot both be.
func contradictions(cfgs []*daemon.Config, faults []Fault) (errs []error) {
	var all []*Fault
	for i := range faults {
		all = append(all, &faults[i])
	}
	slices.SortStableFunc(all, func(a, b *Fault) int { return int(a.From - b.From) })
	for host, c := range cfgs {
		errs = append(errs, lives(host, c.Node, all)...)
	}
	for i, f := range all {
		for _, o := range all[:i] {
			if !sameThing(f, o) {
				continue
			}
			switch {
			case o.To == 0 && f.From > o.From && settable(f):
				o.To, o.replaced = f.From, true // one that lasts is ended by the next
			case o.overlaps(f):
				errs = append(errs, fmt.Errorf("%s overlaps with %s", f, o))
			}
		}
	}
	return errs
}

// settable: faults that set something to a value, which the next one replaces.
func settable(f *Fault) bool {
	return f.kind.Name == "check" || f.kind.Name == "loss" || f.kind.Name == "delay"
}

// sameThing reports whether two faults are about one check, interface, pair of
// hosts, or the network.
func sameThing(a, b *Fault) bool {
	nic := func(f *Fault) bool { return f.kind.Name == "link" || f.kind.Name == "remove" }
	switch {
	case nic(a) && nic(b):
		return a.host == b.host && a.nic == b.nic
	case a.kind.Name != b.kind.Name:
		return false
	}
	switch a.kind.Name {
	case "check":
		return a.host == b.host && a.check == b.check
	case "standby":
		return a.host == b.host
	case "move", "step":
		return a.host == b.host && a.name == b.name
	case "loss", "delay":
		return true
	case "cut":
		touches := func(f *Fault, host int) bool { return f.host == host || f.other == host }
		crossing := a.oneWay && b.oneWay && a.host != b.host
		otherNIC := a.nic != "" && b.nic != "" && a.nic != b.nic
		return !crossing && !otherNIC && (touches(a, b.host) || b.other >= 0 && touches(a, b.other)) &&
			(a.other < 0 || b.other < 0 || touches(a, b.host) && touches(a, b.other))
	}
	return false
}

// lives follows one host through what happens to its machine and its daemon.
func lives(host int, node string, all []*Fault) (errs []error) {
	var now *Fault // what keeps the daemon from running
	asleep := func(f *Fault) bool { return f.kind.Name == "freeze" || f.kind.Name == "pause" }
	first := true
	for _, f := range all {
		if f.host != host || !slices.Contains([]string{"fail", "kill", "stop", "start", "freeze", "pause"}, f.kind.Name) {
			continue
		}
		under := now != nil && (now.To == 0 || f.From < now.To)
		switch {
		case f.kind.Name == "start" && first:
			now = nil
		case f.kind.Name == "start" && under && now.To == 0 && !asleep(now):
			now.To, now.replaced, now = f.From, true, nil
		case f.kind.Name == "start" && under:
			errs = append(errs, fmt.Errorf("%s overlaps with %s", f, now))
		case f.kind.Name == "start":
			errs = append(errs, fmt.Errorf("%s: the daemon of %s already runs at %s", f, node, short(f.From)))
		case under && asleep(now) && (f.kind.Name == "fail" || f.kind.Name == "kill") && f.From > now.From:
			now.To, now.replaced, now = f.From, true, f // what is frozen can be killed
		case under:
			errs = append(errs, fmt.Errorf("%s overlaps with %s", f, now))
		default:
			now = f
		}
		first = false
	}
	return errs
}
