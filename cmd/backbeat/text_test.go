package main

import (
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain text, ümlaut → 漢字": "plain text, ümlaut → 漢字",
		"\x1b[31mred":             `\x1b[31mred`,
		"a\tb":                    "a b",
		"two\r\nlines":            `two\r\nlines`,
		"\x9b2J":                  `\x9b2J`,
		"\u202egnp.exe":           `\u202egnp.exe`,
		"\u0085":                  `\u0085`,
		"half \xe2\x82":           `half \xe2\x82`,
		"":                        "",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestTimesForPeople(t *testing.T) {
	for in, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 59900 * time.Millisecond: "59s", 61 * time.Second: "1m 1s",
		2*time.Hour + 5*time.Minute: "2h 5m", 50 * time.Hour: "2d 2h",
	} {
		if got := span(in); got != want {
			t.Errorf("span(%v) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[float64]string{
		0: "0 ms", 0.0004: "0.4 ms", 0.000078125: "0.078 ms", 0.0004114: "0.411 ms", 0.0099: "9.9 ms", 0.12: "120 ms", 0.4140625: "414.1 ms", 1: "1 s", 3.6094: "3.609 s", 40.95: "40.95 s",
	} {
		if got := took(in); got != want {
			t.Errorf("took(%v) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[float64]string{0.0304: "30 ms ago", 0.3: "300 ms ago", 1.26: "1.3 s ago", 75: "1m 15s ago"} {
		if got := ago(in); got != want {
			t.Errorf("ago(%v) = %q, want %q", in, got, want)
		}
	}
}

// Durations look as they do in the reasons, which package vrrp writes.
func TestTimesAreOneForm(t *testing.T) {
	for _, d := range []time.Duration{3414062500, 609400 * time.Microsecond, 411 * time.Microsecond, 78125, 9999 * time.Microsecond, time.Second, 30 * time.Second} {
		why := vrrp.Reason{Cause: vrrp.CauseStartup, Timer: d}.String()
		if want := "started; listening for an Active for " + took(d.Seconds()); why != want {
			t.Errorf("the reason says %q, the tool %q", why, want)
		}
	}
}

func TestFold(t *testing.T) {
	for _, tt := range []struct {
		line   string
		width  int
		indent int
		want   string
	}{
		{"  why: one two three", 0, 4, "  why: one two three"},
		{"  why: one two three", 20, 4, "  why: one two three"},
		{"  why: one two three", 19, 4, "  why: one two\n    three"},
		{"  why: one two three", 10, 4, "  why: one\n    two\n    three"},
		{"longerthanthat a b", 6, 2, "longerthanthat\n  a b"},
		{"\x1b[33m! one two\x1b[0m", 9, 2, "\x1b[33m! one two\x1b[0m"},
		{"\x1b[33m! one two\x1b[0m", 8, 2, "\x1b[33m! one\n  two\x1b[0m"},
		{"ümlaut ümlaut", 13, 2, "ümlaut ümlaut"},
		{"a   b  c", 6, 0, "a   b\nc"},
		{"", 5, 2, ""},
		{"takes over in 163.1 ms, if", 21, 2, "takes over in\n  163.1 ms, if"},
	} {
		if got := fold(tt.line, tt.width, tt.indent); got != tt.want {
			t.Errorf("fold(%q, %d, %d) = %q, want %q", tt.line, tt.width, tt.indent, got, tt.want)
		}
	}
}

func TestColumns(t *testing.T) {
	got := columns([][]cell{
		{{text: "A"}, {text: "N", right: true}, {text: "last"}},
		{{text: "long"}, {text: "100", right: true}, {text: ""}},
		{{text: "ü"}, {text: "1", right: true}, {text: "x"}},
	})
	want := []string{"A       N  last", "long  100", "ü       1  x"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d is %q, want %q", i, got[i], want[i])
		}
	}
}
