package daemon

import "time"

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
