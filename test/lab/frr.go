package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// frrDir is where Debian's package puts the daemons.
const frrDir = "/usr/lib/frr"

// FRRPath returns FRR's vrrpd, or an error that says how to get it.
func FRRPath() (string, error) {
	for _, name := range []string{"zebra", "vrrpd"} {
		if _, err := os.Stat(filepath.Join(frrDir, name)); err != nil {
			return "", fmt.Errorf("FRR's %s is not installed (apt-get install frr)", name)
		}
	}
	return filepath.Join(frrDir, "vrrpd"), nil
}

// FRRSpec is one virtual router of FRR's vrrpd. FRR keeps the addresses on
// macvlans that the administrator makes; so does Start.
type FRRSpec struct {
	VRID, Version, Priority int
	Interval                time.Duration
	// Addresses are advertised in this order, IPv4 and IPv6 apart.
	Addresses []netip.Prefix
}

// FRR is FRR's vrrpd with the zebra it needs, on one host.
type FRR struct {
	host  *Host
	spec  FRRSpec
	dir   string
	zebra *Process
	proc  *Process
	logs  []string
}

// FRR prepares one; Start starts it.
func (h *Host) FRR(spec FRRSpec) (*FRR, error) {
	f := &FRR{host: h, spec: spec, dir: h.lab.Dir(h.Name + "-frr")}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a directory for FRR on %s: %w", h.Name, err)
	}
	return f, f.configure()
}

func (f *FRR) file(name string) string { return filepath.Join(f.dir, name) }

func (f *FRR) configure() error {
	var b strings.Builder
	fmt.Fprintf(&b, "hostname vrrpd\nlog stdout\ninterface eth0\n vrrp %d version %d\n vrrp %d priority %d\n vrrp %d advertisement-interval %d\n",
		f.spec.VRID, f.spec.Version, f.spec.VRID, f.spec.Priority, f.spec.VRID, f.spec.Interval.Milliseconds())
	for _, a := range f.spec.Addresses {
		family := "ip"
		if a.Addr().Is6() {
			family = "ipv6"
		}
		fmt.Fprintf(&b, " vrrp %d %s %s\n", f.spec.VRID, family, a.Addr())
	}
	if err := os.WriteFile(f.file("zebra.conf"), []byte("hostname zebra\nlog stdout\n"), 0o600); err != nil {
		return fmt.Errorf("write the configuration of zebra: %w", err)
	}
	if err := os.WriteFile(f.file("vrrpd.conf"), []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("write the configuration of vrrpd: %w", err)
	}
	return nil
}

// frrGroup makes root a member of the groups that FRR insists on: in a user
// namespace there is nobody else. The file is seen in the lab's own mount
// namespace only.
var frrGroup = sync.OnceValue(func() error {
	old, err := os.ReadFile("/etc/group")
	if err != nil {
		return err
	}
	var keep []string
	for _, line := range strings.Split(string(old), "\n") {
		if line != "" && !strings.HasPrefix(line, "frr") {
			keep = append(keep, line)
		}
	}
	keep = append(keep, "frr:x:0:root", "frrvty:x:0:root", "")
	file, err := os.CreateTemp("", "backbeat-group-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // the mount keeps it
	if _, err := file.WriteString(strings.Join(keep, "\n")); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return unix.Mount(file.Name(), "/etc/group", "", unix.MS_BIND, "")
})

// Start makes the macvlans, if they are not there, and starts zebra and vrrpd.
func (f *FRR) Start(ctx context.Context) error {
	path, err := FRRPath()
	if err != nil {
		return err
	}
	if err := frrGroup(); err != nil {
		return fmt.Errorf("give FRR its groups: %w", err)
	}
	if err := f.macvlans(ctx); err != nil {
		return err
	}
	f.keepLog()
	// One that was killed has left its socket, which would pass for the new one's.
	_ = os.Remove(f.file("zserv.api"))
	start := func(program string) (*Process, error) {
		name := filepath.Base(program)
		_ = os.Remove(f.file(name + ".pid"))
		return f.host.Start(exec.Command(program, "-u", "root", "-g", "root", "-f", f.file(name+".conf"), "-i", f.file(name+".pid"),
			"-z", f.file("zserv.api"), "--vty_socket", f.dir, "-A", "127.0.0.1", "-P", "0"))
	}
	if f.zebra, err = start(filepath.Join(frrDir, "zebra")); err != nil {
		return err
	}
	err = Until(ctx, "zebra's socket on "+f.host.Name, func() bool {
		_, err := os.Stat(f.file("zserv.api"))
		return err == nil
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, f.zebra.Output())
	}
	f.proc, err = start(path)
	return err
}

// macvlans are those of FRR's documentation: mode bridge, random identifiers.
func (f *FRR) macvlans(ctx context.Context) error {
	for _, six := range []bool{false, true} {
		name, mac := fmt.Sprintf("vrrp4-%d", f.spec.VRID), fmt.Sprintf("00:00:5e:00:01:%02x", f.spec.VRID)
		if six {
			name, mac = fmt.Sprintf("vrrp6-%d", f.spec.VRID), fmt.Sprintf("00:00:5e:00:02:%02x", f.spec.VRID)
		}
		var lines []string
		for _, a := range f.spec.Addresses {
			if a.Addr().Is6() == six {
				lines = append(lines, fmt.Sprintf("ip addr add %s dev %s", a, name))
			}
		}
		if len(lines) == 0 {
			continue
		}
		script := fmt.Sprintf("ip link show %[1]s >/dev/null 2>&1 && exit 0; ip link add %[1]s link eth0 type macvlan mode bridge && ip link set %[1]s addrgenmode random address %[2]s && %[3]s && ip link set %[1]s up",
			name, mac, strings.Join(lines, " && "))
		if _, err := f.host.Run(ctx, "sh", "-c", script); err != nil {
			return err
		}
	}
	return nil
}

func (f *FRR) keepLog() {
	if f.proc != nil {
		f.logs = append(f.logs, f.proc.Output())
	}
}

// Log is what vrrpd has written.
func (f *FRR) Log() string {
	all := f.logs
	if f.proc != nil {
		all = append(all[:len(all):len(all)], f.proc.Output())
	}
	return strings.Join(all, "\n-- started again --\n")
}

// Kill ends both daemons with SIGKILL. What FRR leaves up answers on: the
// macvlans go down as a host that dies would.
func (f *FRR) Kill() {
	f.proc.Kill()
	f.zebra.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	f.remove(ctx)
}

func (f *FRR) remove(ctx context.Context) {
	_, _ = f.host.Run(ctx, "sh", "-c", fmt.Sprintf("ip link del vrrp4-%[1]d; ip link del vrrp6-%[1]d; true", f.spec.VRID))
}

// Stop lets vrrpd say goodbye.
func (f *FRR) Stop(ctx context.Context) error {
	if err := f.proc.Terminate(ctx); err != nil {
		return err
	}
	defer f.remove(ctx)
	return f.zebra.Terminate(ctx)
}
