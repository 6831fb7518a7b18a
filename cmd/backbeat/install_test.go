package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// make install puts everything where it is looked for, with completions of this very
// tool, and make uninstall leaves the configuration only.
func TestInstall(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	makes := func(target string, more ...string) {
		t.Helper()
		cmd := exec.Command("make", append([]string{"-C", "../..", target, "DESTDIR=" + dir, "BINARY=" + self, "VERSION=test"}, more...)...)
		cmd.Env = append(os.Environ(), asTool+"=1", "MAKEFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make %s: %v\n%s", target, err, out)
		}
	}
	for _, prefix := range []string{"/usr", "/usr/local"} {
		makes("install", "PREFIX="+prefix)
		installed := installedIn(t, dir)
		for _, want := range []string{"/bin/backbeat", "/lib/systemd/system/backbeat.service", "/share/bash-completion/completions/backbeat",
			"/share/fish/vendor_completions.d/backbeat.fish", "/share/doc/backbeat/docs/operations.md"} {
			if !slices.Contains(installed, prefix+want) {
				t.Errorf("no %s in %v", prefix+want, installed)
			}
		}
		zsh := slices.DeleteFunc(slices.Clone(installed), func(p string) bool { return filepath.Base(p) != "_backbeat" })
		if len(zsh) != 1 || !strings.HasPrefix(zsh[0], prefix+"/share/zsh/") {
			t.Errorf("zsh's completion is in %v", zsh)
		}
		for _, c := range []struct{ path, word string }{{prefix + "/share/bash-completion/completions/backbeat", "bash completion"},
			{zsh[0], "#compdef backbeat"}, {prefix + "/share/fish/vendor_completions.d/backbeat.fish", "fish completion for backbeat"}} {
			text, err := os.ReadFile(dir + c.path)
			if err != nil || !strings.Contains(string(text), c.word) {
				t.Errorf("%s: %v: %.100s", c.path, err, text)
			}
		}
		if out, err := exec.Command("bash", "-n", dir+prefix+"/share/bash-completion/completions/backbeat").CombinedOutput(); err != nil {
			t.Errorf("bash cannot read its completion: %v: %s", err, out)
		}
		makes("uninstall", "PREFIX="+prefix)
		if left := installedIn(t, dir); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// installedIn are the files below a directory, as they will be called.
func installedIn(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
