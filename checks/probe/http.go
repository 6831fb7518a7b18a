package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/backbeat-ha/backbeat/checks"
)

const (
	// bodySize is how much of a body is looked at.
	bodySize = 1 << 20
	// headerSize bounds the headers of an answer; net/http's default is 10 MiB.
	headerSize = 64 << 10
	// redirects is how many are followed, where any are.
	redirects = 10
)

// clock is the wall clock, for certificates.
var clock = time.Now

// runHTTP connects anew each time: a check over an open connection would not
// notice that the server takes no others.
func runHTTP(ctx context.Context, v checks.HTTP) checks.Result {
	target, err := url.Parse(v.URL)
	if err != nil {
		return notRun(err.Error())
	}
	client, err := newClient(v, target)
	if err != nil {
		return notRun(err.Error())
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, v.Method, v.URL, http.NoBody)
	if err != nil {
		return notRun(err.Error())
	}
	req.Header.Set("User-Agent", "backbeat")
	for _, h := range v.Headers {
		req.Header.Set(h.Name, h.Value)
	}
	if v.Host != "" {
		req.Host = v.Host
	}
	res, err := client.Do(req)
	if err != nil {
		return webError(ctx, err)
	}
	defer res.Body.Close()
	if why := expiring(v.TLS, res.TLS, clock()); why != "" {
		return failed("%s", why)
	}
	if !wantedStatus(v.Status, res.StatusCode) {
		return failed("status %d, wanted %s", res.StatusCode, ranges(v.Status))
	}
	return body(ctx, v, res)
}

func newClient(v checks.HTTP, target *url.URL) (*http.Client, error) {
	cfg, err := tlsConfig(v.TLS, target.Hostname())
	if err != nil {
		return nil, err
	}
	if v.TLS.ServerName == "" && v.Host != "" {
		cfg.ServerName = v.Host
		if h, _, err := net.SplitHostPort(v.Host); err == nil {
			cfg.ServerName = h
		}
	}
	var from net.Addr
	if v.Source.IsValid() {
		from = &net.TCPAddr{IP: v.Source.AsSlice(), Zone: v.Source.Zone()}
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if v.Unix != "" {
			return dialer(nil).DialContext(ctx, "unix", v.Unix)
		}
		return dialer(from).DialContext(ctx, network, address)
	}
	// No proxy from the environment: the check asks whom it names.
	client := &http.Client{Transport: &http.Transport{DialContext: dial, TLSClientConfig: cfg, DisableKeepAlives: true,
		DisableCompression: true, MaxResponseHeaderBytes: headerSize, ForceAttemptHTTP2: false}}
	client.CheckRedirect = func(_ *http.Request, via []*http.Request) error {
		switch {
		case !v.FollowRedirects:
			return http.ErrUseLastResponse
		case len(via) >= redirects:
			return fmt.Errorf("more than %d redirects", redirects)
		}
		return nil
	}
	return client, nil
}

func webError(ctx context.Context, err error) checks.Result {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL, which may have a password in it
	}
	if why := untrusted(err); why != "" {
		return failed("%s", why)
	}
	return broken(ctx, err)
}

func body(ctx context.Context, v checks.HTTP, res *http.Response) checks.Result {
	good := passed(fmt.Sprintf("status %d", res.StatusCode))
	if v.Match == "" && v.NotMatch == "" {
		return good
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, bodySize))
	if err != nil {
		return webError(ctx, err)
	}
	if v.Match != "" {
		re, err := compiled(v.Match)
		switch {
		case err != nil:
			return notRun(err.Error())
		case !re.Match(text):
			return failed("status %d, but the body does not match %s", res.StatusCode, v.Match)
		}
	}
	if v.NotMatch != "" {
		re, err := compiled(v.NotMatch)
		switch {
		case err != nil:
			return notRun(err.Error())
		case re.Match(text):
			return failed("status %d, but the body matches %s", res.StatusCode, v.NotMatch)
		}
	}
	return good
}

func wantedStatus(list []checks.StatusRange, code int) bool {
	if len(list) == 0 {
		return code >= 200 && code <= 299
	}
	for _, r := range list {
		if code >= r.From && code <= r.To {
			return true
		}
	}
	return false
}

func ranges(list []checks.StatusRange) string {
	if len(list) == 0 {
		return "200-299"
	}
	s := ""
	for i, r := range list {
		if i > 0 {
			s += ", "
		}
		if s += fmt.Sprint(r.From); r.To != r.From {
			s += fmt.Sprintf("-%d", r.To)
		}
	}
	return s
}
