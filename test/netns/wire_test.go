package netns

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// conformance: W1, W2, W4, W5, W6, W22, W24
func TestAdvertOnTheWireIPv4(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(routerBlock("web", 61, `addresses = ["10.77.0.100/24", "10.77.0.99/24", "fd77::100/64"]`)))
	s.start(s.r1)
	s.active("r1")
	s.rest(5 * interval)
	adverts := s.sniffer.Adverts(0, "r1")
	if len(adverts) < 5 {
		t.Fatalf("only %d adverts", len(adverts))
	}
	for _, f := range adverts {
		a := f.Advert
		if f.Src != s.Host("r1").Addr4(0).Addr() || f.Dst.String() != "224.0.0.18" || f.DstMAC.String() != "01:00:5e:00:00:12" {
			t.Fatalf("advert from %s to %s (%s)", f.Src, f.Dst, f.DstMAC)
		}
		if f.TTL != 255 || f.TOS != 0xc0 || a.Version != 3 || a.Type != 1 || a.VRID != 61 || a.Priority != 150 || a.Reserve != 0 ||
			a.Interval != interval || a.Form != lab.MessageOnly || a.Length != 8+2*4 {
			t.Fatalf("TTL %d, TOS %#x, %+v", f.TTL, f.TOS, a)
		}
		// W19: in the order of the configuration.
		if fmt.Sprint(a.Addresses) != "[10.77.0.100 10.77.0.99]" {
			t.Fatalf("addresses %v", a.Addresses)
		}
	}
}

// conformance: W7
func TestChecksumWithPseudoHeaderOnRequest(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web(`checksum = "rfc5798"`)))
	s.start(s.r1)
	s.active("r1")
	for _, f := range s.sniffer.Adverts(0, "r1") {
		if f.Advert.Form != lab.WithPseudo {
			t.Fatalf("checksum over %s", f.Advert.Form)
		}
	}
}

// conformance: W8, W10, W11, W20
func TestAdvertOnTheWireIPv6(t *testing.T) {
	t.Parallel()
	// The same VRID on both families: two virtual routers that know nothing of each other.
	s := newScene(t, config(
		web6(),
		routerBlock("four", 61, `addresses = ["10.77.0.110/24"]`)))
	s.start(s.r1)
	s.active("r1")
	s.until("the IPv4 router to be Active", func() bool { return s.r1.State(s.ctx, "four") == "active" })
	s.rest(3 * interval)
	four, six := 0, 0
	for _, f := range s.sniffer.Adverts(0, "r1") {
		a := f.Advert
		if f.Src.Is4() {
			four++
			continue
		}
		six++
		if f.Src != s.Host("r1").LinkLocal(0) || f.Dst.String() != "ff02::12" || f.DstMAC.String() != "33:33:00:00:00:12" || f.TTL != 255 || f.TOS != 0xc0 {
			t.Fatalf("advert from %s to %s (%s), hop limit %d, class %#x", f.Src, f.Dst, f.DstMAC, f.TTL, f.TOS)
		}
		if fmt.Sprint(a.Addresses) != "[fe80::61 fd77::100]" || a.Length != 40 || a.Form != lab.WithPseudo {
			t.Fatalf("%+v", a)
		}
	}
	if four == 0 || six == 0 {
		t.Errorf("%d adverts over IPv4 and %d over IPv6", four, six)
	}
}

// conformance: T4, T7
func TestPeriodDoesNotDrift(t *testing.T) {
	s := newScene(t, config(web(`interval = "100ms"`)))
	s.start(s.r1)
	s.active("r1")
	from := lab.Now()
	s.rest(3 * time.Second)
	adverts := s.sniffer.Adverts(from, "r1")
	if len(adverts) < 25 {
		t.Fatalf("only %d adverts in 3 s at 100 ms", len(adverts))
	}
	first, last := adverts[0], adverts[len(adverts)-1]
	// Slots that passed while the machine stood still are not made up for: the grid is
	// what must not move.
	const grid = 100 * time.Millisecond
	drift := (last.At - first.At + grid/2) % grid
	drift -= grid / 2
	var worst time.Duration
	for i := 1; i < len(adverts); i++ {
		worst = max(worst, adverts[i].At-adverts[i-1].At)
	}
	t.Logf("%d adverts, drift %s, largest gap %s", len(adverts), drift, worst)
	if limit := 25*time.Millisecond + s.Stall(from); drift > limit || drift < -limit {
		t.Errorf("it drifted by %s in %d adverts", drift, len(adverts))
	}
	if skipped := int((last.At-first.At+grid/2)/grid) - (len(adverts) - 1); skipped > 0 && s.Stall(from) < grid/2 {
		t.Errorf("%d slots were left out, and the machine did not stand still", skipped)
	}
}

// TestTsharkAgrees lets the distribution's decoder judge what the sniffer saw.
//
// conformance: X12
func TestTsharkAgrees(t *testing.T) {
	t.Parallel()
	tshark := func() (string, error) {
		path, err := exec.LookPath("tshark")
		if err != nil {
			return "", fmt.Errorf("tshark is not installed: apt install tshark")
		}
		return path, nil
	}
	lab.NeedPeer(t, tshark)
	s := newPair(t, config(web(), routerBlock("six", 62, `addresses = ["fe80::62/64", "fd77::62/64"]`)))
	s.must(s.r1.Stop(s.ctx))
	s.active("r2")
	s.sniffer.Stop()
	file, err := os.Create(s.Dir("all.pcap"))
	s.must(err)
	s.must(s.sniffer.WritePcap(file))
	s.must(file.Close())
	var out, complaints bytes.Buffer
	path, _ := tshark()
	cmd := exec.CommandContext(s.ctx, path, "-r", file.Name(), "-o", "vrrp.v3_checksum_as_in_v2:TRUE", "-Y", "vrrp", "-T", "fields",
		"-e", "vrrp.version", "-e", "vrrp.type", "-e", "vrrp.checksum.status", "-e", "vrrp.prio", "-e", "_ws.malformed")
	cmd.Stdout, cmd.Stderr = &out, &complaints
	cmd.Env = append(os.Environ(), "HOME="+s.Dir(""))
	if err := cmd.Run(); err != nil {
		t.Fatalf("tshark: %v\n%s", err, complaints.String())
	}
	seen := strings.Split(strings.TrimSpace(out.String()), "\n")
	if want := len(s.sniffer.Adverts(0, "")); len(seen) != want {
		t.Errorf("tshark sees %d adverts, the lab %d", len(seen), want)
	}
	for _, line := range seen {
		words := strings.Split(line, "\t")
		if len(words) < 4 || words[0] != "3" || words[1] != "1" || words[2] != "1" || len(words) > 4 && words[4] != "" {
			t.Errorf("tshark says %q (version, type, checksum status, priority, malformed)", line)
		}
	}
	t.Logf("tshark agrees with %d adverts", len(seen))
}
