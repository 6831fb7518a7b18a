package probe

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/backbeat-ha/backbeat/checks"
)

// commSize is how much of a command's name the kernel keeps (TASK_COMM_LEN without the zero).
const commSize = 15

// fresh is how long one look at /proc is good for: a thousand checks that are due
// together cost one.
const fresh = 200 * time.Millisecond

// processes is the last look at /proc, shared by all pools.
var processes struct {
	sync.Mutex
	at    time.Time
	count map[string]int // by comm, and by base name of argv[0] where that says more
	err   error
}

func runProcess(v checks.Process) checks.Result {
	if v.PIDFile != "" {
		return byPIDFile(v)
	}
	n, err := countProcesses(v.Name)
	switch {
	case err != nil:
		return notRun(err.Error())
	case n < v.Min:
		return failed("%d running, wanted %d", n, v.Min)
	case v.Max > 0 && n > v.Max:
		return failed("%d running, wanted at most %d", n, v.Max)
	}
	return passed(fmt.Sprintf("%d running", n))
}

// byPIDFile: without the file the service does not run, as init scripts have it.
func byPIDFile(v checks.Process) checks.Result {
	text, err := os.ReadFile(v.PIDFile)
	switch {
	case os.IsNotExist(err):
		return failed("%s does not exist", v.PIDFile)
	case err != nil:
		return notRun(err.Error())
	}
	pid, err := integer(string(text))
	if err != nil || pid <= 0 {
		return notRun(fmt.Sprintf("%s has no process number in it", v.PIDFile))
	}
	p, ok := lookAt(pid)
	switch {
	case !ok:
		return failed("process %d does not exist", pid)
	case v.Name != "" && p.comm != cut(v.Name) && p.argv0 != v.Name:
		return failed("process %d is %s, wanted %s", pid, p.comm, v.Name)
	}
	return passed(fmt.Sprintf("process %d", pid))
}

func cut(name string) string { return name[:min(len(name), commSize)] }

func countProcesses(name string) (int, error) {
	processes.Lock()
	defer processes.Unlock()
	if now := time.Now(); now.Sub(processes.at) > fresh || processes.count == nil {
		processes.count, processes.err = scan()
		processes.at = time.Now()
	}
	return processes.count[name], processes.err
}

// scan counts what runs by name. Processes come and go meanwhile.
func scan() (map[string]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	count := map[string]int{}
	for _, n := range names {
		pid, err := strconv.Atoi(n)
		if err != nil {
			continue
		}
		if p, ok := lookAt(pid); ok {
			count[p.comm]++
			if p.argv0 != "" && p.argv0 != p.comm {
				count[p.argv0]++
			}
		}
	}
	return count, nil
}

type process struct{ comm, argv0 string }

// lookAt reads what a process is called. One that has ended but is not reaped,
// a zombie, does not count; kernel threads have no argv.
func lookAt(pid int) (process, bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return process{}, false
	}
	comm, state, ok := parseStat(stat)
	if !ok || state == 'Z' || state == 'X' {
		return process{}, false
	}
	p := process{comm: comm}
	if len(comm) == commSize || !strings.ContainsAny(comm, "/:") {
		if line, err := os.ReadFile(dir + "/cmdline"); err == nil {
			first, _, _ := bytes.Cut(line, []byte{0})
			p.argv0 = filepath.Base(string(first))
		}
	}
	if p.argv0 == "." {
		p.argv0 = ""
	}
	return p, true
}

// parseStat takes name and state from /proc/PID/stat (proc_pid_stat(5)). The name
// is in parentheses and may contain any.
func parseStat(b []byte) (comm string, state byte, ok bool) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open || len(b) < end+3 {
		return "", 0, false
	}
	return string(b[open+1 : end]), b[end+2], true
}
