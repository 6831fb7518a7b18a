package wire

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

const inside = "BACKBEAT_WIRE_TEST_INSIDE"

// TestMain runs the tests again inside a user and network namespace of their
// own: real sockets without root, and nothing of the host's network is touched.
func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if err := cmd.Start(); err != nil {
		fmt.Printf("--- SKIP: vrrp/wire: no user namespace (%v): allow them (sysctl kernel.unprivileged_userns_clone=1) or run as root\n", err)
		os.Exit(0)
	}
	if err := cmd.Wait(); err != nil {
		os.Exit(1)
	}
}
