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
	notice vrrp.Notice
}
