package stories

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// envPart makes the test binary play a part on a host: see parts.
const envPart = "BACKBEAT_STORIES_PART"

// parts are the programs that a host can run and that nobody else has: the client
// that measures, stand-ins. Each is given the rest of the command line.
var parts = map[string]func(args []string) int{}

// Three stories at a time, however many processors there are: they wait most of the time,
// but more would measure each other (see test/netns).
func TestMain(m *testing.M) {
	if part := os.Getenv(envPart); part != "" {
		os.Exit(parts[part](os.Args[1:]))
	}
	lab.Main(lab.Options{Binary: true, Root: true}, func() int {
		if err := flag.Set("test.parallel", "3"); err != nil {
			panic("stories: " + err.Error())
		}
		return m.Run()
	})
}

// limit bounds every single wait: generous, since what is measured is measured by clients.
const limit = 30 * time.Second

// root is the repository, whose examples are played. The working directory of a
// test is its package's.
const root = "../.."

// story is a few hosts that run one file of examples/, clients, and whatever else
// the test has asked for.
type story struct {
	*lab.Lab
	t     *testing.T
	ctx   context.Context
	nodes []*node
}

// node is a host that runs backbeat.
type node struct {
	*lab.Host
	d *lab.Backbeat
	s *story
}

// newStory makes the hosts names and others, of which names run the file (a path
// below examples/), unchanged. Nothing is started. dirs are directories of which each
// node has its own, besides /run, /srv and /usr/local/lib.
func newStory(t *testing.T, file string, names, others []string, links int, dirs ...string) *story {
	t.Helper()
	l, ctx := lab.ForTest(t, lab.Plan{Hosts: append(slices.Clone(names), others...), Links: links}, 3*time.Minute)
	s := &story{Lab: l, t: t, ctx: ctx}
	text := s.read("examples/" + file)
	for _, name := range names {
		n := &node{Host: l.Host(name), s: s}
		s.must(n.Furnish(append([]string{"/srv", "/usr/local/lib"}, dirs...)...))
		var err error
		n.d, err = n.Backbeat(text)
		s.must(err)
		n.d.RealTime()
		s.nodes = append(s.nodes, n)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range s.nodes {
				t.Logf("== log of %s\n%s", n.Name, n.d.Log())
			}
		}
	})
	return s
}

// read reads a file of the repository.
func (s *story) read(path string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	s.must(err)
	return string(b)
}

func (s *story) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// node finds a node by its name.
func (s *story) node(name string) *node {
	for _, n := range s.nodes {
		if n.Name == name {
			return n
		}
	}
	panic("stories: no node " + name)
}

// address gives a host addresses of its own in place of the lab's IPv4 address on a link.
func (s *story) address(host string, link int, addresses ...string) {
	s.t.Helper()
	h, dev := s.Host(host), fmt.Sprintf("eth%d", link)
	s.run(host, "ip", "addr", "del", h.Addr4(link).String(), "dev", dev)
	for _, a := range addresses {
		s.run(host, "ip", "addr", "add", a, "dev", dev)
	}
	for _, n := range s.nodes {
		if n.Host == h {
			s.must(h.Keep())
		}
	}
}

// run runs a command on a host to its end; that it fails is a mistake in the test.
func (s *story) run(host string, argv ...string) string {
	s.t.Helper()
	out, err := s.Host(host).Run(s.ctx, argv...)
	s.must(err)
	return out
}

// part starts a part on a host.
func (s *story) part(host, name string, args ...string) *lab.Process {
	s.t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), envPart+"="+name)
	p, err := s.Host(host).Start(cmd)
	s.must(err)
	return p
}

// until waits for a condition.
func (s *story) until(what string, condition func() bool) {
	s.t.Helper()
	s.within(limit, what, condition)
}

func (s *story) within(d time.Duration, what string, condition func() bool) {
	s.t.Helper()
	began := time.Now()
	for !condition() {
		if time.Since(began) > d || s.ctx.Err() != nil {
			s.t.Fatalf("waited %s for %s", time.Since(began).Round(time.Millisecond), what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// slack is what the machine may add to anything since an instant: half a second, and
// ten times what the kernel or the scheduler made somebody wait.
func (s *story) slack(since time.Duration) time.Duration {
	stall := s.Stall(since)
	if stall > 100*time.Millisecond {
		s.t.Logf("the machine stalled for %s", stall.Round(time.Millisecond))
	}
	return 500*time.Millisecond + 10*stall
}

// start starts the daemon and waits until it answers.
func (n *node) start() {
	n.s.t.Helper()
	n.s.must(n.d.Start(n.s.ctx))
}

// verb runs a verb of the real binary on the host and returns all that it wrote.
func (n *node) verb(args ...string) (text string, code int) {
	n.s.t.Helper()
	out, complaints, code, err := n.d.Verb(n.s.ctx, append(args, "--control", n.d.Socket())...)
	n.s.must(err)
	return out + complaints, code
}

// do is verb for one that must succeed and say words.
func (n *node) do(words []string, args ...string) string {
	n.s.t.Helper()
	text, code := n.verb(args...)
	n.s.t.Logf("%s# backbeat %s\n%s", n.Name, strings.Join(args, " "), strings.TrimSpace(text))
	if code != 0 {
		n.s.t.Errorf("backbeat %s on %s: exit status %d", strings.Join(args, " "), n.Name, code)
	}
	n.says(text, words...)
	return text
}

// says fails the test unless a text has all of the words.
func (n *node) says(text string, words ...string) {
	n.s.t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			n.s.t.Errorf("%s does not say %q:\n%s", n.Name, w, text)
		}
	}
}

// off pulls the plug; on ends it, with nothing started.
func (n *node) off() {
	n.s.t.Helper()
	n.s.must(n.PowerOff())
}

func (n *node) on() {
	n.s.t.Helper()
	n.s.must(n.PowerOn())
}

// page is the status, nil if the daemon does not answer.
func (n *node) page() *daemon.StatusPage {
	p, err := n.d.Status(n.s.ctx)
	if err != nil {
		return nil
	}
	return p
}

// state is that of a router, "" if the daemon does not answer.
func (n *node) state(router string) string { return n.d.State(n.s.ctx, router) }

// group is a service group of the status.
func (n *node) group(name string) (g daemon.ServiceStatus) {
	if p := n.page(); p != nil {
		for _, is := range p.Services {
			if is.Name == name {
				g = is
			}
		}
	}
	return g
}

// step is a step of a group by its name, "named" of "lsb.named".
func step(g daemon.ServiceStatus, name string) (st daemon.StepStatus) {
	for _, is := range g.Steps {
		if is.Name == name || strings.HasSuffix(is.Name, "."+name) {
			st = is
		}
	}
	return st
}

// held fails unless exactly the hosts have an address.
func (s *story) held(a netip.Addr, hosts ...string) {
	s.t.Helper()
	if got := s.Holders(a); !slices.Equal(got, hosts) {
		s.t.Errorf("%s is held by %v, want %v", a, got, hosts)
	}
}

// write writes a file of a node's, at a path of the node.
func (n *node) write(path, text string, mode os.FileMode) {
	n.s.t.Helper()
	n.s.must(os.MkdirAll(filepath.Dir(n.Path(path)), 0o755))
	n.s.must(os.WriteFile(n.Path(path), []byte(text), mode))
	n.s.must(os.Chmod(n.Path(path), mode))
}

// need skips a test where a program of a package is missing; in CI it fails.
func need(t *testing.T, pkg string, programs ...string) {
	t.Helper()
	for _, p := range programs {
		lab.NeedPeer(t, func() (string, error) {
			path, err := exec.LookPath(p)
			if err != nil {
				if _, err := os.Stat("/usr/sbin/" + p); err == nil {
					return "/usr/sbin/" + p, nil
				}
				return "", fmt.Errorf("%s is not installed: apt-get install %s", p, pkg)
			}
			return path, nil
		})
	}
}
