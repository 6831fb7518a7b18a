package conf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/mitchellh/go-wordwrap"
)

// Diagnostics is everything Load or CheckPair has to say, together with the
// texts it is about. The zero value is empty and usable.
type Diagnostics struct {
	list  hcl.Diagnostics
	files map[string]*hcl.File
	// routers is where each virtual_router block begins.
	routers map[string]hcl.Range
	// placed are the addresses of each virtual router, and where they are written.
	placed map[string][]placedAddress
	// serviceAt is where each service_group block begins.
	serviceAt map[string]hcl.Range
	// secrets are the parts of the files that no message may show.
	secrets []hcl.Range
	// unsearched are files whose secrets have not been looked for yet.
	unsearched []Source
	// lists are the lists of the files: what is wrong with thousands of elements
	// is said of the first few.
	lists []hcl.Range
	// programs is where the program of each hook's command stands, and of each
	// check's and step's: HookPlace says under which names.
	programs map[hookKey]hcl.Range
}

type hookKey struct{ router, hook string }

// Diagnostic is one error or warning in plain words; its JSON form is what
// `--output json` prints.
type Diagnostic struct {
	// Severity is "error" or "warning".
	Severity string `json:"severity"`
	// File, Line and Column say where; Line and Column count from 1, and are 0
	// (File is empty) where a diagnostic has no place.
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	// Summary is what is wrong, Detail what to do.
	Summary string `json:"summary"`
	Detail  string `json:"detail"`
	// SourceLine is the line of the file, without its end; of a very long one the beginning.
	SourceLine string `json:"source_line"`
}

// String returns the diagnostic as one line for a log:
// "web.hcl:4:3: error: Unknown argument: …".
func (d Diagnostic) String() string {
	where := ""
	if d.File != "" {
		where = fmt.Sprintf("%s:%d:%d: ", d.File, d.Line, d.Column)
	}
	return fmt.Sprintf("%s%s: %s: %s", where, d.Severity, d.Summary, strings.Join(strings.Fields(d.Detail), " "))
}

// Errors returns the number of errors.
func (d *Diagnostics) Errors() int { return d.count(hcl.DiagError) }

// Warnings returns the number of warnings.
func (d *Diagnostics) Warnings() int { return d.count(hcl.DiagWarning) }

// HasErrors reports whether the configuration must not be used.
func (d *Diagnostics) HasErrors() bool { return d.Errors() > 0 }

func (d *Diagnostics) count(s hcl.DiagnosticSeverity) int {
	n := 0
	if d != nil {
		for _, g := range d.list {
			if g.Severity == s {
				n++
			}
		}
	}
	return n
}

// Place returns where a virtual router is defined, as "file:line", or "" if it
// is not known. It serves messages that come later, when the text is long gone.
func (d *Diagnostics) Place(router string) string {
	if r, ok := d.routers[router]; ok {
		return place(r)
	}
	return ""
}

// HookPlace returns where the program of a hook's command is written, as
// "file:line", or "" if it is not known. A check's is that of hook "exec.NAME" of
// no router, a step's that of hook "exec.NAME.start" (stop, status) of
// "service_group.GROUP".
func (d *Diagnostics) HookPlace(router, hook string) string {
	if r, ok := d.programs[hookKey{router, hook}]; ok {
		return place(r)
	}
	return ""
}

// WarnHook adds a warning about a hook's command, for what only the host can
// tell (run.VerifyFor). It is shown at the program in the text, if that is known.
func (d *Diagnostics) WarnHook(router, hook, summary, detail string) {
	var at *hcl.Range
	if r, ok := d.programs[hookKey{router, hook}]; ok {
		at = &r
	}
	d.add(hcl.DiagWarning, at, summary, detail)
}

// WarnAddress adds a warning about an address of a virtual router, for what only the
// host can tell. It is shown at the address in the text.
func (d *Diagnostics) WarnAddress(router string, a netip.Addr, summary, detail string) {
	var at *hcl.Range
	for i := range d.placed[router] {
		if p := &d.placed[router][i]; p.Prefix.Addr() == a {
			at = &p.at
			break
		}
	}
	d.add(hcl.DiagWarning, at, summary, detail)
}

// Once drops from each of several what an earlier one has said in the same words
// of the same place: hosts that read one file have most of it in common.
func Once(all []*Diagnostics) {
	type key struct {
		severity hcl.DiagnosticSeverity
		at       hcl.Range
		text     string
	}
	said := make(map[key]int) // by which of all
	for i, d := range all {
		d.list = slices.DeleteFunc(d.list, func(g *hcl.Diagnostic) bool {
			k := key{severity: g.Severity, text: g.Summary + "\x00" + g.Detail}
			if g.Subject != nil {
				k.at = *g.Subject
			}
			first, again := said[k]
			if !again {
				said[k] = i
			}
			return again && first != i
		})
	}
}

// ServicePlace returns where a service group is defined, as "file:line", or ""
// if it is not known.
func (d *Diagnostics) ServicePlace(group string) string {
	if r, ok := d.serviceAt[group]; ok {
		return place(r)
	}
	return ""
}

func place(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

// List returns the diagnostics in the order of the text.
func (d *Diagnostics) List() []Diagnostic {
	out := make([]Diagnostic, 0, len(d.list)) // never nil: JSON wants [], not null
	for _, g := range d.list {
		p := Diagnostic{Severity: severity(g), Summary: g.Summary, Detail: g.Detail}
		if g.Subject != nil {
			p.File, p.Line, p.Column = g.Subject.Filename, g.Subject.Start.Line, g.Subject.Start.Column
			line, _, _ := d.sourceLine(g.Subject)
			p.SourceLine = string(line[:min(len(line), maxLine)])
		}
		out = append(out, p)
	}
	return out
}

// MarshalJSON encodes List.
func (d *Diagnostics) MarshalJSON() ([]byte, error) { return json.Marshal(d.List()) }

func severity(g *hcl.Diagnostic) string {
	if g.Severity == hcl.DiagError {
		return "error"
	}
	return "warning"
}

// sourceLine returns the line on which r begins, and which part of it r covers.
// The part may go beyond the end of the line.
func (d *Diagnostics) sourceLine(r *hcl.Range) (line []byte, offset, length int) {
	f := d.files[r.Filename]
	if f == nil || r.Start.Byte < 0 || r.Start.Byte > len(f.Bytes) {
		return nil, 0, 0
	}
	begin := bytes.LastIndexByte(f.Bytes[:r.Start.Byte], '\n') + 1
	line = f.Bytes[begin:]
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	line = bytes.TrimSuffix(line, []byte{'\r'})
	offset, length = r.Start.Byte-begin, len(line)
	if r.End.Line == r.Start.Line {
		length = r.End.Byte - r.Start.Byte
	}
	line, hidden := d.masked(r.Filename, line, begin)
	if hidden >= 0 && offset+length > hidden {
		// Marks of the true length would tell how long the secret is.
		offset, length = min(offset, hidden), len(stars)+hidden-min(offset, hidden)
	}
	return line, offset, length
}

// Escape sequences of the coloured form.
const (
	red    = "\x1b[1;31m"
	yellow = "\x1b[1;33m"
	dim    = "\x1b[2m"
	plain  = "\x1b[0m"
)

// WriteText writes the diagnostics for people: severity and summary, file,
// line and column with the block, the source line with the place marked, and
// the remedy. width wraps the remedy, in columns; 0 leaves it alone. It is
// close to hcl.NewDiagnosticTextWriter, which shows neither the column nor,
// without colour, which part of the line is meant.
func (d *Diagnostics) WriteText(w io.Writer, width uint, color bool) error {
	var b strings.Builder
	for i, g := range d.list {
		if i > 0 {
			b.WriteByte('\n')
		}
		d.writeOne(&b, g, width, color)
	}
	_, err := io.WriteString(w, b.String())
	if err != nil {
		return fmt.Errorf("write diagnostics: %w", err)
	}
	return nil
}

func (d *Diagnostics) writeOne(b *strings.Builder, g *hcl.Diagnostic, width uint, color bool) {
	paint := func(code, s string) string {
		if color {
			return code + s + plain
		}
		return s
	}
	if g.Severity == hcl.DiagError {
		b.WriteString(paint(red, "Error"))
	} else {
		b.WriteString(paint(yellow, "Warning"))
	}
	fmt.Fprintf(b, ": %s\n", visible(g.Summary))
	if g.Subject != nil {
		fmt.Fprintf(b, "  %s:%d:%d%s\n", visible(g.Subject.Filename), g.Subject.Start.Line, g.Subject.Start.Column, d.within(g.Subject))
		if line, off, n := d.sourceLine(g.Subject); len(line) > 0 {
			text, marks := snippet(line, off, n)
			number := fmt.Sprintf("%5d", g.Subject.Start.Line)
			fmt.Fprintf(b, "%s %s\n%s %s\n", paint(dim, number+" |"), text, paint(dim, "      |"), paint(red, marks))
		}
	}
	if g.Detail != "" {
		detail := visible(g.Detail)
		if width > 10 {
			detail = wordwrap.WrapString(detail, width-2)
		}
		for _, l := range strings.Split(strings.TrimRight(detail, "\n"), "\n") {
			fmt.Fprintf(b, "  %s\n", l)
		}
	}
}

// within names the block around r, ", in virtual_router \"web\"", unless the
// source line says it anyway.
func (d *Diagnostics) within(r *hcl.Range) string {
	f := d.files[r.Filename]
	if f == nil {
		return ""
	}
	nav, ok := f.Nav.(interface{ ContextString(offset int) string })
	if !ok {
		return ""
	}
	line, _, _ := d.sourceLine(r)
	if s := nav.ContextString(r.Start.Byte); s != "" && !isSecretName(strings.Fields(s)[0]) && !bytes.HasPrefix(bytes.TrimSpace(line), []byte(s)) {
		return ", in " + visible(s)
	}
	return ""
}

// maxSnippet is how much of a long source line is shown, in bytes.
const maxSnippet = 160

// snippet returns a source line fit for a terminal and a line of marks below
// length bytes from off. Tabs stay tabs in both, so that they line up.
func snippet(line []byte, off, length int) (text, marks string) {
	off = min(off, len(line))
	length = max(min(length, len(line)-off), 0)
	cut := ""
	if off > maxSnippet/2 && len(line) > maxSnippet {
		line, off, cut = line[off-maxSnippet/2:], maxSnippet/2, "…"
	}
	end := ""
	if len(line) > maxSnippet {
		line, end = line[:maxSnippet], "…"
	}
	length = min(length, len(line)-off)
	before, covered := visible(string(line[:off])), visible(string(line[off:off+length]))
	blank := strings.Map(func(c rune) rune {
		if c == '\t' {
			return c
		}
		return ' '
	}, cut+before)
	n := max(1, len([]rune(strings.TrimRight(covered, " \t"))))
	return cut + before + covered + visible(string(line[off+length:])) + end, blank + strings.Repeat("^", n)
}

// visible replaces what could steer a terminal.
func visible(s string) string {
	return strings.Map(func(c rune) rune {
		if (c < ' ' && c != '\t' && c != '\n') || (c >= 0x7f && c < 0xa0) {
			return '\ufffd'
		}
		return c
	}, s)
}

// add appends a diagnostic.
func (d *Diagnostics) add(s hcl.DiagnosticSeverity, at *hcl.Range, summary, detail string) {
	d.list = append(d.list, &hcl.Diagnostic{Severity: s, Summary: summary, Detail: detail, Subject: at})
}

func (d *Diagnostics) errorf(at hcl.Range, summary, detail string, args ...any) {
	d.add(hcl.DiagError, &at, summary, fmt.Sprintf(detail, args...))
}

func (d *Diagnostics) warnf(at hcl.Range, summary, detail string, args ...any) {
	d.add(hcl.DiagWarning, &at, summary, fmt.Sprintf(detail, args...))
}

// settle puts the diagnostics into the order of the text and drops errors that
// share their place with an earlier one: HCL follows an unknown variable with
// "value must be known" at the same spot, which helps nobody.
func (d *Diagnostics) settle(order map[string]int) {
	type key struct {
		severity hcl.DiagnosticSeverity
		at       hcl.Range
		text     string
	}
	seen := make(map[key]bool, len(d.list))
	d.list = slices.DeleteFunc(d.list, func(g *hcl.Diagnostic) bool {
		if g.Subject == nil {
			return false
		}
		k := key{g.Severity, *g.Subject, ""}
		if g.Severity != hcl.DiagError {
			k.text = g.Summary + g.Detail // election = "both" reads a block twice
		}
		again := seen[k]
		seen[k] = true
		return again
	})
	slices.SortStableFunc(d.list, func(a, b *hcl.Diagnostic) int {
		switch {
		case a.Subject == nil && b.Subject == nil:
			return 0
		case a.Subject == nil:
			return -1
		case b.Subject == nil:
			return 1
		case a.Subject.Filename != b.Subject.Filename:
			return order[a.Subject.Filename] - order[b.Subject.Filename]
		default:
			return a.Subject.Start.Byte - b.Subject.Start.Byte
		}
	})
	d.shorten(order)
	d.abridge()
}
