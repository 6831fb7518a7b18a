package lab

import (
	"context"
	"encoding/binary"
	"fmt"
	"os/exec"
	"strings"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// OnSwitch runs a command in the namespace of the switches to its end: nft and tc
// change there what the cables carry. Port names the cable.
func (l *Lab) OnSwitch(ctx context.Context, stdin string, argv ...string) error {
	_, err := l.onSwitch(ctx, stdin, argv)
	return err
}

// AskSwitch is OnSwitch for a question: it returns what the command wrote.
func (l *Lab) AskSwitch(ctx context.Context, argv ...string) (string, error) {
	return l.onSwitch(ctx, "", argv)
}

func (l *Lab) onSwitch(ctx context.Context, stdin string, argv []string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	var err error
	l.hub.do(func() { err = cmd.Start() })
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return "", fmt.Errorf("%s on the switch: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(out.String()))
	}
	return out.String(), nil
}

// Port is the name of the switch's end of the host's cable ethK.
func (h *Host) Port(k int) string { return fmt.Sprintf("port%d.%d", h.Number, k) }

// SniffAdverts starts a sniffer that records VRRP messages only, and none that has the
// MAC of one host: that of a host that floods the link with them.
func (l *Lab) SniffAdverts(except *Host) (*Sniffer, error) {
	mac := except.MAC(0)
	high, low := binary.BigEndian.Uint32(mac), binary.BigEndian.Uint16(mac[4:])
	return l.sniff([]bpf.Instruction{
		0:  bpf.LoadAbsolute{Off: 6, Size: 4},
		1:  bpf.JumpIf{Cond: bpf.JumpEqual, Val: high, SkipFalse: 2},
		2:  bpf.LoadAbsolute{Off: 10, Size: 2},
		3:  bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(low), SkipTrue: 8},
		4:  bpf.LoadAbsolute{Off: 12, Size: 2},
		5:  bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IP, SkipFalse: 2},
		6:  bpf.LoadAbsolute{Off: 23, Size: 1},
		7:  bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocol, SkipTrue: 3, SkipFalse: 4},
		8:  bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IPV6, SkipFalse: 3},
		9:  bpf.LoadAbsolute{Off: 20, Size: 1},
		10: bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocol, SkipFalse: 1},
		11: bpf.RetConstant{Val: 1 << 16},
		12: bpf.RetConstant{Val: 0},
	})
}
