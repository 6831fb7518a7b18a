package probe

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions/run"
	"github.com/backbeat-ha/backbeat/checks"
)

// bench is a Pool whose answers the test reads.
type bench struct {
	t    *testing.T
	pool *Pool
	got  chan checks.Done
	runs uint64
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, got: make(chan checks.Done, 4096)}
	b.pool = New(func(v any) { b.got <- v.(checks.Done) }, run.New(func(any) {}))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		b.pool.Close(ctx)
	})
	return b
}

// ask makes one run and returns its result.
func (b *bench) ask(timeout time.Duration, p checks.Probe) checks.Result {
	b.t.Helper()
	b.runs++
	b.pool.Probe(checks.Job{Check: 1, Run: b.runs, Name: "x.y", Timeout: timeout, Probe: p})
	select {
	case d := <-b.got:
		if d.Check != 1 || d.Run != b.runs {
			b.t.Fatalf("answer to %d.%d", d.Check, d.Run)
		}
		return d.Result
	case <-time.After(timeout + 30*time.Second):
		b.t.Fatalf("%+v: no answer", p)
		return checks.Result{}
	}
}

func (b *bench) want(p checks.Probe, o checks.Outcome, detail string) {
	b.t.Helper()
	if got := b.ask(5*time.Second, p); got.Outcome != o || !strings.Contains(got.Detail, detail) {
		b.t.Errorf("%+v:\n got %s, %q\nwant %s, %q", p, got.Outcome, got.Detail, o, detail)
	}
}

func TestHTTP(t *testing.T) {
	b := newBench(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s %s", r.Host, r.Header.Get("X-A"))
	})
	mux.HandleFunc("/busy", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	mux.HandleFunc("/headers", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Big", strings.Repeat("x", 1<<20)) })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("y", 1<<16)); err != nil {
				return
			}
		}
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	get := func(path string, change ...func(*checks.HTTP)) checks.HTTP {
		v := checks.HTTP{URL: srv.URL + path, Method: "GET"}
		for _, f := range change {
			f(&v)
		}
		return v
	}
	b.want(get("/ok"), checks.Passed, "status 200")
	b.want(get("/busy"), checks.Failed, "status 503, wanted 200-299")
	b.want(get("/busy", func(v *checks.HTTP) { v.Status = []checks.StatusRange{{From: 404, To: 404}, {From: 500, To: 599}} }), checks.Passed, "status 503")
	b.want(get("/ok", func(v *checks.HTTP) { v.Status = []checks.StatusRange{{From: 404, To: 404}, {From: 500, To: 599}} }), checks.Failed, "status 200, wanted 404, 500-599")
	b.want(get("/ok", func(v *checks.HTTP) {
		v.Host, v.Headers, v.Match = "www.example.net", []checks.Header{{Name: "X-A", Value: "b"}}, "^hello www.example.net b$"
	}), checks.Passed, "status 200")
	b.want(get("/ok", func(v *checks.HTTP) { v.Match = "bye" }), checks.Failed, "the body does not match bye")
	b.want(get("/ok", func(v *checks.HTTP) { v.NotMatch = "hell" }), checks.Failed, "the body matches hell")
	b.want(get("/moved"), checks.Failed, "status 302")
	b.want(get("/moved", func(v *checks.HTTP) { v.FollowRedirects = true }), checks.Passed, "status 200")
	b.want(get("/round", func(v *checks.HTTP) { v.FollowRedirects = true }), checks.Failed, "more than 10 redirects")
	b.want(get("/headers"), checks.Failed, "exceeded")
	b.want(get("/endless", func(v *checks.HTTP) { v.Match = "z" }), checks.Failed, "does not match")
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	b.want(checks.HTTP{URL: "http://" + dead.Addr().String(), Method: "GET"}, checks.Failed, "connection refused")
	if got := b.ask(5*time.Second, checks.HTTP{URL: "http://user:geheim@" + dead.Addr().String() + "/", Method: "GET"}); strings.Contains(got.Detail, "geheim") {
		t.Errorf("the password is in %q", got.Detail)
	}
}

func TestHTTPUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ReadHeaderTimeout: time.Second}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	b := newBench(t)
	b.want(checks.HTTP{URL: "http://localhost/", Method: "HEAD", Unix: path}, checks.Passed, "status 200")
	b.want(checks.HTTP{URL: "http://localhost/", Method: "HEAD", Unix: path + "x"}, checks.Failed, "no such socket")
}

func TestTLS(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(srv.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	writeCert(t, ca, srv)
	b := newBench(t)
	web := func(x checks.TLS) checks.HTTP { return checks.HTTP{URL: srv.URL, Method: "GET", TLS: x} }
	b.want(web(checks.TLS{}), checks.Failed, "signed by an unknown authority")
	b.want(web(checks.TLS{SkipVerify: true}), checks.Passed, "status 200")
	b.want(web(checks.TLS{CA: ca}), checks.Passed, "status 200")
	b.want(web(checks.TLS{CA: ca, ServerName: "www.example.net"}), checks.Failed, "not for www.example.net")
	b.want(web(checks.TLS{CA: ca, Remaining: 200 * 365 * 24 * time.Hour}), checks.Failed, "the certificate expires on 2084-")
	b.want(web(checks.TLS{CA: ca + "x"}), checks.NotRun, "no such file")
	addr := srv.Listener.Addr().String()
	b.want(checks.TCP{Address: addr, TLS: checks.TLS{On: true, CA: ca}}, checks.Passed, "connected")
	b.want(checks.TCP{Address: addr, TLS: checks.TLS{On: true}}, checks.Failed, "unknown authority")
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	b.want(checks.TCP{Address: plain.Listener.Addr().String(), TLS: checks.TLS{On: true, CA: ca}}, checks.Failed, "first record does not look like a TLS handshake")
}

// serve accepts connections and hands them to f.
func serve(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				f(c)
			}()
		}
	}()
	return l.Addr().String()
}

func TestTCP(t *testing.T) {
	b := newBench(t)
	echo := serve(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	b.want(checks.TCP{Address: echo}, checks.Passed, "connected")
	b.want(checks.TCP{Address: echo, Send: "PING\r\n", Expect: "^PI"}, checks.Passed, "answered as expected")
	shut := serve(t, func(c net.Conn) { _, _ = io.WriteString(c, "220 no\x00\x1b[31m service\r\n") })
	b.want(checks.TCP{Address: shut, Expect: "^250"}, checks.Failed, `answered "220 no [31m service" and closed, wanted ^250`)
	flood := serve(t, func(c net.Conn) {
		for {
			if _, err := c.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	b.want(checks.TCP{Address: flood, Expect: "never"}, checks.Failed, "the first 64 KiB do not match never")
	b.want(checks.TCP{Address: "127.0.0.1:1"}, checks.Failed, "connection refused")
}

// Servers that say nothing, or a byte now and then, end with the timeout.
func TestSlowServers(t *testing.T) {
	b := newBench(t)
	silent := serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	if got := b.ask(200*time.Millisecond, checks.TCP{Address: silent, Expect: "x"}); got.Outcome != checks.Failed || got.Detail != "no answer in time" {
		t.Errorf("silent: %+v", got)
	}
	loris := serve(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(c, "X-%d: y\r\n", i); err != nil {
				return
			}
			<-time.After(20 * time.Millisecond)
		}
	})
	if got := b.ask(200*time.Millisecond, checks.HTTP{URL: "http://" + loris, Method: "GET"}); got.Outcome != checks.Failed || got.Detail != "no answer in time" {
		t.Errorf("slow loris: %+v", got)
	}
}

func TestExec(t *testing.T) {
	b := newBench(t)
	sh := func(script string) checks.Exec { return checks.Exec{Command: []string{"/bin/sh", "-c", script}} }
	b.want(sh("echo one; echo two"), checks.Passed, "two")
	b.want(sh("echo no room >&2; exit 3"), checks.Failed, "exit status 3: no room")
	b.want(sh("kill -9 $$"), checks.Failed, "signal 9")
	b.want(sh("test $BACKBEAT_CHECK = x.y && env | sort | tr '\\n' ' '"), checks.Passed, "BACKBEAT_CHECK=x.y")
	b.want(checks.Exec{Command: []string{"/no/such"}}, checks.NotRun, "does not exist")
	b.want(checks.Exec{Command: []string{"true"}}, checks.NotRun, "not an absolute path")
	b.want(checks.Exec{Command: []string{"/bin/true"}, User: "nobody-of-that-name"}, checks.NotRun, "not known here")
	if got := b.ask(300*time.Millisecond, sh("trap '' TERM; while :; do echo y; done")); got.Outcome != checks.Failed ||
		!strings.Contains(got.Detail, "timed out after 300ms") || len(got.Output) > checks.OutputSize+len("…") {
		t.Errorf("%s %q, %d bytes of output", got.Outcome, got.Detail, len(got.Output))
	}
}

// A run that finds no slot was not run; that is no failure.
func TestNoFreeSlot(t *testing.T) {
	b := newBench(t)
	for range execSlots {
		b.pool.exec <- struct{}{}
	}
	if got := b.ask(50*time.Millisecond, checks.Exec{Command: []string{"/bin/true"}}); got.Outcome != checks.NotRun ||
		got.Detail != "no free slot within 50ms: 16 commands are running" {
		t.Errorf("%+v", got)
	}
	b.want(checks.Load{Max1: 1e9}, checks.Passed, "") // other kinds go on
	for range execSlots {
		<-b.pool.exec
	}
}

func TestEveryJobIsAnsweredOnce(t *testing.T) {
	b := newBench(t)
	echo := serve(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	const n = 1000
	for i := range uint64(n) {
		b.pool.Probe(checks.Job{Check: 7, Run: i, Timeout: 20 * time.Second, Probe: checks.TCP{Address: echo}})
	}
	seen := map[uint64]bool{}
	for range n {
		d := <-b.got
		if seen[d.Run] || d.Outcome != checks.Passed {
			t.Fatalf("%+v", d)
		}
		seen[d.Run] = true
	}
}

func TestCloseAnswersWhatRuns(t *testing.T) {
	b := newBench(t)
	silent := serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	b.pool.Probe(checks.Job{Check: 1, Run: 1, Timeout: time.Hour, Probe: checks.TCP{Address: silent, Expect: "x"}})
	b.pool.Close(context.Background())
	b.pool.Probe(checks.Job{Check: 1, Run: 2, Timeout: time.Hour, Probe: checks.TCP{Address: silent}})
	for range 2 {
		if d := <-b.got; d.Outcome != checks.NotRun || d.Detail != "the daemon is leaving" {
			t.Errorf("%+v", d)
		}
	}
}

type bomb struct{}

func (bomb) Kind() string { return "bomb" }

func TestUnknownKind(t *testing.T) {
	newBench(t).want(bomb{}, checks.NotRun, `does not know the kind "bomb"`)
}

func TestPhrase(t *testing.T) {
	for in, want := range map[string]string{
		" a\n\tb ": "a b", "\x1b[31mred\x00": "[31mred", "\xff\xfe": "?", strings.Repeat("ä", 40): strings.Repeat("ä", 23) + "…",
	} {
		if got := phrase(in, 50); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func writeCert(t *testing.T, path string, srv *httptest.Server) {
	t.Helper()
	if err := os.WriteFile(path, pemOf(srv.Certificate().Raw), 0o600); err != nil {
		t.Fatal(err)
	}
}
