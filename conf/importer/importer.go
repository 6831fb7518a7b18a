// Package importer turns the configuration of other programs into ours: text in,
// HCL text out, together with notes about what is different here and what was
// not translated. It reads no file and knows nothing of this host.
//
// The result is meant to be read by a person before it is used, so what was not
// translated is in it as a comment, at the place where it would belong.
package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// Source is one file of another program.
type Source struct {
	// Name is what notes call it.
	Name string
	Text []byte
}

// Note is something that a person should know about the translation.
type Note struct {
	File string
	// Line counts from 1; 0 if the note is about the whole.
	Line int
	Text string
	// Missing: something was not translated and has no counterpart in the result.
	Missing bool
}

// String returns the note as one line: "keepalived.conf:12: not translated: …".
func (n Note) String() string {
	where := n.File + ": "
	if n.Line > 0 {
		where = fmt.Sprintf("%s:%d: ", n.File, n.Line)
	}
	if n.Missing {
		where += "not translated: "
	}
	return where + n.Text
}

// Result is a translation.
type Result struct {
	// HCL is a configuration.
	HCL string
	// Notes are in the order of the files' lines.
	Notes []Note
	// Nodes are the hosts that the result is for, by their names; empty: for the
	// host whose file it was.
	Nodes []string
}

// Missing counts what was not translated.
func (r *Result) Missing() (n int) {
	for _, x := range r.Notes {
		if x.Missing {
			n++
		}
	}
	return n
}

// writer collects HCL and notes.
type writer struct {
	strings.Builder
	file  string
	notes []Note
}

// line writes one argument; value is HCL.
func (w *writer) line(name, value string) { fmt.Fprintf(w, "%s = %s\n", name, value) }

// comment writes lines of comment.
func (w *writer) comment(format string, args ...any) {
	for l := range strings.SplitSeq(strings.TrimSpace(fmt.Sprintf(format, args...)), "\n") {
		fmt.Fprintf(w, "# %s\n", printable(l))
	}
}

// note tells of a difference, only in the notes.
func (w *writer) note(line int, format string, args ...any) {
	if n := (Note{File: w.file, Line: line, Text: printable(fmt.Sprintf(format, args...))}); !slices.Contains(w.notes, n) {
		w.notes = append(w.notes, n)
	}
}

// missing tells of what was not translated, in the notes and as a comment here.
func (w *writer) missing(line int, format string, args ...any) {
	n := Note{File: w.file, Line: line, Text: printable(fmt.Sprintf(format, args...)), Missing: true}
	if slices.Contains(w.notes, n) {
		return // about all groups, and said at the first
	}
	w.notes = append(w.notes, n)
	w.comment("%s", n)
}

// result formats what was written.
func (w *writer) result() Result {
	slices.SortStableFunc(w.notes, func(a, b Note) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line)) })
	text := strings.TrimSpace(w.String()) + "\n"
	for strings.Contains(text, "\n\n\n") {
		text = strings.ReplaceAll(text, "\n\n\n", "\n\n")
	}
	return Result{HCL: string(hclwrite.Format([]byte(strings.ReplaceAll(text, "\n\n}", "\n}")))), Notes: w.notes}
}

// quote writes a string as HCL has it.
func quote(s string) string {
	return string(hclwrite.TokensForValue(cty.StringVal(printable(s))).Bytes())
}

// list writes a list of strings.
func list(texts []string) string {
	q := make([]string, len(texts))
	for i, s := range texts {
		q[i] = quote(s)
	}
	return "[" + strings.Join(q, ", ") + "]"
}

// printable keeps what is no text out of comments, terminals and HCL.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r == '\ufffd' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// reference names a block in an expression: virtual_router.web, or its name as a
// string where that is no identifier.
func reference(kind, name string) string {
	if hclsyntax.ValidIdentifier(name) {
		return kind + "." + name
	}
	return quote(name)
}

// names gives blocks names that the configuration accepts, each once.
type names map[string]bool

func (n names) make(text string) string {
	clean := strings.TrimLeft(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r) {
			return r
		}
		return '_'
	}, text), "-.")
	if clean == "" {
		clean = "x"
	}
	clean = clean[:min(len(clean), 56)] // leaves room for a number and for .ipv4
	name := clean
	for i := 2; n[name]; i++ {
		name = fmt.Sprintf("%s-%d", clean, i)
	}
	n[name] = true
	return name
}

// shellWords splits a command as a shell would, as far as quotes go. ok is false
// if the text needs a shell to be understood.
func shellWords(s string) (words []string, ok bool) {
	var word strings.Builder
	in, quoted := false, rune(0)
	ok = true
	for _, r := range s {
		switch {
		case quoted != 0 && r == quoted:
			quoted = 0
		case quoted != 0:
			word.WriteRune(r)
			ok = ok && !(quoted == '"' && strings.ContainsRune("$`\\", r))
		case r == '\'' || r == '"':
			quoted, in = r, true
		case r == ' ' || r == '\t':
			if in {
				words = append(words, word.String())
				word.Reset()
				in = false
			}
		default:
			ok = ok && !strings.ContainsRune("|&;<>()$`\\*?[]#~!{}", r)
			word.WriteRune(r)
			in = true
		}
	}
	if in {
		words = append(words, word.String())
	}
	return words, ok && quoted == 0
}
