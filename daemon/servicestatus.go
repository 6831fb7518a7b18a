package daemon

// ServiceStatus is one service group for status. Durations are seconds.
type ServiceStatus struct {
	Name string `json:"name"`
	// Follows are the virtual routers it follows.
	Follows []string `json:"follows"`
	// State is "down", "starting", "up", "stopping", "unfit", "stuck", "claiming",
	// "looking" (not known yet), "limited" (up to where an operator allows).
	State string `json:"state"`
	// Aim is "up" or "down".
	Aim string `json:"aim"`
	// Up is how many steps from the first one are up, of Total.
	Up    int `json:"up"`
	Total int `json:"total"`
	// Text says in a sentence what is going on and why.
	Text string `json:"text"`
	// Safety is "not-needed", "none" or "fence": how two writers are prevented.
	Safety string `json:"safety"`
	// Claim says why exclusive data may be taken, ClaimWaits what that waits for.
	Claim      string `json:"claim,omitempty"`
	ClaimWaits string `json:"claim_waits,omitempty"`
	// Unfit is why this host cannot serve; UnfitFor is the rest of the hold-off,
	// absent while the group still comes down.
	Unfit    string   `json:"unfit,omitempty"`
	UnfitFor *float64 `json:"unfit_for_seconds,omitempty"`
	// Unqualified is why this host could not bring the group up if it had to.
	Unqualified string `json:"unqualified,omitempty"`
	// Stuck names the step that cannot be brought down.
	Stuck string `json:"stuck,omitempty"`
	// Maintenance is the order for which nothing is touched.
	Maintenance string `json:"maintenance,omitempty"`
	// StoppedFrom is the step from which on an operator keeps the steps down.
	StoppedFrom   string       `json:"stopped_from,omitempty"`
	AddressesWhen string       `json:"addresses_when"`
	Steps         []StepStatus `json:"steps"`
}

// StepStatus is one step of a service group.
type StepStatus struct {
	// Name is kind and name: "drbd.wwwdata".
	Name string `json:"name"`
	// State is "up", "down", "neither", "unknown".
	State string `json:"state"`
	// For is how long it has been so.
	For float64 `json:"for_seconds"`
	// Doing is the job under way ("start", "stop", "force-stop", "look",
	// "qualify", "prepare"), DoingFor since when, Progress what it waits for.
	Doing    string  `json:"doing,omitempty"`
	DoingFor float64 `json:"doing_for_seconds,omitempty"`
	Progress string  `json:"progress,omitempty"`
	Detail   string  `json:"detail,omitempty"`
	Output   string  `json:"output,omitempty"`
	Degraded bool    `json:"degraded,omitempty"`
	Stuck    bool    `json:"stuck,omitempty"`
	// Unqualified is why it could not be brought up here.
	Unqualified string `json:"unqualified,omitempty"`
	// LookedAgo is the time since it was looked at last, absent if it never was.
	LookedAgo *float64 `json:"looked_ago_seconds,omitempty"`
	// Restarts are those within the window, Allowed how many may be.
	Restarts        int    `json:"restarts"`
	Allowed         int    `json:"restarts_allowed"`
	Starts          uint64 `json:"starts"`
	StartFailures   uint64 `json:"start_failures"`
	Stops           uint64 `json:"stops"`
	StopFailures    uint64 `json:"stop_failures"`
	Monitors        uint64 `json:"monitors"`
	MonitorFailures uint64 `json:"monitor_failures"`
}
