package lab

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

//go:embed fakedrbd/fakedrbd.py
var fakeDRBD []byte

// FakeDRBD is a pair of hosts, a and b, with one DRBD resource: a stand-in for
// drbdadm and drbdsetup that behaves as DRBD 8.4.11 was seen to, and has no data
// behind it unless Back gives it some. What a test may write into Dir is said at
// the top of fakedrbd/fakedrbd.py.
type FakeDRBD struct {
	t        testing.TB
	Resource string
	// Dir is where the state of both is.
	Dir string
}

// NewFakeDRBD makes the pair: both Secondary, connected, UpToDate. The commands
// lie where backbeat runs commands from, so that it belongs inside of Main.
func NewFakeDRBD(t testing.TB, resource string) *FakeDRBD {
	t.Helper()
	if _, err := os.Stat("/usr/bin/python3"); err != nil {
		NeedPeer(t, func() (string, error) { return "", fmt.Errorf("the stand-in for DRBD needs python3: %w", err) })
	}
	dir, err := os.MkdirTemp(runDir, "drbd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	f := &FakeDRBD{t: t, Resource: resource, Dir: dir}
	f.put("fakedrbd.py", fakeDRBD, 0o755)
	for _, node := range []string{"a", "b"} {
		for _, program := range []string{"drbdadm", "drbdsetup"} {
			f.put(node+"-"+program, fmt.Appendf(nil, "#!/bin/sh\nFAKEDRBD=%s FAKENODE=%s FAKERES=%s exec %s/fakedrbd.py \"$@\"\n", dir, node, resource, dir), 0o755)
		}
	}
	return f
}

func (f *FakeDRBD) put(name string, content []byte, mode os.FileMode) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.Dir, name), content, mode); err != nil {
		f.t.Fatal(err)
	}
}

// Admin is the path of a host's drbdadm, Setup of its drbdsetup.
func (f *FakeDRBD) Admin(node string) string { return filepath.Join(f.Dir, node+"-drbdadm") }

// Setup is the path of a host's drbdsetup.
func (f *FakeDRBD) Setup(node string) string { return filepath.Join(f.Dir, node+"-drbdsetup") }

// Write writes one of the files that the stand-in reads.
func (f *FakeDRBD) Write(name, content string) {
	f.t.Helper()
	f.put(name, []byte(content), 0o644)
}

// Script writes a program beside the stand-in's own.
func (f *FakeDRBD) Script(name, content string) {
	f.t.Helper()
	f.put(name, []byte(content), 0o755)
}

// Remove removes one of these files.
func (f *FakeDRBD) Remove(name string) { _ = os.Remove(filepath.Join(f.Dir, name)) }

// Set changes keys of a host's state.
func (f *FakeDRBD) Set(node string, keys map[string]any) {
	f.t.Helper()
	defer f.lock()()
	state := f.State(node)
	for k, v := range keys {
		state[k] = v
	}
	b, err := json.Marshal(state)
	if err != nil {
		f.t.Fatal(err)
	}
	f.put(node+".json", b, 0o644)
}

// lock keeps the commands of both hosts waiting until the function that it returns is called.
func (f *FakeDRBD) lock() (unlock func()) {
	f.t.Helper()
	file, err := os.OpenFile(filepath.Join(f.Dir, "lock"), os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return func() { file.Close() }
}

// State are the keys of a host's state that have been written so far.
func (f *FakeDRBD) State(node string) map[string]any {
	f.t.Helper()
	state := map[string]any{}
	if b, err := os.ReadFile(filepath.Join(f.Dir, node+".json")); err == nil {
		if err := json.Unmarshal(b, &state); err != nil {
			f.t.Fatal(err)
		}
	}
	return state
}

// Run runs a host's drbdadm and returns what it printed.
func (f *FakeDRBD) Run(node string, args ...string) string {
	f.t.Helper()
	out, err := exec.Command(f.Admin(node), args...).CombinedOutput()
	if err != nil {
		f.t.Fatalf("drbdadm %v on %s: %v\n%s", args, node, err, out)
	}
	return string(out)
}

// Back gives a host's side data: device is what is mounted, image where what has been
// written to it is found (the file behind a loop device; a directory is both). From then
// on the device of a Secondary is write-protected, one that is mounted cannot be
// demoted, and who is promoted has all that the other one had written.
func (f *FakeDRBD) Back(node, device, image string) {
	f.t.Helper()
	f.Write(node+".dev", device)
	f.Write(node+".img", image)
}

// Device is what Back was told of a host's side.
func (f *FakeDRBD) Device(node string) string {
	f.t.Helper()
	b, err := os.ReadFile(filepath.Join(f.Dir, node+".dev"))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(b)
}

// Cut cuts the link between both. What was written up to now is on both sides. Nobody
// may write meanwhile: freeze the file system.
func (f *FakeDRBD) Cut() {
	f.t.Helper()
	for _, node := range []string{"a", "b"} {
		f.Run(node, "fetch")
	}
	f.Write("link", "down")
	for _, node := range []string{"a", "b"} {
		f.Run(node, "cstate") // a Primary writes, and so notices
	}
}
