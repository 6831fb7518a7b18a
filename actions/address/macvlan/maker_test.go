package macvlan

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// TestMain runs the tests in user, network and mount namespaces of their own.
func TestMain(m *testing.M) { lab.Main(lab.Options{}, m.Run) }

// rig is a parent, up, and a Maker.
func rig(t *testing.T, name string) (*Maker, link) {
	t.Helper()
	lab.Need(t)
	peer := strings.ReplaceAll(name, ".", "") + "p"
	lab.IP(t, "link", "add", name, "mtu", "1400", "type", "veth", "peer", "name", peer)
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", name).Run() })
	lab.IP(t, "link", "set", name, "up")
	lab.IP(t, "link", "set", peer, "up")
	m, err := Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	p, err := m.byName(name)
	if err != nil {
		t.Fatal(err)
	}
	return m, p
}

func want4(p link, vrid byte) actions.VirtualMAC {
	return actions.VirtualMAC{MAC: [6]byte{0, 0, 0x5e, 0, 1, vrid}, Parent: p.index, ParentName: p.name}
}

func want6(p link, vrid byte) actions.VirtualMAC {
	return actions.VirtualMAC{MAC: [6]byte{0, 0, 0x5e, 0, 2, vrid}, Parent: p.index, ParentName: p.name, IPv6: true}
}

func ensure(t *testing.T, m *Maker, v actions.VirtualMAC, wantMade bool) Found {
	t.Helper()
	f, made, err := m.Ensure(v, "backbeat inside")
	if err != nil || made != wantMade {
		t.Fatalf("Ensure: made %v, %v", made, err)
	}
	return f
}

// conf reads all sysctls below net/FAMILY/conf/NAME.
func conf(t *testing.T, family, name string) map[string]string {
	t.Helper()
	files, err := filepath.Glob("/proc/sys/net/" + family + "/conf/" + name + "/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("sysctls of %s: %v, %v", name, files, err)
	}
	all := make(map[string]string)
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil { // stable_secret cannot be read before it is set
			all[filepath.Base(f)] = strings.TrimSpace(string(b))
		}
	}
	return all
}

// differences are the sysctls in which two interfaces, or two times, differ.
func differences(a, b map[string]string) map[string]string {
	d := make(map[string]string)
	for k, v := range b {
		if a[k] != v {
			d[k] = v
		}
	}
	return d
}

// TestSettings: exactly what is documented differs from the defaults, and
// nothing of "all", "default" or the parent is touched.
func TestSettings(t *testing.T) {
	m, p := rig(t, "mv0.5")
	touchless := make(map[string]map[string]string)
	for _, name := range []string{"all", "default", p.name} {
		for _, family := range []string{"ipv4", "ipv6"} {
			touchless[family+" "+name] = conf(t, family, name)
		}
	}
	f4, f6 := ensure(t, m, want4(p, 61), true), ensure(t, m, want6(p, 61), true)
	if want := fmt.Sprintf("vr4.61.%d", p.index); f4.Name != want {
		t.Errorf("name %s, want %s", f4.Name, want)
	}
	in4 := "map[accept_local:1 arp_announce:2 arp_ignore:1 promote_secondaries:1 rp_filter:2]"
	for _, x := range []struct{ family, name, want string }{
		{"ipv4", f4.Name, in4},
		{"ipv4", f6.Name, in4},
		{"ipv6", f4.Name, "map[addr_gen_mode:1 disable_ipv6:1]"},
		{"ipv6", f6.Name, "map[accept_dad:0 accept_ra:0 addr_gen_mode:1 autoconf:0 dad_transmits:0 forwarding:1]"},
	} {
		d := differences(touchless[x.family+" default"], conf(t, x.family, x.name))
		delete(d, "mtu") // of the interface, not a setting
		if got := fmt.Sprint(d); got != x.want {
			t.Errorf("%s of %s: %s, want %s", x.family, x.name, got, x.want)
		}
		for key, value := range map[string]string{"arp_notify": "0", "send_redirects": "1", "ndisc_notify": "0"} {
			if got, ok := conf(t, x.family, x.name)[key]; ok && got != value {
				t.Errorf("%s of %s: %s", key, x.name, got)
			}
		}
	}
	for what, before := range touchless {
		family, name, _ := strings.Cut(what, " ")
		if d := differences(before, conf(t, family, name)); len(d) > 0 {
			t.Errorf("%s was changed: %v", what, d)
		}
	}
	for _, f := range []Found{f4, f6} {
		if out := lab.IP(t, "addr", "show", "dev", f.Name); strings.Contains(out, "inet") || !strings.Contains(out, "UP") || !strings.Contains(out, "mtu 1400") {
			t.Errorf("not up, or an address by itself, or another MTU:\n%s", out)
		}
		if out := lab.IP(t, "-d", "link", "show", "dev", f.Name); !strings.Contains(out, "macvlan mode private") || !strings.Contains(out, "alias backbeat inside") {
			t.Errorf("wrong kind:\n%s", out)
		}
	}
}

// TestEnsureTwice: the second time adopts, also by another Maker, also one that
// has been spoilt, and one with another name.
func TestEnsureTwice(t *testing.T) {
	m, p := rig(t, "mt0")
	v := want6(p, 7)
	f := ensure(t, m, v, true)
	if again := ensure(t, m, v, false); again != f {
		t.Errorf("adopted %+v, made %+v", again, f)
	}
	lab.IP(t, "link", "set", f.Name, "down", "mtu", "1300", "type", "macvlan", "mode", "bridge")
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+f.Name+"/accept_ra", []byte("2"), 0o644); err != nil {
		t.Fatal(err)
	}
	later, err := Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	v.Name = "another"
	if again := ensure(t, later, v, false); again != f {
		t.Errorf("adopted %+v, made %+v", again, f)
	}
	out := lab.IP(t, "-d", "link", "show", "dev", f.Name)
	if !strings.Contains(out, "mode private") || !strings.Contains(out, "mtu 1400") || !strings.Contains(out, "UP") ||
		conf(t, "ipv6", f.Name)["accept_ra"] != "0" {
		t.Errorf("not mended:\n%s", out)
	}
	// Gone behind our back: made anew.
	lab.IP(t, "link", "del", f.Name)
	v.Name = ""
	if again := ensure(t, m, v, true); again.Index == f.Index {
		t.Errorf("still %+v", again)
	}
	if err := later.Remove(f.Index); err != nil {
		t.Errorf("removing one that has gone: %v", err)
	}
}

// TestSomebodyElse: another program's macvlan, known before or not, is named
// and left alone; so is an interface that has the name.
func TestSomebodyElse(t *testing.T) {
	m, p := rig(t, "me0")
	for i, vrid := range []byte{8, 9} {
		name := fmt.Sprintf("vrrp.%d", vrid)
		lab.IP(t, "link", "add", "link", p.name, "name", name, "address", fmt.Sprintf("00:00:5e:00:01:%02x", vrid), "type", "macvlan", "mode", "private")
		lab.IP(t, "link", "set", name, "up")
		_, _, err := m.Ensure(want4(p, vrid), "backbeat inside")
		if err == nil || !strings.Contains(err.Error(), "macvlan "+name+" on me0 has the virtual MAC") {
			t.Errorf("round %d: %v", i, err)
		}
		if out := lab.IP(t, "link", "show", "type", "macvlan"); strings.Count(out, "@me0") != i+1 {
			t.Errorf("round %d: something was left or removed:\n%s", i, out)
		}
	}
	lab.IP(t, "link", "add", "vrtaken", "type", "veth", "peer", "name", "vrtakenp")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "vrtaken").Run() })
	v := want4(p, 10)
	v.Name = "vrtaken"
	if _, _, err := m.Ensure(v, "backbeat inside"); err == nil || !strings.Contains(err.Error(), "another veth of that name") {
		t.Errorf("a taken name: %v", err)
	}
	if err := m.Remove(p.index); err == nil || !strings.Contains(err.Error(), "no macvlan") {
		t.Errorf("removing the parent: %v", err)
	}
}

// TestParentDown: a link can be made on an interface that is down, and is up
// when the interface is.
func TestParentDown(t *testing.T) {
	m, p := rig(t, "md0")
	lab.IP(t, "link", "set", p.name, "down")
	f := ensure(t, m, want6(p, 16), true)
	lab.IP(t, "link", "set", p.name, "up")
	lab.AwaitCarrier(t, f.Name)
	if out := lab.IP(t, "addr", "show", "dev", f.Name); strings.Contains(out, "inet") {
		t.Errorf("it has an address by itself:\n%s", out)
	}
}

// TestRefusedParents: what cannot carry a virtual MAC is refused with the remedy.
func TestRefusedParents(t *testing.T) {
	m, p := rig(t, "mr0")
	f := ensure(t, m, want4(p, 11), true)
	for _, x := range []struct {
		v    actions.VirtualMAC
		want string
	}{
		{actions.VirtualMAC{MAC: [6]byte{0, 0, 0x5e, 0, 1, 12}, Parent: f.Index}, "is a macvlan itself"},
		{actions.VirtualMAC{MAC: [6]byte{0, 0, 0x5e, 0, 1, 12}, Parent: 99999, ParentName: "eth7"}, "eth7 does not exist"},
		{actions.VirtualMAC{MAC: [6]byte{0, 0, 0x5e, 0, 1, 12}, Parent: 1, ParentName: "lo"}, "lo"},
		{actions.VirtualMAC{MAC: [6]byte{0, 0, 0x5e, 0, 1, 12}, Parent: p.index, Name: "sixteen.bytes.xx"}, "virtual_mac_name"},
	} {
		if _, made, err := m.Ensure(x.v, "backbeat inside"); err == nil || made || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%+v: %v", x.v, err)
		}
	}
}

// TestRemoveMany: all at once, those that have gone included, the others untouched.
func TestRemoveMany(t *testing.T) {
	m, p := rig(t, "mm0")
	var indexes []int
	for i := range 250 {
		indexes = append(indexes, ensure(t, m, want4(p, byte(i+1)), true).Index)
	}
	stays := ensure(t, m, want6(p, 1), true)
	list, err := m.List("backbeat in")
	if err != nil || len(list) != 251 {
		t.Fatalf("List: %d, %v", len(list), err)
	}
	if list, err := m.List("backbeat out"); err != nil || len(list) != 0 {
		t.Fatalf("List of another prefix: %v, %v", list, err)
	}
	lab.IP(t, "link", "del", fmt.Sprintf("vr4.1.%d", p.index))
	if err := m.Remove(indexes...); err != nil {
		t.Fatal(err)
	}
	if list, err := m.List(""); err != nil || len(list) != 1 || list[0] != stays {
		t.Errorf("left: %+v, %v", list, err)
	}
	if err := m.Remove(indexes...); err != nil {
		t.Errorf("removing them once more: %v", err)
	}
}

// TestParent: the parent's settings, and back; what was so or has been changed
// by somebody else stays.
func TestParent(t *testing.T) {
	m, p := rig(t, "mp0.7")
	set := func(name, value string) {
		t.Helper()
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+p.name+"/"+name, []byte(value), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	start := conf(t, "ipv4", p.name)
	before, err := m.Parent(p.name)
	if err != nil || fmt.Sprint(before) != "map[arp_announce:0 arp_ignore:0]" {
		t.Fatalf("Parent: %v, %v", before, err)
	}
	if d := fmt.Sprint(differences(start, conf(t, "ipv4", p.name))); d != "map[arp_announce:2 arp_ignore:1]" {
		t.Errorf("changed: %s", d)
	}
	if again, err := m.Parent(p.name); err != nil || len(again) != 0 {
		t.Errorf("the second time: %v, %v", again, err)
	}
	if err := m.RestoreParent(p.name, before); err != nil {
		t.Fatal(err)
	}
	if d := differences(start, conf(t, "ipv4", p.name)); len(d) != 0 {
		t.Errorf("not restored: %v", d)
	}

	set("arp_ignore", "2") // stricter: stays
	if before, err = m.Parent(p.name); err != nil || fmt.Sprint(before) != "map[arp_announce:0]" {
		t.Errorf("with arp_ignore 2: %v, %v", before, err)
	}
	set("arp_announce", "1") // somebody else's word counts
	if err := m.RestoreParent(p.name, before); err != nil {
		t.Fatal(err)
	}
	if d := fmt.Sprint(differences(start, conf(t, "ipv4", p.name))); d != "map[arp_announce:1 arp_ignore:2]" {
		t.Errorf("after restoring: %s", d)
	}
	if _, err := m.Parent("missing"); err == nil {
		t.Error("Parent of a missing interface succeeded")
	}
	if err := m.RestoreParent("missing", before); err != nil {
		t.Errorf("RestoreParent of a missing interface: %v", err)
	}
}

func TestVirtualMACName(t *testing.T) {
	for _, x := range []struct {
		mac   byte
		index int
		want  string
	}{{1, 3, "vr4.61.3"}, {2, 9999999, "vr6.61.9999999"}, {2, 2147483647, "vr6.61.xzik0zj"}} {
		v := actions.VirtualMAC{MAC: [6]byte{0, 0, 0x5e, 0, x.mac, 61}, Parent: x.index}
		if got := VirtualMACName(v); got != x.want || len(got) > 15 {
			t.Errorf("%s, want %s", got, x.want)
		}
	}
}

// TestReadOnlySysctl: where /proc/sys cannot be written the error says so, and
// nothing is left behind.
func TestReadOnlySysctl(t *testing.T) {
	m, p := rig(t, "mo0")
	for _, args := range [][]string{{"--bind", "/proc/sys", "/proc/sys"}, {"-o", "remount,bind,ro", "/proc/sys"}} {
		if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
			t.Fatalf("mount %v: %v\n%s", args, err, out)
		}
	}
	defer func() {
		if out, err := exec.Command("umount", "/proc/sys").CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	}()
	for _, v := range []actions.VirtualMAC{want4(p, 13), want6(p, 13)} {
		_, made, err := m.Ensure(v, "backbeat inside")
		if err == nil || made || !strings.Contains(err.Error(), "/proc/sys") || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("Ensure: %v", err)
		}
	}
	if list, err := m.List(""); err != nil || len(list) != 0 {
		t.Errorf("left behind: %+v, %v", list, err)
	}
	if before, err := m.Parent(p.name); err != nil || len(before) != 2 {
		t.Errorf("Parent needs no /proc/sys: %v, %v", before, err)
	}
}

// TestNotPermitted: without CAP_NET_ADMIN the error names it.
func TestNotPermitted(t *testing.T) {
	m, p := rig(t, "mc0")
	done := make(chan error)
	go func() {
		// The thread ends with the goroutine, since it is not unlocked.
		runtime.LockOSThread()
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			done <- err
			return
		}
		_, _, err := m.Ensure(want4(p, 14), "backbeat inside")
		done <- err
	}()
	if err := <-done; !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("Ensure: %v", err)
	}
}

// TestMaster: a parent below a VRF takes its macvlan along, a port is refused.
func TestMaster(t *testing.T) {
	m, p := rig(t, "mf0")
	for _, kind := range []string{"vrf table 77", "bridge"} {
		args := append([]string{"link", "add", "mfm", "type"}, strings.Fields(kind)...)
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Logf("this kernel has no %s: %s", kind, out)
			continue
		}
		lab.IP(t, "link", "set", p.name, "master", "mfm")
		f, made, err := m.Ensure(want4(p, 15), "backbeat inside")
		if kind == "bridge" {
			if err == nil || made || !strings.Contains(err.Error(), "mf0 is a port of the bridge mfm") {
				t.Errorf("on a bridge's port: %v", err)
			}
		} else if out := lab.IP(t, "link", "show", "dev", f.Name); err != nil || !strings.Contains(out, "master mfm") {
			t.Errorf("below a VRF: %v\n%s", err, out)
		}
		if err := m.Remove(f.Index); err != nil {
			t.Error(err)
		}
		lab.IP(t, "link", "del", "mfm")
	}
}
