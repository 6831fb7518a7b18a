package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/conf"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

// A plan reads the file, compares it with what is running, and touches nothing.
func TestPlan(t *testing.T) {
	next, fail := config("b", "c"), error(nil)
	r := &reloader{path: "web.hcl", post: func(daemon.Input) { t.Error("the loop was asked") },
		log:  func(slog.Level, string, ...slog.Attr) { t.Error("something was logged") },
		load: func(string) (*daemon.Config, *conf.Diagnostics, error) { return next, &conf.Diagnostics{}, fail }}
	r.applied(config("a", "b"))
	before := r.configuration()
	res := r.plan(t.Context())
	if got := planText(res.Plan); res.Err != nil || got != "1 added, 1 removed, 1 unchanged" {
		t.Errorf("%s, %v", got, res.Err)
	}
	fail = errors.New("no such file")
	if res := r.plan(t.Context()); res.Err == nil || r.configuration() != before {
		t.Errorf("a plan that fails: %v, %+v", res.Err, r.configuration())
	}
}

func TestPlanOfGroups(t *testing.T) {
	var b bytes.Buffer
	printPlan(&b, look{}, &control.Reload{Unchanged: control.Unchanged{Routers: 1, Services: 2, Checks: 1}, Plan: []control.PlanStep{{Router: "web", Change: "keep"}}, Services: []control.GroupStep{
		{Group: "site", Change: "adjust", Differences: []string{"step systemd.apache changed"}, Kept: 2}, {Group: "post", Change: "remove"}}}, planWords)
	want := `would adjust  service group site: step systemd.apache changed
              its first 2 steps stay as they are
would remove  service group post
a reload would leave unchanged: 1 virtual router, 2 service groups, 1 check
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
	b.Reset()
	printPlan(&b, look{}, &control.Reload{Unchanged: control.Unchanged{Routers: 1, Checks: 3}, Plan: []control.PlanStep{{Router: "web", Change: "keep"}}}, planWords)
	if !strings.HasPrefix(b.String(), "a reload would change nothing (1 virtual router, 3 checks)") {
		t.Errorf("got %s", b.String())
	}
}

// The log's line counts what does not notice, too.
func TestPlanText(t *testing.T) {
	group, check := []daemon.ServiceStep{{Change: daemon.Add, Group: "site"}}, []daemon.CheckStep{{Change: daemon.Remove, Check: "http.site"}}
	for want, p := range map[string]daemon.Plan{
		"1 unchanged": {Steps: []daemon.PlanStep{{Router: "web"}}},
		"1 unchanged, 2 service groups unchanged, 1 check unchanged":               {Steps: []daemon.PlanStep{{Router: "web"}}, ServicesKept: 2, ChecksKept: 1},
		"1 service group changed and 2 unchanged, 1 check changed and 3 unchanged": {Services: group, ServicesKept: 2, Checks: check, ChecksKept: 3},
		"1 service group changed, 1 check changed":                                 {Services: group, Checks: check},
	} {
		if got := planText(p); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
