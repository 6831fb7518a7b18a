package daemon

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Order is a standing order of an operator: it survives a restart, and status
// shows it until it is taken back or has expired.
type Order struct {
	// Kind is OrderStandby, OrderPin or OrderMaintenance.
	Kind OrderKind `json:"kind"`
	// Name is a virtual router (standby, pin) or a service group (maintenance);
	// empty means all of this host.
	Name string `json:"name,omitempty"`
	// By is who gave it ("root (uid 0)"), Reason what they said.
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	// Until is when it expires; zero: never.
	Until time.Time `json:"until,omitzero"`
}

// OrderKind is what an Order asks for.
type OrderKind string

// The orders.
const (
	// OrderStandby: this host must not be Active.
	OrderStandby OrderKind = "standby"
	// OrderPin: another host should be Active; this one serves only if there is
	// no other (its priority is 1, and it does not preempt).
	OrderPin OrderKind = "pin"
	// OrderMaintenance: service groups are looked at and not touched.
	OrderMaintenance OrderKind = "maintenance"
)

// String is the order in one line: "standby since 14:02 by root (uid 0): kernel update".
func (o *Order) String() string {
	s := fmt.Sprintf("%s since %s by %s", o.Kind, o.Since.Local().Format("2006-01-02 15:04:05"), o.By)
	if !o.Until.IsZero() {
		s += ", until " + o.Until.Local().Format("2006-01-02 15:04:05")
	}
	if o.Reason != "" {
		s += ": " + o.Reason
	}
	return s
}

// CommandVerb is what an operator asks for.
type CommandVerb string

// The commands.
const (
	// CommandStandby: leave, and stay away until CommandOnline. Name: one router, empty: all.
	CommandStandby CommandVerb = "standby"
	CommandOnline  CommandVerb = "online"
	// CommandMove: step aside once for whoever takes over (Pin: and stay so), or,
	// with Here, take over from whoever is Active.
	CommandMove   CommandVerb = "move"
	CommandUnmove CommandVerb = "unmove"
	// CommandClear forgets failures of a group, or of the group of a router.
	CommandClear CommandVerb = "clear"
	// CommandGroupStop keeps Step and what stands on it down, CommandGroupStart
	// lifts that, CommandGroupRestart brings Step down and up again.
	CommandGroupStop    CommandVerb = "group-stop"
	CommandGroupStart   CommandVerb = "group-start"
	CommandGroupRestart CommandVerb = "group-restart"
	// CommandMaintenanceOn takes the hands off a group, or off all.
	CommandMaintenanceOn  CommandVerb = "maintenance-on"
	CommandMaintenanceOff CommandVerb = "maintenance-off"
	// CommandFenceConfirm says that the other host is off for certain.
	CommandFenceConfirm CommandVerb = "fence-confirm"
)

// Command is an operator's request. The answer comes at once and says what has
// been begun; status shows how it goes on.
type Command struct {
	Verb CommandVerb
	// Name is a virtual router or a service group, empty for all where that is allowed.
	Name string
	// Step is a step's name ("drbd.wwwdata", or "wwwdata" if that is unique).
	Step   string
	By     string
	Reason string
	// For bounds a standing order; 0: until it is taken back.
	For       time.Duration
	Pin, Here bool
	// Unmanage switches maintenance on as well (group-stop).
	Unmanage bool
	// Force does what would be refused as useless or dangerous.
	Force bool
	Reply chan<- CommandResult // buffered by one
}

// CommandResult answers a Command.
type CommandResult struct {
	// OK: it has been begun, or was so already.
	OK bool `json:"ok"`
	// Code is a stable name of what is wrong: "unknown-name", "not-active",
	// "no-group", "unknown-step", "refused", "stopping".
	Code string `json:"code,omitempty"`
	// Text says what happened, or what is wrong and what to do.
	Text string `json:"text"`
	// Suggestions are names that may have been meant.
	Suggestions []string `json:"suggestions,omitempty"`
	// Waits are virtual routers and service groups whose way to what was asked
	// for is not over yet.
	Routers  []string `json:"virtual_routers,omitempty"`
	Services []string `json:"service_groups,omitempty"`
}

// Orders is where standing orders are kept across a restart.
type Orders interface {
	// Keep replaces what is kept. It returns at once; what cannot be written is told in the log.
	Keep(list []Order)
}

// orderBook are the orders in force, sorted by kind and name.
type orderBook struct{ list []Order }

func (b *orderBook) find(kind OrderKind, name string) *Order {
	for i := range b.list {
		if b.list[i].Kind == kind && b.list[i].Name == name {
			return &b.list[i]
		}
	}
	return nil
}

// of returns the order of a kind that concerns a name: its own, or the host's.
func (b *orderBook) of(kind OrderKind, name string) *Order {
	if o := b.find(kind, name); o != nil {
		return o
	}
	return b.find(kind, "")
}

func (b *orderBook) set(o Order) {
	if old := b.find(o.Kind, o.Name); old != nil {
		*old = o
		return
	}
	b.list = append(b.list, o)
	slices.SortFunc(b.list, func(x, y Order) int { return strings.Compare(string(x.Kind)+x.Name, string(y.Kind)+y.Name) })
}

// remove takes back the order of a kind for one name, or with an empty name all of that kind.
func (b *orderBook) remove(kind OrderKind, name string) bool {
	n := len(b.list)
	b.list = slices.DeleteFunc(b.list, func(o Order) bool { return o.Kind == kind && (name == "" || o.Name == name) })
	return len(b.list) != n
}
