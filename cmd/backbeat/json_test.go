package main

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/conf"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// docs/json.md is a promise: every field is in it, and nothing else is.
func TestJSONIsDocumented(t *testing.T) {
	sections := documented(t)
	for section, v := range map[string]any{
		"Status": control.Status{}, "Scheduling": control.Scheduling{}, "Loop": daemon.LoopStatus{}, "Virtual router": daemon.RouterStatus{}, "Active": daemon.ActiveStatus{},
		"Configuration": control.Configuration{}, "Notice": daemon.NoticeStatus{}, "Refused": daemon.RefusedStatus{},
		"Address": daemon.AddressStatus{}, "Peer": daemon.PeerStatus{}, "Hook": daemon.HookStatus{}, "Interface": daemon.LinkStatus{},
		"History": control.History{}, "Transition": daemon.Transition{}, "Evidence": daemon.Evidence{}, "Follow-up": daemon.Followup{},
		"Reload": control.Reload{}, "Plan step": control.PlanStep{}, "Check step": control.CheckStep{},
		"Service group": daemon.ServiceStatus{}, "Step": daemon.StepStatus{}, "Order": daemon.Order{},
		"Command": control.CommandRequest{}, "Command answer": control.CommandAnswer{}, "Group step": control.GroupStep{},
		"Command result": outcome{}, "Explanation": explanation{}, "Explained": because{},
		"Contribution": daemon.ContributionStatus{}, "Health check": daemon.CheckStatus{}, "Run": daemon.RunStatus{}, "Diagnostic": conf.Diagnostic{},
		"Check": checkAnswer{}, "Checked host": checkedHost{}, "Daemon version": control.Version{}, "Tool version": build{}, "Error": control.Error{},
	} {
		want := fields(reflect.TypeOf(v))
		got := sections[section]
		delete(sections, section)
		for name, optional := range want {
			row, ok := got[name]
			if !ok {
				t.Errorf("docs/json.md, %s: field %q is missing", section, name)
			} else if said := strings.Contains(row, "optional"); said != optional {
				t.Errorf("docs/json.md, %s: field %q: optional is %v in Go and %v in the text", section, name, optional, said)
			}
		}
		for name := range got {
			if _, ok := want[name]; !ok {
				t.Errorf("docs/json.md, %s: there is no field %q", section, name)
			}
		}
	}
	names := func(section string) []string {
		var out []string
		for n := range sections[section] {
			out = append(out, n)
		}
		slices.Sort(out)
		return out
	}
	var drops, causes []string
	for d := vrrp.Accepted + 1; d < vrrp.NumDrops; d++ {
		drops = append(drops, d.String())
	}
	for c := vrrp.CauseNone; !strings.HasPrefix(c.String(), "Cause("); c++ {
		causes = append(causes, c.String())
	}
	var notices []string
	for k := vrrp.NoticeNone + 1; k < vrrp.NumNotices; k++ {
		notices = append(notices, k.String())
	}
	slices.Sort(notices)
	if got := names("Notices"); !slices.Equal(got, notices) {
		t.Errorf("docs/json.md names the notices %q, they are %q", got, notices)
	}
	slices.Sort(drops)
	slices.Sort(causes)
	if got := names("Statistics"); !slices.Equal(got, drops) {
		t.Errorf("docs/json.md names the drops %q, they are %q", got, drops)
	}
	if got := names("Causes"); !slices.Equal(got, causes) {
		t.Errorf("docs/json.md names the causes %q, they are %q", got, causes)
	}
}

// documented reads the tables of docs/json.md: section, name in the first
// column, the whole row.
func documented(t *testing.T) map[string]map[string]string {
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]string{}
	section := ""
	for _, line := range strings.Split(string(text), "\n") {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			section = name
			out[section] = map[string]string{}
		}
		if rest, ok := strings.CutPrefix(line, "| `"); ok && section != "" {
			name, row, _ := strings.Cut(rest, "`")
			out[section][name] = row
		}
	}
	return out
}

// fields returns the JSON names of a struct and whether they may be left out.
func fields(t reflect.Type) map[string]bool {
	out := map[string]bool{}
	for f := range t.Fields() {
		if f.Anonymous {
			for n, o := range fields(f.Type) {
				out[n] = o
			}
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "-" {
			out[name] = strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
		}
	}
	return out
}
