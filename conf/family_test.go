package conf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// An advertisement holds addresses of one family: those of the other ride
// along, and cannot be made to be advertised. RFC 9568 5.2.9
func TestW13_OneFamilyIsAdvertised(t *testing.T) {
	for first, want := range map[string]string{`"10.0.0.1", "fe80::9", "2001:db8::9"`: "[10.0.0.1]", `"fe80::9", "10.0.0.1", "2001:db8::9"`: "[fe80::9 2001:db8::9]"} {
		cfg, _ := load(t, router9("addresses = ["+first+"]"), Options{Node: "web1"})
		r := cfg.Routers[0]
		if got := fmt.Sprint(r.Spec.Addresses); got != want || len(r.Addresses) != 3 {
			t.Errorf("%s: advertised %s, held %d", first, got, len(r.Addresses))
		}
		for _, a := range r.Spec.Addresses {
			if vrrp.FamilyOf(a) != r.Spec.Family {
				t.Errorf("%s is not of %s", a, r.Spec.Family)
			}
		}
	}
	for _, text := range []string{
		router9(`addresses = ["10.0.0.1"]`, "address \"2001:db8::9\" { advertise = true }"),
		router9(`addresses = ["fe80::9"]`, "address \"10.0.0.1\" { advertise = true }"),
	} {
		if _, diags := Load([]Source{{Name: "t.hcl", Text: []byte(text)}}, Options{Node: "web1"}); diags.Errors() != 1 || !strings.Contains(diags.List()[0].Summary, "Cannot be advertised") {
			t.Errorf("not refused:\n%s", render(t, diags))
		}
	}
}
