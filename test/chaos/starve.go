package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// waited is how long the threads of a daemon had waited for a processor in all, as
// the kernel counts it (the second field of /proc/PID/task/TID/schedstat).
type waited struct{ at, sum time.Duration }

// sampleEvery is how often that is read.
const sampleEvery = 40 * time.Millisecond

// sample adds what the node's daemon has waited for up to now. Of a new process it
// counts from the begin.
func (n *node) sample(pid int) {
	var sum time.Duration
	list, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range list {
		b, err := os.ReadFile(file)
		var ran, wait int64
		if err == nil {
			if _, err := fmt.Sscanf(string(b), "%d %d", &ran, &wait); err == nil {
				sum += time.Duration(wait)
			}
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waits = append(n.waits, waited{lab.Now(), sum})
}

// starved is how long the daemon's threads waited for a processor between two
// instants, or a little around them: those of a machine that is busy with others.
func (n *node) starved(from, to time.Duration) (d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := 1; i < len(n.waits); i++ {
		was, is := n.waits[i-1], n.waits[i]
		if is.at >= from && was.at <= to && is.sum > was.sum {
			d += is.sum - was.sum
		}
	}
	return d
}
