package conf

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
)

// group9 is a service group of router x, with the lines given.
func group9(lines ...string) string {
	return router9(`addresses = ["10.0.0.1/24"]`) + "service_group \"g\" {\n  follows = virtual_router.x\n  " + strings.Join(lines, "\n  ") + "\n}\n"
}

const accepted = `safety {
    mode               = "none"
    accept_split_brain = true
  }`

// usualStep has the defaults of a kind.
func usualStep(name string, start, stop, interval, look time.Duration, a actions.Agent) actions.StepSpec {
	return actions.StepSpec{Name: name, Agent: a, StartTimeout: start, StopTimeout: stop, Restarts: 3, Window: 10 * time.Minute,
		Monitor: actions.MonitorSpec{Interval: interval, Timeout: look, Failures: 1}}
}

// TestServiceGroup loads a group with a step of each kind; the order is the file's.
func TestServiceGroup(t *testing.T) {
	const s = time.Second
	text := group9(accepted,
		`addresses_when = "ready"`, `on_stuck = "reboot"`, `hold_off = "1m"`, `qualify = "0s"`,
		`step "drbd" "d" { resource = "r0" }`,
		`step "filesystem" "f" {`, `drbd = "r0"`, `volume = 1`, `target = "/srv/f"`, `type = "ext4"`, `options = ["noatime"]`, `kill = false`, `}`,
		`step "lsb" "l" { script = "asterisk" }`,
		`step "systemd" "s" {`, `unit = "apache2"`, `retries = 2`, `restarts = 1`, `window = "1h"`, `on_failure = "restart"`, `start_timeout = "10s"`, `stop_timeout = "20s"`,
		`monitor {`, `interval = "5s"`, `timeout = "4s"`, `failures = 3`, `}`, `}`,
		`step "ocf" "o" {`, `agent = "ocf:heartbeat:apache"`, `params = { statusurl = "http://127.0.0.1/", port = 80, none = null }`, `secrets = { pin = "file:/etc/pin" }`, `check_level = 10`, `}`,
		`step "exec" "e" {`, `start = ["/bin/a", "b"]`, `stop = ["/bin/a"]`, `on_failure = "ignore"`, `}`,
		`step "postgresql" "p" {`, `data = "/var/lib/pg"`, `bin = "/usr/lib/pg/bin"`, `max_lag = "16MiB"`, `}`,
		`step "redis" "r" { follow = "10.0.0.1:6379" }`,
		`step "address" "a" { address = "10.0.0.2/24" }`,
		`step "route" "n" {`, `destination = "10.8.0.0/16"`, `via = "10.0.0.9"`, `}`)
	cfg, diags := load(t, text, Options{Node: "web1"})
	if len(diags.List()) > 0 {
		t.Error(render(t, diags))
	}
	web := usualStep("systemd.s", 10*s, 20*s, 5*s, 4*s, actions.Systemd{Unit: "apache2.service"})
	web.Retries, web.Restarts, web.Window, web.Monitor.Failures = 2, 1, time.Hour, 3
	own := usualStep("exec.e", 60*s, 60*s, 30*s, 30*s, actions.Command{Start: []string{"/bin/a", "b"}, Stop: []string{"/bin/a"}, User: "root"})
	own.OnFailure = actions.OnFailureIgnore
	want := []daemon.ServiceConfig{{
		Follows: []string{"x"}, WhenReady: true,
		Ladder: actions.LadderSpec{
			Name: "g", OnStuck: actions.StuckReboot, HoldOff: time.Minute, HoldOffMax: 10 * time.Minute,
			Safety: actions.SafetySpec{Mode: actions.SafetyNone, ReleaseTimeout: time.Minute},
			Steps: []actions.StepSpec{
				usualStep("drbd.d", 60*s, 60*s, 10*s, 20*s, actions.DRBD{Resource: "r0", Admin: "/usr/sbin/drbdadm", Setup: "/usr/sbin/drbdsetup"}),
				usualStep("filesystem.f", 60*s, 60*s, 20*s, 30*s, actions.Filesystem{DRBD: "r0", Volume: 1, Admin: "/usr/sbin/drbdadm", Setup: "/usr/sbin/drbdsetup", Target: "/srv/f", Type: "ext4", Options: []string{"noatime"}, Fsck: "auto", Shared: true}),
				usualStep("lsb.l", 60*s, 60*s, 30*s, 30*s, actions.LSB{Script: "/etc/init.d/asterisk", User: "root"}),
				web,
				usualStep("ocf.o", 60*s, 60*s, 30*s, 30*s, actions.OCF{Provider: "heartbeat", Type: "apache", Root: "/usr/lib/ocf", CheckLevel: 10,
					Params: []actions.Option{{Name: "pin", Value: "file:/etc/pin", Secret: true}, {Name: "port", Value: "80"}, {Name: "statusurl", Value: "http://127.0.0.1/"}}}),
				own,
				usualStep("postgresql.p", 120*s, 120*s, 10*s, 20*s, actions.PostgreSQL{Data: "/var/lib/pg", Bin: "/usr/lib/pg/bin", Host: "/var/run/postgresql", Port: 5432,
					User: "postgres", Role: "postgres", Database: "postgres", MaxLag: 16 << 20}),
				usualStep("redis.r", 60*s, 60*s, 10*s, 10*s, actions.Redis{Address: "127.0.0.1:6379", Follow: "10.0.0.1:6379"}),
				usualStep("address.a", 10*s, 10*s, 10*s, 5*s, actions.AddressStep{Prefix: netip.MustParsePrefix("10.0.0.2/24"), Interface: "eth0"}),
				usualStep("route.n", 10*s, 10*s, 10*s, 5*s, actions.RouteStep{Route: actions.Route{Dst: netip.MustParsePrefix("10.8.0.0/16"), Via: netip.MustParseAddr("10.0.0.9")}}),
			},
		},
	}}
	same(t, want, cfg.Services)
	again, _ := load(t, text, Options{Node: "web1"})
	if !cfg.Services[0].Equal(&again.Services[0]) {
		t.Error("the same text gives another group")
	}
	if got := diags.HookPlace("service_group.g", "exec.e.start"); !strings.HasPrefix(got, "test.hcl:") || diags.ServicePlace("g") == "" {
		t.Errorf("place of a step's command: %q", got)
	}
}

// TestFollows: what a group follows, and all groups sorted by name.
func TestFollows(t *testing.T) {
	text := `
virtual_router "two" {
  interface = "eth0"
  vrid      = 1
  election  = "both"
  addresses = ["10.0.0.1/24", "fe80::1/64"]
}
virtual_router "in" {
  interface = "eth1"
  vrid      = 2
  addresses = ["10.1.0.1/24"]
}
virtual_router "out" {
  interface = "eth2"
  vrid      = 2
  addresses = ["10.2.0.1/24"]
}
sync_group "gw" { routers = [virtual_router.out, virtual_router.in] }
service_group "z" {
  follows = sync_group.gw
  step "systemd" "a" { unit = "a" }
}
service_group "b" {
  follows = virtual_router.two
  step "systemd" "b" { unit = "b.timer" }
}
`
	cfg, _ := load(t, text, Options{Node: "web1"})
	var got []string
	for _, g := range cfg.Services {
		got = append(got, g.Ladder.Name+": "+strings.Join(g.Follows, " "))
	}
	same(t, []string{"b: two.ipv4 two.ipv6", "z: in out"}, got)
}

// TestFence: the devices of this host, in the order of the file.
func TestFence(t *testing.T) {
	text := group9(`safety {`, `mode = "fence"`, `release_timeout = "90s"`,
		`fence "ipmi" {`, `command = ["/usr/sbin/fence_ipmilan"]`, `target = { web1 = "web2", web2 = "web1" }[node.name]`,
		`options = { ip = { web1 = "10.9.0.2", web2 = "10.9.0.1" }[node.name], lanplus = true }`, `secrets = { password = env("IPMI") }`, `delay = "5s"`, `}`,
		`fence "pdu" {`, `command = ["/usr/sbin/fence_apc"]`, `target = "web2"`, `action = "reboot"`, `timeout = "20s"`, `user = "fence"`, `}`, `}`,
		`step "drbd" "d" { resource = "r0" }`)
	cfg, _ := load(t, text, Options{Node: "web1", Getenv: env(map[string]string{"IPMI": "hunter2"})})
	same(t, actions.SafetySpec{Mode: actions.SafetyFence, ReleaseTimeout: 90 * time.Second, Fence: []actions.FenceSpec{
		{Name: "ipmi", Command: []string{"/usr/sbin/fence_ipmilan"}, Target: "web2", Action: "off", User: "root", Timeout: time.Minute, Delay: 5 * time.Second,
			Options: []actions.Option{{Name: "ip", Value: "10.9.0.2"}, {Name: "lanplus", Value: "true"}, {Name: "password", Value: "hunter2", Secret: true}}},
		{Name: "pdu", Command: []string{"/usr/sbin/fence_apc"}, Target: "web2", Action: "reboot", User: "fence", Timeout: 20 * time.Second},
	}}, cfg.Services[0].Ladder.Safety)
}

// TestExclusive: which steps need a safety block.
func TestExclusive(t *testing.T) {
	for step, want := range map[string]bool{
		`step "filesystem" "f" {` + "\n    device = \"/dev/drbd/by-res/r/0\"\n    target = \"/srv/f\"\n}":                               true,
		`step "filesystem" "f" {` + "\n    device = \"/dev/mapper/mpatha\"\n    target = \"/srv/f\"\n}":                                 true,
		`step "filesystem" "f" {` + "\n    device = \"UUID=1234\"\n    target = \"/srv/f\"\n}":                                          true,
		`step "filesystem" "f" {` + "\n    device = \"UUID=1234\"\n    target = \"/srv/f\"\n    shared = false\n}":                      false,
		`step "filesystem" "f" {` + "\n    device = \"nas:/export\"\n    target = \"/srv/f\"\n    type = \"nfs\"\n}":                    false,
		`step "filesystem" "f" {` + "\n    device = \"//nas/share\"\n    target = \"/srv/f\"\n    type = \"cifs\"\n}":                   false,
		`step "filesystem" "f" {` + "\n    device = \"[2001:db8::1]:/export\"\n    target = \"/srv/f\"\n}":                              false,
		`step "filesystem" "f" {` + "\n    device = \"tmpfs\"\n    target = \"/srv/f\"\n    type = \"tmpfs\"\n}":                        false,
		`step "filesystem" "f" {` + "\n    device = \"nas:/export\"\n    target = \"/srv/f\"\n    type = \"nfs\"\n    shared = true\n}": true,
		`step "filesystem" "f" {` + "\n    device = \"/srv/a\"\n    target = \"/srv/f\"\n    options = [\"bind\"]\n}":                   false,
		`step "ocf" "f" { agent = "ocf:heartbeat:Filesystem" }`:                                                                         true,
		`step "ocf" "f" {` + "\n    agent = \"ocf:heartbeat:Filesystem\"\n    exclusive = false\n}":                                     false,
		`step "ocf" "f" { agent = "ocf:heartbeat:mysql" }`:                                                                              false,
		`step "ocf" "f" {` + "\n    agent = \"ocf:heartbeat:mysql\"\n    exclusive = true\n}":                                           true,
		`step "ocf" "f" {` + "\n    agent = \"ocf:own:thing\"\n    promotable = true\n}":                                                true,
		`step "exec" "f" {` + "\n    start = [\"/bin/a\"]\n    stop = [\"/bin/a\"]\n    status = [\"/bin/a\"]\n    exclusive = true\n}": true,
		`step "exec" "f" {` + "\n    start = [\"/bin/a\"]\n    stop = [\"/bin/a\"]\n}":                                                  false,
		`step "postgresql" "f" {` + "\n    data = \"/d\"\n    bin = \"/b\"\n}":                                                          true,
		`step "systemd" "f" { unit = "mariadb" }`:                                                                                       false,
		`step "systemd" "f" {` + "\n    unit = \"mariadb\"\n    exclusive = true\n}":                                                    true,
		`step "lsb" "f" { script = "mariadb" }`:                                                                                         false,
		`step "lsb" "f" {` + "\n    script = \"mariadb\"\n    exclusive = true\n}":                                                      true,
	} {
		_, diags := Load([]Source{{Name: "test.hcl", Text: []byte(group9(step))}}, Options{Node: "web1"})
		refused := strings.Contains(render(t, diags), "has data that two hosts must never write at once")
		if refused != want || diags.HasErrors() != want {
			t.Errorf("%s: exclusive is %v:\n%s", step, refused, render(t, diags))
		}
		cfg, diags := Load([]Source{{Name: "test.hcl", Text: []byte(group9(accepted, step))}}, Options{Node: "web1"})
		switch {
		case cfg == nil:
			t.Errorf("%s:\n%s", step, render(t, diags))
		case want && cfg.Services[0].Ladder.Safety.Mode != actions.SafetyNone:
			t.Errorf("%s: mode is %v", step, cfg.Services[0].Ladder.Safety.Mode)
		case !want && (cfg.Services[0].Ladder.Safety.Mode != actions.SafetyNotNeeded || !strings.Contains(render(t, diags), "safety does nothing")):
			t.Errorf("%s: no warning:\n%s", step, render(t, diags))
		}
	}
}

// TestSecretsOfAgents: no message shows one, whatever is wrong.
func TestSecretsOfAgents(t *testing.T) {
	for _, step := range []string{
		`secrets = { a = "hunter2" }`, `secrets = "hunter2"`, `secrets = { a = ["hunter2"] }`, `secrets = { a = hunter2 }`, `secrets = hunter2`,
		`secrets = { "hunter 2" = 1, a = "hunter2` + "\\n" + `hunter2" }`, `secrets { a = "hunter2" }`, `secret = { a = "hunter2" }`, `secrets = { a = "hunter2" `,
		`params = { passwd = "hunter2" }`, `params = { password = hunter2 }`, `secrets = { a = tonumber("hunter2") }`, `secrets = { a = "file:hunter2" }`,
		`secrets = { a = "hunter2", a = "hunter2" }`,
	} {
		text := group9("step \"ocf\" \"o\" {\n    agent = \"ocf:own:thing\"\n    colour = 1\n    " + step + "\n  }")
		_, diags := Load([]Source{{Name: "test.hcl", Text: []byte(text), Mode: 0o644}}, Options{Node: "web1"})
		if all := everything(t, diags); strings.Contains(all, "hunter") || !diags.HasErrors() {
			t.Errorf("%s:\n%s", step, all)
		}
	}
}

// TestSecretInAnOpenFile: the value in the file is warned of, its place is not.
func TestSecretInAnOpenFile(t *testing.T) {
	for secrets, want := range map[string]bool{
		`{ a = "hunter2" }`: true, `{ a = "file:/etc/a" }`: false, `{ a = env("A") }`: false, `{ a = "file:/etc/a", b = "x" }`: true, `merge({ a = "x" })`: true,
	} {
		text := group9("step \"ocf\" \"o\" {\n    agent = \"ocf:own:thing\"\n    secrets = " + secrets + "\n  }")
		_, diags := Load([]Source{{Name: "test.hcl", Text: []byte(text), Mode: 0o644}}, Options{Node: "web1", Getenv: env(map[string]string{"A": "x"})})
		if got := strings.Contains(render(t, diags), "Everybody may read secrets"); got != want {
			t.Errorf("%s: warned is %v:\n%s", secrets, got, render(t, diags))
		}
	}
}
