package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/backbeat-ha/backbeat/daemon/control"
)

// BACKBEAT_CONTROL names the socket for every verb that asks the daemon; --control is
// nearer to hand and has its way. The daemon itself is not asked.
func TestControlSocketOfTheEnvironment(t *testing.T) {
	socket := serve(t, control.ReloadResult{})
	t.Setenv("BACKBEAT_CONTROL", socket)
	if code, out, errs := newBench().run("status"); code != 0 || !strings.Contains(out, "web1") {
		t.Errorf("exit %d, %q: %s", code, out, errs)
	}
	nowhere := filepath.Join(t.TempDir(), "nowhere.sock")
	if code, _, errs := newBench().run("status", "--control", nowhere); code != 1 || !strings.Contains(errs, "not running") {
		t.Errorf("--control is not obeyed: exit %d: %s", code, errs)
	}
	t.Setenv("BACKBEAT_CONTROL", nowhere)
	if code, _, _ := newBench().run("status", "--control", socket); code != 0 {
		t.Errorf("--control is not obeyed: exit %d", code)
	}
	asking := 0
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		if f := c.Flags().Lookup("control"); f != nil && c.Name() != "run" {
			if asking++; f.DefValue != nowhere {
				t.Errorf("%s asks %s", c.CommandPath(), f.DefValue)
			}
		}
		for _, sub := range c.Commands() {
			look(sub)
		}
	}
	look(newBench().root())
	if asking < 15 {
		t.Errorf("only %d verbs ask: the test looks in the wrong place", asking)
	}
}

// One line for a monitoring system is not JSON: asking for both is wrong use, exit status
// 2, which such a system shows as critical, so that somebody looks.
func TestCheckIsNoJSON(t *testing.T) {
	socket := serve(t, control.ReloadResult{})
	for _, args := range [][]string{{"-o", "json"}, {"--output", "json"}, {"--output=json", "web"}} {
		code, out, errs := newBench().run(append([]string{"status", "--check", "--control", socket}, args...)...)
		if code != exitUsage || out != "" || !strings.Contains(errs, "use one of the two") {
			t.Errorf("%v: exit %d, %q: %s", args, code, out, errs)
		}
	}
	if code, _, _ := newBench().run("status", "--check", "-o", "text", "--control", socket); code == exitUsage {
		t.Error("--output text is refused")
	}
}
