package vrrp

import "time"

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

// SocketReady answers a wish for sockets on an interface and family. Err is
// empty on success; otherwise it names the cause and the remedy.
type SocketReady struct {
	Link   int
	Family Family
	Err    string
}

// SocketStats are the counters of the sockets on one interface.
type SocketStats struct {
	// Sent and SendErrors count frames; LastSendError explains the last failure.
	Sent, SendErrors uint64
	LastSendError    string
	// Received counts packets read, KernelDrops those the kernel had no room for.
	Received, KernelDrops uint64
}
