package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions/address"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
	"github.com/backbeat-ha/backbeat/daemon/journal"
	"github.com/backbeat-ha/backbeat/vrrp"
	"github.com/backbeat-ha/backbeat/vrrp/wire"
)

// goodbyePatience bounds the wait for sockets to say goodbye with.
const goodbyePatience = time.Second

// listenPatience is the longest interval for which it is listened whether somebody
// else is Active already.
const listenPatience = 2 * time.Second

// releaseOptions are the flags of `release`.
type releaseOptions struct {
	config, runtimeDir, stateDir string
	afterExit                    bool
}

func (t *tool) releaseVerb() *cobra.Command {
	var o releaseOptions
	c := &cobra.Command{
		Use:   "release",
		Short: "Take off what a daemon that has died left in the kernel, and say goodbye for it",
		Long: `Take off what a daemon that has died left in the kernel: addresses, routes, rules,
macvlans, nftables, sysctls, as its ledger in the runtime directory says. Then tell
the other routers that it is gone (priority 0), so that they take over after their
Skew_Time. Steps of service groups are left as they are: the next start looks at them.
Where they may have exclusive data in use, it listens for one interval first, and says
nothing if another host is Active already.

It refuses to work beside a running daemon. The systemd unit calls it after each
end; after a restart that was handed over it does nothing. If the next process does
not come, because a stop has overtaken the restart, it carries out the stop in its
place: service groups down, another host takes over.`,
		Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			return failed(t.release(c.Context(), o))
		},
	}
	c.Flags().StringVarP(&o.config, "config", "c", defaultConfig, "the configuration: a `file`, or a directory with *.hcl files")
	c.Flags().StringVar(&o.runtimeDir, "runtime-dir", "/run/backbeat", "the daemon's runtime `directory`")
	c.Flags().StringVar(&o.stateDir, "state-dir", "/var/lib/backbeat", "the daemon's state `directory`, for a stop that --after-exit carries out")
	c.Flags().BoolVar(&o.afterExit, "after-exit", false, "quietly do nothing if the daemon has left everything to a successor that systemd is about to start, or nothing at all")
	return c
}

func (t *tool) release(ctx context.Context, o releaseOptions) error {
	if waits, err := t.inheritance(ctx, o); waits || err != nil {
		return err
	}
	lock := control.New(control.Options{Path: filepath.Join(o.runtimeDir, "control.sock"), Lock: filepath.Join(o.runtimeDir, "backbeat.lock"),
		Post: func(daemon.Input) {}, Log: func(slog.Level, string, ...slog.Attr) {}})
	if err := lock.Open(); err != nil {
		return err // a running daemon looks after its own
	}
	defer lock.Close()
	if err := checkPrivilege(); err != nil {
		return err
	}
	if now, err := boottime(); err == nil {
		// Nobody is left to speak for; it ends by itself soon.
		_ = journal.FindStandIn(o.runtimeDir, now).End()
		_ = journal.ForgetStandIn(o.runtimeDir)
	}
	left, err := address.New(address.Options{Ledger: filepath.Join(o.runtimeDir, "addresses"), Post: func(any) {}}).Sweep(ctx)
	for _, l := range left {
		fmt.Fprintf(t.out, "removed %s\n", l)
	}
	if err != nil {
		return err
	}
	if len(left) == 0 {
		if !o.afterExit {
			fmt.Fprintln(t.out, "nothing was left behind")
		}
		return nil
	}
	cfg, _, err := t.load(o.config, "")
	if err != nil || cfg == nil {
		return fmt.Errorf("what was left behind is removed, but without a readable configuration nobody can be told goodbye: %s", o.config)
	}
	if n := len(cfg.Services); n > 0 {
		fmt.Fprintf(t.out, "%s left as it is: steps that run go on running until backbeat starts here again\n", plural(n, "service group"))
	}
	for _, name := range goodbye(ctx, cfg, left) {
		fmt.Fprintf(t.out, "said goodbye for %s\n", name)
	}
	return nil
}

// inheritance looks at what a daemon has left to its successor. It reports whether
// that waits for one, so that nothing is to be done. If nobody comes, the stop that
// has overtaken the restart is carried out here; what that cannot do is left to release.
func (t *tool) inheritance(ctx context.Context, o releaseOptions) (waits bool, err error) {
	now, err := boottime()
	if err != nil {
		return false, err
	}
	if !journal.PeekHandoff(o.runtimeDir, now) {
		return false, nil
	}
	if !o.afterExit {
		fmt.Fprintln(t.out, "nothing was done: a daemon has just left everything to its successor; try again in a minute if there is none")
		return true, nil
	}
	yes, why := succeeded(ctx)
	if yes {
		return true, nil
	}
	fmt.Fprintf(t.out, "nobody takes over from the daemon: %s; stopping in its place\n", why)
	if err := t.stopInPlace(ctx, o); err != nil {
		fmt.Fprintf(t.err, "stopping in its place: %v; what it left is removed as after a crash\n", err)
	}
	// If it was not even begun, the next start must not believe in it.
	_, _ = journal.TakeHandoff(o.runtimeDir, now)
	return false, nil
}

// stopInPlace is a short life of the daemon: it goes on where the one before ended, and
// its first order is to stop.
func (t *tool) stopInPlace(ctx context.Context, o releaseOptions) error {
	if err := os.Setenv(stopEnv, "1"); err != nil {
		return err
	}
	defer os.Unsetenv(stopEnv)
	return t.serve(ctx, runOptions{config: o.config, runtimeDir: o.runtimeDir, stateDir: o.stateDir,
		control: filepath.Join(o.runtimeDir, "control.sock"), logFormat: choice{value: "auto"}, logLevel: level{slog.LevelInfo}})
}

// boottime is the loop's clock.
func boottime() (time.Duration, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0, fmt.Errorf("read CLOCK_BOOTTIME: %w", err)
	}
	return time.Duration(now.Nano()), nil
}

// parted is a router that a goodbye can be said for.
type parted struct {
	router *daemon.RouterConfig
	link   int
	src    netip.Addr
}

// goodbye sends a priority 0 for each router that was Active, as far as what it
// left tells, and returns their names. Of a virtual MAC alone nobody can tell; an
// Active that hears a needless goodbye answers it, and nothing happens. But where
// exclusive data may be in use still, whoever has taken over already would take it
// for the word that they have been let go of: there one interval is listened first.
func goodbye(ctx context.Context, cfg *daemon.Config, left []address.Left) (said []string) {
	ready := make(chan vrrp.SocketReady, 2*len(cfg.Routers))
	port, err := wire.New(func(v any) {
		if s, ok := v.(vrrp.SocketReady); ok {
			ready <- s
		}
	})
	if err != nil {
		return nil
	}
	defer port.Close()
	opening, cancel := context.WithTimeout(ctx, goodbyePatience)
	defer cancel()
	var later []parted
	for i := range cfg.Routers {
		r := &cfg.Routers[i]
		link, err := net.InterfaceByName(r.Interface)
		if err != nil || !heldBy(r, left, link.Index) {
			continue
		}
		src := ownAddress(r, link)
		if !src.IsValid() {
			continue
		}
		port.Listen(vrrp.Listening{Link: link.Index, Family: r.Spec.Family, Group: r.Spec.MulticastGroup()})
		select {
		case s := <-ready:
			if s.Err != "" {
				continue
			}
		case <-opening.Done():
			return said
		}
		p := parted{r, link.Index, src}
		if exclusive(cfg, r) {
			later = append(later, p)
			continue
		}
		farewell(port, r, p.link, src)
		said = append(said, r.Name)
	}
	for _, p := range unreplaced(ctx, port, later) {
		farewell(port, p.router, p.link, p.src)
		said = append(said, p.router.Name)
	}
	return said
}

// exclusive reports whether a service group with exclusive data follows a router.
func exclusive(cfg *daemon.Config, r *daemon.RouterConfig) bool {
	return slices.ContainsFunc(cfg.Services, func(s daemon.ServiceConfig) bool {
		return slices.Contains(s.Follows, r.Name) && s.Ladder.Exclusive() < len(s.Ladder.Steps)
	})
}

// unreplaced listens for one interval and returns those for which nobody else is
// Active. With an interval that is too long for that the silence must do.
func unreplaced(ctx context.Context, port *wire.Port, list []parted) []parted {
	list = slices.DeleteFunc(list, func(p parted) bool { return p.router.Spec.Interval > listenPatience })
	longest := time.Duration(0)
	for _, p := range list {
		longest = max(longest, p.router.Spec.Interval+p.router.Spec.Interval/2+50*time.Millisecond)
	}
	var d vrrp.Datagram
	var a vrrp.Advert
	for end := port.Now() + longest; len(list) > 0 && port.Now() < end; {
		if ctx.Err() != nil {
			return nil
		}
		port.Receive(256, func(packet *vrrp.Packet) {
			if vrrp.ParseIP(packet.Family, packet.Data, &d) != vrrp.Accepted {
				return
			}
			list = slices.DeleteFunc(list, func(p parted) bool {
				spec := &p.router.Spec
				if p.link != packet.Link || spec.Family != packet.Family || spec.VRID != d.VRID || d.Src == p.src {
					return false
				}
				_, drop := vrrp.Validate(&d, spec, &a)
				return drop == vrrp.Accepted && a.Priority != vrrp.PriorityStop
			})
		})
		pause(ctx, time.Millisecond)
	}
	return list
}

// farewell sends one router's priority 0, to the group or to each peer.
func farewell(port *wire.Port, r *daemon.RouterConfig, link int, src netip.Addr) {
	fsm := vrrp.New(r.Spec)
	advert := fsm.Advert(vrrp.PriorityStop)
	path := vrrp.Path{Link: link, Family: r.Spec.Family, Src: src, Dst: r.Spec.MulticastGroup(), TTL: vrrp.HopLimit}
	if r.VirtualMAC && !r.Spec.Unicast() {
		path.MAC = vrrp.VirtualMAC(r.Spec.Family, r.Spec.VRID)
	}
	to := []netip.Addr{path.Dst}
	if r.Spec.Unicast() {
		to = to[:0]
		for _, p := range r.Spec.Peers {
			to = append(to, p.Addr)
		}
		if r.Spec.TTL > 0 {
			path.TTL = r.Spec.TTL
		}
	}
	for _, path.Dst = range to {
		port.Send(&path, advert.Append(nil, path.Src, path.Dst, fsm.Form()))
	}
	port.Flush()
}

// heldBy tells whether a router had addresses, or a macvlan, among what was left.
func heldBy(r *daemon.RouterConfig, left []address.Left, link int) bool {
	return slices.ContainsFunc(left, func(l address.Left) bool {
		if !l.Address.IsValid() {
			return r.VirtualMAC && l.Link == link
		}
		for i := range r.Addresses {
			if r.Addresses[i].Prefix.Addr() == l.Address.Addr() {
				return true
			}
		}
		return false
	})
}

// ownAddress is the address that the router's adverts came from.
func ownAddress(r *daemon.RouterConfig, link *net.Interface) netip.Addr {
	if r.Source.IsValid() {
		return r.Source
	}
	list, err := link.Addrs()
	if err != nil {
		return netip.Addr{}
	}
	for _, a := range list {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		addr := p.Addr().Unmap()
		switch {
		case vrrp.FamilyOf(addr) != r.Spec.Family:
		case addr.Is6() && addr.IsLinkLocalUnicast() == (r.Spec.Unicast() && !r.Spec.Peers[0].Addr.IsLinkLocalUnicast()):
		case slices.Contains(r.Spec.Addresses, addr):
		default:
			return addr
		}
	}
	return netip.Addr{}
}
