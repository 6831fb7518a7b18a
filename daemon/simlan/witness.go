package simlan

import (
	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// Witness sees what one life of the daemon does, as it does it. Blind has all
// the methods and does nothing; embed it.
type Witness interface {
	// Configured comes before the first turn and with every reload.
	Configured(cfg *daemon.Config)
	// Sent is an advert handed to the wire.
	Sent(path *vrrp.Path, message []byte)
	// Turned comes after every turn of the loop, Left after the last.
	Turned()
	Left()
	// HandedOver comes instead of Left: nothing has been taken off.
	HandedOver()
	// Wanted is a wish, before it replaces the one in Process.Wishes.
	Wanted(w *Wish)
	// Applied is a wish that the kernel has just carried out.
	Applied(w *Wish)
	// Announced is a schedule for the neighbours that begins, or a further round of one.
	Announced(a *actions.Announcement, begins bool)
	// Advertised and Withdrawn are Router Advertisements that begin and end.
	Advertised(a *actions.RouterAdvert)
	Withdrawn(r actions.RouterID)
	// Asked is a job for the hands, before they begin.
	Asked(job *actions.Job)
	// Hooked is a hook that begins, HookFailed one that ended badly.
	Hooked(job actions.HookJob)
	HookFailed(job actions.HookJob)
	// Missed is a place of a wish that does not exist.
	Missed(w *Wish)
	// Logged is a line for people, Transition a record or a follow-up of one.
	Logged(l daemon.Line)
	Transition(t daemon.Transition)
}

// Blind sees nothing.
type Blind struct{}

// Configured does nothing.
func (Blind) Configured(*daemon.Config) {}

// Sent does nothing.
func (Blind) Sent(*vrrp.Path, []byte) {}

// Turned does nothing.
func (Blind) Turned() {}

// Left does nothing.
func (Blind) Left() {}

// HandedOver does nothing.
func (Blind) HandedOver() {}

// Asked does nothing.
func (Blind) Asked(*actions.Job) {}

// Wanted does nothing.
func (Blind) Wanted(*Wish) {}

// Applied does nothing.
func (Blind) Applied(*Wish) {}

// Announced does nothing.
func (Blind) Announced(*actions.Announcement, bool) {}

// Advertised does nothing.
func (Blind) Advertised(*actions.RouterAdvert) {}

// Withdrawn does nothing.
func (Blind) Withdrawn(actions.RouterID) {}

// Hooked does nothing.
func (Blind) Hooked(actions.HookJob) {}

// HookFailed does nothing.
func (Blind) HookFailed(actions.HookJob) {}

// Missed does nothing.
func (Blind) Missed(*Wish) {}

// Logged does nothing.
func (Blind) Logged(daemon.Line) {}

// Transition does nothing.
func (Blind) Transition(daemon.Transition) {}
