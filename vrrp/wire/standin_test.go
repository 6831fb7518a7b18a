package wire

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
	"github.com/backbeat-ha/backbeat/vrrp"
	"golang.org/x/sys/unix"
)

// conns are the two ends of what a daemon and its stand-in talk over.
func conns(t *testing.T) (ours, theirs *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		ends[i] = c.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

func ready(t *testing.T, c *net.UnixConn) {
	t.Helper()
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal("not ready:", err)
	}
}

// A stand-in says what it was given, at the phase and interval it was given, after
// the port that left it has closed its sockets; and ends by itself.
func TestStandInSpeaks(t *testing.T) {
	a, b := pair(t, "a8", "b8")
	pa, pb := open(t, a), open(t, b)
	ours, theirs := conns(t)
	ended := make(chan error, 1)
	go func() { ended <- StandIn(theirs, 0) }()
	ready(t, ours)
	const every, lasts = 20 * time.Millisecond, 500 * time.Millisecond
	first := (pa.Now() + every).Truncate(time.Millisecond)
	want := map[vrrp.Family][]byte{}
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		src, msg := message(f)
		want[f] = msg
		pa.Leave(path(a, f, src), msg, first, every)
	}
	pa.Leave(path(a+b+100, vrrp.IPv4, src4), want[vrrp.IPv4], first, every) // of no interface
	if n, err := pa.HandOn(ours, first+lasts); n != 2 || err != nil {
		t.Fatalf("%d handed on: %v", n, err)
	}
	ours.Close()
	pa.Close()
	got := map[vrrp.Family]int{}
	for limit := first + lasts + every; pb.Now() < limit; {
		pb.Wait(limit)
		pb.Receive(1000, func(k *vrrp.Packet) {
			var d vrrp.Datagram
			if drop := vrrp.ParseIP(k.Family, k.Data, &d); drop != vrrp.Accepted || !bytes.Equal(d.Message, want[k.Family]) {
				t.Errorf("%s: %s %x", k.Family, drop, d.Message)
			}
			if k.At < first {
				t.Errorf("%s: at %s, before %s", k.Family, k.At, first)
			}
			got[k.Family]++
		})
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for f, n := range got { // fewer only where the machine stood still
		if n > int(lasts/every) || n < int(lasts/every)/2 {
			t.Errorf("%s: said %d times in %s", f, n, lasts)
		}
	}
	if len(got) != 2 {
		t.Errorf("said %v", got)
	}
}

// To peers it speaks as the port does.
func TestStandInSpeaksToPeers(t *testing.T) {
	a, b := pair(t, "a9", "b9")
	ifb, err := net.InterfaceByIndex(b)
	if err != nil {
		t.Fatal(err)
	}
	// A peer whose address is nobody's here, so that the packet leaves.
	lab.IP(t, "addr", "add", "10.9.8.1/24", "dev", "a9")
	lab.IP(t, "neigh", "replace", "10.9.8.77", "lladdr", ifb.HardwareAddr.String(), "dev", "a9", "nud", "permanent")
	src, peer := netip.MustParseAddr("10.9.8.1"), netip.MustParseAddr("10.9.8.77")
	pa := listen(t, vrrp.Listening{Link: a, Family: vrrp.IPv4})
	pb := listen(t, vrrp.Listening{Link: b, Family: vrrp.IPv4})
	ours, theirs := conns(t)
	ended := make(chan error, 1)
	go func() { ended <- StandIn(theirs, 0) }()
	_, msg := message(vrrp.IPv4)
	now := pa.Now()
	pa.Leave(&vrrp.Path{Link: a, Family: vrrp.IPv4, Src: src, Dst: peer, TTL: 64}, msg, now, 10*time.Millisecond)
	if n, err := pa.HandOn(ours, now+200*time.Millisecond); n != 1 || err != nil {
		t.Fatalf("%d handed on: %v", n, err)
	}
	n := receive(t, pb, 3, func(k *vrrp.Packet) {
		var d vrrp.Datagram
		if drop := vrrp.ParseIP(k.Family, k.Data, &d); drop != vrrp.Accepted || d.Src != src || d.Dst != peer || d.TTL != 64 || !bytes.Equal(d.Message, msg) {
			t.Errorf("%s %+v", drop, d)
		}
	})
	if n < 3 {
		t.Errorf("%d heard", n)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Nobody leaves, nothing is said: it ends. Garbage it refuses.
func TestStandInWithoutAnything(t *testing.T) {
	ours, theirs := conns(t)
	ended := make(chan error, 1)
	go func() { ended <- StandIn(theirs, 0) }()
	ready(t, ours)
	ours.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, text := range []string{"\x00\x00\x00\x00rubbish that is no list", "\xff\xff\xff\xff", "\x00\x00\x00\x02xx"} {
		ours, theirs := conns(t)
		go func() { ended <- StandIn(theirs, 0) }()
		ready(t, ours)
		if _, err := ours.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		ours.Close()
		if err := <-ended; err == nil && len(text) > 4 {
			t.Errorf("%q is taken", text)
		}
	}
}

// It ends with the daemon where that is to be there all the time, and when nothing is
// left to say: whoever finds it then would believe that it has spoken.
func TestStandInEndsBefore(t *testing.T) {
	for name, c := range map[string]struct {
		parent int
		next   time.Duration
		early  bool
	}{
		"nobody is watched":    {0, time.Second, false},
		"the daemon is there":  {os.Getppid(), time.Second, false},
		"the daemon has gone":  {1 << 30, time.Second, true},
		"all have been silent": {0, -time.Second, true},
	} {
		began := boottime()
		s := standing{Until: began + 50*time.Millisecond, Beats: []beat{{Frame: []byte("x"), Next: began + c.next, Every: 10 * time.Millisecond}}}
		if err := s.speak([]*txQueue{{fd: -1}}, c.parent); err != nil {
			t.Error(err)
		}
		if early := boottime() < s.Until; early != c.early {
			t.Errorf("%s: it ended after %s", name, boottime()-began)
		}
	}
}

// After a silence that the others take for the end it does not speak again.
func TestStandInThatStoodStill(t *testing.T) {
	s := standing{Until: boottime() + 100*time.Millisecond, Beats: []beat{
		{Frame: []byte("late"), Next: boottime() - 20*time.Millisecond, Every: 10 * time.Millisecond},
		{Frame: []byte("never"), Next: boottime() - time.Hour, Every: time.Minute},
	}}
	q := &txQueue{fd: -1}
	if err := s.speak([]*txQueue{q}, 0); err != nil {
		t.Fatal(err)
	}
	if s.Beats[0].Next != vrrp.Never || s.Beats[1].Next != vrrp.Never {
		t.Errorf("%+v", s.Beats)
	}
}
