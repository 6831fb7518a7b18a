package importer

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// heartbeat is what ha.cf says (ha.cf(5) of Heartbeat 3.0.6).
type heartbeat struct {
	deadtime, warntime, initdead time.Duration
	nodes                        []string
	failback                     string
	links                        []link
	pings                        []string
}

// link is a bcast, mcast or ucast line.
type link struct {
	dev, kind string
	peers     []string
	file      string
	line      int
}

// quietHA are words of ha.cf for what is always so here, or about Heartbeat's own processes.
var quietHA = set("use_logd", "logfile", "logfacility", "debugfile", "debug", "keepalive", "udpport", "realtime", "nice", "conn_logd_time", "log_badpack", "syslogmsgfmt", "coredumps", "hopfudge",
	"compression", "compression_threshold", "traditional_compression", "max_rexmit_delay", "autojoin", "uuidfrom", "rtprio", "msgfmt", "memreserve", "cluster", "quorum_server", "apiauth", "deadping", "gen", "hbgenmethod", "initstall", "auto_failback", "node", "deadtime",
	"warntime", "initdead", "bcast", "mcast", "ucast", "ping")

// readHA reads ha.cf; what it says about itself is noted.
func (w *writer) readHA(text string) *heartbeat {
	h := &heartbeat{deadtime: 30 * time.Second, failback: "legacy"}
	line := 0
	for l := range strings.SplitSeq(text, "\n") {
		line++
		l, _, _ = strings.Cut(l, "#")
		f := strings.Fields(l)
		if len(f) == 0 {
			continue
		}
		h.directive(w, f, line)
	}
	if h.warntime > 0 && h.warntime >= h.deadtime {
		w.note(0, "warntime %v is not less than deadtime %v, so Heartbeat could never warn; here late adverts are counted and told at once", h.warntime, h.deadtime)
	}
	if h.failback == "legacy" {
		w.note(0, "auto_failback is not said, or legacy: taken for on")
	}
	return h
}

func (h *heartbeat) directive(w *writer, f []string, line int) {
	arg := ""
	if len(f) > 1 {
		arg = f[1]
	}
	at := func(to *time.Duration) {
		d, ok := haTime(arg)
		if !ok {
			w.missing(line, "%s: not a time", strings.Join(f, " "))
			return
		}
		*to = d
	}
	switch f[0] {
	case "deadtime":
		at(&h.deadtime)
	case "warntime":
		at(&h.warntime)
	case "initdead":
		at(&h.initdead)
	case "auto_failback":
		h.failback = strings.ToLower(arg)
	case "node":
		h.nodes = append(h.nodes, f[1:]...)
	case "bcast":
		for _, dev := range f[1:] {
			h.links = append(h.links, link{dev: dev, kind: "bcast", file: w.file, line: line})
		}
	case "mcast":
		h.links = append(h.links, link{dev: arg, kind: "mcast", file: w.file, line: line})
	case "ucast":
		h.ucast(w, f, line)
	case "ping", "ping_group":
		targets := f[1:]
		if f[0] == "ping_group" && len(targets) > 0 {
			targets = targets[1:]
		}
		for _, t := range targets {
			if a, err := netip.ParseAddr(t); err == nil {
				h.pings = append(h.pings, a.String())
			} else {
				w.missing(line, "ping %s: a check \"icmp\" takes addresses", t)
			}
		}
	case "serial", "baud":
		w.missing(line, "%s: adverts go over the network only", strings.Join(f, " "))
	case "crm", "pacemaker":
		if slices.Contains([]string{"off", "no", "false", "0", "n"}, strings.ToLower(arg)) {
			return // haresources is what runs
		}
		w.missing(line, "%s: this is a cluster of Pacemaker; haresources is not what it runs", strings.Join(f, " "))
	case "stonith", "stonith_host":
		w.missing(line, "%s: write safety { mode = \"fence\" … } with a fence device in the service group", f[0])
	case "watchdog":
		w.note(line, "watchdog: the unit file has systemd's")
	case "respawn":
		if !strings.Contains(strings.Join(f, " "), "ipfail") {
			w.missing(line, "%s: a program of its own", strings.Join(f, " "))
		}
	default:
		if !quietHA[f[0]] {
			w.missing(line, "unknown directive %q", strings.Join(f, " "))
		}
	}
}

func (h *heartbeat) ucast(w *writer, f []string, line int) {
	if len(f) < 3 {
		w.missing(line, "%s: a device and a peer's address are needed", strings.Join(f, " "))
		return
	}
	a, err := netip.ParseAddr(f[2])
	if err != nil || !a.Is4() {
		w.missing(line, "%s: the peer is not an IPv4 address", strings.Join(f, " "))
		return
	}
	i := slices.IndexFunc(h.links, func(l link) bool { return l.dev == f[1] && l.kind == "ucast" })
	if i < 0 {
		h.links = append(h.links, link{dev: f[1], kind: "ucast", file: w.file, line: line})
		i = len(h.links) - 1
	}
	h.links[i].peers = append(h.links[i].peers, a.String())
}

// haTime reads a time of ha.cf: seconds, or with "ms" behind it.
func haTime(s string) (time.Duration, bool) {
	if ms, ok := strings.CutSuffix(s, "ms"); ok {
		n, err := strconv.Atoi(ms)
		return time.Duration(n) * time.Millisecond, err == nil && n >= 0
	}
	return span(s)
}

// lowest is the priority of a host that is not preferred.
const lowest = 100

// interval is the longest one with which a Backup of the lowest priority takes
// over within deadtime: 3 intervals and Skew_Time, (256 - priority)/256 of one
// (RFC 9568 6.1).
func (h *heartbeat) interval() time.Duration {
	t := h.deadtime * 256 / (3*256 + 256 - lowest)
	return min(max(t.Truncate(10*time.Millisecond), 10*time.Millisecond), 40950*time.Millisecond)
}
