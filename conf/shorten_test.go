package conf

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// A file that is none (a picture, an archive) has as many errors as bytes, and each
// showed all of its line: 3 kB took 70 MiB of the daemon's memory at a reload, 100 kB
// would have ended it.
func TestGarbageIsRefusedShortly(t *testing.T) {
	text := bytes.Repeat([]byte("\x00\xff{"), 30_000)
	_, d := Load([]Source{{Name: "web.hcl", Text: text}}, Options{Node: "web1"})
	raw, err := json.Marshal(d)
	if err != nil || len(raw) > 8<<20 {
		t.Errorf("%v, %d bytes of diagnostics for %d bytes of garbage", err, len(raw), len(text))
	}
	var b strings.Builder
	if err := d.WriteText(&b, 0, false); err != nil || !strings.Contains(b.String(), "more in this file, which are not shown") {
		t.Errorf("%v; it does not say that there is more", err)
	}
	if n := d.Errors(); n == 0 || n > maxPerFile {
		t.Errorf("%d errors", n)
	}
}
