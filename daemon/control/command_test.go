package control

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
)

// commanded is a loop that remembers the last command and answers it.
func commanded(t *testing.T, res daemon.CommandResult) (*loop, chan daemon.Command) {
	got := make(chan daemon.Command, 8)
	l := newLoop(t, "web")
	l.obey = func(c daemon.Command) { got <- c; c.Reply <- res }
	return l, got
}

func TestCommand(t *testing.T) {
	l, got := commanded(t, daemon.CommandResult{OK: true, Text: "web: stepping aside", Routers: []string{"web"}})
	_, c := start(t, l)
	a, err := c.Command(t.Context(), CommandRequest{Verb: daemon.CommandMove, Name: "web", Step: "s", Reason: "kernel update", For: 90.5, Pin: true, Force: true})
	if err != nil || a.Schema != 1 || !a.OK || a.Text != "web: stepping aside" || len(a.Routers) != 1 {
		t.Fatalf("got %+v, %v", a, err)
	}
	q := <-got
	if want := userName(uint32(os.Geteuid())); !strings.HasPrefix(q.By, want) {
		t.Errorf("by %q, want %q", q.By, want)
	}
	q.By, q.Reply = "", nil
	want := daemon.Command{Verb: daemon.CommandMove, Name: "web", Step: "s", Reason: "kernel update", For: 90*time.Second + 500*time.Millisecond, Pin: true, Force: true}
	if fmt.Sprint(q) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", q, want)
	}
}

// A refusal is an answer, with HTTP status 422.
func TestCommandRefused(t *testing.T) {
	l, _ := commanded(t, daemon.CommandResult{Code: "unknown-name", Text: "no such name", Suggestions: []string{"web"}})
	s, c := start(t, l)
	a, err := c.Command(t.Context(), CommandRequest{Verb: daemon.CommandClear, Name: "wbe"})
	if err != nil || a.OK || a.Code != "unknown-name" || len(a.Suggestions) != 1 {
		t.Fatalf("got %+v, %v", a, err)
	}
	get(t, s, "/v1/command", http.StatusMethodNotAllowed)
}

func TestBadCommands(t *testing.T) {
	for body, want := range map[string]string{
		`{`:                                     "cannot understand",
		`{"verb":"dance"}`:                      `there is no verb "dance"; there are standby, online,`,
		`{"verb":"move","to":"x"}`:              "unknown field",
		`{"verb":"standby","for_seconds":-1}`:   "for_seconds must be",
		`{"verb":"standby","for_seconds":1e12}`: "for_seconds must be",
		`{"verb":"standby","reason":"a\nb"}`:    "in one line",
		`{"verb":"standby","reason":"` + strings.Repeat("x", 201) + `"}`: "longer than 200",
	} {
		if _, err := readCommand(strings.NewReader(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}

// The status of a group shows it, whom it follows, and what these stand on.
func TestStatusOfAGroup(t *testing.T) {
	l := newLoop(t, "mail", "web")
	l.services = []daemon.ServiceStatus{{Name: "post", Follows: []string{"mail"}}, {Name: "site", Follows: []string{"web"}}}
	l.orders = []daemon.Order{{Kind: daemon.OrderStandby}}
	_, c := start(t, l)
	for name, want := range map[string]string{"": "mail web post site 1", "site": "web site 1", "web": "web site 1"} {
		st, err := c.Status(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range st.Routers {
			got = append(got, r.Name)
		}
		for _, s := range st.Services {
			got = append(got, s.Name)
		}
		if s := fmt.Sprint(strings.Join(got, " "), " ", len(st.Orders)); s != want {
			t.Errorf("status of %q has %s, want %s", name, s, want)
		}
	}
	if _, err := c.Status(t.Context(), "stie"); err == nil || err.Error() != `there is no virtual router or service group "stie" here; did you mean "site"?` {
		t.Errorf("got %v", err)
	}
}
