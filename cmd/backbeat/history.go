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
which, why, on what evidence, what was done about it and how long that took. The
newest is last. The history is kept across restarts.`,
		Args: atMostOne,
	}
	path, output := controlFlag(c), outputFlag(c)
	limit := c.Flags().IntP("limit", "n", control.DefaultHistory, "how many transitions at most")
	c.ValidArgsFunction = completeNames(path, routersOnly, false)
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
		p := &historyPrinter{look: t.look, width: t.width, zone: t.zone}
		p.all(w, h.Transitions)
		return failed(w.Flush())
	}
	return c
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
	slices.SortStableFunc(list, func(a, b daemon.Transition) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Seq, b.Seq))
	})
	for i := range list {
		t := &list[i]
		p.line(w, fmt.Sprintf("%s  %s  %s -> %s", t.At.In(p.zone).Format("2006-01-02 15:04:05.000 MST"), p.bold(clean(t.Router)),
			word(t.From), p.state(t.To, word(t.To))))
		p.line(w, "    "+clean(t.Reason))
		if s := evidence(&t.Evidence, t.Reason); s != "" {
			p.line(w, "    "+p.dim(s))
		}
		for _, f := range t.Followed {
			text := followup(f)
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

// followup is one thing that was done, and how long after the transition.
func followup(f daemon.Followup) string {
	what, note := clean(f.What), ""
	if f.Note != "" {
		note = " (" + clean(f.Note) + ")"
	}
	after, hook := took(f.After), strings.HasPrefix(f.What, "hook ")
	if f.After >= 60 { // a reload may come days after the transition
		after = span(time.Duration(f.After * float64(time.Second)))
	}
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
	case f.What == "reload":
		return fmt.Sprintf("reloaded after %s%s", after, note)
	case hook:
		return fmt.Sprintf("%s: exit 0 in %s%s", what, took(f.Took), note)
	default:
		return fmt.Sprintf("%s after %s%s", what, after, note)
	}
}
