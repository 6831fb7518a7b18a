package daemon

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// occasion is what hooks are told about a transition.
func occasion(fx *vrrp.Effect) actions.Occasion {
	return occasionOf(fx.To.String(), fx.Reason.Cause.String())
}

func occasionOf(to, cause string) actions.Occasion {
	switch to {
	case vrrp.Active.String():
		return actions.OnActive
	case vrrp.Backup.String():
		return actions.OnBackup
	}
	switch cause {
	case vrrp.CauseInterfaceDown.String(), vrrp.CauseInterfaceMissing.String(),
		vrrp.CauseNoPrimaryAddress.String(), vrrp.CauseSocket.String(),
		vrrp.CauseVirtualMAC.String(), vrrp.CauseSyncGroup.String(), vrrp.CauseCheck.String(), vrrp.CauseService.String():
		return actions.OnFault
	}
	return actions.OnInitialize
}

// flushHooks tells the hooks about the last transition, once. It is called
// when the addresses are as the new state wants them, or when the next
// transition comes first, so that the order holds.
func (l *Loop) flushHooks(now time.Duration, r *router) {
	t := r.hookDue
	if t == nil {
		return
	}
	r.hookDue = nil
	o := occasionOf(t.To, t.Cause)
	if !r.hooks.Wants(o) {
		return
	}
	env, stdin := hookInput(l.cfg.Node, r.cfg, o, t)
	if skipped := r.hooks.Post(t.Term, o, env, stdin); skipped > 0 {
		l.log(slog.LevelWarn, fmt.Sprintf("(%s) %d waiting hook runs were skipped: the hooks are slower than the transitions", r.cfg.Name, skipped))
	}
	l.runHooks(r)
}

// tellHooks tells the hooks of a service group's routers what has become of it.
func (l *Loop) tellHooks(now time.Duration, s *service, o actions.Occasion, text string) {
	for _, r := range s.routers {
		if r.record == nil || !r.hooks.Wants(o) {
			continue
		}
		l.flushHooks(now, r)
		env, stdin := hookInput(l.cfg.Node, r.cfg, o, r.record)
		env = append(env, "BACKBEAT_SERVICE_GROUP="+s.cfg.Ladder.Name, "BACKBEAT_TEXT="+text)
		slices.Sort(env)
		r.hooks.Post(r.record.Term, o, env, stdin)
		l.runHooks(r)
	}
}

func (l *Loop) runHooks(r *router) {
	if job, ok := r.hooks.Next(); ok {
		l.ports.Runner.Run(job)
	}
}

func (l *Loop) onHookDone(now time.Duration, v actions.HookDone) {
	r := l.byID[v.Router]
	if r == nil {
		l.stats.stale++
		return
	}
	d, ok := r.hooks.Done(v)
	if !ok {
		l.stats.stale++
		return
	}
	if r.record != nil && r.record.Term == d.Term {
		l.follow(now, r, Followup{What: "hook " + d.Hook, Took: v.Took.Seconds(), Error: v.Err})
	}
	if v.Err != "" {
		l.log(slog.LevelWarn, fmt.Sprintf("(%s) hook %s failed after %s: %s", r.cfg.Name, d.Hook, vrrp.Span(v.Took), v.Err),
			slog.String("router", r.cfg.Name), slog.String("hook", d.Hook), slog.String("output", v.Output))
	}
	l.runHooks(r)
	if r.link == nil && r.hooks.Idle() {
		delete(l.byID, r.id) // departed, and now nothing of it is left
	}
}

// HookEvent is the JSON object a hook reads on standard input; docs/hooks.md
// describes it.
type HookEvent struct {
	SchemaVersion int    `json:"schema_version"`
	Node          string `json:"node"`
	// On is the occasion: "active", "backup", "initialize", "fault".
	On         string     `json:"on"`
	Interface  string     `json:"interface"`
	VRID       uint8      `json:"vrid"`
	Family     string     `json:"family"`
	Addresses  []string   `json:"addresses"`
	Transition Transition `json:"transition"`
}

// hookInput builds the documented environment, sorted, and the JSON object.
func hookInput(node string, cfg *RouterConfig, o actions.Occasion, t *Transition) (env []string, stdin []byte) {
	ev := HookEvent{SchemaVersion: 1, Node: node, On: o.String(), Interface: cfg.Interface, VRID: cfg.Spec.VRID,
		Family: cfg.Spec.Family.String(), Transition: *t}
	ev.Transition.Router = cfg.Name // the process before may have had another name for it
	for i := range cfg.Addresses {
		ev.Addresses = append(ev.Addresses, cfg.Addresses[i].Prefix.String())
	}
	stdin, err := json.Marshal(ev)
	if err != nil {
		panic("daemon: hook event: " + err.Error()) // plain fields only
	}
	return []string{
		"BACKBEAT_ADDRESSES=" + strings.Join(ev.Addresses, " "),
		"BACKBEAT_CAUSE=" + t.Cause,
		"BACKBEAT_FAMILY=" + ev.Family,
		"BACKBEAT_FROM=" + t.From,
		"BACKBEAT_INTERFACE=" + cfg.Interface,
		"BACKBEAT_NODE=" + node,
		"BACKBEAT_ON=" + ev.On,
		"BACKBEAT_PEER=" + t.Evidence.Peer,
		"BACKBEAT_PRIORITY=" + strconv.Itoa(int(t.Evidence.Priority)),
		"BACKBEAT_REASON=" + t.Reason,
		"BACKBEAT_ROUTER=" + cfg.Name,
		"BACKBEAT_TERM=" + strconv.FormatUint(t.Term, 10),
		"BACKBEAT_TIME=" + t.At.UTC().Format(time.RFC3339Nano),
		"BACKBEAT_TO=" + t.To,
		"BACKBEAT_VRID=" + strconv.Itoa(int(cfg.Spec.VRID)),
	}, stdin
}
