package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/backbeat-ha/backbeat/checks"
)

// tally is what came of the targets of one run.
type tally struct {
	answered int
	// silent and unasked say why the others have not answered, or could not be asked.
	silent, unasked []string
}

// runICMP asks all targets at once and waits until enough have answered.
func (p *Pool) runICMP(ctx context.Context, v checks.ICMP) checks.Result {
	began := time.Now()
	tell := make(chan *request, len(v.Targets))
	open := map[*request]*echoer{}
	var t tally
	for _, target := range v.Targets {
		link, missing, err := interfaceOf(v.Interface, target)
		if missing != "" {
			return failed("%s", missing)
		}
		if err != nil {
			return notRun(err.Error())
		}
		e := &p.echo4
		if target.Is6() {
			e = &p.echo6
		}
		r, err := e.send(p.ctx, target, v.Source, link, tell)
		if err != nil {
			t.refused(target, err, v.Source)
			continue
		}
		open[r] = e
	}
	t.collect(ctx, tell, open, v.Quorum)
	for r, e := range open {
		why := r.target.String() + " does not answer"
		if other := e.forget(r); other.IsValid() {
			why += fmt.Sprintf(" (but %s does)", other)
		}
		t.silent = append(t.silent, why)
	}
	return t.judge(v, time.Since(began))
}

// collect takes answers until there are enough, or no more can come.
func (t *tally) collect(ctx context.Context, tell <-chan *request, open map[*request]*echoer, quorum int) {
	for len(open) > 0 && t.answered < quorum {
		select {
		case r := <-tell:
			if delete(open, r); r.err != nil {
				t.unasked = append(t.unasked, r.err.Error())
			} else {
				t.answered++
			}
		case <-ctx.Done():
			return
		}
	}
}

// refused sorts an error of sending: some say that the target is out of reach, the
// others that this host could not ask.
func (t *tally) refused(target netip.Addr, err error, source netip.Addr) {
	if source.IsValid() && !here(source) {
		t.unasked = append(t.unasked, fmt.Sprintf("cannot send from %s: it is not on this host", source))
		return
	}
	switch res := broken(context.Background(), err); {
	case errors.Is(err, errNoSocket) || res.Outcome == checks.NotRun:
		t.unasked = append(t.unasked, res.Detail)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTDOWN), errors.Is(err, syscall.ENETDOWN):
		t.silent = append(t.silent, fmt.Sprintf("%s: %s", target, res.Detail))
	default:
		t.unasked = append(t.unasked, res.Detail)
	}
}

// here reports whether an address is one of this host's. The kernel says EINVAL or
// ENETUNREACH to a source that is not, as it does for other reasons.
func here(a netip.Addr) bool {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if err != nil {
		return !errors.Is(err, syscall.EADDRNOTAVAIL)
	}
	_ = c.Close()
	return true
}

// judge: what could not be asked might have answered, so it decides neither way.
func (t *tally) judge(v checks.ICMP, took time.Duration) checks.Result {
	switch n := len(v.Targets); {
	case t.answered >= v.Quorum && n == 1:
		return passed(fmt.Sprintf("answered in %v", took.Round(10*time.Microsecond)))
	case t.answered >= v.Quorum:
		return passed(fmt.Sprintf("%d of %d answered, wanted %d", t.answered, n, v.Quorum))
	case t.answered+len(t.unasked) >= v.Quorum:
		return notRun(t.unasked[0])
	case n == 1:
		return failed("%s", t.silent[0])
	default:
		return failed("%d of %d answered, wanted %d: %s", t.answered, n, v.Quorum, strings.Join(t.silent, ", "))
	}
}

// interfaceOf returns the number of the interface to send by, 0 for any. One
// that does not exist, or is told by the zone and does not, is a failure: missing says so.
func interfaceOf(name string, target netip.Addr) (index int, missing string, err error) {
	if name == "" {
		name = target.Zone()
	}
	if name == "" {
		return 0, "", nil
	}
	l, err := netlink.LinkByName(name)
	var none netlink.LinkNotFoundError
	switch {
	case errors.As(err, &none):
		return 0, fmt.Sprintf("the interface %s does not exist", name), nil
	case err != nil:
		return 0, "", err
	}
	return l.Attrs().Index, "", nil
}
