package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// look is how to print for people.
type look struct{ color bool }

func (l look) paint(code, s string) string {
	if !l.color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (l look) bold(s string) string   { return l.paint("1", s) }
func (l look) dim(s string) string    { return l.paint("2", s) }
func (l look) red(s string) string    { return l.paint("31", s) }
func (l look) green(s string) string  { return l.paint("32", s) }
func (l look) yellow(s string) string { return l.paint("33", s) }

// state colours one of the three states: calm for those that are right.
func (l look) state(name, text string) string {
	switch name {
	case "active":
		return l.green(text)
	case "backup":
		return text
	default:
		return l.red(text)
	}
}

// clean makes text from outside harmless for a terminal: whatever is not
// printable (escape sequences, line ends, direction marks) is shown as a code.
func clean(s string) string {
	ok := func(r rune) bool { return r == ' ' || unicode.IsPrint(r) }
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !ok(r) }) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case r == '\t':
			b.WriteByte(' ')
		case ok(r):
			b.WriteString(s[:n])
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
		s = s[n:]
	}
	return b.String()
}

// cleanLines is clean for text of several lines.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = clean(l)
	}
	return strings.Join(lines, "\n")
}

// span is how long something has been so, for a glance: two units at most.
func span(d time.Duration) string {
	d = max(d, 0)
	switch s := int64(d / time.Second); {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm %ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh %dm", s/3600, s/60%60)
	default:
		return fmt.Sprintf("%dd %dh", s/86400, s/3600%24)
	}
}

// took is a measured or configured time given in seconds, in the form that the
// reasons have: "3.414 s", "609.4 ms", "0.41 ms".
func took(seconds float64) string {
	return vrrp.Span(time.Duration(math.Round(seconds * float64(time.Second))))
}

// ago is how long ago something was heard, for a glance.
func ago(seconds float64) string {
	switch {
	case seconds < 1:
		return took(math.Round(seconds*1000)/1000) + " ago"
	case seconds < 60:
		return strconv.FormatFloat(seconds, 'f', 1, 64) + " s ago"
	default:
		return span(time.Duration(seconds*float64(time.Second))) + " ago"
	}
}

// word writes a state as RFC 9568 does: "Active".
func word(state string) string {
	state = clean(state)
	if state == "" {
		return "?"
	}
	return strings.ToUpper(state[:1]) + state[1:]
}

// plural is "1 router", "2 routers".
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// cell is one field of a table: what it measures and what it looks like.
type cell struct {
	text  string
	paint func(string) string
	right bool
}

// fold breaks a line that is wider than a terminal, between words, and indents
// what follows the first line. Width 0 is a terminal without end. Colours do not
// count; a word that is wider than the terminal stays whole.
func fold(line string, width, indent int) string {
	if width <= 0 || visible(line) <= width {
		return line
	}
	lead := len(line) - len(strings.TrimLeft(line, " "))
	var b strings.Builder
	b.WriteString(line[:lead])
	at, gap := lead, "" // the column, and the blanks before the next word
	for rest := line[lead:]; rest != ""; {
		word := firstWord(rest)
		rest = rest[len(word):]
		if size := visible(word); at+len(gap)+size > width && at > indent {
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		} else {
			b.WriteString(gap)
			at += len(gap)
		}
		b.WriteString(word)
		at += visible(word)
		gap = rest[:len(rest)-len(strings.TrimLeft(rest, " "))]
		rest = rest[len(gap):]
	}
	return b.String()
}

// firstWord is what stands before the first blank, with the unit that belongs to it.
func firstWord(s string) string {
	word, after, _ := strings.Cut(s, " ")
	unit, _, _ := strings.Cut(after, " ")
	if bare := strings.TrimRight(unit, ",;:)"); bare == "s" || bare == "ms" {
		return s[:len(word)+1+len(unit)]
	}
	return word
}

// visible is how many columns a line takes: colours take none.
func visible(s string) int {
	n := 0
	for {
		before, rest, found := strings.Cut(s, "\x1b[")
		n += utf8.RuneCountInString(before)
		if !found {
			return n
		}
		_, s, _ = strings.Cut(rest, "m")
	}
}

// columns lays out rows of cells, two spaces apart; the last one is not padded.
func columns(rows [][]cell) []string {
	var width []int
	for _, r := range rows {
		for i, c := range r {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(c.text))
		}
	}
	out := make([]string, len(rows))
	for n, r := range rows {
		var b strings.Builder
		for i, c := range r {
			text, pad := c.text, strings.Repeat(" ", width[i]-utf8.RuneCountInString(c.text))
			if c.paint != nil {
				text = c.paint(text)
			}
			switch {
			case c.right:
				b.WriteString(pad + text)
			case i == len(r)-1:
				b.WriteString(text)
			default:
				b.WriteString(text + pad)
			}
			if i < len(r)-1 {
				b.WriteString("  ")
			}
		}
		out[n] = strings.TrimRight(b.String(), " ")
	}
	return out
}

// cleanAll cleans every line of a list.
func cleanAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = clean(s)
	}
	return out
}
