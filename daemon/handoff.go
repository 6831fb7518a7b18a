package daemon

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// Handoff is what a process leaves to the one that follows at once (restart,
// upgrade): who is what, what is up, and when what is due. Instants are on
// CLOCK_BOOTTIME, which both share; Boot tells them apart from another boot's.
// The form is HandoffSchema; one of another form is refused and the start is as after a crash.
type Handoff struct {
	// Schema is HandoffSchema, Version the program's.
	Schema  int    `json:"schema"`
	Version string `json:"version"`
	Boot    string `json:"boot"`
	PID     int    `json:"pid"`
	// At is when the loop stood still.
	At       time.Duration    `json:"at"`
	Node     string           `json:"node"`
	Routers  []RouterHandoff  `json:"virtual_routers"`
	Checks   []CheckHandoff   `json:"checks,omitempty"`
	Services []ServiceHandoff `json:"service_groups,omitempty"`
}

// HandoffSchema is the form of a Handoff.
const HandoffSchema = 1

// RouterHandoff is one virtual router.
type RouterHandoff struct {
	Name      string      `json:"name"`
	Interface string      `json:"interface"`
	VRID      uint8       `json:"vrid"`
	Family    vrrp.Family `json:"family"`
	// Memory is the election's part; WallSince is since when for people.
	Memory    vrrp.Memory `json:"memory"`
	WallSince time.Time   `json:"wall_since"`
	MovedHere bool        `json:"moved_here,omitempty"`
	// SpokenFor: a stand-in says its adverts until the next process does.
	SpokenFor bool `json:"spoken_for,omitempty"`
	// Held says that the addresses are in the kernel.
	Held bool `json:"held"`
	// HookDue: hooks have yet to be told of the last transition, or may have: they are
	// not waited for longer than five seconds.
	HookDue bool `json:"hook_due,omitempty"`
	// ToldActive is who has been told that nothing is held here.
	ToldActive netip.Addr `json:"told_active,omitzero"`
	// ActiveAt is when an advert of the Active was last heard.
	ActiveAt time.Duration `json:"active_at,omitempty"`
}

// CheckHandoff is what was known of one check.
type CheckHandoff struct {
	Name    string         `json:"name"`
	Verdict checks.Verdict `json:"verdict"`
}

// ServiceHandoff is one service group: whether it was wanted up. What is up the
// successor finds out by looking.
type ServiceHandoff struct {
	Name string `json:"name"`
	Up   bool   `json:"up"`
	// Term is that of the router for which it was up; Owes that exclusive data may be in use.
	Term uint64 `json:"term"`
	Owes bool   `json:"owes"`
	// Kept: it is not wanted up any more, in that term still, and nothing has been said
	// after which another host could have taken exclusive data.
	Kept bool `json:"kept,omitempty"`
	// Claimed: exclusive data may be taken. If not, Peer is who may still have it,
	// and Released says that they have let go.
	Claimed  bool         `json:"claimed"`
	Peer     actions.Peer `json:"peer"`
	Released bool         `json:"released"`
	// Told is how often the Active of now has been told that nothing is held here.
	Told int `json:"told,omitempty"`
	// StoppedFrom is the step from which on an operator keeps them down, if one does.
	StoppedFrom string `json:"stopped_from,omitempty"`
}

// hooksWait is how long a HandOver waits for hooks that run or are queued.
const hooksWait = 5 * time.Second

// HandOver asks the loop to stand still and to leave everything as it is, for a
// successor that starts at once. The answer comes when no step of a service
// group is being moved; Cancel takes the question back.
type HandOver struct {
	Reply chan<- Handoff // buffered by one
	// Cancel, if it is closed before the answer, takes the question back.
	Cancel <-chan struct{}
}

// handOver answers the question if nothing is in between. It reports whether
// the loop is to end.
func (l *Loop) handOver(now time.Duration) bool {
	h := l.handing
	if h == nil || l.stopping {
		l.handBy = vrrp.Never
		return false
	}
	select {
	case <-h.Cancel:
		l.handing, l.handBy = nil, vrrp.Never
		return false
	default:
	}
	if l.handingAt == 0 {
		l.handingAt = now
	}
	hurry := now-l.handingAt >= hooksWait
	if l.handBy = vrrp.Never; !hurry {
		l.handBy = l.handingAt + hooksWait
	}
	for _, s := range l.services {
		if s.ladder.Moving() {
			return false
		}
	}
	for _, r := range l.routers {
		if !hurry && !r.hooks.Idle() {
			return false // the successor would not know what has yet to be told
		}
		if r.wishOpen || r.leaving || !r.fsm.Memorable() {
			return false
		}
	}
	h.Reply <- l.handoff(now)
	return true
}

func (l *Loop) handoff(now time.Duration) Handoff {
	out := Handoff{Schema: HandoffSchema, At: now, Node: l.cfg.Node}
	for _, r := range l.routers {
		m, ok := r.fsm.Remember()
		if !ok {
			continue
		}
		out.Routers = append(out.Routers, RouterHandoff{SpokenFor: l.leave(r, &m), Name: r.cfg.Name, Interface: r.cfg.Interface, VRID: r.cfg.Spec.VRID, Family: r.cfg.Spec.Family,
			Memory: m, WallSince: r.since, MovedHere: r.movedHere, Held: r.held, ToldActive: r.toldActive, ActiveAt: r.activeAt, HookDue: r.hookDue != nil || !r.hooks.Idle()})
	}
	for _, c := range l.checks {
		out.Checks = append(out.Checks, CheckHandoff{Name: c.fsm.Spec().Name, Verdict: c.fsm.Verdict()})
	}
	for _, s := range l.services {
		if !s.leaving {
			h := ServiceHandoff{Name: s.cfg.Ladder.Name, Up: s.up, Term: s.held, Owes: s.owes, Told: s.toldTimes, Kept: !s.up && s.held != 0 && !s.said}
			if v := s.ladder.View(now); v.Limit < len(v.Steps) {
				h.StoppedFrom = v.Steps[v.Limit].Name
			}
			h.Claimed = s.ladder.View(now).Entitled
			h.Peer, h.Released = s.ladder.Claim()
			out.Services = append(out.Services, h)
		}
	}
	return out
}

// onWire is what others know a router by; its name may have changed meanwhile.
type onWire struct {
	link   string
	family vrrp.Family
	vrid   uint8
}

// inherit is what was handed over to this process.
type inherit struct {
	from     *Handoff
	routers  map[onWire]*RouterHandoff
	checks   map[string]checks.Verdict
	services map[string]*ServiceHandoff
}

func newInherit(h *Handoff) inherit {
	in := inherit{from: h, routers: map[onWire]*RouterHandoff{}, checks: map[string]checks.Verdict{}, services: map[string]*ServiceHandoff{}}
	if h == nil {
		return in
	}
	for i := range h.Routers {
		r := &h.Routers[i]
		in.routers[onWire{r.Interface, r.Family, r.VRID}] = r
	}
	for _, c := range h.Checks {
		in.checks[c.Name] = c.Verdict
	}
	for i := range h.Services {
		in.services[h.Services[i].Name] = &h.Services[i]
	}
	return in
}

// check is a check's specification with what was known of it.
func (in *inherit) check(s checks.Spec) checks.Spec {
	if v, ok := in.checks[s.Name]; ok {
		s.Initial = v
		delete(in.checks, s.Name)
	}
	return s
}

// tellGone names what the process before had in use and nobody has taken over: the
// configuration that was read at the restart does not have it. A reload would have
// brought it down.
func (l *Loop) tellGone() {
	for _, h := range l.inherit.routers {
		if h.Memory.State == vrrp.Active {
			l.log(slog.LevelWarn, fmt.Sprintf("(%s) was Active in the process before and is not configured any more: what it held goes, without a goodbye; a reload before the restart takes it out in order",
				h.Name), slog.String("router", h.Name))
		}
	}
	for _, h := range l.inherit.services {
		if h.Up {
			l.log(slog.LevelWarn, fmt.Sprintf("(%s) was up in the process before and is not configured any more: its steps stay as they are, and nobody looks after them; a reload before the restart brings them down", h.Name))
		}
	}
}

// recall puts a new router where the process before had it. It reports whether that was so.
func (l *Loop) recall(now time.Duration, r *router) bool {
	k := onWire{r.cfg.Interface, r.cfg.Spec.Family, r.cfg.Spec.VRID}
	h := l.inherit.routers[k]
	if h == nil {
		return false
	}
	delete(l.inherit.routers, k)
	r.inherited = h.Held
	spoken := h.SpokenFor && now < l.spoken.until
	if spoken {
		h.Memory.Sent = now // whose advert it was nobody can tell
	}
	if !r.fsm.Recall(now, &h.Memory) {
		l.log(slog.LevelWarn, fmt.Sprintf("(%s) was %s in the process before, %s ago: too long to go on; starting anew",
			r.cfg.Name, h.Memory.State, vrrp.Span(now-l.inherit.from.At)))
		return false
	}
	if spoken {
		l.spoken.of[r] = false
		l.spoken.mute++
	}
	r.since, r.sinceInstant, r.movedHere = h.WallSince, h.Memory.Since, h.MovedHere
	r.toldActive, r.activeAt = h.ToldActive, h.ActiveAt
	for _, s := range l.services {
		if s.up && s.heldBy == 0 && len(s.cfg.Follows) > 0 && slices.Min(s.cfg.Follows) == r.cfg.Name {
			s.heldBy = r.id
		}
	}
	// It is held although no wish has been made: what waits for a service group
	// is there already.
	r.held, r.recalledAt = h.Held, now
	if g := l.history.each[h.Name]; g != nil && len(g.records) > 0 { // this life may have another name for it
		r.record = g.records[len(g.records)-1]
		if h.HookDue && r.record.Term == h.Memory.Term && r.record.To == h.Memory.State.String() {
			r.hookDue = r.record
		}
		if h.Memory.State != vrrp.Active { // else when the kernel has answered the wish
			l.flushHooks(now, r)
		}
	}
	l.follow(now, r, Followup{What: "taken over", Note: fmt.Sprintf("from the process before (pid %d), which stood still for %s", l.inherit.from.PID, vrrp.Span(now-l.inherit.from.At))})
	l.log(slog.LevelInfo, fmt.Sprintf("(%s) is %s as in the process before (pid %d), %s ago", r.cfg.Name, title(h.Memory.State), l.inherit.from.PID, vrrp.Span(now-l.inherit.from.At)),
		slog.String("router", r.cfg.Name))
	return true
}

// recallService gives a new ladder the aim of the process before, so that what
// is up is adopted and not brought down.
func (l *Loop) recallService(now time.Duration, s *service) {
	h := l.inherit.services[s.cfg.Ladder.Name]
	delete(l.inherit.services, s.cfg.Ladder.Name)
	if h == nil {
		return
	}
	s.owes, s.toldTimes = h.Owes, h.Told
	if i := s.ladder.Find(h.StoppedFrom); i >= 0 && h.StoppedFrom != "" {
		l.stepService(now, s, actions.LimitHeight{Height: i})
	}
	if !h.Up {
		if h.Kept {
			s.held = h.Term
		}
		return
	}
	s.up, s.held = true, h.Term
	aim := actions.Aim{Up: true, Peer: actions.PeerNone}
	if !h.Claimed {
		// What has not been granted must not be taken now; who has said its word while
		// nobody ran says it again at the advert after the next at the latest.
		aim.Peer, aim.Word = h.Peer, wordPause
		for i := range l.cfg.Routers {
			if r := &l.cfg.Routers[i]; slices.Contains(s.cfg.Follows, r.Name) {
				aim.Word = max(aim.Word, 2*r.Spec.Interval)
			}
		}
	}
	l.stepService(now, s, aim)
	if h.Released && !h.Claimed {
		l.stepService(now, s, actions.PeerReleased{})
	}
}
