package control

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
)

// SchemaVersion is the value of schema_version in every answer. It grows when
// a field changes its meaning or goes away; new fields do not change it.
const SchemaVersion = 1

// Status answers GET /v1/status.
type Status struct {
	Schema  int    `json:"schema_version"`
	Version string `json:"version"`
	PID     int    `json:"pid"`
	// At is when the answer was made; "ago" and "in" fields count from it.
	At time.Time `json:"at"`
	// Configuration is which one is in force; nil if the daemon does not say.
	Configuration *Configuration `json:"configuration,omitempty"`
	// Scheduling is how the kernel treats the daemon; nil if it does not say.
	Scheduling *Scheduling `json:"scheduling,omitempty"`
	daemon.StatusPage
}

// Scheduling is how the kernel treats the daemon's process.
type Scheduling struct {
	// Policy is "rr" or "fifo" (real time), or "other"; Priority that of real time.
	Policy   string `json:"policy"`
	Priority int    `json:"priority,omitempty"`
	RealTime bool   `json:"real_time"`
	// SafeInterval is the shortest interval that is safe with this policy on a busy
	// host, in seconds.
	SafeInterval float64 `json:"safe_interval_seconds"`
	// MemoryLocked: what it uses is not swapped out.
	MemoryLocked bool `json:"memory_locked"`
}

// Configuration is which configuration is in force, and whether the file has
// been refused since.
type Configuration struct {
	// Path is the file or directory it was read from.
	Path string `json:"path"`
	// AppliedAt is when the one in force was read and applied.
	AppliedAt time.Time `json:"applied_at"`
	// RefusedAt is the first reload since then that was refused, RefusedWhy why
	// the last one was; without a refusal both are empty.
	RefusedAt  *time.Time `json:"refused_at,omitempty"`
	RefusedWhy string     `json:"refused_why,omitempty"`
}

// History answers GET /v1/history.
type History struct {
	Schema      int                 `json:"schema_version"`
	Transitions []daemon.Transition `json:"transitions"`
}

// Reload answers POST /v1/reload, both when the configuration was applied
// (HTTP status 200) and when it was not and the old one stays (422).
type Reload struct {
	Schema int  `json:"schema_version"`
	OK     bool `json:"ok"`
	// Error says why nothing was changed; empty if OK.
	Error string     `json:"error,omitempty"`
	Plan  []PlanStep `json:"plan"`
	// Checks are the checks that were added, removed or adjusted.
	Checks []CheckStep `json:"checks,omitempty"`
	// Services are the service groups that were.
	Services []GroupStep `json:"service_groups,omitempty"`
	// Unchanged counts what does not notice.
	Unchanged Unchanged `json:"unchanged"`
	// Diagnostics are the errors and warnings of the configuration, in the
	// form of `backbeat check --output json`; Text is the same for people.
	Diagnostics json.RawMessage `json:"diagnostics,omitempty"`
	Text        string          `json:"diagnostics_text,omitempty"`
}

// Unchanged counts what is the same in both configurations.
type Unchanged struct {
	Routers  int `json:"virtual_routers"`
	Services int `json:"service_groups"`
	Checks   int `json:"checks"`
}

// CheckStep is what a reload did to one check: "add", "remove" or "adjust".
type CheckStep struct {
	Check  string `json:"check"`
	Change string `json:"change"`
}

// GroupStep is what a reload did to one service group: "add", "remove" or "adjust".
type GroupStep struct {
	Group       string   `json:"service_group"`
	Change      string   `json:"change"`
	Differences []string `json:"differences,omitempty"`
	// Kept is how many steps from the first one stay as they are.
	Kept int `json:"kept_steps"`
}

// PlanStep is what a reload did to one virtual router.
type PlanStep struct {
	Router string `json:"router"`
	// Change is keep, add, remove, adjust or replace.
	Change string `json:"change"`
	// Differences are what differs, for adjust and replace: "priority 150 -> 50".
	Differences []string `json:"differences,omitempty"`
}

// Version answers GET /v1/version.
type Version struct {
	Schema  int    `json:"schema_version"`
	Version string `json:"version"`
	PID     int    `json:"pid"`
}

// The codes of errors.
const (
	CodeDenied        = "denied"         // HTTP 403
	CodeUnknownRoute  = "unknown-route"  // 404
	CodeUnknownRouter = "unknown-router" // 404
	CodeWrongMethod   = "wrong-method"   // 405
	CodeBadRequest    = "bad-request"    // 400
	CodeUnavailable   = "unavailable"    // 503
)

// Failure is the body of every answer that is not a success.
type Failure struct {
	Schema int   `json:"schema_version"`
	Error  Error `json:"error"`
}

// Error is a refusal by the daemon. Client returns it as a *Error.
type Error struct {
	// Code is one of the Code constants: for programs.
	Code string `json:"code"`
	// Message is for people: what is wrong and what to do about it.
	Message string `json:"message"`
	// Suggestion is the name that was probably meant, if one is close.
	Suggestion string `json:"suggestion,omitempty"`
}

// Error returns the message.
func (e *Error) Error() string {
	if e.Suggestion != "" {
		return fmt.Sprintf("%s; did you mean %q?", e.Message, e.Suggestion)
	}
	return e.Message
}

// ReloadResult is what Options.Reload reports.
type ReloadResult struct {
	// Plan is what was carried out; empty if Err is not nil.
	Plan daemon.Plan
	// Diagnostics is their JSON form, Text the form for people; both may be
	// there without an error (warnings).
	Diagnostics json.RawMessage
	Text        string
	// Err says why the old configuration stays in force.
	Err error
}

func (r ReloadResult) answer() Reload {
	a := Reload{Schema: SchemaVersion, OK: r.Err == nil, Plan: []PlanStep{}, Diagnostics: r.Diagnostics, Text: r.Text}
	if r.Err != nil {
		a.Error = r.Err.Error()
		return a
	}
	a.Unchanged = Unchanged{Routers: r.Plan.Counts()[daemon.Keep], Services: r.Plan.ServicesKept, Checks: r.Plan.ChecksKept}
	for _, s := range r.Plan.Steps {
		a.Plan = append(a.Plan, PlanStep{Router: s.Router, Change: s.Change.String(), Differences: s.Differences})
	}
	for _, s := range r.Plan.Checks {
		a.Checks = append(a.Checks, CheckStep{Check: s.Check, Change: s.Change.String()})
	}
	for _, s := range r.Plan.Services {
		a.Services = append(a.Services, GroupStep{Group: s.Group, Change: s.Change.String(), Differences: s.Differences, Kept: s.Kept})
	}
	return a
}
