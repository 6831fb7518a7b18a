package conf

import (
	"errors"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// maxExponent bounds the numbers of the language, in binary digits. No
// argument comes near it; but HCL has numbers of any size and turns them into
// text exactly, and 1e100000000 keeps it busy for hours. Found by FuzzLoad.
const maxExponent = 1024

// isMonster reports whether v is a number beyond maxExponent.
func isMonster(v cty.Value) bool {
	if v.Type() != cty.Number || !v.IsKnown() || v.IsNull() {
		return false
	}
	e := v.AsBigFloat().MantExp(nil)
	return e > maxExponent || e < -maxExponent
}

// hasMonster looks into lists and maps as well.
func hasMonster(v cty.Value) bool {
	found := false
	// The walk ends early by an error, and has no other.
	_ = cty.Walk(v, func(_ cty.Path, e cty.Value) (bool, error) {
		if isMonster(e) {
			found = true
			return false, errors.New("found")
		}
		return true, nil
	})
	return found
}

// monsterIn returns where an expression is written with such a number, or nil.
func monsterIn(expr hclsyntax.Expression) *hcl.Range {
	var at *hcl.Range
	hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics { //nolint:errcheck // the visitor never fails
		if l, ok := n.(*hclsyntax.LiteralValueExpr); ok && isMonster(l.Val) {
			r := l.Range()
			at = &r
		}
		return nil
	})
	return at
}

func (d *decoder) monster(at hcl.Range) {
	d.errorf(at, "Number out of all range", "Nothing here takes a number of this size. Correct it.")
}

// toNumber is the function tonumber: cty's conversion with a bound.
func toNumber() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType}},
		Type:   function.StaticReturnType(cty.Number),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v, err := convert.Convert(args[0], cty.Number)
			switch {
			case err != nil:
				return cty.NilVal, function.NewArgErrorf(0, "%s is not a number", friendly(args[0]))
			case isMonster(v):
				return cty.NilVal, function.NewArgErrorf(0, "the number is out of all range")
			}
			return v, nil
		},
	})
}
