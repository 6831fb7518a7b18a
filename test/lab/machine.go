package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A host is a network namespace. Furnish makes more of a machine of it, for
// tests that run whole services on it: a host name, mounts, a control group and
// processes of its own, and a switch to turn it off with.

// machine is what Furnish has added.
type machine struct {
	own    []netip.Prefix // addresses that it has when it is switched on
	cgroup *os.File       // nil where there can be none
}

// Furnish gives the host its own name (what hostname prints), an empty /run, and
// an empty directory of its own in place of each of dirs, which must exist on the
// machine (and cannot be above /run or the lab's own directory). What is written
// there is seen from outside at Path. Where the kernel has control groups of
// version 2 the host gets one, so that daemons of two hosts do not meet in one.
// To be called once, before anything is started on the host.
func (h *Host) Furnish(dirs ...string) error {
	if err := adoptOrphans(); err != nil {
		return err
	}
	for _, dir := range append([]string{"/run"}, dirs...) {
		if err := os.MkdirAll(h.Path(dir), 0o755); err != nil {
			return fmt.Errorf("make %s of %s: %w", dir, h.Name, err)
		}
	}
	var err error
	h.do(func() { err = h.furnish(dirs) })
	if err != nil {
		return fmt.Errorf("furnish %s: %w", h.Name, err)
	}
	h.machine = &machine{cgroup: newCgroup(h.Name)}
	if h.machine.own, err = h.Addresses(); err != nil {
		return err
	}
	h.lab.atClose(func() {
		h.killAll()
		if g := h.machine.cgroup; g != nil {
			g.Close()
			removeCgroup(g.Name())
		}
	})
	return guard(h.netID(), h.machine.cgroup)
}

// Path is where a directory or file of the furnished host is, seen from outside:
// /run and what Furnish was told, and what is below these.
func (h *Host) Path(path string) string { return h.lab.Dir("of-" + h.Name + path) }

// furnish is carried out on the host's thread, which is the only one to see what it changes.
func (h *Host) furnish(dirs []string) error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS | unix.CLONE_NEWUTS); err != nil {
		return fmt.Errorf("make a mount and a host name namespace: %w", err)
	}
	if err := unix.Sethostname([]byte(h.Name)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	for _, dir := range dirs {
		if err := unix.Mount(h.Path(dir), dir, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("put a directory over %s: %w", dir, err)
		}
	}
	// The lab's own directory is in /run and must be seen in the new one, too.
	within := filepath.Join(h.Path("/run"), filepath.Base(runDir))
	if err := os.MkdirAll(within, 0o755); err != nil {
		return fmt.Errorf("make the lab's directory: %w", err)
	}
	if err := unix.Mount(runDir, within, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount the lab's directory: %w", err)
	}
	if err := unix.Mount(h.Path("/run"), "/run", "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("put a directory over /run: %w", err)
	}
	return nil
}

// netID is the name of the host's network namespace in /proc.
func (h *Host) netID() string {
	var st unix.Stat_t
	if err := unix.Fstat(int(h.ns), &st); err != nil {
		panic("lab: no namespace: " + err.Error())
	}
	return fmt.Sprintf("net:[%d]", st.Ino)
}

// Halt is the first moment of PowerOff, for tests that have something to do in it: no
// frame leaves the host any more, not even the kernel's farewell for the connections of
// processes that end, and nothing runs on it. What is mounted there still is.
func (h *Host) Halt() error {
	var errs []error
	for k := range h.ports {
		errs = append(errs, h.LoseLink(k))
	}
	h.killAll()
	return errors.Join(errs...)
}

// PowerOff is what pulling the mains plug of a furnished host is to all others: Halt,
// and then its carriers are gone, its addresses, and what was in /run.
func (h *Host) PowerOff() error {
	errs := []error{h.Halt()}
	for k := range h.ports {
		errs = append(errs, h.CutLink(k))
	}
	now, err := h.Addresses()
	errs = append(errs, err)
	for _, a := range now {
		if !slices.Contains(h.machine.own, a) && !a.Addr().IsLinkLocalUnicast() {
			errs = append(errs, h.dropAddress(a))
		}
	}
	left, err := os.ReadDir(h.Path("/run"))
	errs = append(errs, err)
	for _, e := range left {
		if e.Name() != filepath.Base(runDir) {
			errs = append(errs, os.RemoveAll(filepath.Join(h.Path("/run"), e.Name())))
		}
	}
	// The daemon's runtime directory, which is of /run on a real host.
	errs = append(errs, os.RemoveAll(filepath.Join(h.lab.Dir(h.Name), "run")))
	return errors.Join(errs...)
}

// PowerOn ends PowerOff: the kernel and the cables are there; nothing runs.
func (h *Host) PowerOn() error {
	var errs []error
	for k := range h.ports {
		errs = append(errs, h.UnloseLink(k), h.HealLink(k))
	}
	errs = append(errs, os.MkdirAll(filepath.Join(h.lab.Dir(h.Name), "run"), 0o700))
	return errors.Join(errs...)
}

// dropAddress removes an address wherever it is.
func (h *Host) dropAddress(a netip.Prefix) error {
	for k := range h.ports {
		eth, err := h.eth(k)
		if err != nil {
			return err
		}
		if h.nl.AddrDel(eth, kernelAddr(a)) == nil {
			return nil
		}
	}
	if h.Has(a.Addr()) { // the kernel may have let it go by itself
		return fmt.Errorf("cannot take %s from %s", a, h.Name)
	}
	return nil
}

// killAll ends every process of the host.
func (h *Host) killAll() { killAllOf(h.netID()) }

// Keep changes what addresses of its own the host has: called after Furnish when
// a test has given it others.
func (h *Host) Keep() (err error) {
	h.machine.own, err = h.Addresses()
	return err
}

// Processes are the numbers of the host's processes whose command is name
// (/proc/PID/comm), all of them if it is "".
func (h *Host) Processes(name string) []int {
	var found []int
	for _, pid := range processesOf(h.netID()) {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if name == "" || strings.TrimSpace(string(comm)) == name {
			found = append(found, pid)
		}
	}
	runtime.KeepAlive(h)
	return found
}

// Grouped reports whether the host has a control group of its own, so that a daemon
// on it can tell what its steps have left running.
func (h *Host) Grouped() bool { return h.machine != nil && h.machine.cgroup != nil }
