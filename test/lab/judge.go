package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// TsharkPath returns tshark, or an error that says how to get it.
func TsharkPath() (string, error) {
	path, err := exec.LookPath("tshark")
	if err != nil {
		return "", fmt.Errorf("tshark is not installed (apt-get install tshark)")
	}
	return path, nil
}

// Judge lets tshark decode every VRRP packet that hosts sent (none: all hosts)
// and returns how many adverts there were, and what it had to complain about:
// malformed packets, checksums wrong in both forms.
func (s *Sniffer) Judge(ctx context.Context, hosts ...string) (adverts int, complaints []string, err error) {
	path, err := TsharkPath()
	if err != nil {
		return 0, nil, err
	}
	file, err := os.CreateTemp("", "backbeat-*.pcap")
	if err != nil {
		return 0, nil, fmt.Errorf("write the capture: %w", err)
	}
	defer os.Remove(file.Name())
	err = s.writePcap(file, func(f *Frame) bool {
		return (f.Advert != nil || f.Malformed != nil) && (len(hosts) == 0 || slices.Contains(hosts, f.Host))
	})
	if err != nil {
		return 0, nil, err
	}
	if err := file.Close(); err != nil {
		return 0, nil, fmt.Errorf("write the capture: %w", err)
	}
	// A version 3 advert over IPv4 may have either form of checksum, and tshark
	// judges by one at a time.
	good := map[string]bool{}
	lines := map[string]string{}
	for _, form := range []string{"TRUE", "FALSE"} {
		out, err := exec.CommandContext(ctx, path, "-r", file.Name(), "-o", "vrrp.v3_checksum_as_in_v2:"+form, "-Y", "vrrp",
			"-T", "fields", "-E", "separator=|", "-e", "frame.number", "-e", "vrrp.checksum.status", "-e", "_ws.malformed", "-e", "eth.src", "-e", "vrrp.version").Output()
		if err != nil {
			return 0, nil, fmt.Errorf("tshark: %w", err)
		}
		for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
			f := strings.Split(line, "|")
			if len(f) != 5 {
				continue
			}
			lines[f[0]] = line
			if f[1] == "1" && f[2] == "" {
				good[f[0]] = true
			}
		}
	}
	for number, line := range lines {
		if !good[number] {
			complaints = append(complaints, "frame "+line)
		}
	}
	return len(lines), complaints, nil
}
