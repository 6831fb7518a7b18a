package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/backbeat-ha/backbeat/actions"
)

// Every agent that the distribution has is asked, and what it says can be read.
func TestMetadataOfEveryInstalledAgent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	real(t, "Dummy") // or skip
	agents, _ := filepath.Glob(filepath.Join(debianOCF, "resource.d/*/*"))
	catalog := NewCatalog(b.runner)
	var wait sync.WaitGroup
	var mu sync.Mutex
	read, withTimeout := 0, 0
	slots := make(chan struct{}, 4)
	for _, path := range agents {
		info, err := os.Stat(path)
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			continue
		}
		a := actions.OCF{Root: debianOCF, Provider: filepath.Base(filepath.Dir(path)), Type: filepath.Base(path)}
		wait.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; wait.Done() }()
			m, err := catalog.Metadata(context.Background(), a)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Log(err) // some need programs that are not installed even for this
				return
			case m.Name == "" || len(m.Actions) == 0:
				t.Errorf("%s: %+v", path, m)
			}
			if read++; m.Timeout("start", 0) > 0 && m.Timeout("stop", 0) > 0 {
				withTimeout++
			}
		}()
	}
	wait.Wait()
	t.Logf("%d of %d agents, %d with timeouts", read, len(agents), withTimeout)
	if read < len(agents)*8/10 || withTimeout < read*9/10 {
		t.Errorf("read %d of %d agents, %d with timeouts", read, len(agents), withTimeout)
	}
}

// What the reference lists for agents of resource-agents 4.12 (services.md 2.1).
func TestMetadataTimeouts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, c := range []struct {
		typ                            string
		start, stop, monitor, interval time.Duration
	}{
		{"IPaddr2", 20 * time.Second, 20 * time.Second, 20 * time.Second, 10 * time.Second},
		{"apache", 40 * time.Second, 60 * time.Second, 20 * time.Second, 10 * time.Second},
		{"Filesystem", time.Minute, time.Minute, 40 * time.Second, 20 * time.Second},
		{"mysql", 2 * time.Minute, 2 * time.Minute, 30 * time.Second, 20 * time.Second},
		{"ZFS", time.Minute, time.Minute, 30 * time.Second, 5 * time.Second},
	} {
		m, err := b.catalog.Metadata(context.Background(), real(t, c.typ))
		if err != nil {
			t.Error(err)
			continue
		}
		if m.Timeout("start", 0) != c.start || m.Timeout("stop", 0) != c.stop || m.Timeout("monitor", 0) != c.monitor || m.Interval(0) != c.interval {
			t.Errorf("%s: %+v", c.typ, m.Actions)
		}
	}
	m, err := b.catalog.Metadata(context.Background(), real(t, "apache"))
	if err != nil {
		t.Fatal(err)
	}
	if p := m.Check([]actions.Option{option("configfile", "/x"), option("port", "eighty"), option("confgfile", "/x")}); len(p) != 2 ||
		!strings.Contains(p[0], `"eighty" is not a whole number`) || !strings.Contains(p[1], `no parameter "confgfile", but configfile`) {
		t.Errorf("%q", p)
	}
	m, err = b.catalog.Metadata(context.Background(), real(t, "Filesystem"))
	if err != nil {
		t.Fatal(err)
	}
	if p := m.Check(nil); len(p) != 3 || !strings.Contains(strings.Join(p, "\n"), "Filesystem needs the parameter device") {
		t.Errorf("%q", p)
	}
}

// Asked once, again when the file has changed, and never kept if it failed.
func TestCatalogAsksOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.agent(`echo x >>$D/asked; [ -e $D/bad ] && exit 1; cat $D/meta`)
	b.write("meta", `<resource-agent name="one"><actions><action name="start" timeout="5"/></actions></resource-agent>`)
	name := func() string {
		m, err := b.catalog.Metadata(context.Background(), a)
		if err != nil {
			return err.Error()
		}
		return m.Name
	}
	b.write("bad", "")
	if got := name(); !strings.Contains(got, "meta-data of ocf:test:faulty: exit status 1") {
		t.Error(got)
	}
	os.Remove(filepath.Join(b.dir, "bad"))
	for range 3 {
		if got := name(); got != "one" {
			t.Error(got)
		}
	}
	b.write("meta", "garbage")
	if err := os.Chtimes(AgentPath(a), time.Time{}, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := name(); !strings.Contains(got, "not what OCF asks for") {
			t.Error(got)
		}
	}
	if n := strings.Count(b.file("asked"), "x"); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
	os.Remove(AgentPath(a))
	if got := name(); !strings.Contains(got, "is not installed") {
		t.Error(got)
	}
}

// An agent that hangs is not waited for longer than meta-data may take; one
// without an end is cut. Stand-ins.
func TestMetadataOfHostileAgents(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.catalog.timeout = time.Second
	for _, body := range []string{"yes '<resource-agent'", "trap '' TERM; sleep 1000"} {
		began := time.Now()
		m, err := b.catalog.Metadata(context.Background(), b.agent(body))
		if took := time.Since(began); err == nil || took > time.Second+grace {
			t.Errorf("%s: %+v, %v after %v", body, m, err, took)
		}
	}
}

func TestParseMetadata(t *testing.T) {
	for _, text := range []string{"", "no xml", "<a/>", "<resource-agent", "<?xml version=\"1.0\"?>", "\x00\xff", strings.Repeat("<x>", 10000)} {
		if m, err := ParseMetadata(text); err == nil {
			t.Errorf("%.20q: %+v", text, m)
		}
	}
	m, err := ParseMetadata(`some noise
<?xml version="1.0" encoding="ISO-8859-1"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="x" version="2"><shortdesc lang="en">  a
 b </shortdesc>
<parameters><parameter name="dir" required="1" unique="0"><shortdesc>where</shortdesc><content type="string" /></parameter>
<parameter name="on"><content type="boolean" default="true" /></parameter></parameters>
<actions><action name="monitor" timeout="20s" interval="10s" depth="0" role="Unpromoted"/>
<action name="monitor" timeout="30s" interval="20s" depth="0"/><action name="monitor" timeout="1min" interval="30000ms" depth="10"/>
<action name="start" timeout="240" /><action name="notify"/></actions></resource-agent>`)
	if err != nil {
		t.Fatal(err)
	}
	if m.Short != "a b" || m.Version != "2" || m.Timeout("monitor", 0) != 30*time.Second || m.Timeout("monitor", 10) != time.Minute ||
		m.Interval(10) != 30*time.Second || m.Timeout("start", 0) != 4*time.Minute || m.Timeout("stop", 0) != 0 || !m.Has("notify") || m.Has("promote") {
		t.Errorf("%+v", m)
	}
	for _, c := range []struct {
		params []actions.Option
		want   string
	}{
		{nil, "[x needs the parameter dir (where)]"},
		{[]actions.Option{option("dir", "/x"), option("on", "YES")}, "[]"},
		{[]actions.Option{option("dir", "/x"), option("on", "maybe")}, `[parameter on of x: "maybe" is neither true nor false]`},
		{[]actions.Option{option("dir", ""), option("x", "")}, `[x has no parameter "x", but dir, on]`},
	} {
		if got := fmt.Sprint(m.Check(c.params)); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}

func TestOCFTime(t *testing.T) {
	for s, want := range map[string]time.Duration{"20": 20 * time.Second, "20s": 20 * time.Second, "1.5 min": 90 * time.Second,
		"100ms": 100 * time.Millisecond, "2h": 2 * time.Hour, "": 0, "soon": 0, "-1": 0, "1e9": 0, "99999999h": 0, "5parsec": 0} {
		if got := ocfTime(s); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}

// Whatever an agent prints, it is read or refused. (No fuzz target: its workers
// cannot enter the sandbox of this package.)
func TestParseMetadataOfAnything(t *testing.T) {
	words := []string{"<resource-agent name=\"x\">", "</resource-agent>", "<parameters>", "<parameter name=\"a\" required=\"1\">", "<content type=\"integer\"/>",
		"</parameter>", "</parameters>", "<actions>", "<action name=\"start\" timeout=\"", "\"/>", "</actions>", "<?xml", "?>", "<!DOCTYPE a [", "&amp;", "&x;", "<![CDATA[", "]]>", "<!--"}
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.OneOf(rapid.SampledFrom(words), rapid.String())).Draw(t, "text")
		if m, err := ParseMetadata(strings.Join(parts, "")); err == nil {
			m.Check([]actions.Option{option("a", "b")})
			if m.Timeout("start", 0) < 0 {
				t.Error("a timeout below zero")
			}
		}
	})
}
