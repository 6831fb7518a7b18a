package lab

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Cut pulls the host's cable (eth0) at the switch: the host loses its carrier.
func (h *Host) Cut() error { return h.CutLink(0) }

// CutLink is Cut for ethK.
func (h *Host) CutLink(k int) error {
	if err := h.lab.hub.nl.LinkSetDown(h.port(k)); err != nil {
		return fmt.Errorf("cut off eth%d of %s: %w", k, h.Name, err)
	}
	return nil
}

// Heal puts the cable back.
func (h *Host) Heal() error { return h.HealLink(0) }

// HealLink is Heal for ethK.
func (h *Host) HealLink(k int) error {
	if err := h.lab.hub.nl.LinkSetUp(h.port(k)); err != nil {
		return fmt.Errorf("reconnect eth%d of %s: %w", k, h.Name, err)
	}
	return nil
}

// Lose makes every frame of the host vanish in the switch, both ways; the host
// keeps its carrier and notices nothing.
func (h *Host) Lose() error { return h.LoseLink(0) }

// LoseLink is Lose for ethK.
func (h *Host) LoseLink(k int) error {
	if err := h.lab.hub.nl.LinkSetNoMaster(h.port(k)); err != nil {
		return fmt.Errorf("lose the frames of eth%d of %s: %w", k, h.Name, err)
	}
	return nil
}

// Unlose ends Lose.
func (h *Host) Unlose() error { return h.UnloseLink(0) }

// UnloseLink is Unlose for ethK.
func (h *Host) UnloseLink(k int) error {
	if err := h.lab.hub.nl.LinkSetMasterByIndex(h.port(k), h.lab.bridges[k]); err != nil {
		return fmt.Errorf("deliver the frames of eth%d of %s again: %w", k, h.Name, err)
	}
	return nil
}

// Deafen stops the switch from handing multicast frames to the host, adverts
// among them: it is heard but does not hear. Broadcasts and its own unicast
// frames pass. Neighbor Solicitations are multicast and do not.
func (h *Host) Deafen() error { return h.multicastFlood(0) }

// Undeafen ends Deafen.
func (h *Host) Undeafen() error { return h.multicastFlood(1) }

// multicastFlood sets IFLA_BRPORT_MCAST_FLOOD of the host's port; the netlink
// library has no call for it.
func (h *Host) multicastFlood(on byte) error {
	var err error
	h.lab.hub.do(func() {
		req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
		msg := nl.NewIfInfomsg(unix.AF_BRIDGE)
		msg.Index = int32(h.ports[0])
		req.AddData(msg)
		port := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
		port.AddRtAttr(nl.IFLA_BRPORT_MCAST_FLOOD, []byte{on})
		req.AddData(port)
		_, err = req.Execute(unix.NETLINK_ROUTE, 0)
	})
	if err != nil {
		return fmt.Errorf("change multicast towards %s: %w", h.Name, err)
	}
	return nil
}

// port is the switch's end of a cable.
func (h *Host) port(link int) netlink.Link {
	a := netlink.NewLinkAttrs()
	a.Index = h.ports[link]
	return &netlink.Device{LinkAttrs: a}
}

// eth is the host's end.
func (h *Host) eth(link int) (netlink.Link, error) {
	name := fmt.Sprintf("eth%d", link)
	l, err := h.nl.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("find %s on %s: %w", name, h.Name, err)
	}
	return l, nil
}

// Carrier reports whether ethK has a carrier, and fails where there is no such interface.
func (h *Host) Carrier(link int) (bool, error) {
	l, err := h.eth(link)
	if err != nil {
		return false, err
	}
	return l.Attrs().RawFlags&unix.IFF_LOWER_UP != 0, nil
}

// Down and Up switch eth0 inside the host, as its administrator would.
func (h *Host) Down() error { return h.admin((*netlink.Handle).LinkSetDown) }

// Up ends Down. The kernel removed the IPv6 addresses; the lab's own comes back with it.
func (h *Host) Up() error {
	if err := h.admin((*netlink.Handle).LinkSetUp); err != nil {
		return err
	}
	return h.AddAddr(h.Addr6(0))
}

func (h *Host) admin(set func(*netlink.Handle, netlink.Link) error) error {
	eth, err := h.eth(0)
	if err != nil {
		return err
	}
	if err := set(h.nl, eth); err != nil {
		return fmt.Errorf("switch eth0 of %s: %w", h.Name, err)
	}
	return nil
}

// Unplug deletes the host's eth0 together with its cable; Replug makes a new
// one with the same MAC and addresses. Until then the other faults fail.
func (h *Host) Unplug() error {
	if err := h.lab.hub.nl.LinkDel(h.port(0)); err != nil {
		return fmt.Errorf("unplug %s: %w", h.Name, err)
	}
	return nil
}

// Replug ends Unplug.
func (h *Host) Replug() error {
	if err := h.plug(0); err != nil {
		return fmt.Errorf("replug %s: %w", h.Name, err)
	}
	return nil
}

// PinNeighbour makes the host send what is for an address to a MAC, whatever
// the owner of the address says.
func (h *Host) PinNeighbour(a netip.Addr, mac net.HardwareAddr) error {
	eth, err := h.eth(0)
	if err != nil {
		return err
	}
	err = h.nl.NeighSet(&netlink.Neigh{
		LinkIndex: eth.Attrs().Index, State: netlink.NUD_PERMANENT, IP: a.AsSlice(), HardwareAddr: mac,
	})
	if err != nil {
		return fmt.Errorf("pin %s to %s on %s: %w", a, mac, h.Name, err)
	}
	return nil
}

// OnLink tells the host that an address is to be found on eth0 itself.
func (h *Host) OnLink(a netip.Addr) error {
	eth, err := h.eth(0)
	if err != nil {
		return err
	}
	to := kernelAddr(netip.PrefixFrom(a, a.BitLen())).IPNet
	if err := h.nl.RouteReplace(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: to, Scope: netlink.SCOPE_LINK}); err != nil {
		return fmt.Errorf("tell %s where %s is: %w", h.Name, a, err)
	}
	return nil
}

// DelAddr takes an address away from eth0, as `ip addr del` by somebody else would.
func (h *Host) DelAddr(p netip.Prefix) error {
	eth, err := h.eth(0)
	if err != nil {
		return err
	}
	if err := h.nl.AddrDel(eth, kernelAddr(p)); err != nil {
		return fmt.Errorf("take %s from %s: %w", p, h.Name, err)
	}
	return nil
}

// DelVirtual takes an address away from whichever interface of the host has it.
func (h *Host) DelVirtual(p netip.Prefix) error {
	list, err := h.nl.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list the addresses of %s: %w", h.Name, err)
	}
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP); !ok || ip.Unmap() != p.Addr() {
			continue
		}
		l, err := h.nl.LinkByIndex(a.LinkIndex)
		if err == nil {
			err = h.nl.AddrDel(l, &a)
		}
		if err != nil {
			return fmt.Errorf("take %s from %s: %w", p, h.Name, err)
		}
		return nil
	}
	return fmt.Errorf("take %s from %s: it does not have it", p, h.Name)
}

// AddAddr gives eth0 an address, if it does not have it already.
func (h *Host) AddAddr(p netip.Prefix) error {
	eth, err := h.eth(0)
	if err != nil {
		return err
	}
	if err := h.nl.AddrReplace(eth, kernelAddr(p)); err != nil {
		return fmt.Errorf("give %s to %s: %w", p, h.Name, err)
	}
	return nil
}

// Addresses returns all addresses of the host except those of lo.
func (h *Host) Addresses() ([]netip.Prefix, error) {
	list, err := h.nl.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list the addresses of %s: %w", h.Name, err)
	}
	var out []netip.Prefix
	for _, a := range list {
		ip, ok := netip.AddrFromSlice(a.IP)
		if !ok || ip.IsLoopback() {
			continue
		}
		bits, _ := a.Mask.Size()
		out = append(out, netip.PrefixFrom(ip.Unmap(), bits))
	}
	return out, nil
}

// Has reports whether the host's kernel has the address, of whatever length.
// An address the kernel cannot be asked about counts as not there.
func (h *Host) Has(a netip.Addr) bool {
	list, err := h.Addresses()
	return err == nil && slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Addr() == a })
}
