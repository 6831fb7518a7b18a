package advertise

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/mdlayher/ndp"

	"github.com/backbeat-ha/backbeat/actions"
)

// Lifetimes of a prefix: AdvValidLifetime and AdvPreferredLifetime as RFC 4861
// section 6.2.1 has them by default.
const (
	validLifetime     = 30 * 24 * time.Hour
	preferredLifetime = 7 * 24 * time.Hour
)

const (
	// longestLifetime is the largest Router Lifetime a packet can carry.
	longestLifetime = 65535 * time.Second
	// mostServers go into one option; more take several. The format would allow
	// 127, but mdlayher/ndp v1.1.0 multiplies an option's length as a byte and
	// fails from 256 bytes on.
	mostServers = 15
)

// allNodesMAC is the link-layer form of ff02::1 (RFC 2464 section 7).
var allNodesMAC = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}

// frame builds a router's advertisement as it goes on the wire.
func frame(a *actions.RouterAdvert) ([]byte, error) {
	source := a.Source.WithZone("")
	switch {
	case a.MAC == [6]byte{}:
		return nil, errors.New("no link-layer address is known to advertise")
	case !source.Is6() || !source.IsLinkLocalUnicast():
		return nil, fmt.Errorf("a router advertisement from %s: hosts take them from link-local addresses only; "+
			"make one (fe80::/10) the first address of the virtual router", a.Source)
	}
	message, err := content(&a.Spec, a.MAC[:])
	if err != nil {
		return nil, err
	}
	allNodes := netip.IPv6LinkLocalAllNodes()
	body, err := ndp.MarshalMessageChecksum(message, source, allNodes)
	if err != nil {
		return nil, fmt.Errorf("building a router advertisement: %w", err)
	}
	b := gopacket.NewSerializeBuffer()
	err = gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true},
		&layers.Ethernet{SrcMAC: a.MAC[:], DstMAC: allNodesMAC, EthernetType: layers.EthernetTypeIPv6},
		&layers.IPv6{
			Version:    6,
			NextHeader: layers.IPProtocolICMPv6,
			HopLimit:   ndp.HopLimit, // anything else is ignored (RFC 4861 section 6.1.2)
			SrcIP:      source.AsSlice(),
			DstIP:      allNodes.AsSlice(),
		},
		gopacket.Payload(body))
	if err != nil {
		return nil, fmt.Errorf("building a router advertisement: %w", err)
	}
	return b.Bytes(), nil
}

// content builds the message (RFC 4861 section 4.2) with its options in the
// order of that section. Reachable Time and Retrans Timer stay unspecified.
func content(s *actions.RouterAdvertSpec, mac net.HardwareAddr) (*ndp.RouterAdvertisement, error) {
	preference, err := parsePreference(s)
	if err != nil {
		return nil, err
	}
	if s.Lifetime < 0 || s.Lifetime > longestLifetime {
		return nil, fmt.Errorf("a router lifetime of %v: a router advertisement carries 0 to %v", s.Lifetime, longestLifetime)
	}
	m := &ndp.RouterAdvertisement{
		CurrentHopLimit:           s.HopLimit,
		ManagedConfiguration:      s.Managed,
		OtherConfiguration:        s.Other,
		RouterSelectionPreference: preference,
		RouterLifetime:            s.Lifetime,
		Options:                   []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: mac}},
	}
	if s.MTU != 0 {
		m.Options = append(m.Options, &ndp.MTU{MTU: s.MTU})
	}
	for _, p := range s.Prefixes {
		if !p.IsValid() || !p.Addr().Is6() || p.Addr().Is4In6() {
			return nil, fmt.Errorf("the prefix %s is not an IPv6 prefix", p)
		}
		m.Options = append(m.Options, &ndp.PrefixInformation{
			PrefixLength: uint8(p.Bits()),
			OnLink:       true,
			// Interface identifiers have 64 bits (RFC 4291 section 2.5.1): hosts
			// cannot make an address from any other length.
			AutonomousAddressConfiguration: p.Bits() == 64,
			ValidLifetime:                  validLifetime,
			PreferredLifetime:              preferredLifetime,
			Prefix:                         p.Masked().Addr(),
		})
	}
	for _, server := range s.DNS {
		if !server.Is6() || server.Is4In6() {
			return nil, fmt.Errorf("the DNS server %s has no IPv6 address, and a router advertisement carries no other", server)
		}
	}
	for rest := s.DNS; len(rest) > 0; {
		n := min(len(rest), mostServers)
		// The lifetime is RFC 8106 section 5.1's default: two advertisements may be lost.
		m.Options = append(m.Options, &ndp.RecursiveDNSServer{Lifetime: 3 * s.Interval, Servers: rest[:n]})
		rest = rest[n:]
	}
	return m, nil
}

// parsePreference returns the preference in a packet. No default router has one
// (RFC 4191 section 2.2: with a lifetime of zero it must be medium).
func parsePreference(s *actions.RouterAdvertSpec) (ndp.Preference, error) {
	preference := ndp.Medium
	switch s.Preference {
	case "low":
		preference = ndp.Low
	case "medium", "":
	case "high":
		preference = ndp.High
	default:
		return 0, fmt.Errorf("the router preference %q is none of low, medium, high", s.Preference)
	}
	if s.Lifetime == 0 {
		preference = ndp.Medium
	}
	return preference, nil
}
