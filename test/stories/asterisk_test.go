package stories

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// The story of docs/stories/asterisk.md: two hosts, unicast, one address and Asterisk,
// which is a stand-in (testdata/asterisk/fakeasterisk) behind an init script, and, in
// asterisksystemd_test.go, behind a stand-in for systemd.

func init() { parts["sip"] = sipClient }

var pbxAddress = netip.MustParseAddr("44.24.255.49")

// What follows from the file: interval 1s, priority 100 of ha-asterisk-2.
const pbxDown = 3*time.Second + time.Second*156/256

type pbxes struct {
	*story
	one, two *node
	phone    *web // asks by SIP; the measure is the same
}

// newPBXes sets both hosts up as docs/stories/asterisk.md says. The file is changed by
// pairs of old and new words, if there are any: said so where it is done.
func newPBXes(t *testing.T, file string, changes ...string) *pbxes {
	t.Helper()
	need(t, "nftables", "nft")
	need(t, "python3", "/usr/bin/python3")
	s := newStory(t, "asterisk/"+file, []string{"ha-asterisk-1", "ha-asterisk-2"}, []string{"phone"}, 1, "/etc/init.d")
	p := &pbxes{story: s, one: s.node("ha-asterisk-1"), two: s.node("ha-asterisk-2")}
	s.address("phone", 0, "44.24.255.200/24")
	for i, n := range s.nodes {
		s.address(n.Name, 0, fmt.Sprintf("44.24.255.5%d/24", i))
		n.write("/usr/local/lib/fakeasterisk", s.read("test/stories/testdata/asterisk/fakeasterisk"), 0o755)
		n.write("/etc/init.d/asterisk", s.read("test/stories/testdata/asterisk/init"), 0o755)
		n.write("/etc/init.d/functions", s.read("test/stories/testdata/init.d/functions"), 0o755)
		n.write("/srv/asterisk/pjsip.conf", "[transport-udp]\ntype=transport\nbind=44.24.255.49:5060\n", 0o644)
		if len(changes) > 0 {
			s.must(n.d.Configure(strings.NewReplacer(changes...).Replace(s.read("examples/asterisk/" + file))))
		}
	}
	return p
}

// sipClient asks by SIP's OPTIONS every 10 ms and writes lines like those of webClient.
// The page is the name of the host that answers.
func sipClient(args []string) int {
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		go func() {
			asked := lab.Now()
			who := sipOptions(args[0])
			fmt.Println(int64(asked), int64(lab.Now()-asked), who)
		}()
	}
}

// sipOptions returns who answers, or "-".
func sipOptions(to string) string {
	c, err := net.Dial("udp", to)
	if err != nil {
		return "-"
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(webPatience))
	fmt.Fprintf(c, "OPTIONS sip:%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK1\r\nFrom: <sip:phone@example.com>;tag=1\r\nTo: <sip:%s>\r\n"+
		"Call-ID: %d\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n", to, c.LocalAddr(), to, time.Now().UnixNano())
	b := make([]byte, 2048)
	n, err := c.Read(b)
	if err != nil || !strings.HasPrefix(string(b[:n]), "SIP/2.0 200 OK\r\n") {
		return "-"
	}
	_, rest, _ := strings.Cut(string(b[:n]), "Server: ")
	who, _, _ := strings.Cut(rest, "\r\n")
	return who
}

// serves waits until a node has the address and Asterisk, and the other one neither.
func (p *pbxes) serves(n *node) {
	p.t.Helper()
	p.within(2*limit, n.Name+" to serve", func() bool {
		return n.state("pbx") == "active" && n.group("pbx").State == "up" && n.Has(pbxAddress) && len(n.asterisk()) == 1 &&
			len(p.Holders(pbxAddress)) == 1 && len(p.other(n).asterisk()) == 0 &&
			p.other(n).group("pbx").State != "stopping"
	})
	if p.phone != nil {
		p.until("the phone to be answered by "+n.Name, func() bool { return p.phone.server() == n.Name })
	}
}

func (p *pbxes) other(n *node) *node {
	if n == p.one {
		return p.two
	}
	return p.one
}

// asterisk are the numbers of a node's Asterisk.
func (n *node) asterisk() []int { return n.Processes("fakeasterisk") }

// begin starts both and lets the phone ring.
func (p *pbxes) begin() {
	p.t.Helper()
	p.one.start()
	p.serves(p.one)
	p.two.start()
	p.phone = &web{p.part("phone", "sip", pbxAddress.String()+":5060")}
	p.ready(p.two)
	p.serves(p.one)
}

// ready waits until a node is a Backup that hears the Active and could take over.
func (p *pbxes) ready(n *node) {
	p.t.Helper()
	p.until(n.Name+" to be ready", func() bool {
		r, err := n.d.Router(p.ctx, "pbx")
		g := n.group("pbx")
		return err == nil && r.State == "backup" && r.Active != nil && g.State == "down" && g.Unqualified == ""
	})
}

// saw reports what the phone saw.
func (p *pbxes) saw(since time.Duration, what string, n *node, bound time.Duration) {
	p.t.Helper()
	p.until("the phone to be answered by "+n.Name, func() bool { return p.phone.server() == n.Name })
	o := p.phone.since(since)
	p.t.Logf("%s: %s", what, strings.Replace(o.String(), "HTTP client", "SIP client", 1))
	if allowed := bound + p.slack(since) + 10*o.Stall; o.Longest > allowed {
		p.t.Errorf("%s: no answer for %v, allowed %v", what, o.Longest, allowed)
	}
}

// The story (services.md 7.4, steps 1–5, 12, 13, 18), with the file as it is.
func TestAsterisk(t *testing.T) {
	t.Parallel()
	p := newPBXes(t, "asterisk.hcl")
	for _, n := range p.nodes {
		p.run(n.Name, "nft", "add table inet story; add chain inet story in { type filter hook input priority 0; }; "+
			"add chain inet story out { type filter hook output priority 0; }; "+
			"add rule inet story in ip daddr 224.0.0.0/4 drop; add rule inet story out ip daddr 224.0.0.0/4 drop")
	}
	sniffer, err := p.Sniff()
	p.must(err)
	p.begin() // the first one alone, as expected_votes 1 did
	p.one.did("asterisk starting", "asterisk up")
	p.two.did()
	for _, a := range sniffer.Adverts(0, "") {
		if a.Dst.IsMulticast() || a.TTL != 255 {
			t.Errorf("an advert to %s with TTL %d", a.Dst, a.TTL)
		}
	}
	p.one.do([]string{"lsb.asterisk", "1 starts", "all steps are up"}, "status", "pbx")

	// A crash is seen by the monitor, after 30 s at worst, and repaired in place.
	p.one.forget()
	at := lab.Now()
	for _, pid := range p.one.asterisk() {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	p.within(limit+10*time.Second, "Asterisk to be repaired", func() bool { return step(p.one.group("pbx"), "asterisk").Restarts == 1 })
	p.serves(p.one)
	p.saw(at, "kill -9 of Asterisk, watched every 30 s", p.one, 30*time.Second+2*time.Second)
	p.one.did("asterisk starting", "asterisk up")

	// Standby moves it, and online does not move it back.
	p.one.forget()
	at = lab.Now()
	p.one.do([]string{"is Active now"}, "standby")
	p.serves(p.two)
	p.saw(at, "standby", p.two, 2*time.Second)
	p.one.did("asterisk stopping", "asterisk down")
	p.one.do(nil, "online")
	p.ready(p.one)
	p.serves(p.two)

	// A move leaves nothing behind that would move it again after a failure.
	at = lab.Now()
	p.two.do([]string{"has moved"}, "move", "pbx")
	p.serves(p.one)
	p.saw(at, "move", p.one, 2*time.Second)
	at = lab.Now()
	p.one.off()
	p.serves(p.two)
	p.saw(at, "power off of the Active", p.two, pbxDown+2*time.Second)
	p.one.on()
	p.one.start()
	p.ready(p.one)
	p.serves(p.two)
	time.Sleep(pbxDown) // in which it would have taken it back
	p.serves(p.two)
}

// Asterisk that does not start, does not stop, says the wrong thing (services.md 7.4,
// steps 6–9, 16). The file with 1 s in place of its 30 s, and a hold-off of 8 s.
func TestAsteriskFails(t *testing.T) {
	t.Parallel()
	p := newPBXes(t, "asterisk.hcl", `interval = "30s"`, `interval = "1s"`, "follows        =", "hold_off = \"8s\"\n  follows        =",
		`restarts = 3`, "restarts = 3\n    stop_timeout = \"2s\"")
	p.begin()

	// It does not start on the other host: the address goes there, and comes back.
	p.two.break_("asterisk", "start")
	at := lab.Now()
	_, _ = p.one.verb("move", "pbx", "--timeout", "20s")
	p.until("ha-asterisk-2 to give up", func() bool { return strings.Contains(p.two.group("pbx").Unfit, "syntax error in the configuration") })
	p.serves(p.one)
	p.saw(at, "move to a host where it does not start", p.one, 6*time.Second)
	if g := p.two.group("pbx"); g.UnfitFor == nil || p.two.Has(pbxAddress) {
		t.Errorf("held off: %v; has the address: %v", g.UnfitFor, p.two.Has(pbxAddress))
	}

	// Nor on this one: the address is not left up without it, and nobody hurries.
	p.one.break_("asterisk", "start")
	from := []int{len(p.one.d.Log()), len(p.two.d.Log())}
	for _, pid := range p.one.asterisk() {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	p.until("ha-asterisk-1 to give up", func() bool { return p.one.group("pbx").Unfit != "" && !p.one.Has(pbxAddress) })
	began := time.Now()
	for time.Since(began) < 12*time.Second {
		if len(p.Holders(pbxAddress)) > 1 {
			t.Fatalf("held by %v", p.Holders(pbxAddress))
		}
		time.Sleep(100 * time.Millisecond)
	}
	for i, n := range p.nodes {
		if tries := strings.Count(n.d.Log()[from[i]:], "this host cannot serve"); tries > 1+int(time.Since(began)/(8*time.Second))+1 {
			t.Errorf("%s has tried %d times in %s", n.Name, tries, time.Since(began).Round(time.Second))
		}
		n.mend("asterisk", "start")
		n.do(nil, "clear", "pbx")
	}
	p.until("one of them to serve", func() bool { return p.one.group("pbx").State == "up" || p.two.group("pbx").State == "up" })
	if p.two.group("pbx").State == "up" {
		p.ready(p.one)
		p.two.do(nil, "move", "pbx")
	}
	p.serves(p.one)
	p.ready(p.two)

	// Frozen: an init script's status sees a process, so nobody notices (as documented).
	looks := step(p.one.group("pbx"), "asterisk").Monitors
	pid := p.one.asterisk()[0]
	_ = unix.Kill(pid, unix.SIGSTOP)
	p.until("two looks", func() bool { return step(p.one.group("pbx"), "asterisk").Monitors >= looks+2 })
	if g := p.one.group("pbx"); g.State != "up" {
		t.Errorf("the group is %s", g.State)
	}
	_ = unix.Kill(pid, unix.SIGCONT)

	// Its stop says that it has failed, although it is down: what status says decides.
	p.one.break_("asterisk", "lies")
	p.one.do([]string{"has moved"}, "move", "pbx")
	p.serves(p.two)
	if g := p.one.group("pbx"); g.State != "down" || g.Stuck != "" {
		t.Errorf("the group is %s: %s", g.State, g.Text)
	}
	p.one.mend("asterisk", "lies")
	p.ready(p.one)

	// It does not end: its stop is given up in time, and it is killed.
	p.two.break_("asterisk", "stop")
	p.two.do([]string{"is Active now"}, "standby")
	p.serves(p.one)
	p.two.mend("asterisk", "stop")
	p.two.do(nil, "online")
	p.ready(p.two)
}

// Neither hears the other, and nothing prevents both from serving (services.md 7.4,
// step 14); then one stays, and the other one has taken Asterisk down before the
// address. And a cable that comes and goes.
func TestAsteriskLinkCut(t *testing.T) {
	t.Parallel()
	p := newPBXes(t, "asterisk.hcl")
	p.begin()
	p.must(p.two.Lose())
	p.until("both to serve", func() bool { return p.one.group("pbx").State == "up" && p.two.group("pbx").State == "up" })
	p.held(pbxAddress, "ha-asterisk-1", "ha-asterisk-2")
	p.two.forget()
	p.must(p.two.Unlose())
	p.serves(p.one) // which has announced the address again, or the phone would be lost
	p.two.did("asterisk stopping", "asterisk down")
	p.one.did("asterisk starting", "asterisk up")
	p.until("ha-asterisk-1 to say that there were two", func() bool { return strings.Contains(p.one.d.Log(), "is Active as well") })

	for range 6 {
		p.must(p.two.Cut())
		time.Sleep(300 * time.Millisecond)
		p.must(p.two.Heal())
		time.Sleep(200 * time.Millisecond)
	}
	p.ready(p.two)
	p.serves(p.one)
	p.one.did("asterisk starting", "asterisk up")

	// The daemon is killed, and is there again at once.
	at := lab.Now()
	p.one.d.Kill()
	p.one.start()
	p.until("one to serve", func() bool {
		a, b := p.one.group("pbx").State == "up", p.two.group("pbx").State == "up"
		return a != b && len(p.Holders(pbxAddress)) == 1
	})
	n := p.one
	if p.two.group("pbx").State == "up" {
		n = p.two
	}
	p.serves(n)
	p.saw(at, "kill -9 of the daemon, and restart", n, pbxDown+4*time.Second)
}
