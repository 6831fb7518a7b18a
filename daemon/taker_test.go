package daemon_test

import (
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// movedTo asks for a move, and wants it to be refused with these words, or not at all.
func (h *hands) movedTo(words string) {
	h.g.t.Helper()
	h.did()
	res := h.command(daemon.Command{Verb: daemon.CommandMove, Name: "web"})
	switch {
	case words == "" && !res.OK, words != "" && (res.OK || res.Code != "refused" || !strings.Contains(res.Text, words) || !strings.Contains(res.Text, "--force")):
		h.g.t.Errorf("want %q, got %+v", words, res)
	case words != "":
		h.pass(2 * s)
		h.want(h.did(), "") // nothing was taken down
		h.want(h.g.state("web"), "active")
	}
}

// taken makes this host Active after another one, which said goodbye or fell silent.
func taken(t *testing.T, goodbye bool) *hands {
	t.Helper()
	h := services(t, group1(), web(priority(100)))
	h.g.up()
	for range 5 {
		h.hear(150)
		h.pass(s)
	}
	if goodbye {
		h.hear(0)
	}
	h.pass(10 * s)
	h.want(h.g.state("web"), "active")
	return h
}

// Who took over from silence, and has heard of nobody since, knows that nobody is there.
func TestMoveToWhoFellSilent(t *testing.T) {
	h := taken(t, false)
	h.movedTo("10.0.0.3 fell silent")
	h.hear(0) // it is back, and says that it holds nothing
	h.pass(s)
	h.movedTo("")
}

// The same after a goodbye: a host that goes on says in the next adverts that it is there.
func TestMoveToWhoLeft(t *testing.T) {
	h := taken(t, true)
	h.movedTo("10.0.0.3 said goodbye, and nobody has been heard on VRID 52")
	h.hear(0)
	h.pass(s)
	h.movedTo("")
}

// What is refused here would be refused there: such a host is not behind us.
func TestMoveToWhoIsRefused(t *testing.T) {
	h := servingSite(t)
	wrong := packet(peer4, 52, 60, s, vip4)
	wrong[20] = 0x21 // version 2, and nothing else of it
	h.g.queue = append(h.g.queue, vrrp.Packet{Link: eth0, Family: vrrp.IPv4, At: h.g.now, Data: wrong})
	h.g.turn()
	h.movedTo("10.0.0.3 has been heard on VRID 52, and its adverts are refused (version")
	h.hear(60)
	h.pass(s)
	h.movedTo("")
}

// A restart forgets who was heard, and is no reason to refuse.
func TestMoveAfterAHandOver(t *testing.T) {
	h := servingSite(t)
	h.hear(60)
	h.pass(time.Second)
	h.handOverSite(group1())
	h.pass(10 * s)
	h.movedTo("")
}
