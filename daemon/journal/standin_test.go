package journal

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestStandIn(t *testing.T) {
	dir := t.TempDir()
	const now, until = time.Hour, time.Hour + time.Second
	if s := FindStandIn(dir, now); s != nil {
		t.Fatalf("found %+v", s)
	}
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := WriteStandIn(dir, c.Process.Pid, until); err != nil {
		t.Fatal(err)
	}
	if s := FindStandIn(dir, until); s != nil {
		t.Errorf("found when its time is over: %+v", s)
	}
	path := filepath.Join(dir, standInName)
	if err := os.Chmod(path, 0o622); err != nil {
		t.Fatal(err)
	}
	if s := FindStandIn(dir, now); s != nil {
		t.Errorf("believed a file that others may write: %+v", s)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	s := FindStandIn(dir, now)
	if s == nil || s.PID != c.Process.Pid || s.Until != until {
		t.Fatalf("found %+v", s)
	}
	other := *s
	other.Born += "1" // its number is somebody else's now
	if err := other.End(); err != nil {
		t.Error(err)
	}
	if FindStandIn(dir, now) == nil {
		t.Fatal("another process was ended")
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil || c.ProcessState.ExitCode() != -1 {
		t.Errorf("ended by %v", err)
	}
	if s := FindStandIn(dir, now); s != nil {
		t.Errorf("found after its end: %+v", s)
	}
	if err := s.End(); err != nil {
		t.Errorf("end it once more: %v", err)
	}
	for range 2 {
		if err := ForgetStandIn(dir); err != nil {
			t.Error(err)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}
