package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Plan says which hosts there are. All are joined by Links bridges (default 1):
// link k is the interface ethk of every host.
type Plan struct {
	Hosts []string
	Links int
}

// Lab is a few hosts and the switches between them. Its methods may be called
// from any goroutine.
type Lab struct {
	hub   *space
	hosts []*Host
	// bridges are the indexes of br0, br1, … in the hub.
	bridges []int
	dir     string
	pulse   pulse

	mu    sync.Mutex
	procs []*Process
	close []func()

	closed   sync.Once
	closeErr error
}

// Host is one host.
type Host struct {
	Name string
	// Number is n of the host's addresses 10.77.0.n/24 and fd77::n/64 on eth0,
	// 10.78.0.n/24 and fd78::n/64 on eth1, and so on.
	Number int
	*space
	lab *Lab
	// ports are the indexes of the switch's ends of the cables, in the hub.
	ports []int
	// machine is what Furnish has added, nil before.
	machine *machine
}

// New builds the hosts. The caller must Close it.
func New(p Plan) (*Lab, error) {
	if why := Unavailable(); why != "" {
		return nil, errors.New(why)
	}
	dir, err := os.MkdirTemp(runDir, "")
	if err != nil {
		return nil, fmt.Errorf("make the lab's directory: %w", err)
	}
	l := &Lab{dir: dir}
	if l.hub, err = newSpace(); err != nil {
		return nil, err
	}
	if err := l.build(p); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) build(p Plan) error {
	// The switch itself is no host: it must not speak on the links.
	if err := l.hub.sysctl("ipv6/conf/default/disable_ipv6", "1"); err != nil {
		return err
	}
	// A switch filters nothing. Where br_netfilter is loaded, each frame would pass the
	// hooks of IP on its way, at the sender's expense: a fifth of what an advert costs.
	for _, name := range []string{"bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables", "bridge/bridge-nf-call-arptables"} {
		_ = l.hub.sysctl(name, "0") // there is none where it is not loaded
	}
	for k := range max(p.Links, 1) {
		snooping := false
		br := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs(), MulticastSnooping: &snooping}
		br.Name = fmt.Sprintf("br%d", k)
		if err := l.hub.nl.LinkAdd(br); err != nil {
			return fmt.Errorf("make the bridge %s: %w", br.Name, err)
		}
		if err := l.hub.nl.LinkSetUp(br); err != nil {
			return fmt.Errorf("bring up the bridge %s: %w", br.Name, err)
		}
		l.bridges = append(l.bridges, br.Index)
	}
	for i, name := range p.Hosts {
		h := &Host{Name: name, Number: i + 1, lab: l, ports: make([]int, len(l.bridges))}
		var err error
		if h.space, err = newSpace(); err != nil {
			return err
		}
		l.hosts = append(l.hosts, h)
		if err := h.build(); err != nil {
			return fmt.Errorf("host %s: %w", name, err)
		}
	}
	if err := l.waitLinkLocal(); err != nil {
		return err
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		l.pulse.run(l.hub.nl, stop)
	}()
	l.atClose(func() { close(stop); <-ended })
	return nil
}

// build gives the host its cables and addresses.
func (h *Host) build() error {
	for name, value := range map[string]string{
		"ipv6/conf/all/accept_dad":     "0", // addresses are usable at once
		"ipv6/conf/default/accept_dad": "0",
		// A host that asks for routers would only be noise on the link.
		"ipv6/conf/default/router_solicitations": "0",
	} {
		if err := h.sysctl(name, value); err != nil {
			return err
		}
	}
	for k := range h.lab.bridges {
		if err := h.plug(k); err != nil {
			return err
		}
	}
	return nil
}

// MAC returns the host's link-layer address on ethK.
func (h *Host) MAC(link int) net.HardwareAddr {
	return net.HardwareAddr{0x02, 0x77, 0, 0, byte(link), byte(h.Number)}
}

// Addr4 and Addr6 return the host's own addresses on ethK, with the length of the network.
func (h *Host) Addr4(link int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(77 + link), 0, byte(h.Number)}), 24)
}

// Addr6 is Addr4 for IPv6.
func (h *Host) Addr6(link int) netip.Prefix {
	a := [16]byte{0: 0xfd, 1: byte(0x77 + link), 15: byte(h.Number)}
	return netip.PrefixFrom(netip.AddrFrom16(a), 64)
}

// LinkLocal returns the host's link-local address on ethK, which the kernel makes from the MAC.
func (h *Host) LinkLocal(link int) netip.Addr {
	m := h.MAC(link)
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}

// plug makes the cable of ethK and the host's addresses on it.
func (h *Host) plug(k int) error {
	nl := h.lab.hub.nl
	veth := &netlink.Veth{
		LinkAttrs:        netlink.NewLinkAttrs(),
		PeerName:         fmt.Sprintf("eth%d", k),
		PeerHardwareAddr: h.MAC(k),
		PeerNamespace:    netlink.NsFd(int(h.ns)),
	}
	veth.Name = fmt.Sprintf("port%d.%d", h.Number, k)
	veth.MasterIndex = h.lab.bridges[k]
	if err := nl.LinkAdd(veth); err != nil {
		return fmt.Errorf("make the cable %s: %w", veth.Name, err)
	}
	port, err := nl.LinkByName(veth.Name)
	if err != nil {
		return fmt.Errorf("find the cable %s: %w", veth.Name, err)
	}
	if err := nl.LinkSetUp(port); err != nil {
		return fmt.Errorf("bring up the port %s: %w", veth.Name, err)
	}
	h.lab.mu.Lock()
	h.ports[k] = port.Attrs().Index
	h.lab.mu.Unlock()
	eth, err := h.nl.LinkByName(veth.PeerName)
	if err != nil {
		return fmt.Errorf("find %s: %w", veth.PeerName, err)
	}
	for _, p := range []netip.Prefix{h.Addr4(k), h.Addr6(k)} {
		if err := h.nl.AddrAdd(eth, kernelAddr(p)); err != nil {
			return fmt.Errorf("give %s the address %s: %w", veth.PeerName, p, err)
		}
	}
	if err := h.nl.LinkSetUp(eth); err != nil {
		return fmt.Errorf("bring up %s: %w", veth.PeerName, err)
	}
	return nil
}

func kernelAddr(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: &net.IPNet{
		IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
	}}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

// waitLinkLocal waits until every host can speak IPv6 on every link.
func (l *Lab) waitLinkLocal() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, h := range l.hosts {
		for k := range l.bridges {
			what := fmt.Sprintf("the link-local address of %s", h.Name)
			if err := Until(ctx, what, func() bool { return h.Has(h.LinkLocal(k)) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// Host returns a host by name. An unknown name is a mistake in the test.
func (l *Lab) Host(name string) *Host {
	for _, h := range l.hosts {
		if h.Name == name {
			return h
		}
	}
	panic("lab: no host " + name)
}

// Dir is a directory for files of the lab, private to it; no directory above it can be written
// by others.
func (l *Lab) Dir(name string) string { return filepath.Join(l.dir, name) }

// Holders returns the names of the hosts that have the address, asking their kernels.
func (l *Lab) Holders(a netip.Addr) []string {
	var names []string
	for _, h := range l.hosts {
		if h.Has(a) {
			names = append(names, h.Name)
		}
	}
	return names
}

// byMAC returns the name of the host with this MAC on any link.
func (l *Lab) byMAC(mac net.HardwareAddr) string {
	for _, h := range l.hosts {
		for k := range l.bridges {
			if string(mac) == string(h.MAC(k)) {
				return h.Name
			}
		}
	}
	return mac.String()
}

// atClose registers what must be ended before the namespaces go.
func (l *Lab) atClose(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.close = append(l.close, f)
}

// Close ends every process, probe and sniffer and removes the files. Only the
// first call does something. The namespaces go with this process: the kernel
// takes them down under the lock that all namespaces share for addresses and
// links (RTNL), for seconds on a busy machine, and the next scenario would
// measure that. A lab that is closed costs threads and a megabyte until then.
func (l *Lab) Close() error {
	l.closed.Do(func() {
		l.mu.Lock()
		procs, closers := l.procs, l.close
		l.procs, l.close = nil, nil
		l.mu.Unlock()
		for _, f := range closers {
			f()
		}
		for _, p := range procs {
			p.Kill()
		}
		l.closeErr = os.RemoveAll(l.dir)
	})
	return l.closeErr
}
