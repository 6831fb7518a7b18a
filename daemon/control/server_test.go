package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
)

// loop is a stand-in for daemon.Loop: it answers on a goroutine of its own.
type loop struct {
	mu      sync.Mutex
	names   []string
	past    []daemon.Transition
	silent  bool
	largest int // longest page asked for
	pages   int
	done    chan struct{}
	inputs  chan daemon.Input
	// services and orders come with the first page, obey takes commands.
	services []daemon.ServiceStatus
	orders   []daemon.Order
	obey     func(daemon.Command)
}

func newLoop(t *testing.T, names ...string) *loop {
	l := &loop{names: names, done: make(chan struct{}), inputs: make(chan daemon.Input, 1024)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case in := <-l.inputs:
				l.answer(in)
			case <-l.done:
				return
			}
		}
	}()
	t.Cleanup(func() { close(l.done); <-ended })
	return l
}

func (l *loop) post(in daemon.Input) { l.inputs <- in }

func (l *loop) answer(in daemon.Input) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.silent {
		return
	}
	switch q := in.(type) {
	case daemon.StatusQuery:
		l.pages++
		l.largest = max(l.largest, q.Limit)
		p := daemon.StatusPage{Node: "n1", Total: len(l.names), Links: []daemon.LinkStatus{{Name: "eth0", Index: 2, Up: true}}}
		for i, n := range l.names {
			if (q.Name == "" && i >= q.From && i < q.From+q.Limit) || n == q.Name {
				p.Routers = append(p.Routers, daemon.RouterStatus{Name: n, State: "active", Counters: map[string]uint64{"x": 1}})
			}
		}
		if q.From == 0 {
			p.Services, p.Orders = slices.Clone(l.services), l.orders
		}
		q.Reply <- p
	case daemon.Command:
		l.obey(q)
	case daemon.HistoryQuery:
		var list []daemon.Transition
		for _, tr := range l.past {
			if q.Name == "" || tr.Router == q.Name {
				list = append(list, tr)
			}
		}
		q.Reply <- list[max(0, len(list)-q.Limit):]
	default:
		panic(fmt.Sprintf("unexpected %T", in))
	}
}

// start runs a server on a socket of its own until the test ends.
func start(t *testing.T, l *loop, change ...func(*Server)) (*Server, *Client) {
	t.Helper()
	s := New(Options{
		Path: filepath.Join(t.TempDir(), "c.sock"), Post: l.post, Version: "1.2.3",
		Reload: func(context.Context) ReloadResult {
			return ReloadResult{Plan: daemon.Plan{Steps: []daemon.PlanStep{{Change: daemon.Adjust, Router: "web", Differences: []string{"priority 150 -> 50"}}}}}
		},
	})
	for _, f := range change {
		f(s)
	}
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if _, err := os.Lstat(s.opt.Path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there after Run: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s, Dial(s.opt.Path)
}

func TestStatusInPages(t *testing.T) {
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("r%04d", i)
	}
	l := newLoop(t, names...)
	_, c := start(t, l)
	st, err := c.Status(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if st.Schema != 1 || st.Version != "1.2.3" || st.Node != "n1" || st.PID != os.Getpid() {
		t.Errorf("head %d %q %q %d", st.Schema, st.Version, st.Node, st.PID)
	}
	if len(st.Routers) != 1000 || st.Routers[0].Name != "r0000" || st.Routers[999].Name != "r0999" {
		t.Errorf("%d routers", len(st.Routers))
	}
	if len(st.Links) != 1 {
		t.Errorf("%d interfaces, want each once", len(st.Links))
	}
	if l.pages != 4 || l.largest != 256 {
		t.Errorf("%d pages of up to %d, want 4 of 256", l.pages, l.largest)
	}
}

func TestStatusOfOne(t *testing.T) {
	_, c := start(t, newLoop(t, "web", "mail"))
	st, err := c.Status(t.Context(), "mail")
	if err != nil || len(st.Routers) != 1 || st.Routers[0].Name != "mail" {
		t.Fatalf("got %+v, %v", st, err)
	}
	_, err = c.Status(t.Context(), "mial")
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeUnknownRouter || e.Suggestion != "mail" {
		t.Fatalf("got %v", err)
	}
	if want := `there is no virtual router "mial" here; did you mean "mail"?`; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// The status says which configuration is in force, if the daemon does.
func TestStatusNamesTheConfiguration(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	want := Configuration{Path: "/etc/x.hcl", AppliedAt: at, RefusedAt: &at, RefusedWhy: "x.hcl has 1 error"}
	_, c := start(t, newLoop(t, "web"), func(s *Server) { s.opt.Configuration = func() Configuration { return want } })
	st, err := c.Status(t.Context(), "web")
	if err != nil || st.Configuration == nil || !reflect.DeepEqual(*st.Configuration, want) {
		t.Errorf("got %+v, %v", st, err)
	}
	s, _ := start(t, newLoop(t, "web"))
	if body := get(t, s, "/v1/status", http.StatusOK); strings.Contains(body, `"configuration"`) {
		t.Errorf("nobody knows, and it says %s", body)
	}
}

func TestStatusOfNone(t *testing.T) {
	s, c := start(t, newLoop(t))
	st, err := c.Status(t.Context(), "")
	if err != nil || len(st.Routers) != 0 {
		t.Fatalf("got %+v, %v", st, err)
	}
	body := get(t, s, "/v1/status", http.StatusOK)
	if !strings.Contains(body, `"virtual_routers":[]`) || !strings.Contains(body, `"interfaces":[`) {
		t.Errorf("lists must be lists even when empty: %s", body)
	}
}

func TestHistory(t *testing.T) {
	l := newLoop(t, "web", "mail")
	for i := range 60 {
		l.past = append(l.past, daemon.Transition{Seq: uint64(i), Router: "web"})
	}
	l.past = append(l.past, daemon.Transition{Seq: 99, Router: "gone"})
	s, c := start(t, l)
	for _, tt := range []struct {
		name  string
		limit int
		want  int
	}{{"", 0, DefaultHistory}, {"", 7, 7}, {"web", MaxHistory, 60}, {"mail", 0, 0}, {"gone", 0, 1}} {
		h, err := c.History(t.Context(), tt.name, tt.limit)
		if err != nil || len(h.Transitions) != tt.want {
			t.Errorf("history of %q, limit %d: %d, %v; want %d", tt.name, tt.limit, len(h.Transitions), err, tt.want)
		}
	}
	if _, err := c.History(t.Context(), "wab", 0); err == nil || !strings.Contains(err.Error(), `did you mean "web"`) {
		t.Errorf("unknown router: %v", err)
	}
	for _, bad := range []string{"0", "-1", "x", "10001", "99999999999999999999"} {
		if body := get(t, s, "/v1/history?limit="+bad, http.StatusBadRequest); !strings.Contains(body, "from 1 to 10000") {
			t.Errorf("limit %s: %s", bad, body)
		}
	}
}

func TestReload(t *testing.T) {
	l := newLoop(t)
	s, c := start(t, l)
	r, err := c.Reload(t.Context())
	if want := []PlanStep{{"web", "adjust", []string{"priority 150 -> 50"}}}; err != nil || !r.OK || !reflect.DeepEqual(r.Plan, want) {
		t.Fatalf("got %+v, %v", r, err)
	}
	s.opt.Reload = func(context.Context) ReloadResult {
		return ReloadResult{Err: errors.New("bad file"), Text: "Error: x", Diagnostics: json.RawMessage(`[{"severity":"error"}]`)}
	}
	r, err = c.Reload(t.Context())
	if err != nil || r.OK || r.Error != "bad file" || r.Text != "Error: x" || string(r.Diagnostics) != `[{"severity":"error"}]` {
		t.Fatalf("got %+v, %v", r, err)
	}
}

func TestVersion(t *testing.T) {
	_, c := start(t, newLoop(t))
	v, err := c.Version(t.Context())
	if err != nil || v.Version != "1.2.3" || v.PID != os.Getpid() {
		t.Fatalf("got %+v, %v", v, err)
	}
}

// A loop that does not answer costs the client two seconds and a clear word.
func TestSilentLoop(t *testing.T) {
	l := newLoop(t, "web")
	l.silent = true
	s, c := start(t, l, func(s *Server) { s.patience = 20 * time.Millisecond })
	_, err := c.Status(t.Context(), "")
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeUnavailable || !strings.Contains(e.Message, "does not answer") {
		t.Errorf("status: %v", err)
	}
	get(t, s, "/v1/history", http.StatusServiceUnavailable)
	if _, err := c.Version(t.Context()); err != nil {
		t.Errorf("version does not need the loop: %v", err)
	}
}

// However often a stuck loop is asked, few questions wait in its queue.
func TestStuckLoopIsNotFlooded(t *testing.T) {
	l := newLoop(t, "web")
	l.silent = true
	posted := make(chan daemon.Input, 1000)
	_, c := start(t, l, func(s *Server) {
		s.patience = time.Millisecond
		s.opt.Post = func(in daemon.Input) { posted <- in }
	})
	for range 50 {
		if _, err := c.Status(t.Context(), ""); err == nil {
			t.Fatal("an answer from a stuck loop")
		}
	}
	if n := len(posted); n != maxAsking {
		t.Errorf("%d questions posted, want %d", n, maxAsking)
	}
	// It comes back, answers what it was asked, and all is well.
	for range maxAsking {
		(<-posted).(daemon.StatusQuery).Reply <- daemon.StatusPage{}
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case in := <-posted:
				in.(daemon.StatusQuery).Reply <- daemon.StatusPage{}
			case <-stop:
				return
			}
		}
	}()
	for tries := 0; ; tries++ {
		if _, err := c.Status(t.Context(), ""); err == nil {
			break
		} else if tries > 1000 {
			t.Fatal(err)
		}
	}
}

func TestRoutes(t *testing.T) {
	s, _ := start(t, newLoop(t, "web"))
	for _, tt := range []struct {
		method, path string
		code         int
		want         string
	}{
		{"GET", "/", 404, CodeUnknownRoute},
		{"GET", "/v2/status", 404, CodeUnknownRoute},
		{"GET", "/v1/reload", 405, CodeWrongMethod},
		{"POST", "/v1/status", 405, CodeWrongMethod},
		{"DELETE", "/v1/history", 405, CodeWrongMethod},
		{"GET", "/v1/status?router=nope", 404, CodeUnknownRouter},
	} {
		code, body := do(t, s, tt.method, tt.path)
		var f Failure
		if err := json.Unmarshal([]byte(body), &f); err != nil || code != tt.code || f.Schema != 1 || f.Error.Code != tt.want {
			t.Errorf("%s %s: %d %s (%v)", tt.method, tt.path, code, body, err)
		}
	}
}

// A peer that is neither root nor us gets nothing, whatever it asks for.
func TestDenied(t *testing.T) {
	s, _ := start(t, newLoop(t, "web"))
	ask := func(method, path string) (int, Failure) {
		rec := &recorder{h: http.Header{}}
		ctx := context.WithValue(t.Context(), guestKey{}, &guest{who: peer{uid: 4242, gid: 4242}})
		r, err := http.NewRequestWithContext(ctx, method, path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		s.serve(rec, r)
		var f Failure
		if err := json.Unmarshal(rec.body.Bytes(), &f); err != nil {
			t.Fatal(err)
		}
		return rec.code, f
	}
	for _, q := range [][2]string{{"GET", "/v1/status"}, {"GET", "/v1/version"}, {"POST", "/v1/reload"}, {"GET", "/nowhere"}} {
		code, f := ask(q[0], q[1])
		if code != http.StatusForbidden || f.Error.Code != CodeDenied || !strings.Contains(f.Error.Message, "root") {
			t.Errorf("%v: %d %+v", q, code, f)
		}
	}
}

type recorder struct {
	h    http.Header
	code int
	body bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.h }
func (r *recorder) WriteHeader(c int)           { r.code = c }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// Garbage, silence and floods are survived, and answered where there is a point.
func TestGarbage(t *testing.T) {
	s, c := start(t, newLoop(t, "web"))
	for _, junk := range []string{
		"\x00\xff\x16\x03\x01garbage\r\n\r\n", "GET", "GET /v1/status HTTP/9.9\r\n\r\n",
		"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nx",
		"GET /" + strings.Repeat("a", 100_000) + " HTTP/1.1\r\n\r\n",
		"GET /v1/status HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		conn, err := net.Dial("unix", s.opt.Path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, junk)
		_ = conn.(*net.UnixConn).CloseWrite()
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%.40q: the connection stays open", junk)
		}
		conn.Close()
	}
	if _, err := c.Status(t.Context(), "web"); err != nil {
		t.Errorf("after the garbage: %v", err)
	}
}

func TestConnectionLimit(t *testing.T) {
	s, c := start(t, newLoop(t, "web"))
	var held []net.Conn
	defer func() {
		for _, h := range held {
			h.Close()
		}
	}()
	for range maxConnections {
		conn, err := net.Dial("unix", s.opt.Path)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	_, err := c.Version(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeUnavailable || !strings.Contains(e.Message, "64 control connections") {
		t.Fatalf("connection 65: %v", err)
	}
	held[0].Close()
	held = held[1:]
	for deadline := time.Now().Add(5 * time.Second); ; {
		if _, err = c.Version(t.Context()); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a slot that became free stays taken: %v", err)
		}
	}
}

// get asks as this process and returns the body of the answer.
func get(t *testing.T, s *Server, path string, want int) string {
	t.Helper()
	code, body := do(t, s, http.MethodGet, path)
	if code != want {
		t.Errorf("GET %s: HTTP status %d, want %d: %s", path, code, want, body)
	}
	return body
}

func do(t *testing.T, s *Server, method, path string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := Dial(s.opt.Path).http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if ct := res.Header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("%s %s: Content-Type %q", method, path, ct)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}
