package main

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

// Giving pages of the program back harms nothing, and what is locked costs no
// memory that is not used.
func TestSettle(t *testing.T) {
	var m memory
	m.settle()
	if m.locked.Load() != mayLock() {
		t.Errorf("locked: %t, allowed: %t", m.locked.Load(), mayLock())
	}
	if !m.locked.Load() {
		t.Skip("not run: memory may not be locked here: it needs LimitMEMLOCK=infinity, or root")
	}
	defer func() { _ = unix.Munlockall() }()
	// The runtime reserves a gigabyte of addresses and gives memory back all the time.
	b := make([]byte, 64<<20)
	for i := range b {
		b[i] = 1
	}
	b = nil
	m.settle()
	if s := m.scheduling(); !s.MemoryLocked || s.SafeInterval <= 0 {
		t.Errorf("%+v", s)
	}
}

// Without real time status says which interval is safe: as a warning where a shorter
// one is configured, as a note where none is.
func TestStatusSaysNotRealTime(t *testing.T) {
	for _, c := range []struct {
		real          bool
		interval      float64
		warning, note bool
	}{{true, 0.01, false, false}, {false, 0.01, true, false}, {false, 0.1, false, true}, {false, 1, false, true}, {false, 0, false, false}} {
		st := &control.Status{Scheduling: &control.Scheduling{Policy: "other", RealTime: c.real, SafeInterval: shortInterval}}
		if c.interval > 0 {
			st.Routers = []daemon.RouterStatus{{Name: "web", State: "active", AdvertisementInterval: c.interval}}
		}
		has := func(list []string) bool {
			return strings.Contains(strings.Join(list, "\n"), "not scheduled in real time")
		}
		if w, n := has(loopWarnings(st)), has(notes(st)); w != c.warning || n != c.note {
			t.Errorf("%+v: warning %t, note %t", c, w, n)
		}
	}
}
