package daemon

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// devicesEvery is how often fence devices are tried: that the one that is needed is
// dead is usually found out in the outage.
const devicesEvery = 10 * time.Minute

// deviceJob tells the numbers of these jobs from those of the ladder.
const deviceJob = 1 << 63

// devices is what is known of a group's fence devices.
type devices struct {
	due  time.Duration // 0: at once
	job  uint64        // under way
	last uint64
	why  string // why they would not work, empty if they would or nothing is known
}

// nextTry is when the devices are tried next, Never if there are none.
func (s *service) nextTry() time.Duration {
	if s.cfg.Ladder.Safety.Mode != actions.SafetyFence || s.devices.job != 0 || s.leaving {
		return vrrp.Never
	}
	return s.devices.due
}

// tryDevices asks the fence devices whether they would work. It is done on every
// host: which one will need them nobody knows. It is beside the ladder, which
// does not depend on it.
func (l *Loop) tryDevices(now time.Duration, s *service) {
	if now < s.nextTry() || l.stopping {
		return
	}
	d := &s.devices
	d.last++
	d.job, d.due = deviceJob|d.last, now+devicesEvery
	timeout := time.Duration(0)
	for _, f := range s.cfg.Ladder.Safety.Fence {
		timeout += f.Timeout
	}
	l.ports.Agents.Do(actions.Job{Group: s.id, Job: d.job, Step: -2, Verb: actions.Qualify, Fence: s.cfg.Ladder.Safety.Fence,
		Name: s.cfg.Ladder.Name, Node: l.cfg.Node, Timeout: timeout})
}

// devicesTried: what they say of themselves. It changes nothing but what people are told.
func (l *Loop) devicesTried(s *service, e *actions.Done) {
	d := &s.devices
	if e.Job != d.job {
		l.stats.stale++
		return
	}
	was := d.why
	d.job, d.why = 0, ""
	switch {
	case e.Canceled:
		d.why = was
	case !e.OK:
		if d.why = e.Detail; was == "" {
			l.log(slog.LevelError, fmt.Sprintf("(%s) the fence device would not work now: %s", s.cfg.Ladder.Name, e.Detail), slog.String("service_group", s.cfg.Ladder.Name))
		}
	case was != "":
		l.log(slog.LevelInfo, fmt.Sprintf("(%s) the fence device works again", s.cfg.Ladder.Name), slog.String("service_group", s.cfg.Ladder.Name))
	}
}
