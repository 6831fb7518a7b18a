package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// address carries out the verbs of an address as a step, for groups in which it
// must not be there before the storage is. Nothing is announced: it is not the
// virtual router's address, and neighbours that must learn of a move fast have
// that one.
func (h *Hands) address(_ context.Context, job *actions.Job, a actions.AddressStep, _ say) actions.Done {
	link, err := netlink.LinkByName(a.Interface)
	if err != nil {
		return noInterface(job.Verb, a.Interface, err)
	}
	s := addressAgent{a: a, link: link}
	switch job.Verb {
	case actions.Start:
		return s.start()
	case actions.Stop, actions.ForceStop:
		return s.stop()
	default:
		return s.look()
	}
}

// noInterface is the answer where the interface is missing: nothing is on it.
func noInterface(verb actions.Verb, name string, err error) actions.Done {
	var missing netlink.LinkNotFoundError
	if !errors.As(err, &missing) {
		return actions.Done{Detail: fmt.Sprintf("interface %s cannot be looked up: %v", name, err)}
	}
	done := actions.Done{State: actions.Down, Detail: fmt.Sprintf("interface %s does not exist", name)}
	done.OK = verb != actions.Start && verb != actions.Qualify
	return done
}

type addressAgent struct {
	a    actions.AddressStep
	link netlink.Link
}

func family(p netip.Addr) int {
	if p.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// list returns all addresses of the interface of the step's family, and ours if it is among them.
func (s *addressAgent) list() (all []netlink.Addr, ours *netlink.Addr, err error) {
	all, err = netlink.AddrList(s.link, family(s.a.Prefix.Addr()))
	if err != nil {
		return nil, nil, fmt.Errorf("the addresses of %s cannot be read: %w", s.a.Interface, err)
	}
	for i := range all {
		if same(&all[i], s.a.Prefix) {
			ours = &all[i]
		}
	}
	return all, ours, nil
}

func same(a *netlink.Addr, p netip.Prefix) bool {
	ip, ok := netip.AddrFromSlice(a.IP)
	bits, _ := a.Mask.Size()
	return ok && ip.Unmap() == p.Addr() && bits == p.Bits()
}

func (s *addressAgent) look() actions.Done {
	_, ours, err := s.list()
	name := fmt.Sprintf("%s on %s", s.a.Prefix, s.a.Interface)
	switch {
	case err != nil:
		return actions.Done{Detail: err.Error()}
	case ours == nil:
		return actions.Done{OK: true, State: actions.Down, Detail: name + " is not there"}
	case ours.Flags&unix.IFA_F_DADFAILED != 0:
		return actions.Done{OK: true, State: actions.Neither, Detail: name + ": another host has it (duplicate address detection failed)"}
	case s.link.Attrs().Flags&net.FlagUp == 0:
		return actions.Done{OK: true, State: actions.Up, Degraded: true, Detail: name + ", but the interface is down: ip link set " + s.a.Interface + " up"}
	default:
		return actions.Done{OK: true, State: actions.Up, Detail: name}
	}
}

// start adds the address. IPv6 without duplicate address detection: it moves
// between hosts, and the other one may not have let go of it a moment ago.
func (s *addressAgent) start() actions.Done {
	ip := s.a.Prefix.Addr()
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(s.a.Prefix.Bits(), ip.BitLen())}}
	if ip.Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	if err := netlink.AddrAdd(s.link, addr); err != nil && !errors.Is(err, unix.EEXIST) {
		return actions.Done{State: actions.Down, Detail: fmt.Sprintf("%s cannot be added to %s: %v", s.a.Prefix, s.a.Interface, err)}
	}
	done := s.look()
	done.OK = done.State == actions.Up
	return done
}

// stop removes the address. The kernel removes, together with the first IPv4
// address of a subnet, all others of that subnet (unless promote_secondaries is
// set): those are put back.
func (s *addressAgent) stop() actions.Done {
	before, ours, err := s.list()
	if err != nil {
		return actions.Done{Detail: err.Error()}
	}
	if ours == nil {
		return s.look()
	}
	if err := netlink.AddrDel(s.link, ours); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return actions.Done{State: actions.Up, Detail: fmt.Sprintf("%s cannot be removed from %s: %v", s.a.Prefix, s.a.Interface, err)}
	}
	after, _, err := s.list()
	if err != nil {
		return actions.Done{Detail: err.Error()}
	}
	for i := range before {
		b := &before[i]
		lost := b != ours && b.Flags&unix.IFA_F_SECONDARY != 0 && !same(b, s.a.Prefix) &&
			!slices.ContainsFunc(after, func(a netlink.Addr) bool { return a.Equal(*b) })
		if lost {
			b.Flags &^= unix.IFA_F_SECONDARY
			_ = netlink.AddrAdd(s.link, b) // whoever holds it puts it back as well
		}
	}
	done := s.look()
	done.OK = done.State == actions.Down
	return done
}
