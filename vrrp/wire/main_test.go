package wire

import (
	"testing"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// TestMain runs the tests again inside a user and network namespace of their
// own: real sockets without root, and nothing of the host's network is touched.
func TestMain(m *testing.M) { lab.Main(lab.Options{}, m.Run) }
