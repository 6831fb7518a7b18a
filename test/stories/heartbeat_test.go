package stories

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// The story of docs/stories/heartbeat-pair.md: node1 and node2 with BIND, Apache and
// MariaDB behind one address, by init scripts.

const haAddress = "100.200.230.1"

var ha = netip.MustParseAddr(haAddress)

// What follows from the file: interval 1s, priority 100 of node2.
const (
	haSkew = time.Second * 156 / 256
	haDown = 3*time.Second + haSkew
)

type pair struct {
	*story
	node1, node2 *node
	web          *web
}

// newPair sets both hosts up as docs/stories/heartbeat-pair.md says; nothing is started.
func newPair(t *testing.T, file string, dirs ...string) *pair {
	t.Helper()
	needServices(t)
	s := newStory(t, "heartbeat-pair/"+file, []string{"node1", "node2"}, []string{"client"}, 1, append(dirs, "/etc/init.d")...)
	p := &pair{story: s, node1: s.node("node1"), node2: s.node("node2")}
	s.address("node1", 0, "100.200.230.2/24")
	s.address("node2", 0, "100.200.230.3/24")
	s.address("client", 0, "100.200.230.99/24")
	for _, n := range s.nodes {
		s.services(n)
	}
	return p
}

// begin starts both daemons and waits until node1 serves.
func (p *pair) begin() {
	p.t.Helper()
	p.node1.start()
	p.node2.start()
	p.serves(p.node1)
	p.web = p.story.web("client", "http://"+haAddress+"/")
	p.until("the client to be served", func() bool { return p.web.server() == "node1" })
}

// other is the other node.
func (p *pair) other(n *node) *node {
	if n == p.node1 {
		return p.node2
	}
	return p.node1
}

// serves waits until a node has the address and all services, and the other one none.
func (p *pair) serves(n *node) {
	p.t.Helper()
	o := p.other(n)
	p.until(n.Name+" to serve, and "+o.Name+" not", func() bool {
		// The state is asked for last: what it says is then later than what was seen.
		return n.runs() == 3 && o.runs() == 0 && slices.Equal(p.Holders(ha), []string{n.Name}) &&
			n.state("ha") == "active" && n.group("ha").State == "up"
	})
	p.served("client", haAddress, n.Name)
}

// saw reports what the web client saw since a fault.
func (p *pair) saw(since time.Duration, what string) outage {
	p.t.Helper()
	o := p.web.since(since)
	p.t.Logf("%s: %s", what, o)
	return o
}

// Steps 3, 6 and 8 of services.md 7.2: the order, standby and online, automatic failback;
// and a service that crashes.
func TestHeartbeatPair(t *testing.T) {
	t.Parallel()
	p := newPair(t, "ha.hcl")
	p.begin()
	p.node1.did(up...)
	p.node2.did()
	p.node1.do([]string{"lsb.named", "lsb.httpd", "lsb.mysqld"}, "status", "ha")

	p.node1.forget()
	crash := lab.Now()
	for _, pid := range p.node1.Processes("apache2") {
		kill(pid)
	}
	p.until("httpd to be repaired", func() bool { return step(p.node1.group("ha"), "httpd").Restarts == 1 })
	p.serves(p.node1)
	p.saw(crash, "httpd killed")
	p.node1.did("mysqld stopping", "mysqld down", "httpd starting", "httpd up", "mysqld starting", "mysqld up")

	p.node1.forget()
	standby := lab.Now()
	p.node1.do([]string{"100.200.230.3 (priority 100) is Active now"}, "standby", "--reason", "kernel update")
	p.serves(p.node2)
	p.saw(standby, "standby")
	p.node1.did(down...)
	p.node2.did(up...)
	if last, first := p.node1.events(), p.node2.events(); last[len(last)-1].at > first[0].at {
		t.Error("node2 has started a service before all were down on node1")
	}

	p.node2.forget()
	p.node1.forget()
	online := lab.Now()
	p.node1.do(nil, "online") // auto_failback on
	p.serves(p.node1)
	p.saw(online, "automatic failback")
	p.node2.did(down...)
	p.node1.did(up...)
	t.Logf("first start on node1 %s after the last stop on node2", time.Duration(p.node1.events()[0].at-p.node2.events()[len(down)-1].at))
}

// kill ends a process as a crash does.
func kill(pid int) { _ = unix.Kill(pid, unix.SIGKILL) }
