package probe

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// nameServer answers by UDP and TCP on one port with what the function makes of a question.
func nameServer(t *testing.T, udp, tcp func(q dnsmessage.Message) [][]byte) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	at := netip.MustParseAddrPort(l.Addr().String())
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			var q dnsmessage.Message
			if q.Unpack(buf[:n]) != nil {
				continue
			}
			for _, b := range udp(q) {
				_, _ = c.WriteToUDPAddrPort(b, from)
			}
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var size [2]byte
				if _, err := io.ReadFull(c, size[:]); err != nil {
					return
				}
				b := make([]byte, binary.BigEndian.Uint16(size[:]))
				var q dnsmessage.Message
				if _, err := io.ReadFull(c, b); err != nil || q.Unpack(b) != nil || tcp == nil {
					return
				}
				for _, b := range tcp(q) {
					_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
				}
			}()
		}
	}()
	return at
}

func pack(m dnsmessage.Message) []byte {
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

// good is the answer of a server that works: one A record.
func good(q dnsmessage.Message, change ...func(*dnsmessage.Message)) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, RecursionDesired: q.RecursionDesired}, Questions: q.Questions}
	m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 5},
		Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 80}}}}
	for _, f := range change {
		f(&m)
	}
	return pack(m)
}

func TestDNS(t *testing.T) {
	b := newBench(t)
	one := func(f func(q dnsmessage.Message) []byte) netip.AddrPort {
		return nameServer(t, func(q dnsmessage.Message) [][]byte { return [][]byte{f(q)} }, nil)
	}
	ask := func(at netip.AddrPort, change ...func(*checks.DNS)) checks.DNS {
		v := checks.DNS{Server: at, Name: "www.example.net", Type: "A", Rcode: "NOERROR", Recursive: true}
		for _, f := range change {
			f(&v)
		}
		return v
	}
	answers := func(list ...string) func(*checks.DNS) { return func(v *checks.DNS) { v.Answers = list } }
	works := one(func(q dnsmessage.Message) []byte { return good(q) })
	b.want(ask(works), checks.Passed, "192.0.2.80")
	b.want(ask(works, answers("192.0.2.80")), checks.Passed, "192.0.2.80")
	b.want(ask(works, answers("192.0.2.81")), checks.Failed, "answered 192.0.2.80, wanted 192.0.2.81")
	b.want(ask(works, func(v *checks.DNS) { v.Type = "AAAA" }), checks.Failed, "no AAAA record")
	b.want(ask(works, func(v *checks.DNS) { v.Authoritative = true }), checks.Failed, "NOERROR, but the server does not answer for itself")
	b.want(ask(works, func(v *checks.DNS) { v.Rcode = "NXDOMAIN" }), checks.Failed, "NOERROR, wanted NXDOMAIN")
	b.want(ask(works, func(v *checks.DNS) { v.Source = netip.MustParseAddr("127.0.0.5") }), checks.Passed, "192.0.2.80")
	b.want(ask(works, func(v *checks.DNS) { v.Source = netip.MustParseAddr("203.0.113.5") }), checks.NotRun, "not on this host")
	b.want(ask(one(func(q dnsmessage.Message) []byte {
		return good(q, func(m *dnsmessage.Message) {
			m.RCode, m.Answers, m.Authoritative = dnsmessage.RCodeNameError, nil, true
		})
	}), func(v *checks.DNS) { v.Rcode, v.Authoritative = "NXDOMAIN", true }), checks.Passed, "NXDOMAIN")
	b.want(ask(one(func(q dnsmessage.Message) []byte {
		return good(q, func(m *dnsmessage.Message) { m.RCode, m.Questions, m.Answers = dnsmessage.RCodeFormatError, nil, nil })
	})), checks.Failed, "FORMERR, wanted NOERROR")
	b.want(ask(one(func(q dnsmessage.Message) []byte {
		return good(q, func(m *dnsmessage.Message) { m.RCode = 11 })
	})), checks.Failed, "response code 11, wanted NOERROR")
	dead, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	b.want(ask(netip.MustParseAddrPort(dead.LocalAddr().String())), checks.Failed, "connection refused")
	// Cut off by UDP: by TCP comes the whole.
	cut := func(q dnsmessage.Message) [][]byte {
		return [][]byte{good(q, func(m *dnsmessage.Message) { m.Truncated, m.Answers = true, nil })}
	}
	b.want(ask(nameServer(t, cut, func(q dnsmessage.Message) [][]byte { return [][]byte{good(q)} })), checks.Passed, "192.0.2.80")
	b.want(ask(nameServer(t, cut, nil)), checks.Failed, "EOF")
	b.want(ask(nameServer(t, nil, func(q dnsmessage.Message) [][]byte { return [][]byte{good(q)} }), func(v *checks.DNS) { v.TCP = true }), checks.Passed, "192.0.2.80")
	b.want(ask(nameServer(t, cut, func(dnsmessage.Message) [][]byte { return [][]byte{make([]byte, 65535)} })), checks.Failed, "by TCP came messages that do not answer")
}

// What is no answer to the question is not taken for one, and does not keep
// the true one from counting.
func TestDNSHostile(t *testing.T) {
	b := newBench(t)
	junk := map[string]func(q dnsmessage.Message) []byte{
		"another id": func(q dnsmessage.Message) []byte { q.ID++; return good(q) },
		"another question": func(q dnsmessage.Message) []byte {
			q.Questions[0].Name = dnsmessage.MustNewName("evil.example.net.")
			return good(q)
		},
		"another type": func(q dnsmessage.Message) []byte { q.Questions[0].Type = dnsmessage.TypeTXT; return good(q) },
		"no response":  func(q dnsmessage.Message) []byte { return good(q, func(m *dnsmessage.Message) { m.Response = false }) },
		"no question": func(q dnsmessage.Message) []byte {
			return good(q, func(m *dnsmessage.Message) { m.Questions, m.Answers = nil, nil })
		},
		"cut short": func(q dnsmessage.Message) []byte { w := good(q); return w[:len(w)-3] },
		"empty":     func(dnsmessage.Message) []byte { return nil },
		"garbage":   func(dnsmessage.Message) []byte { return []byte(strings.Repeat("\xc0\x0c", 300)) },
	}
	for name, f := range junk {
		v := checks.DNS{Name: "www.example.net", Type: "A", Rcode: "NOERROR"}
		v.Server = nameServer(t, func(q dnsmessage.Message) [][]byte { return [][]byte{f(q)} }, nil)
		if got := b.ask(150*time.Millisecond, v); got.Outcome != checks.Failed || got.Detail != "no answer, but 1 messages that do not answer the question" {
			t.Errorf("%s: %s %q", name, got.Outcome, got.Detail)
		}
		v.Server = nameServer(t, func(q dnsmessage.Message) [][]byte {
			copied := q
			copied.Questions = append([]dnsmessage.Question(nil), q.Questions...)
			return [][]byte{f(copied), good(q)}
		}, nil)
		b.want(v, checks.Passed, "192.0.2.80")
	}
	silent := checks.DNS{Name: "www.example.net", Type: "A", Rcode: "NOERROR", Server: nameServer(t, func(dnsmessage.Message) [][]byte { return nil }, nil)}
	if got := b.ask(150*time.Millisecond, silent); got.Outcome != checks.Failed || got.Detail != "no answer in time" {
		t.Errorf("silent: %+v", got)
	}
	flood := func(q dnsmessage.Message) [][]byte {
		list := make([][]byte, 3000)
		for i := range list {
			list[i] = []byte("x")
		}
		return append(list, good(q))
	}
	silent.Server = nameServer(t, flood, nil)
	if got := b.ask(2*time.Second, silent); got.Outcome == checks.NotRun || got.Took > 3*time.Second {
		t.Errorf("flood: %+v", got)
	}
	// TCP that trickles ends with the timeout, too.
	trickle := serve(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 512))
		for {
			if _, err := c.Write([]byte{0x7f}); err != nil {
				return
			}
			<-time.After(20 * time.Millisecond)
		}
	})
	silent.Server, silent.TCP = netip.MustParseAddrPort(trickle), true
	if got := b.ask(200*time.Millisecond, silent); got.Outcome != checks.Failed || got.Detail != "no answer in time" {
		t.Errorf("trickle: %+v", got)
	}
}

const zone = `$TTL 5
@ SOA ns.example.net. root.example.net. 7 3600 600 86400 5
@ NS ns.Example.net.
@ MX 10 mail
@ TXT "v=spf1" " -all"
ns A 127.0.0.1
ns AAAA 2001:db8::53
www A 192.0.2.80
www A 192.0.2.81
alias CNAME www
_sip._udp SRV 10 5 5060 sip
`

// bind9 answers for a zone of the test's.
func TestDNSAgainstNamed(t *testing.T) {
	lab.Need(t)
	lab.NeedPeer(t, func() (string, error) { return lookFor("named", "bind9") })
	path, _ := lookFor("named", "bind9")
	dir := t.TempDir()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(free.Addr().String())
	free.Close()
	big := zone
	for i := range 90 {
		big += fmt.Sprintf("big A 10.0.0.%d\n", i)
	}
	conf := fmt.Sprintf("options { directory %q; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; pid-file none; session-keyfile none; dnssec-validation no; };\n"+
		"controls { };\nzone \"example.net\" { type primary; file \"zone\"; };\n", dir, at.Port())
	for name, text := range map[string]string{"zone": big, "named.conf": conf} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(path, "-g", "-n", "1", "-c", filepath.Join(dir, "named.conf"))
	out := new(strings.Builder)
	cmd.Stderr = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	b := newBench(t)
	v := checks.DNS{Server: at, Name: "example.net", Type: "SOA", Rcode: "NOERROR", Authoritative: true}
	for deadline := time.Now().Add(15 * time.Second); ; <-time.After(20 * time.Millisecond) {
		if got := b.ask(time.Second, v); got.Outcome == checks.Passed || time.Now().After(deadline) {
			break
		}
	}
	for _, c := range []struct{ name, kind, answer string }{
		{"example.net", "SOA", "ns.example.net root.example.net 7"}, {"EXAMPLE.net", "NS", "ns.example.net"}, {"example.net", "MX", "10 mail.example.net"},
		{"example.net", "TXT", "v=spf1 -all"}, {"ns.example.net", "AAAA", "2001:db8::53"}, {"www.example.net", "A", "192.0.2.81"},
		{"alias.example.net", "CNAME", "www.example.net"}, {"alias.example.net", "A", "192.0.2.80"}, {"_sip._udp.example.net", "SRV", "10 5 5060 sip.example.net"},
		{"big.example.net", "A", "10.0.0.89"}, // more than a datagram holds
	} {
		v.Name, v.Type, v.Answers = c.name, c.kind, []string{c.answer}
		b.want(v, checks.Passed, "")
		v.TCP = true
		b.want(v, checks.Passed, "")
		v.TCP = false
	}
	v.Name, v.Type, v.Answers, v.Rcode = "no.example.net", "A", nil, "NXDOMAIN"
	b.want(v, checks.Passed, "NXDOMAIN")
	v.Name, v.Rcode, v.Authoritative = "www.example.com", "REFUSED", false
	b.want(v, checks.Passed, "REFUSED")
}

// lookFor finds a daemon that a user's PATH may not have.
func lookFor(name, pkg string) (string, error) {
	for _, dir := range []string{"", "/usr/sbin/", "/usr/local/bin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: apt-get install %s", name, pkg)
}

func FuzzDNSAnswer(f *testing.F) {
	v := checks.DNS{Name: "www.example.net", Type: "A", Rcode: "NOERROR"}
	q, err := newQuestion(v)
	if err != nil {
		f.Fatal(err)
	}
	q.id = 7
	f.Add(good(dnsmessage.Message{Header: dnsmessage.Header{ID: 7}, Questions: []dnsmessage.Question{q.ask}}))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if m := q.answer(b); m != nil {
			judgeDNS(v, m)
		}
	})
}
