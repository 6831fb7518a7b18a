package main

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/backbeat-ha/backbeat/actions/address"
	"github.com/backbeat-ha/backbeat/conf"
	"github.com/backbeat-ha/backbeat/daemon"
)

// ownedAddress is an address that this host has now.
type ownedAddress struct {
	addr netip.Addr
	link string
}

// ownedAddresses are those of this host. Those of loopback interfaces are left out:
// real servers behind a balancer have the virtual address there, and rightly.
func ownedAddresses() ([]ownedAddress, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var out []ownedAddress
	for _, l := range links {
		if l.Flags&net.FlagLoopback != 0 {
			continue
		}
		list, err := l.Addrs()
		if err != nil {
			continue // the interface has just gone
		}
		for _, a := range list {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				out = append(out, ownedAddress{p.Addr().Unmap(), l.Name})
			}
		}
	}
	return out, nil
}

// warnOwned warns of virtual addresses that this host has without our daemon's doing:
// they stay when another host is Active, and two hosts then have them.
func (t *tool) warnOwned(cfg *daemon.Config, d *conf.Diagnostics, runtimeDir string) {
	here, err := t.addresses()
	if err != nil || len(here) == 0 {
		return // nothing is known, so nothing is wrong
	}
	ours, err := address.Recorded(filepath.Join(runtimeDir, "addresses"))
	if err != nil {
		return // the daemon may have put it there: only root may read what it has
	}
	for i := range cfg.Routers {
		r := &cfg.Routers[i]
		if r.Owner {
			continue
		}
		for k := range r.Addresses {
			a := r.Addresses[k].Prefix.Addr()
			n := slices.IndexFunc(here, func(o ownedAddress) bool { return o.addr == a })
			if n < 0 || slices.Contains(ours, a) {
				continue
			}
			d.WarnAddress(r.Name, a, fmt.Sprintf("%s is on this host already, on %s", a, here[n].link),
				"backbeat has not put it there. If it is the host's own address, two hosts have it as soon as another one is Active: choose a free one, or remove it from "+
					"the host's network configuration. Only on the one host whose own address it is, owner = true is right. If another program holds it as a virtual "+
					"address (keepalived), that one must be stopped first.")
		}
	}
}
