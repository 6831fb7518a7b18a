package lab

import (
	"context"
	"os"
	"testing"
	"time"
)

// ForTest builds a lab that ends with the test, and a context for at most
// limit. Where there are no namespaces the test is skipped with the reason and
// the remedy; in CI it fails.
func ForTest(t testing.TB, p Plan, limit time.Duration) (*Lab, context.Context) {
	t.Helper()
	if why := Unavailable(); why != "" {
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	l, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return l, ctx
}

// NeedPeer skips the test, naming what is missing, if look finds a program of
// the distribution missing; it fails instead where peers are required: CI=true
// or BACKBEAT_REQUIRE_PEERS=1.
func NeedPeer(t testing.TB, look func() (string, error)) {
	t.Helper()
	_, err := look()
	if err == nil {
		return
	}
	if os.Getenv("CI") == "true" || os.Getenv("BACKBEAT_REQUIRE_PEERS") == "1" {
		t.Fatal(err)
	}
	t.Skip(err)
}
