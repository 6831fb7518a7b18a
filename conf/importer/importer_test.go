package importer_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/backbeat-ha/backbeat/conf"
	"github.com/backbeat-ha/backbeat/conf/importer"
	"github.com/backbeat-ha/backbeat/daemon"
)

var update = flag.Bool("update", false, "rewrite golden files; read the difference before you commit it")

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

// loads fails unless the result is a configuration of every host it is for; it returns the last one's.
func loads(t *testing.T, r importer.Result) (cfg *daemon.Config) {
	t.Helper()
	nodes := r.Nodes
	if len(nodes) == 0 {
		nodes = []string{"this"}
	}
	for _, n := range nodes {
		var diags *conf.Diagnostics
		cfg, diags = conf.Load([]conf.Source{{Name: "imported.hcl", Text: []byte(r.HCL)}}, conf.Options{Override: n})
		if diags.HasErrors() {
			var b strings.Builder
			if err := diags.WriteText(&b, 100, false); err != nil {
				t.Fatal(err)
			}
			t.Fatalf("as %s:\n%s\n%s", n, b.String(), r.HCL)
		}
	}
	return cfg
}

func notes(r importer.Result) string {
	var b strings.Builder
	for _, n := range r.Notes {
		b.WriteString(n.String() + "\n")
	}
	return b.String()
}

func read(t *testing.T, path string) importer.Source {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return importer.Source{Name: filepath.Base(path), Text: text}
}

func TestHaresources(t *testing.T) {
	for name, opt := range map[string]importer.HaresourcesOptions{"s2": {}, "s2two": {VRID: 7, LSB: true}, "drbd": {}} {
		t.Run(name, func(t *testing.T) {
			base := filepath.Join("testdata", name)
			r := importer.Haresources(read(t, base+".ha.cf"), read(t, base+".haresources"), opt)
			loads(t, r)
			golden(t, base+".hcl", r.HCL)
			golden(t, base+".notes", notes(r))
		})
	}
}

func TestKeepalived(t *testing.T) {
	for _, name := range []string{"typical", "unicast"} {
		t.Run(name, func(t *testing.T) {
			base := filepath.Join("testdata", name)
			r := importer.Keepalived(read(t, base+".conf"))
			loads(t, r)
			golden(t, base+".hcl", r.HCL)
			golden(t, base+".notes", notes(r))
			if strings.Contains(r.HCL+notes(r), "hunter2") || strings.Contains(notes(r), "s3cret") {
				t.Error("a password is shown")
			}
		})
	}
}

// TestKeepalivedSamples: the samples of the distribution's package load.
func TestKeepalivedSamples(t *testing.T) {
	files, _ := filepath.Glob("/usr/share/doc/keepalived/samples/keepalived.conf.*")
	n := 0
	for _, f := range files {
		src := read(t, f)
		r := importer.Keepalived(src)
		if !strings.Contains(string(src.Text), "vrrp_instance") {
			continue
		}
		n++
		t.Run(src.Name, func(t *testing.T) { loads(t, r) })
	}
	if n == 0 {
		t.Skip("NOT RUN: the package keepalived with its samples is not installed")
	}
}

// TestNothing: what is no such file at all gives a note, not a panic.
func TestNothing(t *testing.T) {
	if r := importer.Keepalived(importer.Source{Name: "x"}); r.Missing() != 1 {
		t.Error(notes(r))
	}
	if r := importer.Haresources(importer.Source{}, importer.Source{Name: "x"}, importer.HaresourcesOptions{}); r.Missing() != 1 {
		t.Error(notes(r))
	}
}

// FuzzKeepalived: whatever the text, the result can be parsed as HCL; whether it
// is good is for the person who reads it.
func FuzzKeepalived(f *testing.F) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) < 1<<14 {
			syntax(t, importer.Keepalived(importer.Source{Name: "k", Text: []byte(text)}))
		}
	})
}

// FuzzHaresources is the same for Heartbeat's files.
func FuzzHaresources(f *testing.F) {
	for _, name := range []string{"s2", "s2two", "drbd"} {
		cf, err1 := os.ReadFile("testdata/" + name + ".ha.cf")
		res, err2 := os.ReadFile("testdata/" + name + ".haresources")
		if err1 != nil || err2 != nil {
			f.Fatal(err1, err2)
		}
		f.Add(string(cf), string(res))
	}
	f.Fuzz(func(t *testing.T, cf, res string) {
		if len(cf)+len(res) < 1<<14 {
			syntax(t, importer.Haresources(importer.Source{Name: "c", Text: []byte(cf)}, importer.Source{Name: "r", Text: []byte(res)}, importer.HaresourcesOptions{}))
		}
	})
}

// syntax fails if the result cannot be read at all.
func syntax(t *testing.T, r importer.Result) {
	t.Helper()
	_, diags := conf.Load([]conf.Source{{Name: "imported.hcl", Text: []byte(r.HCL)}}, conf.Options{Override: "x"})
	for _, d := range diags.List() {
		if strings.HasPrefix(d.Summary, "Invalid") || strings.HasPrefix(d.Summary, "Unknown") || strings.HasPrefix(d.Summary, "Missing newline") || strings.HasPrefix(d.Summary, "Unclosed") {
			t.Fatalf("%v\n%s", d, r.HCL)
		}
	}
}
