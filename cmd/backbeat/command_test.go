package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

// obedient is a daemon by hand: it shows one page until it gets a command, which
// it answers, and another one after.
type obedient struct {
	mu     sync.Mutex
	before *control.Status
	after  *control.Status
	res    daemon.CommandResult
	got    []daemon.Command
}

func (o *obedient) answer(in daemon.Input) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch q := in.(type) {
	case daemon.StatusQuery:
		page := o.before.StatusPage
		if len(o.got) > 0 {
			page = o.after.StatusPage
		}
		page.Total = len(page.Routers)
		// The server cuts its answers down.
		page.Routers, page.Services = slices.Clone(page.Routers), slices.Clone(page.Services)
		if q.Name != "" {
			page.Routers = slices.DeleteFunc(page.Routers, func(r daemon.RouterStatus) bool { return r.Name != q.Name })
		}
		q.Reply <- page
	case daemon.HistoryQuery:
		q.Reply <- nil
	case daemon.Command:
		q.Reply <- o.res
		q.Reply, q.By = nil, ""
		o.got = append(o.got, q)
	}
}

func (o *obedient) commands() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []string
	for _, c := range o.got {
		list = append(list, fmt.Sprintf("%s %s/%s for %s pin %v here %v unmanage %v force %v %q", c.Verb, c.Name, c.Step, c.For, c.Pin, c.Here, c.Unmanage, c.Force, c.Reason))
	}
	return strings.Join(list, "\n")
}

func TestVerbsSendCommands(t *testing.T) {
	ok := daemon.CommandResult{OK: true, Text: "begun"}
	for _, tt := range []struct {
		args, want string
	}{
		{"standby --reason kernel --for 90m", `standby / for 1h30m0s pin false here false unmanage false force false "kernel"`},
		{"standby web web", `standby web/ for 0s pin false here false unmanage false force false ""`},
		{"online", `online / for 0s pin false here false unmanage false force false ""`},
		{"move web --pin --for 2h", `move web/ for 2h0m0s pin true here false unmanage false force false ""`},
		{"move web --here --force", `move web/ for 0s pin false here true unmanage false force true ""`},
		{"unmove web", `unmove web/ for 0s pin false here false unmanage false force false ""`},
		{"clear site", `clear site/ for 0s pin false here false unmanage false force false ""`},
		{"group stop site/systemd.apache --unmanage", `group-stop site/systemd.apache for 0s pin false here false unmanage true force false ""`},
		{"group start site", `group-start site/ for 0s pin false here false unmanage false force false ""`},
		{"group restart site/apache", `group-restart site/apache for 0s pin false here false unmanage false force false ""`},
		{"maintenance on site --reason disk", `maintenance-on site/ for 0s pin false here false unmanage false force false "disk"`},
		{"maintenance off", `maintenance-off / for 0s pin false here false unmanage false force false ""`},
		{"fence --confirm --yes", `fence-confirm / for 0s pin false here false unmanage false force false ""`},
	} {
		o := &obedient{before: webWith(upSite()), after: webWith(upSite()), res: ok}
		socket := serveWith(t, control.ReloadResult{}, o.answer)
		code, out, errs := newBench().run(append(strings.Fields(tt.args), "--no-wait", "--control", socket)...)
		if got := o.commands(); code != 0 || out != "begun\n" || errs != "" || got != tt.want {
			t.Errorf("%s: exit %d, %q, %q, sent\n%s, want\n%s", tt.args, code, out, errs, got, tt.want)
		}
	}
}

func TestVerbsFollow(t *testing.T) {
	o := &obedient{before: webWith(upSite()), after: standbyPage(),
		res: daemon.CommandResult{OK: true, Text: "this host goes into standby", Routers: []string{"web"}, Services: []string{"site"}}}
	socket := serveWith(t, control.ReloadResult{}, o.answer)
	code, out, errs := newBench().run("standby", "--control", socket)
	if code != 0 || errs != "" || !strings.HasPrefix(out, "this host goes into standby\n") || !strings.Contains(out, "192.168.122.12 is Active now\n") ||
		!strings.HasSuffix(out, "this host (web1) is in standby until backbeat online\n") {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
	o = &obedient{before: webWith(upSite()), after: stuckPage(), res: o.res}
	socket = serveWith(t, control.ReloadResult{}, o.answer)
	code, out, _ = newBench().run("standby", "-o", "json", "--control", socket)
	var res outcome
	if err := json.Unmarshal([]byte(out), &res); err != nil || code != 1 || res.Done || len(res.Failed) != 1 || res.Text != "this host goes into standby" {
		t.Errorf("exit %d, %v, %s", code, err, out)
	}
	o = &obedient{before: webWith(upSite()), after: webWith(climbingSite()), res: o.res}
	socket = serveWith(t, control.ReloadResult{}, o.answer)
	code, out, _ = newBench().run("standby", "--timeout", "300ms", "--control", socket)
	if code != 1 || !strings.Contains(out, "It waits for:\n  web: still Active here\n  site: filesystem.www starting") || !strings.HasSuffix(out, "to go back: backbeat online\n") {
		t.Errorf("exit %d, %s", code, out)
	}
}

func TestVerbsRefused(t *testing.T) {
	o := &obedient{before: webWith(upSite()), after: webWith(upSite()),
		res: daemon.CommandResult{Code: "unknown-name", Text: `there is no service group "stie" here`, Suggestions: []string{"site", "web"}}}
	socket := serveWith(t, control.ReloadResult{}, o.answer)
	code, out, errs := newBench().run("clear", "stie", "--control", socket)
	if code != 1 || out != "" || errs != "backbeat: there is no service group \"stie\" here; there are site, web\n" {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
	for _, tt := range []struct{ args, want string }{
		{"move", "move takes one NAME, and got 0"},
		{"move web --pin --here", "choose one"},
		{"move web --for 1h", "--for is the end of a --pin"},
		{"standby --for -1h", "must not be negative"},
		{"standby --timeout 0s", "--no-wait does not follow"},
		{"group", "stop, start or restart"},
		{"group dance site", `there is no group "dance"`},
		{"group stop", "stop takes one GROUP[/STEP], and got 0"},
		{"group stop site --for 1h", "--unmanage begins"},
		{"maintenance", "say on or off"},
		{"maintenance site", "say on or off"},
		{"maintenance on a b", "one GROUP at most"},
		{"fence", "backbeat fence --confirm"},
		{"fence --confirm", "this is no terminal to ask on"},
	} {
		args := strings.Fields(tt.args)
		if args[0] != "group" || len(args) > 1 && args[1] == "stop" {
			args = append(args, "--control", socket)
		}
		code, out, errs := newBench().run(args...)
		if code != 2 || out != "" || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: exit %d, %q, %q, want %q", tt.args, code, out, errs, tt.want)
		}
	}
}

// A word that can cost the data is asked for twice.
func TestFenceAsks(t *testing.T) {
	page := webWith(claimingSite(), func(r *daemon.RouterStatus) {
		r.Peers = []daemon.PeerStatus{{Address: "192.168.122.12", Priority: 100, HeardAgo: 40}}
	})
	for word, want := range map[string]int{"yes\n": 0, "y\n": 1, "": 1} {
		o := &obedient{before: page, after: webWith(upSite()), res: daemon.CommandResult{OK: true, Text: "taken as off, on your word", Services: []string{"site"}}}
		socket := serveWith(t, control.ReloadResult{}, o.answer)
		b := newBench()
		b.in, b.asks = strings.NewReader(word), true
		code, _, errs := b.run("fence", "--confirm", "site", "--control", socket)
		if sent := o.commands() != ""; code != want || sent != (want == 0) || !strings.Contains(errs, "Is 192.168.122.12 really off?") {
			t.Errorf("%q: exit %d, sent %v, %s", word, code, sent, errs)
		}
	}
}

func TestCompletion(t *testing.T) {
	o := &obedient{before: webWith(upSite()), after: webWith(upSite())}
	socket := serveWith(t, control.ReloadResult{}, o.answer)
	for args, want := range map[string]string{
		"status ":               "web site",
		"history ":              "web site",
		"standby ":              "web site",
		"standby web ":          "site",
		"move ":                 "web site",
		"move web ":             "",
		"clear ":                "web site",
		"group stop ":           "site site/drbd.wwwdata site/filesystem.www site/systemd.apache",
		"maintenance ":          "on off",
		"maintenance on ":       "site",
		"fence --confirm ":      "site",
		"status --output ":      "text json",
		"group ":                "restart start stop",
		"maintenance off site ": "",
	} {
		words := strings.Split(args, " ")
		last := words[len(words)-1]
		list := append([]string{"__complete"}, words[:len(words)-1]...)
		if args != "group " && args != "status --output " {
			list = append(list, "--control", socket)
		}
		_, out, _ := newBench().run(append(list, last)...)
		var got []string
		for _, l := range strings.Split(out, "\n") {
			if name, _, _ := strings.Cut(l, "\t"); name != "" && !strings.HasPrefix(name, ":") {
				got = append(got, name)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("completion of %q: %q, want %q", args, s, want)
		}
	}
}
