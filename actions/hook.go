package actions

import "time"

// Occasion is what a hook can be told about.
type Occasion uint8

// The occasions.
const (
	OnActive Occasion = 1 << iota
	OnBackup
	// OnInitialize: the router left the election because it was asked to.
	OnInitialize
	// OnFault: the router left the election because it had to.
	OnFault
	// OnReady: everything of the service group is up.
	OnReady
	// OnUnfit: the service group cannot be brought up on this host.
	OnUnfit
	// OnStuckStep: a step of the service group cannot be brought down.
	OnStuckStep
)

// HookSpec is one hook block: a command that is told about transitions.
// Nothing depends on its success.
type HookSpec struct {
	// Name is unique within its virtual router.
	Name string
	// On is the set of occasions; transitions outside it do not reach the hook.
	On Occasion
	// Command is argv; the first element is an absolute path. There is no shell.
	Command []string
	// User is the account to run as; empty means the daemon's own.
	User string
	// Timeout is how long one run may take before TERM, and a moment later KILL.
	Timeout time.Duration
}
