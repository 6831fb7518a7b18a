// Package run runs the commands of hooks, checks and steps: an argument vector, never a shell; a
// clean environment; a chosen account; a process group of its own; a timeout
// answered with TERM and then KILL; the tail of the output kept.
//
// # What a command may rely on
//
//   - Environment: PATH, HOME, USER and LANG=C.UTF-8 of our making, and what the
//     job brings (BACKBEAT_…). Nothing of the daemon's own environment.
//   - Working directory /, standard input as given by the job and then end of
//     file, standard output and error in one pipe. The umask is the daemon's: Go
//     cannot set one for a child alone (systemd's default is 0022).
//   - Ordinary scheduling, even where the daemon runs SCHED_RR.
//   - The end of the command is the end of its process group: what it left in
//     the background is killed. What must outlive it leaves the group (setsid,
//     systemd-run). Commands that start daemons are run with Command.Leave, and if
//     possible in a control group of their own, which nothing leaves by itself.
//
// # What cannot be had from a child
//
// Pdeathsig, which would kill the commands with the daemon, is not used: the
// kernel sends it when the thread that forked ends, and in Go that is any
// thread, which may end long before the process. If the daemon is killed, commands
// under way end by themselves: nobody is there any more for whom their timeout counts.
//
// A Runner is a group of goroutines, one per running command, and may be used
// from any goroutine.
package run
