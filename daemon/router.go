package daemon

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
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
	next *router // another one with this VRID on the link, told apart by group or peers

	slot         // in Loop.due
	leaving bool // removed by a reload, goes when it has left

	// The encoded adverts, one, or one a peer; made again only when something
	// in them changed.
	out      []outgoing
	encoded  encoding
	own      vrrp.LinkState // what is true of the router itself
	told     vrrp.LinkState // what the machine was told last
	toldOnce bool
	group    *group // its sync group, or nil

	// The wish for the kernel. wish numbers it, so that an answer to an older
	// one is recognised; wishOpen while the answer is due; held is what was
	// wanted last.
	wish         uint64
	wishOpen     bool
	held         bool
	inherited    bool        // held by the process before, and the kernel has not answered this one yet
	macAsked     int         // the parent of the macvlan wanted last
	macLink      int         // the parent the macvlan was last confirmed on
	noMAC        string      // why there is no macvlan
	refusedPlace string      // what the kernel did not take of the last wish
	announceDue  bool        // announce when the wish has been granted
	hookDue      *Transition // tell hooks when the wish has been granted
	restored     map[netip.Prefix]uint64
	since        time.Time
	sinceInstant time.Duration
	health       health      // what its checks come to
	record       *Transition // of the last transition
	restoreLimit limit
	noticed      map[vrrp.NoticeKind]*sighting // nil until something is noticed
	refused      map[vrrp.Drop]*sighting
	hooks        actions.Mailbox

	service *service // the service group that follows it, or nil
	// heldBack: a fault has not been told to the machine yet, dismissal is a
	// Shutdown that has not, moving an operator's move: all wait for the group to
	// come down, while the router goes on as Active.
	heldBack  bool
	dismissal *vrrp.Shutdown
	moving    bool
	movedBy   string
	// toldActive is whom the group's LetGo was said to last.
	toldActive netip.Addr
	// activeAt is when an advert of the Active was last heard.
	activeAt time.Duration
	// rival is who advertised last while this one was Active; owing is who did at any time
	// and has not said since that it holds nothing.
	rival netip.Addr
	owing []owing
	// recalledAt is when it went on as in the process before; 0: it began anew.
	recalledAt time.Duration
	movedHere  bool // by an operator: its priority is the best until it stops being Active
}

// outgoing is one advert as it leaves.
type outgoing struct {
	path    vrrp.Path
	message []byte
}

// encoding is what encoded adverts depend on.
type encoding struct {
	priority uint8
	form     vrrp.ChecksumForm
	src      netip.Addr
	link     int
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
			if !r.defers() {
				l.want(r, true)
			}
		case vrrp.Release:
			r.announceDue = false
			l.ports.Announcer.Cancel(r.id)
			if r.cfg.RouterAdvert.On {
				l.ports.Advertiser.Withdraw(r.id)
			}
			l.want(r, false)
		case vrrp.Announce:
			if r.held {
				l.announce(r, fx.Repeat)
			}
		case vrrp.Tell:
			l.tell(now, r, &fx.Notice)
			if fx.Notice.Kind == vrrp.NoticeKept {
				l.toAssess = append(l.toAssess, r) // it was on its way out, and a pin did not count
			}
		}
	}
}

// send queues an advert. In the steady state the message is reused as it is.
func (l *Loop) send(r *router, priority uint8) {
	if r.link == nil || r.link.index == 0 {
		return
	}
	want := encoding{priority, r.fsm.Form(), r.fsm.Source(), r.link.index, true}
	if r.encoded != want {
		r.encode(want)
	}
	l.speaks(r, priority == vrrp.PriorityStop)
	if priority == vrrp.PriorityStop && r.service != nil {
		r.service.said = true
	}
	for i := range r.out {
		l.ports.Wire.Send(&r.out[i].path, r.out[i].message)
	}
}

// encode makes the adverts anew: one for the group, or one for each peer, whose
// address enters the checksum.
func (r *router) encode(e encoding) {
	spec := &r.cfg.Spec
	path := vrrp.Path{Link: e.link, Family: spec.Family, Src: e.src, Dst: spec.MulticastGroup(), TTL: vrrp.HopLimit}
	n := max(1, len(spec.Peers))
	for len(r.out) < n {
		r.out = append(r.out, outgoing{})
	}
	r.out = r.out[:n]
	a := r.fsm.Advert(e.priority)
	for i := range r.out {
		switch {
		case spec.Unicast():
			path.Dst = spec.Peers[i].Addr
			if spec.TTL > 0 {
				path.TTL = spec.TTL
			}
		case r.cfg.VirtualMAC:
			path.MAC = vrrp.VirtualMAC(spec.Family, spec.VRID)
		}
		r.out[i].path = path
		r.out[i].message = a.Append(r.out[i].message[:0], path.Src, path.Dst, e.form)
	}
	r.encoded = e
}

// became records a transition, logs it and tells the hooks.
func (l *Loop) became(now time.Duration, r *router, fx *vrrp.Effect) {
	l.flushHooks(now, r)
	r.toldActive, r.rival = netip.Addr{}, netip.Addr{}
	l.speaks(r, fx.To == vrrp.Initialize)
	if fx.From == vrrp.Active {
		r.moving, r.heldBack = false, false
		if r.movedHere {
			r.movedHere = false
			l.toAssess = append(l.toAssess, r)
		} else if l.orders.find(OrderPin, r.cfg.Name) != nil {
			l.toAssess = append(l.toAssess, r)
		}
	}
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

// follow notes in the history what was done about the last transition.
func (l *Loop) follow(now time.Duration, r *router, f Followup) {
	if r.record == nil {
		return
	}
	f.After = (now - r.sinceInstant).Seconds()
	r.record.Followed = followed(r.record.Followed, f)
	l.ports.Journal.Transition(*r.record)
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
	r := &router{id: l.lastID, cfg: cfg, fsm: vrrp.New(cfg.Spec), slot: slot{heapIndex: -1, deadline: vrrp.Never},
		since: l.ports.Clock.Wall(), sinceInstant: l.ports.Clock.Now(), hooks: actions.NewMailbox(l.lastID, cfg.Hooks)}
	r.slot.router = r
	l.byID[r.id] = r
	return r
}

// drop forgets a router that has left. If hooks of it still run, their answers find it.
func (l *Loop) drop(r *router) {
	if r.hooks.Idle() {
		delete(l.byID, r.id)
	}
	if i, found := l.place(r.cfg.Name); found && l.routers[i] == r {
		l.routers = slices.Delete(l.routers, i, i+1)
	}
}

// forgetWish tells the keeper that the router will not come back.
func (l *Loop) forgetWish(r *router) {
	l.ports.Addresses.Want(actions.Wanted{Router: r.id, Term: r.wish, Final: true})
}
