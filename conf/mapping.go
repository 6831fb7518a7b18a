package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/backbeat-ha/backbeat/actions"
)

// convertMapping fills v with the elements of a map, sorted by name. What is
// null counts as left out. No message shows the value of a secret.
func (d *decoder) convertMapping(a *argument, raw cty.Value, expr hclsyntax.Expression, v *value) bool {
	if t := raw.Type(); !t.IsObjectType() && !t.IsMapType() {
		d.wrongKind(a, raw, v.at)
		return false
	}
	places, ok := d.keyPlaces(a, expr)
	for it := raw.ElementIterator(); it.Next(); {
		k, e := it.Element()
		name := k.AsString()
		at, known := places[name]
		if !known {
			at = v.at
		}
		if why := badOption(name, a.secret); why != "" {
			d.errorf(at, fmt.Sprintf("Unusable name in %s", a.name), "%s", why)
			ok = false
			continue
		}
		if e.IsNull() {
			continue
		}
		s, err := convert.Convert(e, cty.String)
		switch {
		case err != nil:
			d.errorf(at, fmt.Sprintf("%s of %s must be a string", name, a.name), "Write it like this:\n    %s", a.example)
			ok = false
			continue
		case strings.ContainsAny(s.AsString(), "\n\r\x00"):
			d.errorf(at, fmt.Sprintf("%s of %s has more than one line", name, a.name), "A value is one line of text.")
			ok = false
			continue
		}
		v.options = append(v.options, actions.Option{Name: name, Value: s.AsString(), Secret: a.secret})
		v.each = append(v.each, at)
	}
	return ok
}

// keyPlaces returns where each name of a plain map stands; a second one of a
// name, which HCL lets win in silence, is an error.
func (d *decoder) keyPlaces(a *argument, expr hclsyntax.Expression) (places map[string]hcl.Range, ok bool) {
	plain, isPlain := expr.(*hclsyntax.ObjectConsExpr)
	if !isPlain {
		return nil, true
	}
	ok = true
	places = make(map[string]hcl.Range, len(plain.Items))
	for _, item := range plain.Items {
		key, diags := item.KeyExpr.Value(d.eval)
		if diags.HasErrors() || !key.IsKnown() || key.IsNull() || key.Type() != cty.String {
			continue // a number for a name: convertMapping says so
		}
		name, at := key.AsString(), hcl.RangeBetween(item.KeyExpr.Range(), item.ValueExpr.Range())
		if before, again := places[name]; again {
			d.errorf(at, fmt.Sprintf("%s is given twice", name), "It is in this map already, at %s. Remove one of the two.", place(before))
			ok = false
		}
		places[name] = at
	}
	return places, ok
}

// badOption says what is wrong with the name of an agent's parameter, which
// becomes part of an environment variable or the beginning of a line.
func badOption(s string, secret bool) string {
	ok := s != "" && len(s) <= maxName
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		ok = ok && (letter || i > 0 && (c >= '0' && c <= '9' || c == '-'))
	}
	if ok {
		return ""
	}
	rule := fmt.Sprintf("A parameter's name is made of 1–%d letters, digits, - and _ and begins with a letter", maxName)
	if secret {
		return rule + ". Its value stands behind the equals sign."
	}
	return fmt.Sprintf("%s; this is %q.", rule, s)
}

// withSecrets joins the parameters of an agent and its secrets, sorted by name.
func (d *decoder) withSecrets(options, secrets value) []actions.Option {
	out := slices.Clone(options.options)
	for i := range out {
		if low := strings.ToLower(out[i].Name); strings.Contains(low, "pass") && !strings.HasSuffix(low, "_file") && !strings.HasSuffix(low, "_script") {
			out[i].Secret = true
			d.warnf(options.each[i], fmt.Sprintf("%s looks like a secret", out[i].Name), "Put it into secrets, best with the file that has it: secrets = { %s = \"file:/etc/backbeat/%s\" }", out[i].Name, out[i].Name)
		}
	}
	for i, s := range secrets.options {
		if slices.ContainsFunc(options.options, func(o actions.Option) bool { return o.Name == s.Name }) {
			d.errorf(secrets.each[i], fmt.Sprintf("%s is given twice", s.Name), "It is among the other parameters, too. Remove it there.")
			continue
		}
		if file, ok := strings.CutPrefix(s.Value, secretFile); ok && !strings.HasPrefix(file, "/") {
			d.errorf(secrets.each[i], fmt.Sprintf("The file of %s is not an absolute path", s.Name), "Write it from the root on: %s = \"file:/etc/backbeat/%s\".", s.Name, s.Name)
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b actions.Option) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
