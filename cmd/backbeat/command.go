package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/backbeat-ha/backbeat/daemon/control"
)

const (
	// pollPause is between two looks at how a request goes on.
	pollPause = 200 * time.Millisecond
	// pollPatience is how long the daemon may give no answer while it is followed.
	pollPatience = 5 * time.Second
)

// outcome is what a verb that changes something comes to: --output json prints it.
type outcome struct {
	Schema int `json:"schema_version"`
	// Done: what was asked for is so; exit status 0. With --no-wait: it has begun.
	Done bool `json:"done"`
	// Text is what was begun, or why not, one line for each request.
	Text string `json:"text"`
	// Notes are what is worth knowing at the end.
	Notes []string `json:"notes,omitempty"`
	// Waits is what it still waited for when it was not followed any longer.
	Waits []string `json:"waits_for,omitempty"`
	// Failed is what keeps it from being done.
	Failed  []string `json:"failed,omitempty"`
	Refused []string `json:"refused,omitempty"`
	// Codes are those of the refusals.
	Codes []string `json:"codes,omitempty"`
	Took  float64  `json:"took_seconds"`
}

// carryOut asks the daemon for something and follows it until it is so.
func (t *tool) carryOut(ctx context.Context, r *request, list []control.CommandRequest) error {
	if err := r.check(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	client := control.Dial(*r.control)
	before, err := status(ctx, client, "")
	if err != nil {
		return failed(err)
	}
	out := &outcome{Schema: control.SchemaVersion}
	f := newFollower(t, before, list)
	began := time.Now()
	for i := range list {
		a, err := command(ctx, client, list[i])
		if err != nil {
			return failed(err)
		}
		if !a.OK {
			out.Refused, out.Codes = append(out.Refused, refusal(a)), append(out.Codes, a.Code)
			continue
		}
		out.Text = strings.TrimPrefix(out.Text+"\n"+a.Text, "\n")
		f.concerns(&list[i], a)
	}
	if !r.output.json() {
		for _, s := range out.Refused {
			fmt.Fprintf(t.err, "backbeat: %s\n", clean(s))
		}
		if out.Text != "" {
			fmt.Fprintln(t.out, cleanLines(out.Text))
		}
	}
	if len(out.Refused) < len(list) && !r.noWait {
		err = t.follow(ctx, client, r, f)
	}
	out.Done = err == nil && len(out.Refused) == 0 && (r.noWait || f.done())
	out.Notes, out.Waits, out.Failed, out.Took = f.notes, f.waits, f.failed, time.Since(began).Seconds()
	return t.conclude(r, f, out, err)
}

// conclude prints the end of it.
func (t *tool) conclude(r *request, f *follower, out *outcome, err error) error {
	if r.output.json() {
		if err != nil {
			out.Failed = append(out.Failed, err.Error())
		}
		if err := t.printJSON(out); err != nil {
			return err
		}
	} else {
		f.end(t.out, out)
		if err != nil {
			return failure{err}
		}
	}
	if !out.Done {
		return failure{}
	}
	return nil
}

// follow looks at the status until what was asked for is so, cannot become so,
// or the time is over.
func (t *tool) follow(ctx context.Context, client *control.Client, r *request, f *follower) error {
	timed, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	var silent time.Time // since when the daemon gives no answer
	for {
		st, err := status(timed, client, f.name())
		switch {
		case timed.Err() != nil:
		case err == nil:
			silent = time.Time{}
			for _, l := range f.observe(st) {
				if !r.output.json() {
					fmt.Fprintln(t.out, l)
				}
			}
			if f.over() {
				return nil
			}
		case silent.IsZero():
			silent = time.Now()
		case time.Since(silent) > pollPatience:
			return err
		}
		pause(timed, pollPause)
		switch {
		case ctx.Err() != nil:
			return errors.New("not followed any longer; what has begun goes on: backbeat status shows how")
		case timed.Err() != nil:
			return nil // f knows what it waits for
		}
	}
}

// status asks with a patience of its own.
func status(ctx context.Context, client *control.Client, name string) (*control.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, clientPatience)
	defer cancel()
	return client.Status(ctx, name)
}

// command is the same for a command.
func command(ctx context.Context, client *control.Client, q control.CommandRequest) (*control.CommandAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, clientPatience)
	defer cancel()
	return client.Command(ctx, q)
}

// refusal is why a command was refused, with what may have been meant.
func refusal(a *control.CommandAnswer) string {
	const many = 8
	list := slices.Compact(slices.Clone(a.Suggestions))
	more := ""
	if len(list) > many {
		list, more = list[:many], ", ..."
	}
	switch len(list) {
	case 0:
		return a.Text
	case 1:
		return fmt.Sprintf("%s; there is %s", a.Text, list[0])
	default:
		return fmt.Sprintf("%s; there are %s%s", a.Text, strings.Join(list, ", "), more)
	}
}
