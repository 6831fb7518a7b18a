package agent

import (
	"context"
	"fmt"
	"strings"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/run"
)

// stop demotes: `drbdadm secondary` until nobody holds the device, or the time
// is up. Never `down`, which would end replication.
func (d *drbdAgent) stop(ctx context.Context) actions.Done {
	wait, last := demotePause, run.Result{}
	for try := 1; ; try++ {
		s, err := d.read(ctx)
		if err == nil && s.role != "Primary" {
			return d.demoted(&s, try)
		}
		r := d.h.program(ctx, d.a.Admin, "secondary", d.a.Resource)
		switch {
		case r.Exit == 0:
			soon, cancel := aftermath(ctx)
			s, err = d.read(soon)
			cancel()
			if err != nil {
				return actions.Done{Detail: "drbdadm secondary succeeded, but the state cannot be read: " + err.Error()}
			}
			if s.role != "Primary" {
				return d.demoted(&s, try)
			}
		case !r.Started && ctx.Err() == nil:
			return actions.Done{Hopeless: true, State: s.state(), Detail: r.Err}
		case r.Exit > 0 && r.Exit != drbdRefused && !slow(r):
			return actions.Done{State: s.state(), Detail: "drbdadm secondary: " + said(r), Output: printed(r)}
		}
		if r.Exit >= 0 {
			last = r
			d.tell("not demoted, try %d: %s", try, d.heldBy(&s))
		}
		if !pause(ctx, wait) {
			return d.stuck(ctx, try, last, r)
		}
		wait = min(2*wait, demotePauseMax)
	}
}

func (d *drbdAgent) demoted(s *drbdState, try int) actions.Done {
	done := d.found(s)
	if try > 2 {
		done.Detail = fmt.Sprintf("%s, after %d tries", done.Detail, try)
	}
	return done
}

// stuck is the end of a demotion that did not succeed in its time.
func (d *drbdAgent) stuck(ctx context.Context, tries int, last, r run.Result) actions.Done {
	soon, cancel := aftermath(ctx)
	defer cancel()
	s, err := d.read(soon)
	if err != nil {
		return actions.Done{Detail: "not demoted in time, and the state cannot be read: " + err.Error(), Output: printed(last)}
	}
	done := d.found(&s)
	switch {
	case done.State == actions.Down:
		return done
	case hung(r, tries):
		done.OK, done.Detail = false, fmt.Sprintf("drbdadm secondary hangs (try %d); %s", tries, d.heldBy(&s))
	default:
		done.OK, done.Detail = false, fmt.Sprintf("still Primary after %d tries (%s); %s", tries, said(last), d.heldBy(&s))
	}
	done.Output = printed(last)
	return done
}

// heldBy says who keeps the devices of the resource busy.
func (d *drbdAgent) heldBy(s *drbdState) string {
	if s.frozen() {
		return fmt.Sprintf("I/O is suspended (%s): nothing can let go of it: only the peer's return or a reboot helps", s.suspended)
	}
	var who []string
	for _, v := range s.volumes {
		if v.minor >= 0 {
			who = append(who, deviceHolders(drbdMajor, uint32(v.minor))...)
		}
	}
	if len(who) == 0 {
		return "no process was found that holds the device: a user inside the kernel (an export, a loop device), or one that was just leaving"
	}
	return "held by " + few(who)
}

// force demotes under the feet of whoever holds the device: they get I/O
// errors. It needs ForceSecondary, DRBD 9.1.7 and drbd-utils 9.21.
func (d *drbdAgent) force(ctx context.Context) actions.Done {
	argv := []string{d.a.Admin, "secondary", "--force", d.a.Resource}
	if !d.a.ForceSecondary {
		argv = []string{d.a.Admin, "secondary", d.a.Resource}
	}
	r := d.h.program(ctx, argv...)
	soon, cancel := aftermath(ctx)
	defer cancel()
	s, err := d.read(soon)
	if err != nil {
		return actions.Done{Detail: "the state cannot be read: " + err.Error(), Output: printed(r)}
	}
	done := d.found(&s)
	if done.State == actions.Down {
		return done
	}
	done.OK, done.Output = false, printed(r)
	done.Detail = fmt.Sprintf("%s: %s; %s", strings.Join(argv[1:], " "), said(r), d.heldBy(&s))
	if !d.a.ForceSecondary {
		done.Detail = "force_secondary is off: " + done.Detail
	}
	return done
}
