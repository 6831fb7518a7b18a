package agent

import (
	"fmt"
	"slices"

	"github.com/backbeat-ha/backbeat/actions"
)

// drbdVerdict is what a state means for an automatic promotion.
type drbdVerdict struct {
	ok bool
	// hard: do not even try, because DRBD might do it. Otherwise `drbdadm
	// primary` is what decides.
	hard bool
	// hopeless: it stays so until somebody acts.
	hopeless bool
	// words say why not, or what is worth knowing.
	words string
}

// promotable judges a state by the table in docs/agents/drbd.md. What is told
// of the peer can be old (an idle Secondary does not notice that its Primary
// has lost power), so a Primary peer does not count against us here.
func (s *drbdState) promotable(a *actions.DRBD) drbdVerdict {
	no := func(format string, args ...any) drbdVerdict { return drbdVerdict{words: fmt.Sprintf(format, args...)} }
	hard := func(v drbdVerdict) drbdVerdict { v.hard = true; return v }
	switch {
	case !s.up:
		return no("resource %s is not up in the kernel: drbdadm adjust %s", s.resource, s.resource)
	case s.role == "Primary":
		return drbdVerdict{ok: true, words: s.String()}
	case s.failing:
		return hard(no("force-io-failures:yes: users of the device from before the forced demotion are still there: end them or reboot"))
	case s.frozen():
		return hard(no("I/O is suspended (%s): it ends when the peer returns, or the fence-peer handler answers", s.suspended))
	case len(s.volumes) == 0:
		return no("resource %s has no volume in the kernel: drbdadm adjust %s", s.resource, s.resource)
	}
	if peer := s.standAlone(); peer != "" {
		return drbdVerdict{hard: true, hopeless: true, words: s.splitBrain(peer)}
	}
	words := s.String()
	for _, v := range s.volumes {
		verdict := s.volumePromotable(a, v)
		if !verdict.ok {
			return verdict
		}
		if verdict.words != "" {
			words = verdict.words
		}
	}
	return drbdVerdict{ok: true, words: words}
}

func (s *drbdState) volumePromotable(a *actions.DRBD, v drbdVolume) drbdVerdict {
	soft := func(format string, args ...any) drbdVerdict {
		return drbdVerdict{words: fmt.Sprintf("volume %d ", v.number) + fmt.Sprintf(format, args...)}
	}
	hard := func(format string, args ...any) drbdVerdict {
		w := soft(format, args...)
		w.hard = true
		return w
	}
	if v.noQuorum {
		return soft("has no quorum (quorum:no): more hosts of the resource must be connected")
	}
	switch v.disk {
	case "UpToDate":
		return drbdVerdict{ok: true}
	case "Consistent":
		if s.peersOlder(v.number) {
			return drbdVerdict{ok: true}
		}
		return soft("is Consistent, but the peer may have newer data: let it connect, or, if this host's is the newest: drbdadm primary --force %s", s.resource)
	case "Outdated":
		return s.outdated(a, soft)
	case "Inconsistent":
		return s.inconsistent(v, hard)
	case "Diskless":
		if a.AllowDiskless && s.readable(v.number) {
			return drbdVerdict{ok: true, words: s.String() + ": promoted without a disk of its own (allow_diskless)"}
		}
		return hard("is Diskless: drbdadm attach %s (or see why its disk was detached: dmesg)", s.resource)
	case "Failed", "Detaching":
		return hard("is %s: the disk below has errors (dmesg); repair it, then drbdadm attach %s", v.disk, s.resource)
	default:
		return soft("is %s: not usable yet", v.disk)
	}
}

// peersOlder reports whether every peer is known to have older data.
func (s *drbdState) peersOlder(number int) bool {
	return len(s.links) > 0 && !slices.ContainsFunc(s.links, func(l drbdLink) bool {
		d := l.volume(number).disk
		return d != "Outdated" && d != "Inconsistent"
	})
}

func (s *drbdState) outdated(a *actions.DRBD, no func(string, ...any) drbdVerdict) drbdVerdict {
	switch {
	case s.connected():
		return no("is Outdated and the peer is connected: a resync is about to make it good")
	case a.AllowOutdated:
		return drbdVerdict{ok: true, words: s.String() +
			": would be promoted although Outdated (allow_outdated): what the peer wrote since is lost"}
	default:
		return no("is Outdated: the peer has newer data. Bring the peer back; if it is gone for good: drbdadm primary --force %s, "+
			"which loses what it wrote since", s.resource)
	}
}

func (s *drbdState) inconsistent(v drbdVolume, no func(string, ...any) drbdVerdict) drbdVerdict {
	for i := range s.links {
		p := s.links[i].volume(v.number)
		switch p.replication {
		case "SyncTarget", "PausedSyncT", "StartingSyncT", "WFBitMapT", "WFSyncUUID":
			return no("is Inconsistent, %s from %s%s: wait for the end of the resync", p.replication, s.links[i].peer, percent(p.done))
		}
	}
	return no("is Inconsistent: a resync was interrupted and only a peer with UpToDate data can finish it: bring the peer back")
}

// health says what is wrong with a Primary: fatal if it cannot serve its data.
func (s *drbdState) health() (fatal bool, wrong string) {
	if s.failing {
		return true, "force-io-failures:yes: all I/O fails since a forced demotion"
	}
	if s.frozen() {
		return false, fmt.Sprintf("I/O is suspended (%s): writers hang until the peer returns or the fence-peer handler answers", s.suspended)
	}
	for _, v := range s.volumes {
		switch {
		case v.disk != "UpToDate" && !s.readable(v.number):
			return true, fmt.Sprintf("volume %d is %s and no connected peer has good data", v.number, v.disk)
		case v.disk != "UpToDate":
			wrong = fmt.Sprintf("volume %d is %s here and served by the peer", v.number, v.disk)
		case v.noQuorum:
			wrong = fmt.Sprintf("volume %d has no quorum", v.number)
		}
	}
	if wrong != "" {
		return false, wrong
	}
	if peer := s.standAlone(); peer != "" {
		return false, s.splitBrain(peer)
	}
	for i := range s.links {
		if l := &s.links[i]; l.connection != "Connected" {
			return false, fmt.Sprintf("not replicated to %s: %s", l.peer, l.connection)
		}
	}
	return false, ""
}
