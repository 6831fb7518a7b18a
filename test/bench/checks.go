package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

const (
	checkCount   = 1000
	checkSettle  = 4 * time.Second
	checkMeasure = 15 * time.Second
	// ticks is USER_HZ, which is 100 on every Linux (proc_pid_stat(5)).
	ticks = 100
)

// checkKinds are the arguments of one check of each kind; %d is its number.
var checkKinds = []struct{ kind, arguments string }{
	{"none", ""},
	{"http", `url = "http://10.77.0.2/%d"`},
	{"https", `url = "https://10.77.0.2/%d"
  verify = false`},
	{"tcp", `address = "10.77.0.2:6379"
  send = "PING\r\n"
  expect = "PONG"`},
	{"icmp", `target = "10.77.0.2"`},
	{"dns", `name = "h%d.example.net"
  server = "10.77.0.2"`},
	{"systemd", `unit = "u%d.service"`},
	{"file", `path = "DIR/file"
  match = "^state=up"`},
	{"process", `name = "BINARY"`},
	{"link", `interface = "eth0"`},
	{"address", `address = "10.77.0.1"
  interface = "eth0"`},
	{"route", `destination = "10.77.0.0/24"
  interface = "eth0"`},
	{"load", `max_1m = 10000`},
	{"disk", `path = "/"
  min_free = "1KiB"`},
	{"exec", `command = ["/bin/true"]
  user = "root"`},
}

// checkCosts measures what 1,000 checks of each kind at 1 s cost the daemon, and
// what they do to the adverts of a router that advertises every 20 ms.
func checkCosts(only string, end time.Time) error {
	wanted := strings.Split(only, ",")
	for _, k := range checkKinds {
		if only != "" && !slices.Contains(wanted, k.kind) {
			continue
		}
		if err := checkCost(k.kind, k.arguments, end); err != nil {
			return fmt.Errorf("checks of the kind %s: %w", k.kind, err)
		}
	}
	return nil
}

func checkCost(kind, arguments string, end time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	l, err := lab.New(lab.Plan{Hosts: []string{"r1", "r2"}})
	if err != nil {
		return err
	}
	defer l.Close()
	sniffer, err := l.Sniff()
	if err != nil {
		return err
	}
	dir := l.Dir("checks")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("state=up\n"), 0o600); err != nil {
		return err
	}
	bus := "unix:path=" + filepath.Join(dir, "bus")
	if err := surroundings(ctx, l, kind, dir, bus); err != nil {
		return err
	}
	d, err := l.Host("r1").Backbeat(checkConfig(kind, arguments, dir), "DBUS_SYSTEM_BUS_ADDRESS="+bus)
	if err != nil {
		return err
	}
	if err := d.Start(ctx); err != nil {
		return err
	}
	if err := sleep(ctx, checkSettle); err != nil {
		return err
	}
	before, err := sample(ctx, d)
	if err != nil {
		return err
	}
	if err := sleep(ctx, checkMeasure); err != nil {
		return err
	}
	after, err := sample(ctx, d)
	if err != nil {
		return err
	}
	after.print(kind, before, sniffer, l)
	return nil
}

// surroundings starts whom the checks ask.
func surroundings(ctx context.Context, l *lab.Lab, kind, dir, bus string) error {
	if _, err := l.Host("r2").Start(exec.Command("/proc/self/exe", "serve", "net", "10.77.0.2")); err != nil {
		return err
	}
	if kind != "systemd" {
		return nil
	}
	conf := filepath.Join(dir, "bus.conf")
	text := `<busconfig><type>system</type><listen>` + bus + `</listen><auth>EXTERNAL</auth><policy context="default">` +
		`<allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>`
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return err
	}
	if _, err := l.Host("r1").Start(exec.Command("dbus-daemon", "--nofork", "--config-file="+conf)); err != nil {
		return err
	}
	err := lab.Until(ctx, "the message bus", func() bool {
		_, err := os.Stat(filepath.Join(dir, "bus"))
		return err == nil
	})
	if err != nil {
		return err
	}
	_, err = l.Host("r1").Start(exec.Command("/proc/self/exe", "serve", "systemd", bus))
	return err
}

func checkConfig(kind, arguments, dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "virtual_router \"pulse\" {\n  interface = \"eth0\"\n  vrid = 2\n  interval = %q\n  addresses = [\"10.77.1.1\"]\n}\n", pulseInterval)
	if kind == "none" {
		return b.String()
	}
	for i := range checkCount {
		if kind == "https" { // a name of the measurement's
			kind = "http"
		}
		text := strings.ReplaceAll(strings.ReplaceAll(arguments, "%d", strconv.Itoa(i)), "DIR", dir)
		text = strings.ReplaceAll(text, "BINARY", filepath.Base(lab.Binary()))
		fmt.Fprintf(&b, "check %q \"c%d\" {\n  %s\n  interval = \"1s\"\n}\n", kind, i, text)
	}
	return b.String()
}

// cost is what the daemon has used and done until an instant.
type cost struct {
	at                         time.Duration
	own, children              time.Duration
	runs, failed, notRun, late uint64
}

func sample(ctx context.Context, d *lab.Backbeat) (c cost, err error) {
	page, err := d.Status(ctx)
	if err != nil {
		return c, err
	}
	for _, s := range page.Checks {
		c.runs, c.failed, c.notRun, c.late = c.runs+s.Runs, c.failed+s.Failed, c.notRun+s.NotRun, c.late+s.Late
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.Process().PID()))
	if err != nil {
		return c, err
	}
	// After the name, which may contain anything: state is field 3, utime 14, stime 15, and those of ended children 16 and 17.
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(f) < 15 {
		return c, fmt.Errorf("/proc/PID/stat is not understood: %q", text)
	}
	var t [4]time.Duration
	for i := range t {
		n, err := strconv.ParseInt(f[11+i], 10, 64)
		if err != nil {
			return c, err
		}
		t[i] = time.Duration(n) * time.Second / ticks
	}
	c.at, c.own, c.children = lab.Now(), t[0]+t[1], t[2]+t[3]
	return c, nil
}

func (c cost) print(kind string, from cost, sniffer *lab.Sniffer, l *lab.Lab) {
	span := c.at - from.at
	percent := func(d time.Duration) string { return fmt.Sprintf("%.1f", 100*float64(d)/float64(span)) }
	runs := c.runs - from.runs
	each := "-"
	if runs > 0 {
		each = fmt.Sprintf("%.0f", float64((c.own-from.own).Microseconds())/float64(runs))
	}
	fmt.Printf("checks kind=%s checks=%d interval=1s runs_per_s=%.0f cpu_percent=%s children_cpu_percent=%s us_per_run=%s failed=%d not_run=%d late=%d worst_advert_lateness_ms=%s machine_stall_ms=%s\n",
		kind, checkCount, float64(runs)/span.Seconds(), percent(c.own-from.own), percent(c.children-from.children), each,
		c.failed-from.failed, c.notRun-from.notRun, c.late-from.late, millis(worstLate(sniffer, from.at, c.at-time.Second)), millis(l.Stall(from.at)))
}
