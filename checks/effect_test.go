package checks_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/backbeat-ha/backbeat/checks"
)

// TestHealthierIsNeverWorse: a check that turns from bad to good never lowers the
// priority, never degrades and never faults, whatever else there is; the result
// is a priority that may be advertised; the owner's is never touched.
func TestHealthierIsNeverWorse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.Uint8Range(1, 255).Draw(t, "base")
		n := rapid.IntRange(1, 6).Draw(t, "dependencies")
		deps := make([]checks.Dependency, n)
		stands := make([][]checks.Stand, n)
		for i := range deps {
			deps[i] = checks.Dependency{Mode: checks.Mode(rapid.IntRange(0, 1).Draw(t, "mode")), Influence: checks.Influence(rapid.IntRange(0, 2).Draw(t, "influence"))}
			if deps[i].Influence == checks.Weigh {
				deps[i].Weight = rapid.IntRange(-253, 253).Filter(func(w int) bool { return w != 0 }).Draw(t, "weight")
			}
			for range rapid.IntRange(1, 4).Draw(t, "checks") {
				stands[i] = append(stands[i], checks.Stand(rapid.IntRange(0, 3).Draw(t, "stand")))
			}
		}
		assess := func() checks.Assessment {
			list := make([]checks.Contribution, n)
			for i := range deps {
				list[i] = checks.Contribute(&deps[i], stands[i], nil)
			}
			return checks.Effective(base, list)
		}
		i := rapid.IntRange(0, n-1).Draw(t, "which")
		j := rapid.IntRange(0, len(stands[i])-1).Draw(t, "check")
		stands[i][j] = checks.Bad
		ill := assess()
		stands[i][j] = checks.Good
		well := assess()
		if well.Priority < ill.Priority || well.Degraded && !ill.Degraded || well.Faulted && !ill.Faulted {
			t.Fatalf("healthier: %+v, before %+v", well, ill)
		}
		for _, a := range []checks.Assessment{ill, well} {
			switch {
			case a.Priority == 0, (a.Priority == 255) != (base == 255):
				t.Fatalf("priority %d of %d", a.Priority, base)
			case a.Degraded && a.Priority > checks.DegradedMax:
				t.Fatalf("degraded, and %d", a.Priority)
			}
		}
	})
}
