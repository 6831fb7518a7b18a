package daemon

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// specEqual sees a difference in every field there is.
func TestSpecEqualSeesEveryField(t *testing.T) {
	kind := reflect.TypeFor[vrrp.Spec]()
	for i := range kind.NumField() {
		var a, b vrrp.Spec
		change(t, kind.Field(i).Name, reflect.ValueOf(&b).Elem().Field(i))
		if specEqual(&a, &b) || !specEqual(&b, &b) {
			t.Errorf("%s is not compared", kind.Field(i).Name)
		}
	}
}

// change makes a value another than the zero one.
func change(t *testing.T, name string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(7)
	case reflect.Int64, reflect.Int:
		v.SetInt(7)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Array:
		change(t, name, v.Index(0))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[netip.Addr]() {
			v.Set(reflect.ValueOf(netip.IPv6Unspecified()))
			return
		}
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				change(t, name, f)
				return
			}
		}
		t.Fatalf("%s: do not know how to change a %s", name, v.Type())
	default:
		t.Fatalf("%s: do not know how to change a %s", name, v.Type())
	}
}
