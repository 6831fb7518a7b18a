package main

import (
	"testing"
	"time"
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
		0: "0 ms", 0.0004: "0.4 ms", 0.000078125: "0.08 ms", 0.0099: "9.9 ms", 0.12: "120 ms", 0.4140625: "414.1 ms", 1: "1 s", 3.6094: "3.609 s", 40.95: "40.95 s",
	} {
		if got := took(in); got != want {
			t.Errorf("took(%v) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[float64]string{0.0304: "30 ms ago", 0.3: "0.3 s ago", 75: "1m 15s ago"} {
		if got := ago(in); got != want {
			t.Errorf("ago(%v) = %q, want %q", in, got, want)
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
