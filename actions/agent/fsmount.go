package agent

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/run"
)

// start mounts, after a check where the type needs one.
func (f *fsAgent) start(ctx context.Context) actions.Done {
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
	down := actions.Done{State: actions.Down}
	if found.trouble != nil {
		down.Detail = found.trouble.Error()
		return down
	}
	if info, err := bounded(ctx, func() (os.FileInfo, error) { return os.Stat(f.a.Target) }); err != nil {
		down.Detail = fmt.Sprintf("the target %s cannot be used: %v: mkdir -p %s", f.a.Target, err, f.a.Target)
		return down
	} else if !info.IsDir() && !found.device.file {
		down.Hopeless, down.Detail = true, f.a.Target+" is not a directory"
		return down
	}
	if done := f.fsck(ctx, found.device.path); done != nil {
		return *done
	}
	return f.mount(ctx, found.device.path)
}

func (f *fsAgent) mount(ctx context.Context, device string) actions.Done {
	argv := []string{mountProgram}
	if f.a.Type != "" {
		argv = append(argv, "-t", f.a.Type)
	}
	if len(f.a.Options) > 0 {
		argv = append(argv, "-o", strings.Join(f.a.Options, ","))
	}
	r := f.h.program(ctx, append(argv, "--", device, f.a.Target)...)
	soon, cancel := aftermath(ctx)
	defer cancel()
	done := f.look(soon) // what is in mountinfo counts
	switch {
	case done.State == actions.Up:
		return done
	case done.State == actions.Neither && r.Exit == 0 && strings.Contains(done.Detail, "read-only"):
		// mount(8) falls back to read-only by itself; nobody asked for that.
		f.h.program(soon, umountProgram, "--", f.a.Target)
		done = f.look(soon)
		done.OK, done.Detail = false, fmt.Sprintf("%s could only be mounted read-only: it is write-protected (DRBD: is it Primary?)", device)
	case r.Exit == 0:
		done.OK, done.Detail = false, "mount succeeded, but "+done.Detail
	default:
		done.OK, done.Hopeless = false, !r.Started && ctx.Err() == nil
		done.Detail = f.explain(device, r)
	}
	done.Output = printed(r)
	return done
}

// explain says what a failed mount means.
func (f *fsAgent) explain(device string, r run.Result) string {
	out := strings.ToLower(r.Output)
	switch {
	case strings.Contains(out, "wrong medium type"):
		return fmt.Sprintf("%s: wrong medium type: DRBD is Secondary here: it must be promoted by a step before", device)
	case strings.Contains(out, "mmp") || strings.Contains(out, "mount point busy") || strings.Contains(out, "busy"):
		words := fmt.Sprintf("%s is in use: mounted or opened exclusively by another", device)
		if strings.HasPrefix(f.a.Type, "ext") {
			words += ", perhaps on another host (multi-mount protection; see dmesg)"
		}
		if id, ok := identify(device); ok && id.block {
			major, minor := deviceNumbers(id.rdev, 10)
			if who := deviceHolders(major, minor); len(who) > 0 {
				words += "; here: " + few(who)
			}
		}
		return words
	case r.Exit < 0 && r.Started:
		return fmt.Sprintf("mount of %s hangs: %s", device, r.Err)
	default:
		for line := range strings.Lines(r.Output) {
			if strings.HasPrefix(line, "mount: ") {
				return strings.TrimSpace(line) // what follows is a hint at dmesg
			}
		}
		return "mount: " + said(r)
	}
}

// fsckArgs are the options for fsck(8), nil where there is nothing to check:
// xfs, btrfs and what is not ours to check replay their journal in mounting.
func (f *fsAgent) fsckArgs() []string {
	auto := []string{"ext2", "ext3", "ext4", "jfs", "vfat", "f2fs"}
	switch {
	case f.a.Fsck == "no" || !slices.Contains(auto, f.a.Type):
		return nil
	case f.a.Fsck == "force" && strings.HasPrefix(f.a.Type, "ext"):
		return []string{"-a", "-f"}
	default:
		return []string{"-a"}
	}
}

// fsck repairs what can be repaired without asking. Exit status bits of
// fsck(8): 1 corrected, 2 reboot wanted (of a root file system), 4 errors left,
// 8 it could not work, 16 and 32 and 128 likewise.
func (f *fsAgent) fsck(ctx context.Context, device string) *actions.Done {
	args := f.fsckArgs()
	if args == nil {
		return nil
	}
	f.tell("checking %s (fsck %s)", device, strings.Join(args, " "))
	argv := slices.Concat([]string{fsckProgram, "-t", f.a.Type}, args, []string{device})
	r := f.h.program(ctx, argv...)
	done := actions.Done{State: actions.Down, Output: printed(r)}
	switch {
	case r.Exit >= 0 && r.Exit&^3 == 0:
		return nil
	case r.Exit < 0 && r.Started:
		done.Detail = fmt.Sprintf("fsck of %s was not ready in time: give the step a longer start_timeout, or fsck = \"no\" and check by hand", device)
	case r.Exit < 0:
		done.Hopeless, done.Detail = true, r.Err
	case r.Exit&4 != 0:
		done.Hopeless, done.Detail = true, fmt.Sprintf("%s has errors that need a person: fsck.%s %s", device, f.a.Type, device)
	case strings.Contains(strings.ToLower(done.Output), "mmp"):
		done.Detail = fmt.Sprintf("%s is in use by another host (multi-mount protection), or was when it died: if that is sure: tune2fs -f -E clear_mmp %s", device, device)
	case strings.Contains(strings.ToLower(done.Output), "wrong medium type"):
		done.Detail = fmt.Sprintf("%s: wrong medium type: DRBD is Secondary here: it must be promoted by a step before", device)
	default:
		done.Detail = fmt.Sprintf("fsck of %s: %s", device, said(r))
	}
	return &done
}
