package conf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// explain adds to HCL's own diagnostic about an expression what the reader of
// this configuration needs: HCL says what is wrong, not what to do.
func (d *decoder) explain(g *hcl.Diagnostic, expr hclsyntax.Expression) *hcl.Diagnostic {
	out := *g
	// HCL's Subject is the right place; the expression is kept out, or its
	// writer would print variables that we have explained already.
	out.Expression, out.EvalContext = nil, nil
	if out.Subject == nil {
		r := expr.Range()
		out.Subject = &r
	}
	switch {
	case g.Summary == "Invalid index":
		d.explainIndex(&out, expr)
	case g.Summary == "Unknown variable", g.Summary == "Variables not allowed":
		out.Detail = d.explainVariable(g, expr)
	case g.Summary == "Unsupported attribute" && slices.ContainsFunc(expr.Variables(), isRouterName):
		d.explainRouter(&out, expr)
	case g.Summary == "Unsupported attribute" && d.explainCheck(&out, expr):
	case g.Summary == "Unsupported attribute" && usesNode(expr):
		out.Detail += " The only variable is node.name."
	case g.Summary == "Call to unknown function":
		out.Detail += " There are: " + strings.Join(functionNames(), ", ") + "."
	case g.Summary == "Error in function call":
		// "Call to function "env" failed: …." has the cause behind the colon.
		if i := strings.Index(g.Detail, "failed: "); i >= 0 {
			out.Summary = "Function failed"
			if call, ok := g.Extra.(hclsyntax.FunctionCallDiagExtra); ok {
				out.Summary = fmt.Sprintf("Function %s failed", call.CalledFunctionName())
			}
			out.Detail = capital(g.Detail[i+len("failed: "):])
		}
	}
	return &out
}

// explainVariable: most often somebody forgot the quotes.
func (d *decoder) explainVariable(g *hcl.Diagnostic, expr hclsyntax.Expression) string {
	name := ""
	for _, t := range expr.Variables() {
		if g.Subject == nil || t.RootName() != "" && t[0].SourceRange() == *g.Subject {
			name = t.RootName()
		}
	}
	switch {
	case name == "node" && d.node == "":
		return "The name of the node is what this block decides: it cannot be used here. Write it out, or take it from the environment with env(\"NAME\")."
	case name == "":
		return g.Detail
	}
	return fmt.Sprintf("There is no variable called %s; the only one is node.name. If the word itself is meant, put it in quotes: %q.", name, name)
}

// isRouterName reports whether an expression names a block that others follow.
func isRouterName(t hcl.Traversal) bool {
	return t.RootName() == "virtual_router" || t.RootName() == "sync_group"
}

// explainRouter makes virtual_router.NAME, or sync_group.NAME, without such a block
// a message that names the blocks there are.
func (d *decoder) explainRouter(g *hcl.Diagnostic, expr hclsyntax.Expression) {
	name, kind := "", "virtual_router"
	for _, t := range expr.Variables() {
		if !isRouterName(t) || g.Subject != nil && !t.SourceRange().ContainsOffset(g.Subject.Start.Byte) {
			continue
		}
		kind = t.RootName()
		if attr, ok := t[len(t)-1].(hcl.TraverseAttr); ok && len(t) == 2 {
			name = attr.Name
		}
	}
	if name == "" {
		what := map[string]string{"virtual_router": "A virtual router", "sync_group": "A sync group"}[kind]
		g.Detail = fmt.Sprintf("%s is named as %s.NAME, with nothing behind it.", what, kind)
		return
	}
	g.Summary = fmt.Sprintf("No %s %q", kind, name)
	names := keysOf(d.eval.Variables[kind])
	if near := nearest(name, names); near != "" {
		g.Detail = fmt.Sprintf("There is no such block. Did you mean %s.%s?", kind, near)
		return
	}
	if len(names) == 0 {
		g.Detail = "There is no such block in this configuration."
		return
	}
	g.Detail = fmt.Sprintf("There is no such block; there are: %s.", strings.Join(names, ", "))
}

// explainCheck does the same for check.KIND.NAME. It reports whether it could.
func (d *decoder) explainCheck(g *hcl.Diagnostic, expr hclsyntax.Expression) bool {
	name := ""
	for _, t := range expr.Variables() {
		if t.RootName() != "check" || len(t) != 3 || g.Subject != nil && !t.SourceRange().ContainsOffset(g.Subject.Start.Byte) {
			continue
		}
		kind, ok := t[1].(hcl.TraverseAttr)
		if last, also := t[2].(hcl.TraverseAttr); ok && also {
			name = kind.Name + "." + last.Name
		}
	}
	if name == "" {
		return false
	}
	var names []string
	all := d.eval.Variables["check"]
	for _, kind := range keysOf(all) {
		for _, n := range keysOf(all.GetAttr(kind)) {
			names = append(names, kind+"."+n)
		}
	}
	g.Summary = fmt.Sprintf("No check %q", name)
	switch near := nearest(name, names); {
	case near != "":
		g.Detail = fmt.Sprintf("There is no such block. Did you mean check.%s?", near)
	case len(names) == 0:
		g.Detail = "There is no check in this configuration."
	default:
		g.Detail = fmt.Sprintf("There is no such block; there are: %s.", strings.Join(names[:min(len(names), 20)], ", "))
	}
	return true
}

// explainIndex makes { web1 = … }[node.name] without an entry for this host a
// message that names the host, the entries and the ways out.
func (d *decoder) explainIndex(g *hcl.Diagnostic, expr hclsyntax.Expression) {
	if g.Subject == nil {
		return
	}
	var index *hclsyntax.IndexExpr
	hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics { //nolint:errcheck // the visitor never fails
		if i, ok := n.(*hclsyntax.IndexExpr); ok && i.BracketRange == *g.Subject {
			index = i
		}
		return nil
	})
	if index == nil {
		return
	}
	coll, bad := index.Collection.Value(d.eval)
	key, bad2 := index.Key.Value(d.eval)
	if bad.HasErrors() || bad2.HasErrors() || !key.IsKnown() || key.IsNull() || key.Type() != cty.String {
		return
	}
	keys := keysOf(coll)
	if len(keys) == 0 {
		return
	}
	k := key.AsString()
	r := index.Range()
	g.Subject = &r
	g.Summary = fmt.Sprintf("No entry for %q", k)
	g.Detail = fmt.Sprintf("There are entries for %s.", strings.Join(keys, ", "))
	if !usesNode(index.Key) {
		return
	}
	g.Detail = fmt.Sprintf("node.name is %q on this host, and there are entries for %s only. Add one (%s = …), or say which of them this host is: "+
		"node { name = %q }, or try another with backbeat check --node.", k, strings.Join(keys, ", "), quoteKey(k), keys[0])
}

// keysOf returns the sorted keys of a map or object, at most 20.
func keysOf(v cty.Value) []string {
	if v.IsNull() || !v.IsKnown() || !(v.Type().IsObjectType() || v.Type().IsMapType()) {
		return nil
	}
	var keys []string
	for it := v.ElementIterator(); it.Next(); {
		k, _ := it.Element()
		keys = append(keys, k.AsString())
	}
	slices.Sort(keys)
	if len(keys) > 20 {
		keys = append(keys[:20], "…")
	}
	return keys
}

// quoteKey quotes a map key where HCL wants that.
func quoteKey(k string) string {
	if hclsyntax.ValidIdentifier(k) {
		return k
	}
	return fmt.Sprintf("%q", k)
}

func usesNode(expr hclsyntax.Expression) bool {
	return slices.ContainsFunc(expr.Variables(), func(t hcl.Traversal) bool { return t.RootName() == "node" })
}

func functionNames() []string {
	var names []string
	for _, b := range builtins(nil) {
		if !slices.Contains(names, b.name) {
			names = append(names, b.name)
		}
	}
	slices.Sort(names)
	return names
}

func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
