package agent

import (
	"os"
	"slices"
	"testing"
)

const mountsText = `22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
30 22 147:1 / /srv/www\040data rw,noatime shared:12 master:3 - ext4 /dev/drbd1 ro,errors=remount-ro
31 22 0:44 /sub /srv/b rw - btrfs /dev/sdb rw,subvol=/sub
32 30 0:45 / /srv/www\040data/in rw - tmpfs none rw
33 22 0:46 / /srv/b rw - tmpfs cover rw
bad line
34 22 0:47 / /x rw -
`

func TestParseMounts(t *testing.T) {
	all := parseMounts(mountsText)
	if len(all) != 5 {
		t.Fatalf("%d mounts", len(all))
	}
	m := mountAt(all, "/srv/www data")
	if m == nil || m.id != 30 || m.device() != "147:1" || !m.follows || !slices.Contains(m.super, "ro") || m.source != "/dev/drbd1" {
		t.Errorf("%+v", m)
	}
	if m := mountAt(all, "/srv/b"); m.source != "cover" {
		t.Errorf("what is on top is %+v", m)
	}
	if m := mountAbove(all, "/srv/www data/x/y"); m.id != 30 {
		t.Errorf("%+v", m)
	}
	if m := mountAbove(all, "/srv/www databases"); m.id != 22 {
		t.Errorf("%+v", m)
	}
	if below := mountsBelow(all, "/srv/www data"); !slices.Equal(below, []string{"/srv/www data/in"}) {
		t.Errorf("%q", below)
	}
	for s, want := range map[string]string{`a\040b`: "a b", `a\011b\134`: "a\tb\\", `a\04`: `a\04`, `\`: `\`} {
		if got := plain(s); got != want {
			t.Errorf("%q: %q", s, got)
		}
	}
}

func TestHolders(t *testing.T) {
	all, err := readMounts("self")
	if err != nil {
		t.Fatal(err)
	}
	wd, _ := os.Getwd()
	m := mountAbove(all, wd)
	if how := holds(os.Getpid(), m); how != "working directory" {
		t.Errorf("we hold %s by %q", m.point, how)
	}
	if (holder{pid: 1}).end(m, 0) || (holder{pid: os.Getpid()}).end(m, 0) {
		t.Error("init or ourselves got a signal")
	}
}

func TestReadOnlyIsTheLastWord(t *testing.T) {
	for options, want := range map[string]bool{"": false, "ro": true, "noatime,ro": true, "ro,rw": false, "rw,ro": true} {
		f := fsAgent{}
		f.a.Options = []string{options}
		if got := f.wantsReadOnly(); got != want {
			t.Errorf("%q: %v", options, got)
		}
	}
}
