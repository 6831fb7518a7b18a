package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/backbeat-ha/backbeat/actions"
)

// redisDial and redisAnswer bound one connection and one command (INFO, CLIENT;
// WAIT has its own time on top).
const (
	redisDial   = 3 * time.Second
	redisAnswer = 5 * time.Second
)

// errNobody: nobody listens, so the server does not run.
var errNobody = errors.New("no Redis server runs")

type redisAgent struct {
	a    actions.Redis
	conn redis.Conn
	tell say
}

// redisInfo is what INFO says, as far as we need it.
type redisInfo struct {
	master, loading bool
	replicas        int
	// of a replica: what it follows as host:port, whether the link is up and, if
	// not, since when; negative: never since the start.
	follows  string
	linkUp   bool
	syncing  bool
	linkDown time.Duration
	keys     int64
}

// inSync is when a server was last seen as master or in sync, by address. It is
// a fact about this host, so it is the same for all Hands: a master that was
// just demoted is not one that was never in sync, although INFO says so.
var inSync sync.Map // string → time.Time

// dial connects. The password is read anew each time, and is in no message.
func (r *redisAgent) dial(ctx context.Context) error {
	network, address := "tcp", r.a.Address
	if r.a.Unix != "" {
		network, address = "unix", r.a.Unix
	}
	options := []redis.DialOption{redis.DialConnectTimeout(redisDial), redis.DialReadTimeout(redisAnswer), redis.DialWriteTimeout(redisAnswer)}
	if r.a.PasswordFile != "" {
		b, err := os.ReadFile(r.a.PasswordFile)
		if err != nil {
			return fmt.Errorf("the password cannot be read: %w", err)
		}
		first, _, _ := strings.Cut(string(b), "\n")
		options = append(options, redis.DialUsername(r.a.User), redis.DialPassword(strings.TrimRight(first, "\r")))
	}
	c, err := redis.DialContext(ctx, network, address, options...)
	var op *net.OpError
	switch {
	case err == nil:
		r.conn = c
		return nil
	case errors.As(err, &op) && op.Op == "dial" && (errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)):
		return fmt.Errorf("%w at %s", errNobody, address)
	default:
		return fmt.Errorf("no answer from Redis at %s: %w", address, err)
	}
}

func (r *redisAgent) do(ctx context.Context, command string, args ...any) (any, error) {
	return redis.DoContext(r.conn, ctx, command, args...)
}

func (r *redisAgent) number(ctx context.Context, command string, args ...any) (int, error) {
	return redis.Int(r.do(ctx, command, args...))
}

func (r *redisAgent) info(ctx context.Context) (*redisInfo, error) {
	text := ""
	for _, section := range []string{"replication", "persistence"} {
		part, err := redis.String(r.do(ctx, "INFO", section))
		if err != nil {
			return nil, fmt.Errorf("%w", err)
		}
		text += part + "\r\n"
	}
	s, err := parseRedis(text)
	if err != nil {
		return nil, err
	}
	server := r.a.Unix + "|" + r.a.Address
	if s.master && !s.loading || s.linkUp {
		inSync.Store(server, time.Now())
	} else if at, seen := inSync.Load(server); seen && !s.master {
		if since := time.Since(at.(time.Time)); s.linkDown < 0 || since < s.linkDown {
			s.linkDown = since
		}
	}
	if !s.master && !s.loading && !s.linkUp {
		if n, err := r.number(ctx, "DBSIZE"); err == nil {
			s.keys = int64(n)
		}
	}
	return s, nil
}

func parseRedis(text string) (*redisInfo, error) {
	keys := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			keys[key] = value
		}
	}
	s := &redisInfo{loading: keys["loading"] == "1" || keys["async_loading"] == "1"}
	s.replicas, _ = strconv.Atoi(keys["connected_slaves"])
	switch keys["role"] {
	case "master":
		s.master = true
		return s, nil
	case "slave":
	default:
		return nil, fmt.Errorf("INFO says role %q: is this Redis?", keys["role"])
	}
	s.follows = net.JoinHostPort(keys["master_host"], keys["master_port"])
	s.linkUp = keys["master_link_status"] == "up"
	s.syncing = keys["master_sync_in_progress"] == "1"
	s.linkDown = -time.Second
	if n, err := strconv.Atoi(keys["master_link_down_since_seconds"]); err == nil {
		s.linkDown = time.Duration(n) * time.Second
	}
	return s, nil
}

// replica describes a replica: "replica of 10.0.0.1:6379, in sync".
func (s *redisInfo) replica() string {
	words := "replica of " + s.follows
	switch {
	case s.loading:
		return words + ", loading its data"
	case s.syncing:
		return words + ", being copied to"
	case s.linkUp:
		return words + ", in sync"
	case s.linkDown < 0:
		return words + ", not in sync yet"
	default:
		return fmt.Sprintf("%s, not in sync for %v", words, s.linkDown.Round(time.Second))
	}
}
