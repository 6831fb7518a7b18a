package main

import (
	"strings"
	"testing"
)

const events = `{"Action":"start","Package":"github.com/backbeat-ha/backbeat/a"}
{"Action":"run","Package":"github.com/backbeat-ha/backbeat/a","Test":"TestGood"}
{"Action":"output","Package":"github.com/backbeat-ha/backbeat/a","Test":"TestGood","Output":"    a_test.go:3: boring\n"}
{"Action":"pass","Package":"github.com/backbeat-ha/backbeat/a","Test":"TestGood"}
{"Action":"run","Package":"github.com/backbeat-ha/backbeat/a","Test":"TestPeer"}
{"Action":"output","Package":"github.com/backbeat-ha/backbeat/a","Test":"TestPeer","Output":"=== RUN   TestPeer\n"}
{"Action":"output","Package":"github.com/backbeat-ha/backbeat/a","Test":"TestPeer","Output":"    a_test.go:9: keepalived is not installed: apt install keepalived\n"}
{"Action":"output","Package":"github.com/backbeat-ha/backbeat/a","Test":"TestPeer","Output":"--- SKIP: TestPeer (0.00s)\n"}
{"Action":"skip","Package":"github.com/backbeat-ha/backbeat/a","Test":"TestPeer"}
{"Action":"output","Package":"github.com/backbeat-ha/backbeat/a","Output":"ok  \tgithub.com/backbeat-ha/backbeat/a\t0.1s\n"}
{"Action":"pass","Package":"github.com/backbeat-ha/backbeat/a"}
{"Action":"output","Package":"github.com/backbeat-ha/backbeat/w","Output":"--- SKIP: vrrp/wire: no user namespace: allow them\n"}
{"Action":"output","Package":"github.com/backbeat-ha/backbeat/w","Output":"ok  \tgithub.com/backbeat-ha/backbeat/w\t0.1s\n"}
{"Action":"pass","Package":"github.com/backbeat-ha/backbeat/w"}
`

const badEvents = `{"Action":"output","Package":"github.com/backbeat-ha/backbeat/b","Test":"TestBad","Output":"    b_test.go:3: it is broken\n"}
{"Action":"fail","Package":"github.com/backbeat-ha/backbeat/b","Test":"TestBad"}
{"Action":"output","Package":"github.com/backbeat-ha/backbeat/b","Output":"FAIL\tgithub.com/backbeat-ha/backbeat/b\t0.1s\n"}
{"Action":"fail","Package":"github.com/backbeat-ha/backbeat/b"}
{"ImportPath":"github.com/backbeat-ha/backbeat/c","Action":"build-output","Output":"c.go:1:1: expected 'package'\n"}
{"ImportPath":"github.com/backbeat-ha/backbeat/c","Action":"build-fail"}
`

func readAll(t *testing.T, text string) (string, bool) {
	t.Helper()
	var w strings.Builder
	s := newSummary(&w, false)
	if err := s.read(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	good := s.report()
	return w.String(), good
}

func contains(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("%q is missing in:\n%s", w, text)
		}
	}
}

func TestSkipsAreNamedWithTheirReason(t *testing.T) {
	text, good := readAll(t, events)
	if !good {
		t.Error("a run with skips only is called bad")
	}
	contains(t, text, "ok  \tgithub.com/backbeat-ha/backbeat/a",
		"keepalived is not installed: apt install keepalived\n    a TestPeer\n",
		"no user namespace: allow them\n    vrrp/wire (all of it)\n", "PASS: 1 passed, 0 failed, 0 unsteady, 2 could not run")
	if strings.Contains(text, "boring") {
		t.Error("the log of a good test is shown")
	}
}

func TestFailuresAreShown(t *testing.T) {
	text, good := readAll(t, events+badEvents)
	if good {
		t.Error("a failure is called good")
	}
	contains(t, text, "it is broken", "b TestBad", "expected 'package'", "backbeat/c\n", "\nFAIL: ")
}

func TestNothingAtAllIsNotGood(t *testing.T) {
	if _, good := readAll(t, ""); good {
		t.Error("a run without a single package is called good")
	}
}

// A test that failed and passes alone is named as unsteady, and is no failure any more.
func TestUnsteady(t *testing.T) {
	var b strings.Builder
	s := newSummary(&b, false)
	const pkg = "github.com/backbeat-ha/backbeat/b"
	if err := s.read(strings.NewReader(`{"Action":"fail","Package":"` + pkg + `","Test":"TestBad/part"}
{"Action":"fail","Package":"` + pkg + `","Test":"TestBad"}
{"Action":"output","Package":"` + pkg + `","Output":"FAIL\t` + pkg + `\t0.1s\n"}
{"Action":"fail","Package":"` + pkg + `"}
`)); err != nil {
		t.Fatal(err)
	}
	if got := s.failedIn(pkg); len(got) != 1 || got[0] != "TestBad" || !s.failed() {
		t.Fatalf("failed in it: %v", got)
	}
	s.forgive(pkg, []string{"TestBad"})
	if good := s.report(); !good || s.failed() {
		t.Error("still a failure")
	}
	if out := b.String(); !strings.Contains(out, "== unsteady") || !strings.Contains(out, "b TestBad") || !strings.Contains(out, "1 unsteady") {
		t.Errorf("report:\n%s", out)
	}
}
