package actions

import "time"

// Verb is what is to be done with one step.
type Verb uint8

// The verbs.
const (
	// Look finds out whether the step is up: at the start, as a monitor, and
	// as the fact after a Stop. It changes nothing.
	Look Verb = iota
	// Start brings it up and returns when it is usable. Starting what is up is
	// harmless. A promotion is tried until the job's timeout.
	Start
	// Stop brings it down. Stopping what is down is harmless.
	Stop
	// ForceStop is the rung after Stop has failed: kill, force, whatever the kind
	// has. Data is never discarded for it.
	ForceStop
	// Qualify finds out whether this host could start it, without starting it. With
	// Step -1 it asks the fence devices of the group whether they would work.
	Qualify
	// Prepare brings up what a host needs while it does not serve (drbd: adjust;
	// a promotable OCF agent: start). Harmless when done already.
	Prepare
	// Fence switches the peer off and confirms it. It belongs to the group and
	// not to a step (Job.Step is -1).
	Fence
	// Reboot reboots this host at once (StuckReboot). It belongs to the group.
	Reboot
)

// String returns the verb as people read it.
func (v Verb) String() string {
	return [...]string{"look", "start", "stop", "force-stop", "qualify", "prepare", "fence", "reboot"}[v]
}

// moves reports whether a step is neither up nor down while it is carried out.
func (v Verb) moves() bool { return v == Start || v == Stop || v == ForceStop }

// Job is one thing to do with one step. Jobs of one step are given out one at a
// time, but for a Look or a Qualify that Cancel has ended: the hands finish
// that one first.
type Job struct {
	Group GroupID
	// Job numbers the jobs of a group, from 1.
	Job uint64
	// Step is the index in the group, below 0 for jobs of the group itself: -1 for
	// what the ladder wants, -2 for what is tried beside it.
	Step  int
	Verb  Verb
	Agent Agent
	// Fence are the devices of a Fence job, or of a Qualify with Step -1.
	Fence []FenceSpec
	// Name is the group's and the step's for messages and for the names of OCF
	// instances: "site/drbd.wwwdata".
	Name string
	// Node is this host's name.
	Node    string
	Timeout time.Duration
	// Monitor says that a Look is one of the recurring kind of a step that is
	// up (OCF tells them from probes), Interval is its pace.
	Monitor  bool
	Interval time.Duration
}

// State is what a step is in fact.
type State uint8

// The states.
const (
	// Unknown: it could not be found out.
	Unknown State = iota
	Down
	Up
	// Neither: half up, failed, or in between: only a Stop leads out of it.
	Neither
)

// String returns "unknown", "down", "up" or "neither".
func (s State) String() string {
	return [...]string{"unknown", "down", "up", "neither"}[s]
}

// Done answers a Job, once, whatever happens to it.
type Done struct {
	Group GroupID
	Job   uint64
	// OK: what was asked for is so. For a Look: it could be found out, State is
	// the fact, and Detail says why it is not Up. For a Qualify: it could be started.
	OK bool
	// Hopeless: trying again on this host does not help until somebody changes
	// something (not installed, not configured, data out of date).
	Hopeless bool
	// Canceled: the job was ended by Cancel before it was done.
	Canceled bool
	// State is the fact after the job, as far as the agent knows it.
	State State
	// Degraded: Up, but not as it should be (OCF 190); Detail says how.
	Degraded bool
	// Detail is a phrase for people, in one line, without a final point: what
	// failed and what to do, or what is worth knowing ("Primary, UpToDate").
	Detail string
	// Output is the bounded tail of what a command printed.
	Output string
	Took   time.Duration
}

// Progress tells what a long job waits for. The latest one counts.
type Progress struct {
	Group GroupID
	Job   uint64
	// Text is a phrase: "waiting for web2 to demote: try 4 (exit status 11)".
	Text string
}
