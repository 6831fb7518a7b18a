package chaos

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// theft takes virtual addresses away from whoever has them, a few times.
func theft(d *deed) (func() error, error) {
	taken := 0
	for range 1 + d.rand.IntN(3) {
		v := routers[d.rand.IntN(len(routers))]
		p := v.addresses[d.rand.IntN(len(v.addresses))]
		script := fmt.Sprintf(`ip -o addr show to %s | while read -r _ dev _; do ip addr del %s dev "$dev" && echo taken; done`, p.Addr(), p)
		out, _ := d.node.host.Run(d.ctx, "sh", "-c", script) // it may be gone already
		taken += strings.Count(out, "taken")
		time.Sleep(time.Duration(d.rand.IntN(150)) * ms)
	}
	if d.note = fmt.Sprintf("%d addresses taken", taken); taken > 0 {
		d.proved()
	}
	return nil, nil
}

func theftCounted(d *deed) error {
	if !d.alone || len(d.active) < len(routers) {
		return nil
	}
	for _, v := range routers {
		if d.witness.restored(d.node, v) {
			return nil
		}
	}
	return errors.New("no address is counted as put back")
}

// stranger is another host that takes an address and says so.
func stranger(d *deed) (func() error, error) {
	p := routers[0].addresses[d.rand.IntN(2)] // IPv4
	if err := d.other.AddAddr(p); err != nil {
		return nil, err
	}
	d.note = p.Addr().String()
	err := d.other.Announce(p.Addr())
	if err == nil && d.other.Has(p.Addr()) {
		d.proved()
	}
	return func() error { return d.other.DelAddr(p) }, err
}

func claimNoticed(d *deed) error {
	for _, v := range d.active {
		if v.name == routers[0].name && d.alone {
			return d.noticed(v.name, "address-claimed")
		}
	}
	return nil
}

// plant gives a router an address by hand that it does not hold.
func plant(d *deed) (func() error, error) {
	v := routers[d.rand.IntN(len(routers))]
	p := v.addresses[d.rand.IntN(len(v.addresses))]
	if d.node.host.Has(p.Addr()) {
		d.note = "has it already"
		return nil, nil
	}
	d.note = p.String()
	err := d.node.host.AddAddr(p)
	if d.node.host.Has(p.Addr()) {
		d.proved()
	}
	return func() error { _ = d.node.host.DelAddr(p); return nil }, d.mayFail(err)
}

// overrun lets more notices of the kernel come at one moment than the daemon has room for,
// among them one that an address of its own was taken. It reads them as fast as they are
// made, so it must not have a processor for that moment.
func overrun(d *deed) (func() error, error) {
	var b strings.Builder
	// On several interfaces, since the kernel compares each address of one with all others.
	const links, each = 8, 1400
	for k := range links {
		fmt.Fprintf(&b, "link add chaos%d type veth peer name soahc%d\nlink set chaos%d up group 77\n", k, k, k)
		for i := range each {
			fmt.Fprintf(&b, "addr add 172.%d.%d.%d/32 dev chaos%d\n", 16+k, i/250, i%250+1, k)
		}
	}
	file := filepath.Join(d.dir, d.node.name+".batch")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	if _, err := d.node.host.Run(d.ctx, "ip", "-batch", file); err != nil {
		return nil, err
	}
	pid, p := d.node.daemon.Process().PID(), routers[0].addresses[0]
	before, _ := overruns(pid)
	d.node.daemon.Freeze()
	del, err := d.node.host.Start(exec.CommandContext(d.ctx, "ip", "link", "del", "group", "77"))
	if err == nil {
		select {
		case <-del.Done():
			_ = d.node.host.DelVirtual(p)
		case <-time.After(5 * interval / 4): // it is to lose notices, not its place
		}
	}
	after, _ := overruns(pid)
	d.node.daemon.Thaw()
	if err == nil {
		<-del.Done()
	}
	if d.note = fmt.Sprintf("%d notices were thrown away", after-before); after > before {
		d.proved()
	}
	return nil, err
}

// fullDisk leaves no room in the runtime and state directories.
func fullDisk(d *deed) (func() error, error) {
	file := filepath.Join(d.lab.Dir(d.node.name), "filler")
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for size := 1 << 16; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	return func() error { return os.Remove(file) }, d.proof(noRoom(d))
}

// readOnly lets nobody write the runtime and state directories.
func readOnly(d *deed) (func() error, error) {
	var errs []error
	dirs := []string{d.node.daemon.RuntimeDir(), d.node.daemon.StateDir()}
	for _, dir := range dirs {
		// In front of itself, since what is open for writing keeps the file system as it is.
		errs = append(errs, unix.Mount(dir, dir, "", unix.MS_BIND, ""),
			unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
	}
	return func() error {
		var errs []error
		for _, dir := range dirs {
			errs = append(errs, unix.Unmount(dir, unix.MNT_DETACH))
		}
		return errors.Join(errs...)
	}, d.proof(errors.Join(append(errs, noRoom(d))...))
}

// loseDirectories puts files in the place of the runtime and state directories.
func loseDirectories(d *deed) (func() error, error) {
	dirs := []string{d.node.daemon.StateDir(), d.node.daemon.RuntimeDir()}[d.rand.IntN(2):]
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, os.Rename(dir, dir+".away"), os.WriteFile(dir, nil, 0o600))
	}
	return func() error {
		var errs []error
		for _, dir := range dirs {
			errs = append(errs, os.RemoveAll(dir), os.Rename(dir+".away", dir))
		}
		return errors.Join(errs...)
	}, d.proof(errors.Join(errs...))
}

// hogs compute on all processors, at the same priority as the daemons.
func hogs(d *deed) (func() error, error) {
	var list []*lab.Process
	for range 4 {
		p, err := d.other.Start(exec.CommandContext(d.ctx, "sh", "-c", "while :; do :; done"))
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	began := lab.Now()
	return func() error {
		var used time.Duration
		for _, p := range list {
			cpu, _ := p.CPU()
			used += cpu
			p.Kill()
		}
		took := lab.Now() - began
		if d.note = fmt.Sprintf("they computed for %.2f of %d processors", float64(used)/float64(took), runtime.NumCPU()); used > took/2 {
			d.proved()
		}
		return nil
	}, nil
}

// garbage floods the control socket with what no client says.
func garbage(d *deed) (func() error, error) {
	began, thrown, answered := lab.Now(), 0, 0
	for {
		n, err := throwGarbage(d.node.daemon.Socket(), d.rand, &answered)
		if thrown += n; err != nil {
			return nil, d.mayFail(err)
		}
		if lab.Now()-began >= d.For {
			break
		}
	}
	d.note = fmt.Sprintf("%d connections, %.0f a second, %d were answered", thrown, float64(thrown)/(lab.Now()-began).Seconds(), answered)
	if answered > 0 {
		d.proved()
	}
	_, err := d.node.daemon.Status(d.ctx)
	return nil, d.mayFail(err)
}

// failStep lets the upper step of the service group fail where it is up.
func failStep(d *deed) (func() error, error) {
	good := filepath.Join(d.dir, d.node.name+".good")
	up := filepath.Join(d.dir, d.node.name, "data", "server")
	err := os.Remove(good)
	if os.Remove(up) == nil { // it is there on the Active only
		d.proved()
	}
	return func() error {
		err := os.WriteFile(good, []byte("good"), 0o644)
		if err == nil {
			err = d.mayFail(d.verb("clear", "--no-wait", "site"))
		}
		return err
	}, err
}

// forgeries are adverts that nobody may believe.
func (d *deed) forgeries() []lab.Forgery {
	var out []lab.Forgery
	for i, v := range routers {
		var list []netip.Addr
		for _, p := range v.addresses {
			if p.Addr().Is4() == v.addresses[0].Addr().Is4() {
				list = append(list, p.Addr())
			}
		}
		a := lab.Advert{VRID: v.vrid, Priority: 254, Interval: interval, Addresses: list}
		bad := lab.Forgery{Advert: a, Sum: lab.BadSum}
		stranger := lab.Forgery{Advert: a}
		stranger.VRID = uint8(200 + i)
		old := lab.Forgery{Advert: a}
		old.Version, old.Type = 7, 1
		out = append(out, lab.Forgery{Advert: a, TTL: 64}, bad, stranger, old, lab.Forgery{Advert: a, Message: []byte{0x31, v.vrid}})
	}
	return out
}

// flood sends forgeries as fast as one sender can.
func flood(d *deed) (func() error, error) {
	list := d.forgeries()
	if one := d.rand.IntN(2 * len(list)); one < len(list) {
		list = list[one : one+1] // of one kind
	}
	began, where, target := lab.Now(), "to all", (*lab.Host)(nil)
	if d.rand.IntN(2) == 0 {
		where, target = "to "+d.node.name, d.node.host
	}
	sent, err := d.other.Flood(list, d.For, target)
	rate := float64(sent) / (lab.Now() - began).Seconds()
	d.note = fmt.Sprintf("%d adverts %s, %.0f a second", sent, where, rate)
	d.mu.Lock()
	d.floods = append(d.floods, rate)
	d.mu.Unlock()
	if err == nil && sent > 1000 {
		d.proved()
	}
	return nil, err
}

func floodCounted(d *deed) error {
	if !d.alone {
		return nil // its counters may be those of another process
	}
	s, err := d.node.daemon.Status(d.ctx)
	if err != nil {
		return err
	}
	for _, l := range s.Links {
		for _, n := range l.Drops {
			if n > 100 {
				return nil
			}
		}
	}
	return fmt.Errorf("no interface of %s counts what was refused", d.node.name)
}

// usurp sends good adverts of a better router, which nobody can tell from a real one.
func usurp(d *deed) (func() error, error) {
	stop := make(chan struct{})
	ended := make(chan error, 1)
	var list []lab.Forgery
	for _, v := range routers {
		f := lab.Forgery{Advert: lab.Advert{VRID: v.vrid, Priority: 254, Interval: interval}}
		for _, p := range v.addresses {
			if p.Addr().Is4() == v.addresses[0].Addr().Is4() {
				f.Addresses = append(f.Addresses, p.Addr())
			}
		}
		list = append(list, f)
	}
	go func() {
		tick := time.NewTicker(interval / 2)
		defer tick.Stop()
		for {
			for _, f := range list {
				if err := d.other.Forge(f); err != nil {
					ended <- err
					return
				}
			}
			select {
			case <-stop:
				ended <- nil
				return
			case <-tick.C:
			}
		}
	}()
	d.proved() // by what it is answered with, see usurperNamed
	return func() error { close(stop); return <-ended }, nil
}

func usurperNamed(d *deed) error {
	if !d.alone {
		return nil
	}
	for _, v := range d.active {
		if err := d.recorded(v.name, "higher-priority"); err != nil {
			return err
		}
	}
	return nil
}
