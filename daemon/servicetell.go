package daemon

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// What a service group tells: routers, hooks, people, and the other hosts.

// face is what of a ladder concerns others.
type face struct {
	known, ready, bottom bool
	unfit, unqualified   string
	stuck                string
}

// faceService lets routers, hooks and the log know what has changed of a group.
func (l *Loop) faceService(now time.Duration, s *service) {
	f := face{known: s.ladder.Known(), ready: s.ladder.Ready(), bottom: s.ladder.Bottom()}
	if u := s.ladder.Unfit(); u != nil {
		f.unfit = u.Step + " " + u.Why
	}
	if step, why, is := s.ladder.Unqualified(); is {
		f.unqualified = step + ": " + why
	}
	if step, why, is := s.ladder.Stuck(); is {
		f.stuck = step + ": " + why
	}
	old := s.face
	if f == old {
		return
	}
	s.face, s.wall = f, l.ports.Clock.Wall()
	if f.ready != old.ready && f.ready {
		l.becameReady(now, s)
	}
	switch {
	case f.unfit != "" && old.unfit == "":
		l.tellHooks(now, s, actions.OnUnfit, f.unfit)
	case f.unfit == "" && old.unfit != "":
		l.log(slog.LevelInfo, fmt.Sprintf("(%s) the hold-off is over: this host may serve again", s.cfg.Ladder.Name))
	}
	if f.stuck != "" && old.stuck == "" {
		l.tellHooks(now, s, actions.OnStuckStep, f.stuck)
	}
	s.touch(l)
	for _, r := range s.routers {
		if r.link != nil {
			l.stale(r)
		}
	}
}

// becameReady: everything is up, so addresses that waited for it go up too.
func (l *Loop) becameReady(now time.Duration, s *service) {
	l.log(slog.LevelInfo, fmt.Sprintf("(%s) all steps are up", s.cfg.Ladder.Name), slog.String("service_group", s.cfg.Ladder.Name))
	for _, r := range s.routers {
		if s.cfg.WhenReady && r.fsm.State() == vrrp.Active && !r.held && !r.fsm.Parting() {
			l.want(r, true)
			r.announceDue = true
		}
	}
	l.tellHooks(now, s, actions.OnReady, "all steps are up")
}

// defers reports whether a router's addresses wait for its group.
func (r *router) defers() bool {
	return r.service != nil && r.service.cfg.WhenReady && !r.held && !r.service.ladder.Ready()
}

// unable is why a router must not take part for its group's sake, empty if it may.
func (s *service) unable(st vrrp.State) string {
	if s == nil {
		return ""
	}
	f := &s.face
	switch {
	case f.unfit != "" && (f.bottom || st != vrrp.Active):
		return f.unfit
	case st == vrrp.Active:
		return ""
	case f.stuck != "":
		return f.stuck + " (stuck)"
	default:
		return f.unqualified
	}
}

// tellService writes down what a ladder says.
func (l *Loop) tellService(now time.Duration, s *service, e *actions.LadderEffect) {
	level := slog.LevelInfo
	switch e.How {
	case actions.Warn:
		level = slog.LevelWarn
	case actions.Alarm:
		level = slog.LevelError
	}
	name, text := e.Name, e.Text // the name: a reload may have moved the index
	if e.Kind == actions.StepMoved {
		text = name + " " + text
	}
	after := ""
	if e.Took > 0 {
		after = " (" + vrrp.Span(e.Took) + ")"
	}
	l.log(level, fmt.Sprintf("(%s) %s%s", s.cfg.Ladder.Name, text, after), slog.String("service_group", s.cfg.Ladder.Name), slog.String("step", name))
	if len(s.routers) == 0 {
		return
	}
	f := Followup{What: s.cfg.Ladder.Name + ": " + text, Took: e.Took.Seconds()}
	if e.How != actions.Quiet {
		f.What, f.Error = strings.TrimSuffix(s.cfg.Ladder.Name+": "+name, ": "), e.Text
	}
	l.follow(now, s.routers[0], f)
}
