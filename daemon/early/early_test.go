package early_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon/early"
)

// It is the first of all packages that are not Go's own, in the real binary.
func TestFirstOfAll(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	binary := filepath.Join(t.TempDir(), "backbeat")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/backbeat-ha/backbeat/cmd/backbeat").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.CommandContext(ctx, binary, "version")
	cmd.Env = append(os.Environ(), early.Env+"=1", "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	at, before := false, 0
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "init" {
			continue
		}
		if f[1] == "github.com/backbeat-ha/backbeat/daemon/early" {
			at = true
			break
		}
		if strings.Contains(f[1], "backbeat") || f[1] == "net" || strings.HasPrefix(f[1], "net/http") {
			before++
		}
	}
	if !at || before > 0 {
		t.Errorf("initialized %t, after %d others of weight:\n%s", at, before, out)
	}
}
