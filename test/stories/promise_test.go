package stories

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// What a power-off of the other stories is worth: whatever a writer was told is on the
// disk is there when the plug is pulled, at whatever moment. Nobody else is in it: no
// daemon, no DRBD, and the file system of the same host is mounted again.
//
// Once in a dozen times, and more often on a busy machine, one write was lost here: the
// file system was told to go down while writers still ran, and ext4 tells who waits in
// fsync just then that all is well (its transaction is thrown away, so none is found to
// wait for). A host without power tells nobody anything: its processes end first. (Where
// directories stand in for ext4, nothing is lost in any order.)
func TestPowerOffKeepsPromises(t *testing.T) {
	t.Parallel()
	x := newSites(t, "web.hcl")
	n := x.node1
	x.drbd.Run("a", "primary", "wwwdata")
	device := x.drbd.Device("a")
	mount := func() {
		x.run(n.Name, "/sbin/fsck", "-t", "ext4", "-p", device)
		x.run(n.Name, "/bin/mount", "-t", "ext4", "--", device, docroot)
	}
	mount()
	for round := range 12 {
		var writers []*lab.Process
		for k := range 6 {
			writers = append(writers, x.part(n.Name, "write", docroot+"/journal", fmt.Sprintf("%d.%d", round, k), "0s"))
		}
		x.until("writes", func() bool { return strings.Count(writers[0].Output(), "\n") > 3 })
		time.Sleep(time.Duration(7*round) * time.Millisecond)
		x.powerOff(n)
		x.powerOn(n)
		mount()
		text := x.run(n.Name, "cat", docroot+"/journal")
		for k, w := range writers {
			told := strings.Fields(w.Output())
			if lost := missing(text, told); len(lost) > 0 {
				t.Errorf("round %d: writer %d was told of %d lines that they are on the disk; lost are %v", round, k, len(told), lost)
			}
		}
	}
}

// What was not acknowledged may be there in part; nobody else's line is lost by that.
func TestMissing(t *testing.T) {
	for _, c := range []struct {
		text string
		lost []string
	}{
		{"a-1\na-2\nb-1\n", nil},
		{"a-1\na-2\n\x00\x00\x00\x00b-1\n", nil},
		{"a-1\na-2\na-b-1\n", nil},
		{"a-1\nb-1\n", []string{"a-2"}},
		{"a-1\na-2\nb-1", []string{"b-1"}},
		{"a-1\na-22\nb-1\n", []string{"a-2"}},
	} {
		if got := missing(c.text, []string{"a-1", "a-2", "b-1"}); !slices.Equal(got, c.lost) {
			t.Errorf("of %q missing are %q, want %q", c.text, got, c.lost)
		}
	}
}
