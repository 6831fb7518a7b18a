package address

import (
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// mortal wants two addresses with a lifetime of 2 s.
func mortal(link int) actions.Wanted {
	return actions.Wanted{Router: 1, Term: 1, Active: true, Lifetime: 2 * time.Second, Addresses: places(link, "e0", "192.0.2.1/24", "2001:db8::1/64")}
}

// As long as somebody says that the router is alive its addresses stay; then the
// kernel takes them off, and they are not put back until it is alive again.
func TestLifetimeEndsWithTheRouter(t *testing.T) {
	link := veth(t, "e0")
	k, posted := start(t, "", nil)
	k.Want(mortal(link))
	applied(t, posted, 1, 1)
	alive := time.NewTicker(200 * time.Millisecond)
	defer alive.Stop()
	for range 20 { // 4 s: twice its lifetime
		<-alive.C
		k.Renew([]actions.RouterID{1})
		for _, a := range []string{"192.0.2.1/24", "2001:db8::1/64"} {
			if _, there := present(t, link, a); !there {
				t.Fatalf("%s went although its router is alive", a)
			}
		}
	}
	died := time.Now()
	gone := map[string]time.Duration{}
	for len(gone) < 2 && time.Since(died) < 10*time.Second {
		<-alive.C
		for _, a := range []string{"192.0.2.1/24", "2001:db8::1/64"} {
			if _, there := present(t, link, a); !there && gone[a] == 0 {
				gone[a] = time.Since(died)
			}
		}
	}
	t.Logf("gone after %v", gone)
	for a, after := range gone {
		if after > 4*time.Second || after < 500*time.Millisecond {
			t.Errorf("%s went %v after the last sign of life, its lifetime is 2 s", a, after)
		}
	}
	if len(gone) < 2 {
		t.Fatalf("still there after %v: gone are %v", time.Since(died), gone)
	}
	k.Renew([]actions.RouterID{1})
	for range 2 {
		r := next(t, posted, "Restored", func(actions.Restored) bool { return true })
		if r.Culprit != expired || r.Err != "" {
			t.Errorf("restored %+v", r)
		}
	}
}

// Without a lifetime they stay, also those that had one before.
func TestLifetimeIsTakenBack(t *testing.T) {
	link := veth(t, "e0")
	k, posted := start(t, "", nil)
	k.Want(mortal(link))
	applied(t, posted, 1, 1)
	w := mortal(link)
	w.Term, w.Lifetime = 2, 0
	k.Want(w)
	applied(t, posted, 1, 2)
	timer := time.NewTimer(3500 * time.Millisecond)
	<-timer.C
	for _, a := range []string{"192.0.2.1/24", "2001:db8::1/64"} {
		if _, there := present(t, link, a); !there {
			t.Errorf("%s went", a)
		}
	}
}

// Many addresses live longer, so that their renewals stay bearable.
func TestLifetimeOfMany(t *testing.T) {
	r := newRig()
	a := r.applier
	for n, want := range map[int]time.Duration{1: 3 * time.Second, 700: 3 * time.Second, 1000: 4 * time.Second, 5000: 20 * time.Second} {
		a.mortal = n
		if got := a.lifetime(&order{wish: wish{Wanted: actions.Wanted{Lifetime: 3 * time.Second}}}); got != want {
			t.Errorf("%d addresses live for %v, want %v", n, got, want)
		}
	}
}
