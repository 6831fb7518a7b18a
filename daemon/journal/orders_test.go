package journal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
)

// lineLog collects log lines.
type lineLog struct {
	mu   sync.Mutex
	text []string
}

func (l *lineLog) log(x daemon.Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, fmt.Sprintf("%s %s", x.Level, x.Text))
}

func (l *lineLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.text, "\n")
}

func orderTime() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func keepOrders(o *Orders, list []daemon.Order) {
	o.Keep(list)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	o.Run(ctx)
}

func TestOrdersSurvive(t *testing.T) {
	dir, l := t.TempDir(), &lineLog{}
	o, list, err := OpenOrders(dir, orderTime(), l.log)
	if err != nil || list != nil {
		t.Fatalf("of nothing came %v, %v", list, err)
	}
	keepOrders(o, nil)
	if _, err := os.Stat(o.path); !os.IsNotExist(err) {
		t.Errorf("a file without orders: %v", err)
	}
	want := []daemon.Order{
		{Kind: daemon.OrderMaintenance, Name: "site", By: "root (uid 0)", Since: orderTime(), Until: orderTime().Add(time.Hour)},
		{Kind: daemon.OrderStandby, By: "root (uid 0)", Reason: "kernel update", Since: orderTime()},
	}
	keepOrders(o, want)
	info, err := os.Stat(o.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	_, got, err := OpenOrders(dir, orderTime().Add(time.Minute), l.log)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if !strings.Contains(l.String(), "WARN a standing order is in force: all of this host: standby since") {
		t.Errorf("said %s", l)
	}
	o, got, err = OpenOrders(dir, orderTime().Add(time.Hour), l.log)
	if err != nil || len(got) != 1 || got[0].Kind != daemon.OrderStandby {
		t.Errorf("expired: got %+v, %v", got, err)
	}
	if !strings.Contains(l.String(), "ended while backbeat was not running: site: maintenance since") {
		t.Errorf("said %s", l)
	}
	keepOrders(o, nil)
	if _, got, err := OpenOrders(dir, orderTime(), l.log); err != nil || len(got) != 0 {
		t.Errorf("taken back: got %+v, %v", got, err)
	}
}

func TestDamagedOrdersAreKeptAside(t *testing.T) {
	for text, want := range map[string]string{
		`{"version":1,"orders":[{"kind":"stan`: "it is damaged: unexpected end",
		``:                                     "it is damaged",
		`{"version":2,"orders":[]}`:            "it has form 2, and this backbeat knows form 1",
		`{"version":1,"orders":[{"kind":"dance"}]}`: `there is no order "dance"`,
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, ordersName)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		o, list, err := OpenOrders(dir, orderTime(), (&lineLog{}).log)
		if err == nil || list != nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "the file is now "+path+".damaged") {
			t.Errorf("%q: %v, %v", text, list, err)
		}
		if kept, err := os.ReadFile(path + ".damaged"); err != nil || string(kept) != text {
			t.Errorf("kept %q, %v", kept, err)
		}
		keepOrders(o, []daemon.Order{{Kind: daemon.OrderPin, Name: "web", Since: orderTime()}})
		if _, list, err := OpenOrders(dir, orderTime(), (&lineLog{}).log); err != nil || len(list) != 1 {
			t.Errorf("afterwards: %v, %v", list, err)
		}
	}
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, ordersName)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenOrders(dir, orderTime(), (&lineLog{}).log); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("a link: %v", err)
	}
}

// What cannot be written is said once, tried again, and said again when it is well.
func TestOrdersThatCannotBeWritten(t *testing.T) {
	dir, l := filepath.Join(t.TempDir(), "gone"), &lineLog{}
	synctest.Test(t, func(t *testing.T) {
		o, _, err := OpenOrders(dir, orderTime(), l.log)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { o.Run(ctx); close(ended) }()
		o.Keep([]daemon.Order{{Kind: daemon.OrderStandby, Since: orderTime()}})
		<-time.After(11 * time.Second) // of the bubble
		if n := strings.Count(l.String(), "cannot be written"); n != 1 {
			t.Errorf("said %d times: %s", n, l)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		<-time.After(5 * time.Second)
		if !strings.Contains(l.String(), "written again") {
			t.Errorf("said %s", l)
		}
		cancel()
		<-ended
	})
	if _, list, err := OpenOrders(dir, orderTime(), l.log); err != nil || len(list) != 1 {
		t.Errorf("got %v, %v", list, err)
	}
}
