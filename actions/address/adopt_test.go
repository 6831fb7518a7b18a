package address

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// After a handoff nothing is taken off: what is wanted again is ours as if we had
// added it, and only what nobody wants goes, a little later.
func TestAdoptAndTidy(t *testing.T) {
	link := veth(t, "e0")
	path := filepath.Join(t.TempDir(), "ledger")
	first := New(Options{Ledger: path, Post: func(any) {}})
	posted := make(chan any, 1000)
	first.options.Post = func(v any) { posted <- v }
	stop := run(t, first)
	first.Want(actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.1/32", "192.0.2.2/32", "2001:db8::1/128")})
	applied(t, posted, 1, 1)
	stop() // without a last word: it hands over

	second := New(Options{Ledger: path, Post: func(v any) { posted <- v }})
	if err := second.Adopt(); err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"192.0.2.1/32", "192.0.2.2/32", "2001:db8::1/128"} {
		if _, there := present(t, link, a); !there {
			t.Fatalf("%s did not stay", a)
		}
	}
	run(t, second)
	second.Want(actions.Wanted{Router: 7, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.1/32", "2001:db8::1/128")})
	if a := applied(t, posted, 7, 1); a.Err != "" || a.Note != "" {
		t.Errorf("answer %+v", a)
	}
	tidied := make(chan []Left, 1)
	second.Tidy(func(left []Left, err error) {
		if err != nil {
			t.Error(err)
		}
		tidied <- left
	})
	if left := <-tidied; len(left) != 1 || left[0].Address.String() != "192.0.2.2/32" {
		t.Errorf("tidied %v", left)
	}
	second.Want(actions.Wanted{Router: 7, Term: 2})
	applied(t, posted, 7, 2)
	for _, a := range []string{"192.0.2.1/32", "192.0.2.2/32", "2001:db8::1/128"} {
		if _, there := present(t, link, a); there {
			t.Errorf("%s is still there", a)
		}
	}
}

// What the process before held for a router that does not want it any more, because its
// cable is out for instance, goes at once: until Tidy comes another host may have it.
func TestAdoptedGoesWhenItIsNotWanted(t *testing.T) {
	link := veth(t, "e0")
	for name, mac := range map[string]*actions.VirtualMAC{"interface": nil, "virtual MAC": vmac(link, "e0", 61)} {
		path := filepath.Join(t.TempDir(), "ledger")
		posted := make(chan any, 1000)
		first := New(Options{Ledger: path, Post: func(v any) { posted <- v }})
		stop := run(t, first)
		w := actions.Wanted{Router: 1, Term: 1, Active: true, VirtualMAC: mac, Addresses: places(link, "e0", "192.0.2.1/32", "2001:db8::1/128")}
		first.Want(w)
		applied(t, posted, 1, 1)
		stop()

		second := New(Options{Ledger: path, Post: func(v any) { posted <- v }})
		if err := second.Adopt(); err != nil {
			t.Fatal(err)
		}
		// The first word is that it goes on; nobody has heard it yet when the second comes.
		w.Router, w.Term = 7, 1
		second.Want(w)
		w.Term, w.Active, w.Inherited = 2, false, true
		second.Want(w)
		end := run(t, second)
		if a := applied(t, posted, 7, 2); a.Err != "" || a.Note != "" {
			t.Errorf("%s: answer %+v", name, a)
		}
		if out := lab.IP(t, "addr"); strings.Contains(out, "192.0.2.1") || strings.Contains(out, "2001:db8::1") {
			t.Errorf("%s: still there:\n%s", name, out)
		}
		second.Want(actions.Wanted{Router: 7, Term: 3, Final: true})
		applied(t, posted, 7, 3)
		end()
	}
}

// A virtual MAC in use stays in use through a handoff: it is in no moment among those
// that are silent, which would cost a client two milliseconds. One that is to be a
// Backup's is silent before anything else.
func TestAdoptedVirtualMACIsNotSilenced(t *testing.T) {
	link := veth(t, "e0")
	for name, active := range map[string]bool{"Active": true, "Backup": false} {
		path := filepath.Join(t.TempDir(), "ledger")
		posted := make(chan any, 1000)
		first := New(Options{Ledger: path, Post: func(v any) { posted <- v }})
		stop := run(t, first)
		w := actions.Wanted{Router: 1, Term: 1, Active: true, VirtualMAC: vmac(link, "e0", 61), Addresses: places(link, "e0", "192.0.2.1/32")}
		first.Want(w)
		applied(t, posted, 1, 1)
		stop()

		second := New(Options{Ledger: path, Post: func(v any) { posted <- v }})
		if err := second.Adopt(); err != nil {
			t.Fatal(err)
		}
		told, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer told.Close()
		if err := told.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
			t.Fatal(err)
		}
		end := run(t, second)
		w.Router, w.Active = 7, active
		if !active {
			w.Addresses = nil
		}
		second.Want(w)
		if a := applied(t, posted, 7, 1); a.Err != "" {
			t.Errorf("%s: %+v", name, a)
		}
		if n := silenced(t, told); (n == 0) != active {
			t.Errorf("%s: silenced %d times", name, n)
		}
		second.Want(actions.Wanted{Router: 7, Term: 2})
		applied(t, posted, 7, 2)
		end()
	}
}

// silenced counts the elements that were added to sets since the group was joined.
func silenced(t *testing.T, c *netlink.Conn) (n int) {
	t.Helper()
	const newElements = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWSETELEM
	for {
		if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		list, err := c.Receive()
		if err != nil {
			return n
		}
		for _, m := range list {
			if m.Header.Type == newElements {
				n++
			}
		}
	}
}
