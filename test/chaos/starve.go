package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// waited is how long each thread of a daemon had waited for a processor in all, as
// the kernel counts it (the second field of /proc/PID/task/TID/schedstat).
type waited struct {
	at   time.Duration
	sums map[string]time.Duration // by the file
}

// sampleEvery is how often that is read.
const sampleEvery = 40 * time.Millisecond

// sample adds what the node's daemon has waited for up to now. Of a new process it
// counts from the begin.
func (n *node) sample(pid int) {
	w := waited{lab.Now(), map[string]time.Duration{}}
	list, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range list {
		b, err := os.ReadFile(file)
		var ran, wait int64
		if err == nil {
			if _, err := fmt.Sscanf(string(b), "%d %d", &ran, &wait); err == nil {
				w.sums[file] = time.Duration(wait)
			}
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waits = append(n.waits, w)
}

// starved is how long that thread of the daemon waited for a processor that waited
// longest, between two instants or a little around them. Which of them speaks for it
// cannot be seen from outside; all of them together could wait longer than it was silent.
func (n *node) starved(from, to time.Duration) (longest time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	sums := map[string]time.Duration{}
	for i := 1; i < len(n.waits); i++ {
		was, is := &n.waits[i-1], &n.waits[i]
		if is.at < from || was.at > to {
			continue
		}
		for thread, sum := range is.sums {
			if before := was.sums[thread]; sum > before {
				sums[thread] += sum - before
				longest = max(longest, sums[thread])
			}
		}
	}
	return longest
}
