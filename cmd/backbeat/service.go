package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/address"
	"github.com/backbeat-ha/backbeat/actions/advertise"
	"github.com/backbeat-ha/backbeat/actions/agent"
	"github.com/backbeat-ha/backbeat/actions/announce"
	"github.com/backbeat-ha/backbeat/actions/run"
	"github.com/backbeat-ha/backbeat/checks/probe"
	"github.com/backbeat-ha/backbeat/conf"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
	"github.com/backbeat-ha/backbeat/daemon/journal"
	"github.com/backbeat-ha/backbeat/vrrp/wire"
	"golang.org/x/sys/unix"
)

const (
	// minProcs leaves the loop a processor of Go's to come back to while others
	// compute: with two, two busy goroutines cost it 150 ms.
	minProcs = 4
	// hookPatience is how long hooks may go on after the last router has left.
	hookPatience = 5 * time.Second
	// partPatience bounds the wait for any part to end. It is more than each of
	// them needs, and TimeoutStopSec in the unit is more than all of them.
	partPatience = 5 * time.Second
)

// service is one life of the daemon: its parts, and the order in which they
// start and end.
type service struct {
	tool *tool
	opt  runOptions

	journal    *journal.Journal
	tally      *tally
	control    *control.Server
	keeper     *address.Keeper
	announcer  *announce.Announcer
	advertiser *advertise.Advertiser
	runner     *run.Runner
	prober     *probe.Pool
	hands      *agent.Hands
	orders     *journal.Orders // nil if they are not kept on disk
	wire       *wire.Port
	loop       *daemon.Loop
	reloader   *reloader
	notifier   *notifier

	made   chan struct{} // closed when loop is there
	memory memory
	ended  chan struct{} // the loop has ended
	broken chan error    // the first part that ended on its own; has room for one
	got    chan os.Signal
	// next is the successor, as handOver was asked for it; handed that there is one.
	next    atomic.Uint32
	adopted bool // what the process before had is still there
	handed  atomic.Bool
	// standIn speaks between us and the successor; set before handed is.
	standIn *standIn
}

// serve is `backbeat run`. It returns nil after a stop that was asked for.
func (t *tool) serve(ctx context.Context, o runOptions) error {
	// From the first moment to the last: a HUP or TERM at the edges of life
	// must not end us by its default action, halfway in or out. PIPE is caught
	// to survive a log whose reader has died. Ignoring it would be inherited by
	// hooks; a handler is not.
	got := make(chan os.Signal, 16)
	signal.Notify(got, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGPIPE, syscall.SIGUSR2)
	defer signal.Stop(got)
	inheritProcess(got)
	// Hooks inherit nothing: also not what we were started with. A kernel
	// before 5.11 does not know the flag; then only Go's own care is left.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < minProcs {
		runtime.GOMAXPROCS(minProcs)
	}
	hasten()
	cfg, d, err := t.load(o.config, "")
	if err != nil {
		return err
	}
	if cfg == nil {
		if err := d.WriteText(t.err, t.errWidth, t.errColor); err != nil {
			return err
		}
		return fmt.Errorf("%s has %s", o.config, plural(d.Errors(), "error"))
	}
	if err := checkPrivilege(); err != nil {
		return err
	}
	s := &service{tool: t, opt: o, made: make(chan struct{}), ended: make(chan struct{}), broken: make(chan error, 1), got: got}
	err = s.live(ctx, cfg, d)
	if err == nil && s.handed.Load() && successor(s.next.Load()) == ourself {
		return replace(got, func(err error) { fmt.Fprintf(t.err, "%v; this one goes on\n", err) })
	}
	return err
}

// live builds the parts, runs them, and takes them down in order.
func (s *service) live(ctx context.Context, cfg *daemon.Config, d *conf.Diagnostics) error {
	// First of all: be the only one. A second daemon must not touch anything.
	s.control = control.New(control.Options{
		Path: s.opt.control, Lock: filepath.Join(s.opt.runtimeDir, "backbeat.lock"), Version: versionText(),
		Post: s.post, Log: s.log, Reload: func(ctx context.Context) control.ReloadResult { return s.reloader.reload(ctx) },
		Plan:          func(ctx context.Context) control.ReloadResult { return s.reloader.plan(ctx) },
		Configuration: func() control.Configuration { return s.reloader.configuration() },
		Scheduling:    s.memory.scheduling,
	})
	if err := s.control.Open(); err != nil {
		return err
	}
	defer s.control.Close()

	before := s.openState()
	writer := begin("journal", s.log, func(ctx context.Context) error { s.journal.Run(ctx); return nil }, func(error) {})
	defer writer.stop() // last of all, so that it has the last word
	if s.orders != nil {
		keeper := begin("standing orders", s.log, func(ctx context.Context) error { s.orders.Run(ctx); return nil }, func(error) {})
		defer keeper.stop() // when the loop, which gives them, has ended
	}
	s.greet(cfg, d)

	if err := s.build(ctx, cfg, before); err != nil {
		s.log(slog.LevelError, "cannot start: "+err.Error())
		return err
	}
	defer s.wire.Close()
	s.memory.settle()
	keeper := s.start("addresses", s.keeper.Run)
	announcer := s.start("announcements", s.announcer.Run)
	advertiser := s.start("router advertisements", s.advertiser.Run)
	server := s.start("control socket", s.control.Run)
	tidier := s.start("memory", s.memory.run)
	notifier := s.start("systemd notifications", s.notifier.run)
	signals := s.start("signals", s.signals)
	if s.adopted {
		time.AfterFunc(afterHandover+time.Duration(len(cfg.Routers))*afterHandoverEach, func() { s.keeper.Tidy(s.removed) })
	}

	calm := urgent()
	err := s.loop.Run(ctx)
	if s.handed.Load() {
		s.speakOn()
	}
	calm()
	close(s.ended)

	signals.stop()
	notifier.stop()
	tidier.stop()
	server.stop()
	announcer.stop()
	advertiser.stop()
	keeper.stop() // what was wished last is still carried out
	if s.handed.Load() {
		return s.succeed()
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), hookPatience)
	defer cancel()
	s.hands.Close(wait) // before the runner, which runs their commands
	s.prober.Close(wait)
	s.runner.Close(wait)
	return s.verdict(err)
}

// verdict is what the life of the daemon comes to: a stop that was asked for is
// a success, the end of a part is not.
func (s *service) verdict(err error) error {
	select {
	case broken := <-s.broken:
		err = errors.Join(broken, err)
	default:
	}
	if err != nil {
		s.log(slog.LevelError, "ended: "+err.Error())
		return err
	}
	s.log(slog.LevelInfo, "ended")
	return nil
}

// earlier is what earlier runs have left in the state directory.
type earlier struct {
	past    []daemon.Transition
	ordered []daemon.Order
}

// openState opens the log, the history and the standing orders. Without a place
// to keep them the daemon still does what it is for.
func (s *service) openState() (e earlier) {
	logger := journal.NewLogger(s.tool.err, s.opt.logFormat.value, s.opt.logLevel.Level)
	j, past, err := journal.Open(journal.Options{Dir: s.opt.stateDir, Logger: logger})
	s.journal, s.tally, e.past = j, newTally(j), past
	if err != nil {
		s.log(slog.LevelWarn, "the history is not kept across a restart: "+err.Error())
	}
	switch {
	case s.opt.stateDir == "":
	case !journal.DirectoryUsable(err):
		s.log(slog.LevelWarn, "standing orders (standby, pin, maintenance) are neither known from before nor kept across a restart, for the same reason")
	default:
		if s.orders, e.ordered, err = journal.OpenOrders(s.opt.stateDir, time.Now(), j.Log); err != nil {
			s.log(slog.LevelError, err.Error())
		}
	}
	return e
}

// greet logs what was started, and what is not as it should be.
func (s *service) greet(cfg *daemon.Config, d *conf.Diagnostics) {
	s.log(slog.LevelInfo, fmt.Sprintf("backbeat %s on node %s with %s from %s", versionText(), cfg.Node,
		plural(len(cfg.Routers), "virtual router"), s.opt.config))
	for _, w := range d.List() {
		s.log(slog.LevelWarn, "configuration: "+w.String())
	}
	warnCommands(s.log, cfg, d)
	if realTime() {
		return
	}
	lvl, least := slog.LevelInfo, shortest(cfg)
	if least.Seconds() < shortInterval {
		lvl = slog.LevelWarn
	}
	s.log(lvl, fmt.Sprintf("not scheduled in real time: good for intervals from %s up, and the shortest is %s; the systemd unit has CPUSchedulingPolicy=rr",
		took(shortInterval), took(least.Seconds())))
}

// build makes the parts. None of them has done anything yet, but for addresses
// that a crash left behind, which are removed.
func (s *service) build(ctx context.Context, cfg *daemon.Config, before earlier) error {
	post := func(in any) { s.post(in) }
	s.keeper = address.New(address.Options{Ledger: filepath.Join(s.opt.runtimeDir, "addresses"), Post: post})
	var err error
	if s.wire, err = wire.New(post); err != nil {
		return fmt.Errorf("prepare the sockets: %w", err)
	}
	handoff := s.inherit(s.wire.Now())
	standIn := s.stoodIn(handoff != nil) // before anything that it speaks for is taken off
	s.sweep(ctx, handoff != nil)
	s.announcer, s.advertiser = announce.New(post), advertise.New()
	s.runner = run.New(post)
	s.prober = probe.New(post, s.runner)
	s.hands = agent.New(post, s.runner)
	s.hands.Runtime, s.hands.RebootHost = s.opt.runtimeDir, agent.Reboot
	s.tally.configure(cfg)
	ports := daemon.Ports{
		Clock: s.wire, Wire: s.wire, Addresses: s.keeper, Announcer: s.announcer, Advertiser: s.advertiser, Runner: s.runner, Prober: s.prober,
		Agents: hands{s.hands, s.log}, Journal: s.tally, Watch: s.keeper.Watch, Past: before.past, Ordered: before.ordered, Dropped: s.journal.Dropped,
		Handoff: handoff, StandIn: standIn,
	}
	if s.orders != nil {
		ports.Orders = s.orders
	}
	s.loop = daemon.New(cfg, ports)
	close(s.made)
	s.notifier = newNotifier(s.post, s.tally)
	s.reloader = &reloader{path: s.opt.config, post: s.post, log: s.log, notify: s.notifier, tally: s.tally, ended: s.ended,
		load: func(path string) (*daemon.Config, *conf.Diagnostics, error) { return s.tool.load(path, "") }}
	s.reloader.applied(cfg)
	return nil
}

// hands are the agents as the loop knows them.
type hands struct {
	*agent.Hands
	log logFunc
}

// Forget lets go of what a removed step had, beside the loop.
func (h hands) Forget(a actions.Agent, name string) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), partPatience)
		defer cancel()
		if err := h.Release(ctx, a, name); err != nil {
			h.log(slog.LevelWarn, fmt.Sprintf("what was left for step %s: %v", name, err))
		}
	}()
}

// sweep removes what a crash left behind. After a handoff everything is left
// where it is, and what nobody wants any more goes a little later.
func (s *service) sweep(ctx context.Context, inherited bool) {
	var left []address.Left
	var err error
	if inherited {
		err = s.keeper.Adopt()
	} else {
		left, err = s.keeper.Sweep(ctx)
	}
	s.removed(left, err)
	s.adopted = inherited
}

// removed tells what earlier processes had left behind.
func (s *service) removed(left []address.Left, err error) {
	for _, l := range left {
		s.log(slog.LevelWarn, fmt.Sprintf("removed %s, which an earlier backbeat%s had left behind", l, pidText(l.PID)))
	}
	if err != nil {
		s.log(slog.LevelError, "look for addresses left behind: "+err.Error())
	}
}

// succeed makes room for the successor: nothing has been taken off.
func (s *service) succeed() error {
	now, cancel := context.WithCancel(context.Background())
	cancel() // monitors and checks are not waited for
	s.hands.Close(now)
	s.prober.Close(now)
	s.log(slog.LevelInfo, "everything stays as it is for the next process")
	return nil
}

// post hands an input to the loop. The loop gives the hands their first jobs while it
// is being made, and some are answered at once: from goroutines of the hands, which wait.
func (s *service) post(in daemon.Input) {
	<-s.made
	s.loop.Post(in)
}

func (s *service) log(lvl slog.Level, text string, attrs ...slog.Attr) {
	s.journal.Log(daemon.Line{Level: lvl, Text: text, Attrs: attrs})
}

// signals obeys HUP, TERM and INT until ctx ends.
func (s *service) signals(ctx context.Context) error {
	hup := make(chan struct{}, 1) // several in a row are one
	reloads := s.start("reload", func(ctx context.Context) error { s.reloads(ctx, hup); return nil })
	defer reloads.stop()
	for asked := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case sig := <-s.got:
			switch sig {
			case syscall.SIGPIPE:
			case syscall.SIGHUP:
				select {
				case hup <- struct{}{}:
				default:
				}
			case syscall.SIGUSR2:
				if asked {
					continue // it is leaving
				}
				s.log(slog.LevelInfo, "SIGUSR2: the installed program takes over from this process")
				if s.handOver(ctx, ourself) {
					<-ctx.Done() // a part that ends before it is asked to has failed
					return nil
				}
			default:
				if !asked && sig == syscall.SIGTERM && restarting(ctx) {
					s.log(slog.LevelInfo, "systemd restarts us: everything stays as it is for the next process")
					if s.handOver(ctx, bySystemd) {
						<-ctx.Done()
						return nil
					}
				}
				s.notifier.stopping()
				s.post(daemon.Stop{Yield: !asked, Detail: sigName(sig)})
				asked = true
			}
		}
	}
}

// reloads carries out SIGHUPs beside the signals, which must not wait.
func (s *service) reloads(ctx context.Context, hup <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			s.reloader.reload(ctx) // it has logged what came of it
		}
	}
}

// pidText is " (pid 812)", or nothing where it is not known.
func pidText(pid int) string {
	if pid == 0 {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}

func sigName(sig os.Signal) string {
	switch sig {
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGINT:
		return "SIGINT"
	default:
		return sig.String()
	}
}
