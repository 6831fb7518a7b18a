package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Tap records the IPv4 multicast adverts of all hosts in few bytes each, for
// benches with tens of thousands a second, which a Sniffer would not keep up with.
type Tap struct {
	lab  *Lab
	fd   int
	stop chan struct{}
	done chan struct{}
	once sync.Once

	mu   sync.Mutex
	seen []Sighting
	lost int
}

// Sighting is one advert.
type Sighting struct {
	At time.Duration
	// Host is the number of its host (Host.Number), Link k of the interface ethK.
	Host, Link, VRID, Priority uint8
}

const (
	tapBatch = 128
	// tapFrame is what is read of a frame: up to the priority of an advert.
	tapFrame = 48
	// tapBuffer holds two seconds of 40,000 frames.
	tapBuffer = 64 << 20
)

// Tap starts a tap at the switch.
func (l *Lab) Tap() (*Tap, error) {
	c, err := openCapture(l.hub, l.onlyAdverts())
	if err != nil {
		return nil, err
	}
	// What goes out at the ports is no business of ours, and looking at it costs the sender.
	_ = unix.SetsockoptInt(c.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1) // since Linux 4.20
	// More than openCapture asks for; only a real root gets it.
	_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, tapBuffer)
	t := &Tap{lab: l, fd: c.fd, stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(t.done)
		t.run()
		t.mu.Lock()
		t.lost += c.drops()
		t.mu.Unlock()
		c.close()
	}()
	l.atClose(t.Stop)
	return t, nil
}

// Stop ends the tap. It may be called more than once.
func (t *Tap) Stop() {
	t.once.Do(func() { close(t.stop) })
	<-t.done
}

// Lost counts the adverts for which the kernel had no room.
func (t *Tap) Lost() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, err := unix.GetsockoptTpacketStats(t.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		t.lost += int(s.Drops)
	}
	return t.lost
}

// Since returns what a host (0: any) has sent since an instant.
func (t *Tap) Since(from time.Duration, host int) []Sighting {
	t.mu.Lock()
	defer t.mu.Unlock()
	// Time stamps are in order but for the processors' differences.
	i, _ := slices.BinarySearchFunc(t.seen, from-time.Second, func(s Sighting, at time.Duration) int {
		if s.At < at {
			return -1
		}
		return 1
	})
	var out []Sighting
	for _, s := range t.seen[i:] {
		if s.At >= from && (host == 0 || int(s.Host) == host) {
			out = append(out, s)
		}
	}
	return out
}

// Forget drops what has been recorded.
func (t *Tap) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen = t.seen[:0]
}

// onlyAdverts keeps what comes in at a port, which is where each frame is seen
// exactly once: the bridges themselves show it again.
func (l *Lab) onlyAdverts() []bpf.Instruction {
	// Each comparison is followed by a way out, so that no jump is far.
	out := func(c bpf.JumpTest, v uint32) []bpf.Instruction {
		return []bpf.Instruction{bpf.JumpIf{Cond: c, Val: v, SkipTrue: 1}, bpf.RetConstant{}}
	}
	prog := []bpf.Instruction{bpf.LoadExtension{Num: bpf.ExtType}}
	prog = append(prog, out(bpf.JumpNotEqual, unix.PACKET_OUTGOING)...)
	prog = append(prog, bpf.LoadExtension{Num: bpf.ExtInterfaceIndex})
	for _, index := range l.bridges {
		prog = append(prog, out(bpf.JumpNotEqual, uint32(index))...)
	}
	prog = append(prog, bpf.LoadAbsolute{Off: 12, Size: 2})
	prog = append(prog, out(bpf.JumpEqual, unix.ETH_P_IP)...)
	prog = append(prog, bpf.LoadAbsolute{Off: 23, Size: 1})
	prog = append(prog, out(bpf.JumpEqual, uint32(protocol))...)
	return append(prog, bpf.RetConstant{Val: tapFrame})
}

// tapMessage is struct mmsghdr of recvmmsg(2), which x/sys does not have.
type tapMessage struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

func (t *Tap) run() {
	// On a busy machine it must read on time, or the kernel's buffer runs over. What it
	// does is little, and the thread, which keeps this to itself, ends with it.
	runtime.LockOSThread()
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_RR, Priority: 1, Flags: unix.SCHED_FLAG_RESET_ON_FORK}, 0)
	ports := map[int][2]uint8{}
	for _, h := range t.lab.hosts {
		for k, index := range h.ports {
			ports[index] = [2]uint8{uint8(h.Number), uint8(k)}
		}
	}
	var (
		messages [tapBatch]tapMessage
		vectors  [tapBatch]unix.Iovec
		names    [tapBatch]unix.RawSockaddrLinklayer
		control  [tapBatch][64]byte
		data     [tapBatch][tapFrame]byte
	)
	for {
		select {
		case <-t.stop:
			return
		default:
		}
		for i := range messages {
			vectors[i].Base = &data[i][0]
			vectors[i].SetLen(tapFrame)
			h := &messages[i].header
			*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&names[i])), Namelen: unix.SizeofSockaddrLinklayer, Iov: &vectors[i], Control: &control[i][0]}
			h.SetIovlen(1)
			h.SetControllen(len(control[i]))
		}
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(t.fd), uintptr(unsafe.Pointer(&messages[0])), tapBatch, unix.MSG_WAITFORONE, 0, 0)
		if errno != 0 {
			continue // EAGAIN at the time limit of the socket, EINTR
		}
		now, wall := Now(), time.Now().UnixNano()
		t.mu.Lock()
		for i := range int(n) {
			port, known := ports[int(names[i].Ifindex)]
			if !known || messages[i].length < 14+20+8 {
				continue
			}
			at := now
			if stamp, ok := stampOf(control[i][:messages[i].header.Controllen]); ok {
				at = now - time.Duration(wall-stamp)
			}
			body := data[i][14+20:] // a header without options, as everybody here sends it
			t.seen = append(t.seen, Sighting{At: at, Host: port[0], Link: port[1], VRID: body[1], Priority: body[2]})
		}
		t.mu.Unlock()
	}
}

// stampOf finds the kernel's time of arrival, wall-clock nanoseconds.
func stampOf(control []byte) (int64, bool) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0, false
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
			return int64(binary.NativeEndian.Uint64(m.Data))*int64(time.Second) + int64(binary.NativeEndian.Uint64(m.Data[8:])), true
		}
	}
	return 0, false
}

// CPU is the processor time that a process has used, of all its threads.
func (p *Process) CPU() (time.Duration, error) { return processorTime(p.PID()) }

// CPU is that of supervisor and worker.
func (k *Keepalived) CPU() (time.Duration, error) {
	var sum time.Duration
	var errs []error
	for _, pid := range append(k.workers(), k.proc.PID()) {
		d, err := processorTime(pid)
		sum, errs = sum+d, append(errs, err)
	}
	return sum, errors.Join(errs...)
}

// PSS is the memory that is a process's own share, in bytes.
func (p *Process) PSS() (int64, error) { return proportionalMemory(p.PID()) }

// PSS is that of supervisor and worker.
func (k *Keepalived) PSS() (int64, error) {
	var sum int64
	var errs []error
	for _, pid := range append(k.workers(), k.proc.PID()) {
		n, err := proportionalMemory(pid)
		sum, errs = sum+n, append(errs, err)
	}
	return sum, errors.Join(errs...)
}

func proportionalMemory(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(b)) {
		var kb int64
		if _, err := fmt.Sscanf(line, "Pss: %d kB", &kb); err == nil {
			return kb << 10, nil
		}
	}
	return 0, fmt.Errorf("read the memory of process %d: no Pss", pid)
}

// processorTime adds up /proc/PID/task/*/schedstat, which counts nanoseconds; what
// ended threads have used is missing, and there are none in a steady state.
func processorTime(pid int) (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		return 0, fmt.Errorf("read the processor time of process %d: it has no threads", pid)
	}
	var sum time.Duration
	for _, path := range tasks {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		var ns int64
		if _, err := fmt.Sscan(string(b), &ns); err != nil {
			return 0, fmt.Errorf("read the processor time of process %d: %w", pid, err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}
