package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

// bench is a tool on a desk: no terminal, no environment, a fixed name.
type bench struct {
	*tool
	out, err bytes.Buffer
}

func newBench() *bench {
	b := &bench{}
	b.tool = &tool{out: &b.out, err: &b.err, zone: time.UTC,
		getenv: func(string) (string, bool) { return "", false }, hostname: func() (string, error) { return "web1", nil },
		interfaces: func() ([]string, error) { return []string{"eth0", "lo"}, nil }, addresses: func() ([]ownedAddress, error) { return nil, nil }}
	return b
}

// run executes a command line and returns the exit code and both outputs.
func (b *bench) run(args ...string) (code int, out, err string) {
	b.out.Reset()
	b.err.Reset()
	code = execute(b.tool, args)
	return code, b.out.String(), b.err.String()
}

// serve runs a control server with canned answers until the test ends.
func serve(t *testing.T, reload control.ReloadResult, routers ...daemon.RouterStatus) (socket string) {
	t.Helper()
	return serveWith(t, reload, func(in daemon.Input) {
		switch q := in.(type) {
		case daemon.StatusQuery:
			page := daemon.StatusPage{Node: "web1", Total: len(routers), Since: time.Now()}
			for _, r := range routers {
				if q.Name == "" || q.Name == r.Name {
					page.Routers = append(page.Routers, r)
				}
			}
			q.Reply <- page
		case daemon.HistoryQuery:
			if q.Name == "" || q.Name == "web" {
				q.Reply <- []daemon.Transition{{Seq: 1, Router: "web", From: "backup", To: "active", Reason: "because"}}
			} else {
				q.Reply <- nil
			}
		}
	})
}

// serveWith runs a control server before a loop that answers in its own way.
func serveWith(t *testing.T, reload control.ReloadResult, answer func(daemon.Input)) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "c.sock")
	inputs, ended := make(chan daemon.Input, 64), make(chan struct{})
	go func() {
		defer close(ended)
		for in := range inputs {
			answer(in)
		}
	}()
	s := control.New(control.Options{Path: socket, Version: versionText(), Post: func(in daemon.Input) { inputs <- in },
		Reload: func(context.Context) control.ReloadResult { return reload }, Plan: func(context.Context) control.ReloadResult { return reload }})
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, s.Close()); err != nil {
			t.Error(err)
		}
		close(inputs)
		<-ended
	})
	return socket
}

const goodFile = `virtual_router "web" {
  interface = "eth0"
  vrid      = 61
  priority  = { web1 = 150, web2 = 100 }[node.name]
  addresses = ["192.0.2.10/24"]
}
`

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExitCodes(t *testing.T) {
	good, bad := write(t, "good.hcl", goodFile), write(t, "bad.hcl", `virtual_router "web" { vrid = 0 }`)
	socket := serve(t, control.ReloadResult{Plan: daemon.Plan{Steps: []daemon.PlanStep{{Change: daemon.Add, Router: "web"}, {Router: "mail"},
		{Change: daemon.Adjust, Router: "dns", Differences: []string{"priority 150 -> 50", "hooks"}}}}}, activeRouter(), backupRouter())
	broken := serve(t, control.ReloadResult{Err: errors.New("bad.hcl has 1 error"), Text: "Error: Unusable vrid"})
	missing := filepath.Join(t.TempDir(), "no.sock")
	tests := []struct {
		args []string
		code int
		out  string // part of standard output, "" for none at all
		err  string // the same of standard error
	}{
		{[]string{}, 2, "", "Available Commands:"},
		{[]string{"--help"}, 0, "Available Commands:", ""},
		{[]string{"frobnicate"}, 2, "", `backbeat: unknown command "frobnicate"`},
		{[]string{"statsu"}, 2, "", "Did you mean this?\n"},
		{[]string{"--frobnicate"}, 2, "", "backbeat: unknown flag: --frobnicate\nTry 'backbeat --help'.\n"},
		{[]string{"help", "status"}, 0, "backbeat status [NAME]", ""},
		{[]string{"help", "frobnicate"}, 2, "", "backbeat: "},
		{[]string{"completion", "bash"}, 0, "bash completion", ""},

		{[]string{"--version"}, 0, "backbeat " + versionText() + " (go", ""},
		{[]string{"version"}, 0, "backbeat " + versionText(), ""},
		{[]string{"version", "-o", "json"}, 0, `"schema_version": 1`, ""},
		{[]string{"version", "x"}, 2, "", "takes no arguments"},

		{[]string{"status", "--control", socket}, 0, "web   Active", ""},
		{[]string{"status", "web", "--control", socket}, 0, "web is Active", ""},
		{[]string{"status", "--control", socket, "-o", "json"}, 0, `"virtual_routers": [`, ""},
		{[]string{"status", "wbe", "--control", socket}, 1, "", `backbeat: there is no virtual router "wbe" here; did you mean "web"?`},
		{[]string{"status", "a", "b"}, 2, "", "at most"},
		{[]string{"status", "-o", "xml"}, 2, "", "must be text or json"},
		{[]string{"status", "--control", missing}, 1, "", "backbeat: backbeat is not running here (no " + missing + ")"},

		{[]string{"history", "--control", socket}, 0, "web  Backup -> Active", ""},
		{[]string{"history", "mail", "--control", socket, "-n", "5"}, 0, "no transitions yet", ""},
		{[]string{"history", "mial", "--control", socket}, 1, "", `did you mean "mail"?`},
		{[]string{"history", "-o", "json", "--control", socket}, 0, `"reason": "because"`, ""},
		{[]string{"history", "-n", "0"}, 2, "", "--limit must be from 1 to 10000"},
		{[]string{"history", "-n", "many"}, 2, "", "invalid argument"},

		{[]string{"reload", "--control", socket}, 0, "added     web\nadjusted  dns: priority 150 -> 50, hooks\nreloaded, unchanged: 1 virtual router\n", ""},
		{[]string{"reload", "-o", "json", "--control", socket}, 0, `"priority 150 -> 50"`, ""},
		{[]string{"reload", "--control", broken}, 1, "", "Error: Unusable vrid\nbackbeat: nothing was changed: bad.hcl has 1 error\n"},
		{[]string{"reload", "-o", "json", "--control", broken}, 1, `"ok": false`, ""},
		{[]string{"reload", "web"}, 2, "", "takes no arguments"},

		{[]string{"plan", "--control", socket}, 0, "would add     web\nwould adjust  dns: priority 150 -> 50, hooks\na reload would leave unchanged: 1 virtual router\n", ""},
		{[]string{"plan", "-o", "json", "--control", socket}, 0, `"priority 150 -> 50"`, ""},
		{[]string{"plan", "--control", broken}, 1, "", "Error: Unusable vrid\nbackbeat: a reload would change nothing: bad.hcl has 1 error\n"},
		{[]string{"plan", "-o", "json", "--control", broken}, 1, `"ok": false`, ""},

		{[]string{"check", good}, 0, "good for node web1: 1 virtual router\n", ""},
		{[]string{"check", good, "-o", "json"}, 0, `"ok": true`, ""},
		{[]string{"check", "-c", good}, 0, "good for node web1: 1 virtual router\n", ""},
		{[]string{"check", "-c", good, "--config", good}, 1, "1 error", "Two hosts are called"},
		{[]string{"check", "-c", good + "x"}, 1, "1 error, 0 warnings", "Cannot read the configuration"},
		{[]string{"check", bad}, 1, "error", "bad.hcl"},
		{[]string{"check", bad, "-o", "json"}, 1, `"severity": "error"`, ""},
		{[]string{"check", good + "x"}, 1, "1 error, 0 warnings", "Cannot read the configuration"},
		{[]string{"check", "--node", "web1,web2", good}, 0, "good for node web2", ""},
		{[]string{"check", "--node", "web1,other", good}, 1, "error", "other"},
		{[]string{"check", "--node", "web1,web2", good, bad, bad}, 2, "", "3 files and 2 --node names"},
		{[]string{"check", good, good}, 1, "1 error", "Two hosts are called"},
		{[]string{"check", "--node", "web1,web2", good, good}, 0, "good for node web1", ""},

		{[]string{"run", "extra"}, 2, "", "takes no arguments"},
		{[]string{"run", "--log-level", "loud"}, 2, "", "must be one of debug, info, warn, error"},
		{[]string{"run", "--log-format", "xml"}, 2, "", "must be one of auto, text, json, journal"},
		{[]string{"run", "-c", bad}, 1, "", "backbeat: " + bad + " has "},
		{[]string{"run", "-c", good + "x"}, 1, "", "no such file"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			code, out, err := newBench().run(tt.args...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, s := range []struct{ name, got, want string }{{"standard output", out, tt.out}, {"standard error", err, tt.err}} {
				if (s.want == "" && s.got != "") || !strings.Contains(s.got, s.want) {
					t.Errorf("%s is %q, want %q in it", s.name, s.got, s.want)
				}
			}
		})
	}
}

// JSON on standard output is one valid document and nothing else.
func TestJSONIsJSON(t *testing.T) {
	bad := write(t, "bad.hcl", `virtual_router "web" { vrid = 0 }`)
	socket := serve(t, control.ReloadResult{Err: errors.New("no"), Diagnostics: json.RawMessage(`[{"summary":"x"}]`)}, activeRouter())
	for _, args := range [][]string{{"status", "--control", socket}, {"history", "--control", socket}, {"reload", "--control", socket}, {"check", bad}, {"version"}} {
		_, out, _ := newBench().run(append(args, "-o", "json")...)
		var v struct {
			Schema int `json:"schema_version"`
		}
		if err := json.Unmarshal([]byte(out), &v); err != nil || v.Schema != 1 {
			t.Errorf("%v: schema %d, %v:\n%s", args, v.Schema, err, out)
		}
	}
}

// A hook that would be refused is known before the failover.
func TestCheckLooksAtHooks(t *testing.T) {
	withHook := strings.TrimSuffix(strings.TrimSpace(goodFile), "}") + `
  hook "pager" {
    on      = ["active"]
    command = ["/nonexistent/pager"]
  }
}
`
	path := write(t, "h.hcl", withHook)
	code, _, errs := newBench().run("check", path)
	if code != 0 || !strings.Contains(errs, `hook "pager" would not run`) || !strings.Contains(errs, "h.hcl:9)") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if code, _, _ := newBench().run("check", "--strict", path); code != 1 {
		t.Errorf("--strict: exit %d", code)
	}
	code, out, _ := newBench().run("check", "-o", "json", path)
	var a checkAnswer
	if err := json.Unmarshal([]byte(out), &a); err != nil || code != 0 || a.Warnings != 1 || a.Diagnostics[0].Line != 9 {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	// Of several hosts nobody knows here what is installed there.
	if _, _, errs := newBench().run("check", "--node", "web1,web2", path); strings.Contains(errs, "would not run") {
		t.Errorf("hooks of other hosts looked for here: %s", errs)
	}
}

// An interface that this host does not have is known before the start.
func TestCheckLooksForInterfaces(t *testing.T) {
	two := strings.Replace(goodFile, "eth0", "eth1", 1)
	two += strings.NewReplacer(`"web"`, `"mail"`, "61", "62", "192.0.2.10", "192.0.2.11").Replace(two)
	path := write(t, "i.hcl", two)
	code, out, errs := newBench().run("check", path)
	if want := `virtual_router "mail": no interface eth1 on this host now (`; code != 0 || !strings.Contains(errs, want) ||
		!strings.Contains(errs, "There are eth0, lo. The virtual routers mail, web wait") || !strings.Contains(out, "1 warning") {
		t.Errorf("exit %d, %q: %s", code, out, errs)
	}
	// What another node has is not known here.
	for _, args := range [][]string{{"--node", "web2", path}, {"--node", "web1,web2", path}} {
		if _, _, errs := newBench().run(append([]string{"check"}, args...)...); strings.Contains(errs, "no interface") {
			t.Errorf("%v: %s", args, errs)
		}
	}
	b := newBench()
	b.interfaces = func() ([]string, error) { return nil, errors.New("no netlink") }
	if _, _, errs := b.run("check", path); errs != "" {
		t.Errorf("nothing is known, and it says %s", errs)
	}
}

func TestManyDifferences(t *testing.T) {
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprintf("d%d", i))
	}
	if got, want := differences(many), ": d0, d1, d2, d3, d4, d5, d6, d7 and 12 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := differences(many[:9]), ": d0, d1, d2, d3, d4, d5, d6, d7, d8"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestColoursOnlyWhereWanted(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	none := func(string) (string, bool) { return "", false }
	if colorful(int(null.Fd()), none) {
		t.Error("colours for a file")
	}
	b := newBench()
	socket := serve(t, control.ReloadResult{}, activeRouter())
	if _, out, _ := b.run("status", "--control", socket); strings.Contains(out, "\x1b") {
		t.Errorf("escape sequences: %q", out)
	}
}
