package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/run"
)

const (
	// busyPause and busyPauseMax are the time between two tries of a busy umount.
	busyPause    = 100 * time.Millisecond
	busyPauseMax = 500 * time.Millisecond
)

// stop unmounts. A busy one is tried again until the time is up; with Kill its
// holders get TERM at once and KILL at half time. Never lazily: a lazy umount
// looks done and writes on.
func (f *fsAgent) stop(ctx context.Context) actions.Done {
	return f.bringDown(ctx, left(ctx, 0, time.Minute)/2, nil)
}

// force unmounts with KILL at once (if Kill allows it), whatever is mounted
// inside first, and of NFS without waiting for the server.
func (f *fsAgent) force(ctx context.Context) actions.Done {
	if found, err := f.find(ctx); err == nil && found.ours {
		for _, point := range slices.Backward(mountsBelow(found.all, found.point)) {
			f.tell("unmounting %s, which is inside", point)
			f.h.program(ctx, umountProgram, "--", point)
		}
	}
	var args []string
	if strings.HasPrefix(f.a.Type, "nfs") {
		args = []string{"-f"}
	}
	return f.bringDown(ctx, 0, args)
}

// bringDown unmounts, and ends holders: TERM first, KILL once mercy is over.
func (f *fsAgent) bringDown(ctx context.Context, mercy time.Duration, args []string) actions.Done {
	began, wait := time.Now(), busyPause
	victims := &victims{}
	for {
		found, err := f.find(ctx)
		if err != nil {
			return actions.Done{Detail: err.Error()}
		}
		if done := f.gone(ctx, found, victims); done != nil {
			return *done
		}
		r := f.h.program(ctx, slices.Concat([]string{umountProgram}, args, []string{"--", found.point})...)
		if r.Exit == 0 && pause(ctx, time.Millisecond) {
			continue // a mount may have been above another
		}
		if !r.Started && ctx.Err() == nil {
			return actions.Done{Hopeless: true, State: actions.Up, Detail: r.Err}
		}
		if r.Exit < 0 {
			return f.stillThere(ctx, victims, "umount hangs: the device or the server does not take what is still to be written", r)
		}
		holders := mountHolders(found.top)
		words := heldBy(holders, kernelHolders(found.all, found.top))
		f.tell("%s is busy: %s", found.point, words)
		if f.a.Kill {
			signal := unix.SIGTERM
			if time.Since(began) >= mercy {
				signal = unix.SIGKILL
			}
			if victims.end(holders, found.top, signal) {
				wait = busyPause
			}
		}
		if !pause(ctx, wait) {
			return f.stillThere(ctx, victims, "busy: "+words, r)
		}
		wait = min(2*wait, busyPauseMax)
	}
}

// gone is the answer if our file system is not at the target; nil if it is.
func (f *fsAgent) gone(ctx context.Context, found *fsFound, v *victims) *actions.Done {
	if found.top != nil && found.ours {
		return nil
	}
	done := f.judge(ctx, found)
	switch {
	case found.top != nil && found.trouble == nil:
		for i := range found.all {
			if m := &found.all[i]; m.point == found.point && found.device.is(ctx, m, found.point) {
				done.OK, done.State = false, actions.Neither
				done.Detail = fmt.Sprintf("%s (%s) is mounted over it: umount %s", found.top.source, found.top.kind, found.point)
				return &done
			}
		}
	case found.top == nil && found.trouble == nil && found.device.block != "":
		if who := mountsOf(found.device.block); len(who) > 0 {
			done.Detail = "unmounted, but the device is still held by " + few(who)
		}
	}
	if list := v.String(); list != "" {
		done.Detail += "; ended: " + list
	}
	return &done
}

// stillThere is the answer when the time is up.
func (f *fsAgent) stillThere(ctx context.Context, v *victims, why string, r run.Result) actions.Done {
	soon, cancel := aftermath(ctx)
	defer cancel()
	done := actions.Done{State: actions.Up, Output: printed(r)}
	if found, err := f.find(soon); err == nil {
		if gone := f.gone(soon, found, v); gone != nil {
			return *gone
		}
	}
	done.Detail = fmt.Sprintf("%s is still mounted: %s", f.a.Target, why)
	if list := v.String(); list != "" {
		done.Detail += "; signalled: " + list
	}
	if !f.a.Kill {
		done.Detail += "; kill is off"
	}
	return done
}

func heldBy(holders []holder, kernel []string) string {
	who := append(names(holders), kernel...)
	if len(who) == 0 {
		return "no process was found that holds it: an export of the kernel's NFS server (exportfs -v), or one that was just leaving"
	}
	return "held by " + few(who)
}

// victims are the processes that were ended for a umount.
type victims struct {
	termed, killed []holder
}

// end sends a signal to those who have not had it, and reports whether there were any.
func (v *victims) end(holders []holder, m *mounted, s unix.Signal) (some bool) {
	list := &v.termed
	if s == unix.SIGKILL {
		list = &v.killed
	}
	for _, h := range holders {
		known := slices.ContainsFunc(*list, func(o holder) bool { return o.pid == h.pid })
		if !known && h.end(m, s) {
			*list, some = append(*list, h), true
		}
	}
	return some
}

// String is "sleep (pid 12, open file) by KILL".
func (v *victims) String() string {
	var who []string
	for _, h := range v.killed {
		who = append(who, h.String()+" by KILL")
	}
	for _, h := range v.termed {
		if !slices.ContainsFunc(v.killed, func(o holder) bool { return o.pid == h.pid }) {
			who = append(who, h.String()+" by TERM")
		}
	}
	if len(who) == 0 {
		return ""
	}
	return few(who)
}
