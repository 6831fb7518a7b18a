package agent

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/run"
)

const (
	// promotePause is the time between two tries of `drbdadm primary`: the first
	// may fail although everything is well, because the connection is lost in it
	// (services.md 3.3), and the second is what makes the takeover.
	promotePause = 200 * time.Millisecond
	// demotePause and demotePauseMax: udev, blkid and multipathd look at a device
	// just after it was unmounted, and hold it (linstor-server#493).
	demotePause    = 250 * time.Millisecond
	demotePauseMax = 2 * time.Second
	// readTime bounds one question for the state.
	readTime = 5 * time.Second
	// adjustTries is how often adjust is tried when it does not say why it failed.
	adjustTries = 3
)

// drbdadm's exit statuses (drbd-utils 9.22 with module 8.4.11, services.md 3.3).
const (
	// drbdRefused: the state does not allow it now, for whatever reason; it may later.
	drbdRefused = 11
	// drbdNoData: no access to UpToDate data.
	drbdNoData = 17
)

// drbd carries out the verbs of a DRBD resource. Nothing here discards data,
// makes metadata or takes a resource down, since that ends replication.
func (h *Hands) drbd(ctx context.Context, job *actions.Job, a actions.DRBD, tell say) actions.Done {
	d := drbdAgent{h: h, a: a, tell: tell}
	switch job.Verb {
	case actions.Start:
		return d.start(ctx)
	case actions.Stop:
		return d.stop(ctx)
	case actions.ForceStop:
		return d.force(ctx)
	case actions.Qualify:
		return d.qualify(ctx)
	case actions.Prepare:
		return d.prepare(ctx)
	default:
		return d.look(ctx)
	}
}

type drbdAgent struct {
	h    *Hands
	a    actions.DRBD
	tell say
}

// read asks the kernel for the state. A resource that it does not know is no error.
// Reading takes milliseconds; one that hangs must not take the time of a promotion.
func (d *drbdAgent) read(ctx context.Context) (drbdState, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	s, _, err := d.h.drbdRead(ctx, d.a.Setup, d.a.Resource)
	return s, err
}

func (h *Hands) drbdRead(ctx context.Context, setup, resource string) (drbdState, run.Result, error) {
	r := h.program(ctx, setup, "events2", "--now", resource)
	if r.Exit == 0 {
		return parseDRBD(r.Stdout, resource), r, nil
	}
	none := drbdState{resource: resource}
	if !r.Started || r.Exit < 0 {
		return none, r, fmt.Errorf("%s events2: %s", setup, said(r))
	}
	// It may fail just because there is no such resource. Asked for all, it says so.
	if all := h.program(ctx, setup, "events2", "--now"); all.Exit == 0 {
		return parseDRBD(all.Stdout, resource), r, nil
	}
	if _, err := os.Stat("/proc/drbd"); os.IsNotExist(err) {
		return none, r, nil // the module is not loaded: nothing can be Primary
	}
	return none, r, fmt.Errorf("%s events2: %s", setup, said(r))
}

func (d *drbdAgent) look(ctx context.Context) actions.Done {
	s, err := d.read(ctx)
	if err != nil {
		return actions.Done{Detail: "the state cannot be read: " + err.Error()}
	}
	return d.found(&s)
}

// found is the fact of a state.
func (d *drbdAgent) found(s *drbdState) actions.Done {
	done := actions.Done{OK: true, State: s.state(), Detail: s.String()}
	if done.State != actions.Up {
		return done
	}
	if fatal, wrong := s.health(); fatal {
		done.State, done.Detail = actions.Neither, s.String()+": "+wrong
	} else if wrong != "" {
		done.Degraded, done.Detail = true, s.String()+": "+wrong
	}
	return done
}

func (d *drbdAgent) qualify(ctx context.Context) actions.Done {
	s, err := d.read(ctx)
	if err != nil {
		return actions.Done{Detail: "the state cannot be read: " + err.Error()}
	}
	v := s.promotable(&d.a)
	done := actions.Done{OK: v.ok, Hopeless: v.hopeless, State: s.state(), Detail: v.words}
	if !v.ok {
		done.Output = s.String()
	}
	return done
}

func (d *drbdAgent) prepare(ctx context.Context) actions.Done {
	for try := 1; ; try++ {
		r := d.h.program(ctx, d.a.Admin, "adjust", d.a.Resource)
		if r.Exit == 0 {
			return d.look(ctx)
		}
		wait := slow(r) || try < adjustTries
		if !r.Started || !wait || !pause(ctx, time.Second) {
			return actions.Done{Hopeless: !r.Started, Detail: fmt.Sprintf("drbdadm adjust %s: %s", d.a.Resource, said(r)), Output: printed(r)}
		}
		d.tell("drbdadm adjust %s, try %d: %s", d.a.Resource, try, said(r))
	}
}

// slow reports whether drbdadm gave up on a helper that was merely slow: it
// gives 5 s, which a loaded host may need for a fork (services.md 3.9).
func slow(r run.Result) bool {
	return strings.Contains(r.Output, "did not terminate within") || strings.Contains(r.Stdout, "did not terminate within")
}

// start promotes. What decides is `drbdadm primary`, tried again and again,
// because only it asks the peer; the state read before is for what DRBD would do
// and we do not want, and for words.
func (d *drbdAgent) start(ctx context.Context) actions.Done {
	last, state := run.Result{}, drbdState{}
	for try := 1; ; try++ {
		s, err := d.read(ctx)
		if err == nil {
			state = s
			if s.role == "Primary" {
				done := d.found(&s)
				done.OK = done.State == actions.Up
				return done
			}
			if v := s.promotable(&d.a); v.hard {
				return actions.Done{Hopeless: v.hopeless, State: actions.Down, Detail: v.words, Output: s.String()}
			}
		}
		r := d.h.program(ctx, d.a.Admin, "primary", d.a.Resource)
		switch {
		case r.Exit == 0:
			return d.promoted(ctx, "")
		case r.Exit == drbdNoData && d.mayForce(&state):
			return d.promoteOutdated(ctx)
		case !r.Started && ctx.Err() == nil:
			return actions.Done{Hopeless: true, State: actions.Down, Detail: r.Err}
		case r.Exit > 0 && r.Exit != drbdRefused && !slow(r):
			return d.refused(&state, r)
		case r.Exit >= 0:
			last = r
		}
		if r.Exit >= 0 {
			d.tell("%s: try %d (%s)", waitsFor(&state), try, said(r))
		}
		if !pause(ctx, promotePause) {
			return d.gaveUp(ctx, try, last, r)
		}
	}
}

// waitsFor are the words for what a promotion waits for.
func waitsFor(s *drbdState) string {
	if peer := s.primaryPeer(); peer != "" {
		return "waiting for " + peer + " to demote"
	}
	return "waiting for DRBD to allow it"
}

// promoted is the end of a promotion that drbdadm called a success.
func (d *drbdAgent) promoted(ctx context.Context, note string) actions.Done {
	soon, cancel := aftermath(ctx)
	defer cancel()
	s, err := d.read(soon)
	if err != nil {
		return actions.Done{OK: true, State: actions.Up, Detail: "Primary; the state cannot be read: " + err.Error()}
	}
	done := d.found(&s)
	if done.State != actions.Up {
		done.OK = false
		done.Detail = "drbdadm primary succeeded, but: " + done.Detail
	}
	if note != "" {
		done.Degraded, done.Detail = true, note+": "+done.Detail
	}
	return done
}

// refused is the end of a promotion that does not help to repeat.
func (d *drbdAgent) refused(s *drbdState, r run.Result) actions.Done {
	done := actions.Done{Hopeless: true, State: actions.Down, Output: printed(r)}
	switch v := s.promotable(&d.a); {
	case r.Exit != drbdNoData:
		done.Detail = "drbdadm primary: " + said(r)
	case !v.ok:
		done.Detail = fmt.Sprintf("no access to good data (exit status %d): %s", r.Exit, v.words)
	default:
		done.Detail = fmt.Sprintf("no access to UpToDate data (exit status %d); it was %s. Bring the peer back, or see drbdadm status %s", r.Exit, s, d.a.Resource)
	}
	return done
}

// gaveUp is the end of a promotion whose time is up, or that is no longer wanted.
func (d *drbdAgent) gaveUp(ctx context.Context, tries int, last, r run.Result) actions.Done {
	soon, cancel := aftermath(ctx)
	defer cancel()
	done := actions.Done{State: actions.Unknown, Output: printed(last)}
	s, err := d.read(soon)
	if err == nil {
		done.State = s.state()
	}
	switch {
	case hung(r, tries):
		done.Detail = fmt.Sprintf("drbdadm primary hangs (try %d): a fence-peer handler that does not end, or the kernel: see ps and dmesg", tries)
		if done.State == actions.Up {
			done.State = actions.Neither // it may have been half way
		}
	case err == nil && s.primaryPeer() != "":
		done.Detail = fmt.Sprintf("%s is still Primary after %d tries (%s): demote it there, or switch it off", s.primaryPeer(), tries, said(last))
	default:
		done.Detail = fmt.Sprintf("not promoted in %d tries (%s); %s", tries, said(last), s)
	}
	return done
}

// hung reports whether a command that was ended with the time of the job had
// really had time: one try of `primary` takes 0.2 to 3 s with a fence-peer handler.
func hung(r run.Result, tries int) bool {
	return r.Started && r.Exit < 0 && (tries == 1 || r.Took >= 5*time.Second)
}

// mayForce reports whether the configuration allows what DRBD has just refused:
// data that is old but whole, and nobody there who has better.
func (d *drbdAgent) mayForce(s *drbdState) bool {
	if !d.a.AllowOutdated || s.connected() {
		return false
	}
	old := false
	for _, v := range s.volumes {
		switch v.disk {
		case "UpToDate":
		case "Outdated":
			old = true
		default:
			return false
		}
	}
	return old
}

func (d *drbdAgent) promoteOutdated(ctx context.Context) actions.Done {
	// Once more, just before: a resync that began meanwhile makes it Inconsistent.
	s, err := d.read(ctx)
	if err != nil || !d.mayForce(&s) {
		return actions.Done{State: actions.Down, Detail: fmt.Sprintf("Outdated data is not promoted: the state has just changed: %s", s)}
	}
	d.tell("promoting Outdated data, as allow_outdated says")
	r := d.h.program(ctx, d.a.Admin, "primary", "--force", d.a.Resource)
	if r.Exit != 0 {
		return actions.Done{State: actions.Down, Detail: "drbdadm primary --force: " + said(r), Output: printed(r)}
	}
	return d.promoted(ctx, "Outdated data was promoted (allow_outdated), what the peer wrote since is lost")
}
