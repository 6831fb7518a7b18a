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
		printPlan(t.out, t.look, r)
		return nil
	}
	return c
}

// printPlan prints what a reload did, without the routers that did not notice.
func printPlan(w io.Writer, l look, r *control.Reload) {
	did := map[string]string{"add": "added", "remove": "removed", "adjust": "adjusted", "replace": "replaced"}
	steps, kept := r.Plan, 0
	for _, s := range steps {
		if s.Change == "keep" {
			kept++
			continue
		}
		text := did[s.Change]
		if text == "" {
			text = s.Change
		}
		fmt.Fprintf(w, "%-9s %s%s\n", clean(text), l.bold(clean(s.Router)), differences(s.Differences))
	}
	for _, g := range r.Services {
		fmt.Fprintf(w, "%-9s service group %s%s\n", clean(did[g.Change]), l.bold(clean(g.Group)), differences(g.Differences))
	}
	for _, c := range r.Checks {
		fmt.Fprintf(w, "%-9s check %s\n", clean(did[c.Change]), l.bold(clean(c.Check)))
	}
	if kept == len(steps) && len(r.Checks)+len(r.Services) == 0 {
		fmt.Fprintf(w, "reloaded, nothing differs (%s)\n", plural(kept, "virtual router"))
		return
	}
	fmt.Fprintf(w, "reloaded, %d unchanged\n", kept)
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
