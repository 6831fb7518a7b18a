package lab

import (
	"fmt"
	"os"
	"strings"
)

// ForbiddenError says that this machine does not let us make namespaces, and
// what to do about it.
type ForbiddenError struct {
	// Err is what the kernel said.
	Err error
	// Remedy is a sentence with a command in it.
	Remedy string
}

// Error returns both.
func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("cannot make user and network namespaces here: %v. %s", e.Err, e.Remedy)
}

// Unwrap returns what the kernel said.
func (e *ForbiddenError) Unwrap() error { return e.Err }

func forbid(err error) *ForbiddenError {
	return &ForbiddenError{Err: err, Remedy: remedy(readSwitch)}
}

// readSwitch returns the value of a kernel switch, or "" where it does not exist.
func readSwitch(name string) string {
	b, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// remedy looks at the three switches that distributions turn user namespaces
// off with, the one in force first.
func remedy(read func(string) string) string {
	const orRoot = ", or run it as root (sudo make demo, sudo make test)"
	switch {
	case read("kernel/unprivileged_userns_clone") == "0":
		return "Allow them: sudo sysctl kernel.unprivileged_userns_clone=1" + orRoot + "."
	case read("kernel/apparmor_restrict_unprivileged_userns") == "1":
		return "AppArmor restricts them: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0" + orRoot + "."
	case read("user/max_user_namespaces") == "0":
		return "Allow them: sudo sysctl user.max_user_namespaces=10000" + orRoot + "."
	default:
		return "In a container, the container's runtime forbids it (docker: --privileged, or --security-opt seccomp=unconfined --cap-add SYS_ADMIN); " +
			"else run it as root (sudo make demo, sudo make test)."
	}
}
