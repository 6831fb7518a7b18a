package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/backbeat-ha/backbeat/daemon/control"
)

// reloadWait is longer than the daemon may take.
const reloadWait = 90 * time.Second

func (t *tool) reloadVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "reload",
		Short: "Make the daemon read its configuration anew",
		Long: `Make the daemon read its configuration anew and apply what differs. It waits for
the outcome. A configuration with an error changes nothing: the errors are
printed and the exit status is 1.`,
		Args: none,
	}
	path, output := controlFlag(c), outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(c.Context(), reloadWait)
		defer cancel()
		r, err := control.Dial(*path).Reload(ctx)
		if err != nil {
			return failed(err)
		}
		if output.json() {
			if err := t.printJSON(r); err != nil {
				return err
			}
			if !r.OK {
				return failure{}
			}
			return nil
		}
		if r.Text != "" {
			fmt.Fprintln(t.err, cleanLines(r.Text))
		}
		if !r.OK {
			return failure{fmt.Errorf("nothing was changed: %s", r.Error)}
		}
		printPlan(t.out, t.look, r, reloadWords)
		return nil
	}
	return c
}

func (t *tool) planVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "plan",
		Short: "Say what a reload would do, and do nothing",
		Long: `Let the daemon read its configuration anew and say what a reload would do. Nothing is
changed. The exit status is 1 if the configuration has an error.`,
		Args: none,
	}
	path, output := controlFlag(c), outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(c.Context(), reloadWait)
		defer cancel()
		r, err := control.Dial(*path).Plan(ctx)
		if err != nil {
			return failed(err)
		}
		if output.json() {
			err = t.printJSON(r)
		} else if r.Text != "" {
			fmt.Fprintln(t.err, cleanLines(r.Text))
		}
		switch {
		case err != nil:
			return err
		case !r.OK && output.json():
			return failure{}
		case !r.OK:
			return failure{fmt.Errorf("a reload would change nothing: %s", r.Error)}
		case !output.json():
			printPlan(t.out, t.look, r, planWords)
		}
		return nil
	}
	return c
}

// words are how a plan is told: of what was done, or of what would be.
type words struct {
	did            map[string]string
	width          int
	nothing, after string
}

var (
	reloadWords = words{map[string]string{"add": "added", "remove": "removed", "adjust": "adjusted", "replace": "replaced"}, 9,
		"reloaded, nothing differs", "reloaded, unchanged: %s"}
	planWords = words{map[string]string{"add": "would add", "remove": "would remove", "adjust": "would adjust", "replace": "would replace"}, 13,
		"a reload would change nothing", "a reload would leave unchanged: %s"}
)

// printPlan prints what a reload did or would do, with what does not notice counted.
func printPlan(w io.Writer, l look, r *control.Reload, say words) {
	tell := func(change, what string, list []string) {
		text := say.did[change]
		if text == "" {
			text = change
		}
		fmt.Fprintf(w, "%-*s  %s%s\n", say.width-1, clean(text), what, differences(list))
	}
	kept := 0
	for _, s := range r.Plan {
		if s.Change == "keep" {
			kept++
			continue
		}
		tell(s.Change, l.bold(clean(s.Router)), s.Differences)
	}
	for _, g := range r.Services {
		tell(g.Change, "service group "+l.bold(clean(g.Group)), g.Differences)
		if g.Change == "adjust" && g.Kept > 0 {
			fmt.Fprintf(w, "%*s  %s\n", say.width-1, "", l.dim("its first "+plural(g.Kept, "step")+" stay as they are"))
		}
	}
	for _, c := range r.Checks {
		tell(c.Change, "check "+l.bold(clean(c.Check)), nil)
	}
	same := checkedHost{Routers: kept, Services: r.Unchanged.Services, Checks: r.Unchanged.Checks}
	if kept == len(r.Plan) && len(r.Checks)+len(r.Services) == 0 {
		fmt.Fprintf(w, say.nothing+" (%s)\n", same.has())
		return
	}
	fmt.Fprintf(w, say.after+"\n", same.has())
}

// maxDifferences keeps a change of a hundred addresses readable.
const maxDifferences = 8

// differences is ": priority 150 -> 50, hooks", or nothing.
func differences(list []string) string {
	if len(list) == 0 {
		return ""
	}
	more := ""
	if n := len(list) - maxDifferences; n > 1 {
		list, more = list[:maxDifferences], fmt.Sprintf(" and %d more", n)
	}
	return ": " + clean(strings.Join(list, ", ")) + more
}
