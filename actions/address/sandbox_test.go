package address

import (
	"fmt"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// TestMain runs the tests in user, network and mount namespaces of their own:
// the host's interfaces are never touched and no root is needed.
func TestMain(m *testing.M) { lab.Main(lab.Options{}, m.Run) }

// veth makes a pair, both ends up, and removes it after the test. It returns
// the index of the first end.
func veth(t *testing.T, name string) int {
	t.Helper()
	lab.Need(t)
	lab.IP(t, "link", "add", name, "type", "veth", "peer", "name", name+"p")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", name).Run() })
	lab.IP(t, "link", "set", name, "up")
	lab.IP(t, "link", "set", name+"p", "up")
	return index(t, name)
}

func index(t *testing.T, name string) int {
	t.Helper()
	q, err := dialQuestions()
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	l, err := findLink(q, name)
	if err != nil || l.index == 0 {
		t.Fatalf("interface %s: %+v, %v", name, l, err)
	}
	return l.index
}

// present returns the kernel's view of one address, and whether it is there.
func present(t *testing.T, link int, p string) (addressMessage, bool) {
	t.Helper()
	q, err := dialQuestions()
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	all, err := dumpAddresses(q, link)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.prefix == netip.MustParsePrefix(p) {
			return m, true
		}
	}
	return addressMessage{}, false
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// places are wishes for prefixes on one link.
func places(link int, name string, list ...string) []actions.Place {
	return placed(link, name, prefixes(list...))
}

func placed(link int, name string, list []netip.Prefix) (out []actions.Place) {
	for _, p := range list {
		out = append(out, actions.Place{Address: actions.Address{Prefix: p}, Link: link, LinkName: name})
	}
	return out
}

// longest bounds every wait of a test.
const longest = 10 * time.Second

// next returns the first posted T that fits.
func next[T any](t *testing.T, posted <-chan any, what string, fits func(T) bool) T {
	t.Helper()
	timeout := time.After(longest)
	for {
		select {
		case v := <-posted:
			if v, ok := v.(T); ok && fits(v) {
				return v
			}
		case <-timeout:
			t.Fatalf("waited %s for %s", longest, what)
		}
	}
}

func applied(t *testing.T, posted <-chan any, r actions.RouterID, term uint64) actions.Applied {
	t.Helper()
	return next(t, posted, fmt.Sprintf("Applied of router %d term %d", r, term), func(a actions.Applied) bool {
		return a.Router == r && a.Term == term
	})
}

func addressItem(link int, p string) item {
	prefix := netip.MustParsePrefix(p)
	return item{at: placeOf(link, prefix), what: thing{address: actions.Address{Prefix: prefix}}}
}
