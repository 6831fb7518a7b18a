package daemon_test

import (
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
)

// orders are the commands that the history of a router tells, oldest first: "verb name|note".
func (h *hands) orders(router string) string {
	h.g.t.Helper()
	reply := make(chan []daemon.Transition, 1)
	h.g.post(daemon.HistoryQuery{Name: router, Limit: 100, Reply: reply})
	var out []string
	for _, t := range <-reply {
		for _, f := range t.Followed {
			if what, is := strings.CutPrefix(f.What, "order: "); is {
				out = append(out, what+"|"+f.Note)
			}
		}
	}
	return strings.Join(out, "; ")
}

// A command that was carried out is in the history of what it concerns, with who gave it
// and why; one that was refused is not.
func TestCommandsAreInTheHistory(t *testing.T) {
	for _, c := range []struct {
		command   daemon.Command
		web, mail string
	}{
		{daemon.Command{Verb: daemon.CommandStandby, Reason: "kernel update"}, "standby|by root (uid 0): kernel update", "standby|by root (uid 0): kernel update"},
		{daemon.Command{Verb: daemon.CommandStandby, Name: "mail", For: time.Hour}, "", "standby mail|by root (uid 0)"},
		{daemon.Command{Verb: daemon.CommandOnline}, "online|by root (uid 0)", "online|by root (uid 0)"},
		{daemon.Command{Verb: daemon.CommandMove, Name: "web", Force: true}, "move web|by root (uid 0)", ""},
		{daemon.Command{Verb: daemon.CommandMove, Name: "web"}, "", ""}, // to nobody: refused
		{daemon.Command{Verb: daemon.CommandMove, Name: "nothing"}, "", ""},
		{daemon.Command{Verb: daemon.CommandUnmove, Name: "site"}, "unmove site|by root (uid 0)", ""},
		{daemon.Command{Verb: daemon.CommandGroupRestart, Name: "site", Step: "apache", Reason: "new certificate"}, "group-restart site apache|by root (uid 0): new certificate", ""},
		{daemon.Command{Verb: daemon.CommandGroupStop, Name: "site"}, "group-stop site|by root (uid 0)", ""},
		{daemon.Command{Verb: daemon.CommandMaintenanceOn}, "maintenance-on|by root (uid 0)", ""},
		{daemon.Command{Verb: daemon.CommandClear, Name: "web"}, "clear web|by root (uid 0)", ""},
		{daemon.Command{Verb: "dance"}, "", ""},
	} {
		h := services(t, group1(), web(), web(named("mail", 53, 54)))
		h.g.up()
		h.pass(5 * s)
		h.g.apply()
		h.pass(s)
		h.want(h.group().State, "up")
		res := h.command(c.command)
		if res.OK != (c.web+c.mail != "") {
			t.Errorf("%s %s: %+v", c.command.Verb, c.command.Name, res)
		}
		if web, mail := h.orders("web"), h.orders("mail"); web != c.web || mail != c.mail {
			t.Errorf("%s %s: web has %q, want %q; mail %q, want %q", c.command.Verb, c.command.Name, web, c.web, mail, c.mail)
		}
	}
}
