package main

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// A virtual address that is the host's own is known before two hosts have it.
func TestCheckLooksForOwnAddresses(t *testing.T) {
	path := write(t, "o.hcl", goodFile)
	check := func(b *bench, args ...string) (int, string, string) {
		return b.run(append([]string{"check", "--runtime-dir", t.TempDir()}, args...)...)
	}
	b := newBench()
	b.addresses = func() ([]ownedAddress, error) {
		return []ownedAddress{{netip.MustParseAddr("192.0.2.1"), "eth0"}, {netip.MustParseAddr("192.0.2.10"), "eth0"}}, nil
	}
	code, out, errs := check(b, path)
	if code != 0 || strings.Count(errs, "Warning:") != 1 || !strings.Contains(errs, "192.0.2.10 is on this host already, on eth0") ||
		!strings.Contains(errs, `addresses = ["192.0.2.10`) || !strings.Contains(errs, "owner = true") || !strings.Contains(out, "1 warning") {
		t.Errorf("exit %d, %q: %s", code, out, errs)
	}
	_, out, _ = check(b, "-o", "json", path)
	var a checkAnswer
	if err := json.Unmarshal([]byte(out), &a); err != nil || a.Warnings != 1 || a.Diagnostics[0].File != path || a.Diagnostics[0].Line == 0 || a.Diagnostics[0].Column == 0 {
		t.Errorf("%v: %s", err, out)
	}
	for what, args := range map[string][]string{"another node": {"--node", "web2", path}, "several": {"--node", "web1,web2", path},
		"the owner": {write(t, "owner.hcl", strings.Replace(goodFile, "vrid ", "owner = true\n  vrid ", 1))}} {
		if _, _, errs := check(b, args...); strings.Contains(errs, "on this host already") {
			t.Errorf("%s: %s", what, errs)
		}
	}
	b.addresses = func() ([]ownedAddress, error) { return nil, errors.New("no netlink") }
	if _, _, errs := check(b, path); errs != "" {
		t.Errorf("nothing is known, and it says %s", errs)
	}
}
