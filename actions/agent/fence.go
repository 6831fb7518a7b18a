package agent

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/run"
)

// The interface of ClusterLabs' fence-agents (FenceAgentAPI.md): parameters as
// lines key=value on standard input, the action among them; exit status 0 is
// success, of the action status 0 is on and 2 is off. Nothing is in argv or in the
// environment, where others could read it.

const (
	fenceOn  = 0
	fenceOff = 2
	// fencePoll is the time between two looks at whether it is off (or on again).
	fencePoll = time.Second
)

// fence switches the peer off by the first device that can confirm it.
func (h *Hands) fence(ctx context.Context, job *actions.Job, tell say) actions.Done {
	if len(job.Fence) == 0 {
		return actions.Done{Hopeless: true, Detail: "there is no fence device: nobody can be switched off"}
	}
	var failed []string
	var output string
	for i := range job.Fence {
		device := &job.Fence[i]
		confirmed, why, printed := h.fenceWith(ctx, device, tell)
		output = printed
		if confirmed {
			return actions.Done{OK: true, Detail: join(fmt.Sprintf("%s: %s", device.Name, why), strings.Join(failed, "; ")), Output: output}
		}
		failed = append(failed, fmt.Sprintf("%s: %s", device.Name, why))
		tell("%s has not confirmed: %s", device.Name, why)
		if ctx.Err() != nil {
			break
		}
	}
	return actions.Done{Detail: strings.Join(failed, "; "), Output: output}
}

// fenceWith uses one device: its delay, its action, and the confirmation, the
// last two within its timeout.
func (h *Hands) fenceWith(ctx context.Context, f *actions.FenceSpec, tell say) (confirmed bool, why, output string) {
	if f.Delay > 0 {
		tell("waiting %v before %s is used, so that two hosts do not shoot each other", f.Delay, f.Name)
		if !pause(ctx, f.Delay) {
			return false, "not used: " + context.Cause(ctx).Error(), ""
		}
	}
	ctx, stop := context.WithTimeout(ctx, fenceTimeout(f))
	defer stop()
	began := time.Now()
	tell("%s: asking for %s of %s", f.Name, f.Action, f.Target)
	r := h.fenceRun(ctx, f, f.Action)
	if r.Exit != 0 {
		return false, because(f.Action, r), r.Output
	}
	want, word := fenceOff, "off"
	if f.Action == "reboot" {
		// It was off in between, which is what reboot's success says; status shows
		// that the device has not just swallowed the request.
		want, word = fenceOn, "rebooted"
	}
	for {
		s := h.fenceRun(ctx, f, "status")
		switch {
		case s.Exit == want:
			return true, fmt.Sprintf("%s is %s, confirmed after %v", f.Target, word, time.Since(began).Round(100*time.Millisecond)), join(r.Output, s.Output)
		case s.Exit != fenceOn && s.Exit != fenceOff:
			return false, fmt.Sprintf("%s was accepted, but is not confirmed: %s", f.Action, because("status", s)), s.Output
		}
		tell("%s: %s was accepted, waiting for its confirmation", f.Name, f.Action)
		if !pause(ctx, fencePoll) {
			return false, fmt.Sprintf("%s was accepted, but after %v status still says %s", f.Action, fenceTimeout(f), map[int]string{fenceOn: "on", fenceOff: "off"}[s.Exit]), s.Output
		}
	}
}

// fenceRun runs one action of a fence agent.
func (h *Hands) fenceRun(ctx context.Context, f *actions.FenceSpec, action string) run.Result {
	if ctx.Err() != nil {
		return run.Result{Exit: -1, Err: tooLate + context.Cause(ctx).Error()}
	}
	options, err := reveal(f.Options)
	if err != nil {
		return run.Result{Exit: -1, Err: err.Error()}
	}
	var in bytes.Buffer
	for _, o := range options {
		if o.Name != "action" && o.Name != "option" { // its old name
			fmt.Fprintf(&in, "%s=%s\n", o.Name, strings.ReplaceAll(o.Value, "\n", ""))
		}
	}
	fmt.Fprintf(&in, "action=%s\n", action)
	r := h.runner.DoContext(ctx, run.Command{Argv: f.Command, User: f.User, Own: true, Stdin: in.Bytes(),
		Env: []string{"LC_ALL=C"}, Timeout: left(ctx, time.Second, someTimeout) + time.Second})
	r.Output, r.Err = redact(options, r.Output), redact(options, r.Err)
	return r
}

func fenceTimeout(f *actions.FenceSpec) time.Duration {
	if f.Timeout > 0 {
		return f.Timeout
	}
	return someTimeout
}

// askFence asks every device whether it would work: a dead one is usually found
// out about in the outage. The job is a Qualify of the group itself.
func (h *Hands) askFence(ctx context.Context, job *actions.Job) actions.Done {
	d := actions.Done{OK: true, Detail: "there is no fence device"}
	var all []string
	for i := range job.Fence {
		f := &job.Fence[i]
		limited, stop := context.WithTimeout(ctx, fenceTimeout(f))
		r := h.fenceRun(limited, f, "monitor")
		stop()
		if r.Exit == 0 {
			all = append(all, f.Name+": ok")
			continue
		}
		d.OK, d.Output = false, r.Output
		all = append(all, because(f.Name, r))
	}
	if all != nil {
		d.Detail = strings.Join(all, "; ")
	}
	return d
}
