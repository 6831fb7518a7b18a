package checks_test

import (
	"testing"

	"github.com/backbeat-ha/backbeat/checks"
)

func TestCombine(t *testing.T) {
	const p, g, b, i = checks.Pending, checks.Good, checks.Bad, checks.Ignored
	for _, c := range []struct {
		list     []checks.Stand
		all, any checks.Stand
	}{
		{[]checks.Stand{g}, g, g}, {[]checks.Stand{b}, b, b}, {[]checks.Stand{p}, p, p}, {[]checks.Stand{i}, i, i},
		{[]checks.Stand{g, b}, b, g}, {[]checks.Stand{p, b}, b, p}, {[]checks.Stand{p, g}, p, g},
		{[]checks.Stand{i, b}, b, b}, {[]checks.Stand{i, g}, g, g}, {[]checks.Stand{b, b}, b, b}, {nil, i, i},
	} {
		if got := checks.Combine(checks.All, c.list); got != c.all {
			t.Errorf("all of %v: %s, want %s", c.list, got, c.all)
		}
		if got := checks.Combine(checks.Any, c.list); got != c.any {
			t.Errorf("any of %v: %s, want %s", c.list, got, c.any)
		}
	}
}

// The band keeps the rank of degraded hosts, and every healthy priority above
// it beats every degraded one.
func TestDegradedBand(t *testing.T) {
	before := uint8(0)
	for base := 1; base <= 254; base++ {
		d := checks.Degraded(uint8(base))
		if d < 1 || d > checks.DegradedMax || d < before {
			t.Fatalf("degraded %d is %d", base, d)
		}
		before = d
	}
	if checks.Degraded(150) <= checks.Degraded(100) {
		t.Error("150 and 100 are of one rank when degraded")
	}
	if checks.Degraded(255) != 255 {
		t.Error("the owner's priority was changed")
	}
}

func TestEffective(t *testing.T) {
	bad := func(i checks.Influence) checks.Contribution {
		return checks.Contribution{Influence: i, Stand: checks.Bad}
	}
	weight := func(w int) checks.Contribution {
		return checks.Contribution{Influence: checks.Weigh, Weight: w}
	}
	for name, c := range map[string]struct {
		base uint8
		list []checks.Contribution
		want checks.Assessment
	}{
		"nothing":              {150, nil, checks.Assessment{Priority: 150}},
		"degraded":             {150, []checks.Contribution{bad(checks.Degrade), bad(checks.Degrade)}, checks.Assessment{Priority: 29, Degraded: true}},
		"fault":                {150, []checks.Contribution{bad(checks.Fault)}, checks.Assessment{Priority: 150, Faulted: true}},
		"weights add up":       {150, []checks.Contribution{weight(-20), weight(-15)}, checks.Assessment{Priority: 115}},
		"never below 1":        {20, []checks.Contribution{weight(-200)}, checks.Assessment{Priority: 1}},
		"never above 254":      {200, []checks.Contribution{weight(200)}, checks.Assessment{Priority: 254}},
		"unclamped sum":        {200, []checks.Contribution{weight(200), weight(-200)}, checks.Assessment{Priority: 200}},
		"weights, then band":   {150, []checks.Contribution{weight(-50), bad(checks.Degrade)}, checks.Assessment{Priority: 20, Degraded: true}},
		"the owner stays":      {255, []checks.Contribution{weight(-50), bad(checks.Degrade)}, checks.Assessment{Priority: 255}},
		"the owner can faults": {255, []checks.Contribution{bad(checks.Fault)}, checks.Assessment{Priority: 255, Faulted: true}},
		"pending fault":        {150, []checks.Contribution{{Influence: checks.Fault}}, checks.Assessment{Priority: 150, Waiting: true}},
		"pending degrade":      {150, []checks.Contribution{{Influence: checks.Degrade}}, checks.Assessment{Priority: 150}},
	} {
		if got := checks.Effective(c.base, c.list); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// keepalived's signs: a negative weight counts while failing, a positive one
// while healthy, and a number from a file with either.
func TestContribute(t *testing.T) {
	n := func(i int) *int { return &i }
	for _, c := range []struct {
		weight int
		stand  checks.Stand
		value  *int
		want   int
	}{
		{-20, checks.Good, nil, 0}, {-20, checks.Bad, nil, -20}, {20, checks.Good, nil, 20}, {20, checks.Bad, nil, 0},
		{20, checks.Pending, nil, 0}, {-20, checks.Pending, nil, 0}, {20, checks.Ignored, nil, 0},
		{2, checks.Good, n(-10), -20}, {-2, checks.Good, n(1), -2}, {1, checks.Good, n(0), 0}, {1, checks.Bad, n(7), 0},
		{253, checks.Good, n(1 << 62), 254}, {-253, checks.Good, n(1 << 62), -254},
	} {
		d := checks.Dependency{Checks: []string{"x"}, Influence: checks.Weigh, Weight: c.weight}
		if got := checks.Contribute(&d, []checks.Stand{c.stand}, c.value); got.Weight != c.want {
			t.Errorf("weight %d, %s, value %v: %d, want %d", c.weight, c.stand, c.value, got.Weight, c.want)
		}
	}
}
