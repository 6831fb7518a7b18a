package stories

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// The plug of the Active is pulled (services.md 7.3, steps 10, 11, 27): DRBD's first try
// fails as it does with a fence-peer handler, nothing acknowledged is lost, and the
// preferred host takes over again when, and not before, its data is good.
func TestApacheDRBDPowerOff(t *testing.T) {
	t.Parallel()
	x := newSites(t, "web.hcl")
	x.drbd.Write("fencing", "resource-only")
	x.drbd.Write("handler", "4")
	x.begin()
	x.writes(x.node1)
	at := lab.Now()
	x.powerOff(x.node1)
	x.serves(x.node2)
	// Active_Down_Interval; then DRBD twice, fsck and the journal, mount, Apache.
	x.saw(at, "power off of the Active", x.node2, drbdDown+4*time.Second)
	x.node2.do([]string{"the host that was Active before is silent", "split-brain", "not replicated", "UpToDate/Outdated"}, "why", site)
	// The stand-in runs the handler in the try that loses the connection, and lets that fail with exit status 11.
	if b, _ := os.ReadFile(filepath.Join(x.drbd.Dir, "handler.log")); string(b) != "b fence-peer 4\n" {
		t.Errorf("the fence-peer handler was run: %q", b)
	}
	x.writes(x.node2)

	// It boots, and is being resynced: it takes no part, says why, and then takes over.
	x.powerOn(x.node1)
	x.drbd.Set("a", map[string]any{"up": true, "cs": "Connected", "disk": "Inconsistent", "repl": "SyncTarget", "done": "43.10",
		"pd": "UpToDate", "mirror": true, "gen": x.drbd.State("b")["gen"]})
	x.drbd.Set("b", map[string]any{"cs": "Connected", "pd": "Inconsistent", "mirror": false, "forked": false})
	x.node1.start()
	x.until("node1 to say why it takes no part", func() bool {
		return strings.Contains(x.node1.group(site).Unqualified, "SyncTarget from b 43.10 %")
	})
	if st := x.node1.state("web"); st == "active" || st == "backup" {
		t.Errorf("node1 is %s while its disk is Inconsistent", st)
	}
	// Even asked to, it does not. That takes longer than it would take to take over by itself.
	if text, code := x.node2.verb("move", "web", "--timeout", "20s"); code == 0 {
		t.Errorf("moved to a host that is being resynced:\n%s", text)
	} else {
		t.Logf("node2# backbeat move web\n%s", text)
	}
	x.serves(x.node2)
	at = lab.Now()
	x.drbd.Set("a", map[string]any{"disk": "UpToDate", "repl": "", "done": ""})
	x.drbd.Set("b", map[string]any{"pd": "UpToDate"})
	x.serves(x.node1)
	x.saw(at, "the preferred host takes over again", x.node1, 9*time.Second)

	// Both are stopped, and started together.
	x.must(x.node2.d.Stop(x.ctx))
	x.must(x.node1.d.Stop(x.ctx))
	if x.mounted(x.node1) || x.primary(x.node1) || x.node1.Has(drbdAddress) || x.apache(x.node1) != 0 {
		t.Error("node1 has left something up")
	}
	x.node2.start()
	x.node1.start()
	x.serves(x.node1)
	x.nothingLost(x.node1)
}

// Storage that must not be promoted: each is refused in an operator's words, and the
// only host with good data goes on serving (services.md 7.3, steps 5, 12, 24). The file
// with qualify = "1s" in place of the default of 5 s.
func TestApacheDRBDRefuses(t *testing.T) {
	t.Parallel()
	x := newSites(t, "web.hcl", "follows = virtual_router.web", "follows = virtual_router.web\n  qualify = \"1s\"")
	x.begin()
	for _, c := range []struct {
		name  string
		state map[string]any
		words []string
	}{
		{"Outdated", map[string]any{"disk": "Outdated", "cs": "Connecting", "pd": "DUnknown"}, []string{"Outdated", "drbdadm primary --force wwwdata"}},
		{"Inconsistent", map[string]any{"disk": "Inconsistent", "cs": "Connecting", "pd": "DUnknown"}, []string{"Inconsistent"}},
		{"SyncTarget", map[string]any{"disk": "Inconsistent", "cs": "Connected", "repl": "SyncTarget", "done": "71.50"}, []string{"SyncTarget from a 71.50 %"}},
		{"StandAlone", map[string]any{"disk": "UpToDate", "cs": "StandAlone", "pd": "DUnknown", "repl": "", "done": ""},
			[]string{"StandAlone", "split brain", "drbdadm connect --discard-my-data wwwdata"}},
	} {
		x.drbd.Write("link", "down") // or the stand-in would heal it
		x.drbd.Set("b", c.state)
		x.until("node2 to refuse "+c.name, func() bool {
			text := x.node2.group(site).Unqualified
			for _, w := range c.words {
				if !strings.Contains(text, w) {
					return false
				}
			}
			return x.node2.state("web") != "backup"
		})
		x.node2.do(append([]string{"drbd.wwwdata"}, c.words[0]), "why", site)
		if text, code := x.node2.verb("status", "--check"); code == 0 {
			t.Errorf("%s: status --check says that all is well: %s", c.name, text)
		}
	}
	at := lab.Now()
	if text, code := x.node1.verb("move", "web", "--timeout", "20s"); code == 0 {
		t.Errorf("moved to nowhere:\n%s", text)
	} else {
		t.Logf("node1# backbeat move web\n%s", text)
	}
	x.serves(x.node1)
	x.saw(at, "a move that cannot be", x.node1, 10*time.Second)

	// The only good host goes into standby: the order is carried out, and says what it has done.
	text, code := x.node1.verb("standby", "--timeout", "20s")
	t.Logf("node1# backbeat standby\n%s", text)
	if code != 1 || !strings.Contains(text, "nobody") {
		t.Errorf("exit status %d", code)
	}
	if len(x.Holders(drbdAddress)) > 0 || x.primary(x.node2) || x.mounted(x.node2) {
		t.Error("somebody serves whose data is not good")
	}
	x.node1.do(nil, "online")
	x.serves(x.node1)

	// What it said to do helps.
	x.drbd.Write("link", "up")
	x.drbd.Run("b", "secondary", "wwwdata")
	x.drbd.Run("b", "connect", "--discard-my-data", "wwwdata")
	x.drbd.Set("a", map[string]any{"cs": "Connecting"}) // drbdadm connect of a Primary that had not noticed
	x.drbd.Run("a", "connect", "wwwdata")
	x.ready(x.node2)
	x.nothingLost(x.node1)
}

// Neither hears the other, and safety is none: both serve. When they hear each other
// again the worse one takes everything down, in the opposite order, and DRBD leaves it
// to a person whose writes are lost (services.md 7.3, step 21).
func TestApacheDRBDSplitBrain(t *testing.T) {
	t.Parallel()
	x := newSites(t, "web.hcl")
	x.begin()
	x.writes(x.node1)
	before := x.acknowledged()
	x.cut(x.node2)
	x.until("node2 to serve as well", func() bool { return x.node2.up() && x.primary(x.node2) && x.mounted(x.node2) })
	if !x.node1.up() || !x.primary(x.node1) {
		t.Error("node1 has let go")
	}
	if text := x.run("node2", "cat", docroot+"/journal"); !containsAll(text, before) {
		t.Error("what was acknowledged before the cut is not on node2")
	}
	x.node2.do([]string{"the host that was Active before is silent; safety is \"none\""}, "status", site)
	down := len(x.node2.d.Log())
	x.heal(x.node2)
	x.until("node2 to have let go", func() bool { return x.node2.group(site).State == "down" })
	x.node2.moved(down, siteDown...)
	x.serves(x.node1)
	x.until("both to say what has happened", func() bool {
		return strings.Contains(x.node2.group(site).Unqualified, "split brain") &&
			strings.Contains(step(x.node1.group(site), "wwwdata").Detail, "split brain")
	})
	for _, n := range x.nodes {
		n.do([]string{"StandAlone", "drbdadm connect --discard-my-data wwwdata"}, "status", site)
	}
	if log := x.node1.d.Log(); strings.Count(log, "is degraded: ") > 2 {
		t.Error("said again and again")
	}
	x.writes(x.node1)

	// The printed commands: node2's writes since the cut are given up.
	x.drbd.Run("b", "secondary", "wwwdata")
	x.drbd.Run("b", "connect", "--discard-my-data", "wwwdata")
	x.drbd.Run("a", "connect", "wwwdata")
	x.ready(x.node2)
	for _, w := range x.writers { // what was acknowledged by node2 is what a split brain costs
		w.Kill()
	}
	if text := x.run("node1", "cat", docroot+"/journal"); !containsAll(text, before) || strings.Contains(text, "node2-") {
		t.Error("node1 has not kept its own")
	}
	x.node1.do(nil, "move", "web")
	x.serves(x.node2)
	if text := x.run("node2", "cat", docroot+"/journal"); !containsAll(text, before) || strings.Contains(text, "node2-") {
		t.Error("node2 has not got node1's")
	}
}

func containsAll(text string, lines []string) bool { return len(missing(text, lines)) == 0 }

// The same with web-fence.hcl: a host that is silent is switched off before its data is
// taken, and if it cannot be, nothing is touched. The device is a stand-in for
// fence_ipmilan with its interface; what it switches off is off.
func TestApacheDRBDFence(t *testing.T) {
	t.Parallel()
	x := newSites(t, "web-fence.hcl")
	for _, n := range x.nodes {
		n.write("/usr/local/lib/fence", fenceScript, 0o755)
		x.must(os.MkdirAll(n.Path("/run/bmc"), 0o755))
		n.write("/etc/apache2/ipmi.secret", "secret\n", 0o600) // /etc/backbeat is the machine's own
		x.must(n.d.Configure(strings.Replace(x.read("examples/apache-drbd/web-fence.hcl"),
			"file:/etc/backbeat/ipmi.secret", "file:/etc/apache2/ipmi.secret", 1)))
	}
	x.begin()
	x.writes(x.node1)
	bmc := func(name, text string) { x.node2.write("/run/bmc/"+name, text, 0o644) }

	// They lose each other, and the device does not answer.
	bmc("fail", "")
	x.node1.write("/run/bmc/fail", "", 0o644)
	// What node1 writes from then on would be lost with it: DRBD's fencing
	// resource-and-stonith holds it back. The stand-in cannot, so nobody writes there.
	for _, w := range x.writers {
		w.Kill()
	}
	x.cut(x.node1)
	x.until("node2 to wait for fencing", func() bool { return strings.Contains(x.node2.group(site).ClaimWaits, "fencing failed") })
	if x.primary(x.node2) || x.mounted(x.node2) || !x.node1.up() {
		t.Errorf("node2 has taken the data, or node1 has let go")
	}
	if text, code := x.node2.verb("status", "--check"); code != 2 {
		t.Errorf("status --check: exit status %d: %s", code, text)
	}
	// It does again: node1 goes off, and only then is node2 Primary.
	at := lab.Now()
	x.write(x.node2)
	x.must(os.Remove(filepath.Join(x.node2.Path("/run/bmc"), "fail")))
	x.until("the device to be told", func() bool { return x.node2.exists("/run/bmc/off") })
	if x.primary(x.node2) {
		t.Error("node2 is Primary before node1 is off")
	}
	x.powerOff(x.node1)
	bmc("is-off", "")
	x.serves(x.node2)
	x.saw(at, "fencing", x.node2, 10*time.Second+12*time.Second)
	x.node2.do([]string{"the other host was fenced"}, "status", site)
	if b, _ := os.ReadFile(x.node2.Path("/run/bmc/asked")); strings.Contains(string(b), "secret") || !strings.Contains(string(b), "action=off") {
		t.Errorf("the device was asked:\n%s", b)
	}
}

// fenceScript is a device that is told on standard input, keeps what it was told but
// for the secret, and has switched off what the test has.
const fenceScript = `#!/bin/sh
while read -r line; do
  case $line in action=*) action=${line#action=};; esac
  case $line in password=secret) ;; *) echo "$line" >>/run/bmc/asked;; esac
done
if test -e /run/bmc/fail; then echo "Unable to connect/login to fencing device" >&2; exit 1; fi
case $action in
off) : >/run/bmc/off; for i in $(seq 100); do test -e /run/bmc/is-off && exit 0; sleep 0.1; done; exit 1;;
status | monitor) test -e /run/bmc/is-off && exit 2; exit 0;;
esac
`
