package macvlan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// setting is one of net.ipv4.conf.LINK, with its number in IFLA_INET_CONF
// (IPV4_DEVCONF_*, linux/ip.h).
type setting struct {
	name   string
	number int
	value  uint32
}

// Numbers of linux/ip.h that x/sys/unix does not name.
const (
	devconfSendRedirects      = 5
	devconfRPFilter           = 8
	devconfARPAnnounce        = 18
	devconfARPIgnore          = 19
	devconfPromoteSecondaries = 20
	devconfARPNotify          = 22
	devconfAcceptLocal        = 23
)

// addrGenModeNone is IN6_ADDR_GEN_MODE_NONE: no link-local address of its own.
const addrGenModeNone = 1

// ofMacvlan are the IPv4 settings of a macvlan. Those of "all" can only add to
// them (the kernel takes the greater, or either), so these work whatever the
// host has there:
//   - arp_ignore 1: answers for addresses on this link only, else parent and
//     macvlan both answer for each other's
//   - arp_announce 2: asks with an address of the link that asks
//   - rp_filter 2: loose; with 1 nobody answers for the address at all, and 0
//     is not enough where all.rp_filter is 1
//   - accept_local 1: packets whose source is one of our own addresses, coming
//     back through another leg, are not martians
//   - promote_secondaries 1: deleting the first address of a subnet leaves the rest
//   - arp_notify 0: announcing is our own business
//   - send_redirects 1: a redirect for the virtual router has its address as
//     source (RFC 9568 8.1.1)
var ofMacvlan = []setting{
	{"arp_ignore", devconfARPIgnore, 1},
	{"arp_announce", devconfARPAnnounce, 2},
	{"rp_filter", devconfRPFilter, 2},
	{"accept_local", devconfAcceptLocal, 1},
	{"promote_secondaries", devconfPromoteSecondaries, 1},
	{"arp_notify", devconfARPNotify, 0},
	{"send_redirects", devconfSendRedirects, 1},
}

// ofParent are the least values of the parent's settings. arp_filter, which
// keepalived sets as well, adds nothing to them (measured).
var ofParent = []setting{
	{"arp_ignore", devconfARPIgnore, 1},
	{"arp_announce", devconfARPAnnounce, 2},
}

type sysctl struct{ name, value string }

// withIPv6 are the settings of net.ipv6.conf.LINK for a macvlan that carries
// IPv6 addresses. forwarding is what the Router flag of a Neighbor Advertisement
// is taken from; on one link it forwards nothing by itself, since packets are
// forwarded where "all" says so, and "all" is not touched.
//
// keep_addr_on_down is left at 0 on purpose: a link that somebody takes down
// loses its addresses, the keeper hears of each and puts it back; kept ones
// would come back with the link unheard.
var withIPv6 = []sysctl{
	{"disable_ipv6", "0"}, // a host may have switched it off for new links
	{"accept_ra", "0"},
	{"autoconf", "0"},
	{"accept_dad", "0"},
	{"dad_transmits", "0"},
	{"ndisc_notify", "0"},
	{"forwarding", "1"},
}

// withoutIPv6: IPv6 sends nothing, not even MLD reports.
var withoutIPv6 = []sysctl{{"disable_ipv6", "1"}}

// procSys is where the sysctls of the current thread's network namespace are.
const procSys = "/proc/sys/net/ipv6/conf"

// haveIPv6 tells whether the kernel has IPv6 at all (ipv6.disable=1).
func haveIPv6() bool {
	_, err := os.Stat(procSys)
	return err == nil
}

// writeIPv6 sets the IPv6 settings of a link. What has its value already is not
// written, so that a read-only /proc/sys is enough where "default" says the same.
func writeIPv6(name string, on bool) error {
	if !haveIPv6() {
		if on {
			return errors.New("this kernel runs without IPv6: boot it without ipv6.disable=1, or remove the IPv6 addresses")
		}
		return nil
	}
	list := withoutIPv6
	if on {
		list = withIPv6
	}
	for _, s := range list {
		// The name is one directory whatever is in it: "vr4.61.3", "eth0.5".
		if err := write(filepath.Join(procSys, name, s.name), s.value); err != nil {
			return err
		}
	}
	return nil
}

func write(file, value string) error {
	if now, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(now)) == value {
		return nil
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(value)
		err = errors.Join(err, f.Close())
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: /proc/sys is mounted read-only, as in a container or by ProtectKernelTunables=yes; make it writable, "+
			"or let new links have %s by net.ipv6.conf.default.%s=%s on the host", err, value, filepath.Base(file), value)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: writing it needs the capability CAP_NET_ADMIN in the namespace's user namespace "+
			"(run backbeat as root, or give its unit AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW)", err)
	default:
		return fmt.Errorf("setting %s to %s: %w", file, value, err)
	}
}

// value reads one IPv4 setting out of what RTM_NEWLINK said.
func (l link) value(s setting) (uint32, bool) {
	at := 4 * (s.number - 1)
	if at+4 > len(l.ipv4) {
		return 0, false
	}
	return native.Uint32(l.ipv4[at:]), true
}

// parent reads the interface below and refuses those that cannot be one.
func (m *Maker) parent(v actions.VirtualMAC) (link, error) {
	named := v.ParentName
	if named == "" {
		named = fmt.Sprintf("the interface with index %d", v.Parent)
	}
	if v.Parent <= 0 {
		return link{}, fmt.Errorf("%s does not exist", named)
	}
	p, err := m.byIndex(v.Parent)
	switch {
	case gone(err):
		return link{}, fmt.Errorf("%s does not exist (any more)", named)
	case err != nil:
		return link{}, fmt.Errorf("asking about %s: %w", named, m.explain(err))
	case p.kind == kind || p.kind == "macvtap" || p.kind == "ipvlan":
		// The kernel would put ours beside it, on the interface below, where
		// nothing keeps it silent.
		return link{}, fmt.Errorf("%s is a %s itself and cannot carry a virtual MAC: set virtual_mac = false, or use the interface below it", p.name, p.kind)
	}
	if p.master == 0 {
		return p, nil
	}
	// A link below a VRF takes its macvlan along.
	master, err := m.byIndex(p.master)
	switch {
	case err != nil && !gone(err):
		return link{}, fmt.Errorf("asking about the master of %s: %w", named, m.explain(err))
	case err == nil && (master.kind == "bridge" || master.kind == "bond" || master.kind == "team"):
		// The kernel says no more than "busy": a port's frames belong to its master.
		return link{}, fmt.Errorf("%s is a port of the %s %s: use interface = %q", p.name, master.kind, master.name, master.name)
	case err != nil || master.kind != "vrf":
		p.master = 0
	}
	return p, nil
}
