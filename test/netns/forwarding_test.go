package netns

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/backbeat-ha/backbeat/test/lab"
	"golang.org/x/sys/unix"
)

// Requests to the kernel's multicast router (linux/mroute.h, linux/mroute6.h),
// which x/sys does not name.
const (
	mrtInit, mrtAddVIF, mrtAddMFC    = 200, 202, 204
	mrt6Init, mrt6AddMIF, mrt6AddMFC = 200, 202, 204
)

// envRouter makes the test binary a multicast router between eth0 and eth1 that
// lets everything to the VRRP groups pass, for as long as its standard input is open.
const envRouter = "BACKBEAT_TEST_MULTICAST_ROUTER"

func multicastRouter() int {
	if err := routeMulticast(); err != nil {
		os.Stdout.WriteString("failed: " + err.Error() + "\n")
		return 1
	}
	os.Stdout.WriteString("routing\n")
	_, _ = os.Stdin.Read(make([]byte, 1))
	return 0
}

func routeMulticast() error {
	four, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_IGMP)
	if err != nil {
		return err
	}
	six, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6)
	if err != nil {
		return err
	}
	errs := []error{unix.SetsockoptInt(four, unix.IPPROTO_IP, mrtInit, 1), unix.SetsockoptInt(six, unix.IPPROTO_IPV6, mrt6Init, 1)}
	set := func(fd, level, name int, b []byte) {
		errs = append(errs, unix.SetsockoptString(fd, level, name, string(b)))
	}
	for i, name := range []string{"eth0", "eth1"} {
		index, err := linkIndex(name)
		if err != nil {
			return err
		}
		vif := make([]byte, 16) // struct vifctl: vifi, flags, threshold, rate, ifindex, remote
		binary.NativeEndian.PutUint16(vif, uint16(i))
		vif[2], vif[3] = 8, 1 // VIFF_USE_IFINDEX, the least TTL
		binary.NativeEndian.PutUint32(vif[8:], uint32(index))
		set(four, unix.IPPROTO_IP, mrtAddVIF, vif)
		mif := make([]byte, 12) // struct mif6ctl: mif, flags, threshold, pifi, rate
		binary.NativeEndian.PutUint16(mif, uint16(i))
		mif[3] = 1
		binary.NativeEndian.PutUint16(mif[4:], uint16(index))
		set(six, unix.IPPROTO_IPV6, mrt6AddMIF, mif)
	}
	// (*, group) from eth0 to eth1: struct mfcctl and mf6cctl.
	mfc := make([]byte, 4+4+2+32+2+4*4)
	copy(mfc[4:], []byte{224, 0, 0, 18})
	mfc[10+1] = 1
	set(four, unix.IPPROTO_IP, mrtAddMFC, mfc)
	mf6 := make([]byte, 28+28+2+2+32)
	binary.NativeEndian.PutUint16(mf6, unix.AF_INET6)
	binary.NativeEndian.PutUint16(mf6[28:], unix.AF_INET6)
	mf6[28+8], mf6[28+9], mf6[28+8+15] = 0xff, 0x02, 0x12
	mf6[60] = 2 // the set of interfaces: bit 1
	set(six, unix.IPPROTO_IPV6, mrt6AddMFC, mf6)
	return errors.Join(errs...)
}

func linkIndex(name string) (int, error) {
	b, err := exec.Command("ip", "-o", "link", "show", name).Output()
	if err != nil {
		return 0, err
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			break
		}
		n = 10*n + int(c-'0')
	}
	return n, nil
}

// A host that routes multicast, even one told to pass the VRRP groups on, does
// not: the kernel keeps link-local groups on their link.
//
// conformance: V34
func TestGroupsAreNotForwarded(t *testing.T) {
	t.Parallel()
	s := newSceneOn(t, config(web(), routerBlock("six", 62, `addresses = ["fe80::62/64"]`)), 2)
	self, err := os.Executable()
	s.must(err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envRouter+"=1")
	stdin, err := cmd.StdinPipe()
	s.must(err)
	defer stdin.Close()
	p, err := s.Host("r2").Start(cmd)
	s.must(err)
	s.until("r2 to route", func() bool { return p.Output() != "" })
	if p.Output() != "routing\n" {
		t.Fatalf("r2 does not route multicast: %s", p.Output())
	}
	s.start(s.r1)
	s.active("r1")
	s.rest(5 * interval)
	if len(s.sniffer.Adverts(0, "r1")) < 10 {
		t.Fatal("few adverts")
	}
	for _, f := range s.sniffer.Frames(0, func(f *lab.Frame) bool { return f.Advert != nil && (f.Link != 0 || f.Host != "r1") }) {
		t.Errorf("%s sent an advert from %s on link %d", f.Host, f.Src, f.Link)
	}
}
