package stories

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// Step 5 and 6 of services.md 7.2: the plug is pulled, and put back.
func TestHeartbeatPairPowerOff(t *testing.T) {
	t.Parallel()
	p := newPair(t, "ha.hcl")
	p.begin()
	off := lab.Now()
	p.node1.off()
	p.within(haDown+p.slack(off), "node2 to have the address", func() bool { return p.node2.Has(ha) })
	t.Logf("power-off: node2 has the address after %s", (lab.Now() - off).Round(time.Millisecond))
	p.serves(p.node2)
	p.saw(off, "power-off")
	p.node2.did(up...)

	p.node1.on() // auto_failback on
	p.node1.forget()
	p.node2.forget()
	back := lab.Now()
	p.node1.start()
	p.serves(p.node1)
	p.saw(back, "automatic failback after a boot")
	p.node2.did(down...)
	p.node1.did(up...)
}

// Steps 12 and 15: a service will not start on node2, or its script is gone. Nothing is
// left half up, the other host serves, and status says why.
func TestHeartbeatPairServiceWillNotStart(t *testing.T) {
	t.Parallel()
	p := newPair(t, "ha.hcl")
	p.begin()
	p.node2.break_("httpd", "start")
	p.node1.forget()
	move := lab.Now()
	text, code := p.node1.verb("move", "ha", "--force", "--timeout", "30s") // node2 was never heard: a Backup is silent
	t.Logf("node1# backbeat move ha: exit status %d\n%s", code, text)
	p.until("node2 to give up", func() bool { return p.node2.group("ha").Unfit != "" })
	p.serves(p.node1)
	p.saw(move, "move to a host whose httpd does not start")
	p.node2.did("named starting", "named up", "httpd refused", "named stopping", "named down")
	p.node1.did(append(slices.Clone(down), up...)...)
	p.node2.says(p.node2.do([]string{"httpd", "syntax error in the configuration"}, "why", "ha"))
	if line, code := p.node2.verb("status", "--check"); code != 1 || !strings.Contains(line, "httpd") {
		t.Errorf("status --check on node2: exit status %d: %s", code, line)
	}

	// Repaired, and the operator says so: then it serves.
	p.node2.mend("httpd", "start")
	p.node2.forget()
	p.node2.do(nil, "clear", "ha")
	p.until("node2 to take part", func() bool { return p.node2.state("ha") == "backup" })

	// A script that is gone: node2 is not eligible, node1 does not care, and when it dies
	// nobody serves half a line.
	p.must(os.Rename(p.node2.Path("/etc/init.d/mysqld"), p.node2.Path("/etc/init.d/mysqld.away")))
	p.until("node2 to notice", func() bool { return p.node2.group("ha").Unqualified != "" })
	p.node2.do([]string{"/etc/init.d/mysqld"}, "status", "ha")
	p.serves(p.node1)
	p.node1.off()
	time.Sleep(haDown + time.Second)
	if line, code := p.node2.verb("status", "--check"); code != 2 {
		t.Errorf("status --check on node2 while nobody serves: exit status %d: %s", code, line)
	}
	p.held(ha)
	p.node2.did()
	p.must(os.Rename(p.node2.Path("/etc/init.d/mysqld.away"), p.node2.Path("/etc/init.d/mysqld")))
	p.until("node2 to serve", func() bool { return p.node2.group("ha").State == "up" && p.node2.runs() == 3 })
	p.node2.did(up...)
}

// Steps 13 and 14: what stops and says that it has not, what does not stop and is killed,
// and what does not stop at all.
func TestHeartbeatPairServiceWillNotStop(t *testing.T) {
	t.Parallel()
	p := newPair(t, "ha.hcl")
	// The file but for a line: nobody waits here for automatic failback.
	text := strings.Replace(p.read("examples/heartbeat-pair/ha.hcl"), "preempt   = true", "preempt   = false", 1)
	for _, n := range p.nodes {
		p.must(n.d.Configure(text))
	}
	p.begin()
	p.node1.break_("mysqld", "lies")
	p.node1.forget()
	p.node1.do([]string{"is Active now"}, "standby")
	p.serves(p.node2)
	p.node1.did(down...)
	p.node1.mend("mysqld", "lies")
	p.node1.do(nil, "online")

	// And for another one: nor for a minute, as a database may need.
	for _, n := range p.nodes {
		p.must(n.d.Configure(strings.Replace(text, `script = "mysqld"`, "script = \"mysqld\"\n    stop_timeout = \"1s\"", 1)))
		n.do(nil, "reload")
	}
	if p.node2.Grouped() {
		p.node2.break_("mysqld", "stop")
		p.node2.forget()
		p.node2.do([]string{"is Active now"}, "standby")
		p.serves(p.node1)
		p.node2.did("mysqld hangs", "mysqld hangs", "mysqld hangs", "httpd stopping", "httpd down", "named stopping", "named down")
		p.node2.mend("mysqld", "stop")
	} else { // what start has left running cannot be told, and so not be killed
		t.Log("no control groups of our own here: that a service is killed which does not stop is not tried")
		p.node2.do([]string{"is Active now"}, "standby")
		p.serves(p.node1)
	}
	p.node2.do(nil, "online")

	p.node1.break_("mysqld", "stays") // by no means
	p.node2.forget()
	p.node1.forget()
	if text, code := p.node1.verb("standby", "--timeout", "5s"); code != 1 || !strings.Contains(text, "stuck") {
		t.Errorf("standby with a step that is stuck: exit status %d\n%s", code, text)
	}
	if line, code := p.node1.verb("status", "--check"); code != 2 || !strings.Contains(line, "stuck") {
		t.Errorf("status --check on node1: exit status %d: %s", code, line)
	}
	p.node1.do([]string{"stuck", "lsb.mysqld"}, "why", "ha")
	time.Sleep(haDown)
	p.held(ha, "node1") // nothing below is touched, and node2 does nothing
	p.node2.did()
	if len(p.node1.Processes("named")) == 0 || len(p.node1.Processes("apache2")) == 0 {
		t.Error("something below the stuck step was touched")
	}
	p.node1.mend("mysqld", "stays")
	p.node1.do(nil, "clear", "ha")
	p.serves(p.node2)
}

// Steps 10 and 16, and a cable: the hosts lose each other, one daemon is killed.
func TestHeartbeatPairSplit(t *testing.T) {
	t.Parallel()
	p := newPair(t, "ha.hcl")
	wire, err := p.Sniff()
	p.must(err)
	p.begin()
	p.must(p.node2.Lose())
	p.until("both to serve", func() bool { return p.node1.runs() == 3 && p.node2.group("ha").State == "up" })
	p.node2.forget()
	heal := lab.Now()
	p.must(p.node2.Unlose())
	p.serves(p.node1)
	if o := p.saw(heal, "the switch is whole again"); o.Longest > time.Second+p.slack(heal) {
		t.Errorf("the client was without an answer for %s", o.Longest)
		for _, f := range wire.Frames(heal-time.Second, func(f *lab.Frame) bool { return f.ARP != nil || f.Advert != nil }) {
			t.Logf("%9s %s: advert %+v, ARP %+v", (f.At - heal).Round(100*time.Microsecond), f.Host, f.Advert, f.ARP)
		}
	}
	p.node2.did(down...)

	cut := lab.Now() // with flapping
	p.must(p.node1.Cut())
	for range 3 {
		time.Sleep(50 * time.Millisecond)
		p.must(p.node1.Heal())
		time.Sleep(50 * time.Millisecond)
		p.must(p.node1.Cut())
	}
	p.until("node2 to serve", func() bool { return p.node2.group("ha").State == "up" && p.node1.runs() == 0 && !p.node1.Has(ha) })
	p.served("client", haAddress, "node2")
	p.saw(cut, "cable cut")
	p.must(p.node1.Heal())
	p.serves(p.node1)
}

// The daemon is killed (step 16): what systemd does then, ExecStopPost and Restart=. What
// it started goes on; the next one finds it.
func TestHeartbeatPairDaemonKilled(t *testing.T) {
	t.Parallel()
	p := newPair(t, "ha.hcl")
	p.begin()
	p.node1.forget()
	killed := lab.Now()
	p.node1.d.Kill()
	p.run("node1", lab.Binary(), "release", "-c", p.node1.d.ConfigFile(), "--runtime-dir", p.node1.d.RuntimeDir())
	p.until("node2 to serve", func() bool { return p.node2.group("ha").State == "up" })
	p.saw(killed, "daemon killed")
	if n := p.node1.runs(); n != 3 {
		t.Errorf("%d services run on node1 without its daemon, 3 did before", n)
	}
	p.node1.did()
	p.node1.start()
	p.until("node1 to bring down what should not be up", func() bool { return p.node1.runs() == 0 })
	p.node1.began(down...)
	p.serves(p.node1) // auto_failback on
}
