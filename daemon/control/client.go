package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
)

// maxAnswer bounds what a client reads: 64k routers of 4 KiB.
const maxAnswer = 256 << 20

// Client talks to a daemon on this host. It may be used from several goroutines.
type Client struct {
	path string
	http *http.Client
}

// Dial returns a client for the socket at path (DefaultPath if empty). It does
// not connect: each call does.
func Dial(path string) *Client {
	if path == "" {
		path = DefaultPath
	}
	var d net.Dialer
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", path)
		},
	}}}
}

// Status returns the state of all virtual routers and service groups, or of the
// virtual router or service group named.
func (c *Client) Status(ctx context.Context, name string) (*Status, error) {
	q := url.Values{}
	if name != "" {
		q.Set("router", name)
	}
	return call[Status](ctx, c, http.MethodGet, "/v1/status", q, nil)
}

// History returns up to limit of the last transitions, of all routers or of
// the one named; limit 0 means the daemon's default.
func (c *Client) History(ctx context.Context, router string, limit int) (*History, error) {
	q := url.Values{}
	if router != "" {
		q.Set("router", router)
	}
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return call[History](ctx, c, http.MethodGet, "/v1/history", q, nil)
}

// Reload makes the daemon read its configuration anew. A configuration that is
// not accepted is not an error of the call: the answer says so.
func (c *Client) Reload(ctx context.Context) (*Reload, error) {
	return call[Reload](ctx, c, http.MethodPost, "/v1/reload", nil, nil)
}

// Plan asks what Reload would do. The answer is as Reload's.
func (c *Client) Plan(ctx context.Context) (*Reload, error) {
	return call[Reload](ctx, c, http.MethodPost, "/v1/plan", nil, nil)
}

// Version returns the version of the running daemon.
func (c *Client) Version(ctx context.Context) (*Version, error) {
	return call[Version](ctx, c, http.MethodGet, "/v1/version", nil, nil)
}

func call[T any](ctx context.Context, c *Client, method, path string, q url.Values, content []byte) (*T, error) {
	u := url.URL{Scheme: "http", Host: "backbeat", Path: path, RawQuery: q.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err, method)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the daemon's answer: %w", err)
	}
	return decode[T](body, res.StatusCode)
}

// decode tells answers from failures. 422 is the way of Reload and Command to say no.
func decode[T any](body []byte, code int) (*T, error) {
	var head struct {
		Schema int `json:"schema_version"`
	}
	if err := json.Unmarshal(body, &head); err != nil {
		return nil, fmt.Errorf("understand the daemon's answer (HTTP status %d): %w", code, err)
	}
	if head.Schema != SchemaVersion {
		return nil, fmt.Errorf("the daemon speaks version %d of the control schema and this tool version %d: use the backbeat binary the daemon was started from", head.Schema, SchemaVersion)
	}
	if code != http.StatusOK && code != http.StatusUnprocessableEntity {
		var f Failure
		if err := json.Unmarshal(body, &f); err != nil || f.Error.Message == "" {
			return nil, fmt.Errorf("the daemon refused (HTTP status %d)", code)
		}
		return nil, &f.Error
	}
	v := new(T)
	if err := json.Unmarshal(body, v); err != nil {
		return nil, fmt.Errorf("understand the daemon's answer: %w", err)
	}
	return v, nil
}

// explain turns what the kernel says about the socket into what is the matter.
func (c *Client) explain(err error, method string) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("backbeat is not running here (no %s): systemctl start backbeat", c.path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("backbeat is not running here (%s is left over from a daemon that died): systemctl start backbeat", c.path)
	case errors.Is(err, fs.ErrPermission) && method != http.MethodGet:
		return fmt.Errorf("not allowed to open %s: only root may change anything: try sudo", c.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("not allowed to open %s: only root and members of the group %q may: try sudo, or join the group (usermod -aG %s USER) and log in again", c.path, DefaultGroup, DefaultGroup)
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the daemon behind %s does not answer: it may be stopped (SIGSTOP), starved, or have too much to do: see its log", c.path)
	case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF):
		return fmt.Errorf("the daemon on %s hung up: it is ending, or has too many connections: try again", c.path)
	}
	var wrapped *url.Error // its text repeats a URL that means nothing to anybody
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return fmt.Errorf("talk to the daemon on %s: %w", c.path, err)
}
