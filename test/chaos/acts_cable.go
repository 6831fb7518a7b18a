package chaos

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

func cut(d *deed) (func() error, error) {
	if err := d.node.host.Cut(); err != nil {
		return nil, err
	}
	return d.node.host.Heal, d.proof(carrier(d, false))
}

func downRecorded(d *deed) error {
	if !d.alone || d.lasted() < 2*interval {
		return nil
	}
	for _, v := range routers {
		if err := d.recorded(v.name, "interface-down"); err != nil {
			return err
		}
	}
	return nil
}

// flap pulls the cable and puts it back several times.
func flap(d *deed) (func() error, error) {
	gone := 0
	for range 3 + d.rand.IntN(8) {
		if err := d.node.host.Cut(); err != nil {
			return nil, err
		}
		if is, err := d.node.host.Carrier(0); err == nil && !is {
			gone++
		}
		time.Sleep(time.Duration(5+d.rand.IntN(120)) * ms)
		if err := d.node.host.Heal(); err != nil {
			return nil, err
		}
		time.Sleep(time.Duration(5+d.rand.IntN(120)) * ms)
	}
	if d.note = fmt.Sprintf("the carrier was seen to be gone %d times", gone); gone > 1 {
		d.proved()
	}
	return nil, nil
}

func unplug(d *deed) (func() error, error) {
	if err := d.node.host.Unplug(); err != nil {
		return nil, err
	}
	if _, err := d.node.host.Carrier(0); err == nil {
		return nil, errors.New("the interface is still there")
	}
	d.proved()
	return d.node.host.Replug, nil
}

func lose(d *deed) (func() error, error) { return d.node.host.Unlose, d.proof(d.node.host.Lose()) }
func deafen(d *deed) (func() error, error) {
	return d.node.host.Undeafen, d.proof(d.node.host.Deafen())
}

// deafness is what a host that does not hear must come to: one that was Backup takes over.
// (One that nobody hears is taken for dead by the others.)
func deafness(d *deed) error {
	if !d.alone || d.was() || d.lasted() < 2*down+margin+10*d.witness.stall(d.begin) || d.Plan.Shape.Routers > 2 {
		return nil
	}
	for _, v := range routers {
		list, _ := d.observer.since(v.addresses[0].Addr(), d.begin)
		if !slices.ContainsFunc(list, func(c change) bool { return c.holders.has(d.node.index) }) {
			return fmt.Errorf("%s has not taken %s, as if it had heard", d.node.name, v.name)
		}
	}
	return nil
}

// muteness is what a host that nobody hears must come to: if it was Active, another takes over.
func muteness(d *deed) error {
	if !d.alone || !d.was() || d.lasted() < 2*down+margin+10*d.witness.stall(d.begin) {
		return nil
	}
	for _, v := range d.active {
		list, _ := d.observer.since(v.addresses[0].Addr(), d.begin)
		if !slices.ContainsFunc(list, func(c change) bool { return c.holders&^(1<<d.node.index) != 0 }) {
			return fmt.Errorf("nobody has taken %s from %s, as if it had been heard", v.name, d.node.name)
		}
	}
	return nil
}

func parting(d *deed) error { return errors.Join(deafness(d), muteness(d)) }

// filter is what the switch drops of the host's frames: all that it sends (mute), all
// that it is sent (deaf), VRRP both ways, or some of everything.
func filter(how string) func(*deed) (func() error, error) {
	return func(d *deed) (func() error, error) {
		from, to := "", ""
		switch how {
		case "mute":
			from = "counter drop"
		case "deaf":
			to = "counter drop"
		case "protocol":
			from = "ip protocol 112 counter drop; ip6 nexthdr 112 counter drop"
			to = from
		case "loss":
			from = fmt.Sprintf("numgen random mod 100 < %d counter drop", 20+d.rand.IntN(60))
			to = from
		}
		table := fmt.Sprintf("chaos%d", d.node.index)
		text := fmt.Sprintf("table netdev %s {\n", table)
		for hook, rule := range map[string]string{"ingress": from, "egress": to} {
			if rule != "" {
				text += fmt.Sprintf("  chain %s {\n    type filter hook %s device %q priority 0; policy accept;\n    %s\n  }\n", hook, hook, d.node.host.Port(0), rule)
			}
		}
		err := d.lab.OnSwitch(d.ctx, text+"}\n", "nft", "-f", "-")
		return func() error {
			n, err := dropped(d, table)
			if d.note = fmt.Sprintf("%d frames dropped", n); n > 0 {
				d.proved()
			} else if err == nil && d.alone && d.For > 4*interval && (how == "protocol" || how == "mute" && d.was() || how == "deaf" && !d.was()) {
				err = errors.New("no frame was dropped")
			}
			return errors.Join(err, d.lab.OnSwitch(d.ctx, "", "nft", "delete", "table", "netdev", table))
		}, err
	}
}
