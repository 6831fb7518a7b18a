package vrrp

// Sync groups: several routers that are Active together or not at all. Each
// member holds its own election on its own link, but what the elections decide
// is carried out for all:
//
//   - A member whose Active_Down_Timer has fired is ready; when all are, all
//     become Active. Silence must thus be heard on every link, so that the
//     members' links are each other's second heartbeat: as long as one of them
//     carries the Active's adverts, the group stays Backup.
//   - A member that hears a better Active steps down, and the others with it.
//   - A member that is in a fault takes the others out, by the way that loses
//     nothing: they say goodbye and keep their addresses until a successor is
//     heard.
//   - When the Active gives up on one member's link, it gives up on all: the
//     others do not wait for their silence (PeerLeft).
//
// keepalived lets members win on one link and lose on the other, and then
// elects for ever. Here members have the same priority, which the configuration
// insists on, and what is left of the danger (equal priorities on both hosts,
// addresses ordered differently on the two links) is damped by the daemon.

// Member is what a group needs to know of one of its routers.
type Member struct {
	State State
	// Ready: a Backup whose election is won, waiting for the others.
	Ready bool
}

// Verdict is what a group decides from its members.
type Verdict uint8

// The verdicts.
const (
	// Leave everything as it is.
	Leave Verdict = iota
	// PromoteAll: step every ready member with Promote.
	PromoteAll
	// DemoteAll: step every Active member with Demote.
	DemoteAll
)

// Decide is the group's rule over the state of its members.
func Decide(members []Member) Verdict {
	active, ready, lost := 0, 0, 0
	for _, m := range members {
		switch {
		case m.State == Active:
			active++
		case m.State == Backup && m.Ready:
			ready++
		case m.State == Backup:
			lost++
		}
	}
	switch {
	case active > 0 && lost > 0:
		return DemoteAll
	case ready > 0 && active+ready == len(members):
		return PromoteAll
	default:
		return Leave
	}
}
