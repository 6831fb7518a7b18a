package daemon

import (
	"net/netip"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// Input is a value that another goroutine sends to the loop. The set is closed.
type Input interface{ input() }

// LinkChanged is the whole state of one interface, as a level: every message
// replaces the one before. It is sent for every interface a router names, also
// for missing ones, first when the watcher starts and then on each change.
type LinkChanged struct {
	Name string
	// Index is 0 when the interface does not exist.
	Index int
	// Up means administratively up with carrier.
	Up bool
	// Detail says why it is not up ("no carrier", "administratively down").
	Detail string
	// MAC is the link-layer address, empty where there is none.
	MAC [6]byte
	// MTU in bytes.
	MTU int
	// Addresses in the kernel's order.
	Addresses []LinkAddress
}

// LinkAddress is one address of an interface.
type LinkAddress struct {
	Prefix netip.Prefix
	// Tentative: duplicate address detection has not finished, or has failed;
	// the address cannot be sent from.
	Tentative bool
	// Secondary is the kernel's IFA_F_SECONDARY.
	Secondary bool
}

// SocketReady answers Wire.Listen. Err is empty on success; otherwise it names
// the cause and the remedy.
type SocketReady struct {
	Link   int
	Family vrrp.Family
	Err    string
}

// Applied answers Addresses.Want.
type Applied struct {
	Router RouterID
	Term   uint64
	// Held tells whether addresses were wanted (true) or removed.
	Held bool
	// Took is from the wish to the kernel's last answer.
	Took time.Duration
	// Err is empty, or what could not be done, all of it.
	Err string
}

// Restored tells that somebody removed a wanted address and it is back.
type Restored struct {
	Router  RouterID
	Address netip.Prefix
	// Culprit is what is known of who removed it ("NetworkManager (pid 812)").
	Culprit string
	// Took is from the kernel's notice of the removal to the address being back.
	Took time.Duration
	// Err is empty, or why it could not be put back.
	Err string
}

// Announced tells that the first round of an announcement is out.
type Announced struct {
	Router RouterID
	Term   uint64
	// Frames sent so far for this announcement, by kind.
	ARP, NA int
	Took    time.Duration
	Err     string
}

// HookDone answers Runner.Run.
type HookDone struct {
	Router RouterID
	Job    uint64
	Took   time.Duration
	// Exit is the exit status, or -1 if it did not exit by itself.
	Exit int
	// Err is empty for exit status 0, else a sentence ("exit status 3",
	// "timed out after 10s", "/x: permission denied for user backbeat").
	Err string
	// Output is the bounded tail of its output.
	Output string
}

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

func (LinkChanged) input()  {}
func (SocketReady) input()  {}
func (Applied) input()      {}
func (Restored) input()     {}
func (Announced) input()    {}
func (HookDone) input()     {}
func (Reload) input()       {}
func (StatusQuery) input()  {}
func (HistoryQuery) input() {}
func (Stop) input()         {}
func (Ping) input()         {}
