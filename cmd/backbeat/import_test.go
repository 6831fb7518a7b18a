package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestImport(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"haresources":     "node1 IPaddr::100.200.230.1/100.200.230.6 named httpd mysqld\n",
		"ha.cf":           "deadtime 5\nwarntime 10\nbcast eth0\nauto_failback on\nnode node1\nnode node2\n",
		"keepalived.conf": "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n smtp_alert\n virtual_ipaddress { 192.0.2.1/24 }\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	alone := filepath.Join(t.TempDir(), "haresources")
	if err := os.WriteFile(alone, []byte("n1 10.0.0.1/24/eth3 httpd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args     string
		code     int
		out, err string
	}{
		{"haresources " + dir, exitDone, `step "systemd" "mysqld"`, "is not a gateway"},
		{"haresources --strict " + dir, exitDone, `interval  = "1.38s"`, "warntime 10s"},
		{"haresources --lsb --vrid 7 " + filepath.Join(dir, "haresources"), exitDone, "vrid      = 7", "authkeys"},
		{"haresources " + alone, exitDone, `interface = "eth3"`, "there is no ha.cf"},
		{"haresources --ha-cf /nowhere/ha.cf " + alone, exitNot, "", "/nowhere/ha.cf"},
		{"haresources --vrid 300 " + alone, exitUsage, "", "--vrid takes 1–255"},
		{"haresources /nowhere", exitNot, "", "no such file"},
		{"keepalived " + dir + "/keepalived.conf", exitDone, `virtual_router "VI_1"`, "1 thing to do by hand"},
		{"keepalived --strict " + dir + "/keepalived.conf", exitNot, `virtual_router "VI_1"`, "smtp_alert"},
		{"keepalived", exitUsage, "", "takes one FILE"},
		{"", exitUsage, "", "from what?"},
		{"crm x", exitUsage, "", "from what?"},
	} {
		code, out, errs := newBench().run(append([]string{"import"}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.err) || c.out == "" && out != "" {
			t.Errorf("import %s: %d\n%s\n%s", c.args, code, out, errs)
		}
	}
}
