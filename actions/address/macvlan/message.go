package macvlan

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// kind is IFLA_INFO_KIND of the links made here.
const kind = "macvlan"

// modePrivate is MACVLAN_MODE_PRIVATE (linux/if_link.h): macvlans of one parent
// do not see each other, and a frame of one is never switched to another.
const modePrivate = 1

// leaving is the private interface group (IFLA_GROUP) of links about to be
// deleted: the kernel deletes a whole group in one operation, with one wait for
// readers instead of one for each link. The number means "bbmv" and nothing else.
const leaving = 0x62626d76

// link is what is read of RTM_NEWLINK.
type link struct {
	index, parent, master int
	name, alias, kind     string
	mac                   [6]byte
	flags                 uint32
	mtu                   uint32
	// ipv4 is IFLA_INET_CONF: the IPv4 settings by number less one.
	ipv4 []byte
}

func (l link) found() Found {
	return Found{Index: l.index, Name: l.name, Alias: l.alias, MAC: l.mac, Parent: l.parent}
}

func (m *Maker) request(kind, flags int) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags)
	req.Sockets = m.sockets
	return req
}

// about begins a request about one link.
func (m *Maker) about(kind, flags, index int) *nl.NetlinkRequest {
	req := m.request(kind, flags)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	return req
}

// do sends a request that is answered by an acknowledgement only.
func do(req *nl.NetlinkRequest) error {
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

func (m *Maker) create(v actions.VirtualMAC, name string) error {
	req := m.about(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK, 0)
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	req.AddData(nl.NewRtAttr(unix.IFLA_LINK, nl.Uint32Attr(uint32(v.Parent))))
	req.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, v.MAC[:]))
	req.AddData(private())
	return do(req)
}

func private() *nl.RtAttr {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(kind))
	info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.IFLA_MACVLAN_MODE, nl.Uint32Attr(modePrivate))
	return info
}

// set gives a link its alias, its VRF and all settings that travel by netlink,
// in one request. An adopted one also gets what create gives a new one.
func (m *Maker) set(index int, alias string, parent link, adopted bool) error {
	req := m.about(unix.RTM_NEWLINK, unix.NLM_F_ACK, index)
	req.AddData(nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(alias)))
	if adopted {
		req.AddData(private())
		req.AddData(nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(0)))
		req.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(parent.mtu)))
	}
	if parent.master != 0 { // a VRF, see Maker.parent
		req.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(parent.master))))
	}
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	addIPv4(spec, ofMacvlan)
	if haveIPv6() {
		spec.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, []byte{addrGenModeNone})
	}
	req.AddData(spec)
	return do(req)
}

func addIPv4(spec *nl.RtAttr, settings []setting) {
	conf := spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(unix.IFLA_INET_CONF, nil)
	for _, s := range settings {
		conf.AddRtAttr(s.number, nl.Uint32Attr(s.value))
	}
}

func (m *Maker) up(index int) error {
	req := m.request(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	msg.Change, msg.Flags = unix.IFF_UP, unix.IFF_UP
	req.AddData(msg)
	return do(req)
}

func (m *Maker) remove(index int) error {
	return do(m.about(unix.RTM_DELLINK, unix.NLM_F_ACK, index))
}

// setGroup puts a link into an interface group.
func (m *Maker) setGroup(index int, group uint32) error {
	req := m.about(unix.RTM_NEWLINK, unix.NLM_F_ACK, index)
	req.AddData(nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(group)))
	return do(req)
}

// removeGroup deletes all links of a group at once.
func (m *Maker) removeGroup(group uint32) error {
	req := m.about(unix.RTM_DELLINK, unix.NLM_F_ACK, 0)
	req.AddData(nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(group)))
	return do(req)
}

func (m *Maker) byIndex(index int) (link, error) {
	return m.one(m.about(unix.RTM_GETLINK, 0, index))
}

func (m *Maker) byName(name string) (link, error) {
	req := m.about(unix.RTM_GETLINK, 0, 0)
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	return m.one(req)
}

func (m *Maker) one(req *nl.NetlinkRequest) (link, error) {
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return link{}, err
	}
	if len(answers) == 0 {
		return link{}, unix.ENODEV
	}
	return parse(answers[0])
}

// macvlans dumps the links of that kind. A dump that others disturbed is taken
// again; after that what it says is good enough, since it is verified on use.
func (m *Maker) macvlans() ([]link, error) {
	var answers [][]byte
	var err error
	for range 5 {
		req := m.about(unix.RTM_GETLINK, unix.NLM_F_DUMP, 0)
		info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
		info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(kind))
		req.AddData(info)
		answers, err = req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
		if !errors.Is(err, nl.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil && !errors.Is(err, nl.ErrDumpInterrupted) {
		return nil, err
	}
	var list []link
	for _, a := range answers {
		l, err := parse(a)
		if err != nil {
			return nil, err
		}
		if l.kind == kind {
			list = append(list, l)
		}
	}
	return list, nil
}

func parse(b []byte) (link, error) {
	if len(b) < unix.SizeofIfInfomsg {
		return link{}, errors.New("reading the kernel's answer about a link: too short")
	}
	msg := nl.DeserializeIfInfomsg(b)
	l := link{index: int(msg.Index), flags: msg.Flags}
	attrs, err := nl.ParseRouteAttr(b[unix.SizeofIfInfomsg:])
	if err != nil {
		return link{}, fmt.Errorf("reading the kernel's answer about a link: %w", err)
	}
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.IFLA_IFNAME:
			l.name = unix.ByteSliceToString(a.Value)
		case unix.IFLA_IFALIAS:
			l.alias = unix.ByteSliceToString(a.Value)
		case unix.IFLA_LINK:
			l.parent = int(nl.NativeEndian().Uint32(a.Value))
		case unix.IFLA_MASTER:
			l.master = int(nl.NativeEndian().Uint32(a.Value))
		case unix.IFLA_MTU:
			l.mtu = nl.NativeEndian().Uint32(a.Value)
		case unix.IFLA_ADDRESS:
			if len(a.Value) == len(l.mac) {
				copy(l.mac[:], a.Value)
			}
		case unix.IFLA_LINKINFO:
			l.kind = unix.ByteSliceToString(nested(a.Value, nl.IFLA_INFO_KIND))
		case unix.IFLA_AF_SPEC:
			l.ipv4 = nested(nested(a.Value, unix.AF_INET), unix.IFLA_INET_CONF)
		}
	}
	return l, nil
}

// nested finds one attribute among those nested in b.
func nested(b []byte, kind uint16) []byte {
	attrs, err := nl.ParseRouteAttr(b)
	if err != nil {
		return nil
	}
	for _, a := range attrs {
		if a.Attr.Type&^unix.NLA_F_NESTED == kind {
			return a.Value
		}
	}
	return nil
}
