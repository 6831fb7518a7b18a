package daemon

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

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
	case vrrp.NoticeAsking:
		return slog.LevelInfo, fmt.Sprintf("asking whether anybody is better (priority 0); keeping the addresses, and going on as Active if nobody has answered within %s", vrrp.Span(n.Interval))
	case vrrp.NoticeKept:
		return slog.LevelInfo, fmt.Sprintf("nobody better is there; going on as Active with priority %d", n.PeerPriority)
	case vrrp.NoticeForeignGroup:
		return slog.LevelError, fmt.Sprintf("%s uses our VRID %d for other addresses, none of which is ours: two groups on one VRID cannot work, one of them needs another%s",
			peer, r.cfg.Spec.VRID, r.freeVRID())
	case vrrp.NoticeClaimed:
		return slog.LevelWarn, fmt.Sprintf("%s claims our address %s; announced it again", macText(n.MAC), n.Peer)
	default:
		return slog.LevelInfo, n.Kind.String()
	}
}

// noteVRID remembers that somebody uses a VRID on a link that no router of ours has.
func (k *link) noteVRID(f vrrp.Family, vrid uint8) {
	i := 0
	if f == vrrp.IPv6 {
		i = 1
	}
	k.strangers[i][vrid/64] |= 1 << (vrid % 64)
}

// freeVRID says which VRID another group could take, if one is free.
func (r *router) freeVRID() string {
	if r.link != nil {
		if v := r.link.freeVRID(r.cfg.Spec.Family, r.cfg.Spec.VRID); v != 0 {
			return fmt.Sprintf("; VRID %d is free as far as has been heard", v)
		}
	}
	return ""
}

// freeVRID proposes a VRID after a given one that neither this host nor anybody
// who has been heard uses on the link; 0 if there is none.
func (k *link) freeVRID(f vrrp.Family, after uint8) uint8 {
	i := 0
	if f == vrrp.IPv6 {
		i = 1
	}
	for n := 1; n <= 255; n++ {
		v := uint8((int(after)-1+n)%255 + 1)
		if k.router(f, v) == nil && k.strangers[i][v/64]&(1<<(v%64)) == 0 {
			return v
		}
	}
	return 0
}

// macText writes a link-layer address as everybody does.
func macText(m [6]byte) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}
