package daemon

import "time"

// StatusPage answers a StatusQuery: what the loop copied out, ready to encode.
type StatusPage struct {
	// Total is the number of routers there are.
	Total   int            `json:"-"`
	Node    string         `json:"node"`
	Since   time.Time      `json:"since"`
	Loop    LoopStatus     `json:"loop"`
	Routers []RouterStatus `json:"virtual_routers"`
	Links   []LinkStatus   `json:"interfaces"`
	Checks  []CheckStatus  `json:"checks,omitempty"`
	// Services are the service groups, Orders the standing orders of operators.
	Services []ServiceStatus `json:"service_groups,omitempty"`
	Orders   []Order         `json:"orders,omitempty"`
}

// LoopStatus is the health of the loop itself.
type LoopStatus struct {
	// Turns counts wake-ups, Stalls those later than a router could bear.
	Turns  uint64 `json:"turns"`
	Stalls uint64 `json:"stalls"`
	// WorstLateness is the largest delay between a deadline and its turn, in seconds.
	WorstLateness float64 `json:"worst_lateness_seconds"`
	// StaleResults counts completions that named an old term, LogDropped lines that did not fit.
	StaleResults uint64 `json:"stale_results"`
	LogDropped   uint64 `json:"log_dropped"`
}

// RouterStatus is one virtual router for status. Durations are seconds; state
// leaves and counters have the names of the YANG model (RFC 8347) where it has one.
type RouterStatus struct {
	Name      string `json:"name"`
	Interface string `json:"interface"`
	VRID      uint8  `json:"vrid"`
	Family    string `json:"family"`
	State     string `json:"state"`
	// Fault is the reason for which the router cannot take part now, empty if it can.
	Fault       string    `json:"fault,omitempty"`
	FaultDetail string    `json:"fault_detail,omitempty"`
	Since       time.Time `json:"since"`
	Cause       string    `json:"cause"`
	Reason      string    `json:"reason"`
	// LastEvent is Cause in the model's words, NewActiveReason that of the last promotion.
	LastEvent       string `json:"last_event"`
	NewActiveReason string `json:"new_active_reason"`
	Term            uint64 `json:"term"`
	Yielding        bool   `json:"yielding,omitempty"`
	// SteppingAside says what the router will do as soon as its service group is down.
	SteppingAside string `json:"stepping_aside,omitempty"`
	// Standby and Pinned are the order in force; MovedAway says that an operator
	// moved it to another host, MovedHere that one moved it here: until the one
	// that is Active is gone.
	Standby   string `json:"standby,omitempty"`
	Pinned    string `json:"pinned,omitempty"`
	MovedAway bool   `json:"moved_away,omitempty"`
	MovedHere bool   `json:"moved_here,omitempty"`
	// ServiceGroup follows this router.
	ServiceGroup string `json:"service_group,omitempty"`

	Priority          uint8   `json:"priority"`
	EffectivePriority uint8   `json:"effective_priority"`
	IsOwner           bool    `json:"is_owner"`
	Preempt           bool    `json:"preempt"`
	PreemptDelay      float64 `json:"preempt_delay_seconds"`
	// Degraded: EffectivePriority is in the band 1–50 of degraded hosts.
	Degraded bool `json:"degraded,omitempty"`
	// Contributions are why the priority is what it is, one for each depends_on.
	Contributions []ContributionStatus `json:"contributions,omitempty"`
	// PreemptIn is the rest of a running preempt delay.
	PreemptIn     *float64 `json:"preempt_in_seconds,omitempty"`
	Checksum      string   `json:"checksum"`
	ChecksumSent  string   `json:"checksum_sent"`
	PrimaryIPAddr string   `json:"primary_ip_address,omitempty"`

	// Active is who is Active as far as this host knows.
	Active *ActiveStatus `json:"active,omitempty"`

	AdvertisementInterval float64 `json:"advertisement_interval_seconds"`
	ActiveAdverInterval   float64 `json:"active_adver_interval_seconds"`
	SkewTime              float64 `json:"skew_time_seconds"`
	ActiveDownInterval    float64 `json:"active_down_interval_seconds"`
	// ActiveDownIn is when Active_Down_Timer fires if nothing is heard (Backup only).
	ActiveDownIn *float64 `json:"active_down_in_seconds,omitempty"`

	// Version is 2 or 3, Mode "multicast" (to MulticastGroup) or "unicast" (to UnicastPeers).
	Version        uint8    `json:"version"`
	Mode           string   `json:"mode"`
	MulticastGroup string   `json:"multicast_group,omitempty"`
	UnicastPeers   []string `json:"unicast_peers,omitempty"`
	// Authentication is "none" or "pass" (version 2 only).
	Authentication string `json:"authentication,omitempty"`
	AcceptMode     bool   `json:"accept_mode"`
	// VirtualMAC is the virtual router MAC, if the addresses are on a macvlan that has it.
	VirtualMAC           string `json:"virtual_mac,omitempty"`
	RouterAdvertisements bool   `json:"router_advertisements,omitempty"`
	// SyncGroup is the sync group's name; Ready says that this member has won
	// its election and waits for the others.
	SyncGroup string `json:"sync_group,omitempty"`
	Ready     bool   `json:"ready,omitempty"`
	// SettleIn is the rest of a running settle time.
	SettleIn *float64 `json:"settle_in_seconds,omitempty"`
	// Peers are the other routers heard on this VRID, believed or not, newest first.
	Peers []PeerStatus `json:"peers,omitempty"`

	Addresses []AddressStatus `json:"addresses"`
	// Routes and Rules are there while the router is Active, as ip-route(8) and
	// ip-rule(8) write them.
	Routes []string `json:"routes,omitempty"`
	Rules  []string `json:"rules,omitempty"`
	// KernelError is what of addresses, routes and rules the kernel did not take.
	KernelError string `json:"kernel_error,omitempty"`
	// Notices are what was noticed about peers lately, newest first: one entry
	// a kind. Readers decide by AgoSeconds what is still news.
	Notices []NoticeStatus `json:"notices,omitempty"`
	// Refused are the packets for this router that were not believed, one entry a kind.
	Refused  []RefusedStatus   `json:"refused,omitempty"`
	Hooks    []HookStatus      `json:"hooks,omitempty"`
	Counters map[string]uint64 `json:"statistics"`
}

// ContributionStatus is what one depends_on does to the priority now.
type ContributionStatus struct {
	// Checks are the checks of it, Mode "all" or "any" where there are several.
	Checks []string `json:"checks"`
	Mode   string   `json:"mode,omitempty"`
	// Effect is "degrade", "weight" or "fault".
	Effect string `json:"effect"`
	// Weight is what was configured, Adds what is added to the priority now.
	Weight int `json:"weight,omitempty"`
	Adds   int `json:"adds"`
	// Stand is "good", "bad", "pending" (no result yet) or "ignored".
	Stand string `json:"stand"`
	// Why says so in words.
	Why string `json:"why"`
}

// CheckStatus is one check.
type CheckStatus struct {
	// Name is kind and name: "http.site".
	Name    string    `json:"name"`
	Verdict string    `json:"verdict"`
	Since   time.Time `json:"since"`
	// Stand is what the verdict counts as: "good", "bad", "pending", "ignored".
	Stand string `json:"stand"`
	Why   string `json:"why"`
	// Routers depend on it.
	Routers  []string `json:"virtual_routers"`
	Interval float64  `json:"interval_seconds"`
	Timeout  float64  `json:"timeout_seconds"`
	Rise     int      `json:"rise"`
	Fall     int      `json:"fall"`
	Running  bool     `json:"running,omitempty"`
	// Last is the last run, absent before the first has ended.
	Last *RunStatus `json:"last,omitempty"`
	// Runs counts results; Failed and NotRun those that were so, Late the times a run was left out
	// because the one before still ran; Changes counts changes of the verdict.
	Runs    uint64 `json:"runs"`
	Failed  uint64 `json:"failed"`
	NotRun  uint64 `json:"not_run"`
	Late    uint64 `json:"late"`
	Changes uint64 `json:"changes"`
}

// RunStatus is one ended run of a check.
type RunStatus struct {
	// Outcome is "passed", "failed" or "not-run".
	Outcome string  `json:"outcome"`
	Detail  string  `json:"detail,omitempty"`
	Output  string  `json:"output,omitempty"`
	Took    float64 `json:"took_seconds"`
	Ago     float64 `json:"ago_seconds"`
}

// ActiveStatus is the Active router as last heard.
type ActiveStatus struct {
	// Self says that it is this host.
	Self     bool    `json:"self"`
	Address  string  `json:"address,omitempty"`
	Priority uint8   `json:"priority"`
	Interval float64 `json:"interval_seconds"`
	Checksum string  `json:"checksum,omitempty"`
	// HeardAgo is how long ago its last advertisement came, in seconds.
	HeardAgo float64 `json:"heard_ago_seconds"`
}

// PeerStatus is another router on our VRID as it was heard last.
type PeerStatus struct {
	Address  string  `json:"address"`
	Version  uint8   `json:"version"`
	Priority uint8   `json:"priority"`
	Interval float64 `json:"interval_seconds"`
	// Mode is how its adverts came: "multicast" or "unicast"; TTL is there if it is not 255.
	Mode string `json:"mode"`
	TTL  uint8  `json:"ttl,omitempty"`
	// Checksum is the form of a believed version 3 advert, Authentication the
	// type in a version 2 one.
	Checksum       string `json:"checksum,omitempty"`
	Authentication string `json:"authentication,omitempty"`
	AddressCount   int    `json:"address_count"`
	// SameAddresses compares its last believed list with ours; ForeignGroup says
	// that they have none in common.
	SameAddresses bool `json:"same_addresses"`
	ForeignGroup  bool `json:"foreign_group,omitempty"`
	// Believed and Refused count adverts; RefusedAs and Text say why the last was refused, if it was.
	Believed  uint64  `json:"believed"`
	Refused   uint64  `json:"refused"`
	RefusedAs string  `json:"refused_as,omitempty"`
	Text      string  `json:"text,omitempty"`
	HeardAgo  float64 `json:"heard_ago_seconds"`
}

// AddressStatus is one address: wanted and really there are two things.
type AddressStatus struct {
	Address string `json:"address"`
	// Interface is where it goes, empty for the router's own.
	Interface  string `json:"interface,omitempty"`
	Advertised bool   `json:"advertised"`
	Wanted     bool   `json:"wanted"`
	Present    bool   `json:"present"`
	// Restored counts how often somebody removed it and it was put back.
	Restored uint64 `json:"restored"`
}

// NoticeStatus is something worth telling that is no transition.
type NoticeStatus struct {
	// Name is the stable name ("address-list-mismatch"), Text a sentence about
	// the last time.
	Name  string `json:"name"`
	Text  string `json:"text"`
	Count uint64 `json:"count"`
	// AgoSeconds is the time since the last one.
	AgoSeconds float64 `json:"ago_seconds"`
}

// RefusedStatus is one kind of packets that were refused.
type RefusedStatus struct {
	// Drop is the stable name ("version-errors"), Text says what it means and
	// what to look at.
	Drop  string `json:"drop"`
	Text  string `json:"text"`
	Count uint64 `json:"count"`
	// Source and VRID are those of the last one; Source is empty when the
	// packet was too broken to tell.
	Source     string  `json:"source,omitempty"`
	VRID       uint8   `json:"vrid,omitempty"`
	AgoSeconds float64 `json:"ago_seconds"`
}

// HookStatus is one hook.
type HookStatus struct {
	Name    string `json:"name"`
	Running bool   `json:"running"`
	Queued  int    `json:"queued"`
	Runs    uint64 `json:"runs"`
	Failed  uint64 `json:"failed"`
	Skipped uint64 `json:"skipped"`
	// Last describes the last finished run.
	LastExit   *int    `json:"last_exit,omitempty"`
	LastError  string  `json:"last_error,omitempty"`
	LastTook   float64 `json:"last_took_seconds,omitempty"`
	LastOutput string  `json:"last_output,omitempty"`
}

// LinkStatus is one interface and its sockets.
type LinkStatus struct {
	Name          string `json:"name"`
	Index         int    `json:"index"`
	Up            bool   `json:"up"`
	Detail        string `json:"detail,omitempty"`
	Sent          uint64 `json:"sent"`
	SendErrors    uint64 `json:"send_errors"`
	LastSendError string `json:"last_send_error,omitempty"`
	Received      uint64 `json:"received"`
	KernelDrops   uint64 `json:"kernel_drops"`
	// Refused are the packets that reached no router, one entry a kind: with a
	// VRID nobody has here, or too broken to have one.
	Refused []RefusedStatus `json:"refused,omitempty"`
	// Drops counts all packets refused on this interface, by name.
	Drops map[string]uint64 `json:"drops,omitempty"`
}
