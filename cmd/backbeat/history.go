package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

func (t *tool) historyVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "history [NAME]",
		Short: "Show the last transitions, why they happened and what followed",
		Long: `Show the last transitions of all virtual routers, or of NAME: from which state to
which, why, on what evidence, what was done about it and how long that took. The
newest is last. The history is kept across restarts.`,
		Args: atMostOne,
	}
	path, output := controlFlag(c), outputFlag(c)
	limit := c.Flags().IntP("limit", "n", control.DefaultHistory, "how many transitions at most")
	c.ValidArgsFunction = completeRouter(path)
	c.RunE = func(c *cobra.Command, args []string) error {
		if *limit < 1 || *limit > control.MaxHistory {
			return fmt.Errorf("--limit must be from 1 to %d", control.MaxHistory)
		}
		ctx, cancel := context.WithTimeout(c.Context(), clientPatience)
		defer cancel()
		name := ""
		if len(args) == 1 {
			name = args[0]
		}
		h, err := control.Dial(*path).History(ctx, name, *limit)
		if err != nil {
			return failed(err)
		}
		if output.json() {
			return t.printJSON(h)
		}
		w := bufio.NewWriter(t.out)
		printHistory(w, t.look, t.zone, h.Transitions)
		return failed(w.Flush())
	}
	return c
}

// printHistory prints transitions for people, the newest last.
func printHistory(w io.Writer, l look, zone *time.Location, list []daemon.Transition) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no transitions yet")
		return
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b daemon.Transition) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Seq, b.Seq))
	})
	for i := range list {
		t := &list[i]
		fmt.Fprintf(w, "%s  %s  %s -> %s\n", t.At.In(zone).Format("2006-01-02 15:04:05.000 MST"), l.bold(clean(t.Router)),
			word(t.From), l.state(t.To, word(t.To)))
		fmt.Fprintf(w, "    %s\n", clean(t.Reason))
		if s := evidence(&t.Evidence); s != "" {
			fmt.Fprintf(w, "    %s\n", l.dim(s))
		}
		for _, f := range t.Followed {
			text := followup(f)
			if f.Error != "" {
				text = l.red(text)
			}
			fmt.Fprintf(w, "    %s\n", text)
		}
	}
}

// evidence is what the decision was made on, without what the reason said in words.
func evidence(e *daemon.Evidence) string {
	parts := []string{fmt.Sprintf("priority %d", e.Priority)}
	if e.Peer != "" {
		peer := "peer " + clean(e.Peer)
		if e.PeerPriority != nil {
			peer += fmt.Sprintf(" with priority %d", *e.PeerPriority)
		}
		parts = append(parts, peer)
	}
	if e.Silence > 0 {
		parts = append(parts, "silence "+took(e.Silence))
	}
	if e.Timer > 0 {
		parts = append(parts, "timer "+took(e.Timer))
	}
	if e.Lateness > 0 {
		parts = append(parts, "loop "+took(e.Lateness)+" late")
	}
	if e.Detail != "" {
		parts = append(parts, clean(e.Detail))
	}
	return "evidence: " + strings.Join(parts, ", ")
}

// followup is one thing that was done, and how long after the transition.
func followup(f daemon.Followup) string {
	what, note := clean(f.What), ""
	if f.Note != "" {
		note = " (" + clean(f.Note) + ")"
	}
	after, hook := took(f.After), strings.HasPrefix(f.What, "hook ")
	if f.Error != "" {
		doing := map[string]string{"addresses added": "adding the addresses", "addresses removed": "removing the addresses", "announced": "announcing"}
		if d := doing[f.What]; d != "" {
			what = d
		}
		if hook {
			after = took(f.Took)
		}
		return fmt.Sprintf("%s failed after %s: %s%s", what, after, clean(f.Error), note)
	}
	switch {
	case f.What == "addresses added":
		return fmt.Sprintf("addresses there after %s%s", after, note)
	case f.What == "addresses removed":
		return fmt.Sprintf("addresses off after %s%s", after, note)
	case f.What == "announced":
		return fmt.Sprintf("announced%s after %s", note, after)
	case hook:
		return fmt.Sprintf("%s: exit 0 in %s%s", what, took(f.Took), note)
	default:
		return fmt.Sprintf("%s after %s%s", what, after, note)
	}
}
