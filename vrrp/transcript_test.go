package vrrp_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// Transcripts: a script above, the whole of what the router did below each
// line of it. Read testdata/*.txt; after a change that is meant, run
//
//	go test ./vrrp -run Transcripts -update
//
// and understand every line of the difference before it is committed.
//
//	# a comment
//	router [ipv4|ipv6|v2] [prio N] [int D] [hold D] [nopreempt] [addr A,B] [checksum auto|rfc9568|rfc5798]
//	       [grouped|alone] [settle D] [linkdelay D]
//	at T link up SOURCE | link down | link missing | link noaddress | link group
//	at T recv SOURCE prio N [int D] [form rfc9568|rfc5798] [addr A,B] [arrived T]
//	at T tick                     let time pass until T
//	at T stall D                  the host stands still from T to T+D
//	at T priority N
//	at T reload [as router]       what is not named stays
//	at T stop | yield
//	at T promote | demote | peerleft SOURCE   what a sync group says
//	at T claim ADDRESS | moved
//
// Timers due before T fire first. Lines of output begin with two spaces: the
// instant and the effect; "=" ends each command with the state and its timers.
var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			old, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(old))
			if got == string(old) {
				return
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s:\n%s", file, firstDifference(string(old), got))
		})
	}
}

func firstDifference(old, got string) string {
	a, b := strings.Split(old, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d\n  was %q\n  now %q", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("was %d lines, now %d", len(a), len(b))
}

// player runs one script. Its clock shows time since the script's beginning.
type player struct {
	*rig
	out strings.Builder
}

// play returns the script with fresh output.
func play(t *testing.T, script string) string {
	p := &player{}
	for n, line := range strings.Split(strings.TrimSuffix(script, "\n"), "\n") {
		if strings.HasPrefix(line, "  ") {
			continue
		}
		p.out.WriteString(line + "\n")
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if err := p.command(t, words); err != nil {
			t.Fatalf("line %d, %q: %v", n+1, line, err)
		}
	}
	return p.out.String()
}

func (p *player) command(t *testing.T, words []string) error {
	if words[0] == "router" {
		sp := spec4()
		switch {
		case len(words) > 1 && words[1] == "ipv6":
			sp = spec6()
		case len(words) > 1 && words[1] == "v2":
			sp = spec2()
		}
		if err := options(&sp, words[1:]); err != nil {
			return err
		}
		p.rig = newRig(t, sp)
		return nil
	}
	if words[0] != "at" || len(words) < 3 {
		return fmt.Errorf("not a command")
	}
	at, err := time.ParseDuration(words[1])
	if err != nil {
		return err
	}
	if tick := words[2] == "tick"; tick || epoch+at > p.now {
		p.print(p.advance(max(p.now, epoch+at), tick))
	}
	ev, err := p.event(words[2], words[3:])
	if err != nil {
		return err
	}
	if ev != nil {
		p.print(p.at(p.step(ev)))
	}
	p.status()
	return nil
}

// event translates a command; nil is the passing of time alone.
func (p *player) event(verb string, args []string) (vrrp.Event, error) {
	switch verb {
	case "tick":
		return nil, nil
	case "link":
		return link(args)
	case "recv":
		return p.received(args)
	case "stall":
		d, err := time.ParseDuration(args[0])
		p.now += d
		return vrrp.Stall{Late: d}, err
	case "priority":
		n, err := strconv.ParseUint(args[0], 10, 8)
		return vrrp.SetPriority{Priority: uint8(n)}, err
	case "reload":
		sp := p.r.Spec()
		err := options(&sp, args)
		return vrrp.Configure{Spec: sp}, err
	case "stop", "yield":
		return vrrp.Shutdown{Yield: verb == "yield", Cause: vrrp.CauseShutdown, Detail: "SIGTERM"}, nil
	}
	return groupEvent(verb, args)
}

func groupEvent(verb string, args []string) (vrrp.Event, error) {
	switch verb {
	case "promote":
		return vrrp.Promote{}, nil
	case "demote":
		return vrrp.Demote{Detail: "outside is Backup on eth1"}, nil
	case "peerleft":
		a, err := netip.ParseAddr(args[0])
		return vrrp.PeerLeft{Peer: a}, err
	case "claim":
		a, err := netip.ParseAddr(args[0])
		return vrrp.Challenged{Address: a, MAC: [6]byte{2, 0, 0, 0, 0, 7}}, err
	case "moved":
		return vrrp.Moved{}, nil
	}
	return nil, fmt.Errorf("no such verb %q", verb)
}

func link(args []string) (vrrp.Event, error) {
	switch args[0] {
	case "up":
		a, err := netip.ParseAddr(args[1])
		return vrrp.LinkState{Source: a}, err
	case "down":
		return vrrp.LinkState{Fault: vrrp.FaultInterfaceDown, Detail: "no carrier"}, nil
	case "missing":
		return vrrp.LinkState{Fault: vrrp.FaultInterfaceMissing}, nil
	case "group":
		return vrrp.LinkState{Fault: vrrp.FaultGroup, Detail: "outside: the interface is down"}, nil
	case "noaddress":
		return vrrp.LinkState{Fault: vrrp.FaultNoPrimaryAddress}, nil
	}
	return nil, fmt.Errorf("no such link state %q", args[0])
}

func (p *player) received(args []string) (vrrp.Event, error) {
	src, err := netip.ParseAddr(args[0])
	if err != nil {
		return nil, err
	}
	e := p.advert(src, 0, p.r.Spec().Interval)
	for args = args[1:]; len(args) >= 2 && err == nil; args = args[2:] {
		switch value := args[1]; args[0] {
		case "prio":
			var n uint64
			n, err = strconv.ParseUint(value, 10, 8)
			e.Advert.Priority = uint8(n)
		case "int":
			e.Advert.Interval, err = time.ParseDuration(value)
		case "addr":
			e.Advert.Addresses = addrs(strings.Split(value, ",")...)
		case "arrived":
			var at time.Duration
			at, err = time.ParseDuration(value)
			e.At = epoch + at
		case "form":
			e.Form = vrrp.MessageOnly
			if value == vrrp.WithPseudoHeader.String() {
				e.Form = vrrp.WithPseudoHeader
			}
		default:
			err = fmt.Errorf("no such part of an advert: %q", args[0])
		}
	}
	return e, err
}

// options changes a configuration word by word.
func options(sp *vrrp.Spec, words []string) error {
	for i := 0; i < len(words); i++ {
		value := ""
		if i+1 < len(words) {
			value = words[i+1]
		}
		var err error
		switch words[i] {
		case "ipv4", "ipv6", "v2":
			continue
		case "grouped", "alone":
			sp.Grouped = words[i] == "grouped"
			continue
		case "settle":
			sp.Settle, err = time.ParseDuration(value)
		case "linkdelay":
			sp.LinkDownDelay, err = time.ParseDuration(value)
		case "nopreempt", "preempt":
			sp.Preempt = words[i] == "preempt"
			continue
		case "prio":
			var n uint64
			n, err = strconv.ParseUint(value, 10, 8)
			sp.Priority = uint8(n)
		case "int":
			sp.Interval, err = time.ParseDuration(value)
		case "hold":
			sp.PreemptDelay, err = time.ParseDuration(value)
		case "addr":
			sp.Addresses = addrs(strings.Split(value, ",")...)
		case "checksum":
			sp.Checksum = map[string]vrrp.ChecksumPolicy{"rfc9568": vrrp.ChecksumRFC9568, "rfc5798": vrrp.ChecksumRFC5798}[value]
		default:
			err = fmt.Errorf("no such option %q", words[i])
		}
		if err != nil {
			return err
		}
		i++
	}
	return nil
}

// at stamps the effects of a step with the present instant.
func (p *player) at(fx []vrrp.Effect) []stamped {
	list := make([]stamped, len(fx))
	for i, e := range fx {
		list[i] = stamped{p.now, e}
	}
	return list
}

// print writes effects; a run of equal advertisements is one line.
func (p *player) print(fx []stamped) {
	for i := 0; i < len(fx); i++ {
		last := i
		for last+1 < len(fx) && fx[last+1].Kind == vrrp.Send && fx[last+1].Effect == fx[i].Effect {
			last++
		}
		fmt.Fprintf(&p.out, "  %-11v %s", fx[i].at-epoch, line(fx[i].Effect))
		if last > i {
			fmt.Fprintf(&p.out, " (and %d more until %v)", last-i, fx[last].at-epoch)
			i = last
		}
		p.out.WriteString("\n")
	}
}

// line is one effect as the transcripts show it.
func line(e vrrp.Effect) string {
	switch e.Kind {
	case vrrp.Send:
		return fmt.Sprintf("send prio %d", e.Priority)
	case vrrp.Become:
		return fmt.Sprintf("become %v (was %v), term %d, %v: %v", e.To, e.From, e.Term, e.Reason.Cause, e.Reason)
	case vrrp.Announce:
		if e.Repeat {
			return fmt.Sprintf("announce again, term %d", e.Term)
		}
	case vrrp.Ready:
		return fmt.Sprintf("ready, %v: %v", e.Reason.Cause, e.Reason)
	case vrrp.Tell:
		text := "tell " + e.Notice.Kind.String()
		if e.Notice.Peer.IsValid() {
			text += fmt.Sprintf(" from %v prio %d", e.Notice.Peer, e.Notice.PeerPriority)
		}
		if e.Notice.Interval != 0 {
			text += " " + e.Notice.Interval.String()
		}
		return text
	}
	return fmt.Sprintf("%v, term %d", e.Kind, e.Term)
}

// status is the last line below each command.
func (p *player) status() {
	v := p.r.View()
	fmt.Fprintf(&p.out, "  = %v, prio %d", v.State, v.Priority)
	for _, timer := range []struct {
		name string
		due  time.Duration
	}{{"advert", v.AdverDue}, {"down", v.DownDue}, {"preempt", v.HoldDue}, {"settled", v.SettleDue}} {
		if timer.due != vrrp.Never {
			fmt.Fprintf(&p.out, ", %s at %v", timer.name, timer.due-epoch)
		}
	}
	if v.Ready {
		p.out.WriteString(", ready")
	}
	if due := p.r.Deadline(); due != min(v.AdverDue, v.DownDue, v.HoldDue, v.SettleDue) {
		fmt.Fprintf(&p.out, ", waiting until %v", due-epoch)
	}
	p.out.WriteString("\n")
}
