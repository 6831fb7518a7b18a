package conf

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// everything is all that can be read of diagnostics, in every form.
func everything(t *testing.T, diags *Diagnostics) string {
	t.Helper()
	js, err := diags.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	all := render(t, diags) + string(js)
	for _, d := range diags.List() {
		all += d.String() + d.SourceLine
	}
	return all
}

// No message shows the password, whatever is wrong and wherever.
func TestSecretIsNeverShown(t *testing.T) {
	text, err := os.ReadFile("testdata/bad/secret.hcl")
	if err != nil {
		t.Fatal(err)
	}
	for _, src := range []string{
		string(text),
		router9(`version = 2`, `auth_pass = "hunter2"`, `addresses = ["10.0.0.1"]`),
		router9(`auth_pass = "hunter2" }}}`),
		router9(`auth_pass = upper("hunter2", 3)`),
		router9(`auth_pass = ["hunter2"] colour = 1`),
		"auth_pass = \"hunter2\"\n",
		// Without quotes, as keepalived has it.
		router9(`auth_pass = hunter2`),
		router9(`auth_pass = hunter2.x`),
		router9(`auth_pass = virtual_router.hunter2`),
		router9(`auth_pass = node.hunter2`),
		router9(`auth_pass hunter2`),
		router9(`auth_pass "hunter2"`),
		router9(`auth_pass: hunter2`),
		router9(`auth_pass "hunter2" {}`),
		router9(`auth_pass "hunter2" {`, `  x = = 1`, `}`),
		"auth_pass \"hunter2\" {\n  x = = 1\n}\n",
		router9(`auth_pass hunter2 {`, `  x = = 1`, `}`),
		router9(`authentication {`, `  auth_type PASS`, `  auth_pass hunter2`, `}`),
		router9(`authentication { auth_pass = "hunter2" }`),
		// Other names and misspelt ones, with and without a syntax error.
		router9(`password = "hunter2`),
		router9(`authentication = "hunter2`),
		router9(`authpass = "hunter2`),
		router9(`aut_pas = "hunter2" 3`),
		router9(`password = hunter2`),
		// Expressions that say what they are given.
		router9(`auth_pass = tonumber("hunter2")`),
		router9(`auth_pass = { a = "x" }["hunter2"]`),
		router9(`auth_pass = env("hunter2")`),
		router9(`auth_pass = hunter2("x")`),
		router9(`auth_pass = "hunter2" + 1`),
		router9(`auth_pass = "%{ hunter2 }"`),
		router9(`auth_pass = "${hunter2}"`),
		router9(`auth_pass = "\hunter2"`),
		router9(`auth_pass = x.1.hunter2`),
		// Over several lines.
		router9(`auth_pass = {`, `  web1 = "hunter2" "hunter2"`, `  web2 = "hunter2"`, `}[node.name]`),
		router9(`auth_pass = {`, `  web2 = "hunter2"`, `}[node.name]`),
		router9(`auth_pass = <<EOT`, `hunter2${`, `EOT`),
		router9(`auth_pass = [ # a comment`, `  hunter2, `, `  "hunter2" "hunter2"`, `]`),
		router9(`auth_pass = # on the next line`, `"hunter2"`),
		router9("auth_pass =", `"hunter2"`),
	} {
		_, diags := Load([]Source{{Name: "s.hcl", Text: []byte(src)}}, Options{Node: "web1"})
		if len(diags.List()) == 0 {
			t.Errorf("no message at all for\n%s", src)
		}
		if all := everything(t, diags); strings.Contains(strings.ToLower(all), "hunter") {
			t.Errorf("%s\nshows\n%s", src, all)
		}
	}
}

// What follows a password is shown again.
func TestMaskingEnds(t *testing.T) {
	for _, pass := range []string{`"hunter2"`, "<<EOT\nhunter2\nEOT", "{\n  web1 = \"hunter2\"\n}[node.name]", `env("P", "hunter2")`, `"hunter2" # why`} {
		src := router9("version = 2", "auth_pass = "+pass, `addresses = ["10.0.0.x"]`)
		_, diags := Load([]Source{{Name: "s.hcl", Text: []byte(src)}}, Options{Node: "web1"})
		if all := everything(t, diags); !strings.Contains(all, `addresses = ["10.0.0.x"]`) || strings.Contains(all, "hunter2") {
			t.Errorf("%s:\n%s", pass, all)
		}
	}
}

// The marks below a password do not tell its length.
func TestMarksDoNotTell(t *testing.T) {
	var first string
	for i, pass := range []string{"a", "abcdefgh", "abcd"} {
		_, diags := load(t, router9(`version = 2`, `auth_pass = "`+pass+`"`, `addresses = ["10.0.0.1"]`), Options{Node: "web1"})
		if got := render(t, diags); i == 0 {
			first = got
		} else if got != first {
			t.Errorf("%q shows\n%s\nand another one\n%s", pass, got, first)
		}
	}
}

// A pair of hosts has nothing to tell, either.
func TestSecretInPairs(t *testing.T) {
	const text = `virtual_router "x" {
  interface = "eth0"
  vrid      = 9
  version   = 2
  auth_pass = { a = "hunter2", b = "hunter3", c = null }[node.name]
  addresses = ["10.0.0.1"]
}
`
	cfgs, from := pairOf(t, text, "a", "b", "c")
	d := CheckPair(cfgs, from)
	if all := everything(t, d); d.Errors() != 2 || !strings.Contains(all, "auth_pass differs") || strings.Contains(all, "hunter") {
		t.Errorf("%d errors\n%s", d.Errors(), all)
	}
}

// A file with a password that everybody may read is worth a warning.
func TestReadableByEverybody(t *testing.T) {
	const remedy = "chmod 600 s.hcl"
	for _, c := range []struct {
		pass string
		mode fs.FileMode
		want bool
	}{
		{`"hunter2"`, 0o644, true}, {`"hunter2"`, 0o604, true}, {`"hunter2"`, 0o640, false}, {`"hunter2"`, 0o600, false}, {`"hunter2"`, 0, false},
		{`env("P")`, 0o644, false}, {`env("P", "hunter2")`, 0o644, true}, {`{ web1 = "hunter2" }[node.name]`, 0o644, true}, {`null`, 0o644, false},
	} {
		src := router9(`version = 2`, `auth_pass = `+c.pass, `addresses = ["10.0.0.1"]`)
		_, diags := Load([]Source{{Name: "s.hcl", Text: []byte(src), Mode: c.mode}}, Options{Node: "web1", Getenv: env(map[string]string{"P": "hunter2"})})
		if all := everything(t, diags); strings.Contains(all, remedy) != c.want || strings.Contains(all, "hunter2") || diags.HasErrors() {
			t.Errorf("%s, %v:\n%s", c.pass, c.mode, all)
		}
	}
	path := filepath.Join(t.TempDir(), "x.hcl")
	for mode, want := range map[fs.FileMode]bool{0o644: true, 0o600: false} {
		if err := os.WriteFile(path, []byte("x = 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		src, err := ReadFiles(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := readableByAll(src[0].Mode); got != want {
			t.Errorf("%v: %v", mode, got)
		}
	}
}
