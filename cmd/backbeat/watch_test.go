package main

import (
	"errors"
	"strings"
	"testing"
)

func TestWatch(t *testing.T) {
	b := newBench()
	page := func() looked {
		st := webWith(upSite())
		st.Version = versionText()
		return looked{st: st}
	}
	w := &watcher{tool: b.tool, width: 80, height: 12}
	if s := strings.Join(w.screen(), "\n"); !strings.HasPrefix(s, "asking the daemon") {
		t.Errorf("at first: %s", s)
	}
	w.Update(page())
	w.Update(looked{err: errors.New("the daemon hung up")})
	if s := w.screen(); !strings.HasPrefix(s[0], "web1 · ") || s[11] != "! the daemon hung up" || len(s) != 12 {
		t.Errorf("the last answer stays: %q", s)
	}
	w.Update(page())
	for _, k := range []string{"up", "up", "down"} { // the last one, the one before, and again
		w.key(k)
	}
	if s := strings.Join(w.screen(), "\n"); w.chosen != "site" || !strings.Contains(s, "\n\x1b[7msite   up") {
		t.Errorf("chosen %q: %q", w.chosen, s)
	}
	w.key("enter")
	if s := w.screen(); !strings.HasPrefix(s[0], "service group site is up") || !strings.Contains(s[11], "goes back") {
		t.Errorf("open: %q", s)
	}
	w.key("pgdown")
	w.key("pgup")
	w.key("enter")
	w.key("up")
	w.key("enter")
	if s := w.screen(); !strings.HasPrefix(s[0], "web is Active") {
		t.Errorf("open: %q", s)
	}
	w.key("pgdown")
	if s := w.screen(); strings.HasPrefix(s[0], "web is Active") || len(s) != 12 {
		t.Errorf("scrolled: %q", s)
	}
	w.chosen = "gone"
	if s := w.screen(); !strings.Contains(s[0], `no virtual router or service group "gone"`) {
		t.Errorf("gone: %q", s)
	}
	if w.key("q") == nil {
		t.Error("q does not end it")
	}
}
