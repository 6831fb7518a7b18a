package chaos

import (
	"fmt"
	"time"
)

func cut(d *deed) (func() error, error) { return d.node.host.Heal, d.node.host.Cut() }

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
	for range 3 + d.rand.IntN(8) {
		if err := d.node.host.Cut(); err != nil {
			return nil, err
		}
		time.Sleep(time.Duration(5+d.rand.IntN(120)) * ms)
		if err := d.node.host.Heal(); err != nil {
			return nil, err
		}
		time.Sleep(time.Duration(5+d.rand.IntN(120)) * ms)
	}
	return nil, nil
}

func unplug(d *deed) (func() error, error) { return d.node.host.Replug, d.node.host.Unplug() }
func lose(d *deed) (func() error, error)   { return d.node.host.Unlose, d.node.host.Lose() }
func deafen(d *deed) (func() error, error) { return d.node.host.Undeafen, d.node.host.Deafen() }

// filter is what the switch drops of the host's frames: all that it sends (mute), all
// that it is sent (deaf), VRRP both ways, or some of everything.
func filter(how string) func(*deed) (func() error, error) {
	return func(d *deed) (func() error, error) {
		from, to := "", ""
		switch how {
		case "mute":
			from = "drop"
		case "deaf":
			to = "drop"
		case "protocol":
			from = "ip protocol 112 drop; ip6 nexthdr 112 drop"
			to = from
		case "loss":
			from = fmt.Sprintf("numgen random mod 100 < %d drop", 20+d.rand.IntN(60))
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
		return func() error { return d.lab.OnSwitch(d.ctx, "", "nft", "delete", "table", "netdev", table) }, err
	}
}
