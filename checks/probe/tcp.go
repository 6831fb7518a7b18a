package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"regexp"
	"sync"

	"github.com/backbeat-ha/backbeat/checks"
)

// answerSize is how much of an answer is looked at (TCP).
const answerSize = 64 << 10

// dialer connects from a given address, or any.
func dialer(source net.Addr) *net.Dialer {
	return &net.Dialer{LocalAddr: source, KeepAlive: -1}
}

func runTCP(ctx context.Context, v checks.TCP) checks.Result {
	network, address := "tcp", v.Address
	var from net.Addr
	switch {
	case v.Unix != "":
		network, address = "unix", v.Unix
	case v.Source.IsValid():
		from = &net.TCPAddr{IP: v.Source.AsSlice(), Zone: v.Source.Zone()}
	}
	conn, err := dialer(from).DialContext(ctx, network, address)
	if err != nil {
		return broken(ctx, err)
	}
	defer conn.Close()
	// The deadline ends every read and write, also when the daemon leaves.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if v.TLS.On {
		host, _, _ := net.SplitHostPort(address)
		cfg, err := tlsConfig(v.TLS, host)
		if err != nil {
			return notRun(err.Error())
		}
		secure := tls.Client(conn, cfg)
		if err := secure.HandshakeContext(ctx); err != nil {
			if why := untrusted(err); why != "" {
				return failed("%s", why)
			}
			return broken(ctx, err)
		}
		state := secure.ConnectionState()
		if why := expiring(v.TLS, &state, clock()); why != "" {
			return failed("%s", why)
		}
		conn = secure
	}
	return converse(ctx, conn, v)
}

// converse sends and expects.
func converse(ctx context.Context, conn net.Conn, v checks.TCP) checks.Result {
	if v.Send != "" {
		if _, err := io.WriteString(conn, v.Send); err != nil {
			return broken(ctx, err)
		}
	}
	if v.Expect == "" {
		return passed("connected")
	}
	want, err := compiled(v.Expect)
	if err != nil {
		return notRun(err.Error())
	}
	buf := make([]byte, 0, 4<<10)
	chunk := make([]byte, 4<<10)
	for len(buf) < answerSize {
		n, err := conn.Read(chunk[:min(len(chunk), answerSize-len(buf))])
		buf = append(buf, chunk[:n]...)
		if want.Match(buf) {
			return passed("answered as expected")
		}
		if errors.Is(err, io.EOF) {
			return failed("answered %q and closed, wanted %s", phrase(string(buf), 60), v.Expect)
		}
		if err != nil && len(buf) > 0 && ctx.Err() != nil {
			return failed("answered %q, wanted %s", phrase(string(buf), 60), v.Expect)
		}
		if err != nil {
			return broken(ctx, err)
		}
	}
	return failed("the first %d KiB do not match %s", answerSize>>10, v.Expect)
}

// expressions are the compiled ones: every run of a check needs the same.
var expressions sync.Map

func compiled(text string) (*regexp.Regexp, error) {
	if v, ok := expressions.Load(text); ok {
		return v.(*regexp.Regexp), nil
	}
	re, err := regexp.Compile(text)
	if err == nil {
		expressions.Store(text, re)
	}
	return re, err
}
