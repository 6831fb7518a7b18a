package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// fsDevice is what is to be mounted.
type fsDevice struct {
	// path is what mount is told.
	path string
	// block is its number "major:minor", "" if it is no block device.
	block string
	// dir: a directory, for a bind mount; file: an image, for a loop device.
	dir, file bool
}

const byRes = "/dev/drbd/by-res/"

// resolve finds the device. The error says which paths were tried.
func (f *fsAgent) resolve(ctx context.Context) (fsDevice, error) {
	device := f.a.Device
	switch {
	case f.a.DRBD != "":
		return f.resolveDRBD(ctx, f.a.DRBD, f.a.Volume, nil)
	case strings.HasPrefix(device, byRes):
		// Not with every pair of module and tools is the link there (services.md 3.9).
		if d, err := examine(ctx, device); err == nil {
			return d, nil
		}
		resource, rest, _ := strings.Cut(strings.TrimPrefix(device, byRes), "/")
		volume, _ := strconv.Atoi(rest)
		return f.resolveDRBD(ctx, resource, volume, []string{device})
	case strings.HasPrefix(device, "/") && !strings.HasPrefix(device, "//"):
		return examine(ctx, device)
	case isTag(device):
		r := f.h.program(ctx, "/sbin/findfs", device)
		if path := strings.TrimSpace(r.Stdout); r.Exit == 0 && path != "" {
			return examine(ctx, path)
		}
		return fsDevice{path: device}, fmt.Errorf("no device with %s: %s", device, said(r))
	default: // host:/path, //host/share, tmpfs
		return fsDevice{path: device}, nil
	}
}

func isTag(device string) bool {
	tag, _, ok := strings.Cut(device, "=")
	return ok && slices.Contains([]string{"LABEL", "UUID", "PARTLABEL", "PARTUUID"}, tag)
}

// resolveDRBD asks DRBD for the device of a volume: the kernel for its number,
// and if there is no node of it, drbdadm for the path in its configuration.
func (f *fsAgent) resolveDRBD(ctx context.Context, resource string, volume int, tried []string) (fsDevice, error) {
	setup, admin := f.a.Setup, f.a.Admin
	if setup == "" {
		setup = "/usr/sbin/drbdsetup"
	}
	if admin == "" {
		admin = "/usr/sbin/drbdadm"
	}
	s, _, err := f.h.drbdRead(ctx, setup, resource)
	why := ""
	if err != nil {
		why = "; " + err.Error()
	} else if !s.up {
		why = fmt.Sprintf("; %s: drbdadm adjust %s", s, resource)
	}
	for _, v := range s.volumes {
		if v.number == volume && v.minor >= 0 {
			path := fmt.Sprintf("/dev/drbd%d", v.minor)
			if d, err := examine(ctx, path); err == nil {
				return d, nil
			}
			tried = append(tried, path)
		}
	}
	r := f.h.program(ctx, admin, "sh-dev", fmt.Sprintf("%s/%d", resource, volume))
	if path := strings.TrimSpace(r.Stdout); r.Exit == 0 && path != "" {
		if d, err := examine(ctx, path); err == nil {
			return d, nil
		}
		tried = append(tried, path)
	} else {
		why += "; drbdadm sh-dev: " + said(r)
	}
	return fsDevice{}, fmt.Errorf("no device of DRBD's volume %s/%d, tried: %s%s", resource, volume, strings.Join(tried, ", "), why)
}

// examine says what a path is.
func examine(ctx context.Context, path string) (fsDevice, error) {
	info, err := bounded(ctx, func() (os.FileInfo, error) { return os.Stat(path) })
	d := fsDevice{path: path}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return d, fmt.Errorf("%s does not exist", path)
	case err != nil:
		return d, fmt.Errorf("%s: %w", path, err)
	case info.IsDir():
		d.dir = true
	case info.Mode().IsRegular():
		d.file = true
	case info.Mode()&os.ModeDevice != 0 && info.Mode()&os.ModeCharDevice == 0:
		if id, ok := identify(path); ok {
			d.block = id.rdev
		}
	}
	return d, nil
}

// holds reports whether a mount is of this block device or image.
func (d fsDevice) holds(m *mounted) bool {
	switch {
	case d.block != "":
		if m.device() == d.block {
			return true
		}
		// btrfs has numbers of its own: look at what its source is.
		id, ok := identify(m.source)
		return ok && m.major == 0 && id.block && id.rdev == d.block
	case d.file:
		b, _ := os.ReadFile("/sys/block/" + filepath.Base(m.source) + "/loop/backing_file")
		return strings.HasPrefix(m.source, "/dev/loop") && strings.TrimSpace(string(b)) == d.path
	}
	return false
}

// is reports whether a mount at a point is of this device.
func (d fsDevice) is(ctx context.Context, m *mounted, point string) bool {
	switch {
	case d.block != "" || d.file:
		return d.holds(m)
	case d.dir:
		same, err := bounded(ctx, func() (bool, error) {
			a, err1 := os.Stat(d.path)
			b, err2 := os.Stat(point)
			return err1 == nil && err2 == nil && os.SameFile(a, b), nil
		})
		return err == nil && same
	default:
		return strings.TrimRight(m.source, "/") == strings.TrimRight(d.path, "/")
	}
}

// exclusive reports whether one host mounts it once.
func (d fsDevice) exclusive(kind string) bool {
	return (d.block != "" || d.file) && kind != "btrfs" // whose subvolumes are mounted side by side
}

// mayCome reports whether the device may be one that a step before brings, or
// one that cannot be looked at while another host has it.
func (f *fsAgent) mayCome() bool {
	switch d := f.a.Device; {
	case f.a.DRBD != "", strings.HasPrefix(d, byRes):
		return false
	case strings.HasPrefix(d, "/dev/disk/by-id/"), strings.HasPrefix(d, "/dev/disk/by-path/"):
		return false
	default:
		return filepath.Dir(d) != "/dev"
	}
}

// bounded calls what may hang in a file system that does not answer. A hung one
// costs a thread until the file system answers.
func bounded[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	c := make(chan result, 1)
	go func() {
		v, err := f()
		c <- result{v, err}
	}()
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	var none T
	select {
	case r := <-c:
		return r.v, r.err
	case <-timer.C:
		return none, errors.New("the file system does not answer")
	case <-ctx.Done():
		return none, fmt.Errorf("the file system does not answer: %w", ctx.Err())
	}
}

// asked are the questions to file systems that have not been answered yet, by
// mount point. A question is a process of its own: one that is stuck in the
// kernel does not keep the daemon from ending. There is one for each point.
var asked sync.Map // string → *question

type question struct {
	since time.Time
	ended chan struct{}
}

// answerTime is how long a file system may take to answer statfs(2).
const answerTime = 5 * time.Second

// answers asks the file system at a point for its size. Of NFS and FUSE that
// is an answer by the server; a local one answers from memory.
func answers(ctx context.Context, point string) error {
	q := &question{since: time.Now(), ended: make(chan struct{})}
	if before, pending := asked.LoadOrStore(point, q); pending {
		q = before.(*question)
	} else {
		cmd := exec.Command("/usr/bin/stat", "-f", "-c", "%T", point)
		cmd.Dir, cmd.Env = "/", []string{"LANG=C.UTF-8"}
		cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			asked.Delete(point)
			return nil // that we cannot ask says nothing about the file system
		}
		go func() {
			_ = cmd.Wait()
			asked.Delete(point)
			close(q.ended)
		}()
	}
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	select {
	case <-q.ended:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return fmt.Errorf("does not answer since %v (statfs hangs)", time.Since(q.since).Round(time.Second))
}
