package control

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// Whoever replaces this process waits until its server has ended, and nobody speaks as
// loudly as the process itself meanwhile. The loop has ended by then, so that no question
// will be answered, and who says nothing, or half of it, will not say more.
func TestStopWaitsForNobody(t *testing.T) {
	l := newLoop(t, "web")
	l.silent = true
	s := New(Options{Path: filepath.Join(t.TempDir(), "c.sock"), Post: l.post})
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for _, text := range []string{"", "GET /v1/status HTTP/1.1\r\n", "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"} {
		c, err := net.Dial("unix", s.opt.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(5 * time.Second); len(s.asking) == 0; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the question did not come to the loop")
		}
	}
	began := time.Now()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("it took %s", took)
	}
}
