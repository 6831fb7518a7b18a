package main

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// What a process has whose program was replaced goes on: a stop that came too late,
// and children, which nobody else would bury.
func TestInheritProcess(t *testing.T) {
	got := make(chan os.Signal, 1)
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "sleep 0.2"}, nil)
	if err != nil {
		t.Skip(err)
	}
	t.Setenv(stopEnv, "1")
	inheritProcess(got)
	select {
	case sig := <-got:
		if sig != syscall.SIGTERM {
			t.Errorf("got %v", sig)
		}
	default:
		t.Error("the stop is lost")
	}
	if _, still := os.LookupEnv(stopEnv); still {
		t.Error("commands would inherit the order to stop")
	}
	if _, err := os.Stat("/proc/thread-self/children"); err != nil {
		t.Skip("this kernel does not list children")
	}
	for end := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil; pause(t.Context(), 10*time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a zombie is left")
		}
	}
}
