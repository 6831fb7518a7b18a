package journal_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/journal"
	"github.com/backbeat-ha/backbeat/vrrp"
)

func leave(t *testing.T, dir string) {
	t.Helper()
	h := daemon.Handoff{Schema: daemon.HandoffSchema, At: time.Hour, Node: "h1",
		Routers: []daemon.RouterHandoff{{Name: "web", Interface: "eth0", VRID: 61, Memory: vrrp.Memory{State: vrrp.Active, Term: 3}}}}
	if err := journal.WriteHandoff(dir, h, "1.0"); err != nil {
		t.Fatal(err)
	}
}

func TestHandoffIsTakenOnce(t *testing.T) {
	dir := t.TempDir()
	leave(t, dir)
	if info, err := os.Stat(filepath.Join(dir, "handoff.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if !journal.PeekHandoff(dir, time.Hour+time.Second) {
		t.Error("not seen")
	}
	h, err := journal.TakeHandoff(dir, time.Hour+time.Second)
	if err != nil || h == nil || h.PID != os.Getpid() || h.Version != "1.0" || len(h.Routers) != 1 || h.Routers[0].Memory.Term != 3 {
		t.Fatalf("%+v, %v", h, err)
	}
	if h, err := journal.TakeHandoff(dir, time.Hour); h != nil || err != nil {
		t.Errorf("taken twice: %+v, %v", h, err)
	}
}

// Whatever is not as it should be is refused by name, and gone afterwards.
func TestHandoffIsRefused(t *testing.T) {
	edit := func(change func(map[string]any)) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			m := map[string]any{}
			if err = json.Unmarshal(b, &m); err != nil {
				t.Fatal(err)
			}
			change(m)
			if b, err = json.Marshal(m); err == nil {
				err = os.WriteFile(path, b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for want, spoil := range map[string]func(t *testing.T, path string){
		"of another boot": edit(func(m map[string]any) { m["boot"] = "x" }),
		"it has form 99":  edit(func(m map[string]any) { m["schema"] = 99 }),
		"stood still 2m0s": edit(func(m map[string]any) {
			m["at"] = int64(time.Hour - 2*time.Minute)
		}),
		"it is stale": edit(func(m map[string]any) { m["at"] = int64(2 * time.Hour) }), // of the future
		"is damaged": func(t *testing.T, path string) {
			if err := os.Truncate(path, 40); err != nil {
				t.Fatal(err)
			}
		},
		"nobody else may write": func(t *testing.T, path string) {
			if err := os.Chmod(path, 0o622); err != nil {
				t.Fatal(err)
			}
		},
	} {
		dir := t.TempDir()
		leave(t, dir)
		path := filepath.Join(dir, "handoff.json")
		spoil(t, path)
		if journal.PeekHandoff(dir, time.Hour) {
			t.Errorf("%s: seen as good", want)
		}
		h, err := journal.TakeHandoff(dir, time.Hour)
		if h != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v", want, h, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: still there", want)
		}
	}
}
