package play

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/conf"
	"github.com/backbeat-ha/backbeat/daemon"
)

func configs(t *testing.T, text string, nodes ...string) (out []*daemon.Config) {
	t.Helper()
	for _, n := range nodes {
		cfg, d := conf.Load([]conf.Source{{Name: "test.hcl", Text: []byte(text), Mode: 0o600}}, conf.Options{Override: n})
		if cfg == nil {
			t.Fatal(d.List())
		}
		out = append(out, cfg)
	}
	return out
}

// withChecks is one router on hosts a, b, c with file checks and dependencies.
func withChecks(number int, more string) string {
	var b strings.Builder
	for i := range number {
		fmt.Fprintf(&b, "check \"file\" \"f%d\" { path = \"/f%d\" }\n", i, i)
	}
	return b.String() + `virtual_router "web" {
  interface = "eth0"
  vrid = 61
  priority = { a = 150, b = 100, c = 50 }[node.name]
  addresses = ["192.0.2.10/24"]
  ` + more + "\n}\n"
}

func depends(check, effect string) string {
	return fmt.Sprintf("depends_on {\n check = check.file.%s\n %s\n}\n", check, effect)
}

// The failures that cannot move an address are found, with what would help.
func TestStuck(t *testing.T) {
	for _, tt := range []struct {
		text  string
		nodes string
		want  []string
	}{
		{withChecks(1, depends("f0", `effect = "degrade"`)), "ab", nil},
		{withChecks(1, depends("f0", `effect = "fault"`)), "ab", nil},
		{withChecks(1, depends("f0", "weight = -51")), "ab", nil},
		{withChecks(1, depends("f0", "weight = -50")), "ab", []string{"file.f0 failing on a does not move the address: a falls from 150 to 100, and b has 100. It would take a weight of -51"}},
		{withChecks(1, depends("f0", "weight = -20")), "abc", []string{"on a does not", "file.f0 failing on b while a is away does not move the address: b falls from 100 to 80, and c has 50"}},
		{withChecks(1, depends("f0", "weight = 30")), "ab", []string{"a falls from 180 to 150, and b has 130. It would take a weight of 51 on all hosts"}},
		{withChecks(1, "preempt = false\n"+depends("f0", "weight = -60")), "ab", []string{"b has 100 against 90, but it does not preempt"}},
		{withChecks(1, "preempt = false\n"+depends("f0", `effect = "degrade"`)), "ab", nil},
		{withChecks(2, "depends_on {\n any = [check.file.f0, check.file.f1]\n weight = -20\n}\n"), "ab", []string{"file.f0 and file.f1 failing on a"}},
		{withChecks(2, depends("f0", "weight = -30")+depends("f1", "weight = -30")), "ab", []string{"file.f0 failing on a", "file.f1 failing on a"}},
		{withChecks(1, depends("f0", "weight = -20")), "a", nil},
	} {
		tables, findings, err := Combinations(configs(t, tt.text, strings.Split(tt.nodes, "")...), 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		ok := len(findings) == len(tt.want)
		for i := range min(len(findings), len(tt.want)) {
			ok = ok && strings.Contains(findings[i].Text, tt.want[i])
		}
		if !ok {
			t.Errorf("%s on %s: got %v, want %q", tt.text, tt.nodes, findings, tt.want)
		}
		if n := 1 << (strings.Count(tt.text, "check \"file\"") * len(tt.nodes)); len(tables) != 1 || len(tables[0].Rows) != n || tables[0].Count != uint64(n) {
			t.Errorf("%d tables, %d rows, want %d", len(tables), len(tables[0].Rows), n)
		}
	}
}

// Playing one combination of each constellation is enough: to play each gives
// the same.
func TestConstellations(t *testing.T) {
	rng := rand.New(rand.NewPCG(9568, 1))
	for range 8 {
		more := ""
		for i := range 2 {
			effect := []string{`effect = "degrade"`, `effect = "fault"`, fmt.Sprintf("weight = %d", -1-rng.IntN(120)), fmt.Sprintf("weight = %d", 1+rng.IntN(100))}[rng.IntN(4)]
			more += depends(fmt.Sprintf("f%d", i), effect)
		}
		if rng.IntN(3) == 0 {
			more += "preempt = false\n"
		}
		cfgs := configs(t, withChecks(2, more), "a", "b", "c")
		u := units(cfgs, services(cfgs))[0]
		j := &judge{unit: u, seed: 1, known: map[string][]string{}}
		absent := make([]bool, 3)
		for _, c := range j.every(6, &CheckedUnit{}) {
			list := j.constellations(c.failing)
			known, err := j.serve(list, absent)
			if err != nil {
				t.Fatal(err)
			}
			fresh := &judge{unit: u, seed: 2, known: map[string][]string{}}
			played, err := fresh.serve(list, absent)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(known, played) && distinct(list) {
				t.Fatalf("%s\nfailing %v: %v is known, %v was played (%q)", more, c.failing, known, played, j.key(list, absent))
			}
		}
		if j.played > 64 {
			t.Errorf("%d plays for 64 combinations", j.played)
		}
	}
}

// distinct: equal priorities are decided by chance and address.
func distinct(list []constellation) bool {
	seen := map[uint8]bool{}
	for _, c := range list {
		if seen[c.Priority] && !c.Faulted {
			return false
		}
		seen[c.Priority] = !c.Faulted
	}
	return true
}

// Too many combinations are reduced, and the table says so.
func TestReduced(t *testing.T) {
	for _, tt := range []struct {
		checks, rows int
		says         string
	}{
		{8, 1 << 16, ""},
		{9, 4, "one stands for all"},
		{20, 1 + 2*(20+1), "each check by itself"},
	} {
		var more strings.Builder
		for i := range tt.checks {
			more.WriteString(depends(fmt.Sprintf("f%d", i), `effect = "degrade"`))
		}
		began := time.Now()
		calls := 0
		tables, findings, err := Combinations(configs(t, withChecks(tt.checks, more.String()), "a", "b"), 1, func(done, of int) {
			if calls++; done != calls || of != tt.rows {
				t.Fatalf("%d of %d", done, of)
			}
		})
		if err != nil || len(findings) > 0 {
			t.Fatal(err, findings)
		}
		if n := len(tables[0].Rows); n != tt.rows || !strings.Contains(tables[0].Reduced, tt.says) || (tt.says == "") != (tables[0].Reduced == "") {
			t.Errorf("%d checks: %d rows, want %d: %s", tt.checks, n, tt.rows, tables[0].Reduced)
		}
		rows := tables[0].Merged()
		sum := 0
		for i := range rows {
			sum += int(rows[i].Covers)
		}
		if most := min(1<<(2*tt.checks), 1<<18); sum != most && tt.checks < 20 || len(rows) > 4 {
			t.Errorf("%d rows are merged into %d for %d", tt.rows, len(rows), sum)
		}
		t.Logf("%d checks on two hosts: %v", tt.checks, time.Since(began).Round(time.Millisecond))
	}
}

// A number that a file holds is 0 where nothing is said, and failing takes nothing away.
func TestNumbers(t *testing.T) {
	cfgs := configs(t, "check \"file\" \"n\" {\n path = \"/n\"\n integer = true\n}\n"+withChecks(0, "depends_on {\n check = check.file.n\n weight = -2\n}\n"), "a", "b")
	tables, findings, err := Combinations(cfgs, 1, nil)
	if err != nil || len(findings) != 1 || !strings.Contains(findings[0].Text, "takes nothing away when it cannot be read") {
		t.Errorf("%v %v", err, findings)
	}
	if r := tables[0].Rows[1]; r.Hosts[0].Priority != 150 {
		t.Errorf("%+v", r)
	}
	faults, errs := Parse(cfgs, []Given{{"check", "n=30@a@10s"}}, 0)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	r, err := Run(Options{Hosts: cfgs, Faults: faults})
	if err != nil || r.Addresses[0].Holders[0] != "b" {
		t.Errorf("%v: %+v", err, r.Addresses)
	}
}

// The hosts' own addresses are those that the configurations say, or fit, and are never virtual.
func TestCast(t *testing.T) {
	unicast := `virtual_router "web" {
  interface = { a = "ens1", b = "eno2", c = "eth0" }[node.name]
  vrid = 61
  priority = { a = 150, b = 100, c = 50 }[node.name]
  addresses = ["192.0.2.10/24"]
  peers = { a = ["10.0.0.2", "10.0.0.3"], b = ["10.0.0.1", "10.0.0.3"], c = ["10.0.0.1", "10.0.0.2"] }[node.name]
}
`
	full := strings.Replace(withChecks(0, ""), `["192.0.2.10/24"]`, `["192.0.2.1/29", "192.0.2.2/29", "192.0.2.3/29", "192.0.2.4/29", "192.0.2.5/29", "192.0.2.6/29"]`, 1)
	owner := strings.Replace(withChecks(0, "owner = node.name == \"a\""), "priority = { a = 150, b = 100, c = 50 }[node.name]", "", 1)
	six := `virtual_router "web6" {
  interface = "eth0"
  vrid = 61
  priority = { a = 150, b = 100, c = 50 }[node.name]
  addresses = ["fe80::1/64"]
  peers = { a = ["2001:db8::2"], b = ["2001:db8::1"] }[node.name]
}
`
	for _, tt := range []struct {
		text, nodes string
		want        string
	}{
		{unicast, "abc", "10.0.0.1/24 10.0.0.2/24 10.0.0.3/24"},
		{withChecks(0, ""), "abc", "192.0.2.247/24 192.0.2.248/24 192.0.2.249/24"},
		{strings.Replace(withChecks(0, ""), ".10/24", ".248/24", 1), "abc", "192.0.2.247/24 192.0.2.249/24 192.0.2.250/24"},
		{full, "ab", "10.255.0.249/24 10.255.0.250/24"},
		{owner, "ab", "192.0.2.249/24"}, // a has its address
		{six, "ab", "2001:db8::1/64 fe80::1:ff01/64 2001:db8::2/64 fe80::1:ff02/64"},
	} {
		cfgs := configs(t, tt.text, strings.Split(tt.nodes, "")...)
		c := newCast(cfgs)
		var got []string
		for _, h := range c.specs {
			for _, n := range h.NICs {
				for _, a := range n.Own {
					got = append(got, a.String())
				}
			}
		}
		if s := strings.Join(got, " "); s != tt.want || len(c.links) != 1 {
			t.Errorf("%s: %s on %d links, want %s", tt.text, s, len(c.links), tt.want)
		}
		r, err := Run(Options{Hosts: cfgs})
		if err != nil || len(r.Findings) > 0 || r.Addresses[0].Holders[0] != "a" {
			t.Errorf("%s: %v %v", tt.text, err, r.Findings)
		}
	}
}

// Interfaces hear each other by what they carry, then by their names, and a host
// is on a link once.
func TestLinks(t *testing.T) {
	text := `virtual_router "one" {
  interface = { a = "eth0", b = "eth1" }[node.name]
  vrid = 1
  addresses = ["10.1.0.1/24"]
  depends_on { link = "eth7" }
}
virtual_router "two" {
  interface = { a = "eth1", b = "eth0" }[node.name]
  vrid = 2
  addresses = ["10.2.0.1/24"]
}
`
	cfgs := configs(t, text, "a", "b")
	if got, want := fmt.Sprint(links(cfgs, services(cfgs))), "[[{0 eth0} {1 eth1}] [{0 eth1} {1 eth0}] [{0 eth7} {1 eth7}]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// What the table takes for ill is what the loop does.
func TestAssess(t *testing.T) {
	cfgs := configs(t, withChecks(2, depends("f0", "weight = -30")+depends("f1", "")), "a")
	h := units(cfgs, services(cfgs))[0].hosts[0]
	for _, tt := range []struct {
		failing  []string
		priority uint8
		ill      int
	}{{nil, 150, 0}, {[]string{"file.f0"}, 120, 1}, {[]string{"file.f1"}, checks.Degraded(150), 1}, {[]string{"file.f0", "file.f1"}, checks.Degraded(120), 2}} {
		if a, ill := h.assess(tt.failing); a.Priority != tt.priority || len(ill) != tt.ill {
			t.Errorf("%v: %+v, %d ill", tt.failing, a, len(ill))
		}
	}
}
