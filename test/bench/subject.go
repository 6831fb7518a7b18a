package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// subject is a daemon under measurement, whichever it is.
type subject interface {
	Start(ctx context.Context) error
	Kill()
	Stop(ctx context.Context) error
	RSS() (int64, error)
	Log() string
}

// spec is what a subject is to run: n routers over the interfaces eth0…, VRIDs
// from 1 on each, with one address each.
type spec struct {
	priority, routers, links int
	interval                 time.Duration
}

// address is router i's; router 0 is the one the client asks.
func (s spec) address(i int) netip.Addr {
	link, n := s.place(i)
	return netip.AddrFrom4([4]byte{10, byte(77 + link), byte(1 + n/200), byte(1 + n%200)})
}

// place spreads the routers over the interfaces.
func (s spec) place(i int) (link, n int) { return i % s.links, i / s.links }

type maker struct {
	name string
	make func(*lab.Host, spec) (subject, error)
}

var makers = []maker{{"backbeat", newBackbeat}, {"keepalived", newKeepalived}}

type backbeat struct{ *lab.Backbeat }

func newBackbeat(h *lab.Host, s spec) (subject, error) {
	var b strings.Builder
	for i := range s.routers {
		link, n := s.place(i)
		fmt.Fprintf(&b, "virtual_router \"r%d\" {\n  interface = \"eth%d\"\n  vrid = %d\n  priority = %d\n  interval = \"%s\"\n  addresses = [\"%s\"]\n}\n",
			i, link, n+1, s.priority, s.interval, s.address(i))
	}
	d, err := h.Backbeat(b.String())
	if err != nil {
		return nil, err
	}
	return backbeat{d}, nil
}

// RSS is that of the one process there is.
func (b backbeat) RSS() (int64, error) { return b.Process().RSS() }

type keepalived struct{ *lab.Keepalived }

func newKeepalived(h *lab.Host, s spec) (subject, error) {
	var b strings.Builder
	for i := range s.routers {
		link, n := s.place(i)
		fmt.Fprintf(&b, "vrrp_instance r%d {\n  state BACKUP\n  interface eth%d\n  virtual_router_id %d\n  version 3\n  priority %d\n  advert_int %g\n  virtual_ipaddress {\n    %s/32\n  }\n}\n",
			i, link, n+1, s.priority, s.interval.Seconds(), s.address(i))
	}
	k, err := h.Keepalived(b.String())
	if err != nil {
		return nil, err
	}
	return keepalived{k}, nil
}

// Start starts it; it has no way to say that it is ready.
func (k keepalived) Start(context.Context) error { return k.Keepalived.Start() }

// available leaves keepalived out, aloud, where it is not installed.
func available() []maker {
	if _, err := lab.KeepalivedPath(); err != nil {
		fmt.Printf("# %v: backbeat is measured alone\n", err)
		return makers[:1]
	}
	return makers
}
