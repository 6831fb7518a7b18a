package control

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
)

const (
	// DefaultPath is where the daemon listens and the tool knocks.
	DefaultPath = "/run/backbeat/control.sock"
	// DefaultGroup is the group whose members may read.
	DefaultGroup = "backbeat"

	// maxConnections is far more than operators and exporters need and far
	// fewer than the descriptors a process may have.
	maxConnections = 64
	// loopPatience is how long the loop may take to answer. It answers between
	// two turns, which take milliseconds.
	loopPatience = 2 * time.Second
	// maxAsking is how many questions may be with the loop at a time. Its queue
	// has room for a thousand inputs, which are for those that do the work.
	maxAsking = 8
	// reloadPatience bounds reading, checking and applying a configuration.
	reloadPatience = time.Minute
	headerPatience = 2 * time.Second
	readPatience   = 5 * time.Second
	// writePatience bounds a slow reader: it costs a slot, not the loop.
	writePatience = 10 * time.Second
	idlePatience  = 10 * time.Second
	// drainPatience is what requests under way have to end when the loop has ended: for
	// that long the process that follows is kept waiting.
	drainPatience = 100 * time.Millisecond
	maxHeader     = 16 << 10
	maxBody       = 64 << 10
)

// Options of a Server.
type Options struct {
	// Path of the socket; DefaultPath if empty. Its directory is created if it is missing.
	Path string
	// Lock is the file whose lock makes this daemon the only one; Path with
	// ".lock" if empty.
	Lock string
	// Group may read; DefaultGroup if empty. It need not exist.
	Group string
	// Post hands a query to the loop. It may wait for room in the loop's queue,
	// and must return when the loop has ended.
	Post func(daemon.Input)
	// Reload reads the configuration anew and applies it. It may take its time
	// and may be called from several goroutines at once.
	Reload func(context.Context) ReloadResult
	// Plan reads the configuration and says what Reload would do; nil if it cannot.
	Plan func(context.Context) ReloadResult
	// Configuration tells which configuration is in force. It returns at once
	// and may be called from several goroutines; nil if nobody knows.
	Configuration func() Configuration
	// Scheduling tells how the kernel treats the process, like Configuration.
	Scheduling func() Scheduling
	// Version of the daemon.
	Version string
	// Log takes lines about refusals and changes, from any goroutine; nil for none.
	Log func(level slog.Level, text string, attrs ...slog.Attr)
}

// Server serves the control socket.
type Server struct {
	opt      Options
	rules    rules
	claim    *claim
	listener *net.UnixListener
	patience time.Duration // loopPatience but in tests
	// encoding lets one answer at a time be made: several goroutines that
	// compute at once can keep the loop from its processor.
	encoding chan struct{}
	asking   chan struct{} // slots, see ask
	stopping chan struct{} // closed when Run is to end: the loop answers no more
	gone     chan struct{} // closed when Run has ended
}

// New returns a server that has touched nothing yet; see Open and Run.
func New(o Options) *Server {
	if o.Path == "" {
		o.Path = DefaultPath
	}
	if o.Lock == "" {
		o.Lock = lockPath(o.Path)
	}
	if o.Group == "" {
		o.Group = DefaultGroup
	}
	if o.Log == nil {
		o.Log = func(slog.Level, string, ...slog.Attr) {}
	}
	return &Server{opt: o, patience: loopPatience, encoding: make(chan struct{}, 1),
		asking: make(chan struct{}, maxAsking), stopping: make(chan struct{}), gone: make(chan struct{})}
}

// Open makes sure that no other daemon runs and opens the socket. From then on
// clients can connect; they are answered by Run. It is called before anything
// else is touched, so that a second daemon does no harm.
func (s *Server) Open() error {
	s.rules = rules{own: uint32(os.Geteuid()), group: s.opt.Group}
	s.rules.gid, s.rules.grouped = lookupGroup(s.opt.Group)
	if err := makeDir(filepath.Dir(s.opt.Path), s.rules); err != nil {
		return err
	}
	c, err := takeClaim(s.opt.Lock)
	if err != nil {
		return err
	}
	l, err := listen(s.opt.Path, s.rules)
	if err != nil {
		return errors.Join(err, c.release())
	}
	s.claim, s.listener = c, l
	return nil
}

// Close gives up the socket and the claim. Without it the end of the process
// does. It must not be called while Run runs.
func (s *Server) Close() error {
	if s.claim == nil {
		return nil
	}
	err := s.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	err = errors.Join(err, s.claim.release())
	s.claim = nil
	return err
}

// Run serves until ctx ends, which is when the loop has, then closes and removes the
// socket, grants requests under way a moment, and returns when all it started has ended. The claim
// stays until Close: addresses may still be on their way off. It is called once.
func (s *Server) Run(ctx context.Context) error {
	defer close(s.gone)
	if s.listener == nil {
		if err := s.Open(); err != nil {
			return err
		}
	}
	srv := &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: headerPatience,
		ReadTimeout:       readPatience,
		WriteTimeout:      writePatience,
		IdleTimeout:       idlePatience,
		MaxHeaderBytes:    maxHeader,
		// What strangers send must not fill the log.
		ErrorLog:    log.New(io.Discard, "", 0),
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, guestKey{}, c)
		},
	}
	door := newGate(s.listener)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(door) }()
	defer door.refusing.Wait()
	select {
	case err := <-ended:
		return errors.Join(err, srv.Close())
	case <-ctx.Done():
	}
	close(s.stopping)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainPatience)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		_ = srv.Close() // who has not finished by now is cut off
	}
	<-ended
	return nil
}

// guestKey is the context key of the connection.
type guestKey struct{}
