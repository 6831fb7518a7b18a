package daemon

// Input is a value that another goroutine posts to the loop: one of the types
// in this file, or an answer from a port: vrrp.SocketReady,
// actions.LinkChanged, actions.Applied, actions.Restored, actions.Announced,
// actions.Claimed, actions.HookDone. Anything else is a programming error and panics.
type Input any

// Reload asks for a new configuration. The answer is the plan that was carried out.
type Reload struct {
	Config *Config
	Reply  chan<- Plan // buffered by one
}

// StatusQuery asks for a page of the status: up to Limit routers from From in
// configuration order, or the one named.
type StatusQuery struct {
	Name        string
	From, Limit int
	Reply       chan<- StatusPage // buffered by one
}

// HistoryQuery asks for the last transitions, of one router or of all.
type HistoryQuery struct {
	Name  string
	Limit int
	Reply chan<- []Transition // buffered by one
}

// Stop asks the loop to leave. With Yield, Actives step aside first. A second
// Stop leaves at once.
type Stop struct {
	Yield  bool
	Detail string
}

// Ping is answered by the loop itself, which shows that it turns (systemd's watchdog).
type Ping struct {
	Reply chan<- struct{} // buffered by one
}
