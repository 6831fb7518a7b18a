package macvlan

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

var native = nl.NativeEndian()

// Parent sets what an interface that carries macvlans needs so that for each
// address one link answers, with its own MAC: arp_ignore at least 1,
// arp_announce at least 2 (net.ipv4.conf.NAME). It returns the previous values
// of what it changed, by sysctl name ("arp_ignore"), for RestoreParent; empty
// when all was so already.
func (m *Maker) Parent(name string) (before map[string]string, err error) {
	l, err := m.byName(name)
	if err != nil {
		return nil, fmt.Errorf("asking about %s: %w", name, m.explain(err))
	}
	before = make(map[string]string)
	var change []setting
	for _, s := range ofParent {
		if now, known := l.value(s); known && now < s.value {
			before[s.name] = strconv.FormatUint(uint64(now), 10)
			change = append(change, s)
		}
	}
	if len(change) == 0 {
		return before, nil
	}
	if err := m.setIPv4(l.index, change); err != nil {
		return nil, fmt.Errorf("setting net.ipv4.conf.%s.arp_ignore and arp_announce: %w", name, m.explain(err))
	}
	return before, nil
}

// RestoreParent puts back what Parent changed. What somebody else has changed
// since is left alone, and an interface that has gone needs nothing.
func (m *Maker) RestoreParent(name string, before map[string]string) error {
	l, err := m.byName(name)
	if gone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking about %s: %w", name, m.explain(err))
	}
	var change []setting
	for _, s := range ofParent {
		text, ok := before[s.name]
		now, known := l.value(s)
		if !ok || !known || now != s.value {
			continue
		}
		was, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return fmt.Errorf("restoring net.ipv4.conf.%s.%s: %q is no number", name, s.name, text)
		}
		s.value = uint32(was)
		change = append(change, s)
	}
	if len(change) == 0 {
		return nil
	}
	if err := m.setIPv4(l.index, change); err != nil && !gone(err) {
		return fmt.Errorf("restoring the settings of %s: %w", name, m.explain(err))
	}
	return nil
}

func (m *Maker) setIPv4(index int, settings []setting) error {
	req := m.about(unix.RTM_NEWLINK, unix.NLM_F_ACK, index)
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	addIPv4(spec, settings)
	req.AddData(spec)
	return do(req)
}

// Remove deletes macvlans, several in one operation of the kernel (250 in
// 60 ms, where one by one each takes 13–18 ms). Those that have gone already,
// and index 0, are fine; a link that is no macvlan with a virtual router MAC is refused, and
// then nothing is deleted.
func (m *Maker) Remove(indexes ...int) error {
	var there []link
	for _, i := range indexes {
		if i <= 0 {
			continue
		}
		l, err := m.byIndex(i)
		if gone(err) {
			m.forget(i)
			continue
		}
		if err != nil {
			return fmt.Errorf("asking about the macvlan with index %d: %w", i, m.explain(err))
		}
		// An index is not reused by the kernel, but a mistake here would delete
		// somebody's interface. One whose MAC was changed still has our alias.
		if l.kind != kind || [4]byte(l.mac[:4]) != [4]byte{0, 0, 0x5e, 0} && !strings.HasPrefix(l.alias, ours) {
			return fmt.Errorf("%s (index %d) is no macvlan with a virtual router MAC, nor made by backbeat: not removed", l.name, i)
		}
		there = append(there, l)
	}
	switch len(there) {
	case 0:
		return nil
	case 1:
		if err := m.remove(there[0].index); err != nil && !gone(err) {
			return fmt.Errorf("removing the macvlan %s: %w", there[0].name, m.explain(err))
		}
	default:
		if err := m.removeAll(there); err != nil {
			return fmt.Errorf("removing %d macvlans: %w", len(there), m.explain(err))
		}
	}
	for _, i := range indexes {
		m.forget(i)
	}
	return nil
}

func (m *Maker) removeAll(list []link) error {
	for _, l := range list {
		if err := m.setGroup(l.index, leaving); err != nil && !gone(err) {
			return err
		}
	}
	if err := m.removeGroup(leaving); err != nil && !gone(err) {
		return err
	}
	return nil
}

// forget drops what is known of a macvlan.
func (m *Maker) forget(index int) {
	for id, f := range m.known {
		if f.Index == index {
			delete(m.known, id)
		}
	}
}

// gone tells that a link is not there.
func gone(err error) bool { return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) }

// taken explains why a name cannot be had.
func (m *Maker) taken(name string) error {
	l, err := m.byName(name)
	if err != nil {
		return fmt.Errorf("the name is taken: %w", unix.EEXIST)
	}
	what := l.kind
	if what == "" {
		what = "interface"
	}
	return fmt.Errorf("there is another %s of that name (index %d, MAC %s): remove or rename it, or choose a name by virtual_mac_name",
		what, l.index, mac(l.mac))
}

// explain names cause and remedy of the refusals that have one; errors.Is keeps
// finding the kernel's code.
func (m *Maker) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: it needs the capability CAP_NET_ADMIN "+
			"(run backbeat as root, or give its unit AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW)", err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%w: the kernel has no macvlan (modprobe macvlan; CONFIG_MACVLAN), or not on such an interface; "+
			"virtual_mac = false does without", err)
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%w: another link on the same interface has this MAC already (see ip -d link)", err)
	case errors.Is(err, unix.EAGAIN):
		return fmt.Errorf("%w: the kernel did not answer within 10s", err)
	default:
		return err
	}
}
