package checks

import (
	"net/netip"
	"time"
)

// Probe is how a check finds out: one of the types in this file, by value. The
// set is closed. Probes are data; package checks/probe carries them out.
type Probe interface {
	// Kind is the word of the configuration: "http".
	Kind() string
}

// Exec runs a command: exit status 0 is healthy, any other and death by a
// signal is failing; one that cannot be started is unknown.
type Exec struct {
	// Command is argv; the first element is an absolute path. There is no shell.
	Command []string
	// User is the account to run as; empty: the account backbeat if there is one
	// and the daemon is root, else the daemon's own.
	User string
	// Env is added to the clean environment: "NAME=value".
	Env []string
}

// StatusRange is a range of HTTP status codes, both ends included.
type StatusRange struct{ From, To int }

// Header is one HTTP header to send.
type Header struct{ Name, Value string }

// HTTP asks a web server. URL is http:// or https://; the kind is "http" for both.
type HTTP struct {
	URL string
	// Method is GET, HEAD, POST or OPTIONS.
	Method string
	// Status are the codes that are healthy; empty means 200–299.
	Status []StatusRange
	// Match and NotMatch are regular expressions (RE2) over the first MiB of the
	// body, one that must match and one that must not; empty: not looked at.
	Match, NotMatch string
	// Headers are sent as they are; Host replaces the host of the URL.
	Headers []Header
	Host    string
	// Unix is the path of a unix socket to connect to instead of the URL's host.
	Unix string
	// Source is the address to connect from, invalid for any.
	Source netip.Addr
	// FollowRedirects: at most ten; without it a redirect is an answer like others.
	FollowRedirects bool
	TLS             TLS
}

// TLS says how a server's certificate is judged.
type TLS struct {
	// On says to use TLS (TCP only; HTTP takes it from the URL).
	On bool
	// ServerName is the name to ask for and to verify; empty: the host's.
	ServerName string
	// CA is a file with PEM certificates to trust instead of the system's.
	CA string
	// SkipVerify does not verify the certificate at all.
	SkipVerify bool
	// Remaining is how long the certificate must still be valid; 0: just now.
	Remaining time.Duration
}

// TCP connects; optionally it sends something and expects something back.
type TCP struct {
	// Address is host:port; or Unix is the path of a socket.
	Address, Unix string
	Send          string
	// Expect is a regular expression (RE2) that the first 64 KiB of the answer
	// must match; empty: to be connected is enough.
	Expect string
	Source netip.Addr
	TLS    TLS
}

// ICMP sends one echo request to each of its targets.
type ICMP struct {
	// Targets are at least one; an address has a zone where it needs one.
	Targets []netip.Addr
	// Quorum is how many of them must answer: 1–len(Targets).
	Quorum int
	// Interface is the one to send by, and Source the address to send from; empty and invalid: any.
	Interface string
	Source    netip.Addr
}

// DNS asks a name server.
type DNS struct {
	// Server is where to ask, with its port.
	Server netip.AddrPort
	// Name is what to ask for, and Type of what type, by its name: "A".
	Name, Type string
	// Rcode is the answer's response code by its name: "NOERROR". With NOERROR there
	// must be at least one record of the type.
	Rcode string
	// Answers are records that must be among those of the type, as the
	// configuration writes them: "192.0.2.7", "10 mail.example.net"; empty: any.
	Answers []string
	// Authoritative: the server must answer for itself (the AA bit). Recursive: it is
	// asked to find out (the RD bit).
	Authoritative, Recursive bool
	// TCP asks by TCP at once; else only if the answer by UDP is cut off.
	TCP    bool
	Source netip.Addr
}

// Systemd asks systemd about a unit, over D-Bus.
type Systemd struct {
	// Unit is the whole name: "apache2.service".
	Unit string
	// SubState is the state within "active" that it must be in ("running"); empty: any.
	SubState string
}

// File looks at a file.
type File struct {
	Path string
	// Absent: healthy while the file does not exist (a flag file that says
	// "maintenance"). Everything else is then not looked at.
	Absent bool
	// MaxAge is how long ago it may have been written at most; 0: not looked at.
	MaxAge time.Duration
	// Integer: its text is a whole number, which is the Value of the result: it is healthy
	// if readable, and Weight dependencies multiply it. Anything else is unknown.
	Integer bool
	// Match is a regular expression over the first 64 KiB; empty: not looked at.
	Match string
}

// Process counts processes.
type Process struct {
	// Name is the command name (comm) or the base name of its argv[0]; or PIDFile
	// names a file with a process number, whose process must exist, and be called Name if that is
	// not empty.
	Name, PIDFile string
	// Min and Max bound how many there must be; Max 0: no bound. Zombies do not count.
	Min, Max int
}

// Link looks at a network interface.
type Link struct {
	Interface string
	// MinSpeed in Mbit/s; 0: not looked at.
	MinSpeed int
}

// Route looks for a route in the kernel.
type Route struct {
	// Prefix must be in the table exactly so; 0.0.0.0/0 and ::/0 are the default routes.
	Prefix netip.Prefix
	// Table is the routing table; 0 means main.
	Table uint32
	// Via and Interface restrict it; invalid and empty: any.
	Via       netip.Addr
	Interface string
}

// Address looks for an address on this host.
type Address struct {
	Address netip.Addr
	// Interface restricts it; empty: any.
	Interface string
	// Absent: healthy while it is not there.
	Absent bool
}

// Load looks at the load averages of the last 1, 5 and 15 minutes, each
// divided by the number of processors if PerCPU. 0: not looked at.
type Load struct {
	Max1, Max5, Max15 float64
	PerCPU            bool
}

// Disk looks at the file system a path is on.
type Disk struct {
	Path string
	// MinFree in bytes and MinFreePercent are what must be free for
	// unprivileged users, MinInodesPercent likewise; 0: not looked at.
	MinFree          uint64
	MinFreePercent   int
	MinInodesPercent int
	// Writable: the file system must not be mounted read-only.
	Writable bool
}

// Kind returns "exec".
func (Exec) Kind() string { return "exec" }

// Kind returns "http".
func (HTTP) Kind() string { return "http" }

// Kind returns "tcp".
func (TCP) Kind() string { return "tcp" }

// Kind returns "icmp".
func (ICMP) Kind() string { return "icmp" }

// Kind returns "dns".
func (DNS) Kind() string { return "dns" }

// Kind returns "systemd".
func (Systemd) Kind() string { return "systemd" }

// Kind returns "file".
func (File) Kind() string { return "file" }

// Kind returns "process".
func (Process) Kind() string { return "process" }

// Kind returns "link".
func (Link) Kind() string { return "link" }

// Kind returns "route".
func (Route) Kind() string { return "route" }

// Kind returns "address".
func (Address) Kind() string { return "address" }

// Kind returns "load".
func (Load) Kind() string { return "load" }

// Kind returns "disk".
func (Disk) Kind() string { return "disk" }

// Watches returns the interface whose changes are a hint to run at once, empty if there is none.
func Watches(p Probe) string {
	switch v := p.(type) {
	case Link:
		return v.Interface
	case Address:
		return v.Interface
	case Route:
		return v.Interface
	case ICMP:
		return v.Interface
	}
	return ""
}
