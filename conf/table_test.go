package conf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/backbeat-ha/backbeat/actions"
)

// TestReference: docs/configuration.md is what the table says.
func TestReference(t *testing.T) {
	var b strings.Builder
	if err := WriteReference(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "../docs/configuration.md", b.String())
}

// visit walks all blocks of the table.
func visit(b *block, f func(*block)) {
	f(b)
	for i := range b.blocks {
		visit(&b.blocks[i], f)
	}
}

func testDecoder() *decoder {
	return &decoder{
		Diagnostics: &Diagnostics{},
		eval: &hcl.EvalContext{
			Functions: functionTable(nil),
			Variables: map[string]cty.Value{"node": cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal("web1")}),
				"virtual_router": cty.ObjectVal(map[string]cty.Value{"inside": cty.StringVal("inside"), "outside": cty.StringVal("outside")}),
				"sync_group":     cty.EmptyObjectVal,
				"check": cty.ObjectVal(map[string]cty.Value{"http": cty.ObjectVal(map[string]cty.Value{"site": cty.StringVal("http.site")}),
					"tcp": cty.ObjectVal(map[string]cty.Value{"db": cty.StringVal("tcp.db")})})},
		},
	}
}

// TestTableIsSound: every row has its words, its default is a value it accepts,
// and its example is one, too.
func TestTableIsSound(t *testing.T) {
	visit(language(), func(b *block) {
		taken := make(map[string]string)
		for i := range b.arguments {
			a := &b.arguments[i]
			if a.doc == "" || a.example == "" || !strings.HasSuffix(a.doc, ".") && !strings.HasSuffix(a.doc, "`.") {
				t.Errorf("%s.%s: no doc or example, or no full stop", b.name, a.name)
			}
			if a.required && a.def != nil {
				t.Errorf("%s.%s: required, and a default", b.name, a.name)
			}
			if (a.kind == word || a.kind == words) && len(a.words) == 0 {
				t.Errorf("%s.%s: no words", b.name, a.name)
			}
			for _, n := range append(a.elsewhere, a.name) {
				if taken[n] != "" {
					t.Errorf("%s: %s and %s both go by %s", b.name, taken[n], a.name, n)
				}
				taken[n] = a.name
			}
			d := testDecoder()
			if v := d.defaultValue(a, hcl.Range{}); a.def != nil && !v.ok {
				t.Errorf("%s.%s: its default is refused: %v", b.name, a.name, d.list)
			}
			f, diags := hclsyntax.ParseConfig([]byte(a.example+"\n"), "example", hcl.InitialPos)
			if diags.HasErrors() {
				t.Errorf("%s.%s: example: %v", b.name, a.name, diags)
				continue
			}
			at := f.Body.(*hclsyntax.Body).Attributes[a.name]
			if at == nil {
				t.Errorf("%s.%s: the example is about something else: %s", b.name, a.name, a.example)
				continue
			}
			if a.name == "name" || a.name == "auth_pass" {
				continue // env and the like
			}
			if v := d.value(a, at); !v.ok {
				t.Errorf("%s.%s: its example is refused: %v", b.name, a.name, d.list)
			}
		}
	})
}

// TestBlockExamples loads the example of each block where it belongs.
func TestBlockExamples(t *testing.T) {
	router := func(inner string) string {
		return "virtual_router \"x\" {\n  interface = \"eth9\"\n  vrid = 9\n  addresses = [\"10.9.9.9\"]\n" + inner + "\n}\n"
	}
	visit(language(), func(b *block) {
		text := b.example
		switch b.name {
		case "":
			return
		case "node":
			text += "\n" + router("")
		case "announce", "hook", "address", "route", "rule":
			text = router(text)
		case "ra":
			text = "virtual_router \"x\" {\n  interface = \"eth9\"\n  vrid = 9\n  virtual_mac = true\n  router_advertisements = \"on\"\n" +
				"  addresses = [\"fe80::9\"]\n" + text + "\n}\n"
		case "service_group":
			text += "\n" + serviceRouter
		case "safety", "fence", "step", "monitor":
			text = serviceExample(b, text)
		case "check":
			name := strings.Split(text, "\"")[3]
			text += "\n" + router(fmt.Sprintf("depends_on { check = check.%s.%s }", b.kind, name))
		case "depends_on":
			text = "check \"http\" \"site\" { url = \"http://127.0.0.1/\" }\n" + router(text)
		case "sync_group":
			for i, name := range []string{"inside", "outside"} {
				text += fmt.Sprintf("\nvirtual_router %q {\n  interface = \"eth%d\"\n  vrid = 9\n  addresses = [\"10.9.%d.9\"]\n}\n", name, i, i)
			}
		}
		if _, diags := Load([]Source{{Name: b.name, Text: []byte(text)}}, Options{Node: "web1"}); len(diags.List()) > 0 {
			t.Errorf("%s:\n%s", b.name, render(t, diags))
		}
	})
}

// serviceRouter is what the groups of examples follow.
const serviceRouter = "virtual_router \"inside\" {\n  interface = \"eth9\"\n  vrid = 9\n  addresses = [\"10.9.9.9\"]\n}\n"

// serviceExample puts a block of a service group where it belongs.
func serviceExample(b *block, text string) string {
	const step, accept = "step \"drbd\" \"x\" { resource = \"x\" }\n", "safety {\n  mode = \"none\"\n  accept_split_brain = true\n}\n"
	switch b.name {
	case "safety":
		text += "\n" + step
	case "fence":
		text = "safety {\n  mode = \"fence\"\n" + text + "\n}\n" + step
	case "monitor":
		text = accept + "step \"drbd\" \"x\" {\n  resource = \"x\"\n" + text + "\n}\n"
	case "step":
		switch b.kind {
		case "drbd", "filesystem", "postgresql", "redis":
			text = accept + text
		}
	}
	return "service_group \"g\" {\n  follows = virtual_router.inside\n" + text + "\n}\n" + serviceRouter
}

// TestFunctionExamples evaluates the example of each function.
func TestFunctionExamples(t *testing.T) {
	for _, f := range builtins(nil) {
		e, diags := hclsyntax.ParseExpression([]byte(f.example), f.name, hcl.InitialPos)
		if diags.HasErrors() {
			t.Errorf("%s: %v", f.example, diags)
			continue
		}
		d := testDecoder()
		d.eval.Functions = functionTable(env(map[string]string{"NAME": "value"}))
		if _, ok := d.evaluate(e); !ok {
			t.Errorf("%s: %v", f.example, d.list)
		}
		if f.doc == "" || !strings.HasPrefix(f.example, f.name+"(") {
			t.Errorf("%s: doc or example is missing", f.name)
		}
	}
}

// TestOccasionsAgree: the table's words are those of package actions.
func TestOccasionsAgree(t *testing.T) {
	var all actions.Occasion
	hook := language().block("virtual_router").block("hook")
	for _, w := range hook.argument("on").words {
		o, ok := actions.ParseOccasion(w)
		if !ok || o.String() != w {
			t.Errorf("package actions does not know %q", w)
		}
		all |= o
	}
	if want := actions.OnActive | actions.OnBackup | actions.OnInitialize | actions.OnFault; all != want {
		t.Errorf("the table has %v, package actions %v", all, want)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"interface", "interval", "vrid", "on", "owner"}
	for given, want := range map[string]string{
		"interfac": "interface", "intreval": "interval", "VRID": "vrid", "colour": "", "no": "", "onn": "on", "x": "",
	} {
		if got := nearest(given, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", given, got, want)
		}
	}
}
