package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

func (t *tool) historyVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "history [NAME]",
		Short: "Show the last transitions, why they happened and what followed",
		Long: `Show the last transitions of all virtual routers, or of NAME: from which state to
which, why, on what evidence, what was done about it and how long that took; and
what followed: steps of service groups, orders of operators. With the NAME of a
service group: the transitions of the virtual routers it follows, and what concerns
the group. The newest is last. The history is kept across restarts.`,
		Args: atMostOne,
	}
	path, output := controlFlag(c), outputFlag(c)
	limit := c.Flags().IntP("limit", "n", control.DefaultHistory, "how many transitions at most")
	c.ValidArgsFunction = completeNames(path, routersAndGroups, false)
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
		h, err := historyOf(ctx, control.Dial(*path), name, *limit)
		if err != nil {
			return failed(err)
		}
		if output.json() {
			return t.printJSON(h)
		}
		w := bufio.NewWriter(t.out)
		p := &historyPrinter{look: t.look, width: t.width, zone: t.zone}
		p.all(w, h.Transitions)
		return failed(w.Flush())
	}
	return c
}

// historyOf asks for the history of a virtual router, or of what a service group follows.
func historyOf(ctx context.Context, client *control.Client, name string, limit int) (*control.History, error) {
	if name == "" {
		return client.History(ctx, "", limit)
	}
	st, err := client.Status(ctx, "")
	if err != nil {
		return nil, err
	}
	s := serviceIn(st, name)
	if s == nil || routerIn(st, name) != nil {
		return client.History(ctx, name, limit)
	}
	out := &control.History{Schema: control.SchemaVersion}
	for _, n := range s.Follows {
		h, err := client.History(ctx, n, limit)
		if err != nil {
			return nil, err
		}
		out.Transitions = append(out.Transitions, ofGroup(h.Transitions, name)...)
	}
	inOrder(out.Transitions)
	out.Transitions = out.Transitions[max(0, len(out.Transitions)-limit):]
	return out, nil
}

// ofGroup leaves of what followed transitions what concerns a group: its steps, and orders.
func ofGroup(list []daemon.Transition, group string) []daemon.Transition {
	out := slices.Clone(list)
	for i := range out {
		var kept []daemon.Followup
		for _, f := range out[i].Followed {
			if f.What == group || strings.HasPrefix(f.What, group+": ") || strings.HasPrefix(f.What, "order: ") {
				kept = append(kept, f)
			}
		}
		out[i].Followed = kept
	}
	return out
}

// inOrder sorts transitions, the newest last.
func inOrder(list []daemon.Transition) {
	slices.SortStableFunc(list, func(a, b daemon.Transition) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Seq, b.Seq))
	})
}

// historyPrinter prints a history for people.
type historyPrinter struct {
	look
	width int // of the terminal, 0 without one
	zone  *time.Location
}

// line prints a line, folded where the terminal ends.
func (p *historyPrinter) line(w io.Writer, text string) { fmt.Fprintln(w, fold(text, p.width, 6)) }

// all prints transitions, the newest last.
func (p *historyPrinter) all(w io.Writer, list []daemon.Transition) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no transitions yet")
		return
	}
	list = slices.Clone(list)
	inOrder(list)
	for i := range list {
		t := &list[i]
		p.line(w, fmt.Sprintf("%s  %s  %s -> %s", t.At.In(p.zone).Format("2006-01-02 15:04:05.000 MST"), p.bold(clean(t.Router)),
			word(t.From), p.state(t.To, word(t.To))))
		p.line(w, "    "+clean(t.Reason))
		if s := evidence(&t.Evidence, t.Reason); s != "" {
			p.line(w, "    "+p.dim(s))
		}
		for _, f := range t.Followed {
			text := p.followup(t, f)
			if f.Error != "" {
				text = p.red(text)
			}
			p.line(w, "    "+text)
		}
	}
}

// evidence is what the decision was made on, without what the reason has said
// already; empty if nothing is left.
func evidence(e *daemon.Evidence, reason string) string {
	var parts []string
	add := func(what, measure string) {
		if !says(reason, measure) {
			parts = append(parts, what+" "+measure)
		}
	}
	if own := strconv.Itoa(int(e.Priority)); !says(reason, "our priority "+own) && !says(reason, "with priority "+own) {
		parts = append(parts, "priority "+own)
	}
	if peer := clean(e.Peer); e.Peer != "" {
		said := says(reason, e.Peer)
		if e.PeerPriority != nil {
			said = said && says(reason, fmt.Sprintf("%s (priority %d)", e.Peer, *e.PeerPriority))
			peer += fmt.Sprintf(" with priority %d", *e.PeerPriority)
		}
		if !said {
			parts = append(parts, "peer "+peer)
		}
	}
	if e.Silence > 0 {
		add("silence", took(e.Silence))
	}
	if e.Timer > 0 {
		add("timer", took(e.Timer))
	}
	if e.Lateness > 0 {
		parts = append(parts, "loop "+took(e.Lateness)+" late")
	}
	if e.Detail != "" && !says(reason, e.Detail) {
		parts = append(parts, clean(e.Detail))
	}
	if len(parts) == 0 {
		return ""
	}
	return "evidence: " + strings.Join(parts, ", ")
}

// says reports whether a sentence has the words, and not only as a part of
// longer ones: "priority 15" is not in "priority 150".
func says(sentence, words string) bool {
	joins := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	for from := 0; ; {
		i := strings.Index(sentence[from:], words)
		if i < 0 {
			return false
		}
		i += from
		before, _ := utf8.DecodeLastRuneInString(sentence[:i])
		after, _ := utf8.DecodeRuneInString(sentence[i+len(words):])
		// "0.5 s" is not in "10.5 s", nor in "1.0.5 s".
		if !joins(before) && before != '.' && before != ':' && !joins(after) {
			return true
		}
		from = i + 1
	}
}

// longAfter is from when on the time of day says more of what followed a transition
// than how long after it that was, in seconds.
const longAfter = 10.0

// followup is one thing that was done, and how long after the transition, or when.
func (p *historyPrinter) followup(t *daemon.Transition, f daemon.Followup) string {
	what, note := clean(f.What), ""
	if f.Note != "" {
		note = " (" + clean(f.Note) + ")"
	}
	after, hook := "after "+took(f.After), strings.HasPrefix(f.What, "hook ")
	if f.After > longAfter {
		at, began := t.At.Add(time.Duration(f.After*float64(time.Second))).In(p.zone), t.At.In(p.zone)
		after = "at " + at.Format("15:04:05.000")
		if at.YearDay() != began.YearDay() || at.Year() != began.Year() { // it may come days after the transition
			after = "at " + at.Format("2006-01-02 15:04:05")
		}
	}
	if f.Error != "" {
		doing := map[string]string{"addresses added": "adding the addresses", "addresses removed": "removing the addresses", "announced": "announcing"}
		if d := doing[f.What]; d != "" {
			what = d
		}
		if hook {
			after = "after " + took(f.Took)
		}
		return fmt.Sprintf("%s failed %s: %s%s", what, after, clean(f.Error), note)
	}
	switch {
	case f.What == "addresses added":
		return fmt.Sprintf("addresses there %s%s", after, note)
	case f.What == "addresses removed":
		return fmt.Sprintf("addresses off %s%s", after, note)
	case f.What == "announced":
		return fmt.Sprintf("announced%s %s", note, after)
	case f.What == "reload":
		return fmt.Sprintf("reloaded %s%s", after, note)
	case hook:
		if f.After > longAfter {
			return fmt.Sprintf("%s: exit 0 in %s, %s%s", what, took(f.Took), after, note)
		}
		return fmt.Sprintf("%s: exit 0 in %s%s", what, took(f.Took), note)
	default:
		return fmt.Sprintf("%s %s%s", what, after, note)
	}
}
