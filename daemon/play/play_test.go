package play_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/conf"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/play"
)

// load reads one text as several hosts.
func load(t *testing.T, text string, nodes ...string) []*daemon.Config {
	t.Helper()
	var out []*daemon.Config
	for _, n := range nodes {
		cfg, d := conf.Load([]conf.Source{{Name: "test.hcl", Text: []byte(text), Mode: 0o600}}, conf.Options{Override: n})
		if cfg == nil {
			var b strings.Builder
			_ = d.WriteText(&b, 0, false)
			t.Fatal(b.String())
		}
		out = append(out, cfg)
	}
	return out
}

// perform plays faults, written as on the command line without the dashes.
func perform(t *testing.T, cfgs []*daemon.Config, faults ...string) *play.Result {
	t.Helper()
	list, errs := play.Parse(cfgs, given(faults), 0)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	r, err := play.Run(play.Options{Hosts: cfgs, Faults: list, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func given(faults []string) (out []play.Given) {
	for _, f := range faults {
		kind, value, _ := strings.Cut(f, " ")
		out = append(out, play.Given{Kind: kind, Value: value})
	}
	return out
}

// story is a timeline in lines, for messages and searches.
func story(r *play.Result) string {
	var b strings.Builder
	for _, e := range r.Timeline {
		fmt.Fprintf(&b, "%.3f %s %s %s %s\n", e.At, e.Node, e.Router, e.To, e.Text)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "! %s %s\n", f.Kind, f.Text)
	}
	return b.String()
}

func holders(r *play.Result) (out []string) {
	for _, a := range r.Addresses {
		out = append(out, strings.Join(a.Holders, "+"))
	}
	return out
}

func router(more string) string {
	return `virtual_router "web" {
  interface = "eth0"
  vrid = 61
  priority = { a = 150, b = 100, c = 50 }[node.name]
  addresses = ["192.0.2.10/24"]
  ` + more + `
}
`
}

// Every kind of fault does what its name says.
func TestFaults(t *testing.T) {
	checked := `check "file" "f" {
  path = "/f"
  interval = "1s"
}
` + router("depends_on { check = check.file.f }")
	for _, tt := range []struct {
		text   string
		faults []string
		want   string // who holds the address at the end
		says   string // part of the story
	}{
		{router(""), nil, "a", "192.0.2.10/24 is on a"},
		{router(""), []string{"fail a@10s"}, "b", "nobody holds 192.0.2.10/24"},
		{router(""), []string{"fail a@10s..20s"}, "a", "preempting"},
		{router(""), []string{"fail a@10s", "start a@30s"}, "a", "a   has power again, backbeat starts"},
		{router(""), []string{"fail a@10s", "fail b@10s", "fail c@10s"}, "", "! nobody-holds"},
		{router(""), []string{"kill a@10s"}, "b", "backbeat is killed"},
		{router(`address_lifetime = "off"`), []string{"kill a@10s"}, "a+b", "on a no daemon runs"},
		{router(""), []string{"kill a@10s..11s"}, "a", "backbeat starts again"},
		{router(""), []string{"stop a@10s", "stop b@20s"}, "c", "stepped aside on request"},
		{router(""), []string{"start a@20s"}, "a", "20.000 a   backbeat starts"},
		{router(""), []string{"freeze a@10s"}, "b", "backbeat is frozen"},
		{router(`address_lifetime = "off"`), []string{"freeze a@10s"}, "a+b", "192.0.2.10/24 is on a and b"},
		{router(""), []string{"freeze a@10s", "fail a@20s"}, "b", "loses power"},
		{router(""), []string{"pause a@10s"}, "b", "stands still"},
		{router(""), []string{"link eth0@a@10s"}, "b", "the interface is down (no carrier)"},
		{router(""), []string{"remove eth0@a@10s..20s"}, "a", "the interface does not exist"},
		{router(""), []string{"cut a@10s"}, "a+b", "a and the others do not hear each other"},
		{router(""), []string{"cut a-b@10s..20s"}, "a", "a and b hear each other again"},
		{router(""), []string{"cut a>b@10s"}, "a+b", "b does not hear a"},
		{router(""), []string{"cut a-b:eth0@10s", "cut a-c:eth0@10s"}, "a+b", ""},
		{router(""), []string{"loss 100%@10s"}, "a+b+c", "loses 100%"},
		{router(""), []string{"delay 2s@10s..20s"}, "a", "packets take 2 s"},
		{checked, []string{"check f=failing@a@10s"}, "b", "degraded by file.f"},
		{checked, []string{"check file.f=failing@*"}, "a", "check file.f is failing"},
		{checked, []string{"check f=failing@a@10s", "check f=healthy@a@20s"}, "a", "as configured"},
		{checked, []string{"check f=unknown@a@10s..30s"}, "a", "could not be run"},
		{router(""), []string{"standby a@10s"}, "b", "goes into standby"},
		{router(""), []string{"standby a@10s..20s"}, "a", "takes part again"},
		{router(""), []string{"stop a@5s..10s", "move web@a@30s..50s"}, "a", "steps aside for whoever takes over"},
		{router(`depends_on { link = "eth1" }`), []string{"link eth1@a@10s"}, "b", "link.eth1: 1 of 1 failed, last: no carrier"},
	} {
		r := perform(t, load(t, tt.text, "a", "b", "c"), tt.faults...)
		if got := strings.Join(holders(r), " "); got != tt.want || !strings.Contains(story(r), tt.says) {
			t.Errorf("%v: held by %q, want %q, and the story has %q:\n%s", tt.faults, got, tt.want, tt.says, story(r))
		}
		if found := len(r.Findings) > 0; found != (strings.Contains(tt.want, "+") || tt.want == "") {
			t.Errorf("%v: findings %v", tt.faults, r.Findings)
		}
	}
}

// What cannot be so together is refused, and what can is not.
func TestContradictions(t *testing.T) {
	cfgs := load(t, `check "file" "f" { path = "/f" }
`+router("depends_on { check = check.file.f }"), "a", "b", "c")
	for _, tt := range []struct {
		faults []string
		want   string
	}{
		{[]string{"fail a@10s..20s", "stop a@20s"}, ""},
		{[]string{"fail a@10s..20s", "stop a@15s"}, "--stop a@15s overlaps with --fail a@10s..20s"},
		{[]string{"fail a@10s", "fail a@5s..8s"}, ""},
		{[]string{"fail a@10s", "freeze a@12s"}, "--freeze a@12s overlaps with --fail a@10s"},
		{[]string{"stop a@10s", "start a@12s", "stop a@14s"}, ""},
		{[]string{"stop a@10s", "start a@12s", "start a@14s"}, "the daemon of a already runs at 14s"},
		{[]string{"start a@5s", "start a@14s"}, "already runs"},
		{[]string{"start a@5s", "stop a@4s"}, ""},
		{[]string{"link eth0@a@1s..5s", "remove eth0@a@4s"}, "overlaps"},
		{[]string{"link eth0@a@1s..5s", "link eth0@b@4s"}, ""},
		{[]string{"cut a-b@1s..5s", "cut b-a@4s"}, "overlaps"},
		{[]string{"cut a>b@1s..5s", "cut b>a@4s"}, ""},
		{[]string{"cut a@1s..5s", "cut b-c@4s"}, ""},
		{[]string{"cut a@1s..5s", "cut b-a@4s"}, "overlaps"},
		{[]string{"check f=failing@a@1s", "check f=unknown@a@4s..9s"}, ""},
		{[]string{"check f=failing@a@1s..5s", "check f=unknown@a@4s..9s"}, "overlaps"},
		{[]string{"check f=failing@*@1s..5s", "check f=unknown@b@4s..9s"}, "overlaps"},
		{[]string{"loss 5%@1s..5s", "loss 10%@2s"}, "overlaps"},
		{[]string{"loss 5%@1s", "loss 10%@2s"}, ""},
		{[]string{"standby a@1s", "standby b@2s"}, ""},
		{[]string{"standby a@1s..4s", "standby a@2s"}, "overlaps"},
		{[]string{"fly a@1s"}, `there is no fault called "fly"`},
		{[]string{"check g=failing@*@1s"}, `there is no check "g"`},
		{[]string{"move mail@a@1s"}, `there is no "mail" on a; there are web`},
		{[]string{"step x=failing@a@1s"}, "there is no service group on a"},
		{[]string{"step x=broken@a@1s"}, "failing or stuck"},
	} {
		_, errs := play.Parse(cfgs, given(tt.faults), 0)
		if got := fmt.Sprint(errs); tt.want == "" && len(errs) > 0 || !strings.Contains(got, tt.want) {
			t.Errorf("%v: %s, want %q", tt.faults, got, tt.want)
		}
	}
}

// Hosts may have a - in their names, which also stands between two.
func TestHostsWithDashes(t *testing.T) {
	text := strings.ReplaceAll(strings.ReplaceAll(router(""), "a = 150", `"fw-1" = 150`), "b = 100", `"fw-1-b" = 100`)
	cfgs := load(t, text, "fw-1", "fw-1-b")
	for _, cut := range []string{"cut fw-1-fw-1-b@10s..20s", "cut fw-1-b-fw-1@10s..20s", "cut fw-1-b>fw-1@10s..20s"} {
		if r := perform(t, cfgs, cut); strings.Count(story(r), "fw-1-b") < 2 || r.Addresses[0].Holders[0] != "fw-1" {
			t.Errorf("%s:\n%s", cut, story(r))
		}
	}
}

// One seed is one play, and progress goes up to the end.
func TestDeterminism(t *testing.T) {
	cfgs := load(t, router(""), "a", "b", "c")
	faults := []string{"loss 60%@5s..40s", "freeze a@50s..70s"}
	if one, two := story(perform(t, cfgs, faults...)), story(perform(t, cfgs, faults...)); one != two {
		t.Errorf("two stories:\n%s\n%s", one, two)
	}
	last := time.Duration(0)
	if _, err := play.Run(play.Options{Hosts: cfgs, Until: time.Minute, Progress: func(done, of time.Duration) {
		if done < last || of != time.Minute {
			t.Fatalf("%v of %v after %v", done, of, last)
		}
		last = done
	}}); err != nil || last != time.Minute {
		t.Errorf("%v at %v", err, last)
	}
}
