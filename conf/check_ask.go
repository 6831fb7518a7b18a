package conf

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/backbeat-ha/backbeat/checks"
)

// dnsPort is where name servers listen.
const dnsPort = 53

// unitTypes are the endings of unit names (systemd.unit(5)).
var unitTypes = []string{"service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope"}

func (d *decoder) icmpProbe(s *section) checks.Probe {
	v := checks.ICMP{Interface: d.checkInterface(s.get("interface")), Source: d.checkAddress(s.get("source"))}
	one, several, quorum := s.get("target"), s.get("targets"), s.get("quorum")
	texts, places := several.texts, several.each
	if one.written {
		texts, places = []string{one.text}, []hcl.Range{one.at}
	}
	absent := func(v value) bool { return !v.written && v.at == s.header } // what was reported is not absent
	switch {
	case one.written && several.written:
		d.errorf(one.at, "target and targets", "Write all of them in targets. Remove target.")
		return v
	case absent(one) && absent(several) && !s.meant["target"]:
		d.errorf(s.header, "Ask whom?", "Write target = \"192.0.2.1\", or targets with several.")
		return v
	}
	for i, text := range texts {
		if a, ok := d.icmpTarget(text, places[i], &v); ok {
			v.Targets = append(v.Targets, a)
		}
	}
	v.Quorum = 1
	switch {
	case !quorum.written || !quorum.ok:
	case quorum.num > len(texts) && len(texts) > 0:
		d.errorf(quorum.at, "quorum is more than there are targets", "Of %d at most %d can answer.", len(texts), len(texts))
	default:
		v.Quorum = quorum.num
	}
	return v
}

func (d *decoder) icmpTarget(text string, at hcl.Range, v *checks.ICMP) (a netip.Addr, ok bool) {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil || a.Is4In6() || a.IsUnspecified() || a.IsMulticast():
		d.errorf(at, "Not an address", "Write one like \"192.0.2.1\" or \"2001:db8::1\": a name would ask the resolver, too, whose failures are not the target's.")
	case slices.Contains(v.Targets, a):
		d.errorf(at, fmt.Sprintf("%s twice", a), "It would count twice. Remove one.")
	case a.IsLinkLocalUnicast() && a.Is6() && a.Zone() == "" && v.Interface == "":
		d.errorf(at, "Link-local without interface", "Such an address is on every link. Write interface = \"eth0\", or %q.", a.String()+"%eth0")
	case v.Source.IsValid() && v.Source.Is4() != a.Is4():
		d.errorf(at, "target and source are of two families", "Write a check for each family.")
	default:
		return a, true
	}
	return a, false
}

func (d *decoder) dnsProbe(s *section) checks.Probe {
	v := checks.DNS{Name: strings.TrimSuffix(s.get("name").text, "."), Type: s.get("type").text, Rcode: s.get("rcode").text,
		Authoritative: s.get("authoritative").yes, Recursive: s.get("recursive").yes, TCP: s.get("tcp").yes, Source: d.checkAddress(s.get("source"))}
	if name := s.get("name"); name.ok && !hostName(v.Name) && name.text != "." {
		d.errorf(name.at, "Not a domain name", "Write one like \"www.example.net\": labels of 1–63 characters with dots between, 253 in all.")
	}
	if at := s.get("server"); at.ok {
		a, err := netip.ParseAddrPort(at.text)
		if err != nil {
			var host netip.Addr
			if host, err = netip.ParseAddr(at.text); err == nil {
				a = netip.AddrPortFrom(host, dnsPort)
			}
		}
		if err != nil || a.Port() == 0 || a.Addr().Is4In6() || a.Addr().IsUnspecified() {
			d.errorf(at.at, "Not a server's address", "Write one like \"192.0.2.53\", or with a port \"192.0.2.53:5353\" or \"[2001:db8::53]:5353\".")
		} else {
			v.Server = a
		}
	}
	if v.Server.IsValid() && v.Source.IsValid() && v.Source.Is4() != v.Server.Addr().Is4() {
		d.errorf(s.get("source").at, "server and source are of two families", "Write a source of the server's family.")
	}
	answers := s.get("answers")
	if len(answers.texts) > 0 && v.Rcode != "NOERROR" {
		d.errorf(answers.at, "answers beside an rcode that is an error", "With %s there are none. Remove one of the two.", v.Rcode)
	}
	for i, text := range answers.texts {
		if r, ok := d.record(v.Type, text, answers.each[i]); ok {
			v.Answers = append(v.Answers, r)
		}
	}
	return v
}

// record brings an expected record to the form in which answers are compared.
func (d *decoder) record(kind, text string, at hcl.Range) (string, bool) {
	switch kind {
	case "A", "AAAA":
		a, err := netip.ParseAddr(text)
		if err != nil || a.Is4() != (kind == "A") || a.Zone() != "" || a.Is4In6() {
			d.errorf(at, fmt.Sprintf("Not what an %s record has", kind), "Write an address like %q.", map[string]string{"A": "192.0.2.7", "AAAA": "2001:db8::7"}[kind])
			return "", false
		}
		return a.String(), true
	case "TXT":
		return text, true
	}
	words := map[string]int{"MX": 2, "SRV": 4}[kind]
	if fields := strings.Fields(text); words > 0 && len(fields) != words {
		d.errorf(at, fmt.Sprintf("Not what an %s record has", kind), "Write it like %q.", map[string]string{"MX": "10 mail.example.net", "SRV": "10 5 5060 sip.example.net"}[kind])
		return "", false
	}
	return strings.ToLower(strings.TrimSuffix(strings.Join(strings.Fields(text), " "), ".")), true
}

// hostName reports whether a name can be asked for: any label of 1–63 bytes that are printable.
func hostName(name string) bool {
	for _, label := range strings.Split(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return false
		}
	}
	return len(name) <= 253
}

func (d *decoder) systemdProbe(s *section) checks.Probe {
	v := checks.Systemd{Unit: s.get("unit").text, SubState: s.get("sub_state").text}
	at := s.get("unit")
	if !at.ok {
		return v
	}
	name, kind := v.Unit, ""
	if dot := strings.LastIndexByte(v.Unit, '.'); dot >= 0 && slices.Contains(unitTypes, v.Unit[dot+1:]) {
		name, kind = v.Unit[:dot], v.Unit[dot+1:]
	}
	switch {
	case name == "" || len(v.Unit) > 255 || strings.ContainsFunc(v.Unit, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(":-_.\\@", r))
	}):
		d.errorf(at.at, "Not the name of a unit", "Write one as systemctl lists it, for example \"apache2.service\". A path is escaped by systemd-escape.")
	case strings.HasSuffix(name, "@"):
		d.errorf(at.at, "A template, not a unit", "Write which instance of it, for example %q.", name+"main."+kind)
	case kind == "":
		v.Unit += ".service" // as systemctl does
	}
	return v
}

// environment checks NAME=value pairs.
func (d *decoder) environment(v value) []string {
	for i, text := range v.texts {
		name, _, ok := strings.Cut(text, "=")
		if !ok || name == "" || strings.ContainsAny(name, " \t\r\n") || strings.ContainsRune(text, 0) {
			d.errorf(v.each[i], "Not a variable", "Write one like \"LANG=C.UTF-8\".")
		} else if strings.HasPrefix(name, "BACKBEAT_") {
			d.errorf(v.each[i], fmt.Sprintf("%s is not yours to set", name), "Names that begin with BACKBEAT_ are the daemon's.")
		}
	}
	return v.texts
}
