package conf

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const badText = "virtual_router \"web\" {\n\tinterfac = \"eth0\"\n\tvrid = 61 # \x1b[2J\n\taddresses = [\"192.0.2.10\"]\n\tinterval = \"15ms\" # \x1b]0;x\x07\n}\n"

// TestTextForm: file, line, column, source line, mark and remedy.
func TestTextForm(t *testing.T) {
	_, diags := Load([]Source{{Name: "bad.hcl", Text: []byte(badText)}}, Options{Node: "web1"})
	got := render(t, diags)
	want := `Error: Unknown argument "interfac"
  bad.hcl:2:2, in virtual_router "web"
    2 | 	interfac = "eth0"
      | 	^^^^^^^^
  There is no such argument in virtual_router. Did you mean "interface"?

Error: interval is not a multiple of 10ms
  bad.hcl:5:13, in virtual_router "web"
    5 | 	interval = "15ms" # ` + "\ufffd]0;x\ufffd" + `
      | 	           ^^^^^^
  15ms lies between two possible values: write "10ms" or "20ms". An advertisement carries it in 12 bits of hundredths of a second (RFC 9568 5.2.7).
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var b strings.Builder
	if err := diags.WriteText(&b, 60, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "\x1b[1;31mError\x1b[0m") || strings.Contains(b.String(), "\x1b]") {
		t.Errorf("colours: %q", b.String())
	}
	for _, l := range strings.Split(b.String(), "\n") {
		if strings.HasPrefix(l, "  1") && len(l) > 60 {
			t.Errorf("not wrapped: %q", l)
		}
	}
}

func TestJSONForm(t *testing.T) {
	_, diags := Load([]Source{{Name: "bad.hcl", Text: []byte(badText)}}, Options{Node: "web1"})
	text, err := json.Marshal(diags)
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("%d diagnostics", len(got))
	}
	same(t, map[string]any{
		"severity": "error", "file": "bad.hcl", "line": 2.0, "column": 2.0, "summary": `Unknown argument "interfac"`,
		"detail": `There is no such argument in virtual_router. Did you mean "interface"?`, "source_line": "\tinterfac = \"eth0\"",
	}, got[0])
	if s := diags.List()[0].String(); s != `bad.hcl:2:2: error: Unknown argument "interfac": There is no such argument in virtual_router. Did you mean "interface"?` {
		t.Errorf("String = %q", s)
	}
	if text, err := json.Marshal(&Diagnostics{}); err != nil || string(text) != "[]" {
		t.Errorf("empty: %s, %v", text, err)
	}
	// A string may have a line break; a log line must not.
	if s := (Diagnostic{Severity: "error", Summary: "a", Detail: "b\n    c"}).String(); s != "error: a: b c" {
		t.Errorf("String = %q", s)
	}
}

// TestLongLine: a line of 5,000 characters is cut around its mistake.
func TestLongLine(t *testing.T) {
	text := "virtual_router \"r\" {\n  interface = \"eth0\"\n  vrid = 1\n  addresses = [" + list(250, "10.0.%d.%d") + "\"10.0.0.x\", " + strings.Repeat(" ", 500) + "]\n}\n"
	_, diags := Load([]Source{{Name: "long.hcl", Text: []byte(text)}}, Options{Node: "n"})
	lines := strings.Split(render(t, diags), "\n")
	source, marks := []rune(lines[2]), []rune(lines[3])
	at := strings.IndexRune(string(marks), '^')
	if len(source) > 200 || at < 0 || len(marks) > len(source) || string(source[at:at+10]) != `"10.0.0.x"` {
		t.Errorf("\n%s\n%s", lines[2], lines[3])
	}
}

func TestNoSource(t *testing.T) {
	cfg, diags := Load(nil, Options{Node: "n"})
	if cfg != nil || diags.Errors() != 1 || diags.List()[0].File != "" {
		t.Errorf("%v", diags.List())
	}
	if s := render(t, diags); !strings.HasPrefix(s, "Error: Nothing to do") {
		t.Error(s)
	}
}

func TestReadFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	b := write("d/b.hcl", "b")
	a := write("d/a.hcl", "a")
	write("d/.hidden.hcl", "no")
	write("d/c.hcl.bak", "no")
	write("d/sub/d.hcl", "no")
	write("empty/readme", "no")
	big := write("big.hcl", strings.Repeat("#", maxSource+1))

	got, err := ReadFiles(filepath.Join(dir, "d"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, []Source{{a, []byte("a"), 0o644}, {b, []byte("b"), 0o644}}, got)
	if got, err = ReadFiles(b); err != nil {
		t.Fatal(err)
	}
	same(t, []Source{{b, []byte("b"), 0o644}}, got)
	if got, err = ReadFiles(filepath.Join(dir, "d/c.hcl.bak")); err != nil || len(got) != 1 {
		t.Errorf("a file that is named is read whatever its name: %v", err)
	}
	// A dangling link in the directory is an error, not a file less.
	if err := os.Symlink("nowhere", filepath.Join(dir, "d", "link.hcl")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none.hcl"): "/none.hcl: no such file or directory: write it",
		filepath.Join(dir, "empty"):    "/empty has no *.hcl file: put one there",
		filepath.Join(dir, "d"):        "/d/link.hcl: link to nowhere: no such file or directory: correct the link",
		big:                            "larger than 16 MiB",
	} {
		_, err := ReadFiles(path)
		switch {
		case err == nil || !strings.Contains(err.Error(), want):
			t.Errorf("ReadFiles(%s): %v, want %q", path, err, want)
		case strings.Count(err.Error(), dir) != 1 || strings.Contains(err.Error(), "read configuration"):
			t.Errorf("ReadFiles(%s) repeats itself or its caller: %v", path, err)
		}
	}
	if _, err := ReadFiles(filepath.Join(dir, "none.hcl")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cause is lost: %v", err)
	}
}

// TestHookPlace: what is found out about a hook later points at its command.
func TestHookPlace(t *testing.T) {
	const text = `virtual_router "web" {
  interface = "eth0"
  vrid      = 61
  addresses = ["192.0.2.10"]
  hook "pager" {
    on      = ["active"]
    command = [
      "/usr/local/bin/page", "web"]
  }
  hook "made" {
    on      = ["fault"]
    command = concat(["/bin/echo"], ["a"])
  }
}
`
	_, diags := load(t, text, Options{Node: "web1"})
	for hook, want := range map[string]string{"pager": "test.hcl:8", "made": "test.hcl:12", "other": ""} {
		if got := diags.HookPlace("web", hook); got != want {
			t.Errorf("HookPlace(%q) = %q, want %q", hook, got, want)
		}
	}
	diags.WarnHook("web", "pager", "hook \"pager\" would not run", "It is not there.")
	diags.WarnHook("web", "other", "hook \"other\" would not run", "Nobody knows it.")
	want := `Warning: hook "pager" would not run
  test.hcl:8:7, in virtual_router "web"
    8 |       "/usr/local/bin/page", "web"]
      |       ^^^^^^^^^^^^^^^^^^^^^
  It is not there.

Warning: hook "other" would not run
  Nobody knows it.
`
	if got := render(t, diags); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if l := diags.List(); diags.Warnings() != 2 || l[0].Line != 8 || l[0].Column != 7 || l[1].File != "" {
		t.Errorf("%+v", l)
	}
	var none Diagnostics
	none.WarnHook("web", "pager", "s", "d")
	if none.Warnings() != 1 || none.HookPlace("web", "pager") != "" {
		t.Error("the zero value is not usable")
	}
}
