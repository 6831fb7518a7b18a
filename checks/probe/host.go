package probe

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/checks"
)

func runLoad(v checks.Load) checks.Result {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return notRun(err.Error())
	}
	load, ok := parseLoad(string(text))
	if !ok {
		return notRun("/proc/loadavg is not understood")
	}
	per := 1.0
	if v.PerCPU {
		per = float64(runtime.NumCPU())
	}
	for i, most := range []float64{v.Max1, v.Max5, v.Max15} {
		if got := load[i] / per; most > 0 && got > most {
			return failed("load of %d min is %.2f, wanted at most %g", []int{1, 5, 15}[i], got, most)
		}
	}
	return passed(fmt.Sprintf("%.2f %.2f %.2f", load[0]/per, load[1]/per, load[2]/per))
}

// parseLoad reads the averages of 1, 5 and 15 minutes (proc_loadavg(5)).
func parseLoad(text string) (load [3]float64, ok bool) {
	f := strings.Fields(text)
	if len(f) < 3 {
		return load, false
	}
	for i := range load {
		n, err := strconv.ParseFloat(f[i], 64)
		if err != nil || n < 0 {
			return load, false
		}
		load[i] = n
	}
	return load, true
}

func runDisk(v checks.Disk) checks.Result {
	var st unix.Statfs_t
	if err := unix.Statfs(v.Path, &st); err != nil {
		return notRun(fmt.Sprintf("statfs %s: %v", v.Path, err))
	}
	return judgeDisk(v, &st)
}

func judgeDisk(v checks.Disk, st *unix.Statfs_t) checks.Result {
	free := st.Bavail * uint64(st.Bsize)
	percent := percentOf(st.Bavail, st.Blocks)
	inodes := percentOf(st.Ffree, st.Files)
	switch {
	case v.Writable && st.Flags&unix.ST_RDONLY != 0:
		return failed("mounted read-only")
	case free < v.MinFree:
		return failed("%d MiB free, wanted %d", free>>20, v.MinFree>>20)
	case percent < v.MinFreePercent:
		return failed("%d%% free, wanted %d%%", percent, v.MinFreePercent)
	case st.Files > 0 && inodes < v.MinInodesPercent: // some file systems have no fixed number
		return failed("%d%% of the inodes free, wanted %d%%", inodes, v.MinInodesPercent)
	}
	return passed(fmt.Sprintf("%d%% free", percent))
}

func percentOf(part, whole uint64) int {
	if whole == 0 {
		return 0
	}
	return int(float64(part) / float64(whole) * 100)
}
