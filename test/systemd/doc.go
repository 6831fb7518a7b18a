// Package systemd runs the packaged unit under the distribution's own systemd, which is
// process 1 of a host of the lab: started, restarted, upgraded, reloaded, stopped,
// killed, frozen, with steps of service groups that are units, and hardened.
//
// The host is the machine's own file system with a tmpfs over it (overlayfs), so that what
// `make install` puts there, and all that systemd writes, is gone at the end. Its mounts,
// processes, host name, network and control groups are its own; /proc/sys is read-only but
// for the network, /dev has nothing but null, zero and their like. It needs the real root,
// overlayfs, systemd and a control group of version 2 to put it into; where one is missing
// the tests say which (in CI that is a failure).
package systemd
