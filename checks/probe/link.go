package probe

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/checks"
)

func runLink(v checks.Link) checks.Result {
	l, err := netlink.LinkByName(v.Interface)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		return failed("does not exist")
	case err != nil:
		return notRun(err.Error())
	}
	a := l.Attrs()
	switch {
	case a.RawFlags&unix.IFF_UP == 0:
		return failed("administratively down")
	case a.RawFlags&unix.IFF_LOWER_UP == 0:
		return failed("no carrier")
	case a.RawFlags&unix.IFF_RUNNING == 0:
		return failed("not running (%s)", a.OperState)
	case v.MinSpeed == 0:
		return passed("up")
	}
	mbit, err := speed(v.Interface)
	switch {
	case err != nil:
		return notRun(err.Error())
	case mbit < v.MinSpeed:
		return failed("%d Mbit/s, wanted %d", mbit, v.MinSpeed)
	}
	return passed(fmt.Sprintf("up, %d Mbit/s", mbit))
}

// speed is what the driver says (Documentation/ABI/testing/sysfs-class-net); many
// virtual ones say nothing.
func speed(name string) (int, error) {
	text, err := os.ReadFile(filepath.Join("/sys/class/net", name, "speed"))
	if errors.Is(err, syscall.EINVAL) {
		return 0, errors.New("its driver does not tell the speed")
	}
	if err != nil {
		return 0, err
	}
	n, err := integer(string(text))
	if err != nil || n < 0 {
		return 0, errors.New("its driver does not tell the speed")
	}
	return n, nil
}

// runAddress looks for an address. One that duplicate address detection has not
// let through is not there yet.
func runAddress(v checks.Address) checks.Result {
	family := netlink.FAMILY_V4
	if v.Address.Is6() {
		family = netlink.FAMILY_V6
	}
	var on netlink.Link
	if v.Interface != "" {
		l, err := netlink.LinkByName(v.Interface)
		var missing netlink.LinkNotFoundError
		switch {
		case errors.As(err, &missing) && v.Absent:
			return passed("not there: the interface does not exist")
		case errors.As(err, &missing):
			return failed("the interface %s does not exist", v.Interface)
		case err != nil:
			return notRun(err.Error())
		}
		on = l
	}
	list, err := netlink.AddrList(on, family)
	if err != nil {
		return notRun(err.Error())
	}
	want := net.IP(v.Address.AsSlice())
	there, detail := false, "is not there"
	for i := range list {
		if !list[i].IP.Equal(want) {
			continue
		}
		if list[i].Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0 {
			detail = "is there, but tentative or a duplicate"
			continue
		}
		there, detail = true, "is there"
	}
	if there == v.Absent {
		return failed("%s", detail)
	}
	return passed(detail)
}

// runRoute looks for a route. One whose next hops are all dead or without
// carrier does not count: the kernel does not use it.
func runRoute(v checks.Route) checks.Result {
	family := netlink.FAMILY_V4
	if v.Prefix.Addr().Is6() {
		family = netlink.FAMILY_V6
	}
	want := &netlink.Route{Table: unix.RT_TABLE_MAIN, Dst: &net.IPNet{IP: v.Prefix.Addr().AsSlice(), Mask: net.CIDRMask(v.Prefix.Bits(), v.Prefix.Addr().BitLen())}}
	if v.Table != 0 {
		want.Table = int(v.Table)
	}
	if v.Interface != "" {
		l, err := netlink.LinkByName(v.Interface)
		var missing netlink.LinkNotFoundError
		switch {
		case errors.As(err, &missing):
			return failed("the interface %s does not exist", v.Interface)
		case err != nil:
			return notRun(err.Error())
		}
		want.LinkIndex = l.Attrs().Index
	}
	detail, err := findRoute(family, want, v)
	switch {
	case err != nil:
		return notRun(err.Error())
	case detail != "":
		return failed("%s", detail)
	}
	return passed("is there")
}

// findRoute says what is wrong with what it found, or nothing.
func findRoute(family int, want *netlink.Route, v checks.Route) (string, error) {
	detail := "is not there"
	found := false
	err := netlink.RouteListFilteredIter(family, want, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST, func(r netlink.Route) bool {
		hops := r.MultiPath
		if len(hops) == 0 {
			hops = []*netlink.NexthopInfo{{LinkIndex: r.LinkIndex, Gw: r.Gw, Flags: r.Flags}}
		}
		for _, h := range hops {
			switch {
			case want.LinkIndex != 0 && h.LinkIndex != want.LinkIndex:
				detail = "is there, but not by " + v.Interface
			case v.Via.IsValid() && !h.Gw.Equal(net.IP(v.Via.AsSlice())):
				detail = "is there, but not via " + v.Via.String()
			case h.Flags&(unix.RTNH_F_DEAD|unix.RTNH_F_LINKDOWN) != 0:
				detail = "is there, but its link is down"
			default:
				found = true
			}
		}
		return !found
	})
	if found {
		return "", err
	}
	return detail, err
}
