package netns

import (
	"fmt"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// manyMACs routers have a virtual MAC each, half of them of each family.
const manyMACs = 250

// voice is one virtual MAC: the family's byte and the VRID.
type voice struct{ family, vrid byte }

func manyRouters() string {
	blocks := []string{macWeb(`interval = "1s"`)}
	for i := 1; len(blocks) < manyMACs; i++ {
		if vrid := 61 + (i+1)/2; i%2 == 0 {
			blocks = append(blocks, routerBlock(fmt.Sprintf("four%d", vrid), vrid, `interval = "1s"`, "virtual_mac = true",
				fmt.Sprintf(`addresses = ["10.77.1.%d/32"]`, vrid)))
		} else {
			blocks = append(blocks, routerBlock(fmt.Sprintf("six%d", vrid), vrid, `interval = "1s"`, "virtual_mac = true",
				fmt.Sprintf(`addresses = ["fe80::77:%x/64", "2001:db8:77::%x/128"]`, vrid, vrid)))
		}
	}
	return config(blocks...)
}

// While 250 routers are taken over at once, no frame leaves from the virtual
// MAC of one that is still Backup: not what its macvlan would say by itself
// (MLD, router solicitations, ARP), and nothing that is announced too early. The
// first frame from a virtual MAC is an advert.
//
// conformance: L1, W23, I8
func TestNoFrameFromABackupsMACWhile250TakeOver(t *testing.T) {
	s := newScene(t, manyRouters())
	// One after the other: 250 macvlans take a second, the hosts share the kernel's lock for
	// them, and of two that start together the worse may have one of them much earlier.
	s.start(s.r1)
	s.everyVoice("r1", 0)
	s.start(s.r2)
	s.active("r1")
	s.rest(2 * time.Second)
	if leaks := s.by("r2", 0, virtual); len(leaks) > 0 {
		t.Fatalf("at rest the Backups sent %d frames from virtual MACs, the first % x", len(leaks), leaks[0].Raw)
	}
	fault := lab.Now()
	s.r1.Kill()
	last := s.everyVoice("r2", fault) - fault
	s.active("r2")
	s.rest(time.Second)
	// Active_Down_Interval of priority 100 at one second (RFC 9568 6.1).
	const bound = 3*time.Second + 156*time.Second/256
	t.Logf("all %d taken over within %s, bound %s", manyMACs, last.Round(time.Millisecond), bound)
	if last > bound+s.slack(fault) {
		t.Errorf("the last takeover came after %s, bound %s", last, bound)
	}
	spoke, leaks := map[voice]bool{}, 0
	for _, f := range s.by("r2", 0, virtual) {
		v := voice{f.SrcMAC[4], f.SrcMAC[5]}
		if f.Advert != nil {
			spoke[v] = true
		} else if !spoke[v] {
			if leaks++; leaks == 1 {
				t.Errorf("VRID %d sent before its first advert: % x", v.vrid, f.Raw)
			}
		}
	}
	if leaks > 0 || len(spoke) != manyMACs {
		t.Errorf("%d frames of Backups, %d routers advertise", leaks, len(spoke))
	}
}

// everyVoice waits until a host has advertised for every router from its virtual
// MAC and returns when the last one did so first.
func (s *scene) everyVoice(host string, from time.Duration) (last time.Duration) {
	s.t.Helper()
	heard := map[voice]bool{}
	s.until("every router to advertise from "+host, func() bool {
		clear(heard)
		for _, f := range s.sniffer.Adverts(from, host) {
			v := voice{f.SrcMAC[4], f.SrcMAC[5]}
			if virtual(&f) && f.Advert.Priority > 0 && !heard[v] {
				heard[v], last = true, f.At
			}
		}
		return len(heard) == manyMACs
	})
	return last
}
