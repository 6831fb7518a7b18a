package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/run"
)

// An init script says with exit codes what it did (LSB core, "Init Script
// Actions"). Many are wrong in one way or another, so what status says after a start
// and after a stop decides, and not what these returned.

// settle is how long status may take to agree with a start that has succeeded:
// daemons write their pid files when they please.
const settle = 5 * time.Second

var lsbWords = map[int]string{
	1: "failed", 2: "wrong arguments", 3: "the script does not have this action", 4: "permission denied",
	5: "not installed", 6: "not configured", 7: "not running",
}

func (h *Hands) lsb(ctx context.Context, job *actions.Job, a actions.LSB, tell say) actions.Done {
	switch job.Verb {
	case actions.Start:
		return h.lsbStart(ctx, job, a, tell)
	case actions.Stop:
		return h.lsbStop(ctx, job, a)
	case actions.ForceStop:
		return h.lsbForce(ctx, job, a, tell)
	case actions.Prepare, actions.Qualify:
		return h.lsbQualify(job, a)
	default:
		return h.down(ctx, job, h.lsbStatus(ctx, job, a))
	}
}

// script runs one action of an init script. SYSTEMCTL_SKIP_REDIRECT keeps the
// functions it sources from handing the action to systemctl (Debian's
// init-functions.d/40-systemd, Red Hat's functions).
func (h *Hands) script(ctx context.Context, job *actions.Job, a actions.LSB, action string, leaves leaving) run.Result {
	return h.perform(ctx, job, call{argv: []string{a.Script, action}, user: a.User, leaves: leaves,
		env: []string{"LC_ALL=C", "SYSTEMCTL_SKIP_REDIRECT=1"}})
}

func lsbWhy(action string, r run.Result) string {
	if word := lsbWords[r.Exit]; word != "" && r.Started {
		lines := strings.Split(strings.TrimSpace(r.Output), "\n")
		return join(fmt.Sprintf("%s: %s (exit status %d)", action, word, r.Exit), strings.TrimSpace(lines[len(lines)-1]))
	}
	return because(action, r)
}

// lsbStatus looks. Dead with a pid file (1) or a lock (2) is as down as 3.
func (h *Hands) lsbStatus(ctx context.Context, job *actions.Job, a actions.LSB) actions.Done {
	r := h.script(ctx, job, a, "status", nothing)
	d := actions.Done{OK: true, State: actions.Neither, Output: r.Output}
	switch {
	case !r.Started:
		d.OK, d.State, d.Hopeless, d.Detail = false, actions.Unknown, cannotRun(r), because("status", r)
	case r.Exit < 0: // hung, or ended by a signal: it serves nobody
		d.Detail = because("status", r)
	case a.StatusText != "":
		d.State, d.Detail = actions.Down, fmt.Sprintf("status does not say %q", a.StatusText)
		if says(r.Output, a.StatusText) {
			d.State, d.Detail = actions.Up, "running"
		}
	case r.Exit == 0:
		d.State, d.Detail = actions.Up, "running"
	case r.Exit == 1:
		d.State, d.Detail = actions.Down, "dead, and has left its pid file"
	case r.Exit == 2:
		d.State, d.Detail = actions.Down, "dead, and has left its lock"
	case r.Exit == 3:
		d.State, d.Detail = actions.Down, "not running"
	default:
		d.OK, d.State, d.Detail = false, actions.Unknown, because("status", r)
	}
	return d
}

// says judges a status by its text, as Heartbeat did: case does not matter, and
// "not running" does not say "running".
func says(output, text string) bool {
	output, text = strings.ToLower(output), strings.ToLower(text)
	if !strings.Contains(output, text) {
		return false
	}
	for _, no := range []string{"not " + text, "stopped"} {
		if strings.Contains(output, no) && !strings.Contains(text, no) {
			return false
		}
	}
	return true
}

func (h *Hands) lsbStart(ctx context.Context, job *actions.Job, a actions.LSB, tell say) actions.Done {
	r := h.script(ctx, job, a, "start", service)
	if r.Exit != 0 {
		return actions.Done{State: actions.Neither, Detail: lsbWhy("start", r), Output: r.Output,
			Hopeless: r.Exit >= 2 && r.Exit <= 6 || cannotRun(r)}
	}
	soon, stop := context.WithTimeout(ctx, settle)
	defer stop()
	said := ""
	for {
		d := h.lsbStatus(ctx, job, a)
		if ctx.Err() != nil && said != "" {
			d.Detail = said // what was found, not that the time was up for finding it
		}
		said = d.Detail
		switch {
		case d.State == actions.Up:
			return d
		case !pause(soon, settle/10):
			d.OK, d.State, d.Output = false, actions.Neither, join(r.Output, d.Output)
			d.Detail = "start says that it is done, but " + d.Detail
			return d
		}
		tell("started, waiting for status to agree: %s", d.Detail)
	}
}

// lsbStop: many scripts fail to stop what does not run. What status says decides.
func (h *Hands) lsbStop(ctx context.Context, job *actions.Job, a actions.LSB) actions.Done {
	r := h.script(ctx, job, a, "stop", some)
	after := ctx
	if ctx.Err() != nil {
		var stop context.CancelFunc
		after, stop = aftermath(ctx)
		defer stop()
	}
	d := h.lsbStatus(after, job, a)
	left := ""
	if d.State == actions.Down {
		left = h.residue(ctx, job)
	}
	d.Output = r.Output
	switch {
	case left != "":
		d.OK, d.State, d.Detail = false, actions.Neither, join(lsbWhy("stop", r), left)
	case d.State == actions.Down && r.Exit == 0:
	case d.State == actions.Down:
		d.Detail = fmt.Sprintf("%s; but status: %s", lsbWhy("stop", r), d.Detail)
	case r.Exit == 0:
		d.OK, d.Detail = false, "stop says that it is done, but status: "+d.Detail
	default:
		d.OK, d.Detail = false, join(lsbWhy("stop", r), d.Detail)
	}
	d.Hopeless = false
	return d
}

// lsbForce kills what the script has started, and lets it clean up after that.
func (h *Hands) lsbForce(ctx context.Context, job *actions.Job, a actions.LSB, tell say) actions.Done {
	tell("killing what %s has started", a.Script)
	note := h.slay(ctx, job)
	d := h.lsbStop(ctx, job, a)
	if !d.OK {
		d.Detail = join(note, d.Detail)
	}
	return d
}

// lsbQualify says whether the script could be run, and whether init runs it by itself.
func (h *Hands) lsbQualify(job *actions.Job, a actions.LSB) actions.Done {
	if err := run.VerifyOwn(a.Script, a.User); err != nil {
		return actions.Done{Hopeless: true, Detail: err.Error()}
	}
	d := actions.Done{OK: true, Detail: join("installed", h.untold(job))}
	name := filepath.Base(a.Script)
	if links, _ := filepath.Glob("/etc/rc[2-5].d/S[0-9][0-9]" + name); len(links) > 0 && filepath.Dir(a.Script) == "/etc/init.d" {
		d.Detail = fmt.Sprintf("%s would be started at boot, whoever is Active: update-rc.d %s disable", name, name)
	}
	return d
}
