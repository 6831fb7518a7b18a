package daemon

import (
	"fmt"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// wordsWithin is how many intervals after a takeover every host with the service group has
// said that it is there (sayNothingHeld: with each of the first three adverts).
const wordsWithin = 4

// noTaker is why a move would bring the group of an Active down and up again for
// nothing, as far as that is known; "" if somebody may take over. Backups are silent,
// but one with a service group speaks when it hears a new Active. Of one that cannot
// serve nobody knows: it says the same.
func (r *router) noTaker(now time.Duration) string {
	v := r.fsm.View()
	vrid := fmt.Sprintf("on VRID %d", v.Spec.VRID)
	var last *vrrp.PeerView
	for i := range v.Peers {
		if p := &v.Peers[i]; p.Believed > 0 && !p.Foreign {
			last = p
			break
		}
	}
	switch {
	case last == nil && len(v.Peers) == 0 && v.Counters.AdvertisementRcvd > 0:
		return "" // the process before has heard somebody
	case last == nil && len(v.Peers) == 0:
		return fmt.Sprintf("no other host has been heard %s since this one started", vrid)
	case last == nil && v.Peers[0].Foreign:
		return fmt.Sprintf("only %s has been heard %s, and it serves other addresses", v.Peers[0].Src, vrid)
	case last == nil:
		return fmt.Sprintf("only %s has been heard %s, and its adverts are refused (%s)", v.Peers[0].Src, vrid, v.Peers[0].Drop)
	case now < v.Since+wordsWithin*v.Spec.Interval || last.At >= v.Since+v.Spec.Interval/2:
		return ""
	case v.Promoted == vrrp.CauseNoResponse:
		return fmt.Sprintf("%s fell silent, and nobody has been heard %s since this host took over %s ago", last.Src, vrid, vrrp.Span(now-v.Since))
	case v.Promoted == vrrp.CauseResigned:
		return fmt.Sprintf("%s said goodbye, and nobody has been heard %s since this host took over %s ago", last.Src, vrid, vrrp.Span(now-v.Since))
	default:
		return "" // it was there a moment before
	}
}
