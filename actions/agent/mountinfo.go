package agent

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// mounted is one line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
type mounted struct {
	id uint64
	// major and minor are the file system's device; of btrfs, NFS and tmpfs they
	// are numbers of the kernel's own (major 0).
	major, minor uint32
	// root is what of the file system is mounted, point where.
	root, point string
	// options are the mount's own, super those of the file system.
	options, super []string
	kind, source   string
	// follows: mounts made elsewhere come here, but not the other way round
	// (a "master:" of mount_namespaces(7)).
	follows bool
}

// readMounts reads the mounts of a process's mount namespace: "self", or a
// number. Reading it waits for no file system.
func readMounts(pid string) ([]mounted, error) {
	b, err := os.ReadFile("/proc/" + pid + "/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseMounts(string(b)), nil
}

func parseMounts(text string) (all []mounted) {
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(strings.TrimRight(line, "\n"), " - ")
		f, g := strings.Split(before, " "), strings.Split(after, " ")
		if !ok || len(f) < 6 || len(g) < 3 {
			continue
		}
		m := mounted{root: plain(f[3]), point: plain(f[4]), options: strings.Split(f[5], ","),
			kind: g[0], source: plain(g[1]), super: strings.Split(g[2], ",")}
		m.id, _ = strconv.ParseUint(f[0], 10, 64)
		m.major, m.minor = deviceNumbers(f[2], 10)
		m.follows = slices.ContainsFunc(f[6:], func(s string) bool { return strings.HasPrefix(s, "master:") })
		all = append(all, m)
	}
	return all
}

// deviceNumbers reads "8:1".
func deviceNumbers(s string, base int) (major, minor uint32) {
	a, b, _ := strings.Cut(s, ":")
	x, _ := strconv.ParseUint(a, base, 32)
	y, _ := strconv.ParseUint(b, base, 32)
	return uint32(x), uint32(y)
}

// plain undoes the kernel's escapes of white space: \040.
func plain(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// mountAt is the mount that is seen at a path, nil if there is none: the last
// one made there.
func mountAt(all []mounted, point string) *mounted {
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].point == point {
			return &all[i]
		}
	}
	return nil
}

// mountAbove is the mount that a path lies in.
func mountAbove(all []mounted, path string) (above *mounted) {
	for i := range all {
		if m := &all[i]; under(path, m.point) && (above == nil || len(m.point) >= len(above.point)) {
			above = m
		}
	}
	return above
}

// mountsBelow are the mount points inside of one, the deepest last.
func mountsBelow(all []mounted, point string) (below []string) {
	for _, m := range all {
		if m.point != point && under(m.point, point) {
			below = append(below, m.point)
		}
	}
	return below
}

// under reports whether a path is a directory or in it.
func under(path, dir string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}

func (m *mounted) has(option string) bool {
	return slices.Contains(m.options, option) || slices.Contains(m.super, option)
}

func (m *mounted) device() string { return fmt.Sprintf("%d:%d", m.major, m.minor) }
