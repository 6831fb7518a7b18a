package daemon

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// router is one virtual router with everything the loop keeps about it.
type router struct {
	id   actions.RouterID
	cfg  *RouterConfig
	fsm  vrrp.Router
	link *link

	heapIndex int // in Loop.due, -1 outside
	deadline  time.Duration
	leaving   bool // removed by a reload, goes when it has left

	// The encoded advert, made again only when something in it changed.
	message  []byte
	encoded  encoding
	told     vrrp.LinkState // what the machine was told last
	toldOnce bool

	// The wish for addresses. wish numbers it, so that an answer to an older
	// one is recognised; wishOpen while the answer is due.
	wish         uint64
	wishOpen     bool
	announceDue  bool        // announce when the wish has been granted
	hookDue      *Transition // tell hooks when the wish has been granted
	restored     map[netip.Prefix]uint64
	since        time.Time
	sinceInstant time.Duration
	record       *Transition // of the last transition
	restoreLimit limit
	noticed      map[vrrp.NoticeKind]*sighting // nil until something is noticed
	refused      map[vrrp.Drop]*sighting
	hooks        actions.Mailbox
}

// encoding is what an encoded advert depends on.
type encoding struct {
	priority uint8
	form     vrrp.ChecksumForm
	src      netip.Addr
	valid    bool
}

// carryOut brings a router's effects to the world, in order. The effects are
// in l.effects; none of the ports calls back into the loop.
func (l *Loop) carryOut(now time.Duration, r *router) {
	for i := range l.effects {
		switch fx := &l.effects[i]; fx.Kind {
		case vrrp.Send:
			l.send(r, fx.Priority)
		case vrrp.Become:
			l.became(now, r, fx)
		case vrrp.Hold:
			l.want(r, r.cfg.Addresses)
		case vrrp.Release:
			r.announceDue = false
			l.ports.Announcer.Cancel(r.id)
			l.want(r, nil)
		case vrrp.Announce:
			l.announce(r, fx.Repeat)
		case vrrp.Tell:
			l.tell(now, r, &fx.Notice)
		}
	}
}

// send queues an advert. In the steady state the message is reused as it is.
func (l *Loop) send(r *router, priority uint8) {
	if r.link == nil || r.link.index == 0 {
		return
	}
	want := encoding{priority, r.fsm.Form(), r.fsm.Source(), true}
	if r.encoded != want {
		a := r.fsm.Advert(priority)
		r.message = a.Append(r.message[:0], want.src, r.cfg.Spec.Family.Group(), want.form)
		r.encoded = want
	}
	l.ports.Wire.Send(r.link.index, r.cfg.Spec.Family, want.src, r.message)
}

// became records a transition, logs it and tells the hooks.
func (l *Loop) became(now time.Duration, r *router, fx *vrrp.Effect) {
	l.flushHooks(now, r)
	r.since, r.sinceInstant = l.ports.Clock.Wall(), now
	late := time.Duration(0)
	if fx.Reason.Timer > 0 {
		late = l.lateness
	}
	r.record = l.history.add(r, fx, late)
	l.ports.Journal.Transition(*r.record)
	level := slog.LevelInfo
	if occasion(fx) == actions.OnFault || fx.Reason.Cause == vrrp.CauseNoResponse && fx.Reason.Peer.IsValid() {
		level = slog.LevelWarn // we are out, or the peer has died
	}
	l.log(level, fmt.Sprintf("(%s) %s -> %s: %s", r.cfg.Name, title(fx.From), title(fx.To), r.record.Reason),
		slog.String("router", r.cfg.Name), slog.String("interface", r.cfg.Interface), slog.Int("vrid", int(r.cfg.Spec.VRID)),
		slog.String("from", fx.From.String()), slog.String("to", fx.To.String()), slog.String("cause", fx.Reason.Cause.String()))
	r.hookDue = r.record
	if fx.From != vrrp.Active && fx.To != vrrp.Active {
		l.flushHooks(now, r) // no addresses move, so there is nothing to wait for
	}
}

// want tells the kernel's keeper what this router wants from now on.
func (l *Loop) want(r *router, addresses []netip.Prefix) {
	r.wish++
	r.wishOpen = true
	w := actions.Wanted{Router: r.id, Term: r.wish, Addresses: addresses, Own: r.cfg.Owner, LinkName: r.cfg.Interface}
	if r.link != nil {
		w.Link = r.link.index
	}
	l.ports.Addresses.Want(w)
}

// announce tells the neighbours, but not before the addresses are there.
func (l *Loop) announce(r *router, repeat bool) {
	if r.wishOpen {
		r.announceDue = true
		return
	}
	k := r.link
	if k == nil || k.index == 0 || r.fsm.State() != vrrp.Active {
		return
	}
	a := actions.Announcement{Router: r.id, Term: r.wish, Link: k.index, MAC: k.level.MAC, Schedule: r.cfg.Announce, Once: repeat}
	for _, p := range r.cfg.Addresses {
		a.Addresses = append(a.Addresses, p.Addr())
	}
	l.ports.Announcer.Announce(a)
}

// onApplied: the kernel is as wanted, or has said why not.
func (l *Loop) onApplied(now time.Duration, v actions.Applied) {
	r := l.byID[v.Router]
	if r == nil || r.link == nil || v.Term != r.wish {
		l.stats.stale++ // a departed router is here only because a hook of it still runs
		return
	}
	r.wishOpen = false
	what := "addresses removed"
	if v.Held {
		what = "addresses added"
	}
	if v.Err != "" {
		l.log(slog.LevelError, fmt.Sprintf("(%s) addresses: %s", r.cfg.Name, v.Err), slog.String("router", r.cfg.Name))
	}
	if v.Note != "" {
		l.log(slog.LevelWarn, fmt.Sprintf("(%s) addresses: %s", r.cfg.Name, v.Note), slog.String("router", r.cfg.Name))
	}
	l.follow(now, r, Followup{What: what, Took: v.Took.Seconds(), Error: v.Err, Note: v.Note})
	if r.announceDue {
		r.announceDue = false
		l.announce(r, false)
	}
	l.flushHooks(now, r)
	if r.leaving && r.fsm.Stopped() {
		l.depart(now, r)
	}
}

func (l *Loop) onAnnounced(now time.Duration, v actions.Announced) {
	r := l.byID[v.Router]
	if r == nil || v.Term != r.wish {
		l.stats.stale++
		return
	}
	var parts []string
	if v.ARP > 0 {
		parts = append(parts, fmt.Sprintf("%d ARP", v.ARP))
	}
	if v.NA > 0 {
		parts = append(parts, fmt.Sprintf("%d NA", v.NA))
	}
	if v.Err != "" {
		l.log(slog.LevelWarn, fmt.Sprintf("(%s) announcement: %s", r.cfg.Name, v.Err), slog.String("router", r.cfg.Name))
	}
	l.follow(now, r, Followup{What: "announced", Took: v.Took.Seconds(), Note: strings.Join(parts, ", "), Error: v.Err})
}

// onRestored: somebody removed an address of ours and it is back.
func (l *Loop) onRestored(v actions.Restored) {
	r := l.byID[v.Router]
	if r == nil {
		l.stats.stale++
		return
	}
	if r.restored == nil {
		r.restored = map[netip.Prefix]uint64{}
	}
	r.restored[v.Address]++
	n, ok := r.restoreLimit.allow(l.ports.Clock.Now())
	if !ok {
		return
	}
	if v.Err != "" {
		l.log(slog.LevelError, fmt.Sprintf("(%s) address %s was removed by %s and could not be put back: %s%s", r.cfg.Name, v.Address, v.Culprit, v.Err, heldBack(n)),
			slog.String("router", r.cfg.Name))
		return
	}
	l.log(slog.LevelWarn, fmt.Sprintf("(%s) address %s was removed by %s; put back after %s%s", r.cfg.Name, v.Address, v.Culprit, vrrp.Span(v.Took), heldBack(n)),
		slog.String("router", r.cfg.Name))
}

// follow notes in the history what was done about the last transition.
func (l *Loop) follow(now time.Duration, r *router, f Followup) {
	if r.record == nil {
		return
	}
	f.After = (now - r.sinceInstant).Seconds()
	if len(r.record.Followed) >= maxFollowups {
		return
	}
	r.record.Followed = append(r.record.Followed, f)
	l.ports.Journal.Transition(*r.record)
}

// tell logs a notice at a bounded rate: the first at once, then one a minute.
func (l *Loop) tell(now time.Duration, r *router, n *vrrp.Notice) {
	if r.noticed == nil {
		r.noticed = map[vrrp.NoticeKind]*sighting{}
	}
	s := r.noticed[n.Kind]
	if s == nil {
		s = &sighting{}
		r.noticed[n.Kind] = s
	}
	s.count++
	s.at, s.notice = now, *n
	more, ok := s.limit.allow(now)
	if !ok {
		return
	}
	level, text := noticeText(r, n)
	l.log(level, fmt.Sprintf("(%s) %s%s", r.cfg.Name, text, heldBack(more)), slog.String("router", r.cfg.Name),
		slog.String("notice", n.Kind.String()))
}

func noticeText(r *router, n *vrrp.Notice) (slog.Level, string) {
	peer := fmt.Sprintf("%s (priority %d)", n.Peer, n.PeerPriority)
	switch n.Kind {
	case vrrp.NoticeInterval:
		return slog.LevelWarn, fmt.Sprintf("%s advertises every %s, we are configured for %s; its interval counts while it is Active", peer, vrrp.Span(n.Interval), vrrp.Span(r.cfg.Spec.Interval))
	case vrrp.NoticeAddressList:
		return slog.LevelWarn, fmt.Sprintf("%s advertises other addresses than ours; compare the two configurations", peer)
	case vrrp.NoticeOwnerConflict:
		return slog.LevelError, fmt.Sprintf("%s claims to own the addresses as we do; only one router may have priority 255", peer)
	case vrrp.NoticeDuplicateSource:
		return slog.LevelError, fmt.Sprintf("another host sends from our own address %s: duplicate IP address on %s", n.Peer, r.cfg.Interface)
	case vrrp.NoticeChecksumForm:
		return slog.LevelInfo, fmt.Sprintf("%s uses the checksum form of %s; sending the same from now on", peer, n.Form)
	case vrrp.NoticeChecksumMixed:
		return slog.LevelWarn, fmt.Sprintf("%s uses the checksum form of %s and may not accept ours; all routers of a group need one form", peer, n.Form)
	case vrrp.NoticeLowerActive:
		return slog.LevelWarn, fmt.Sprintf("%s is Active as well; answered at once and announced the addresses again", peer)
	case vrrp.NoticeStalled:
		return slog.LevelWarn, fmt.Sprintf("this process did not run for %s; not trusting its own view", vrrp.Span(n.Interval))
	case vrrp.NoticeResumed:
		return slog.LevelInfo, "nobody took over while this process did not run; going on as Active"
	case vrrp.NoticeYielding:
		return slog.LevelInfo, fmt.Sprintf("said goodbye; keeping the addresses until a successor is heard, at most %s", vrrp.Span(n.Interval))
	default:
		return slog.LevelInfo, n.Kind.String()
	}
}

// title is a state as people write it.
func title(s vrrp.State) string {
	switch s {
	case vrrp.Initialize:
		return "Initialize"
	case vrrp.Backup:
		return "Backup"
	default:
		return "Active"
	}
}

// newRouter makes the loop's side of a virtual router.
func (l *Loop) newRouter(cfg *RouterConfig) *router {
	l.lastID++
	r := &router{id: l.lastID, cfg: cfg, fsm: vrrp.New(cfg.Spec), heapIndex: -1, deadline: vrrp.Never,
		since: l.ports.Clock.Wall(), sinceInstant: l.ports.Clock.Now(), hooks: actions.NewMailbox(l.lastID, cfg.Hooks)}
	l.byID[r.id] = r
	return r
}

// drop forgets a router that has left. If hooks of it still run, their answers find it.
func (l *Loop) drop(r *router) {
	if r.hooks.Idle() {
		delete(l.byID, r.id)
	}
	l.routers = slices.DeleteFunc(l.routers, func(x *router) bool { return x == r })
}

// forgetWish tells the keeper of addresses that the router will not come back.
func (l *Loop) forgetWish(r *router) {
	l.ports.Addresses.Want(actions.Wanted{Router: r.id, Term: r.wish, LinkName: r.cfg.Interface, Link: r.link.index, Final: true})
}
