package stories

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// The same with the unit asterisk.service (services.md 7.4, steps 2, 4, 5, 12), the file
// as it is but for 2 s in place of 30 s. systemd is a stand-in (systemd_test.go).
func TestAsteriskSystemd(t *testing.T) {
	t.Parallel()
	needBus(t)
	p := newPBXes(t, "asterisk-systemd.hcl", `interval = "30s"`, `interval = "2s"`)
	boot := func(n *node) {
		n.unit("asterisk.service", "asterisk", "rm -f /run/asterisk.pid; exec /usr/local/lib/fakeasterisk -f", "test -s /run/asterisk.pid")
		n.systemd()
	}
	for _, n := range p.nodes {
		boot(n)
	}
	p.begin()
	p.one.did("asterisk starting", "asterisk up")
	p.one.do([]string{"systemd.asterisk", "active (running), main pid"}, "status", "pbx")
	if b, err := os.ReadFile(p.one.Path("/run/systemd/system/asterisk.service.d/50-backbeat.conf")); err != nil || !strings.Contains(string(b), "Restart=no") {
		t.Errorf("the drop-in: %v\n%s", err, b)
	}

	at := lab.Now()
	_ = unix.Kill(p.one.asterisk()[0], unix.SIGKILL)
	p.until("Asterisk to be repaired", func() bool { return step(p.one.group("pbx"), "asterisk").Restarts == 1 })
	p.serves(p.one)
	p.saw(at, "kill -9 of Asterisk, watched every 2 s", p.one, 2*time.Second+2*time.Second)

	at = lab.Now()
	p.one.do([]string{"is Active now"}, "standby")
	p.serves(p.two)
	p.saw(at, "standby", p.two, 2*time.Second)
	p.one.do(nil, "online")
	p.ready(p.one)
	p.serves(p.two)

	at = lab.Now()
	p.two.off()
	p.serves(p.one)
	p.saw(at, "power off of the Active", p.one, pbxDown+2*time.Second)
	p.two.on()
	boot(p.two)
	p.two.start()
	p.ready(p.two)
	p.serves(p.one)
}
