package conf

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files and docs/configuration.md; read the difference before you commit it")

// env is an environment of the tests.
func env(m map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := m[name]
		return v, ok
	}
}

// golden compares got with a file, or rewrites the file.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (make it with -update)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not what comes out now (-file +now); rewrite it with -update after reading:\n%s", path, diff)
	}
}

// TestBad renders the diagnostics of bad files and compares them as a whole.
//
// conformance: W12, W15, W16, W18, I9, I10
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatal("no bad files", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".hcl"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			cfg, diags := Load([]Source{{Name: filepath.Base(f), Text: text}}, Options{Node: "web3", Getenv: env(nil)})
			if cfg != nil || !diags.HasErrors() {
				t.Fatalf("loaded, with %d errors", diags.Errors())
			}
			var b strings.Builder
			if err := diags.WriteText(&b, 100, false); err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(f, ".hcl")+".txt", b.String())
		})
	}
}

// TestMonsters: numbers that HCL would take hours to print are refused at once.
func TestMonsters(t *testing.T) {
	for _, x := range []string{
		`1e100000000`, `-1e-100000000`, `"${1e100000000}"`, `["1e100000000" * 1]`, `{ a = 1e100000000 }["a"]`,
		`tonumber("1e100000000")`, `tostring(tonumber("1e100000000"))`, `try(1e100000000, 5)`,
	} {
		text := "virtual_router \"r\" {\n  interface = " + x + "\n  vrid      = " + x + "\n  interval  = " + x + "\n  addresses = " + x + "\n}\n"
		start := time.Now()
		_, diags := Load([]Source{{Name: "monster.hcl", Text: []byte(text)}}, Options{Node: "n"})
		if diags.Errors() != 4 {
			t.Errorf("%s: %d errors:\n%v", x, diags.Errors(), diags.List())
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: took %v", x, took)
		}
	}
}
