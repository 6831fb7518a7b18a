package wire

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/backbeat-ha/backbeat/vrrp"
	"golang.org/x/sys/unix"
)

// Port is the sockets, the timer and the wake-up of one loop. See the package
// comment for who may call what.
type Port struct {
	post  func(any)
	epfd  int
	timer int
	event int

	armed  time.Duration
	woken  atomic.Bool
	links  map[int]*link
	socket map[int32]*rxSocket // by descriptor
	dirty  []*txQueue          // those with something to send
	left   []beat              // for a stand-in

	events []unix.EpollEvent
	fresh  int // events that Wait left for Receive
	rush   rush
	rx     *receiver

	mu      sync.Mutex
	opened  []opened // results of openers, adopted by the loop
	pending atomic.Bool
	serial  uint64
}

// New makes a port without sockets. post receives vrrp.SocketReady answers; it
// is called from other goroutines and must lead to Wake.
func New(post func(any)) (*Port, error) {
	p := &Port{post: post, links: map[int]*link{}, socket: map[int32]*rxSocket{},
		events: make([]unix.EpollEvent, 128), rx: newReceiver(), armed: vrrp.Never}
	var err error
	p.epfd, p.timer, p.event = -1, -1, -1
	if p.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	if p.timer, err = unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		p.Close()
		return nil, fmt.Errorf("create timerfd on CLOCK_BOOTTIME: %w", err)
	}
	if p.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		p.Close()
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	for _, fd := range []int{p.timer, p.event} {
		if err := p.watch(fd); err != nil {
			p.Close()
			return nil, err
		}
	}
	return p, nil
}

func (p *Port) watch(fd int) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(p.epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("watch descriptor: %w", err)
	}
	return nil
}

// Close closes everything. The port must not be used afterwards; Wake from a
// late goroutine is harmless.
func (p *Port) Close() {
	for index := range p.links {
		p.Forget(index)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.opened {
		o.close()
	}
	p.opened = nil
	p.serial++ // openers still under way close what they get
	for _, fd := range []*int{&p.timer, &p.event, &p.epfd} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// Now is CLOCK_BOOTTIME: monotonic, and it counts the time a machine slept.
func (p *Port) Now() time.Duration { return boottime() }

// Wall is the wall clock, for people.
func (p *Port) Wall() time.Time { return time.Now() }

func boottime() time.Duration {
	var ts unix.Timespec
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		panic("wire: clock_gettime(CLOCK_BOOTTIME): " + errno.Error()) // there since Linux 2.6.39
	}
	return time.Duration(ts.Nano())
}

// Wake ends a Wait, now or the next one. From any goroutine.
func (p *Port) Wake() {
	if p.woken.Swap(true) {
		return // already on its way
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.event >= 0 {
		one := [8]byte{1}
		// EAGAIN would mean that the counter is full: awake enough.
		_, _ = unix.Write(p.event, one[:])
	}
}

// Wait blocks until a packet can be read, the deadline has come, or Wake.
// It may return early for no reason.
func (p *Port) Wait(deadline time.Duration) {
	if p.fresh > 0 {
		return
	}
	now := boottime()
	at := deadline
	if deadline != vrrp.Never && deadline-now > briefly {
		at -= ahead
	}
	if at != p.armed {
		p.arm(at)
	}
	now = p.gather(now)
	if deadline-now <= briefly {
		p.fresh = p.waitBriefly()
		return
	}
	n, err := unix.EpollWait(p.epfd, p.events, -1)
	if err != nil {
		return // EINTR: whoever called will look at everything anyway
	}
	p.fresh = n
}

// ahead is how much before its deadline a long wait ends; the rest is waited for
// briefly. After a long one the runtime wakes its monitor thread first of all, which
// finds that this goroutine has run for long and has it make room for others: 100 to
// 250 µs, by which one advert of a hundred at 10 ms was late.
const ahead = time.Millisecond

// briefly is how long a wait is at most about which Go's runtime is not told. A system
// call that it knows of lets its monitor think that all is idle, and each end of one
// has it look every 20 µs again: with a wake-up every millisecond that was a fifth of
// what a Backup of 4,000 routers costs. The garbage collector does not wait for us: it
// sends a signal, which ends the wait.
const briefly = 2 * time.Millisecond

// waitBriefly waits for events until the timer, which is armed, ends it soon.
func (p *Port) waitBriefly() int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epfd), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), ^uintptr(0), 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

const (
	// gatherFor is how long packets that come thick and fast are left to gather. They
	// carry the kernel's time of arrival, so nothing is misjudged.
	gatherFor = time.Millisecond
	// rushed is how many wake-ups in a row, each within gatherFor of the one before,
	// make a rush. Eight are more than the Actives of a few routers cause.
	rushed = 8
)

// rush notices when reading each packet for itself would be most of the work: 4,000
// routers at 100 ms are 40,000 wake-ups a second, of 6 µs, for packets of 1 µs.
type rush struct {
	last time.Duration // the last wake-up
	n    int           // wake-ups in a row that came close together
	fds  [2]unix.PollFd
}

// gather waits in a rush until a millisecond after the last wake-up, or until the
// deadline or Wake, whichever comes first, and returns what time it is then.
func (p *Port) gather(now time.Duration) time.Duration {
	r := &p.rush
	rest := r.last + gatherFor - now
	if rest <= 0 {
		r.last, r.n = now, max(0, r.n-2)
		return now
	}
	if r.n++; r.n < rushed {
		return now
	}
	r.n = rushed
	r.fds = [2]unix.PollFd{{Fd: int32(p.timer), Events: unix.POLLIN}, {Fd: int32(p.event), Events: unix.POLLIN}}
	t := unix.NsecToTimespec(int64(rest))
	// EINTR: no harm in being early.
	_, _, _ = unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&r.fds[0])), uintptr(len(r.fds)), uintptr(unsafe.Pointer(&t)), 0, 0, 0)
	r.last = boottime()
	return r.last
}

// arm sets the timer to an absolute instant, so that no time is lost between
// reading the clock and arming. Setting it also clears an expiration, which is
// why the descriptor is never read.
func (p *Port) arm(deadline time.Duration) {
	p.armed = deadline
	var spec unix.ItimerSpec
	if deadline != vrrp.Never {
		spec.Value = unix.NsecToTimespec(int64(max(deadline, 1)))
	}
	if err := unix.TimerfdSettime(p.timer, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
		panic("wire: timerfd_settime: " + err.Error()) // only for a bad descriptor or value
	}
}

// Receive reads what is queued; see daemon.Wire.
func (p *Port) Receive(budget int, f func(*vrrp.Packet)) (more bool) {
	p.adopt()
	for {
		n := p.fresh
		p.fresh = 0
		if n == 0 {
			if n = p.look(); n <= 0 {
				return false
			}
		}
		full := n == len(p.events)
		for _, ev := range p.events[:n] {
			switch int(ev.Fd) {
			case p.timer:
			case p.event:
				p.clearWake()
			default:
				s := p.socket[ev.Fd]
				if s == nil {
					continue
				}
				if budget -= p.rx.drain(s, budget, f); budget <= 0 {
					return true
				}
			}
		}
		if !full {
			return false
		}
	}
}

// look asks for events without waiting.
func (p *Port) look() int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epfd), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// clearWake reads first and lowers the flag after. The other way round a Wake in
// between would raise the flag and have its write swallowed, and no later Wake
// would write again. As it is, a Wake in between is skipped, but what it was
// for is in the inbox already, and the loop empties that in this very turn.
func (p *Port) clearWake() {
	var b [8]byte
	_, _ = unix.Read(p.event, b[:])
	p.woken.Store(false)
}
