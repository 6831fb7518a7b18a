package systemd

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// envBoot makes the program process 1 of a host: it prepares the host's file system as
// a plan says, and gives its place to systemd.
const envBoot = "BACKBEAT_SYSTEMD_BOOT"

// systemdPath is where every distribution has it.
const systemdPath = "/lib/systemd/systemd"

// plan is what the process that becomes systemd must know.
type plan struct {
	Dir       string   // of the lab, for the layers
	Installed string   // what make install has made, a layer over the machine's file system
	Groups    []string // the directories of the control groups to enter
	Hybrid    bool     // as systemd knows it: version 2 beside a version 1 without controllers
}

func init() {
	if os.Getenv(envBoot) != "" {
		runtime.LockOSThread() // the main thread: what is unshared on another one is not process 1's
	}
}

// boot does not return.
func boot() {
	var p plan
	err := json.Unmarshal([]byte(os.Getenv(envBoot)), &p)
	if err == nil {
		err = p.furnish()
	}
	if err == nil {
		err = p.exec()
	}
	fmt.Fprintln(os.Stderr, "boot:", err)
	os.Exit(1)
}

// steps carries out one after the other until one fails.
func steps(list ...func() error) error {
	for _, f := range list {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func mount(source, target, kind string, flags uintptr, data string) func() error {
	return func() error {
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(source, target, kind, flags, data); err != nil {
			return fmt.Errorf("mount %s (%s) on %s: %w", source, kind, target, err)
		}
		return nil
	}
}

func readOnly(target string) func() error {
	return func() error {
		return steps(mount(target, target, "", unix.MS_BIND, ""), mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	}
}

// furnish makes the file system of the host and enters it.
func (p *plan) furnish() error {
	root, up := p.Dir+"/root", p.Dir+"/up"
	at := func(path string) string { return root + path }
	quiet := uintptr(unix.MS_NOSUID | unix.MS_NODEV)
	return steps(
		mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		p.enterGroups,
		mount("lab", up, "tmpfs", 0, "size=512m"),
		func() error { return os.MkdirAll(up+"/upper", 0o755) },
		func() error { return os.MkdirAll(up+"/work", 0o755) },
		mount("lab", root, "overlay", 0, "lowerdir="+p.Installed+":/,upperdir="+up+"/upper,workdir="+up+"/work"),
		mount("proc", at("/proc"), "proc", quiet, ""),
		readOnly(at("/proc/sys")),
		mount(at("/proc/sys/net"), at("/proc/sys/net"), "", unix.MS_BIND, ""),
		mount("", at("/proc/sys/net"), "", unix.MS_BIND|unix.MS_REMOUNT, ""),
		mount("sysfs", at("/sys"), "sysfs", quiet, ""),
		mount("", at("/sys"), "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""),
		func() error { return p.mountGroups(at("/sys/fs/cgroup")) },
		mount("run", at("/run"), "tmpfs", quiet, "mode=0755"),
		mount("tmp", at("/tmp"), "tmpfs", quiet, "mode=1777"),
		func() error { return devices(at("/dev")) },
		func() error { return empty(root) },
		func() error { return os.MkdirAll(at("/old"), 0o700) },
		func() error { return unix.PivotRoot(root, at("/old")) },
		func() error { return os.Chdir("/") },
		// Now nothing of the machine can be reached any more but through the layers.
		func() error { return unix.Unmount("/old", unix.MNT_DETACH) },
		func() error { return os.Remove("/old") },
	)
}

// enterGroups makes the control groups the roots of what this process and its children see.
func (p *plan) enterGroups() error {
	for _, dir := range p.Groups {
		if err := os.WriteFile(dir+"/cgroup.procs", []byte("0"), 0); err != nil {
			return fmt.Errorf("enter a control group: %w", err)
		}
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("make a control group namespace: %w", err)
	}
	return nil
}

func (p *plan) mountGroups(dir string) error {
	if !p.Hybrid {
		return mount("cgroup2", dir, "cgroup2", 0, "")()
	}
	return steps(
		mount("cgroup", dir, "tmpfs", 0, "mode=0755"),
		mount("cgroup2", dir+"/unified", "cgroup2", 0, ""),
		mount("cgroup", dir+"/systemd", "cgroup", 0, "none,name=systemd"),
	)
}

// devices makes a /dev in which nothing can do harm.
func devices(dir string) error {
	if err := mount("dev", dir, "tmpfs", unix.MS_NOSUID, "mode=0755")(); err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := os.WriteFile(dir+"/"+name, nil, 0o666); err != nil {
			return err
		}
		if err := unix.Mount("/dev/"+name, dir+"/"+name, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount /dev/%s: %w", name, err)
		}
	}
	if err := os.WriteFile(dir+"/kmsg", nil, 0o600); err != nil { // what systemd says, see machine.end
		return err
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "pts/ptmx"} {
		if err := os.Symlink(to, dir+"/"+name); err != nil {
			return err
		}
	}
	return steps(mount("shm", dir+"/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"),
		mount("devpts", dir+"/pts", "devpts", unix.MS_NOSUID, "newinstance,ptmxmode=0666,mode=0620"))
}

// empty takes out what this machine would have systemd start: the boot ends where a unit
// is started by hand.
func empty(root string) error {
	for _, pattern := range []string{"/etc/systemd/system/*", "/etc/backbeat/*", "/var/lib/backbeat", "/etc/fstab", "/etc/crypttab",
		"/lib/systemd/system-generators/*", "/lib/systemd/system/*.target.wants/*", "/usr/local/lib/systemd/system/*"} {
		list, err := filepath.Glob(root + pattern)
		if err != nil {
			return err
		}
		for _, path := range list {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	// The distribution's targets may ask for these all the same.
	for _, name := range []string{"dbus.socket", "dbus.service", "systemd-journald.service", "systemd-journald.socket", "systemd-udevd.service"} {
		if err := os.Symlink("/dev/null", root+"/etc/systemd/system/"+name); err != nil {
			return err
		}
	}
	return nil
}

// exec runs systemd, without the rights with which it could change what the kernel has
// no namespaces for.
func (p *plan) exec() error {
	for _, c := range []uintptr{unix.CAP_SYS_TIME, unix.CAP_SYS_MODULE, unix.CAP_SYS_RAWIO, unix.CAP_SYSLOG, unix.CAP_WAKE_ALARM} {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("give up a right: %w", err)
		}
	}
	// "container" is how systemd is told that the kernel is not its own.
	env := []string{"container=lab", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	argv := strings.Fields(systemdPath + " --system --unit=basic.target --log-target=kmsg --log-level=info --show-status=no systemd.firstboot=0")
	return fmt.Errorf("start %s: %w", systemdPath, unix.Exec(systemdPath, argv, env))
}
