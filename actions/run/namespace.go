package run

import (
	"os"
	"strconv"
	"strings"
)

// overflow is the uid that stands for every owner without a number in our user
// namespace (/proc/sys/kernel/overflowuid, 65534 everywhere).
const overflow = 65534

// mapped reports whether a uid has a number in our user namespace. Outside of
// user namespaces every uid has.
func mapped(uid uint32) bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return true // no user namespaces in this kernel, or no /proc: nothing is translated as far as we can know
	}
	return covers(string(text), uid)
}

// covers reads lines of "first-inside first-outside count".
func covers(uidMap string, uid uint32) bool {
	for line := range strings.Lines(uidMap) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		first, err1 := strconv.ParseUint(f[0], 10, 64)
		count, err2 := strconv.ParseUint(f[2], 10, 64)
		if err1 == nil && err2 == nil && uint64(uid) >= first && uint64(uid)-first < count {
			return true
		}
	}
	return false
}
