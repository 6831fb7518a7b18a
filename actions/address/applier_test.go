package address

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/address/firewall"
	"github.com/backbeat-ha/backbeat/actions/address/macvlan"
)

// pretended is a kernel in memory that writes down what it is asked.
type pretended struct {
	there             map[place]bool
	down              map[int]bool
	log               []string
	rivalSame         bool
	goneLinks         map[int]bool
	queued            []string // of the firewall, not yet flushed
	flushed           bool     // somebody has flushed the ruleset
	failMAC, failVeil error
	// before is called ahead of each request.
	before func(request string)
	fail   error
}

func (p *pretended) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if p.before != nil {
		p.before(line)
	}
	p.log = append(p.log, line)
}

func (p *pretended) add(list []item) []error {
	errs := make([]error, len(list))
	for i := range list {
		errs[i] = p.addOne(&list[i])
	}
	return errs
}

func (p *pretended) addOne(it *item) error {
	extra := ""
	if it.what.metric != 0 {
		extra = fmt.Sprintf(" metric %d", it.what.metric)
	}
	if it.what.address.Label != "" {
		extra += " " + it.what.address.Label
	}
	p.note("add %d %s%s", it.link(), it.name(), extra)
	if p.fail != nil {
		return p.fail
	}
	if p.there[it.at] {
		return unix.EEXIST
	}
	p.there[it.at] = true
	return nil
}

func (p *pretended) renew(list []item) []error {
	for i := range list {
		p.note("renew %d %s for %d", list[i].at.link, list[i].what.address.Prefix, list[i].life)
	}
	return make([]error, len(list))
}

func (p *pretended) remove(list []item) []error {
	errs := make([]error, len(list))
	for i := range list {
		it := &list[i]
		p.note("remove %d %s", it.link(), it.name())
		if !p.there[it.at] {
			errs[i] = unix.EADDRNOTAVAIL
		}
		delete(p.there, it.at)
	}
	return errs
}

func (p *pretended) rival(item) (string, bool) { return "another route", p.rivalSame }
func (p *pretended) exists(link int) bool      { return !p.goneLinks[link] }

// Macvlans and the firewall, written down in the same log.

func (p *pretended) Ensure(v actions.VirtualMAC, _ string) (macvlan.Found, bool, error) {
	p.note("ensure %d on %d", v.MAC[5], v.Parent)
	if p.failMAC != nil {
		return macvlan.Found{}, false, p.failMAC
	}
	return macvlan.Found{Index: 100*v.Parent + int(v.MAC[5]), Name: macvlan.VirtualMACName(v), MAC: v.MAC, Parent: v.Parent}, true, nil
}

func (p *pretended) Remove(indexes ...int) error { p.note("unmake %v", indexes); return nil }

func (p *pretended) List(string) ([]macvlan.Found, error) { return nil, nil }

func (p *pretended) Parent(name string) (map[string]string, error) {
	p.note("parent %s", name)
	return map[string]string{"arp_ignore": "0"}, nil
}

func (p *pretended) RestoreParent(name string, before map[string]string) error {
	p.note("restore parent %s %v", name, before)
	return nil
}

func (p *pretended) Silence(_ string, macs ...[6]byte) { p.queue("silence %d", macs[0][5]) }
func (p *pretended) Open(_ string, macs ...[6]byte)    { p.queue("open %d", macs[0][5]) }
func (p *pretended) Forget(parent string)              { p.queue("forget %s", parent) }
func (p *pretended) Refuse(r ...firewall.Refused)      { p.queue("refuse %s%%%s", r[0].Addr, r[0].Link) }
func (p *pretended) Accept(r ...firewall.Refused)      { p.queue("accept %s%%%s", r[0].Addr, r[0].Link) }
func (p *pretended) Check() (bool, error)              { return !p.flushed, nil }
func (p *pretended) Clear() error                      { p.note("clear"); return nil }

func (p *pretended) queue(format string, args ...any) {
	p.queued = append(p.queued, fmt.Sprintf(format, args...))
}

func (p *pretended) Flush() error {
	if len(p.queued) > 0 || p.flushed {
		p.note("flush [%s]", strings.Join(p.queued, ", "))
	}
	p.queued, p.flushed = nil, false
	return p.failVeil
}

func (p *pretended) up(link int) bool { return !p.down[link] && !p.goneLinks[link] }

// rig is an applier on a pretended kernel, at a time of the test's choosing.
type rig struct {
	*applier
	kernel *pretended
	posted []any
	time   time.Time
}

func newRig() *rig {
	r := &rig{kernel: &pretended{there: map[place]bool{}, down: map[int]bool{}, goneLinks: map[int]bool{}}, time: time.Unix(1000, 0)}
	k := New(Options{Post: func(v any) {
		r.posted = append(r.posted, v)
		r.kernel.log = append(r.kernel.log, describe(v))
	}})
	r.applier = newApplier(k, r.kernel, r.kernel, r.kernel)
	r.now = func() time.Time { return r.time }
	return r
}

func describe(v any) string {
	switch v := v.(type) {
	case actions.Applied:
		return strings.TrimSpace(fmt.Sprintf("applied %d/%d %s", v.Router, v.Term, v.Err+v.Note+v.NoVirtualMAC))
	case actions.Restored:
		if v.What != "" {
			return strings.TrimSpace(fmt.Sprintf("restored %d %s %s", v.Router, v.What, v.Err))
		}
		return strings.TrimSpace(fmt.Sprintf("restored %d %s %s", v.Router, v.Address, v.Err))
	default:
		return fmt.Sprintf("%T", v)
	}
}

func (r *rig) want(router actions.RouterID, term uint64, list ...string) {
	r.keeper.Want(actions.Wanted{Router: router, Term: term, Active: len(list) > 0, Addresses: places(2, "e0", list...)})
}

// did returns and forgets what has happened.
func (r *rig) did() []string {
	log := r.kernel.log
	r.kernel.log = nil
	return log
}

func (r *rig) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := r.did(); !slices.Equal(got, want) {
		t.Errorf("what happened:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestLatestWishWins(t *testing.T) {
	r := newRig()
	r.want(1, 1, "192.0.2.1/32")
	r.want(1, 2)
	r.want(1, 3, "192.0.2.2/32")
	r.work()
	r.expect(t, "add 2 192.0.2.2/32", "applied 1/3")
	r.work()
	r.expect(t)
}

func TestAdditionsGoBeforeRemovals(t *testing.T) {
	r := newRig()
	r.want(1, 1, "192.0.2.1/32", "192.0.2.2/32")
	r.work()
	r.did()
	r.want(1, 2)                                          // a removal
	r.want(2, 1, "192.0.2.3/32")                          // an addition
	r.want(3, 1)                                          // nothing to do
	r.want(4, 1, "192.0.2.4/32")                          // another addition
	late := func(string) { r.want(5, 1, "192.0.2.5/32") } // comes while router 1's removal is due
	r.kernel.before = func(request string) {
		if strings.HasPrefix(request, "add 2 192.0.2.4") {
			r.kernel.before = nil
			late(request)
		}
	}
	r.work()
	got := r.did()
	slices.Sort(got[7:9]) // the two removals, in any order
	want := []string{"add 2 192.0.2.3/32", "applied 2/1", "applied 3/1", "add 2 192.0.2.4/32", "applied 4/1",
		"add 2 192.0.2.5/32", "applied 5/1", "remove 2 192.0.2.1/32", "remove 2 192.0.2.2/32", "applied 1/2"}
	if !slices.Equal(got, want) {
		t.Errorf("what happened:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestWithinARouterAdditionsGoBeforeRemovals(t *testing.T) {
	r := newRig()
	r.want(1, 1, "192.0.2.1/32")
	r.work()
	r.want(1, 2, "192.0.2.2/32")
	r.work()
	r.expect(t, "add 2 192.0.2.1/32", "applied 1/1", "add 2 192.0.2.2/32", "remove 2 192.0.2.1/32", "applied 1/2")
}

func TestSupersededRemovalIsForgotten(t *testing.T) {
	r := newRig()
	r.want(1, 1, "192.0.2.1/32", "192.0.2.9/32")
	r.want(2, 1, "192.0.2.2/32")
	r.work()
	r.did()
	r.want(2, 2)
	r.want(1, 2)
	r.kernel.before = func(string) { // at router 2's removal: router 1 wants one of them again
		r.kernel.before = nil
		r.want(1, 3, "192.0.2.1/32")
	}
	r.work()
	r.expect(t, "remove 2 192.0.2.2/32", "applied 2/2", "remove 2 192.0.2.9/32", "applied 1/3")
}

func TestAnAddressMovesBetweenRouters(t *testing.T) {
	r := newRig()
	r.want(1, 1, "192.0.2.1/32")
	r.work()
	r.did()
	r.want(1, 2)
	r.want(2, 1, "192.0.2.1/32")
	r.work()
	r.expect(t, "applied 2/1", "applied 1/2")
	r.want(2, 2)
	r.work()
	r.expect(t, "remove 2 192.0.2.1/32", "applied 2/2")
}

func TestFinalForgetsTheRouter(t *testing.T) {
	r := newRig()
	r.want(1, 1, "192.0.2.1/32")
	r.keeper.Want(actions.Wanted{Router: 2, Term: 1, Active: true, Addresses: places(2, "e0", "192.0.2.2/32")})
	r.work()
	r.keeper.Want(actions.Wanted{Router: 2, Term: 2, Final: true})
	r.work()
	if len(r.routers) != 1 || len(r.holdings) != 1 || len(r.keeper.held) != 1 {
		t.Errorf("remembered: %d routers, %d addresses, %d for the monitor, want 1 each", len(r.routers), len(r.holdings), len(r.keeper.held))
	}
}

// An old notice of a removal, or one of our own removals, restores nothing.
func TestOldNoticesRestoreNothing(t *testing.T) {
	r := newRig()
	at := placeOf(2, prefixes("192.0.2.1/32")[0])
	r.want(1, 1, "192.0.2.1/32")
	r.work()
	r.keeper.lost(loss{at, "somebody", r.time})
	r.work()
	r.expect(t, "add 2 192.0.2.1/32", "applied 1/1", "add 2 192.0.2.1/32")
	r.want(1, 2)
	r.work()
	r.keeper.lost(loss{at, "us", r.time})
	r.work()
	r.expect(t, "remove 2 192.0.2.1/32", "applied 1/2")
}

func TestAPersistentCulpritIsFoughtMoreSlowly(t *testing.T) {
	r := newRig()
	at := placeOf(2, prefixes("192.0.2.1/32")[0])
	r.want(1, 1, "192.0.2.1/32")
	r.work()
	steal := func() {
		delete(r.kernel.there, at)
		r.keeper.lost(loss{at, "somebody", r.time})
		r.work()
	}
	for range freeRestorations {
		steal()
	}
	restored := func() (n int) {
		for _, line := range r.did() {
			if line == "restored 1 192.0.2.1/32" {
				n++
			}
		}
		return n
	}
	if n := restored(); n != freeRestorations {
		t.Fatalf("restored %d times", n)
	}
	for _, wait := range []time.Duration{minPause, 2 * minPause, 4 * minPause} {
		steal()
		if n := restored(); n != 0 || r.untilNext() != wait {
			t.Fatalf("restored %d times at once, next in %v, want %v", n, r.untilNext(), wait)
		}
		r.time = r.time.Add(wait)
		r.work()
		if n := restored(); n != 1 {
			t.Fatalf("restored %d times after %v", n, wait)
		}
	}
	// A new wish does not wait.
	steal()
	r.did()
	r.want(1, 2, "192.0.2.1/32")
	r.work()
	r.expect(t, "add 2 192.0.2.1/32", "applied 1/2")
	if r.untilNext() != farAway {
		t.Errorf("still waiting: %v", r.untilNext())
	}
}

func TestTroubleWithRestoringIsSaidOnce(t *testing.T) {
	r := newRig()
	at := placeOf(2, prefixes("192.0.2.1/32")[0])
	r.want(1, 1, "192.0.2.1/32")
	r.work()
	r.did()
	delete(r.kernel.there, at)
	r.kernel.fail = unix.EPERM
	r.keeper.lost(loss{at, "somebody", r.time})
	r.work()
	got := r.did()
	if len(got) != 2 || !strings.Contains(got[1], "CAP_NET_ADMIN") {
		t.Fatalf("what happened: %q", got)
	}
	r.time = r.time.Add(minPause)
	r.work()
	r.expect(t, "add 2 192.0.2.1/32")
	r.kernel.fail = nil
	r.time = r.time.Add(minPause)
	r.work()
	r.expect(t, "add 2 192.0.2.1/32", "restored 1 192.0.2.1/32")
}

// While a restoration is held back somebody else puts the address back by
// hand. It is still ours by the ledger, so it goes when it is no longer wanted.
func TestStolenAndPutBackByOthersIsRemoved(t *testing.T) {
	r := newRig()
	at := placeOf(2, prefixes("192.0.2.1/32")[0])
	r.want(1, 1, "192.0.2.1/32")
	r.work()
	for range 25 { // more than are restored without a pause
		delete(r.kernel.there, at)
		r.keeper.lost(loss{at, "somebody", r.time})
		r.work()
	}
	if r.kernel.there[at] {
		t.Fatal("the restoration was not held back: the test tests nothing")
	}
	r.kernel.there[at] = true // by hand
	r.want(1, 2)
	r.work()
	if r.kernel.there[at] {
		t.Error("the address stays on the host")
	}
}
