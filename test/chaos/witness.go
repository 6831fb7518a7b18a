package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// witness is what the laws are judged by, besides the observer's looks: a test of the
// laws puts broken observations in its place.
type witness struct {
	// stall is how long the machine made somebody wait since an instant.
	stall func(from time.Duration) time.Duration
	// adverts are those that a host has put on its cable since an instant.
	adverts func(from time.Duration, host string) []lab.Frame
	// history is the daemon's, restored whether it says that it has put an address back.
	history  func(n *node) ([]daemon.Transition, error)
	restored func(n *node, v virtual) bool
}

// eyes are those of a real run.
func (a *Arena) eyes() witness {
	return witness{
		stall:   a.lab.Stall,
		adverts: a.sniffer.Adverts,
		history: func(n *node) ([]daemon.Transition, error) {
			list, err := n.daemon.History(a.ctx)
			return a.unstepped(list), err
		},
		// In its status, or, if it has been killed since, in its log.
		restored: func(n *node, v virtual) bool {
			if strings.Contains(n.daemon.Log(), fmt.Sprintf("(%s) address ", v.name)) {
				return true
			}
			r, err := n.daemon.Router(a.ctx, v.name)
			return err == nil && slices.ContainsFunc(r.Addresses, func(s daemon.AddressStatus) bool { return s.Restored > 0 })
		},
	}
}
