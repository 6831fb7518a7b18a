package stories

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// What the hosts of the story apache-drbd are made of, and how they lose it.

// furnish gives a node what its packages bring, and its disk.
func (x *sites) furnish(n *node) {
	x.t.Helper()
	x.command("cp", "-dR", "--preserve=mode", "/etc/apache2/.", n.Path("/etc/apache2")) // owners cannot be kept without root
	n.write("/etc/apache2/conf-enabled/story.conf", "ServerName "+n.Name+"\nStartServers 1\nAlias /who /var/www/who\n", 0o644)
	n.write("/var/www/who", n.Name+"\n", 0o644)
	x.must(os.MkdirAll(n.Path(docroot), 0o755))
	x.boot(n)
	bin := x.tools(n)
	n.put(bin, "drbdadm", "#!/bin/sh\nexec "+x.drbd.Admin(side(n))+" \"$@\"\n")
	n.put(bin, "drbdsetup", "#!/bin/sh\nexec "+x.drbd.Setup(side(n))+" \"$@\"\n")
	n.put(bin, "fence_ipmilan", "#!/bin/sh\nexec /usr/local/lib/fence \"$@\"\n")
	if !x.real {
		n.put(bin, "fsck", "#!/bin/sh\nexit 0\n") // of a directory
		n.put(bin, "apache2", "#!/bin/sh\nexec unshare -U --map-user=33 --map-group=33 /usr/local/lib/real/usr/sbin/apache2 \"$@\"\n")
		n.put(bin, "apache2ctl", "#!/bin/sh\n. /etc/apache2/envvars\nexec /usr/sbin/apache2 -t\n") // the real one gives directories away
		x.run(n.Name, "sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=0")
	}
	x.run(n.Name, "mount", "-t", "overlay", "-o", "lowerdir="+bin+":/usr/sbin", "overlay", "/usr/sbin")
	x.disk(n)
}

// boot is what tmpfiles.d does at boot: examples/apache-drbd/tmpfiles.conf.
func (x *sites) boot(n *node) {
	x.t.Helper()
	for line := range strings.Lines(x.read("examples/apache-drbd/tmpfiles.conf")) {
		f := strings.Fields(line)
		if len(f) != 5 || f[0] != "d" {
			continue
		}
		x.run(n.Name, "mkdir", "-p", "-m", f[2], f[1])
		if x.real {
			x.run(n.Name, "chown", f[3]+":"+f[4], f[1])
		}
	}
}

// tools makes a directory of programs that the node has over /usr/sbin. The agent ends
// what is left of Apache by name, which on a host is enough: here hosts share their
// process numbers, so that pgrep and pkill are told to keep to their own host.
func (x *sites) tools(n *node) (bin string) {
	x.t.Helper()
	bin = n.Path("/usr/local/lib") + "/bin"
	x.must(os.MkdirAll(bin, 0o755))
	for _, dir := range []string{"/usr/sbin", "/usr/bin"} {
		x.must(os.MkdirAll(n.Path("/usr/local/lib/real"+dir), 0o755))
		x.run(n.Name, "mount", "--bind", dir, "/usr/local/lib/real"+dir)
	}
	over := map[string]string{"pgrep": "#!/bin/sh\nexec /usr/local/lib/real/usr/bin/${0##*/} --ns $$ --nslist net \"$@\"\n"}
	if !x.real {
		over["mount"] = "#!/bin/sh\ncase \"$1 $2 $3\" in '-t ext4 --') exec /usr/local/lib/real/usr/bin/mount --bind \"$4\" \"$5\";; esac\n" +
			"exec /usr/local/lib/real/usr/bin/mount \"$@\"\n"
	}
	for name, text := range over {
		n.put(n.Path("/usr/local/lib"), name, text)
	}
	for name := range over {
		x.run(n.Name, "/usr/local/lib/real/usr/bin/mount", "--bind", "/usr/local/lib/"+name, "/usr/bin/"+name)
	}
	return bin
}

func (n *node) put(dir, name, text string) {
	n.s.t.Helper()
	n.s.must(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755))
}

// disk makes the backing device of a node's DRBD: an ext4 of 16 MiB with the same
// content on both.
func (x *sites) disk(n *node) {
	x.t.Helper()
	image := filepath.Join(x.drbd.Dir, side(n)+"-disk")
	content := x.Dir("content")
	x.must(os.MkdirAll(content, 0o755))
	x.must(os.WriteFile(filepath.Join(content, "index.html"), []byte("the site\n"), 0o644))
	x.must(os.WriteFile(filepath.Join(content, "journal"), nil, 0o644))
	if !x.real {
		x.t.Log("not the real root: directories stand in for ext4")
		x.run(n.Name, "cp", "-a", content, image)
		x.drbd.Back(side(n), image, image)
		return
	}
	lab.NeedPeer(x.t, func() (string, error) {
		if _, err := os.Stat("/dev/loop-control"); err != nil {
			return "", fmt.Errorf("there are no loop devices here (modprobe loop; docker: --privileged): %w", err)
		}
		return "", nil
	})
	x.must(os.WriteFile(image, nil, 0o600))
	x.must(os.Truncate(image, 16<<20))
	x.command("mkfs.ext4", "-q", "-F", "-d", content, "-U", "5d0f3a52-3c2b-4a6e-9d0e-0c7a3f0c9a11", image)
	x.drbd.Back(side(n), x.loop(image), image)
}

// loop attaches a file to a loop device, for as long as the test lives.
func (x *sites) loop(file string) string {
	x.t.Helper()
	device := x.command("losetup", "--find", "--show", file)
	f, err := os.Open(device)
	x.must(err)
	info, err := unix.IoctlLoopGetStatus64(int(f.Fd()))
	x.must(err)
	info.Flags |= unix.LO_FLAGS_AUTOCLEAR // gone when nobody has it open: when this process ends, at the latest
	x.must(unix.IoctlLoopSetStatus64(int(f.Fd()), info))
	x.t.Cleanup(func() {
		_ = exec.Command("blockdev", "--setrw", device).Run() // it would outlive the image
		f.Close()
	})
	return device
}

// command runs a program of the test's own.
func (x *sites) command(argv ...string) string {
	x.t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		x.t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// unmount takes a node's file system off without its daemon, where it is still there.
func (x *sites) unmount(n *node) {
	for range 3 {
		if _, err := n.Run(x.ctx, "umount", "-l", docroot); err != nil {
			return
		}
	}
}

// powerOff pulls a node's plug. What its file system had not yet given to the device is
// lost: the kernel, which is the test's own, is told so (as by XFS_IOC_GOINGDOWN). Not
// before its processes have ended: whoever waits in fsync just then is told that all is
// well. And the other side may have the data when nothing changes it any more.
func (x *sites) powerOff(n *node) {
	x.t.Helper()
	goDown := x.goDown(n)
	x.must(n.Halt())
	goDown()
	n.off()
	x.unmount(n)
	x.drbd.Set(side(n), map[string]any{"alive": false})
}

// powerOn ends powerOff, and is a boot: DRBD is down until somebody says adjust.
func (x *sites) powerOn(n *node) {
	x.t.Helper()
	x.drbd.Set(side(n), map[string]any{"alive": true, "up": false, "role": "Secondary"})
	n.on()
	x.boot(n)
}

// goDown returns what makes a node's ext4 forget what is not on the device
// (EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH). It is reached through a process of
// the node, so it is to be called while there is one.
func (x *sites) goDown(n *node) (down func()) {
	x.t.Helper()
	if !x.real || !x.mounted(n) {
		return func() {}
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/root%s", n.Processes("")[0], docroot))
	x.must(err)
	return func() {
		defer f.Close()
		const shutdown, noLogFlush = 0x8004587d, 2
		x.must(unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush))
	}
}

// cut cuts what is between both hosts: adverts and replication. The carriers stay.
// What has been written before is on both sides.
func (x *sites) cut(n *node) {
	x.t.Helper()
	active := x.node1
	if x.primary(x.node2) {
		active = x.node2
	}
	if x.real {
		x.run(active.Name, "fsfreeze", "-f", docroot)
	}
	x.drbd.Cut()
	x.must(n.Lose())
	if x.real {
		x.run(active.Name, "fsfreeze", "-u", docroot)
	}
}

// heal ends cut.
func (x *sites) heal(n *node) {
	x.t.Helper()
	x.drbd.Write("link", "up")
	x.must(n.Unlose())
}
