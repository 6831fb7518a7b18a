package address

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/test/lab"
)

func sweep(t *testing.T, path string) ([]Left, error) {
	t.Helper()
	return New(Options{Ledger: path, Post: func(any) {}}).Sweep(context.Background())
}

func scope(t *testing.T) string {
	t.Helper()
	s, err := currentScope()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSweepAfterACrash(t *testing.T) {
	link := veth(t, "e0")
	path := ledgerPath(t)
	lab.IP(t, "addr", "add", "192.0.2.9/24", "dev", "e0") // not ours
	lab.IP(t, "addr", "add", "192.0.2.200/24", "dev", "e0")
	posted := make(chan any, 100)
	k := New(Options{Ledger: path, Post: func(v any) { posted <- v }})
	stop := run(t, k)
	k.Want(actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.1/24", "2001:db8::1/64", "192.0.2.9/24")})
	k.Want(actions.Wanted{Router: 2, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.2/24")})
	applied(t, posted, 1, 1)
	applied(t, posted, 2, 1)
	k.Want(actions.Wanted{Router: 2, Term: 2})
	applied(t, posted, 2, 2)
	stop() // the addresses stay: for the kernel this is a crash
	if _, there := present(t, link, "192.0.2.1/24"); !there {
		t.Fatal("the addresses went with the keeper")
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("ledger: %v, %v", st.Mode(), err)
	}

	ours, err := Recorded(path)
	slices.SortFunc(ours, netip.Addr.Compare)
	if want := "[192.0.2.1 2001:db8::1]"; err != nil || fmt.Sprint(ours) != want {
		t.Errorf("recorded %v, %v, want %s", ours, err, want)
	}
	left, err := sweep(t, path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range left {
		got = append(got, fmt.Sprintf("%s %s %v", l.LinkName, l.Address, l.Link == link && l.PID == os.Getpid()))
	}
	if want := "e0 192.0.2.1/24 true, e0 2001:db8::1/64 true"; strings.Join(got, ", ") != want {
		t.Errorf("swept %q, want %q", got, want)
	}
	for p, want := range map[string]bool{"192.0.2.1/24": false, "2001:db8::1/64": false, "192.0.2.9/24": true, "192.0.2.200/24": true} {
		if _, there := present(t, link, p); there != want {
			t.Errorf("%s there: %v, want %v", p, there, want)
		}
	}
	if b, _ := os.ReadFile(path); len(b) != 0 {
		t.Errorf("the ledger still says:\n%s", b)
	}
	if left, err := sweep(t, path); len(left) != 0 || err != nil {
		t.Errorf("a second sweep found %v, %v", left, err)
	}
}

// Without a Sweep, what the ledger calls ours is ours, and goes when it is not wanted.
func TestLedgerRecognisesOursWithoutSweep(t *testing.T) {
	link := veth(t, "e0")
	path := ledgerPath(t)
	lab.IP(t, "addr", "add", "192.0.2.1/24", "dev", "e0")
	line := fmt.Sprintf("have %s %d %d 192.0.2.1/24 e0\n", scope(t), os.Getpid(), link)
	if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	k, posted := start(t, path, nil)
	k.Want(actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.1/24")})
	if a := applied(t, posted, 1, 1); a.Note != "" || a.Err != "" {
		t.Errorf("answer %+v", a)
	}
	k.Want(actions.Wanted{Router: 1, Term: 2})
	applied(t, posted, 1, 2)
	if _, there := present(t, link, "192.0.2.1/24"); there {
		t.Error("an address of ours stayed")
	}
}

// A crash between the line and the addition must not cost somebody else's address.
func TestSweepTakesOnlyWhatIsSurelyOurs(t *testing.T) {
	link := veth(t, "e0")
	path := ledgerPath(t)
	for _, a := range []string{"192.0.2.1/24", "192.0.2.2/24", "192.0.2.3/24", "192.0.2.4/24"} {
		lab.IP(t, "addr", "add", a, "dev", "e0") // without our mark
	}
	here := scope(t)
	lines := []string{
		"try " + here + " 1 %d 192.0.2.1/24 e0",                       // tried, but whose is it?
		"have " + here + " 1 %d 192.0.2.2/24 e0",                      // ours
		"have 00000000-another-boot 4026531840 1 %d 192.0.2.3/24 e0",  // another boot
		"have " + strings.Fields(here)[0] + " 1 1 %d 192.0.2.3/24 e0", // another namespace
		"have " + here + " 1 %d 192.0.2.4/24 e0",
		"gone " + here + " 1 %d 192.0.2.4/24 e0",
		"have " + here + " 1 %d 192.0.2.77/24 e0", // not there any more
	}
	text := strings.ReplaceAll(strings.Join(lines, "\n")+"\n", "%d", fmt.Sprint(link))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	left, err := sweep(t, path)
	if err != nil || len(left) != 1 || left[0].Address.String() != "192.0.2.2/24" {
		t.Errorf("swept %v, %v", left, err)
	}
	for p, want := range map[string]bool{"192.0.2.1/24": true, "192.0.2.2/24": false, "192.0.2.3/24": true, "192.0.2.4/24": true} {
		if _, there := present(t, link, p); there != want {
			t.Errorf("%s there: %v, want %v", p, there, want)
		}
	}
	if !kernelHasProto(t) {
		return
	}
	// With our mark on it, a try is enough.
	kern, err := dialKernel()
	if err != nil {
		t.Fatal(err)
	}
	defer kern.close()
	if err := kern.add([]item{addressItem(link, "192.0.2.5/24")})[0]; err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "try %s 1 %d 192.0.2.5/24 e0\n", here, link), 0o600); err != nil {
		t.Fatal(err)
	}
	if left, err := sweep(t, path); err != nil || len(left) != 1 {
		t.Errorf("swept %v, %v", left, err)
	}
}

func TestDamagedLedgerIsReadAsFarAsItCanBe(t *testing.T) {
	link := veth(t, "e0")
	path := ledgerPath(t)
	lab.IP(t, "addr", "add", "192.0.2.1/24", "dev", "e0")
	lab.IP(t, "addr", "add", "192.0.2.2/24", "dev", "e0")
	good := fmt.Sprintf("have %s 1 %d 192.0.2.1/24 e0\n", scope(t), link)
	cut := strings.TrimSuffix(strings.ReplaceAll(good, "192.0.2.1", "192.0.2.2"), "\n")
	for _, text := range []string{"\x00\x01\xff garbage\nhave\n" + strings.ReplaceAll(good, "192.0.2.1/24", "192.0.2.1") + good + cut} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		left, err := sweep(t, path)
		if len(left) != 1 || err == nil || !strings.Contains(err.Error(), "4 damaged lines") {
			t.Errorf("swept %v, %v", left, err)
		}
	}
	if _, there := present(t, link, "192.0.2.2/24"); !there {
		t.Error("a line that was cut off was believed")
	}
	if _, err := sweep(t, path); err != nil {
		t.Errorf("the damage was not repaired: %v", err)
	}
}

func TestLedgerIsRefusedWhereOthersCouldForgeIt(t *testing.T) {
	lab.Need(t)
	cases := []struct {
		name, want string
		make       func(t *testing.T, dir string) string
	}{
		{"symbolic link", "symbolic link", func(t *testing.T, dir string) string {
			target := filepath.Join(dir, "target")
			must(t, os.WriteFile(target, nil, 0o600), os.Symlink(target, filepath.Join(dir, "l")))
			return filepath.Join(dir, "l")
		}},
		{"writable by others", "writable by others", func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "l")
			must(t, os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o622))
			return path
		}},
		{"directory writable by everybody", "writable by everybody", func(t *testing.T, dir string) string {
			must(t, os.Chmod(dir, 0o777|os.ModeSticky))
			return filepath.Join(dir, "l")
		}},
		{"not a file", "not a regular file", func(t *testing.T, dir string) string {
			must(t, os.Mkdir(filepath.Join(dir, "l"), 0o700))
			return filepath.Join(dir, "l")
		}},
		{"a pipe", "not a regular file", func(t *testing.T, dir string) string {
			must(t, exec.Command("mkfifo", filepath.Join(dir, "l")).Run())
			return filepath.Join(dir, "l")
		}},
		{"no directory", "must exist", func(_ *testing.T, dir string) string { return filepath.Join(dir, "no", "l") }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := c.make(t, t.TempDir())
			if _, err := sweep(t, path); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Sweep: %v, want …%s…", err, c.want)
			}
			// The address comes all the same, and the trouble is told.
			link := veth(t, "e0")
			k, posted := start(t, path, nil)
			k.Want(actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.1/32")})
			a := applied(t, posted, 1, 1)
			if a.Err != "" || !strings.Contains(a.Note, c.want) || !strings.Contains(a.Note, "ledger") {
				t.Errorf("answer %+v", a)
			}
			if _, there := present(t, link, "192.0.2.1/32"); !there {
				t.Error("the address is not there")
			}
		})
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// The process a ledger names may be a zombie, or its number may be somebody
// else's by now: what it left behind is removed all the same. That there is no
// other daemon is the business of the lock in the runtime directory.
func TestLedgerOfAProcessIDInUseIsSwept(t *testing.T) {
	link := veth(t, "e0")
	path := ledgerPath(t)
	lab.IP(t, "addr", "add", "192.0.2.1/24", "dev", "e0")
	line := fmt.Sprintf("have %s %d %d 192.0.2.1/24 e0\n", scope(t), os.Getppid(), link)
	must(t, os.WriteFile(path, []byte(line), 0o600))
	k := New(Options{Ledger: path, Post: func(any) {}})
	left, err := k.Sweep(context.Background())
	if err != nil || len(left) != 1 || left[0].Address.String() != "192.0.2.1/24" || left[0].PID != os.Getppid() {
		t.Errorf("Sweep: %+v, %v", left, err)
	}
	if _, there := present(t, link, "192.0.2.1/24"); there {
		t.Error("the address is still there")
	}
}

func TestLedgerIsWrittenOncePerTurnAndStaysSmall(t *testing.T) {
	lab.Need(t)
	path := ledgerPath(t)
	r := newRig()
	r.ledger = newLedger(path)
	r.ledger.open()
	for i := range 1000 {
		r.want(actions.RouterID(i), 1, fmt.Sprintf("10.0.%d.%d/32", i/250, i%250))
	}
	writes := 0
	r.kernel.before = func(string) {
		// At the first addition all thousand are in the file already.
		if writes++; writes == 1 {
			b, err := os.ReadFile(path)
			if err != nil || strings.Count(string(b), "try ") != 1000 {
				t.Errorf("before the first addition: %d lines, %v", strings.Count(string(b), "try "), err)
			}
		}
	}
	r.work()
	r.kernel.before = nil
	for round := range 20 {
		for i := range 1000 {
			r.want(actions.RouterID(i), uint64(2*round+2))
		}
		r.work()
		for i := range 1000 {
			r.want(actions.RouterID(i), uint64(2*round+3), fmt.Sprintf("10.0.%d.%d/32", i/250, i%250))
		}
		r.work()
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(b), "\n"); lines > 2*1000+spareLines+3000 {
		t.Errorf("the ledger has grown to %d lines", lines)
	}
	again := newLedger(path)
	if again.open(); again.failed != nil || again.damaged != 0 || len(again.entries) != 1000 {
		t.Errorf("read again: %d entries, %d damaged, %v", len(again.entries), again.damaged, again.failed)
	}
	for at := range again.entries {
		if !again.ours(at) {
			t.Fatalf("%v is not surely ours", at)
		}
	}
}
