package vrrp

import (
	"net/netip"
	"time"
)

// The values that travel between the daemon's loop and the sockets
// (vrrp/wire). They live here so that neither side imports the other.

// Packet is one received IP packet. Data aliases a buffer of the sockets and is
// valid during the call it was handed over in.
type Packet struct {
	// Link is the interface index.
	Link   int
	Family Family
	Data   []byte
	// At is when the kernel received it, on the loop's clock, not after now.
	At time.Duration
}

// Listening is a wish for sockets: adverts of a family on an interface, sent to
// a multicast group, or, with the zero Group, to the host itself (unicast). A
// group needs an Ethernet-like interface, unicast does not.
type Listening struct {
	// Link is the interface index.
	Link   int
	Family Family
	Group  netip.Addr
}

// SocketReady answers a Listening. Err is empty on success; otherwise it names
// the cause and the remedy.
type SocketReady struct {
	Listening
	Err string
}

// FrameMark is the mark (SO_MARK) of adverts that leave as complete frames. A
// Backup's virtual MAC is silenced by a filter on its interface (package
// actions/address/firewall), which lets frames with this mark pass: the first
// advert of a takeover leaves before the filter is opened, and the last one of
// an Active that steps down may leave after it has been closed.
const FrameMark = 0xbb70

// Path is the way of an advert: which headers it gets. It is comparable, so
// that headers can be built once per Path.
type Path struct {
	// Link is the interface index.
	Link   int
	Family Family
	Src    netip.Addr
	// Dst is the multicast group, or a peer. To a peer the kernel's routing and
	// neighbour tables decide the next hop.
	Dst netip.Addr
	// MAC is the frame source towards a group: the virtual router MAC, or zero
	// for the interface's own. Towards a peer it is not used.
	MAC [6]byte
	// TTL or hop limit.
	TTL uint8
}

// SocketStats are the counters of the sockets on one interface.
type SocketStats struct {
	// Sent and SendErrors count frames; LastSendError explains the last failure.
	Sent, SendErrors uint64
	LastSendError    string
	// Received counts packets read, KernelDrops those the kernel had no room for.
	Received, KernelDrops uint64
}
