package systemd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// `systemctl reload` waits for the outcome: a bad file fails it, with the reason, and
// changes nothing.
func TestReload(t *testing.T) {
	text := web("200ms")
	p := newRunning(t, text)
	pid := p.pid()
	p.unnoticed("a good reload", func() {
		p.configure(strings.Replace(text, "150", "160", 1))
		p.systemctl("reload", "backbeat")
	})
	st := p.status()
	if len(st.Routers) != 1 || st.Routers[0].EffectivePriority != 160 {
		t.Errorf("status %+v", st.Routers)
	}
	p.unnoticed("a bad reload", func() {
		p.configure(strings.Replace(text, "61", `"many"`, 1))
		if out, err := p.try("systemctl", "reload", "backbeat"); err == nil {
			t.Errorf("a bad file was reloaded: %s", out)
		}
	})
	if !strings.Contains(p.log(), "vrid") {
		t.Error("the log does not say what is wrong")
	}
	if now, got := p.pid(), p.property("backbeat", "ActiveState"); now != pid || got != "active" {
		t.Errorf("process %d became %d, %s", pid, now, got)
	}
}

// `systemctl stop`: the other host takes over, and nothing is lost nor left.
func TestStop(t *testing.T) {
	for _, interval := range []string{"1s", "10ms"} {
		t.Run(interval, func(t *testing.T) {
			p := newRunning(t, web(interval))
			from := lab.Now()
			p.systemctl("stop", "backbeat")
			p.only("r2")
			p.until("r2 to answer", func() bool { return p.probe.Answerer() == "r2" })
			p.lossless("systemctl stop", from)
			if p.goodbyes(from) == 0 {
				t.Error("it did not say goodbye")
			}
			if got := p.property("backbeat", "Result") + " " + p.property("backbeat", "ActiveState"); got != "success inactive" {
				t.Errorf("the unit is %s", got)
			}
			p.clean()
			if files := p.do("ls", "-A", "/run"); strings.Contains(files, "backbeat") {
				t.Errorf("/run/backbeat is left: %s", p.do("ls", "-A", "/run/backbeat"))
			}
		})
	}
}

// A daemon that is killed: ExecStopPost takes its addresses off and says goodbye for it,
// so that the other takes over after its Skew_Time, and systemd starts it again.
func TestKill(t *testing.T) {
	// So long that the other is Active before it is back, and can be told from it.
	p := newPair(t, web("1s"))
	p.dropIn("backbeat", "later", "[Service]\nRestartSec=2s")
	p.run()
	const skew = time.Second * 156 / 256 // of priority 100, RFC 9568 6.1
	from := lab.Now()
	p.systemctl("kill", "--kill-whom=main", "-s", "KILL", "backbeat")
	p.active2()
	r := p.probe.Since(from)
	t.Logf("kill -9: %v", r)
	if limit := skew + 500*time.Millisecond + 10*p.lab.Stall(from); r.Takeover > limit {
		t.Errorf("the other took over after %s, limit %s", r.Takeover, limit)
	}
	if n := p.goodbyes(from); n == 0 {
		t.Error("nobody said goodbye")
	}
	if log := p.log(); !strings.Contains(log, "said goodbye for web") {
		t.Error("release said nothing")
	}
	p.active("r1") // systemd starts it again, and it is preferred
	if n := p.property("backbeat", "NRestarts"); n != "1" {
		t.Errorf("NRestarts=%s", n)
	}
	p.settled()
	p.noTrace()
}

// active2 waits until r2 alone has the address and answers.
func (p *pair) active2() {
	p.t.Helper()
	p.until("r2 to be Active", func() bool {
		return p.state("r2") == "active" && slices.Equal(p.lab.Holders(vip), []string{"r2"}) && p.probe.Answerer() == "r2"
	})
}

// A daemon that stands still is replaced by the other host; its addresses go when their
// lifetime ends, and systemd, whose watchdog nobody feeds, ends it and starts it anew.
func TestWatchdog(t *testing.T) {
	p := newPair(t, web("200ms"))
	const watchdog = 4 * time.Second // longer than the lifetime of addresses, two seconds
	p.dropIn("backbeat", "watchdog", fmt.Sprintf("[Service]\nWatchdogSec=%s\nTimeoutAbortSec=1s", watchdog))
	p.run()
	pid := p.pid()
	from := lab.Now()
	p.systemctl("kill", "-s", "STOP", "backbeat")
	p.until("the addresses to go by themselves", func() bool { return !p.host.Has(vip) })
	gone := lab.Now() - from
	t.Logf("the address went after %s", gone)
	if state := p.property("backbeat", "ActiveState"); state != "active" || p.pid() != pid {
		t.Errorf("it was the watchdog that ended it: %s", state)
	}
	p.active2()
	p.until("systemd to start it again", func() bool { return p.property("backbeat", "NRestarts") == "1" })
	took := lab.Now() - from
	t.Logf("started again after %s", took)
	if limit := watchdog + 3*time.Second + 10*p.lab.Stall(from); took > limit {
		t.Errorf("started again after %s, limit %s", took, limit)
	}
	p.active("r1")
	p.settled()
	p.noTrace()
}

// What the unit itself says of a daemon that does not even end of the watchdog's signal,
// since it is stopped or waits for a device: it is killed soon.
func TestAbortIsBounded(t *testing.T) {
	p := newPair(t, web("1s"))
	if got := p.property("backbeat", "TimeoutAbortUSec"); got == "" || strings.Contains(got, "min") || got == "infinity" {
		t.Errorf("TimeoutAbortUSec=%s", got)
	}
}
