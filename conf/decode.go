package conf

import (
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// decoder reads HCL bodies by the table. One is used for one Load, from one goroutine.
type decoder struct {
	*Diagnostics
	eval *hcl.EvalContext
	// node is node.name, for explanations; empty until it is known.
	node string
	// syntax is where the parser stumbled: what follows such a place may have
	// been skipped, so nothing is called missing there.
	syntax []hcl.Range
	// modes are the modes of the files, as far as they are known.
	modes map[string]fs.FileMode
	// others is where each route and rule was given.
	others map[string]hcl.Range
}

// section is a decoded block: every argument of its type has a value in it,
// the default where the file has none.
type section struct {
	def       *block
	name      string
	nameRange hcl.Range
	header    hcl.Range
	values    map[string]value
	sections  []*section
	// meant are arguments that are there under a wrong name, which was
	// reported: they are not missing as well.
	meant map[string]bool
}

func (s *section) get(name string) value { return s.values[name] }

// all returns the inner sections of one type, in the order of the file.
func (s *section) all(name string) []*section {
	var out []*section
	for _, c := range s.sections {
		if c.def.name == name {
			out = append(out, c)
		}
	}
	return out
}

// body decodes one body of type def into sec.
func (d *decoder) body(b *hclsyntax.Body, def *block, sec *section) {
	d.attributes(b, def, sec)
	d.inner(b.Blocks, def, sec)
	d.complete(b, def, sec)
}

// attributes decodes what is written in b; defaults come in complete.
func (d *decoder) attributes(b *hclsyntax.Body, def *block, sec *section) {
	sec.values = make(map[string]value, len(def.arguments))
	sec.meant = make(map[string]bool)
	for _, name := range inOrder(b.Attributes) {
		at := b.Attributes[name]
		arg := def.argument(name)
		if arg == nil {
			sec.meant[d.unknownArgument(at, def)] = true
			continue
		}
		sec.values[name] = d.value(arg, at)
	}
}

// inner decodes the blocks that def may contain.
func (d *decoder) inner(blocks hclsyntax.Blocks, def *block, sec *section) {
	first := make(map[string]hcl.Range)
	for _, b := range blocks {
		child := def.block(b.Type)
		if child == nil {
			d.unknownBlock(b, def, sec)
			sec.meant[b.Type] = true
			continue
		}
		if child.kind != "" {
			if child = d.ofKind(b, def); child == nil {
				continue
			}
		}
		if before, ok := first[b.Type]; ok && child.once {
			d.errorf(b.DefRange(), fmt.Sprintf("Second %s block", b.Type),
				"There may be only one here, and the first is at %s. Make one of the two.", place(before))
		} else {
			first[b.Type] = b.DefRange()
		}
		if s := d.open(b, child); s != nil {
			d.body(b.Body, child, s)
			sec.sections = append(sec.sections, s)
		}
	}
}

// ofKind selects by the first label. Nil means that it says nothing known.
func (d *decoder) ofKind(b *hclsyntax.Block, def *block) *block {
	kinds := def.kinds(b.Type)
	if len(b.Labels) == 0 {
		d.errorf(b.DefRange(), fmt.Sprintf("%s without kind and name", b.Type), "Write %s \"KIND\" \"NAME\" { … }. KIND is one of %s.", b.Type, strings.Join(kinds, ", "))
		return nil
	}
	child := def.ofKind(b.Type, b.Labels[0])
	if child != nil {
		return child
	}
	detail := fmt.Sprintf("There are: %s.", strings.Join(kinds, ", "))
	switch near := nearest(b.Labels[0], kinds); {
	case def.kindElsewhere(b.Type, b.Labels[0]) != "":
		detail = fmt.Sprintf("Here it is called %q. %s", def.kindElsewhere(b.Type, b.Labels[0]), detail)
	case b.Type == "check" && checkKindElsewhere[b.Labels[0]] != "":
		detail = fmt.Sprintf("Here it is called %q. %s", checkKindElsewhere[b.Labels[0]], detail)
	case b.Labels[0] == "https":
		detail = "An http check with a URL that begins with https:// is one: write check \"http\"."
	case b.Type == "check" && b.Labels[0] == "bfd":
		detail = "backbeat does not speak BFD. A check \"exec\" asks the daemon that does: see docs/checks.md. " + detail
	case near != "":
		detail = fmt.Sprintf("Did you mean %q? %s", near, detail)
	}
	d.errorf(b.LabelRanges[0], fmt.Sprintf("Unknown kind of %s %q", b.Type, b.Labels[0]), "%s", detail)
	return nil
}

// checkKindElsewhere are other words for kinds of check.
var checkKindElsewhere = map[string]string{"ping": "icmp", "ping6": "icmp", "script": "exec", "command": "exec", "cmd": "exec", "interface": "link", "nic": "link",
	"service": "systemd", "unit": "systemd", "port": "tcp", "url": "http", "proc": "process"}

// openKind checks the labels of a block with a kind.
func (d *decoder) openKind(b *hclsyntax.Block, def *block, s *section) {
	if len(b.Labels) != 2 {
		d.errorf(b.DefRange(), fmt.Sprintf("%s has a kind and a name", def.name), "Write %s { … }.", def.header())
		return
	}
	s.name, s.nameRange = b.Labels[1], b.LabelRanges[1]
	if why := badName(s.name); why != "" {
		d.errorf(s.nameRange, fmt.Sprintf("Unusable name for %s", def.name), "%s", why)
	}
}

// open begins a section: it checks the label. Nil means that it is of no use.
func (d *decoder) open(b *hclsyntax.Block, def *block) *section {
	s := &section{def: def, header: b.DefRange(), nameRange: b.DefRange()}
	want := 0
	if def.label != "" {
		want = 1
	}
	if def.kind != "" {
		d.openKind(b, def, s)
		return s
	}
	switch {
	case len(b.Labels) > want && want == 0:
		d.errorf(b.LabelRanges[0], fmt.Sprintf("%s has no name", def.name), "Write it without one: %s { … }.", def.header())
	case len(b.Labels) > want:
		d.errorf(b.LabelRanges[1], fmt.Sprintf("%s has one name", def.name), "Write %s { … }.", def.header())
	case len(b.Labels) < want:
		if def.address {
			d.errorf(b.DefRange(), fmt.Sprintf("%s of what?", def.name), "Write %s { … }.", def.header())
			break
		}
		d.errorf(b.DefRange(), fmt.Sprintf("%s without a name", def.name),
			"Give it a name by which people, the tool and hooks will know it: %s { … }.", def.header())
	case want == 1:
		s.name, s.nameRange = b.Labels[0], b.LabelRanges[0]
		if def.address {
			break // judged where it is read
		}
		if why := badName(s.name); why != "" {
			d.errorf(s.nameRange, fmt.Sprintf("Unusable name for %s", def.name), "%s", why)
		}
	}
	return s
}

// maxName bounds names of nodes, routers and hooks, in bytes (a host label has 63).
const maxName = 64

// badName says what is wrong with a name. Names appear in logs, in the
// environment of hooks, in metrics and on command lines, where blanks and
// control characters make trouble.
func badName(s string) string {
	ok := s != "" && len(s) <= maxName && s[0] != '-' && s[0] != '.'
	for _, c := range []byte(s) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.", c) >= 0)
	}
	if ok {
		return ""
	}
	return fmt.Sprintf("A name is made of 1–%d letters, digits, -, _ and . and does not begin with - or a point; this is %q.", maxName, s)
}

// complete adds defaults and reports what is missing, in one error per block.
func (d *decoder) complete(b *hclsyntax.Body, def *block, sec *section) {
	var missing, examples []string
	for i := range def.arguments {
		arg := &def.arguments[i]
		v, written := sec.values[arg.name]
		switch {
		case written && v.given():
		case arg.required && sec.meant[arg.name]:
			sec.values[arg.name] = value{at: sec.header}
		case arg.required:
			missing = append(missing, arg.name)
			examples = append(examples, arg.example)
			sec.values[arg.name] = value{at: sec.header}
		default:
			sec.values[arg.name] = d.defaultValue(arg, sec.header)
		}
	}
	if len(missing) == 0 || d.stumbled(b) {
		return
	}
	them := "it"
	if len(missing) > 1 {
		them = "them"
	}
	d.errorf(sec.header, fmt.Sprintf("Missing argument: %s", strings.Join(missing, ", ")),
		"%s needs %s. For example:\n    %s", sec.title(), them, strings.Join(examples, "\n    "))
}

// title names a section in a sentence.
func (s *section) title() string {
	if s.def.kind != "" {
		return fmt.Sprintf("%s %q %q", s.def.name, s.def.kind, s.name)
	}
	if s.name != "" {
		return fmt.Sprintf("%s %q", s.def.name, s.name)
	}
	return s.def.name
}

// stumbled reports whether the parser met a syntax error in b. After one it
// skips to what looks like the end of the block, so the error may also be just
// behind what it took for the end.
func (d *decoder) stumbled(b *hclsyntax.Body) bool {
	return slices.ContainsFunc(d.syntax, func(r hcl.Range) bool {
		return r.Filename == b.SrcRange.Filename && r.End.Byte >= b.SrcRange.Start.Byte && r.Start.Byte <= b.EndRange.End.Byte
	})
}

// unknownArgument reports a name and returns the one that was meant, or "".
func (d *decoder) unknownArgument(at *hclsyntax.Attribute, def *block) string {
	if def.block(at.Name) != nil {
		d.errorf(at.NameRange, fmt.Sprintf("%s is a block", at.Name),
			"Write it without the equals sign:\n    %s { … }", def.block(at.Name).header())
		return at.Name
	}
	var names []string
	for _, a := range def.arguments {
		if slices.Contains(a.elsewhere, at.Name) {
			d.errorf(at.NameRange, unknown("argument", at.Name), "Here it is called %s:\n    %s", a.name, a.converted(at.Expr))
			return a.name
		}
		names = append(names, a.name)
	}
	if why := def.needless[at.Name]; why != "" {
		d.errorf(at.NameRange, unknown("argument", at.Name), "%s", why)
		return ""
	}
	d.errorf(at.NameRange, unknown("argument", at.Name), "%s", d.expect("argument", at.Name, names, def))
	return nearest(at.Name, names)
}

// converted is the line that takes the place of another program's: with the
// value that stands there, if it is a plain number, else the example. Other
// programs write times in seconds.
func (a *argument) converted(expr hclsyntax.Expression) string {
	if monsterIn(expr) != nil || a.secret {
		return a.example
	}
	raw, diags := expr.Value(nil)
	if diags.HasErrors() || raw.IsNull() || !raw.IsKnown() {
		return a.example
	}
	n, err := convert.Convert(raw, cty.Number)
	if err != nil {
		return a.example
	}
	f, _ := n.AsBigFloat().Float64()
	switch {
	case a.kind == duration && f >= 0 && f <= a.longest.Seconds():
		return fmt.Sprintf("%s = %q", a.name, strconv.FormatFloat(f, 'f', -1, 64)+"s")
	case a.kind == number && f == math.Trunc(f) && f >= float64(a.min) && f <= float64(a.max):
		return fmt.Sprintf("%s = %.0f", a.name, f)
	}
	return a.example
}

func (d *decoder) unknownBlock(b *hclsyntax.Block, def *block, sec *section) {
	if a := def.argument(b.Type); a != nil {
		d.errorf(b.DefRange(), fmt.Sprintf("%s is not a block", b.Type), "Write it with an equals sign:\n    %s", a.example)
		return
	}
	for i := range def.arguments {
		if a := &def.arguments[i]; slices.Contains(a.elsewhere, b.Type) {
			d.errorf(b.TypeRange, unknown("block", b.Type), "Here it is an argument called %s:\n    %s", a.name, a.example)
			sec.meant[a.name] = true
			return
		}
	}
	var names []string
	for i := range def.blocks {
		if slices.Contains(def.blocks[i].elsewhere, b.Type) {
			d.errorf(b.TypeRange, unknown("block", b.Type), "Here it is called %s:\n    %s { … }", def.blocks[i].name, def.blocks[i].header())
			return
		}
		if !slices.Contains(names, def.blocks[i].name) {
			names = append(names, def.blocks[i].name)
		}
	}
	d.errorf(b.TypeRange, unknown("block", b.Type), "%s", d.expect("block", b.Type, names, def))
}

func unknown(what, name string) string { return fmt.Sprintf("Unknown %s %q", what, name) }

// expect says what could have been meant, or what there is.
func (d *decoder) expect(what, name string, names []string, def *block) string {
	where := "at the top of a file"
	if def.name != "" {
		where = "in " + def.name
	}
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf("There is no such %s %s. Did you mean %q?", what, where, near)
	}
	if len(names) == 0 {
		return fmt.Sprintf("There are no %ss %s. Remove it.", what, where)
	}
	slices.Sort(names)
	return fmt.Sprintf("There is no such %s %s; there are: %s.", what, where, strings.Join(names, ", "))
}

// nearest returns the name that name is a misspelling of, or "". Up to two
// edits (HCL's own limit), but never more than half of the word.
func nearest(name string, names []string) string {
	if len(name) > 2*maxName {
		return "" // the distance costs time with the square of the length
	}
	best, dist := "", 3
	for _, n := range names {
		if l := levenshtein.Distance(strings.ToLower(name), n, nil); l < dist && l*2 <= len(n) {
			best, dist = n, l
		}
	}
	return best
}

// inOrder returns the names of attributes in the order of the text.
func inOrder(m hclsyntax.Attributes) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		return m[a].SrcRange.Start.Byte - m[b].SrcRange.Start.Byte
	})
	return names
}

// evaluate computes an expression. The second result is false when that
// failed (and was reported), or when it hangs on something that was reported.
func (d *decoder) evaluate(expr hclsyntax.Expression) (cty.Value, bool) {
	if at := monsterIn(expr); at != nil {
		d.monster(*at)
		return cty.NilVal, false
	}
	v, diags := expr.Value(d.eval)
	for _, g := range diags {
		d.list = append(d.list, d.explain(g, expr))
	}
	if diags.HasErrors() {
		return cty.NilVal, false
	}
	v, _ = v.UnmarkDeep()
	if hasMonster(v) {
		d.monster(expr.Range())
		return cty.NilVal, false
	}
	return v, v.IsWhollyKnown()
}
