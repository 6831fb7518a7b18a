package address

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// absent tells that something could not be removed because it, or its whole
// interface, is not there: that is as good as removed. ESRCH is what routes
// say, ENOENT rules.
func absent(err error) bool {
	for _, code := range []error{unix.EADDRNOTAVAIL, unix.ENODEV, unix.ENXIO, unix.ESRCH, unix.ENOENT} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// explain names the cause and the remedy of the refusals that have one.
func explain(err error, it *item) string {
	link := it.what.linkName
	switch {
	case errors.Is(err, unix.EPERM):
		return "not permitted: changing addresses needs the capability CAP_NET_ADMIN " +
			"(run backbeat as root, or give its unit AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW)"
	case errors.Is(err, unix.EACCES) && it.at.kind == anAddress:
		return "IPv6 is switched off on " + link + " (set net.ipv6.conf." + link + ".disable_ipv6=0)"
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return gone(link)
	case errors.Is(err, unix.EAGAIN):
		return "the kernel did not answer within 10s"
	case it.at.kind == aRoute && errors.Is(err, unix.ENETUNREACH):
		return "its next hop is on no interface's network (give the route's interface, or on_link = true)"
	case it.at.kind == aRoute && errors.Is(err, unix.ENETDOWN):
		return "its interface is down"
	case it.at.kind == aRoute && errors.Is(err, unix.EINVAL) && it.what.route.get().Source.IsValid():
		return err.Error() + " (is its source " + it.what.route.get().Source.String() + " an address of this host while Active?)"
	default:
		return err.Error()
	}
}

func gone(link string) string {
	if link == "" {
		return "its interface is gone"
	}
	return "the interface " + link + " is gone"
}

func missing(link string) string {
	if link == "" {
		return "its interface does not exist"
	}
	return "the interface " + link + " does not exist"
}

// faults collects what could not be done: things with the same trouble share a
// sentence.
type faults struct {
	order []string
	names map[string][]string
}

func (f *faults) add(doing, name, why string) {
	if f.names == nil {
		f.names = make(map[string][]string)
	}
	key := doing + " %s: " + why
	if f.names[key] == nil {
		f.order = append(f.order, key)
	}
	f.names[key] = append(f.names[key], name)
}

// String returns all of it in one line, empty if there is nothing.
func (f *faults) String() string {
	var all []string
	for _, key := range f.order {
		all = append(all, strings.Replace(key, "%s", shortList(f.names[key]), 1))
	}
	return strings.Join(all, "; ")
}

// shortList is a list for one line: of thousands of addresses in one trouble,
// the first tell it.
func shortList(names []string) string {
	const most = 5
	if len(names) <= most+1 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
