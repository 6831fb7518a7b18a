package netns

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// script writes a hook that appends one line for each run: its first argument,
// the variables, then the JSON it got.
func (s *scene) script(name, body string) string {
	s.t.Helper()
	path := s.Dir(name)
	s.must(os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o700))
	return path
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

func TestHooksRunInOrderWithTheTransition(t *testing.T) {
	t.Parallel()
	s := newScene(t, "")
	out := s.Dir("hooks.out")
	path := s.script("hook", `echo "$1 $BACKBEAT_ROUTER $BACKBEAT_FROM $BACKBEAT_TO $BACKBEAT_NODE $BACKBEAT_VRID $BACKBEAT_TERM $(cat)" >>`+out+"\n")
	hooks := `hook "first" {
    on      = ["active", "backup", "initialize", "fault"]
    command = ["` + path + `", "first"]
  }
  hook "second" {
    on      = ["active"]
    command = ["` + path + `", "second"]
  }`
	s.must(s.r1.Configure(config(web(hooks))))
	s.start(s.r1)
	s.active("r1")
	s.until("three hooks", func() bool { return len(lines(t, out)) >= 3 })
	var got []string
	for _, line := range lines(t, out) {
		words := strings.SplitN(line, " ", 8)
		if len(words) != 8 {
			t.Fatalf("the hook wrote %q", line)
		}
		got = append(got, strings.Join(words[:6], " "))
		var event daemon.HookEvent
		if err := json.Unmarshal([]byte(words[7]), &event); err != nil {
			t.Errorf("standard input: %v: %s", err, words[7])
		}
		if event.Transition.To != words[3] || event.Transition.Router != "web" || event.Interface != "eth0" || len(event.Addresses) != 2 {
			t.Errorf("the event is %+v", event)
		}
	}
	want := []string{
		"first web initialize backup r1 61",
		"first web backup active r1 61",
		"second web backup active r1 61",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("hooks ran as\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	s.until("the runs in the status", func() bool {
		h := s.router("r1").Hooks
		return len(h) == 2 && h[0].Runs == 2 && h[1].Runs == 1 && h[0].LastExit != nil && *h[0].LastExit == 0
	})
}

func TestSlowAndFailingHooksDelayNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, "")
	path := s.script("slow", "sleep 30\n")
	failing := s.script("failing", "echo it is broken; exit 3\n")
	hooks := `hook "failing" {
    on      = ["active"]
    command = ["` + failing + `"]
  }
  hook "slow" {
    on      = ["active", "backup"]
    command = ["` + path + `"]
    timeout = "1500ms"
  }`
	text := config(web(hooks))
	s.must(s.r1.Configure(text))
	s.must(s.r2.Configure(text))
	s.start(s.r1, s.r2)
	s.active("r1")
	steady := lab.Now()
	s.rest(4 * interval)
	adverts := s.sniffer.Adverts(steady, "r1")
	for i := 1; i < len(adverts); i++ {
		if gap := adverts[i].At - adverts[i-1].At; gap > interval+interval/2 {
			t.Errorf("%s between two adverts", gap)
		}
	}
	fault := lab.Now()
	s.r1.Kill()
	s.active("r2")
	s.takeover(fault, down)
	s.until("the failures in the status", func() bool {
		failed := map[string]uint64{}
		for _, h := range s.router("r2").Hooks {
			failed[h.Name] = h.Failed
			if h.Name == "failing" && h.Failed > 0 && (h.LastExit == nil || *h.LastExit != 3 || !strings.Contains(h.LastOutput, "it is broken")) {
				t.Errorf("the failing hook's status is %+v", h)
			}
		}
		return failed["failing"] >= 1 && failed["slow"] >= 1
	})
	s.logged(s.r2, "failing")
}

func TestHistorySurvivesARestart(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web()))
	s.start(s.r1)
	s.active("r1")
	before, err := s.r1.History(s.ctx)
	s.must(err)
	if len(before) < 2 {
		t.Fatalf("the history has %d records", len(before))
	}
	s.until("the follow-ups to be recorded", func() bool {
		h, err := s.r1.History(s.ctx)
		if err != nil {
			return false
		}
		for _, r := range h {
			if r.To == "active" && len(r.Followed) >= 2 {
				return true
			}
		}
		return false
	})
	s.must(s.r1.Stop(s.ctx))
	s.start(s.r1)
	after, err := s.r1.History(s.ctx)
	s.must(err)
	found := map[string]bool{}
	for _, r := range after {
		found[r.At.Format(time.RFC3339Nano)+r.To] = true
		if r.Cause == "" || r.Reason == "" {
			t.Errorf("a transition without a reason: %+v", r)
		}
	}
	for _, r := range before {
		if !found[r.At.Format(time.RFC3339Nano)+r.To] {
			t.Errorf("the restart lost %s -> %s of %s", r.From, r.To, r.At)
		}
	}
	s.active("r1")
}

func TestTheToolAgainstALiveDaemon(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web()))
	control := []string{"--control", s.r1.Socket()}
	tests := []struct {
		args []string
		code int
		want []string
	}{
		{append([]string{"status"}, control...), 0, []string{"web", "10.77.0.100"}},
		{append([]string{"status", "web"}, control...), 0, []string{"web", "150", "10.77.0.100/24", "fd77::100/64"}},
		{append([]string{"status", "web", "-o", "json"}, control...), 0, []string{`"schema_version"`, `"state"`, `"active"`}},
		{append([]string{"status", "wep"}, control...), 1, []string{"web"}},
		{append([]string{"history"}, control...), 0, []string{"web"}},
		{append([]string{"history", "web", "-o", "json"}, control...), 0, []string{`"transitions"`, `"cause"`}},
		{[]string{"status", "--control", s.Dir("nowhere.sock")}, 1, []string{"not running"}},
		{[]string{"check", s.r1.ConfigFile()}, 0, nil},
		{[]string{"version"}, 0, nil},
		{[]string{"status", "--nonsense"}, 2, []string{"nonsense"}},
		{[]string{"nonsense"}, 2, []string{"nonsense"}},
	}
	for _, tt := range tests {
		stdout, stderr, code, err := s.r1.Verb(s.ctx, tt.args...)
		s.must(err)
		name := strings.Join(tt.args, " ")
		if code != tt.code {
			t.Errorf("backbeat %s: exit status %d, want %d\n%s%s", name, code, tt.code, stdout, stderr)
		}
		for _, w := range tt.want {
			if !strings.Contains(stdout+stderr, w) {
				t.Errorf("backbeat %s does not say %q:\n%s%s", name, w, stdout, stderr)
			}
		}
	}
	// A second daemon on the same directories is refused and disturbs nothing.
	_, stderr, code, err := s.r1.Verb(s.ctx, "run", "-c", s.r1.ConfigFile(), "--runtime-dir", s.r1.RuntimeDir(), "--state-dir", s.r1.StateDir())
	s.must(err)
	if code != 1 || !strings.Contains(stderr, "running") {
		t.Errorf("a second daemon: exit status %d\n%s", code, stderr)
	}
	s.rest(interval)
	s.active("r1")
	s.only("r1")
}
