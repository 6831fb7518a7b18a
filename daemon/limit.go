package daemon

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// quiet is how long a kind of message stays silent after one was logged.
const quiet = time.Minute

// limit lets the first message of a kind through at once and then one a
// minute, with the number of those held back. It depends on nothing that a
// sender controls, so spoofed sources cannot flood the log.
type limit struct {
	last  time.Duration
	used  bool
	count uint64
}

// allow reports whether to log now, and how many were held back before.
func (l *limit) allow(now time.Duration) (held uint64, ok bool) {
	if l.used && now-l.last < quiet {
		l.count++
		return 0, false
	}
	held = l.count
	l.last, l.used, l.count = now, true, 0
	return held, true
}

// heldBack is the end of a line of which others like it were not logged.
func heldBack(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d more like this)", n)
}

// sighting is what is kept of one kind of noticed or refused packets: how many,
// and the last one.
type sighting struct {
	limit  limit
	count  uint64
	at     time.Duration
	src    netip.Addr
	vrid   uint8
	detail string // of the last one that was logged
	notice vrrp.Notice
}

// refused is a drop's explanation, with what is known of the packet.
func (s *sighting) refused(d vrrp.Drop) string {
	if d == vrrp.DropVRID {
		return fmt.Sprintf("VRID %d is not configured here: another group on the same link, or a typing error", s.vrid)
	}
	if s.detail == "" {
		return d.Explain()
	}
	return d.Explain() + " (" + s.detail + ")"
}

// refusedDetail says what of the packet differs from the router it was for.
func (l *Loop) refusedDetail(r *router, d vrrp.Drop) string {
	if r == nil {
		return ""
	}
	spec, p := &r.cfg.Spec, &l.datagram
	switch d {
	case vrrp.DropVersion:
		return fmt.Sprintf("it speaks version %d, this router version %d", p.Message[0]>>4, spec.V())
	case vrrp.DropModeMismatch:
		return fmt.Sprintf("it was sent to %s, this router listens for %s", p.Dst, listensFor(spec))
	case vrrp.DropTTL:
		return fmt.Sprintf("TTL %d", p.TTL)
	case vrrp.DropInterval:
		return fmt.Sprintf("%d s, ours is %s", p.Message[5], vrrp.Span(spec.Interval))
	case vrrp.DropAuthType, vrrp.DropAuthMismatch:
		return fmt.Sprintf("it has authentication type %d: 0 is none, 1 a password, 2 IPsec AH", p.Message[4])
	default:
		return ""
	}
}

// joined puts what is known together in one sentence.
func joined(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

func listensFor(s *vrrp.Spec) string {
	if s.Unicast() {
		return "its peers"
	}
	return s.MulticastGroup().String()
}
