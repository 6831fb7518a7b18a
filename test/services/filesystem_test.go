package services

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// loop makes an ext4 on a loop device: a real file system on a real block
// device. It needs the real root.
func loop(t *testing.T) (device, dir string) {
	t.Helper()
	if !realRoot() {
		lab.Need(t)
		t.Skip("loop devices need the real root, which there is not here: sudo make test")
	}
	lab.NeedPeer(t, func() (string, error) {
		if _, err := os.Stat("/dev/loop-control"); err != nil {
			return "", fmt.Errorf("there are no loop devices here (modprobe loop; docker: --privileged): %w", err)
		}
		return "", nil
	})
	need(t, "e2fsprogs mount util-linux", "mkfs.ext4", "/sbin/fsck.ext4", "losetup", "/bin/mount")
	dir = space(t)
	image := filepath.Join(dir, "image")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(16 << 20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	command(t, "mkfs.ext4", "-q", "-F", image)
	device = command(t, "losetup", "--find", "--show", image)
	t.Cleanup(func() {
		_ = exec.Command("blockdev", "--setrw", device).Run() // it would outlive the image
		_ = exec.Command("losetup", "-d", device).Run()
	})
	return device, dir
}

func ext4(t *testing.T) (*hands, actions.Filesystem) {
	t.Helper()
	h := newHands(t)
	device, dir := loop(t)
	target := filepath.Join(dir, "www data") // a space, which mountinfo escapes
	if err := os.Mkdir(target, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", target).Run() })
	return h, actions.Filesystem{Device: device, Target: target, Type: "ext4", Fsck: "auto", Shared: true}
}

func TestFilesystemUpAndDown(t *testing.T) {
	h, a := ext4(t)
	h.want(actions.Prepare, a, true, actions.Down)
	h.want(actions.Look, a, true, actions.Down, "not mounted")
	h.want(actions.Qualify, a, true, actions.Down, "nothing is in the way")
	h.want(actions.Start, a, true, actions.Up, a.Device+" on "+a.Target)
	h.want(actions.Start, a, true, actions.Up)
	h.want(actions.Look, a, true, actions.Up)
	h.want(actions.Qualify, a, true, actions.Up)
	h.want(actions.Stop, a, true, actions.Down, "not mounted")
	h.want(actions.Stop, a, true, actions.Down)
	a.Fsck, a.Options = "force", []string{"noatime", "nodev"}
	h.want(actions.Start, a, true, actions.Up)
	h.want(actions.ForceStop, a, true, actions.Down)
}

func TestFilesystemByLabel(t *testing.T) {
	h, a := ext4(t)
	command(t, "tune2fs", "-L", "bbtest", a.Device)
	a.Device = "LABEL=bbtest"
	h.want(actions.Start, a, true, actions.Up)
	h.want(actions.Look, a, true, actions.Up)
	h.want(actions.Stop, a, true, actions.Down)
	a.Device = "LABEL=nobodyhasthis"
	h.want(actions.Start, a, false, actions.Down, "no device with LABEL=nobodyhasthis")
	h.want(actions.Qualify, a, true, actions.Down, "a step before must bring it")
}

func TestFilesystemRefusesWhatIsInTheWay(t *testing.T) {
	h, a := ext4(t)
	command(t, "mount", "-t", "tmpfs", "other", a.Target)
	h.want(actions.Look, a, true, actions.Down, "something else is mounted", "other (tmpfs)")
	h.want(actions.Start, a, false, actions.Down, "is taken", "umount "+a.Target)
	h.want(actions.Qualify, a, false, actions.Down, "is taken")
	if h.want(actions.Stop, a, true, actions.Down, "something else"); !strings.Contains(command(t, "cat", "/proc/self/mountinfo"), "other") {
		t.Error("Stop has unmounted what is not ours")
	}
	command(t, "umount", a.Target)

	other := filepath.Join(filepath.Dir(a.Target), "mnt")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, "mount", a.Device, other)
	h.want(actions.Start, a, false, actions.Down, "already mounted on "+other)
	h.want(actions.Qualify, a, false, actions.Down, "already mounted on "+other)
	command(t, "umount", other)

	// Mounted over: our own is hidden, and must not be thought gone.
	h.want(actions.Start, a, true, actions.Up)
	command(t, "mount", "-t", "tmpfs", "cover", a.Target)
	h.want(actions.Stop, a, false, actions.Neither, "cover (tmpfs) is mounted over it")
	command(t, "umount", a.Target)
	h.want(actions.Stop, a, true, actions.Down)
}

func TestFilesystemTroubles(t *testing.T) {
	h, a := ext4(t)
	missing := a
	missing.Device = "/dev/nosuchdevice"
	h.want(actions.Start, missing, false, actions.Down, "/dev/nosuchdevice does not exist")
	h.want(actions.Qualify, missing, false, actions.Down, "does not exist")
	h.want(actions.Stop, missing, true, actions.Down)
	nowhere := a
	nowhere.Target = a.Target + "/deep/er"
	h.want(actions.Start, nowhere, false, actions.Down, "mkdir -p")
	h.want(actions.Qualify, nowhere, true, actions.Down, "mkdir -p")

	// Errors that need a person: both superblocks' group descriptors are gone.
	bad := a
	device, _ := loop(t)
	bad.Device = device
	f, err := os.OpenFile(device, os.O_WRONLY|syscall.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 64<<10), 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	done := h.want(actions.Start, bad, false, actions.Down, device)
	if done.Output == "" || done.State != actions.Down {
		t.Errorf("%+v", done)
	}
	bad.Fsck = "no"
	h.want(actions.Start, bad, false, actions.Down, "mount: "+bad.Target)
}

func TestFilesystemWriteProtectedDevice(t *testing.T) {
	h, a := ext4(t)
	command(t, "blockdev", "--setro", a.Device)
	a.Fsck = "no"
	h.want(actions.Start, a, false, actions.Down, "could only be mounted read-only")
	a.Options = []string{"ro"}
	h.want(actions.Start, a, true, actions.Up)
	h.want(actions.Stop, a, true, actions.Down)
}

// A real errors=remount-ro: the kernel is told to find an error.
func TestFilesystemReadOnlySinceAnError(t *testing.T) {
	h, a := ext4(t)
	a.Options = []string{"errors=remount-ro"}
	h.want(actions.Start, a, true, actions.Up)
	trigger := "/sys/fs/ext4/" + filepath.Base(a.Device) + "/trigger_fs_error"
	if err := os.WriteFile(trigger, []byte("backbeat test\n"), 0o200); err != nil {
		t.Logf("the kernel has no trigger_fs_error here (%v): an ordinary remount stands in", err)
		command(t, "mount", "-o", "remount,ro", a.Target)
	}
	done := h.want(actions.Look, a, true, actions.Neither, "read-only")
	if !strings.Contains(done.Detail, "fsck") && !strings.Contains(done.Detail, "remounted") {
		t.Errorf("%q", done.Detail)
	}
	h.want(actions.Start, a, false, actions.Neither)
	h.want(actions.Stop, a, true, actions.Down)
	h.want(actions.Start, a, true, actions.Up) // fsck has repaired it
}

// hold starts a process that keeps the mount busy; with stubborn it ignores TERM.
func hold(t *testing.T, dir string, stubborn bool) *exec.Cmd {
	t.Helper()
	script := "exec 7>held; echo ready; exec sleep 600"
	if stubborn {
		script = "trap '' TERM; exec 7>held; echo ready; while :; do sleep 600; done"
	}
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
	return cmd
}

func TestFilesystemBusy(t *testing.T) {
	h, a := ext4(t)
	h.want(actions.Start, a, true, actions.Up)
	hold(t, a.Target, false)
	done, told := h.do(actions.Stop, a, 2*time.Second)
	check(t, actions.Stop, done, false, actions.Up, "still mounted", "sleep (pid", "working directory", "kill is off")
	if len(told) == 0 || !strings.Contains(told[0], "is busy: held by sleep (pid") {
		t.Errorf("told %q", told)
	}
	// kill = false holds for the forced way too.
	done, _ = h.do(actions.ForceStop, a, 2*time.Second)
	check(t, actions.ForceStop, done, false, actions.Up, "sleep (pid")

	a.Kill = true
	began := time.Now()
	h.want(actions.Stop, a, true, actions.Down, "ended: sleep (pid", "by TERM")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("TERM took %v", took)
	}
}

func TestFilesystemBusyAndStubborn(t *testing.T) {
	h, a := ext4(t)
	a.Kill = true
	h.want(actions.Start, a, true, actions.Up)
	hold(t, a.Target, true)
	done, _ := h.do(actions.Stop, a, 4*time.Second)
	check(t, actions.Stop, done, true, actions.Down, "by KILL")
	if done.Took < 1900*time.Millisecond {
		t.Errorf("KILL came after %v, before half of the timeout", done.Took)
	}
	h.want(actions.Start, a, true, actions.Up)
	hold(t, a.Target, true)
	done = h.want(actions.ForceStop, a, true, actions.Down, "by KILL")
	if done.Took > 3*time.Second {
		t.Errorf("forced took %v", done.Took)
	}
}

// Users that are no processes, and ourselves, who must not be ended.
func TestFilesystemBusyByTheKernelAndUs(t *testing.T) {
	h, a := ext4(t)
	a.Kill = true
	h.want(actions.Start, a, true, actions.Up)
	ours, err := os.Create(filepath.Join(a.Target, "ours"))
	if err != nil {
		t.Fatal(err)
	}
	done, _ := h.do(actions.Stop, a, time.Second)
	check(t, actions.Stop, done, false, actions.Up, "backbeat itself (open file)")
	ours.Close()

	inside := filepath.Join(a.Target, "inside")
	if err := os.Mkdir(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, "mount", "-t", "tmpfs", "inner", inside)
	done, _ = h.do(actions.Stop, a, time.Second)
	check(t, actions.Stop, done, false, actions.Up, "the mount on "+inside)
	h.want(actions.ForceStop, a, true, actions.Down)

	// A mount in another mount namespace keeps the device, not our mount.
	h.want(actions.Start, a, true, actions.Up)
	cmd := exec.Command("unshare", "-m", "--propagation", "private", "/bin/sh", "-c", "echo ready; exec sleep 600")
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadFull(out, make([]byte, 6))
	h.want(actions.Stop, a, true, actions.Down, "device is still held by the mount on", "in the mount namespace of")
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// Multi-mount protection: the other host is this one, by another loop device
// of the same image, as two hosts see one shared disk.
func TestFilesystemMultiMountProtection(t *testing.T) {
	t.Parallel() // the kernel waits 10 s and more for the other host
	h, a := ext4(t)
	image := filepath.Join(filepath.Dir(a.Target), "image")
	command(t, "tune2fs", "-O", "mmp", "-E", "mmp_update_interval=1", a.Device)
	h.want(actions.Start, a, true, actions.Up)
	second := command(t, "losetup", "--find", "--show", image)
	t.Cleanup(func() { _ = exec.Command("losetup", "-d", second).Run() })
	b := a
	b.Device, b.Target = second, filepath.Join(filepath.Dir(a.Target), "b")
	if err := os.Mkdir(b.Target, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", b.Target).Run() })
	done, _ := h.do(actions.Start, b, 60*time.Second)
	check(t, actions.Start, done, false, actions.Down, "multi-mount protection")
	b.Fsck = "no"
	done, _ = h.do(actions.Start, b, 60*time.Second)
	check(t, actions.Start, done, false, actions.Down, "multi-mount protection")
	h.want(actions.Stop, a, true, actions.Down)
}

// The device comes from DRBD's answer (a stand-in), not from a link that may
// not be there; the loop device plays the DRBD device.
func TestFilesystemOnDRBD(t *testing.T) {
	h, a := ext4(t)
	f := lab.NewFakeDRBD(t, "wwwdata")
	f.Write("a.dev", a.Device)
	named := a
	named.Device, named.DRBD, named.Admin, named.Setup = "", "wwwdata", f.Admin("a"), f.Setup("a")
	h.want(actions.Qualify, named, true, actions.Down)
	h.want(actions.Start, named, true, actions.Up, a.Device)
	h.want(actions.Look, named, true, actions.Up)
	h.want(actions.Stop, named, true, actions.Down)
	linked := named
	linked.DRBD, linked.Device = "", "/dev/drbd/by-res/wwwdata"
	h.want(actions.Start, linked, true, actions.Up, a.Device)
	h.want(actions.Stop, linked, true, actions.Down)
	f.Write("a.dev", "/dev/drbd_www")
	h.want(actions.Start, linked, false, actions.Down, "tried: /dev/drbd/by-res/wwwdata, /dev/drbd1, /dev/drbd_www")
	h.want(actions.Qualify, linked, false, actions.Down, "tried")
}

// Without the real root: a bind mount and a tmpfs.
func TestFilesystemWithoutDevice(t *testing.T) {
	h := newHands(t)
	dir := space(t)
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	for _, d := range []string{from, to} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	a := actions.Filesystem{Device: from, Target: to, Options: []string{"bind"}, Fsck: "auto"}
	h.want(actions.Start, a, true, actions.Up)
	h.want(actions.Look, a, true, actions.Up)
	command(t, "mount", "-o", "remount,bind,ro", to)
	h.want(actions.Look, a, true, actions.Neither, "remounted it read-only")
	h.want(actions.Stop, a, true, actions.Down)
	a = actions.Filesystem{Device: "tmpfs", Target: to, Type: "tmpfs", Options: []string{"size=1m"}, Kill: true}
	h.want(actions.Start, a, true, actions.Up)
	hold(t, to, false)
	h.want(actions.Stop, a, true, actions.Down, "by TERM")
}
