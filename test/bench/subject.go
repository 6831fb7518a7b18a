package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// subject is a daemon under measurement, whichever it is.
type subject interface {
	// Start starts it and waits until it answers, if it can; Begin does not wait.
	Start(ctx context.Context) error
	Begin(ctx context.Context) error
	Kill()
	Stop(ctx context.Context) error
	// Configure writes its configuration, Hangup lets it read that.
	Configure(text string) error
	Hangup()
	RSS() (int64, error)
	PSS() (int64, error)
	CPU() (time.Duration, error)
	Log() string
}

// spec is what a subject is to run: n routers over the interfaces eth0…, VRIDs
// from 1 on each, with one address each.
type spec struct {
	priority, routers, links int
	interval                 time.Duration
	// realTime runs it under SCHED_RR.
	realTime bool
	// added is 1 for a router more, with the VRID addedVRID on eth0.
	added int
}

// addedVRID is beyond those of the others.
const addedVRID = 255

// text is the configuration of a daemon.
func (s spec) text(daemon string) string {
	var b strings.Builder
	router := backbeatRouter
	if daemon == "keepalived" {
		router = keepalivedRouter
		if s.realTime {
			b.WriteString("global_defs {\n  vrrp_rt_priority 10\n  vrrp_rlimit_rttime 5000000\n}\n")
		}
	}
	for i := range s.routers {
		link, n := s.place(i)
		router(&b, s, fmt.Sprintf("r%d", i), link, n+1, s.address(i))
	}
	if s.added > 0 {
		router(&b, s, "added", 0, addedVRID, netip.AddrFrom4([4]byte{10, 77, 9, 9}))
	}
	return b.String()
}

func backbeatRouter(b *strings.Builder, s spec, name string, link, vrid int, a netip.Addr) {
	fmt.Fprintf(b, "virtual_router %q {\n  interface = \"eth%d\"\n  vrid = %d\n  priority = %d\n  interval = \"%s\"\n  addresses = [\"%s\"]\n}\n",
		name, link, vrid, s.priority, s.interval, a)
}

func keepalivedRouter(b *strings.Builder, s spec, name string, link, vrid int, a netip.Addr) {
	fmt.Fprintf(b, "vrrp_instance %s {\n  state BACKUP\n  interface eth%d\n  virtual_router_id %d\n  version 3\n  priority %d\n  advert_int %g\n  virtual_ipaddress {\n    %s/32\n  }\n}\n",
		name, link, vrid, s.priority, s.interval.Seconds(), a)
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

type backbeat struct {
	*lab.Backbeat
	dir      string
	realTime bool
}

func newBackbeat(h *lab.Host, s spec) (subject, error) {
	d, err := h.Backbeat(s.text("backbeat"))
	if err != nil {
		return nil, err
	}
	return backbeat{d, filepath.Dir(d.ConfigFile()), s.realTime}, nil
}

// Start is that of the process, under SCHED_RR where that is wanted.
func (b backbeat) Start(ctx context.Context) error {
	return asRealTime(b.dir, b.realTime, func() error { return b.Backbeat.Start(ctx) })
}

// Begin does not wait.
func (b backbeat) Begin(ctx context.Context) error {
	return asRealTime(b.dir, b.realTime, func() error { return b.Launch(ctx) })
}

// RSS is that of the one process there is.
func (b backbeat) RSS() (int64, error) { return b.Process().RSS() }

// PSS is its own share.
func (b backbeat) PSS() (int64, error) { return b.Process().PSS() }

// CPU is the processor time of all threads.
func (b backbeat) CPU() (time.Duration, error) { return b.Process().CPU() }

type keepalived struct{ *lab.Keepalived }

func newKeepalived(h *lab.Host, s spec) (subject, error) {
	k, err := h.Keepalived(s.text("keepalived"))
	if err != nil {
		return nil, err
	}
	return keepalived{k}, nil
}

// Start starts it; it has no way to say that it is ready.
func (k keepalived) Start(context.Context) error { return k.Keepalived.Start() }

// Begin is Start.
func (k keepalived) Begin(context.Context) error { return k.Keepalived.Start() }

// Hangup sends SIGHUP.
func (k keepalived) Hangup() { k.Reload() }

// available leaves keepalived out, aloud, where it is not installed.
func available() []maker {
	if _, err := lab.KeepalivedPath(); err != nil {
		fmt.Printf("# %v: backbeat is measured alone\n", err)
		return makers[:1]
	}
	return makers
}
