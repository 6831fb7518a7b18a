package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/backbeat-ha/backbeat/actions"
)

// Where util-linux's programs are. mount(8) rather than mount(2): it knows the
// options, the helpers of NFS and the rest, and LABEL=.
const (
	mountProgram  = "/bin/mount"
	umountProgram = "/bin/umount"
	fsckProgram   = "/sbin/fsck"
)

// filesystem carries out the verbs of a mounted file system. What it is in fact
// is in /proc/self/mountinfo, whatever exit statuses say.
func (h *Hands) filesystem(ctx context.Context, job *actions.Job, a actions.Filesystem, tell say) actions.Done {
	a.Target = filepath.Clean(a.Target)
	f := fsAgent{h: h, a: a, tell: tell}
	switch job.Verb {
	case actions.Start:
		return f.start(ctx)
	case actions.Stop:
		return f.stop(ctx)
	case actions.ForceStop:
		return f.force(ctx)
	case actions.Qualify:
		return f.qualify(ctx)
	default: // Prepare: there is nothing to prepare
		return f.look(ctx)
	}
}

type fsAgent struct {
	h    *Hands
	a    actions.Filesystem
	tell say
}

// fsFound is what is at the target.
type fsFound struct {
	all []mounted
	// point is the target as the kernel writes it.
	point string
	// top is the mount that is seen there, nil for none; ours says that it is the wanted one.
	top  *mounted
	ours bool
	// doubt says why it could not be told whether it is ours.
	doubt string
	// device is the wanted one, as far as it is known, and trouble why it is not.
	device  fsDevice
	trouble error
}

// find reads the mounts and compares. Nothing in it touches the file system itself.
func (f *fsAgent) find(ctx context.Context) (*fsFound, error) {
	all, err := readMounts("self")
	if err != nil {
		return nil, fmt.Errorf("the mounts cannot be read: %w", err)
	}
	found := &fsFound{all: all, point: f.a.Target, top: mountAt(all, f.a.Target)}
	if found.top == nil {
		if real, err := bounded(ctx, func() (string, error) { return filepath.EvalSymlinks(f.a.Target) }); err == nil {
			found.point, found.top = real, mountAt(all, real)
		}
	}
	found.device, found.trouble = f.resolve(ctx)
	switch {
	case found.top == nil:
	case found.trouble == nil:
		found.ours = found.device.is(ctx, found.top, found.point)
	default:
		found.ours = f.a.DRBD == "" && found.top.source == f.a.Device ||
			f.a.DRBD != "" && found.top.major == drbdMajor && found.top.kind == f.a.Type
		if !found.ours {
			found.doubt = found.trouble.Error()
		}
	}
	return found, nil
}

func (f *fsAgent) look(ctx context.Context) actions.Done {
	found, err := f.find(ctx)
	if err != nil {
		return actions.Done{Detail: err.Error()}
	}
	return f.judge(ctx, found)
}

// judge is the fact of what was found.
func (f *fsAgent) judge(ctx context.Context, found *fsFound) actions.Done {
	m := found.top
	switch {
	case m == nil:
		return actions.Done{OK: true, State: actions.Down, Detail: "not mounted"}
	case !found.ours && found.doubt != "":
		return actions.Done{Detail: fmt.Sprintf("%s is mounted on %s, and whether it is ours cannot be told: %s", m.source, found.point, found.doubt)}
	case !found.ours:
		return actions.Done{OK: true, State: actions.Down, Detail: fmt.Sprintf("something else is mounted on %s: %s (%s)", found.point, m.source, m.kind)}
	}
	words := fmt.Sprintf("%s on %s, %s", m.source, found.point, m.kind)
	if why := f.spoiled(m); why != "" {
		return actions.Done{OK: true, State: actions.Neither, Detail: words + ": " + why}
	}
	if err := answers(ctx, found.point); err != nil {
		return actions.Done{OK: true, State: actions.Neither, Detail: words + ": " + err.Error()}
	}
	return actions.Done{OK: true, State: actions.Up, Detail: words}
}

// spoiled says why a mount is not usable as it is, "" if it is.
func (f *fsAgent) spoiled(m *mounted) string {
	const cure = ": stop it, then fsck; see dmesg for the error"
	switch {
	case m.has("shutdown"):
		return "shut down by an error" + cure
	case m.has("emergency_ro"):
		return "read-only since an error (errors=remount-ro)" + cure
	case f.wantsReadOnly():
		return ""
	case slices.Contains(m.super, "ro"):
		return "read-only, by an error (errors=remount-ro) or a write-protected device" + cure
	case slices.Contains(m.options, "ro"):
		return "somebody has remounted it read-only"
	}
	return ""
}

func (f *fsAgent) wantsReadOnly() bool {
	for _, o := range slices.Backward(f.a.Options) {
		for _, one := range slices.Backward(strings.Split(o, ",")) {
			switch one {
			case "ro", "r":
				return true
			case "rw":
				return false
			}
		}
	}
	return slices.Contains([]string{"iso9660", "squashfs", "erofs"}, f.a.Type)
}

// qualify says whether it could be mounted here, as far as that can be known of
// a device that belongs to another host meanwhile, and of a target that a step
// before may bring.
func (f *fsAgent) qualify(ctx context.Context) actions.Done {
	found, err := f.find(ctx)
	if err != nil {
		return actions.Done{Detail: err.Error()}
	}
	if found.top != nil && found.ours {
		done := f.judge(ctx, found)
		done.OK = done.State == actions.Up
		return done
	}
	if done := f.occupied(found); done != nil {
		return *done
	}
	if found.trouble != nil && !f.mayCome() {
		return actions.Done{State: actions.Down, Detail: found.trouble.Error()}
	}
	for _, program := range f.programs() {
		if _, err := os.Stat(program); err != nil {
			return actions.Done{Hopeless: true, State: actions.Down, Detail: program + " is not installed"}
		}
	}
	done := actions.Done{OK: true, State: actions.Down, Detail: "not mounted; nothing is in the way"}
	if _, err := bounded(ctx, func() (os.FileInfo, error) { return os.Stat(f.a.Target) }); err != nil {
		done.Detail = fmt.Sprintf("%s does not exist yet: a step before must bring it, or mkdir -p %s", f.a.Target, f.a.Target)
	} else if found.trouble != nil {
		done.Detail = fmt.Sprintf("%v: a step before must bring it", found.trouble)
	}
	return done
}

// programs are what a start needs.
func (f *fsAgent) programs() []string {
	list := []string{mountProgram, umountProgram}
	if f.fsckArgs() != nil {
		list = append(list, fsckProgram, "/sbin/fsck."+f.a.Type)
	}
	return list
}

// occupied says what stands in the way of mounting; nil if nothing does.
func (f *fsAgent) occupied(found *fsFound) *actions.Done {
	no := func(format string, args ...any) *actions.Done {
		return &actions.Done{State: actions.Down, Hopeless: true, Detail: fmt.Sprintf(format, args...)}
	}
	if m := found.top; m != nil {
		return no("%s is taken: %s (%s) is mounted there: umount %s", found.point, m.source, m.kind, found.point)
	}
	if above := mountAbove(found.all, found.point); above != nil && above.follows && !hostsMounts() {
		return no("backbeat has a mount namespace of its own (PrivateTmp=, PrivateDevices=, ProtectSystem=…): nobody would see the mount: " +
			"remove hardened.conf, or the drop-in of your own that has these (systemctl cat backbeat)")
	}
	if found.trouble == nil && found.device.exclusive(f.a.Type) {
		for i := range found.all {
			if m := &found.all[i]; found.device.holds(m) {
				return no("%s is already mounted on %s of this host: umount %s", found.device.path, m.point, m.point)
			}
		}
	}
	return nil
}

// hostsMounts reports whether we see the mounts that init sees.
func hostsMounts() bool {
	ours, err1 := os.Readlink("/proc/self/ns/mnt")
	init, err2 := os.Readlink("/proc/1/ns/mnt")
	return err1 != nil || err2 != nil || ours == init
}
