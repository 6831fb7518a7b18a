package stories

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// The parts that measure: what a person in front of a browser would see of a fault.

func init() {
	parts["web"] = webClient
	parts["echo"] = echoServer
	parts["talk"] = talker
}

// webPatience is how long the client waits for one answer.
const webPatience = time.Second

// webClient asks for a page every 10 ms, each time on a new connection, whether or not
// the one before was answered, and writes "asked took who" for each: nanoseconds, and
// the page's text, which is the host's name, or "-".
func webClient(args []string) int {
	client := http.Client{Timeout: webPatience, Transport: &http.Transport{DisableKeepAlives: true}}
	var mu sync.Mutex
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		go func() {
			asked, who := lab.Now(), "-"
			if r, err := client.Get(args[0]); err == nil {
				if b, err := io.ReadAll(r.Body); err == nil && r.StatusCode == http.StatusOK {
					who = strings.TrimSpace(string(b))
				}
				r.Body.Close()
			}
			took := lab.Now() - asked
			mu.Lock()
			defer mu.Unlock()
			fmt.Println(int64(asked), int64(took), who)
		}()
	}
}

// web is a running webClient.
type web struct{ p *lab.Process }

func (s *story) web(host, url string) *web {
	s.t.Helper()
	return &web{s.part(host, "web", url)}
}

// request is one line of the client.
type request struct {
	asked, took time.Duration
	who         string
}

func (w *web) requests() []request {
	var list []request
	for line := range strings.Lines(w.p.Output()) {
		var r request
		if n, err := fmt.Sscan(line, (*int64)(&r.asked), (*int64)(&r.took), &r.who); n == 3 && err == nil {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b request) int { return cmp.Compare(a.asked, b.asked) })
	return list
}

// server is who answered the last request that was answered at once, "" if it is a while ago.
func (w *web) server() string {
	list := w.requests()
	for i := len(list) - 1; i >= 0; i-- {
		if r := list[i]; r.who != "-" {
			if lab.Now()-r.asked > webPatience {
				return ""
			}
			return r.who
		}
	}
	return ""
}

// outage is what a web client saw.
type outage struct {
	// Longest is from the first request without an answer to the next one with one, at
	// worst; Lost of Asked were not answered.
	Longest     time.Duration
	Asked, Lost int
	// By are those who answered, in order, each once for every time it began to.
	By []string
	// Stall is the longest time between two requests: the client's own error.
	Stall time.Duration
}

func (o outage) String() string {
	return fmt.Sprintf("HTTP client: %v without an answer, %d of %d lost, served by %s (client's worst stall %v)",
		o.Longest.Round(time.Millisecond), o.Lost, o.Asked, strings.Join(o.By, ", "), o.Stall.Round(time.Millisecond))
}

// since reports from an instant until the last request that was answered.
func (w *web) since(from time.Duration) (o outage) {
	var since, last time.Duration
	for _, r := range w.requests() {
		if r.asked < from {
			continue
		}
		if last > 0 {
			o.Stall = max(o.Stall, r.asked-last)
		}
		last = r.asked
		o.Asked++
		if r.who == "-" {
			if o.Lost++; since == 0 {
				since = r.asked
			}
			continue
		}
		if since > 0 {
			o.Longest, since = max(o.Longest, r.asked-since), 0
		}
		if len(o.By) == 0 || o.By[len(o.By)-1] != r.who {
			o.By = append(o.By, r.who)
		}
	}
	return o
}

// echoServer gives back what it is sent, on the address that it is told.
func echoServer(args []string) int {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return 1
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

// talker holds one connection to an echoServer: a
// line every 20 ms, the next when the last has come back. It writes how long each took
// to, and ends when one does not come back within the time it is told.
func talker(args []string) int {
	patience, err := time.ParseDuration(args[1])
	if err != nil {
		return 2
	}
	d := net.Dialer{Timeout: 5 * time.Second}
	c, err := d.Dial("tcp", args[0])
	if err != nil {
		fmt.Println("cannot connect:", err)
		return 1
	}
	defer c.Close()
	fmt.Println("connected", c.LocalAddr())
	back := bufio.NewReader(c)
	for ; ; time.Sleep(20 * time.Millisecond) {
		began := lab.Now()
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := fmt.Fprintln(c, began); err != nil {
			fmt.Println("broken:", err)
			return 1
		}
		if _, err := back.ReadString('\n'); err != nil {
			fmt.Println("broken:", err)
			return 1
		}
		fmt.Println("back", int64(lab.Now()), int64(lab.Now()-began))
	}
}

// talk is a running talker.
type talk struct{ p *lab.Process }

func (s *story) talk(host, to string, patience time.Duration) *talk {
	s.t.Helper()
	k := &talk{s.part(host, "talk", to, patience.String())}
	s.until("a connection from "+host+" to "+to, func() bool { return strings.Contains(k.p.Output(), "back ") })
	return k
}

// since is how often a line has come back since an instant, the longest that took, and
// whether the connection is broken.
func (k *talk) since(from time.Duration) (n int, longest time.Duration, broken string) {
	for line := range strings.Lines(k.p.Output()) {
		var at, took int64
		if c, _ := fmt.Sscanf(line, "back %d %d", &at, &took); c == 2 && time.Duration(at) >= from {
			n, longest = n+1, max(longest, time.Duration(took))
		} else if strings.HasPrefix(line, "broken") {
			broken = strings.TrimSpace(line)
		}
	}
	return n, longest, broken
}
