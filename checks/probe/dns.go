package probe

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/backbeat-ha/backbeat/checks"
)

// patienceWith is how many datagrams that are no answer are read by one run.
const patienceWith = 1000

// datagramSize is what is read of an answer by UDP: without EDNS a server sends at most
// 512 bytes (RFC 1035 4.2.1), and sets TC if there is more.
const datagramSize = 4 << 10

var dnsTypes = map[string]dnsmessage.Type{
	"A": dnsmessage.TypeA, "AAAA": dnsmessage.TypeAAAA, "CNAME": dnsmessage.TypeCNAME, "MX": dnsmessage.TypeMX, "NS": dnsmessage.TypeNS,
	"PTR": dnsmessage.TypePTR, "SOA": dnsmessage.TypeSOA, "SRV": dnsmessage.TypeSRV, "TXT": dnsmessage.TypeTXT,
}

var rcodes = map[dnsmessage.RCode]string{
	dnsmessage.RCodeSuccess: "NOERROR", dnsmessage.RCodeFormatError: "FORMERR", dnsmessage.RCodeServerFailure: "SERVFAIL",
	dnsmessage.RCodeNameError: "NXDOMAIN", dnsmessage.RCodeNotImplemented: "NOTIMP", dnsmessage.RCodeRefused: "REFUSED",
}

// question is what is asked and how the answer is known to be one.
type question struct {
	id   uint16
	ask  dnsmessage.Question
	wire []byte
}

// runDNS asks once by UDP from a port of its own; the kernel lets through what comes
// from the server, and of that only what answers the question counts.
func runDNS(ctx context.Context, v checks.DNS) checks.Result {
	q, err := newQuestion(v)
	if err != nil {
		return notRun(err.Error())
	}
	var m *dnsmessage.Message
	if v.TCP {
		m, err = q.overTCP(ctx, v)
	} else if m, err = q.overUDP(ctx, v); err == nil && m.Truncated {
		m, err = q.overTCP(ctx, v)
	}
	switch {
	case errors.Is(err, errNoAnswer):
		return failed("%v", err)
	case err != nil:
		return broken(ctx, err)
	}
	return judgeDNS(v, m)
}

func newQuestion(v checks.DNS) (*question, error) {
	kind, ok := dnsTypes[v.Type]
	if !ok {
		return nil, fmt.Errorf("no such type of record: %s", v.Type)
	}
	name, err := dnsmessage.NewName(v.Name + ".")
	if v.Name == "" {
		name, err = dnsmessage.NewName(".")
	}
	if err != nil {
		return nil, err
	}
	var id [2]byte
	_, _ = rand.Read(id[:]) // never fails
	q := &question{id: binary.BigEndian.Uint16(id[:]), ask: dnsmessage.Question{Name: name, Type: kind, Class: dnsmessage.ClassINET}}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: q.id, RecursionDesired: v.Recursive}, Questions: []dnsmessage.Question{q.ask}}
	q.wire, err = m.Pack()
	return q, err
}

// answer takes a message apart if it is the answer to the question.
func (q *question) answer(b []byte) *dnsmessage.Message {
	var m dnsmessage.Message
	if m.Unpack(b) != nil || m.ID != q.id || !m.Response || m.OpCode != 0 {
		return nil
	}
	if len(m.Questions) == 0 && m.RCode == dnsmessage.RCodeFormatError {
		return &m // it may not have understood the question (RFC 1035 4.1.1)
	}
	if len(m.Questions) != 1 || m.Questions[0].Type != q.ask.Type || m.Questions[0].Class != q.ask.Class ||
		!strings.EqualFold(m.Questions[0].Name.String(), q.ask.Name.String()) {
		return nil
	}
	return &m
}

func (q *question) overUDP(ctx context.Context, v checks.DNS) (*dnsmessage.Message, error) {
	var from net.Addr
	if v.Source.IsValid() {
		from = net.UDPAddrFromAddrPort(netip.AddrPortFrom(v.Source, 0))
	}
	conn, err := dialer(from).DialContext(ctx, "udp", v.Server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := conn.Write(q.wire); err != nil {
		return nil, err
	}
	buf := make([]byte, datagramSize)
	for ignored := 0; ; ignored++ {
		n, err := conn.Read(buf)
		if ignored > 0 && (err != nil && ctx.Err() != nil || ignored >= patienceWith) {
			return nil, fmt.Errorf("no answer, but %d %w", ignored, errNoAnswer)
		}
		if err != nil {
			return nil, err
		}
		if m := q.answer(buf[:n]); m != nil {
			return m, nil
		}
	}
}

// errNoAnswer: something came from the server, or in its name, that does not answer the question.
var errNoAnswer = errors.New("messages that do not answer the question")

// overTCP puts a length before each message (RFC 7766 8). There only the answer can come.
func (q *question) overTCP(ctx context.Context, v checks.DNS) (*dnsmessage.Message, error) {
	var from net.Addr
	if v.Source.IsValid() {
		from = net.TCPAddrFromAddrPort(netip.AddrPortFrom(v.Source, 0))
	}
	conn, err := dialer(from).DialContext(ctx, "tcp", v.Server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q.wire))), q.wire...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return nil, err
	}
	m := q.answer(buf)
	if m == nil {
		return nil, fmt.Errorf("by TCP came %w", errNoAnswer)
	}
	return m, nil
}

func judgeDNS(v checks.DNS, m *dnsmessage.Message) checks.Result {
	rcode, known := rcodes[m.RCode]
	if !known {
		rcode = "response code " + strconv.Itoa(int(m.RCode))
	}
	switch {
	case rcode != v.Rcode:
		return failed("%s, wanted %s", rcode, v.Rcode)
	case v.Authoritative && !m.Authoritative:
		return failed("%s, but the server does not answer for itself", rcode)
	case v.Rcode != "NOERROR":
		return passed(rcode)
	}
	var got []string
	for _, r := range m.Answers {
		if r.Header.Type == dnsTypes[v.Type] {
			got = append(got, record(r.Body))
		}
	}
	for _, want := range v.Answers {
		switch {
		case slices.Contains(got, want):
		case len(got) == 0:
			return failed("no %s record, wanted %s", v.Type, want)
		default:
			return failed("answered %s, wanted %s", phrase(strings.Join(got, ", "), 80), want)
		}
	}
	if len(got) == 0 {
		return failed("no %s record", v.Type)
	}
	return passed(phrase(strings.Join(got, ", "), 80))
}

// record is the content of a record as the configuration writes it: names in lower
// case without the last dot.
func record(body dnsmessage.ResourceBody) string {
	low := func(n dnsmessage.Name) string { return strings.ToLower(strings.TrimSuffix(n.String(), ".")) }
	switch r := body.(type) {
	case *dnsmessage.AResource:
		return netip.AddrFrom4(r.A).String()
	case *dnsmessage.AAAAResource:
		return netip.AddrFrom16(r.AAAA).String()
	case *dnsmessage.CNAMEResource:
		return low(r.CNAME)
	case *dnsmessage.NSResource:
		return low(r.NS)
	case *dnsmessage.PTRResource:
		return low(r.PTR)
	case *dnsmessage.MXResource:
		return fmt.Sprintf("%d %s", r.Pref, low(r.MX))
	case *dnsmessage.SRVResource:
		return fmt.Sprintf("%d %d %d %s", r.Priority, r.Weight, r.Port, low(r.Target))
	case *dnsmessage.SOAResource:
		return fmt.Sprintf("%s %s %d", low(r.NS), low(r.MBox), r.Serial)
	case *dnsmessage.TXTResource:
		return strings.Join(r.TXT, "")
	default:
		return ""
	}
}
