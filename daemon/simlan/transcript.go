package simlan

import (
	"fmt"
	"strings"
	"time"
)

// transcript is what happened, one line each: instant, host, what.
type transcript struct{ strings.Builder }

// Stamp prints an instant of the LAN's clock, in seconds to the microsecond.
func Stamp(d time.Duration) string {
	return fmt.Sprintf("%d.%06d", d/time.Second, d%time.Second/time.Microsecond)
}

// Note writes a line, if somebody wants it; without a host it is about the medium.
func (n *LAN) Note(h *Host, format string, args ...any) {
	if !n.Opt.Transcript {
		return
	}
	name := "--"
	if h != nil {
		name = h.Name
	}
	fmt.Fprintf(&n.text, "%12s  %s  %s\n", Stamp(n.now), name, fmt.Sprintf(format, args...))
}
