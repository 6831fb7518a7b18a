package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// holder is a process that keeps a mount busy.
type holder struct {
	pid  int
	name string
	// how: "working directory", "root directory", "program", "open file", "mapped file".
	how string
}

func (h holder) String() string { return fmt.Sprintf("%s (pid %d, %s)", h.name, h.pid, h.how) }

// identity is what a file is, without asking its file system, which may hang.
type identity struct {
	mount uint64
	// dev is the file system's device, rdev the device that the file is, as "major:minor".
	dev, rdev string
	block     bool
}

func identify(path string) (identity, bool) {
	var x unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE|unix.STATX_MNT_ID, &x)
	if err != nil {
		return identity{}, false
	}
	return identity{mount: x.Mnt_id, block: x.Mode&unix.S_IFMT == unix.S_IFBLK,
		dev: fmt.Sprintf("%d:%d", x.Dev_major, x.Dev_minor), rdev: fmt.Sprintf("%d:%d", x.Rdev_major, x.Rdev_minor)}, true
}

// processes are the numbers of all processes but our own.
func processes() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

func commandName(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(b))
}

// mountHolders are the processes that keep a mount busy. Those in other mount
// namespaces hold a mount of their own, see elsewhere.
func mountHolders(m *mounted) (all []holder) {
	for _, pid := range processes() {
		if how := holds(pid, m); how != "" {
			all = append(all, holder{pid: pid, name: commandName(pid), how: how})
		}
	}
	return all
}

// holds says in which way a process keeps a mount busy, "" if in none.
func holds(pid int, m *mounted) string {
	dir := fmt.Sprintf("/proc/%d/", pid)
	fits := func(path string) bool {
		id, ok := identify(path)
		return ok && id.mount == m.id
	}
	switch {
	case fits(dir + "cwd"):
		return "working directory"
	case fits(dir + "root"):
		return "root directory"
	case fits(dir + "exe"):
		return "program"
	}
	fds, _ := os.ReadDir(dir + "fd")
	for _, fd := range fds {
		if fits(dir + "fd/" + fd.Name()) {
			return "open file"
		}
	}
	if mapsFrom(dir+"maps", m) {
		return "mapped file"
	}
	return ""
}

// mapsFrom reports whether a process has mapped a file of a file system, at a
// path below the mount.
func mapsFrom(path string, m *mounted) bool {
	b, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line) // address perms offset dev inode path
		if len(f) < 6 || !under(plain(f[5]), m.point) {
			continue
		}
		if major, minor := deviceNumbers(f[3], 16); m.major == 0 || major == m.major && minor == m.minor {
			return true
		}
	}
	return false
}

// deviceHolders says who keeps a block device busy: mounts, of other mount
// namespaces too, processes that have it open, devices stacked on it, swap.
func deviceHolders(major, minor uint32) (who []string) {
	device := fmt.Sprintf("%d:%d", major, minor)
	who = append(who, mountsOf(device)...)
	for _, pid := range processes() {
		dir := fmt.Sprintf("/proc/%d/fd", pid)
		fds, _ := os.ReadDir(dir)
		if slices.ContainsFunc(fds, func(fd os.DirEntry) bool {
			id, ok := identify(dir + "/" + fd.Name())
			return ok && id.block && id.rdev == device
		}) {
			who = append(who, holder{pid: pid, name: commandName(pid), how: "has it open"}.String())
		}
	}
	stacked, _ := filepath.Glob("/sys/dev/block/" + device + "/holders/*")
	for _, s := range stacked {
		who = append(who, "the device "+filepath.Base(s)+" made of it")
	}
	return append(who, swapOn(func(id identity, _ string) bool { return id.block && id.rdev == device })...)
}

// mountsOf are the mounts of a device, by whom they can be seen.
func mountsOf(device string) (who []string) {
	ours, _ := os.Readlink("/proc/self/ns/mnt")
	seen := map[string]bool{}
	for _, pid := range append([]int{os.Getpid()}, processes()...) {
		space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
		if err != nil || seen[space] {
			continue
		}
		seen[space] = true
		mounts, _ := readMounts(strconv.Itoa(pid))
		for i := range mounts {
			switch {
			case mounts[i].device() != device:
			case space == ours:
				who = append(who, "the mount on "+mounts[i].point)
			default:
				who = append(who, fmt.Sprintf("the mount on %s in the mount namespace of %s (pid %d)", mounts[i].point, commandName(pid), pid))
			}
		}
	}
	return who
}

// swapOn names the swap areas that fit.
func swapOn(fits func(id identity, path string) bool) (who []string) {
	b, _ := os.ReadFile("/proc/swaps")
	for line := range strings.Lines(string(b)) {
		path := plain(strings.Fields(line + " -")[0])
		if id, ok := identify(path); ok && strings.HasPrefix(path, "/") && fits(id, path) {
			who = append(who, "swap on "+path)
		}
	}
	return who
}

// kernelHolders are users of a mount that cannot be ended: mounts in it, loop
// devices of its files, swap files, and ourselves.
func kernelHolders(all []mounted, m *mounted) (who []string) {
	for _, point := range mountsBelow(all, m.point) {
		who = append(who, "the mount on "+point)
	}
	if how := holds(os.Getpid(), m); how != "" {
		who = append(who, "backbeat itself ("+how+")")
	}
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, l := range loops {
		b, _ := os.ReadFile(l)
		if file := strings.TrimSpace(string(b)); file != "" && under(file, m.point) {
			who = append(who, "the device "+filepath.Base(filepath.Dir(filepath.Dir(l)))+" made of "+file)
		}
	}
	return append(who, swapOn(func(id identity, _ string) bool { return id.mount == m.id })...)
}

// few names some of many.
func few(who []string) string {
	const most = 5
	if len(who) <= most {
		return strings.Join(who, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(who[:most], ", "), len(who)-most)
}

func names(holders []holder) (out []string) {
	for _, h := range holders {
		out = append(out, h.String())
	}
	return out
}

// end sends a signal to a process that still holds the mount. The descriptor
// makes sure that it is the one that was looked at. Never to ourselves or to init.
func (h holder) end(m *mounted, s unix.Signal) bool {
	if h.pid <= 1 || h.pid == os.Getpid() {
		return false
	}
	fd, err := unix.PidfdOpen(h.pid, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return holds(h.pid, m) != "" && unix.PidfdSendSignal(fd, s, nil, 0) == nil
}
