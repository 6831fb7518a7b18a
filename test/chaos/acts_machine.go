package chaos

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// theft takes virtual addresses away from whoever has them, a few times.
func theft(d *deed) (func() error, error) {
	for range 1 + d.rand.IntN(3) {
		v := routers[d.rand.IntN(len(routers))]
		p := v.addresses[d.rand.IntN(len(v.addresses))]
		script := fmt.Sprintf(`ip -o addr show to %s | while read -r _ dev _; do ip addr del %s dev "$dev"; done`, p.Addr(), p)
		_, _ = d.node.host.Run(d.ctx, "sh", "-c", script) // it may be gone already
		time.Sleep(time.Duration(d.rand.IntN(150)) * ms)
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
	return func() error { _ = d.node.host.DelAddr(p); return nil }, d.mayFail(err)
}

// overrun changes so many addresses, links and routes that listeners lose notices.
func overrun(d *deed) (func() error, error) {
	var b strings.Builder
	b.WriteString("link add chaos0 type veth peer name chaos1\nlink set chaos0 up\n")
	for i := range 3000 {
		fmt.Fprintf(&b, "addr add 172.16.%d.%d/32 dev chaos0\n", i/250, i%250+1)
	}
	for range 20 {
		b.WriteString("link set chaos0 down\nlink set chaos0 up\n")
	}
	b.WriteString("link del chaos0\n")
	file := filepath.Join(d.dir, d.node.name+".batch")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	_, err := d.node.host.Run(d.ctx, "ip", "-batch", file)
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
	return func() error { return os.Remove(file) }, nil
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
	}, errors.Join(errs...)
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
	return func() error {
		for _, p := range list {
			p.Kill()
		}
		return nil
	}, nil
}

// garbage is what the control socket is told.
func garbage(d *deed) (func() error, error) {
	if err := throwGarbage(d.node.daemon.Socket(), d.rand); err != nil {
		return nil, d.mayFail(err)
	}
	_, err := d.node.daemon.Status(d.ctx)
	return nil, d.mayFail(err)
}

// failStep lets the upper step of the service group fail where it is up.
func failStep(d *deed) (func() error, error) {
	good := filepath.Join(d.dir, d.node.name+".good")
	up := filepath.Join(d.dir, d.node.name, "data", "server")
	err := os.Remove(good)
	_ = os.Remove(up) // it is there on the Active only
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
