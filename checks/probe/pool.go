package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/net/icmp"

	"github.com/backbeat-ha/backbeat/actions/run"
	"github.com/backbeat-ha/backbeat/checks"
)

// How many runs there are at a time. Commands are processes, whose number is
// bounded by what a host can bear; a connection that waits costs a descriptor and some KiB.
const (
	netSlots  = 1024
	echoSlots = 4096 // a request that waits costs no descriptor
	execSlots = 16
	busSlots  = 64
	fileSlots = 16 // some may hang, and nothing else should wait for them
	hostSlots = 8
)

// Pool runs probes in the background.
type Pool struct {
	post         func(any)
	runner       *run.Runner
	files        patience
	echo4, echo6 echoer
	systemd      manager

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool

	net, echo, exec, bus, file, host chan struct{}
}

// New returns a Pool that answers every job with one checks.Done, given to post
// from a goroutine of the Pool's. post may wait for its reader, but not for
// ever: Close waits for it. Commands run by runner.
func New(post func(any), runner *run.Runner) *Pool {
	ctx, cancel := context.WithCancel(context.Background())
	return &Pool{post: post, runner: runner, ctx: ctx, cancel: cancel, echo4: echoer{socket: icmp.ListenPacket}, echo6: echoer{v6: true, socket: icmp.ListenPacket},
		net: make(chan struct{}, netSlots), echo: make(chan struct{}, echoSlots), exec: make(chan struct{}, execSlots),
		bus: make(chan struct{}, busSlots), file: make(chan struct{}, fileSlots), host: make(chan struct{}, hostSlots)}
}

// Probe accepts a job and returns at once; it may be called from any goroutine.
func (p *Pool) Probe(job checks.Job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		go p.post(checks.Done{Check: job.Check, Run: job.Run, Result: notRun("the daemon is leaving")}) // the caller is who reads the posts
		return
	}
	p.running.Add(1)
	go p.work(job)
}

// Close takes no new jobs, ends the running ones and waits until all have been
// answered or ctx has ended.
func (p *Pool) Close(ctx context.Context) {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	ended := make(chan struct{})
	go func() {
		p.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// work makes one run. It gets its slot first: waiting for that is part of the timeout.
func (p *Pool) work(job checks.Job) {
	defer p.running.Done()
	began := time.Now()
	ctx, cancel := context.WithTimeout(p.ctx, job.Timeout)
	defer cancel()
	slots, what := p.slots(job.Probe)
	var res checks.Result
	select {
	case slots <- struct{}{}:
		res = p.guarded(ctx, job)
		<-slots
	case <-p.ctx.Done():
		res = notRun("the daemon is leaving")
	case <-ctx.Done():
		res = notRun(fmt.Sprintf("no free slot within %v: %d %s are running", job.Timeout, cap(slots), what))
	}
	if p.ctx.Err() != nil {
		res = notRun("the daemon is leaving") // whatever it came to: it was cut short
	}
	res.Took = time.Since(began)
	res.Detail = phrase(res.Detail, checks.DetailSize)
	p.post(checks.Done{Check: job.Check, Run: job.Run, Result: res})
}

func (p *Pool) slots(probe checks.Probe) (slots chan struct{}, what string) {
	switch probe.(type) {
	case checks.Exec:
		return p.exec, "commands"
	case checks.HTTP, checks.TCP, checks.DNS:
		return p.net, "connections"
	case checks.ICMP:
		return p.echo, "echo requests"
	case checks.Systemd:
		return p.bus, "questions to systemd"
	case checks.File, checks.Disk:
		return p.file, "looks at files"
	default:
		return p.host, "other checks"
	}
}

// guarded keeps a programming error in a probe from ending the daemon.
func (p *Pool) guarded(ctx context.Context, job checks.Job) (res checks.Result) {
	defer func() {
		if v := recover(); v != nil {
			res = notRun(fmt.Sprintf("internal error: %v", v))
		}
	}()
	return p.carryOut(ctx, job)
}

// carryOut is the table of the kinds.
func (p *Pool) carryOut(ctx context.Context, job checks.Job) checks.Result {
	switch v := job.Probe.(type) {
	case checks.Exec:
		return p.runExec(job, v)
	case checks.HTTP:
		return runHTTP(ctx, v)
	case checks.TCP:
		return runTCP(ctx, v)
	case checks.ICMP:
		return p.runICMP(ctx, v)
	case checks.DNS:
		return runDNS(ctx, v)
	case checks.Systemd:
		return p.runSystemd(ctx, v)
	case checks.File:
		return p.files.look(ctx, v.Path, func() checks.Result { return runFile(v) })
	case checks.Process:
		return runProcess(v)
	case checks.Link:
		return runLink(v)
	case checks.Address:
		return runAddress(v)
	case checks.Route:
		return runRoute(v)
	case checks.Load:
		return runLoad(v)
	case checks.Disk:
		return p.files.look(ctx, v.Path, func() checks.Result { return runDisk(v) })
	default:
		return notRun(fmt.Sprintf("this daemon does not know the kind %q", job.Probe.Kind()))
	}
}

func passed(detail string) checks.Result {
	return checks.Result{Outcome: checks.Passed, Detail: detail}
}

func failed(format string, args ...any) checks.Result {
	return checks.Result{Outcome: checks.Failed, Detail: fmt.Sprintf(format, args...)}
}

func notRun(detail string) checks.Result {
	return checks.Result{Outcome: checks.NotRun, Detail: detail}
}

// broken judges an error of the network: what says that we could not ask is not
// a failure of whom we asked.
func broken(ctx context.Context, err error) checks.Result {
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return notRun("too many open files: raise LimitNOFILE in the unit")
	case errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
		return notRun("no memory for another socket")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return notRun("cannot connect from that address: it is not on this host, or no port is free")
	case errors.Is(ctx.Err(), context.Canceled):
		return notRun("the daemon is leaving")
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil:
		return failed("no answer in time")
	case errors.Is(err, syscall.ECONNREFUSED):
		return failed("connection refused")
	case errors.Is(err, syscall.EHOSTUNREACH):
		return failed("no route to host")
	case errors.Is(err, syscall.ENETUNREACH):
		return failed("network unreachable")
	case errors.Is(err, syscall.ECONNRESET):
		return failed("connection reset")
	case errors.Is(err, syscall.ENOENT):
		return failed("no such socket")
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return notRun("permission denied: the daemon's user may not connect there, or a firewall on this host forbids it")
	default:
		return failed("%v", err)
	}
}

// phrase makes one printable line of at most size bytes.
func phrase(s string, size int) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if len(s) <= size {
		return s
	}
	cut := size - len("…")
	for cut > 0 && s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + "…"
}
