package daemon_test

import (
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
)

// A group that is renamed is another one with the same things: they come down as the
// old one's before anybody looks at them as the new one's.
func TestServiceRenamed(t *testing.T) {
	fenced := func(c *daemon.ServiceConfig) {
		c.Ladder.Safety = actions.SafetySpec{Mode: actions.SafetyFence, ReleaseTimeout: 20 * s, Fence: []actions.FenceSpec{{Name: "ipmi", Timeout: 5 * s}}}
	}
	h := services(t, group1(fenced), web())
	h.g.up()
	h.pass(6 * s)
	h.g.apply()
	h.pass(s)
	h.want(h.did(), "fence, start drbd.data, start systemd.apache")
	cfg := config(web())
	cfg.Services = []daemon.ServiceConfig{group1(fenced, func(c *daemon.ServiceConfig) { c.Ladder.Name = "www" })}
	reply := make(chan daemon.Plan, 1)
	h.g.post(daemon.Reload{Config: cfg, Reply: reply})
	<-reply
	for range 100 { // until the old one is down
		if len(h.open) == 0 || !h.up["drbd.data"] {
			break
		}
		j := h.open[0]
		if h.open = h.open[1:]; strings.HasPrefix(j.Name, "www/") {
			t.Errorf("%s of %s while the old group is coming down", j.Verb, j.Name)
		}
		h.g.post(h.done(j))
	}
	h.pass(5 * s)
	h.want(h.did(), "stop systemd.apache, stop drbd.data, forget site/drbd.data, forget site/systemd.apache, start drbd.data, start systemd.apache")
	if len(h.g.status("").Services) != 1 || h.group().Name != "www" || h.group().State != "up" {
		t.Errorf("%+v", h.g.status("").Services)
	}
}
