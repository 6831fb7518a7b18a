package chaos

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// start starts a daemon again. Where it cannot (no directory, no room), the end of
// the round will.
func (d *deed) start() error {
	if err := d.node.daemon.Launch(d.ctx); err != nil {
		return err
	}
	p := d.node.daemon.Process()
	d.node.pidNow.Store(int64(p.PID()))
	err := lab.Until(bounded(d.ctx, 3*time.Second), "an answer", func() bool {
		select {
		case <-p.Done():
			return true
		default:
		}
		_, err := d.node.daemon.Status(d.ctx)
		return err == nil
	})
	if err != nil {
		d.note = "does not answer yet"
	}
	return nil
}

func kill(d *deed) (func() error, error) {
	d.node.daemon.Kill()
	return d.start, d.proof(killed(d.node.daemon.Process()))
}

// killRelease does what the unit's ExecStopPost does after a crash.
func killRelease(d *deed) (func() error, error) {
	b := d.node.daemon
	b.Kill()
	out, errs, code, err := b.Verb(d.ctx, "release", "--runtime-dir", b.RuntimeDir(), "-c", b.ConfigFile())
	err = errors.Join(err, killed(b.Process()))
	if err == nil && code != 0 && d.alone {
		err = errAnswer(code, out, errs)
	}
	if d.alone && d.was() {
		for _, v := range routers {
			for _, p := range v.addresses {
				if d.node.host.Has(p.Addr()) {
					err = errors.Join(err, fmt.Errorf("%s is still there after release", p))
				}
			}
		}
	}
	return d.start, d.proof(err)
}

// releaseBeside is somebody who calls release while the daemon is there: it looks after its own.
func releaseBeside(d *deed) (func() error, error) {
	b := d.node.daemon
	out, errs, code, err := b.Verb(d.ctx, "release", "--runtime-dir", b.RuntimeDir(), "-c", b.ConfigFile())
	if err == nil && code == 0 && d.alone {
		err = fmt.Errorf("release beside a daemon was done: %s%s", out, errs)
	}
	if err == nil && code != 0 {
		d.proved()
	}
	d.note = strings.TrimSpace(errs)
	return nil, err
}

// replaceKilled kills a process in the middle of its handover, or just after.
func replaceKilled(d *deed) (func() error, error) {
	d.node.daemon.Process().Signal(syscall.SIGUSR2)
	time.Sleep(time.Duration(d.rand.IntN(250)) * ms)
	d.node.daemon.Kill()
	err := d.proof(killed(d.node.daemon.Process()))
	return d.start, d.mayFail(err) // it may have ended by itself, without a directory to hand over in
}

func diedRecorded(d *deed) error {
	if !d.alone {
		return nil
	}
	for _, v := range routers {
		if err := d.recorded(v.name, "died"); err != nil {
			return err
		}
	}
	return nil
}

func freeze(d *deed) (func() error, error) {
	d.node.daemon.Freeze()
	if err := d.proof(stopped(d, d.node.daemon.Process())); err != nil {
		return nil, err
	}
	return func() error { d.node.daemon.Thaw(); return nil }, nil
}

func stallNoticed(d *deed) error {
	if !d.alone || d.lasted() < down+margin {
		return nil
	}
	for _, v := range d.active {
		if err := d.noticed(v.name, "stalled", "resumed"); err != nil {
			return errors.Join(err, d.recorded(v.name, "replaced-in-stall"))
		}
	}
	return nil
}

func stop(d *deed) (func() error, error) {
	err := d.node.daemon.Stop(bounded(d.ctx, 15*time.Second))
	return d.start, d.proof(err)
}

func leaveRecorded(d *deed) error {
	if !d.alone {
		return nil
	}
	for _, v := range routers {
		if err := d.recorded(v.name, "shutdown", "yielded", "nobody-took-over"); err != nil {
			return err
		}
	}
	return nil
}

// What a new process says of the one before, or the one that stays. Too long: it was
// started too late, on a machine that is too busy, and listens first.
const (
	handedOver = "as in the process before"
	tooLong    = "too long to go on"
	stays      = "cannot be replaced"
)

// untilReplaced is for a process that came too late: its addresses end as those of the dead.
// With other faults around nobody looks before the next process does: a cable may be out.
func untilReplaced(d *deed) time.Duration {
	switch {
	case d.logged(tooLong):
		return d.end + lifetime
	case !d.alone:
		return d.end + 2*interval
	}
	return d.begin
}

func replace(d *deed) (func() error, error) {
	d.node.daemon.Process().Signal(syscall.SIGUSR2)
	err := lab.Until(bounded(d.ctx, 12*time.Second), "the next process", func() bool {
		if d.logged(handedOver, tooLong, stays, "as after a crash", "handoff refused") {
			return true
		}
		// Where nothing is held, because a cable is out, nothing is said of it.
		_, err := d.node.daemon.Status(d.ctx)
		return err == nil && d.logged(" on node "+d.node.name+" ")
	})
	if d.logged(handedOver) {
		d.proved()
	}
	return nil, err
}

func handoverLogged(d *deed) error {
	if d.alone && !d.logged(handedOver, tooLong) {
		return errors.New("the log does not say that the process took over from the one before")
	}
	return nil
}

// verb asks the daemon by its tool, without following.
func (d *deed) verb(args ...string) error {
	args = append(args, "--control", d.node.daemon.Socket())
	out, errs, code, err := d.node.daemon.Verb(d.ctx, args...)
	if err == nil && code != 0 {
		err = errAnswer(code, out, errs)
	}
	return err
}

// mayFail is for what an operator would not be able to do with other faults around.
func (d *deed) mayFail(err error) error {
	if err != nil && !d.alone {
		d.note = strings.TrimSpace(err.Error())
		return nil
	}
	return err
}

// again repeats what heals until it is done: an order that was given must be taken back.
func (d *deed) again(args ...string) func() error {
	return func() error {
		var last error
		err := lab.Until(bounded(d.ctx, 8*time.Second), strings.Join(args, " "), func() bool { last = d.verb(args...); return last == nil })
		if err != nil {
			return fmt.Errorf("%w: %w", err, last)
		}
		return nil
	}
}

// done is mayFail for an order, which has taken effect if it was taken.
func (d *deed) done(err error) error {
	if err == nil {
		d.proved()
	}
	return d.mayFail(err)
}

func standby(d *deed) (func() error, error) {
	err := d.verb("standby", "--no-wait", "--reason", "chaos")
	return d.again("online", "--no-wait"), d.done(err)
}

func standbyRecorded(d *deed) error {
	if !d.alone {
		return nil
	}
	for _, v := range routers {
		if err := d.recorded(v.name, "standby"); err != nil && d.lasted() > time.Second {
			return err
		}
	}
	return nil
}

func move(d *deed) (func() error, error) {
	if !d.was() {
		d.note = "holds nothing"
		return nil, nil
	}
	err := d.verb("move", "--no-wait", "--force", d.active[0].name)
	return d.again("unmove", "--no-wait", d.active[0].name), d.done(err)
}

func moveHere(d *deed) (func() error, error) {
	v := routers[d.rand.IntN(len(routers))]
	err := d.verb("move", "--here", "--no-wait", "--force", v.name)
	if err != nil {
		d.note = strings.TrimSpace(err.Error()) // it has it already
	} else {
		d.proved()
	}
	return d.again("unmove", "--no-wait", v.name), nil
}

// goodReload adds addresses and a route and takes them away again.
func goodReload(d *deed) (func() error, error) {
	err := d.reload(d.Plan.Shape.config(d.dir, `extra_addresses = ["10.77.3.1/32", "fd77::3:1/128"]`, `route "198.51.100.0/24" { via = "10.77.0.9" }`))
	if err == nil && len(d.active) == len(routers) && d.alone {
		err = d.proof(lab.Until(bounded(d.ctx, 3*time.Second), "the new addresses", func() bool {
			return d.node.host.Has(netip.MustParseAddr("10.77.3.1")) && d.node.host.Has(netip.MustParseAddr("fd77::3:1"))
		}))
	}
	return func() error { return d.mayFail(d.reload(d.Plan.Shape.config(d.dir))) }, d.mayFail(err)
}

func (d *deed) reload(text string) error {
	if err := d.node.daemon.Configure(text); err != nil {
		return err
	}
	return d.verb("reload")
}

// badReload offers a file that is broken in one of several ways.
func badReload(d *deed) (func() error, error) {
	good := d.Plan.Shape.config(d.dir)
	bad := []string{"", good[:len(good)/2], strings.Replace(good, "priority", "priorty", 1), strings.Replace(good, "vrid = 61", "vrid = 300", 1),
		good + good, strings.Repeat("\x00\xff{", 1000)}[d.rand.IntN(6)]
	err := d.reload(bad)
	if err == nil {
		return nil, errors.Join(fmt.Errorf("a broken file was taken: %.60q", bad), d.node.daemon.Configure(good))
	}
	d.proved() // by a refusal
	return nil, d.node.daemon.Configure(good)
}

func badReloadLogged(d *deed) error {
	if d.alone && !d.logged("nothing was changed") {
		return errors.New("the log does not say that the file was refused")
	}
	return nil
}
