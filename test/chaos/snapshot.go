package chaos

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// everything prints what of a host's network a daemon could leave changed: links,
// addresses, routes, rules, nftables, and the switches of its interfaces.
const everything = `ip -o link | sed 's/^/link /'
ip -o addr | sed 's/^/address /'
ip -4 route show table all | sed 's/^/route /'
ip -6 route show table all | sed 's/^/route /'
ip -4 rule | sed 's/^/rule /'
ip -6 rule | sed 's/^/rule /'
nft list ruleset | sed 's/^/nft /'
cd /proc/sys/net && grep -rs . ipv4/conf ipv6/conf ipv4/ip_forward | sed 's/^/sysctl /'
true`

// unsteady is what differs though it is the same: numbers of interfaces, lifetimes,
// the state of a queue, and of an IPv6 address that the kernel still tries (the
// host's own, where the first snapshot is taken as soon as it has been made).
var unsteady = regexp.MustCompile(`^((?:link|address) )\d+: |@if\d+|link-netns(?:id)? \S+|(?:valid|preferred)_lft \S+| expires \d+sec| pref medium| tentative|qdisc \S+|qlen \d+|\\ .*brd ff:ff`)

// snapshot is the network of a host, one line a thing.
func snapshot(ctx context.Context, h *lab.Host) ([]string, error) {
	text, err := h.Run(ctx, "sh", "-c", everything)
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.Contains(line, "/promote_secondaries:"): // stays on, see docs/operations.md
		case strings.Contains(line, "/base_reachable_time"), strings.Contains(line, "stable_secret"):
		default:
			out = append(out, steady(line))
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// steady is a line without what is unsteady in it.
func steady(line string) string { return unsteady.ReplaceAllString(line, "$1") }

// differences are the lines that only one of two snapshots has.
func differences(before, after []string) (out []string) {
	for _, l := range after {
		if !slices.Contains(before, l) {
			out = append(out, "+ "+l)
		}
	}
	for _, l := range before {
		if !slices.Contains(after, l) {
			out = append(out, "- "+l)
		}
	}
	return out
}

// leftProcesses names what still runs on a host.
func leftProcesses(h *lab.Host) []string {
	var out []string
	for _, pid := range h.Processes("") {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		out = append(out, fmt.Sprintf("+ process %d: %q", pid, line))
	}
	return out
}
