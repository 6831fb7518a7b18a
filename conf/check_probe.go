package conf

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/backbeat-ha/backbeat/checks"
)

// probe is the table of the kinds.
func (d *decoder) probe(s *section) checks.Probe {
	switch s.def.kind {
	case "exec":
		v := s.get("command")
		d.command(v)
		if u := s.get("user"); u.ok && strings.ContainsAny(u.text, " \t\r\n:/\x00") {
			d.errorf(u.at, "Unusable account name", "%q is not the name of an account: see getent passwd.", u.text)
		}
		if v.ok {
			d.programs[hookKey{"", "exec." + s.name}] = v.each[0]
		}
		return checks.Exec{Command: v.texts, User: s.get("user").text, Env: d.environment(s.get("environment"))}
	case "http":
		return d.httpProbe(s)
	case "tcp":
		return d.tcpProbe(s)
	case "icmp":
		return d.icmpProbe(s)
	case "dns":
		return d.dnsProbe(s)
	case "systemd":
		return d.systemdProbe(s)
	case "file":
		return d.fileProbe(s)
	case "process":
		return d.processProbe(s)
	case "link":
		return checks.Link{Interface: d.checkInterface(s.get("interface")), MinSpeed: s.get("min_speed").num}
	case "address":
		return checks.Address{Address: d.checkAddress(s.get("address")), Interface: d.checkInterface(s.get("interface")), Absent: s.get("absent").yes}
	case "route":
		return d.routeProbe(s)
	case "load":
		return d.loadProbe(s)
	case "disk":
		return d.diskProbe(s)
	default: // the table and this list agree; a test holds them to it
		panic("conf: no probe for kind " + s.def.kind)
	}
}

func (d *decoder) httpProbe(s *section) checks.Probe {
	v := checks.HTTP{URL: s.get("url").text, Method: s.get("method").text, Match: d.expression(s.get("match")), NotMatch: d.expression(s.get("not_match")),
		Host: s.get("host").text, Unix: d.absolute(s.get("unix")), FollowRedirects: s.get("follow_redirects").yes, Source: d.checkAddress(s.get("source")), TLS: d.tls(s)}
	if at := s.get("url"); at.ok {
		u, err := url.Parse(v.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			d.errorf(at.at, "Not a URL of a web server", "Write one that begins with http:// or https:// and names a host, for example \"http://127.0.0.1/\".")
		} else if u.User != nil {
			d.errorf(at.at, "User and password in a URL", "They would show in messages. A check should ask for a page that needs none.")
		}
	}
	for i, text := range s.get("headers").texts {
		name, content, ok := strings.Cut(text, ":")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(text, "\r\n\x00") || strings.ContainsAny(name, " \t()<>@,;\\\"/[]?={}") {
			d.errorf(s.get("headers").each[i], "Not a header", "Write one like \"X-Check: backbeat\".")
			continue
		}
		v.Headers = append(v.Headers, checks.Header{Name: name, Value: strings.TrimSpace(content)})
	}
	for i, text := range s.get("status").texts {
		r, ok := statusRange(text)
		if !ok {
			d.errorf(s.get("status").each[i], fmt.Sprintf("%q is no status code", text), "Write a code like \"200\", or a range of codes like \"200-299\"; codes are 100–599.")
		}
		v.Status = append(v.Status, r)
	}
	return v
}

func statusRange(text string) (checks.StatusRange, bool) {
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	from, err1 := strconv.Atoi(low)
	to, err2 := strconv.Atoi(high)
	return checks.StatusRange{From: from, To: to}, err1 == nil && err2 == nil && from >= 100 && to <= 599 && from <= to
}

func (d *decoder) tls(s *section) checks.TLS {
	return checks.TLS{On: s.get("tls").yes, SkipVerify: !s.get("verify").yes, ServerName: s.get("server_name").text, CA: d.absolute(s.get("ca_file")),
		Remaining: s.get("certificate_remaining").time}
}

func (d *decoder) tcpProbe(s *section) checks.Probe {
	v := checks.TCP{Address: s.get("address").text, Unix: d.absolute(s.get("unix")), Send: s.get("send").text, Expect: d.expression(s.get("expect")),
		Source: d.checkAddress(s.get("source")), TLS: d.tls(s)}
	at := s.get("address")
	switch {
	case v.Address != "" && v.Unix != "":
		d.errorf(at.at, "address and unix", "One of the two is asked. Remove the other.")
	case v.Address == "" && v.Unix == "" && at.ok && s.get("unix").ok:
		d.errorf(s.header, "Connect where?", "Write address = \"127.0.0.1:6379\", or unix with the path of a socket.")
	case v.Address != "":
		host, port, err := net.SplitHostPort(v.Address)
		if n, bad := strconv.Atoi(port); err != nil || host == "" || bad != nil || n < 1 || n > 65535 {
			d.errorf(at.at, "Not host and port", "Write them with a colon between, for example \"127.0.0.1:6379\" or \"[::1]:6379\".")
		}
	}
	return v
}

func (d *decoder) fileProbe(s *section) checks.Probe {
	v := checks.File{Path: d.absolute(s.get("path")), Absent: s.get("absent").yes, MaxAge: s.get("max_age").time, Integer: s.get("integer").yes, Match: d.expression(s.get("match"))}
	if v.Absent && (v.MaxAge > 0 || v.Integer || v.Match != "") {
		d.errorf(s.get("absent").at, "absent, and something about what is in it", "With absent = true nothing else is looked at. Remove one of the two.")
	}
	if v.Integer && v.Match != "" {
		d.errorf(s.get("match").at, "integer and match", "One of the two is looked at. Remove the other.")
	}
	return v
}

func (d *decoder) processProbe(s *section) checks.Probe {
	v := checks.Process{Name: s.get("name").text, PIDFile: d.absolute(s.get("pid_file")), Min: s.get("min").num, Max: s.get("max").num}
	switch {
	case v.Name == "" && v.PIDFile == "" && s.get("name").ok && s.get("pid_file").ok:
		d.errorf(s.header, "Which process?", "Write name = \"named\", or pid_file with the path of its pid file.")
	case strings.Contains(v.Name, "/"):
		d.errorf(s.get("name").at, "name is a path", "Write the last part only: %q.", path.Base(v.Name))
	case v.Max > 0 && v.Max < v.Min:
		d.errorf(s.get("max").at, "max is less than min", "Then it could never be healthy.")
	}
	return v
}

func (d *decoder) routeProbe(s *section) checks.Probe {
	v := checks.Route{Via: d.checkAddress(s.get("via")), Interface: d.checkInterface(s.get("interface")), Table: uint32(s.get("table").num)}
	to := s.get("destination")
	switch p, err := netip.ParsePrefix(to.text); {
	case !to.ok:
	case to.text == "default" && v.Via.Is6():
		v.Prefix = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	case to.text == "default":
		v.Prefix = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	case err != nil:
		d.errorf(to.at, "Not a network", "Write one with its length, for example \"203.0.113.0/24\", or \"default\".")
	case p != p.Masked():
		d.errorf(to.at, "Not the address of a network", "Of %s the network is %q.", p, p.Masked())
	default:
		v.Prefix = p
	}
	if v.Prefix.IsValid() && v.Via.IsValid() && v.Via.Is4() != v.Prefix.Addr().Is4() {
		d.errorf(s.get("via").at, "destination and via are of two families", "Write a next hop of the family of the destination.")
	}
	return v
}

func (d *decoder) loadProbe(s *section) checks.Probe {
	v := checks.Load{Max1: d.positive(s.get("max_1m")), Max5: d.positive(s.get("max_5m")), Max15: d.positive(s.get("max_15m")), PerCPU: s.get("per_cpu").yes}
	if s.get("max_1m").text == "" && s.get("max_5m").text == "" && s.get("max_15m").text == "" {
		d.errorf(s.header, "No limit", "Write at least one of max_1m, max_5m, max_15m.")
	}
	return v
}

func (d *decoder) positive(v value) float64 {
	if v.text == "" {
		return 0
	}
	n, err := strconv.ParseFloat(v.text, 64)
	if err != nil || n <= 0 || math.IsInf(n, 0) || math.IsNaN(n) {
		d.errorf(v.at, "Not a number above 0", "Write one like 4 or 0.75.")
		return 0
	}
	return n
}

func (d *decoder) diskProbe(s *section) checks.Probe {
	v := checks.Disk{Path: d.absolute(s.get("path")), Writable: s.get("writable").yes}
	if free := s.get("min_free"); free.text != "" {
		if n, ok := percentage(free.text); ok {
			v.MinFreePercent = n
		} else if v.MinFree, ok = size(free.text); !ok {
			d.errorf(free.at, "Not a size", "Write a percentage like \"5%%\", or bytes like \"500MiB\" or \"2GiB\".")
		}
	}
	if inodes := s.get("min_inodes"); inodes.text != "" {
		var ok bool
		if v.MinInodesPercent, ok = percentage(inodes.text); !ok {
			d.errorf(inodes.at, "Not a percentage", "Write one like \"5%%\".")
		}
	}
	if s.get("min_free").text == "" && s.get("min_inodes").text == "" && !v.Writable {
		d.errorf(s.header, "No limit", "Write at least one of min_free, min_inodes, writable.")
	}
	return v
}

func percentage(text string) (int, bool) {
	digits, ok := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && n >= 1 && n <= 100
}

func size(text string) (uint64, bool) {
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if digits, ok := strings.CutSuffix(text, unit); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 20)
			return n << (10 * (i + 1)), err == nil && n > 0
		}
	}
	return 0, false
}

// expression checks a regular expression.
func (d *decoder) expression(v value) string {
	if v.ok && v.text != "" {
		if _, err := regexp.Compile(v.text); err != nil {
			d.errorf(v.at, "Not a regular expression", "%v. See https://github.com/google/re2/wiki/Syntax; in HCL a backslash is written twice.", err)
		}
	}
	return v.text
}

func (d *decoder) absolute(v value) string {
	if v.ok && v.text != "" && !path.IsAbs(v.text) {
		d.errorf(v.at, "Not an absolute path", "Write it from the root on: /….")
	}
	return v.text
}

func (d *decoder) checkInterface(v value) string {
	if v.ok && (v.text != "" || v.written) {
		if why := badInterface(v.text); why != "" {
			d.errorf(v.at, "Unusable interface name", "%s Interfaces are listed by ip link.", why)
		}
	}
	return v.text
}

func (d *decoder) checkAddress(v value) netip.Addr {
	if !v.ok || v.text == "" && !v.written {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(v.text)
	if err != nil || a.Is4In6() || a.IsUnspecified() {
		d.errorf(v.at, "Not an address", "Write one without a prefix length, for example \"192.0.2.7\" or \"2001:db8::7\".")
		return netip.Addr{}
	}
	return a
}
