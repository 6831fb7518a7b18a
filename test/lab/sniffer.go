package lab

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/net/bpf"
)

// Frame is what a host put on a cable, seen at the switch, also when the
// switch then dropped it (Lose).
type Frame struct {
	At time.Duration
	// Host sent it on ethLink. (A frame the lab injected counts as its host's.)
	Host string
	Link int

	SrcMAC, DstMAC net.HardwareAddr
	// Src, Dst, TTL and TOS are those of the IP header, zero for ARP.
	Src, Dst netip.Addr
	TTL, TOS uint8
	// At most one of these is set. A VRRP message that cannot be decoded has Malformed.
	Advert    *Advert
	ARP       *ARP
	Neighbour *Neighbour
	Malformed error
	Raw       []byte
}

// ARP is an ARP packet (RFC 826).
type ARP struct {
	// Op is 1 for a request, 2 for a reply.
	Op                     uint16
	SenderMAC, TargetMAC   net.HardwareAddr
	SenderAddr, TargetAddr netip.Addr
}

// Gratuitous reports whether the packet announces the sender's own address.
func (a *ARP) Gratuitous() bool { return a.SenderAddr == a.TargetAddr }

// Neighbour is a Neighbor Advertisement (RFC 4861 section 4.4).
type Neighbour struct {
	Target                      netip.Addr
	Router, Solicited, Override bool
	// MAC is the target link-layer address option, nil if there is none.
	MAC net.HardwareAddr
}

// Sniffer records what the hosts send.
type Sniffer struct {
	lab     *Lab
	capture *capture
	stop    chan struct{}
	ended   chan struct{}
	once    sync.Once

	mu     sync.Mutex
	frames []Frame
	lost   int
}

// frameLimit bounds the record; the longest scenario is far below it.
const frameLimit = 1 << 20

// Sniff starts a sniffer at the switch. It leaves echoes out.
func (l *Lab) Sniff() (*Sniffer, error) { return l.sniff(withoutPings) }

// sniff starts a sniffer with a filter.
func (l *Lab) sniff(filter []bpf.Instruction) (*Sniffer, error) {
	c, err := openCapture(l.hub, filter)
	if err != nil {
		return nil, err
	}
	s := &Sniffer{lab: l, capture: c, stop: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		c.run(s.stop, s.take)
		s.mu.Lock()
		s.lost += c.drops()
		s.mu.Unlock()
		c.close()
	}()
	l.atClose(s.Stop)
	return s, nil
}

// Stop ends the sniffer. It may be called more than once.
func (s *Sniffer) Stop() {
	s.once.Do(func() { close(s.stop) })
	<-s.ended
}

// Lost counts the frames that a stopped sniffer did not record: those that the
// kernel had no room for, and those beyond its own limit.
func (s *Sniffer) Lost() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// take records a frame that comes in at a port, which is where each frame is
// seen exactly once.
func (s *Sniffer) take(c captured) {
	if c.outgoing {
		return
	}
	host, link := s.lab.portOf(c.link)
	if host == "" {
		return
	}
	f := decodeFrame(slices.Clone(c.data))
	f.At, f.Host, f.Link = c.at, host, link
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.frames) >= frameLimit {
		s.lost++
		return
	}
	s.frames = append(s.frames, f)
}

// portOf tells whose port an interface of the hub is.
func (l *Lab) portOf(index int) (host string, link int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.hosts {
		if k := slices.Index(h.ports, index); k >= 0 {
			return h.Name, k
		}
	}
	return "", 0
}

func decodeFrame(raw []byte) Frame {
	f := Frame{Raw: raw}
	p := gopacket.NewPacket(raw, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
	if eth, ok := p.LinkLayer().(*layers.Ethernet); ok {
		f.SrcMAC, f.DstMAC = eth.SrcMAC, eth.DstMAC
	}
	if arp, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP); ok {
		f.ARP = &ARP{
			Op: arp.Operation, SenderMAC: arp.SourceHwAddress, TargetMAC: arp.DstHwAddress,
			SenderAddr: addrOf(arp.SourceProtAddress), TargetAddr: addrOf(arp.DstProtAddress),
		}
	}
	var payload []byte
	next := layers.IPProtocol(0)
	switch ip := p.NetworkLayer().(type) {
	case *layers.IPv4:
		f.Src, f.Dst, f.TTL, f.TOS = addrOf(ip.SrcIP), addrOf(ip.DstIP), ip.TTL, ip.TOS
		payload, next = ip.Payload, ip.Protocol
	case *layers.IPv6:
		f.Src, f.Dst, f.TTL, f.TOS = addrOf(ip.SrcIP), addrOf(ip.DstIP), ip.HopLimit, ip.TrafficClass
		payload, next = ip.Payload, ip.NextHeader
	}
	if next == protocol {
		f.Advert, f.Malformed = parseAdvert(f.Src, f.Dst, payload)
	}
	if na, ok := p.Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement); ok {
		f.Neighbour = &Neighbour{Target: addrOf(na.TargetAddress), Router: na.Router(), Solicited: na.Solicited(), Override: na.Override()}
		for _, o := range na.Options {
			if o.Type == layers.ICMPv6OptTargetAddress {
				f.Neighbour.MAC = net.HardwareAddr(o.Data)
			}
		}
	}
	return f
}

func addrOf(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

// Frames returns what was recorded from an instant on, as far as keep wants it
// (nil: all of it).
func (s *Sniffer) Frames(from time.Duration, keep func(*Frame) bool) []Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Frame
	for i := range s.frames {
		if f := &s.frames[i]; f.At >= from && (keep == nil || keep(f)) {
			out = append(out, *f)
		}
	}
	return out
}

// Adverts returns the adverts that a host has sent since an instant; of all
// hosts if the name is empty.
func (s *Sniffer) Adverts(from time.Duration, host string) []Frame {
	return s.Frames(from, func(f *Frame) bool { return f.Advert != nil && (host == "" || f.Host == host) })
}

// Malformed returns the VRRP messages nobody could decode.
func (s *Sniffer) Malformed() []Frame {
	return s.Frames(0, func(f *Frame) bool { return f.Malformed != nil })
}

// WritePcap writes everything as a capture file.
func (s *Sniffer) WritePcap(w io.Writer) error { return s.writePcap(w, nil) }

func (s *Sniffer) writePcap(w io.Writer, keep func(*Frame) bool) error {
	out := pcapgo.NewWriterNanos(w)
	if err := out.WriteFileHeader(1<<16, layers.LinkTypeEthernet); err != nil {
		return fmt.Errorf("write the capture file: %w", err)
	}
	boot := time.Now().Add(-Now())
	for _, f := range s.Frames(0, keep) {
		info := gopacket.CaptureInfo{Timestamp: boot.Add(f.At), CaptureLength: len(f.Raw), Length: len(f.Raw)}
		if err := out.WritePacket(info, f.Raw); err != nil {
			return fmt.Errorf("write the capture file: %w", err)
		}
	}
	return nil
}
