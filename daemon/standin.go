package daemon

import (
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// StandIn is who says the adverts of routers with short intervals while no loop
// turns: from the end of one process to the first advert of the next.
type StandIn struct {
	// Until is when it stops by itself (CLOCK_BOOTTIME).
	Until time.Duration
	// Over ends it. Called once, by the loop, when all adverts it said have been sent
	// by this one, or a goodbye has; it must not wait.
	Over func()
}

// spokenBelow is up to which interval adverts are said by a stand-in while one process
// follows another. That takes 50 ms, and a second for thousands of routers, and
// an Active_Down_Interval is more than three intervals.
const spokenBelow = 500 * time.Millisecond

// NeedsStandIn reports whether a router of a configuration, if it is Active, must be
// spoken for during a restart.
func NeedsStandIn(cfg *Config) bool {
	for i := range cfg.Routers {
		if cfg.Routers[i].Spec.Interval < spokenBelow {
			return true
		}
	}
	return false
}

// leave leaves the adverts of an Active with a short interval to a stand-in.
func (l *Loop) leave(r *router, m *vrrp.Memory) bool {
	every := r.cfg.Spec.Interval
	if m.State != vrrp.Active || m.Next == vrrp.Never || every >= spokenBelow || len(r.out) == 0 {
		return false
	}
	for i := range r.out {
		l.ports.Wire.Leave(&r.out[i].path, r.out[i].message, m.Next, every)
	}
	return true
}

// spoken is what a new loop knows of its stand-in.
type spoken struct {
	until time.Duration
	// of are those whom it speaks for, with whether they speak for themselves by now;
	// mute is how many do not. done says that none is left.
	of   map[*router]bool
	mute int
	done bool
	over func()
}

func newSpoken(s *StandIn) spoken {
	if s == nil {
		return spoken{over: func() {}}
	}
	return spoken{until: s.Until, of: map[*router]bool{}, over: s.Over}
}

// speaks is said of a router that speaks for itself, or that nobody is to speak for. A
// goodbye ends the stand-in for all: it would go on to contradict it, and the peer
// would wait for an Active that has gone.
func (l *Loop) speaks(r *router, goodbye bool) {
	spoke, known := l.spoken.of[r]
	switch {
	case !known || l.spoken.mute == 0:
		return
	case goodbye:
		l.spoken.mute = 0
	case !spoke:
		l.spoken.of[r] = true
		l.spoken.mute--
	}
	l.spoken.done = l.spoken.mute == 0
}

// dismissStandIn ends the stand-in when what makes it needless has left.
func (l *Loop) dismissStandIn() {
	if l.spoken.done {
		l.spoken.done, l.spoken.of = false, nil
		l.spoken.over()
	}
}
