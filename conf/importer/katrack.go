package importer

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tracker is a vrrp_script, vrrp_track_process or vrrp_track_file.
type tracker struct {
	kind, given, name string // kind is ours: exec, process, file, …
	line              int
	weight            int
	reverse           bool
	lines             []string // arguments, as HCL
	missing           []Note
}

// track is a line of track_script and the like.
type track struct {
	link    string
	tracker *tracker
	line    int
	weight  int
	given   bool // the line has a weight of its own
}

// trackKinds are the blocks that name trackers, by the block that defines them.
var trackKinds = map[string]string{"track_script": "vrrp_script", "track_process": "vrrp_track_process", "track_file": "vrrp_track_file"}

// tracker reads a definition.
func (k *keepalived) tracker(n *node) {
	kind := n.word(0)
	if !strings.HasPrefix(kind, "vrrp_") {
		kind = "vrrp_" + kind
	}
	t := &tracker{given: n.word(1), line: n.line}
	k.trackers[kind+" "+t.given] = t
	t.name = k.checks.make(t.given)
	d := &trackerTimes{interval: time.Second, rise: 1, fall: 1, user: k.scriptUser()} // keepalived's defaults
	for _, s := range n.block {
		switch s.word(0) {
		case "script", "process", "file":
			if t.kind == "" {
				t.what(k, kind, s)
			}
		case "quorum", "quorum_max":
			if kind != "vrrp_track_process" {
				t.lack(s.line, "unknown keyword %q in %s", s.text(), kind)
				continue
			}
			t.statement(s, d)
		default:
			t.statement(s, d)
		}
	}
	if t.kind == "" {
		t.lack(n.line, "%s %s does not say what to look at", kind, t.given)
		t.kind, t.lines = "exec", append(t.lines, `command = ["/bin/true"] # a guess`)
		if kind == "vrrp_track_process" {
			t.kind, t.lines[len(t.lines)-1] = "process", "name = "+quote(cmp.Or(path.Base(t.given), "x"))+" # a guess"
		}
	}
	if kind == "vrrp_script" {
		t.lines = append(t.lines, "interval = "+seconds(d.interval), fmt.Sprintf("rise = %d", d.rise), fmt.Sprintf("fall = %d", d.fall))
		if d.timeout > 0 {
			t.lines = append(t.lines, "timeout = "+seconds(min(max(d.timeout, 10*time.Millisecond), d.interval)))
		}
	}
	if t.kind == "exec" {
		t.lines = append(t.lines, "user = "+quote(d.user))
	}
}

// trackerTimes is what a vrrp_script says beside the script.
type trackerTimes struct {
	interval, timeout time.Duration
	rise, fall        int
	user              string
}

// statement reads one line of a tracker.
func (t *tracker) statement(s *node, d *trackerTimes) {
	period := func(longest time.Duration) time.Duration {
		v, ok := span(s.word(1))
		if !ok || v > longest {
			t.lack(s.line, "%s: not a time up to %v", s.text(), longest)
			return 0
		}
		return v
	}
	count := func(low, high, otherwise int) int {
		n, ok := whole(s.word(1), low, high)
		if !ok {
			t.lack(s.line, "%s: not a number from %d to %d", s.text(), low, high)
			return otherwise
		}
		return n
	}
	switch s.word(0) {
	case "interval":
		d.interval = max(period(24*time.Hour), 100*time.Millisecond)
	case "timeout":
		d.timeout = period(time.Hour)
	case "rise":
		d.rise = count(1, 1000, 1)
	case "fall":
		d.fall = count(1, 1000, 1)
	case "weight":
		t.weight = count(-254, 254, 0)
		t.reverse = s.word(2) == "reverse"
	case "user":
		d.user = s.word(1)
	case "init_fail":
		if !slices.Contains(t.lines, `initial = "failing"`) {
			t.lines = append(t.lines, `initial = "failing"`)
		}
	case "quorum":
		t.lines = append(t.lines, fmt.Sprintf("min = %d", count(0, 100000, 1)))
	case "quorum_max":
		t.lines = append(t.lines, fmt.Sprintf("max = %d", count(1, 100000, 0)))
	default:
		t.lack(s.line, "%s of %s", s.text(), t.given)
	}
}

func (t *tracker) lack(line int, format string, args ...any) {
	t.missing = append(t.missing, Note{Line: line, Text: fmt.Sprintf(format, args...)})
}

// scriptUser is who runs scripts where nothing else is said.
func (k *keepalived) scriptUser() string {
	if u := k.globalWord("script_user"); u != "" {
		return u
	}
	return "root"
}

// what reads what a tracker looks at.
func (t *tracker) what(k *keepalived, kind string, s *node) {
	switch kind {
	case "vrrp_track_process":
		t.kind = "process"
		t.lines = append([]string{"name = " + quote(path.Base(s.word(1)))}, t.lines...)
		if len(s.words) > 2 {
			t.lack(s.line, "%s: the parameters of the process are not looked at", s.text())
		}
	case "vrrp_track_file":
		t.kind = "file"
		if t.weight == 0 {
			t.weight = 1 // keepalived's default
		}
		t.lines = append([]string{"path = " + quote(s.word(1)), "integer = true"}, t.lines...)
		if !path.IsAbs(s.word(1)) {
			t.lack(s.line, "%s: not an absolute path", s.text())
			t.lines[0] = `path = "/run/backbeat/track"`
		}
	default:
		text := strings.Join(s.words[1:], " ")
		var lines []string
		var hint string
		t.kind, lines, hint = script(text)
		t.lines = append(lines, t.lines...)
		if hint != "" {
			k.note(s.line, "%s: %s", t.given, hint)
		}
	}
}

var (
	devTCP  = regexp.MustCompile(`^(?:(?:/bin/|/usr/bin/)?bash -c )?['"]?</dev/tcp/([0-9a-fA-F.:]+)/([0-9]+)['"]?$`)
	netcat  = regexp.MustCompile(`^(?:/usr/bin/|/bin/)?(?:nc|ncat|netcat)((?: -[zvnw]+[0-9]*| [0-9]+)*) ([0-9a-fA-F.:]*[.:][0-9a-fA-F.:]*|localhost) ([0-9]+)$`)
	flag    = regexp.MustCompile(`^(?:(?:/usr/bin/|/bin/)?test|\[\[?) ! -[ef] (/[^ ;&|'"$]+)(?: \]\]?)?$`)
	flagOr  = regexp.MustCompile(`^(?:(?:/usr/bin/|/bin/)?(?:ba)?sh -c )?['"]?(?:(?:/usr/bin/|/bin/)?test|\[\[?) -[ef] (/[^ ;&|'"$]+)(?: \]\]?)? && exit 1 \|\| exit 0['"]?$`)
	program = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)
)

// script translates a check's command. What most scripts do has a check of its
// own, which forks nothing.
func script(text string) (kind string, lines []string, hint string) {
	text = strings.TrimSpace(text)
	if m := devTCP.FindStringSubmatch(text); m != nil {
		return "tcp", []string{"address = " + quote(hostPort(m[1], m[2]))}, ""
	}
	if m := netcat.FindStringSubmatch(text); m != nil && strings.Contains(m[1], "z") {
		return "tcp", []string{"address = " + quote(hostPort(m[2], m[3]))}, ""
	}
	if m := append(flag.FindStringSubmatch(text), flagOr.FindStringSubmatch(text)...); len(m) == 2 {
		return "file", []string{"path = " + quote(m[1]), "absent = true"}, ""
	}
	words, plain := shellWords(text)
	if !plain || len(words) == 0 {
		return "exec", []string{"command = " + list([]string{"/bin/sh", "-c", text})}, "it needs a shell: a script of its own is easier to test"
	}
	base := path.Base(words[0])
	args := words[1:]
	last := words[len(words)-1]
	switch {
	case base == "killall" && len(args) == 2 && args[0] == "-0" && program.MatchString(last),
		base == "pidof" && (len(args) == 1 || len(args) == 2 && (args[0] == "-s" || args[0] == "-q")) && program.MatchString(last),
		base == "pgrep" && len(args) == 2 && args[0] == "-x" && program.MatchString(last):
		return "process", []string{"name = " + quote(last)}, ""
	case base == "systemctl" && len(args) > 1 && strings.Contains(" "+strings.Join(args[:len(args)-1], " ")+" ", " is-active ") && program.MatchString(strings.ReplaceAll(last, "@", "-")):
		return "systemd", []string{"unit = " + quote(last)}, ""
	case base == "service" && len(args) == 2 && args[1] == "status" && program.MatchString(args[0]):
		return "systemd", []string{"unit = " + quote(args[0])}, ""
	case !path.IsAbs(words[0]):
		return "exec", []string{"command = " + list(append([]string{"/usr/bin/env"}, words...))}, fmt.Sprintf("write where %s is: the search path is not looked along", words[0])
	}
	return "exec", []string{"command = " + list(words)}, ""
}

func hostPort(host, port string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]:" + port
	}
	return host + ":" + port
}

// track reads track_interface, track_script, track_process and track_file.
func (k *keepalived) track(i *instance, n *node) {
	defined, known := trackKinds[n.word(0)]
	if !known && n.word(0) != "track_interface" {
		i.lack(n.line, "unknown keyword %q", n.text())
		return
	}
	for _, item := range n.items() {
		for rest := item.words; len(rest) > 0; {
			t := &track{line: item.line}
			name := rest[0]
			rest = rest[1:]
			if len(rest) > 1 && rest[0] == "weight" {
				var ok bool
				if t.weight, ok = whole(rest[1], -254, 254); !ok {
					i.lack(item.line, "%s: not a weight", item.text())
				}
				t.given, rest = true, rest[2:]
			}
			reverse := len(rest) > 0 && rest[0] == "reverse"
			if reverse || len(rest) > 0 && rest[0] == "noreverse" {
				rest = rest[1:]
			}
			if !known {
				t.link = name
			} else if t.tracker = k.trackers[defined+" "+name]; t.tracker == nil {
				i.lack(item.line, "%s %s: no %s of this name", n.word(0), name, defined)
				continue
			} else if !t.given {
				reverse = reverse || t.tracker.reverse
			}
			if reverse {
				i.lack(item.line, "reverse of %s: a negative weight counts while it is bad, a positive one while it is good", name)
			}
			i.tracks = append(i.tracks, t)
		}
	}
}

// writeTracks writes the depends_on blocks.
func (k *keepalived) writeTracks(i *instance) {
	seen := map[string]bool{}
	for _, t := range i.tracks {
		weight := t.weight
		what, integer := "link = "+quote(t.link), false
		if t.tracker != nil {
			if !t.given {
				weight = t.tracker.weight
			}
			what = "check = " + reference("check."+t.tracker.kind, t.tracker.name)
			if strings.HasSuffix(what, `"`) {
				what = "check = " + quote(t.tracker.kind+"."+t.tracker.name)
			}
			integer = t.tracker.kind == "file" && len(t.tracker.lines) > 1 && t.tracker.lines[1] == "integer = true"
		}
		if seen[what] || t.tracker == nil && t.link == i.iface {
			continue // the router's own interface is always watched
		}
		seen[what] = true
		weight = max(-253, min(253, weight))
		if integer && weight == 0 {
			k.missing(t.line, "track_file %s with weight 0: a number other than 0 in it was a fault", t.tracker.given)
			continue
		}
		if i.priority == 255 && weight != 0 {
			k.note(t.line, "%s: the owner's priority is never changed: %s is left out", i.given, what)
			continue
		}
		fmt.Fprintf(k, "\ndepends_on {\n%s\n", what)
		if weight == 0 {
			k.line("effect", `"fault"`)
		} else {
			k.line("weight", strconv.Itoa(weight))
		}
		k.WriteString("}\n")
	}
}

// writeChecks writes the trackers that somebody depends on, in the order of the file.
func (k *keepalived) writeChecks() {
	used := map[*tracker]bool{}
	for _, i := range k.instances {
		for _, t := range i.tracks {
			used[t.tracker] = t.tracker != nil
		}
	}
	var order []*tracker
	for _, t := range k.trackers {
		order = append(order, t)
	}
	sortByLine(order)
	for _, t := range order {
		if !used[t] {
			k.note(t.line, "%s is used by no vrrp_instance: it is left out", t.given)
			continue
		}
		fmt.Fprintf(k, "check %s %s {\n%s\n", quote(t.kind), quote(t.name), strings.Join(t.lines, "\n"))
		for _, m := range t.missing {
			k.missing(m.Line, "%s", m.Text)
		}
		k.WriteString("}\n\n")
	}
}
