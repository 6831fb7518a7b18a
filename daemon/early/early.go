// Package early listens for a stop from the first moment of a program that has taken the
// place of a running daemon (exec). The default action of a TERM would end it with
// everything left as it is. This one imports so little that its turn comes before all the
// others: measured with real-time scheduling a TERM kills until 3 ms after exec, and
// without this package until 5 to 6.
package early

import (
	"os"
	"os/signal"
	"syscall"
)

// Env, set to anything, says that the program takes the place of a running daemon.
const Env = "BACKBEAT_REPLACES"

// Stops are the TERM and INT that came before the daemon listened for itself, nil
// where this is another program. Who listens calls signal.Stop for it.
var Stops chan os.Signal

func init() {
	if _, yes := os.LookupEnv(Env); yes {
		Stops = make(chan os.Signal, 4)
		signal.Notify(Stops, syscall.SIGTERM, syscall.SIGINT)
	}
}
