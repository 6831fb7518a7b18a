package address

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/test/lab"
)

func level(t *testing.T, posted <-chan any, what string, fits func(actions.LinkChanged) bool) actions.LinkChanged {
	t.Helper()
	return next(t, posted, what, fits)
}

func TestAnInterfacesLife(t *testing.T) {
	lab.Need(t)
	k, posted := start(t, "", nil)
	k.Watch([]string{"e0", "lo", "a-name-that-is-much-too-long"})
	first := map[string]actions.LinkChanged{}
	for range 3 {
		l := level(t, posted, "the first levels", func(actions.LinkChanged) bool { return true })
		first[l.Name] = l
	}
	for _, name := range []string{"e0", "a-name-that-is-much-too-long"} {
		if l := first[name]; l.Index != 0 || l.Up || l.Detail != "does not exist" {
			t.Errorf("missing interface: %+v", l)
		}
	}
	if l := first["lo"]; l.Index != 1 || l.Up || l.Detail != "administratively down" || l.MTU != 65536 {
		t.Errorf("lo: %+v", l)
	}

	lab.IP(t, "link", "add", "e0", "type", "veth", "peer", "name", "e0p")
	l := level(t, posted, "e0 to appear", func(l actions.LinkChanged) bool { return l.Name == "e0" })
	if l.Index == 0 || l.Up || l.Detail != "administratively down" || l.MTU != 1500 || l.MAC == [6]byte{} {
		t.Errorf("appeared: %+v", l)
	}
	lab.IP(t, "link", "set", "e0", "up")
	level(t, posted, "no carrier", func(l actions.LinkChanged) bool { return l.Detail == "no carrier" })
	lab.IP(t, "link", "set", "e0p", "up")
	l = level(t, posted, "carrier", func(l actions.LinkChanged) bool { return l.Up })
	if l.Detail != "" || l.Name != "e0" {
		t.Errorf("up: %+v", l)
	}
	lab.IP(t, "addr", "add", "192.0.2.1/24", "dev", "e0")
	lab.IP(t, "addr", "add", "192.0.2.2/24", "dev", "e0")
	l = level(t, posted, "addresses", func(l actions.LinkChanged) bool {
		return len(l.Addresses) >= 2 && l.Addresses[1].Prefix.String() == "192.0.2.2/24"
	})
	if l.Addresses[0].Secondary || !l.Addresses[1].Secondary || l.Addresses[0].Tentative {
		t.Errorf("addresses: %+v", l.Addresses)
	}
	lab.IP(t, "link", "set", "e0p", "down")
	level(t, posted, "carrier lost", func(l actions.LinkChanged) bool { return !l.Up && l.Detail == "no carrier" })
	lab.IP(t, "link", "set", "e0p", "up")
	level(t, posted, "carrier back", func(l actions.LinkChanged) bool { return l.Up })
	before := index(t, "e0")
	lab.IP(t, "link", "set", "e0", "down")
	level(t, posted, "down", func(l actions.LinkChanged) bool { return l.Detail == "administratively down" })
	lab.IP(t, "link", "set", "e0", "name", "e9")
	level(t, posted, "renamed away", func(l actions.LinkChanged) bool { return l.Index == 0 && len(l.Addresses) == 0 })
	lab.IP(t, "link", "set", "e9", "name", "e0")
	l = level(t, posted, "renamed back", func(l actions.LinkChanged) bool { return l.Index == before })
	if len(l.Addresses) != 2 {
		t.Errorf("renamed back: %+v", l)
	}
	lab.IP(t, "link", "del", "e0")
	level(t, posted, "deleted", func(l actions.LinkChanged) bool { return l.Index == 0 })
	lab.IP(t, "link", "add", "e0", "type", "veth", "peer", "name", "e0p")
	l = level(t, posted, "created anew", func(l actions.LinkChanged) bool { return l.Index != 0 })
	if l.Index == before || len(l.Addresses) != 0 {
		t.Errorf("created anew: %+v", l)
	}
	lab.IP(t, "link", "del", "e0")
	level(t, posted, "deleted again", func(l actions.LinkChanged) bool { return l.Index == 0 })

	// The same set again is answered again; what is not watched is not reported.
	k.Watch([]string{"e0"})
	level(t, posted, "the level on demand", func(l actions.LinkChanged) bool { return l.Name == "e0" })
	lab.IP(t, "link", "set", "lo", "up")
	veth(t, "e0")
	level(t, posted, "e0", func(l actions.LinkChanged) bool {
		if l.Name != "e0" {
			t.Errorf("not watched: %+v", l)
		}
		return l.Up
	})
	lab.IP(t, "link", "set", "lo", "down")
}

// What nobody changed is not reported.
func TestIdenticalLevelsAreNotRepeated(t *testing.T) {
	veth(t, "e0")
	k, posted := start(t, "", func(k *Keeper) { k.resyncEvery = defaultResync })
	k.Watch([]string{"e0"})
	last := level(t, posted, "e0", func(l actions.LinkChanged) bool { return l.Up })
	lab.IP(t, "link", "set", "e0", "alias", "something") // a notice without a change
	lab.IP(t, "addr", "add", "192.0.2.1/24", "dev", "e0")
	for len(last.Addresses) == 0 || last.Addresses[0].Prefix.String() != "192.0.2.1/24" {
		l := level(t, posted, "the address", func(actions.LinkChanged) bool { return true })
		if sameLevel(&last, &l) {
			t.Errorf("repeated: %+v", l)
		}
		last = l
	}
}

func TestUsable(t *testing.T) {
	const up, lower = unix.IFF_UP, unix.IFF_UP | unix.IFF_LOWER_UP
	for _, c := range []struct {
		flags  uint32
		state  uint8
		up     bool
		detail string
	}{
		{0, 2, false, "administratively down"},
		{unix.IFF_LOWER_UP, operUp, false, "administratively down"},
		{up, 2, false, "no carrier"},
		{up, operUnknown, false, "no carrier"},
		{lower, operUnknown, true, ""},
		{lower, operUp, true, ""},
		{lower, 2, false, "no carrier"},
		{lower, 3, false, "no carrier"},
		{lower, operDormant, false, "dormant: the link waits for something else, such as 802.1X"},
	} {
		up, detail := linkMessage{flags: c.flags, operstate: c.state}.usable()
		if up != c.up || detail != c.detail {
			t.Errorf("flags %#x state %d: %v %q, want %v %q", c.flags, c.state, up, detail, c.up, c.detail)
		}
	}
}

func TestTentative(t *testing.T) {
	for _, c := range []struct {
		flags uint32
		want  bool
	}{
		{unix.IFA_F_PERMANENT, false},
		{unix.IFA_F_TENTATIVE, true},
		{unix.IFA_F_TENTATIVE | unix.IFA_F_OPTIMISTIC, false},
		{unix.IFA_F_DADFAILED, true},
		{unix.IFA_F_DADFAILED | unix.IFA_F_TENTATIVE | unix.IFA_F_OPTIMISTIC, true},
	} {
		m := addressMessage{prefix: prefixes("2001:db8::1/64")[0], flags: c.flags}
		if got := m.level(); got.Tentative != c.want || got.Secondary {
			t.Errorf("flags %#x: %+v", c.flags, got)
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte{2, 24, 0, 0, 1, 0, 0, 0, 8, 0, 2, 0, 192, 0, 2, 1})
	f.Add(make([]byte, 32))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = parseAddress(b)
		_, _ = parseLink(b)
	})
}

func FuzzLedger(f *testing.F) {
	f.Add("have boot 1 2 3 192.0.2.1/24 e0\ntry boot 1 2 3 2001:db8::1/64 e0\ngone boot 1 2 3 192.0.2.1/24 e0\n")
	f.Add("have boot 1 2 3 ::ffff:1.2.3.4/99 e0\n\x00")
	f.Fuzz(func(t *testing.T, text string) {
		l := newLedger("")
		l.scope = "boot 1"
		l.parse(text)
		for at, e := range l.entries {
			if at.kind == anAddress && (at != placeOf(at.link, e.prefix) || at.link <= 0) {
				t.Errorf("entry %v: %+v", at, e)
			}
		}
	})
}
