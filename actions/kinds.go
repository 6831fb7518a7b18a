package actions

import (
	"net/netip"
	"time"
)

// Agent is what one kind of step is: one of the types in this file, by value. The
// set is closed. Agents are data; package actions/agent carries them out.
type Agent interface {
	// Kind is the word of the configuration: "drbd".
	Kind() string
	// Exclusive reports whether the step takes data that two hosts must never have at once.
	Exclusive() bool
}

// Systemd is a systemd unit.
type Systemd struct {
	// Unit with its suffix: "apache2.service".
	Unit string
	// Unsafe: it must never run on two hosts, and counts as exclusive data.
	Unsafe bool
}

// LSB is an init script with LSB's actions and status codes.
type LSB struct {
	// Script is its absolute path: "/etc/init.d/asterisk".
	Script string
	// StatusText, if not empty, is what the output of status must have for the
	// script to count as running, whatever the exit code (scripts that always exit 0).
	StatusText string
	User       string
	// Unsafe: it must never run on two hosts, and counts as exclusive data.
	Unsafe bool
}

// OCF is a resource agent of the Open Cluster Framework.
type OCF struct {
	// Provider and Type name it: $OCF_ROOT/resource.d/PROVIDER/TYPE.
	Provider, Type string
	// Root is OCF_ROOT, usually /usr/lib/ocf.
	Root string
	// Params are OCF_RESKEY_… without the prefix, sorted by name.
	Params []Option
	// CheckLevel is OCF_CHECK_LEVEL of monitors: 0, 10, 20.
	CheckLevel int
	// Promotable: started where the host takes part, promoted where it is Active.
	Promotable bool
	// Unsafe: the data is exclusive (a Filesystem, a database on shared storage).
	Unsafe bool
}

// Command is a step made of commands. Status may be empty: then the step is
// taken to be as the last start or stop left it.
type Command struct {
	// Start, Stop and Status are argv. Status: exit status 0 is up, 1, 3 and 7 are
	// down, any other is failed.
	Start, Stop, Status []string
	User                string
	// Unsafe: the data is exclusive.
	Unsafe bool
}

// DRBD is a DRBD resource: up means Primary here, down Secondary.
type DRBD struct {
	Resource string
	// AllowOutdated promotes data that is known to be old, AllowInconsistent never exists.
	AllowOutdated bool
	// AllowDiskless lets a diskless client be promoted over a connected peer (DRBD 9).
	AllowDiskless bool
	// ForceSecondary may use `drbdadm secondary --force` on the way down (9.1.7 and later).
	ForceSecondary bool
	// Admin and Setup are the commands, usually /usr/sbin/drbdadm and /usr/sbin/drbdsetup.
	Admin, Setup string
}

// Filesystem is a mounted file system.
type Filesystem struct {
	// Device is a path, LABEL=…, UUID=…, or host:/path for NFS.
	Device string
	// DRBD, if not empty, is the resource whose device it is (and Volume of it): Device is then empty.
	DRBD   string
	Volume int
	// Admin and Setup are drbdadm and drbdsetup, which are asked for the device of
	// DRBD; empty: /usr/sbin/drbdadm and /usr/sbin/drbdsetup.
	Admin, Setup string
	Target       string
	// Type is ext4, xfs, …; Options are mount(8)'s.
	Type    string
	Options []string
	// Fsck is "auto" (preen before mounting where the type needs it), "force" or "no".
	Fsck string
	// Kill says whether processes that hold the mount may be ended on the way down.
	Kill bool
	// Shared: the device is one that another host can reach (shared or replicated).
	Shared bool
}

// PostgreSQL is a server that streams from the Active and is promoted here.
type PostgreSQL struct {
	// Data is PGDATA, Bin the directory with pg_ctl, pg_controldata and psql.
	Data, Bin string
	// Config is postgresql.conf where it is not in Data (Debian:
	// /etc/postgresql/15/main/postgresql.conf); used with Manage.
	Config string
	// Host is where its socket is (a directory) or its address, Port its port.
	Host string
	Port int
	// User is the account that owns Data; Role is the database role.
	User, Role, Database string
	// MaxLag is how many bytes of what it has received a standby may still have to
	// replay (a promotion waits for it); 0: not looked at.
	MaxLag uint64
	// MaxAge is how long ago it may have lost its Active, if it is not streaming; 0: not looked at.
	MaxAge time.Duration
	// Manage: the server is started and stopped by us (pg_ctl); else it must run already.
	Manage bool
}

// Redis is a server that replicates the Active and becomes master here.
type Redis struct {
	// Address is host:port, or Unix the path of a socket.
	Address, Unix string
	// PasswordFile has the password in its first line; User is the ACL user.
	PasswordFile, User string
	// Follow is what it replicates while it is not master: host:port, usually the virtual address.
	Follow string
	// MaxLag is how long the link to its master may have been down: 0: not looked at.
	MaxLag time.Duration
}

// AddressStep is an address as a step, for groups in which it must not be
// there before the storage is.
type AddressStep struct {
	Prefix    netip.Prefix
	Interface string
}

// RouteStep is a route as a step.
type RouteStep struct {
	Route Route
}

// Kind returns the word of the configuration.
func (Systemd) Kind() string     { return "systemd" }
func (LSB) Kind() string         { return "lsb" }
func (OCF) Kind() string         { return "ocf" }
func (Command) Kind() string     { return "exec" }
func (DRBD) Kind() string        { return "drbd" }
func (Filesystem) Kind() string  { return "filesystem" }
func (PostgreSQL) Kind() string  { return "postgresql" }
func (Redis) Kind() string       { return "redis" }
func (AddressStep) Kind() string { return "address" }
func (RouteStep) Kind() string   { return "route" }

// Exclusive reports whether the step takes data that two hosts must never have at once.
func (a Systemd) Exclusive() bool    { return a.Unsafe }
func (a LSB) Exclusive() bool        { return a.Unsafe }
func (a OCF) Exclusive() bool        { return a.Unsafe || a.Promotable }
func (a Command) Exclusive() bool    { return a.Unsafe }
func (DRBD) Exclusive() bool         { return true }
func (a Filesystem) Exclusive() bool { return a.Shared }
func (PostgreSQL) Exclusive() bool   { return true }
func (Redis) Exclusive() bool        { return true }
func (AddressStep) Exclusive() bool  { return false }
func (RouteStep) Exclusive() bool    { return false }
