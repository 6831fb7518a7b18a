package daemon

import (
	"log/slog"
	"time"
)

// Line is one log line: a level, a sentence, attributes.
type Line struct {
	Level slog.Level
	Text  string
	Attrs []slog.Attr
}

// Transition is one record of the history: a change of state, why, on what
// evidence, and what followed. Its JSON form is documented in docs/json.md and
// written to the history file.
type Transition struct {
	// Seq grows by one with every record and goes on where the records of
	// earlier runs end: unique within one history file.
	Seq    uint64    `json:"seq"`
	At     time.Time `json:"at"`
	Router string    `json:"router"`
	Term   uint64    `json:"term"`
	From   string    `json:"from"`
	To     string    `json:"to"`
	// Cause is the stable name of the reason, Reason the sentence.
	Cause    string   `json:"cause"`
	Reason   string   `json:"reason"`
	Evidence Evidence `json:"evidence"`
	// Followed lists what was done about it, as it was done.
	Followed []Followup `json:"followed,omitempty"`
}

// Evidence is what a transition was decided on. Durations are seconds.
type Evidence struct {
	Priority     uint8   `json:"priority"`
	Peer         string  `json:"peer,omitempty"`
	PeerPriority *uint8  `json:"peer_priority,omitempty"`
	Silence      float64 `json:"silence_seconds,omitempty"`
	Timer        float64 `json:"timer_seconds,omitempty"`
	// Lateness is by how much the loop missed the timer's deadline.
	Lateness float64 `json:"lateness_seconds,omitempty"`
	Detail   string  `json:"detail,omitempty"`
}

// Followup is one thing that was done after a transition.
type Followup struct {
	// What: "addresses added", "addresses removed", "announced", "hook NAME",
	// "GROUP: STEP up", "order: standby web".
	What string `json:"what"`
	// After is from the transition to its end, in seconds; Took is its own duration.
	After float64 `json:"after_seconds"`
	Took  float64 `json:"took_seconds"`
	Note  string  `json:"note,omitempty"`
	Error string  `json:"error,omitempty"`
}
