package play

// Result is what a play comes to. Its JSON form is documented in docs/json.md.
// Instants and durations are seconds of virtual time.
type Result struct {
	Seed  uint64  `json:"seed"`
	Until float64 `json:"until_seconds"`
	// AtRest: after the last fault there was time enough for everything to settle.
	AtRest    bool         `json:"at_rest"`
	Hosts     []HostResult `json:"hosts"`
	Timeline  []Event      `json:"timeline"`
	Addresses []AddressUse `json:"addresses"`
	// Services is where the service groups were up.
	Services []GroupUse    `json:"service_groups,omitempty"`
	Findings []Finding     `json:"findings"`
	Notes    []string      `json:"notes"`
	Tables   []CheckedUnit `json:"check_tables,omitempty"`
}

// HostResult is one host at the end.
type HostResult struct {
	Node string `json:"node"`
	// State of the host: "running", "stopped" (no daemon), "off" (no power), "frozen".
	State      string         `json:"state"`
	Interfaces []NICResult    `json:"interfaces"`
	Routers    []RouterResult `json:"virtual_routers"`
	// Services are its service groups, if a daemon runs.
	Services []ServiceResult `json:"service_groups,omitempty"`
}

// ServiceResult is one service group of a host at the end, as status has it.
type ServiceResult struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Up    int    `json:"up"`
	Total int    `json:"total"`
	Text  string `json:"text"`
}

// NICResult is an interface as it was simulated.
type NICResult struct {
	Name string `json:"name"`
	// Link numbers the simulated links from 1: interfaces with one number hear each other.
	Link int `json:"link"`
	// Addresses are its own. Invented: the configurations do not say which they are.
	Addresses []string `json:"addresses"`
	Invented  bool     `json:"invented"`
}

// RouterResult is one virtual router of a host at the end.
type RouterResult struct {
	Name string `json:"name"`
	// State is "initialize", "backup", "active", or empty where no daemon runs.
	State             string `json:"state"`
	Reason            string `json:"reason"`
	Priority          uint8  `json:"priority"`
	EffectivePriority uint8  `json:"effective_priority"`
	FaultDetail       string `json:"fault_detail,omitempty"`
}

// The kinds of events.
const (
	KindFault      = "fault"
	KindTransition = "transition"
	KindLog        = "log"
	KindHolders    = "holders"
	KindWriters    = "writers"
)

// Event is one line of the timeline.
type Event struct {
	At   float64 `json:"at_seconds"`
	Kind string  `json:"kind"`
	// Node is the host it is about, empty for the network and for addresses.
	Node   string `json:"node,omitempty"`
	Router string `json:"virtual_router,omitempty"`
	// From, To and Cause are there for transitions.
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
	Cause string `json:"cause,omitempty"`
	// Level of a log line: "info", "warn", "error".
	Level string `json:"level,omitempty"`
	// Text is a sentence: what is done, the daemon's reason, its log line, or who holds.
	Text string `json:"text"`
	// Addresses and Holders are there for holders; Before is how many hosts held
	// them before, for BeforeSeconds.
	Addresses     []string `json:"addresses,omitempty"`
	Holders       []string `json:"holders,omitempty"`
	Before        *int     `json:"holders_before,omitempty"`
	BeforeSeconds float64  `json:"before_seconds,omitempty"`
}

// AddressUse is who held addresses of one virtual router that always were together.
type AddressUse struct {
	Router    string   `json:"virtual_router"`
	Addresses []string `json:"addresses"`
	// Holders are the hosts that answer for them at the end.
	Holders []string `json:"holders"`
	// FirstHeld is when a host had them first; absent if none ever did.
	FirstHeld *float64 `json:"first_held_at_seconds,omitempty"`
	// Nobody and Several are how long, since then, no host and more than one held
	// them, all in all and the longest time.
	Nobody         float64 `json:"nobody_seconds"`
	LongestNobody  float64 `json:"longest_nobody_seconds"`
	Several        float64 `json:"several_seconds"`
	LongestSeveral float64 `json:"longest_several_seconds"`
}

// GroupUse is where one service group was up: all of its steps.
type GroupUse struct {
	Name string `json:"name"`
	// UpOn are the hosts on which it is up at the end.
	UpOn []string `json:"up_on"`
	// FirstUp is when it was up first; absent if it never was. Ups is how often it came up.
	FirstUp *float64 `json:"first_up_at_seconds,omitempty"`
	Ups     int      `json:"times_up"`
	// Nowhere is how long, since then, it was up on no host, all in all and the longest time.
	Nowhere        float64 `json:"nowhere_seconds"`
	LongestNowhere float64 `json:"longest_nowhere_seconds"`
}

// The kinds of findings.
const (
	FindNobody  = "nobody-holds"
	FindSeveral = "several-hold"
	FindWriters = "several-write"
	FindStuck   = "failure-cannot-move"
	// Of service groups and of what operators ask for, at the end.
	FindDown       = "group-down"
	FindGroupStuck = "group-stuck"
	FindUnfit      = "group-unfit"
	FindOrder      = "order-unfulfilled"
)

// Finding is something that should not be so.
type Finding struct {
	Kind   string `json:"kind"`
	Router string `json:"virtual_router"`
	// Service is the service group, if it is about one.
	Service string `json:"service_group,omitempty"`
	// Node is the host it is about, if it is one; Checks are there for a failure
	// that cannot move an address.
	Node   string   `json:"node,omitempty"`
	Checks []string `json:"checks,omitempty"`
	Text   string   `json:"text"`

	holders []string
}

// CheckedUnit is the table of what check results come to for virtual routers
// that are always served together.
type CheckedUnit struct {
	Routers []string   `json:"virtual_routers"`
	Hosts   []UnitHost `json:"hosts"`
	Count   uint64     `json:"possible_combinations"`
	Rows    []Row      `json:"combinations"`
	Reduced string     `json:"reduced,omitempty"`
}

// UnitHost is a host's part of a CheckedUnit.
type UnitHost struct {
	Node     string   `json:"node"`
	Priority uint8    `json:"priority"`
	Checks   []string `json:"checks"`
}

// Row is one combination.
type Row struct {
	// Failing are the checks that fail, as NODE:CHECK; all others are healthy.
	Failing []string `json:"failing"`
	// Hosts are in the order of CheckedUnit.Hosts.
	Hosts []RowHost `json:"hosts"`
	// Covers is how many combinations this one stands for.
	Covers uint64 `json:"covers"`
	// Serves are the hosts that serve: one, or none, or several that fight.
	Serves []string `json:"serves"`
	// Remark says what is wrong with that; empty if nothing is.
	Remark string `json:"remark,omitempty"`
	alike  string // the same for combinations that come to the same for every host
}

// RowHost is what a combination makes of a host.
type RowHost struct {
	Priority uint8 `json:"effective_priority"`
	Degraded bool  `json:"degraded,omitempty"`
	Faulted  bool  `json:"faulted,omitempty"`
}
