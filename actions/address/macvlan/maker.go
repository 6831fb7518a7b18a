package macvlan

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// ours is what the alias of every macvlan made by this program begins with. A
// link with the virtual MAC and such an alias is left over from an earlier life
// and is adopted; any other belongs to somebody else.
const ours = "backbeat"

// requestTimeout bounds one netlink request, in nanoseconds. The kernel answers
// in microseconds unless somebody holds the RTNL lock (deleting many macvlans
// one by one takes seconds).
const requestTimeout = 10_000_000_000

// Found is one macvlan of the current network namespace.
type Found struct {
	// Index is the link's own, Parent that of the interface below it.
	Index       int
	Name, Alias string
	MAC         [6]byte
	Parent      int
}

// Maker makes and removes macvlans in the network namespace of the thread that
// called Dial. It is used from one goroutine; one that has changed its
// namespace must be locked to its thread, since /proc/sys follows the thread.
type Maker struct {
	sockets map[int]*nl.SocketHandle
	// known are the macvlans by parent and MAC, as of the last listing and what
	// was done since; nil before the first. A hit is verified before it is
	// believed, a miss is corrected by the kernel, which refuses a second link
	// with the same MAC: so a thousand Ensures need one listing, not a thousand.
	known map[identity]Found
}

type identity struct {
	parent int
	mac    [6]byte
}

// Dial opens the netlink socket. It needs no privilege; what follows does.
func Dial() (*Maker, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket for virtual MACs: %w", err)
	}
	m := &Maker{sockets: map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}}
	timeout := unix.NsecToTimeval(requestTimeout)
	if err := errors.Join(s.SetSendTimeout(&timeout), s.SetReceiveTimeout(&timeout)); err != nil {
		s.Close()
		return nil, fmt.Errorf("setting up the netlink socket for virtual MACs: %w", err)
	}
	// The kernel's own words for a refusal; kernels before 4.12 have none.
	_ = s.SetExtAck(true)
	return m, nil
}

// Close closes the socket; the links stay.
func (m *Maker) Close() {
	for _, s := range m.sockets {
		s.Close()
	}
}

// VirtualMACName is the name of a macvlan for which none is configured:
// "vr4.61.3" for the IPv4 virtual router 61 on the interface with index 3. An
// index too long for the kernel's 15 bytes is written to base 36 after an "x".
func VirtualMACName(v actions.VirtualMAC) string {
	family := "4"
	if v.MAC[4] == 2 { // 00-00-5E-00-02-{VRID} (RFC 9568 7.3)
		family = "6"
	}
	index := strconv.Itoa(v.Parent)
	if len(index) > 7 {
		index = "x" + strconv.FormatInt(int64(v.Parent), 36)
	}
	return "vr" + family + "." + strconv.Itoa(int(v.MAC[5])) + "." + index
}

// Ensure sees to it that there is a macvlan with the virtual MAC on the parent,
// up and set as it must be, and returns it; made tells that it was not there
// before. One that is there is adopted if its alias is alias or begins with
// "backbeat" (it is set anew, whatever it was like); another program's is left
// alone and named in the error. What could not be finished is removed again.
//
// The link is up when Ensure returns: silence the MAC first.
func (m *Maker) Ensure(v actions.VirtualMAC, alias string) (f Found, made bool, err error) {
	name := v.Name
	if name == "" {
		name = VirtualMACName(v)
	}
	parent, err := m.parent(v)
	if err != nil {
		return Found{}, false, fmt.Errorf("virtual MAC %s: %w", mac(v.MAC), err)
	}
	if err := m.learn(); err != nil {
		return Found{}, false, fmt.Errorf("virtual MAC %s on %s: %w", mac(v.MAC), parent.name, m.explain(err))
	}
	id := identity{v.Parent, v.MAC}
	f, there := m.known[id]
	if there {
		if f, there, err = m.again(id); err != nil {
			return Found{}, false, fmt.Errorf("virtual MAC %s on %s: %w", mac(v.MAC), parent.name, m.explain(err))
		}
	}
	if !there {
		f, err = m.make(v, name, alias, parent)
		if err == nil {
			m.known[id] = f
			return f, true, nil
		}
		// The kernel knows one that we did not: look once more.
		if !errors.Is(err, unix.EADDRINUSE) {
			return Found{}, false, err
		}
		m.known = nil
		if m.learn() != nil || m.known[id].Index == 0 {
			return Found{}, false, err
		}
		f = m.known[id]
	}
	if f.Alias != alias && !strings.HasPrefix(f.Alias, ours) {
		delete(m.known, id)
		return Found{}, false, fmt.Errorf("macvlan %s on %s has the virtual MAC %s already: is keepalived running, or FRR's vrrpd? "+
			"Stop it, or remove the link with: ip link delete %s", f.Name, parent.name, mac(v.MAC), f.Name)
	}
	if err := m.finish(f.Index, f.Name, alias, v, parent, true); err != nil {
		delete(m.known, id)
		return Found{}, false, fmt.Errorf("adopting the macvlan %s on %s: %w", f.Name, parent.name, err)
	}
	f.Alias = alias
	m.known[id] = f
	return f, false, nil
}

// make creates the link, down, sets it and brings it up.
func (m *Maker) make(v actions.VirtualMAC, name, alias string, parent link) (Found, error) {
	fail := func(err error) (Found, error) {
		return Found{}, fmt.Errorf("creating the macvlan %s on %s: %w", name, parent.name, err)
	}
	if len(name) > unix.IFNAMSIZ-1 || name == "" {
		return fail(fmt.Errorf("%q is no interface name: 1 to %d bytes (virtual_mac_name)", name, unix.IFNAMSIZ-1))
	}
	if err := m.create(v, name); errors.Is(err, unix.EEXIST) {
		return fail(m.taken(name))
	} else if err != nil {
		return fail(m.explain(err))
	}
	l, err := m.byName(name)
	if err != nil {
		return fail(m.explain(err))
	}
	if err := m.finish(l.index, name, alias, v, parent, false); err != nil {
		return fail(errors.Join(err, m.undo(l.index)))
	}
	return Found{Index: l.index, Name: name, Alias: alias, MAC: v.MAC, Parent: v.Parent}, nil
}

// finish sets a macvlan and brings it up, in the order that leaks nothing:
// created up it would have an address made from the MAC already (H16).
func (m *Maker) finish(index int, name, alias string, v actions.VirtualMAC, parent link, adopted bool) error {
	if err := m.set(index, alias, parent, adopted); err != nil {
		return m.explain(err)
	}
	if err := writeIPv6(name, v.IPv6); err != nil {
		return err
	}
	if err := m.up(index); err != nil {
		return m.explain(err)
	}
	return nil
}

// undo removes what make began; that it has gone already is as good.
func (m *Maker) undo(index int) error {
	if err := m.remove(index); err != nil && !gone(err) {
		return fmt.Errorf("and it could not be removed again: %w", err)
	}
	return nil
}

// again verifies what is known of a macvlan. If it has gone or changed, all is
// listed anew.
func (m *Maker) again(id identity) (Found, bool, error) {
	l, err := m.byIndex(m.known[id].Index)
	if err == nil && l.kind == kind && l.parent == id.parent && l.mac == id.mac {
		return l.found(), true, nil
	}
	if err != nil && !gone(err) {
		return Found{}, false, err
	}
	m.known = nil
	if err := m.learn(); err != nil {
		return Found{}, false, err
	}
	f, ok := m.known[id]
	return f, ok, nil
}

// learn lists the macvlans unless that has been done.
func (m *Maker) learn() error {
	if m.known != nil {
		return nil
	}
	all, err := m.macvlans()
	if err != nil {
		return err
	}
	m.known = make(map[identity]Found, len(all))
	for _, l := range all {
		id := identity{l.parent, l.mac}
		// Of several, an own one counts: the kernel lets only one be up.
		if before, ok := m.known[id]; !ok || !strings.HasPrefix(before.Alias, ours) {
			m.known[id] = l.found()
		}
	}
	return nil
}

// List returns the macvlans whose alias begins with aliasPrefix, in the
// kernel's order; an empty prefix gives all of them.
func (m *Maker) List(aliasPrefix string) ([]Found, error) {
	all, err := m.macvlans()
	if err != nil {
		return nil, fmt.Errorf("listing the macvlans: %w", m.explain(err))
	}
	var list []Found
	for _, l := range all {
		if strings.HasPrefix(l.alias, aliasPrefix) {
			list = append(list, l.found())
		}
	}
	return list, nil
}

// mac writes a MAC as ip(8) does.
func mac(b [6]byte) string { return net.HardwareAddr(b[:]).String() }
