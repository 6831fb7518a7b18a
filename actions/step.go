package actions

import (
	"reflect"
	"time"
)

// GroupID names a service group within one process. IDs are never reused, so
// that a late answer for a group that a reload removed finds nobody.
type GroupID uint32

// OnFailure is what a failed monitor of a step leads to.
type OnFailure uint8

// The policies. The words are Pacemaker's.
const (
	// OnFailureRestart: the step, and what stands on it, is brought down and up
	// again, up to Restarts times in Window; then as OnFailureFailover.
	OnFailureRestart OnFailure = iota
	// OnFailureFailover: the group comes down and another host serves.
	OnFailureFailover
	// OnFailureIgnore: it is shown and told, nothing else.
	OnFailureIgnore
)

// String returns the word of the configuration.
func (f OnFailure) String() string {
	switch f {
	case OnFailureFailover:
		return "failover"
	case OnFailureIgnore:
		return "ignore"
	default:
		return "restart"
	}
}

// StepSpec is the configuration of one step, already validated.
type StepSpec struct {
	// Name is kind and name as references write it: "drbd.wwwdata". Unique in its group.
	Name string
	// Agent says what the step is.
	Agent Agent
	// StartTimeout and StopTimeout bound one try; a promotion retries until it is over.
	StartTimeout, StopTimeout time.Duration
	// Retries is how often a failed start is tried again, after a stop, before
	// the group is unfit: 0–100.
	Retries int
	// Monitor is the pace of the look at a step that is up.
	Monitor MonitorSpec
	// Restarts per Window is how often a failed monitor is repaired in place:
	// 0–1000 in 1 s–24 h.
	Restarts int
	Window   time.Duration
	// OnFailure is what a failed monitor leads to.
	OnFailure OnFailure
}

// MonitorSpec is the pace at which a step that is up is looked at.
type MonitorSpec struct {
	// Interval is the time from one look's end to the next one's start; 0: never looked at.
	Interval time.Duration
	// Timeout bounds one look.
	Timeout time.Duration
	// Failures is how many in a row count as one: 1–100.
	Failures int
}

// Equal reports whether two steps are the same in every respect.
func (s *StepSpec) Equal(o *StepSpec) bool { return reflect.DeepEqual(s, o) }

// SafetyMode is how two hosts are kept from writing the same data.
type SafetyMode uint8

// The modes.
const (
	// SafetyNotNeeded: no step of the group has exclusive data.
	SafetyNotNeeded SafetyMode = iota
	// SafetyNone: nothing does, and the configuration says so in so many words
	// (accept_split_brain).
	SafetyNone
	// SafetyFence: the peer is switched off, and that is confirmed, before
	// exclusive data is taken from one that has not said that it let go.
	SafetyFence
)

// String returns the word of the configuration.
func (m SafetyMode) String() string {
	switch m {
	case SafetyNone:
		return "none"
	case SafetyFence:
		return "fence"
	default:
		return "not-needed"
	}
}

// SafetySpec is the safety block of a group.
type SafetySpec struct {
	Mode SafetyMode
	// ReleaseTimeout is how long a peer that was Active when we took over may
	// take to let go of exclusive data, before Mode decides.
	ReleaseTimeout time.Duration
	// Fence are the devices, tried in this order until one has confirmed
	// (SafetyFence only).
	Fence []FenceSpec
}

// FenceSpec is one fence device: the command of a fence agent (the interface
// of ClusterLabs' fence-agents: key=value lines on standard input).
type FenceSpec struct {
	Name string
	// Command is argv; the first element is an absolute path.
	Command []string
	// Options are the lines for standard input, sorted: "plug=web2". Secrets are
	// here and nowhere else.
	Options []Option
	// Action is "off" or "reboot".
	Action string
	// Target is the host that it switches off, as people call it.
	Target string
	User   string
	// Timeout bounds the action and its confirmation together; Delay is waited
	// first, so that two hosts do not shoot each other.
	Timeout, Delay time.Duration
}

// Option is one parameter of an agent.
type Option struct {
	Name, Value string
	// Secret keeps the value out of logs, status and messages.
	Secret bool
}

// File returns the path of the file that has the value in its first line, if this
// is a secret that was given so ("file:/etc/backbeat/ipmi.secret"). The hands read it
// at each run, so that the configuration need not hold it.
func (o Option) File() (path string, ok bool) {
	const prefix = "file:"
	if !o.Secret || len(o.Value) <= len(prefix) || o.Value[:len(prefix)] != prefix {
		return "", false
	}
	return o.Value[len(prefix):], true
}

// OnStuck is what follows when a step cannot be brought down.
type OnStuck uint8

// The policies for stuck steps.
const (
	// StuckBlock: nothing below is touched until the fact says that it is down,
	// or an operator clears it.
	StuckBlock OnStuck = iota
	// StuckReboot: this host reboots at once, so that the other may take over.
	StuckReboot
)

// String returns the word of the configuration.
func (o OnStuck) String() string {
	if o == StuckReboot {
		return "reboot"
	}
	return "block"
}

// LadderSpec is the configuration of a service group's ladder.
type LadderSpec struct {
	// Name is the group's.
	Name string
	// Steps in order: they go up from the first and down from the last.
	Steps []StepSpec
	// Safety guards the first exclusive step and all above.
	Safety SafetySpec
	// OnStuck is what follows when a step cannot be brought down.
	OnStuck OnStuck
	// HoldOff is the first hold-off after an unfit group, doubled each time it
	// happens again, up to HoldOffMax.
	HoldOff, HoldOffMax time.Duration
	// Qualify is the pace at which a host that does not serve is asked whether it
	// could (drbd: is the data good?); 0: never.
	Qualify time.Duration
}

// Equal reports whether two specifications are the same in every respect.
func (s *LadderSpec) Equal(o *LadderSpec) bool { return reflect.DeepEqual(s, o) }

// Exclusive returns the index of the first step with exclusive data, or len(Steps).
func (s *LadderSpec) Exclusive() int {
	for i := range s.Steps {
		if s.Steps[i].Agent.Exclusive() {
			return i
		}
	}
	return len(s.Steps)
}
