package conf

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/backbeat-ha/backbeat/actions"
)

// value is an argument after conversion and range check. Only the field of the
// argument's kind is set.
type value struct {
	// ok: usable. A value that is not was reported, or is missing and reported.
	ok bool
	// written: it is in the file, and not null.
	written bool
	// null: it says null, which means the same as leaving it out.
	null bool
	// at is the expression; for a default, the header of the block.
	at hcl.Range

	text  string
	num   int
	yes   bool
	time  time.Duration
	texts []string
	// options are the elements of a mapping, sorted by name.
	options []actions.Option
	// each are the places of texts or options, element by element where the file
	// has a plain list or map, else the whole expression.
	each []hcl.Range
}

// given reports whether the file says something, be it wrong.
func (v value) given() bool { return !v.null }

// value evaluates and converts what the file says.
func (d *decoder) value(a *argument, at *hclsyntax.Attribute) value {
	v := value{at: at.Expr.Range()}
	evaluate := d.evaluate
	if a.secret || a.kind == mapping {
		evaluate = func(e hclsyntax.Expression) (cty.Value, bool) { return d.evaluateSecret(a, e) }
	}
	raw, ok := evaluate(at.Expr)
	switch {
	case !ok:
		if !d.HasErrors() {
			d.errorf(v.at, fmt.Sprintf("%s cannot be computed", a.name), "Its value hangs on something that is not known. Write it like this:\n    %s", a.example)
		}
		return v
	case raw.IsNull():
		v.null = true
		return v
	}
	v.written = true
	v.ok = d.convert(a, raw, at.Expr, &v)
	if a.secret {
		d.exposed(a, at)
	}
	return v
}

// defaultValue goes the same way as a written value; that every default can be
// converted is tested.
func (d *decoder) defaultValue(a *argument, header hcl.Range) value {
	v := value{at: header}
	var raw cty.Value
	switch def := a.def.(type) {
	case nil:
		return v
	case string:
		raw = cty.StringVal(def)
	case int:
		raw = cty.NumberIntVal(int64(def))
	case bool:
		raw = cty.BoolVal(def)
	default:
		panic(fmt.Sprintf("conf: default of %s has type %T", a.name, a.def))
	}
	v.ok = d.convert(a, raw, nil, &v)
	return v
}

// convert fills v and reports whether it could. expr is nil for a default.
func (d *decoder) convert(a *argument, raw cty.Value, expr hclsyntax.Expression, v *value) bool {
	switch a.kind {
	case number:
		return d.convertNumber(a, raw, v)
	case boolean:
		b, err := convert.Convert(raw, cty.Bool)
		if err != nil || b.IsNull() {
			d.wrongKind(a, raw, v.at)
			return false
		}
		v.yes = b.True()
		return true
	case duration:
		return d.convertDuration(a, raw, v)
	case texts, words:
		return d.convertList(a, raw, expr, v)
	case mapping:
		return d.convertMapping(a, raw, expr, v)
	}
	s, err := convert.Convert(raw, cty.String)
	if err != nil || s.IsNull() {
		d.wrongKind(a, raw, v.at)
		return false
	}
	v.text = s.AsString()
	if a.kind == word {
		return d.oneOf(a, v.text, v.at)
	}
	return true
}

// wrongKind reports a value of another type.
func (d *decoder) wrongKind(a *argument, raw cty.Value, at hcl.Range) {
	if a.secret {
		d.errorf(at, fmt.Sprintf("%s must be %s", a.name, a.kind), "Write it like this:\n    %s", a.example)
		return
	}
	if len(a.names) > 0 {
		d.errorf(at, fmt.Sprintf("%s must be a word or a number", a.name), "It takes %s, and this is %s.", strings.ReplaceAll(a.rangeText(), "`", ""), friendly(raw))
		return
	}
	d.errorf(at, fmt.Sprintf("%s must be %s", a.name, a.kind), "This is %s. Write it like this:\n    %s", friendly(raw), a.example)
}

// decimal prints a number for people. big.Float prints 1e1000000 exactly, which
// takes a tenth of a second, and 1e100000000 for ever.
func decimal(f *big.Float) string {
	n, _ := f.Float64()
	switch {
	case math.IsInf(n, 0):
		return "huge"
	case n == 0 && f.Sign() != 0:
		return "tiny"
	}
	return strconv.FormatFloat(n, 'g', 10, 64)
}

// friendly describes a value that is not what it should be.
func friendly(v cty.Value) string {
	t := v.Type()
	switch {
	case v.IsNull():
		return "null"
	case t == cty.String && v.IsKnown():
		return fmt.Sprintf("the string %q", v.AsString())
	case t == cty.Number && v.IsKnown():
		return "the number " + decimal(v.AsBigFloat())
	case t.IsObjectType() || t.IsMapType():
		return "a map (did you mean to select from it, { … }[node.name]?)"
	case t.IsTupleType() || t.IsListType() || t.IsSetType():
		return "a list"
	default:
		return t.FriendlyName()
	}
}

func (d *decoder) convertNumber(a *argument, raw cty.Value, v *value) bool {
	if len(a.names) > 0 && raw.Type() == cty.String && raw.IsKnown() && !raw.IsNull() {
		if num, ok := a.names[raw.AsString()]; ok {
			v.num = num
			return true
		}
	}
	n, err := convert.Convert(raw, cty.Number)
	if err != nil || n.IsNull() {
		d.wrongKind(a, raw, v.at)
		return false
	}
	f := n.AsBigFloat()
	if !f.IsInt() && !f.IsInf() {
		d.wrongKind(a, raw, v.at)
		return false
	}
	// Compared before it is converted: 1e1000000 is a number, too.
	if f.Cmp(big.NewFloat(float64(a.min))) < 0 || f.Cmp(big.NewFloat(float64(a.max))) > 0 {
		d.outOfRange(a, decimal(f), v.at)
		return false
	}
	i, _ := f.Int64()
	v.num = int(i)
	return true
}

func (d *decoder) outOfRange(a *argument, got string, at hcl.Range) {
	detail := fmt.Sprintf("It takes %s, and this is %s.", strings.ReplaceAll(a.rangeText(), "`", ""), got)
	if a.why != "" {
		detail += " " + a.why
	}
	d.errorf(at, fmt.Sprintf("%s is out of range", a.name), "%s", detail)
}

func (d *decoder) convertDuration(a *argument, raw cty.Value, v *value) bool {
	s, err := convert.Convert(raw, cty.String)
	if err != nil || s.IsNull() {
		d.wrongKind(a, raw, v.at)
		return false
	}
	t, err := time.ParseDuration(strings.TrimSpace(s.AsString()))
	if err != nil {
		if _, bare := big.NewFloat(0).SetString(s.AsString()); bare {
			d.errorf(v.at, fmt.Sprintf("%s has no unit", a.name),
				"%s what? Write a string with a unit (ms, s, m, h): \"%ss\" or \"%sms\".", s.AsString(), s.AsString(), s.AsString())
			return false
		}
		d.wrongKind(a, raw, v.at)
		return false
	}
	if t == 0 && a.zero {
		return true
	}
	if t < a.shortest || t > a.longest {
		d.outOfRange(a, short(t), v.at)
		return false
	}
	if a.step > 0 && t%a.step != 0 {
		below := t.Truncate(a.step)
		d.errorf(v.at, fmt.Sprintf("%s is not a multiple of %s", a.name, a.step),
			"%s lies between two possible values: write %q or %q. %s", short(t), short(below), short(below+a.step), a.why)
		return false
	}
	v.time = t
	return true
}

func (d *decoder) convertList(a *argument, raw cty.Value, expr hclsyntax.Expression, v *value) bool {
	if t := raw.Type(); !t.IsTupleType() && !t.IsListType() && !t.IsSetType() {
		if t == cty.String {
			if words := strings.Fields(raw.AsString()); a.limits == commandLimits && len(words) > 1 && !strings.ContainsAny(raw.AsString(), "'\"`|;&<>$\\*") {
				d.errorf(v.at, fmt.Sprintf("%s must be %s", a.name, a.kind), "There is no shell: the program and each of its arguments are elements:\n    %s = %s", a.name, quotedList(words))
				return false
			}
			d.errorf(v.at, fmt.Sprintf("%s must be %s", a.name, a.kind), "Put it in brackets, also when there is only one:\n    %s", a.example)
			return false
		}
		d.wrongKind(a, raw, v.at)
		return false
	}
	elements := raw.AsValueSlice()
	places := elementRanges(expr, len(elements), v.at)
	if expr != nil {
		d.lists = append(d.lists, v.at)
	}
	ok := true
	for i, e := range elements {
		s, err := convert.Convert(e, cty.String)
		if err != nil || s.IsNull() {
			d.errorf(places[i], fmt.Sprintf("%s must be %s", a.name, a.kind), "Element %d is %s. Write it like this:\n    %s", i+1, friendly(e), a.example)
			ok = false
			continue
		}
		if a.kind == words && !d.oneOf(a, s.AsString(), places[i]) {
			ok = false
			continue
		}
		v.texts = append(v.texts, s.AsString())
		v.each = append(v.each, places[i])
	}
	if len(elements) == 0 && !a.empty {
		d.errorf(v.at, fmt.Sprintf("%s is empty", a.name), "It needs at least one element:\n    %s", a.example)
		ok = false
	}
	return ok
}

// quotedList writes a list as the file would have it.
func quotedList(words []string) string {
	q := make([]string, len(words))
	for i, w := range words {
		q[i] = strconv.Quote(w)
	}
	return "[" + strings.Join(q, ", ") + "]"
}

// elementRanges returns where each of n elements stands: in a plain list each
// for itself, in a computed one all at the expression.
func elementRanges(expr hclsyntax.Expression, n int, whole hcl.Range) []hcl.Range {
	out := make([]hcl.Range, n)
	list, plain := expr.(*hclsyntax.TupleConsExpr)
	for i := range out {
		out[i] = whole
		if plain && len(list.Exprs) == n {
			out[i] = list.Exprs[i].Range()
		}
	}
	return out
}

func (d *decoder) oneOf(a *argument, s string, at hcl.Range) bool {
	if slices.Contains(a.words, s) {
		return true
	}
	detail := fmt.Sprintf("It takes %s.", orList(a.words))
	if near := nearest(s, a.words); near != "" {
		detail = fmt.Sprintf("Did you mean %q? %s", near, detail)
	}
	d.errorf(at, fmt.Sprintf("%s does not know %q", a.name, s), "%s", detail)
	return false
}
