package stories

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// The story of docs/stories/apache-drbd.md: node1 and node2, DRBD, ext4, Apache.
//
// Real: backbeat, Apache with the distribution's own configuration, the distribution's
// resource agent, mount, umount, fsck, ext4 on a loop device for each host.
// Stand-ins: drbdadm and drbdsetup (lab.FakeDRBD, with the data of both sides behind
// it); the device that switches a host off. Where the test is not the real root there
// are no loop devices: the file systems are directories then, bound by a stand-in for
// mount, and Apache runs as another user of a nested user namespace.

var drbdAddress = netip.MustParseAddr("192.168.122.101")

const (
	docroot = "/var/www/html"
	site    = "site"
)

// What follows from the file: interval 1s, priority 100 of node2.
const drbdDown = 3*time.Second + time.Second*156/256

// sites are both hosts, their disks, and who looks at them.
type sites struct {
	*story
	node1, node2 *node
	drbd         *lab.FakeDRBD
	real         bool // ext4 on loop devices
	client       *web
	writers      map[string]*lab.Process
}

// side is the name of a node for lab.FakeDRBD.
func side(n *node) string { return map[string]string{"node1": "a", "node2": "b"}[n.Name] }

// newSites sets both hosts up as docs/stories/apache-drbd.md says, and starts nothing.
// The file is changed by pairs of old and new words, if there are any: said so where
// it is done.
func newSites(t *testing.T, file string, changes ...string) *sites {
	t.Helper()
	need(t, "apache2", "apache2", "apache2ctl")
	need(t, "resource-agents", "/usr/lib/ocf/resource.d/heartbeat/apache")
	need(t, "wget", "wget")
	need(t, "procps", "pgrep")
	need(t, "e2fsprogs", "mkfs.ext4")
	s := newStory(t, "apache-drbd/"+file, []string{"node1", "node2"}, []string{"client"}, 1,
		"/etc/apache2", "/var/www", "/var/log/apache2")
	x := &sites{story: s, node1: s.node("node1"), node2: s.node("node2"), real: lab.RealRoot(), writers: map[string]*lab.Process{}}
	x.drbd = lab.NewFakeDRBD(t, "wwwdata")
	s.address("client", 0, "192.168.122.200/24")
	for i, n := range s.nodes {
		s.address(n.Name, 0, fmt.Sprintf("192.168.122.1%d/24", i+1))
		x.furnish(n)
		if len(changes) > 0 {
			text := strings.NewReplacer(changes...).Replace(s.read("examples/apache-drbd/" + file))
			s.must(n.d.Configure(text))
		}
	}
	t.Cleanup(func() {
		for _, n := range s.nodes {
			x.unmount(n)
		}
	})
	return x
}

// begin starts both, waits until node1 serves, and lets the client and the writers begin.
func (x *sites) begin() {
	x.t.Helper()
	x.node1.start()
	x.node2.start()
	x.serves(x.node1)
	x.ready(x.node2)
	x.watch()
}

// watch starts the client and a writer on each host. The page that the client asks for
// says which host answers.
func (x *sites) watch() {
	x.t.Helper()
	for _, n := range x.nodes {
		x.write(n)
	}
	x.client = x.web("client", "http://192.168.122.101/who")
	x.until("the client to be served", func() bool { return x.client.server() != "" })
}

// write starts the writer of a node.
func (x *sites) write(n *node) {
	x.t.Helper()
	x.writers[fmt.Sprint(n.Name, len(x.writers))] = x.part(n.Name, "write", docroot+"/journal", n.Name)
}

// up reports whether all of a node's group is up; mounted and primary are facts.
func (n *node) up() bool { return n.group(site).State == "up" }

func (x *sites) mounted(n *node) bool {
	_, err := n.Run(x.ctx, "mountpoint", "-q", docroot)
	return err == nil
}

func (x *sites) primary(n *node) bool {
	st := x.drbd.State(side(n))
	return st["role"] == "Primary" && st["alive"] != false && st["up"] != false
}

// serves waits until a node has everything, and the other one nothing.
func (x *sites) serves(n *node) {
	x.t.Helper()
	x.within(2*limit, n.Name+" to serve", func() bool { return n.state("web") == "active" && n.up() && x.Host(n.Name).Has(drbdAddress) })
	if !x.mounted(n) || !x.primary(n) {
		x.t.Errorf("%s is up: mounted %v, Primary %v", n.Name, x.mounted(n), x.primary(n))
	}
	x.held(drbdAddress, n.Name)
	if o := x.other(n); x.mounted(o) || x.primary(o) {
		x.t.Errorf("%s serves, and %s: mounted %v, Primary %v", n.Name, o.Name, x.mounted(o), x.primary(o))
	}
}

func (x *sites) other(n *node) *node {
	if n == x.node1 {
		return x.node2
	}
	return x.node1
}

// ready waits until a node is a Backup that could take over.
func (x *sites) ready(n *node) {
	x.t.Helper()
	x.until(n.Name+" to be ready", func() bool {
		g := n.group(site)
		return n.state("web") == "backup" && g.State == "down" && g.Unqualified == "" && step(g, "wwwdata").LookedAgo != nil
	})
}

// acknowledged are the lines that the writers were told are on the disk, in order.
func (x *sites) acknowledged() []string {
	var list []string
	for _, w := range x.writers {
		list = append(list, strings.Fields(w.Output())...)
	}
	slices.Sort(list)
	return list
}

// nothingLost fails unless everything that was acknowledged is in the file system that
// a node has mounted. It returns how many writes that were.
func (x *sites) nothingLost(n *node) int {
	x.t.Helper()
	acked := x.acknowledged() // before reading, so that what is written meanwhile does not count
	if lost := missing(x.run(n.Name, "cat", docroot+"/journal"), acked); len(lost) > 0 {
		x.t.Errorf("%d of %d acknowledged writes are lost: %v", len(lost), len(acked), lost[:min(len(lost), 5)])
	}
	return len(acked)
}

// missing are the lines that a text does not have. What was being written when the power
// went off, and was not acknowledged, may be there in part, or as zeros: the line after it
// then does not begin where a line begins.
func missing(text string, lines []string) (lost []string) {
	whole := map[string]bool{}
	for line := range strings.Lines(text) {
		whole[line] = true
	}
	for _, line := range lines {
		if line += "\n"; !whole[line] && !strings.Contains(text, line) {
			lost = append(lost, line[:len(line)-1])
		}
	}
	return lost
}

// writes waits until a node's writer has been told that something is on the disk.
func (x *sites) writes(n *node) {
	x.t.Helper()
	count := func() (c int) {
		for _, line := range x.acknowledged() {
			if strings.HasPrefix(line, n.Name+"-") {
				c++
			}
		}
		return c
	}
	before := count()
	x.until("writes on "+n.Name, func() bool { return count() > before+3 })
}

// saw reports an outage that the client has seen, which must have ended.
func (x *sites) saw(since time.Duration, what string, n *node, bound time.Duration) outage {
	x.t.Helper()
	x.until("the client to be served by "+n.Name, func() bool { return x.client.server() == n.Name })
	o := x.client.since(since)
	x.t.Logf("%s: %s; %d writes were acknowledged", what, o, x.nothingLost(n))
	// Commands take what they take on a busy machine; it is what is between them that is judged.
	if allowed := bound + x.worked(since) + x.slack(since) + 10*o.Stall; o.Longest > allowed {
		x.t.Errorf("%s: no answer for %v, allowed %v", what, o.Longest, allowed)
	}
	return o
}

// worked is how long the steps of both nodes have been on their way up or down since an
// instant, by the nodes' logs: "… (2.2 s)".
func (x *sites) worked(since time.Duration) (sum time.Duration) {
	from := time.Now().Add(since - lab.Now())
	for _, n := range x.nodes {
		for line := range strings.Lines(n.d.Log()) {
			stamp, text, _ := strings.Cut(line, " ")
			at, err := time.Parse(time.RFC3339Nano, stamp)
			text, _, ok := strings.Cut(text, ") service_group="+site)
			if err != nil || !ok || at.Before(from) {
				continue
			}
			took := text[strings.LastIndexByte(text, '(')+1:]
			if d, err := time.ParseDuration(strings.ReplaceAll(took, " ", "")); err == nil {
				sum += d
			}
		}
	}
	return sum
}

// apache is the number of a node's Apache: the parent's, 0 if there is none.
func (x *sites) apache(n *node) int {
	b, err := os.ReadFile(n.Path("/run/apache2/apache2.pid"))
	if err != nil {
		return 0
	}
	pid := 0
	if _, err := fmt.Sscan(string(b), &pid); err != nil || !slices.Contains(n.Processes("apache2"), pid) {
		return 0
	}
	return pid
}

// crash ends a node's Apache, parent and children, as an operator's kill -9 or the
// out-of-memory killer would.
func (x *sites) crash(n *node) {
	x.t.Helper()
	list := n.Processes("apache2")
	if len(list) == 0 {
		x.t.Fatalf("there is no apache2 on %s", n.Name)
	}
	for _, pid := range list {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// movements are what became of a node's steps since an offset of its log, in order:
// "drbd.wwwdata up".
func (n *node) movements(from int) []string {
	var list []string
	for line := range strings.Lines(n.d.Log()[from:]) {
		_, text, ok := strings.Cut(line, "("+site+") ")
		if !ok {
			continue
		}
		f := strings.Fields(strings.ReplaceAll(text, ":", " "))
		if len(f) > 2 && strings.Contains(f[0], ".") && f[1] == "is" && (f[2] == "up" || f[2] == "down") {
			list = append(list, f[0]+" "+f[2])
		}
	}
	return list
}

// The order of examples/apache-drbd.
var (
	siteUp   = []string{"exec.configtest up", "drbd.wwwdata up", "filesystem.www up", "ocf.apache up"}
	siteDown = []string{"ocf.apache down", "filesystem.www down", "drbd.wwwdata down", "exec.configtest down"}
)

// moved fails the test unless a node's steps have moved in this order since an offset.
func (n *node) moved(from int, want ...string) {
	n.s.t.Helper()
	if got := n.movements(from); !slices.Equal(got, want) {
		n.s.t.Errorf("on %s: %v, want %v", n.Name, got, want)
	}
}

// exists says whether a node has a file at a path of its own.
func (n *node) exists(path string) bool {
	_, err := os.Lstat(n.Path(path))
	return err == nil
}
