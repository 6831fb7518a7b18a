package daemon

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// Leaving: every router steps aside, and nothing is left behind.

// stop makes every router leave. The second time nobody waits.
func (l *Loop) stop(now time.Duration, s Stop) {
	again := l.stopping
	l.stopping = true
	l.waiting = nil
	l.log(slog.LevelInfo, "stopping: "+s.Detail, slog.Bool("yield", s.Yield && !again))
	for _, r := range l.routers {
		l.dismiss(now, r, vrrp.Shutdown{Yield: s.Yield && !again, Cause: vrrp.CauseShutdown, Detail: s.Detail})
	}
	for _, s := range l.services {
		s.touch(l)
	}
	if again || !s.Yield {
		l.hasty = true
	}
}

// dismiss makes a router leave: at once, or, where it yields, as soon as its service
// group is down.
func (l *Loop) dismiss(now time.Duration, r *router, e vrrp.Shutdown) {
	if e.Yield && l.standing(r) {
		r.dismissal = &e
		r.service.touch(l)
		return
	}
	r.dismissal = nil
	e.Quiet = !e.Yield && r.service != nil && !r.service.ladder.Bottom()
	l.step(now, r, e)
}

// left reports whether everything is over, or has been waited for long enough.
func (l *Loop) left(now time.Duration) bool {
	open := 0
	for _, r := range l.routers {
		if !r.fsm.Stopped() {
			return false
		}
		if r.wishOpen || !r.hooks.Idle() {
			open++
		}
	}
	if !l.hasty && l.descending() {
		return false // each job is bounded by its own timeout, and systemd by TimeoutStopSec
	}
	if open == 0 {
		return true
	}
	if l.stopAt == vrrp.Never {
		l.stopAt = now + stopWait
	}
	if now < l.stopAt {
		return false
	}
	l.log(slog.LevelWarn, fmt.Sprintf("leaving although hooks still run or addresses are not confirmed as removed for %d virtual routers; "+
		"what is left of addresses the next start removes", open))
	return true
}
