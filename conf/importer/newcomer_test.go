package importer_test

import (
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/conf/importer"
)

// What a newcomer's haresources had: everything that is left out has its reason, once.
func TestHaresourcesReasons(t *testing.T) {
	cf := importer.Source{Name: "ha.cf", Text: []byte("crm off\nbcast eth1\nnode a b\n")}
	r := importer.Haresources(cf, importer.Source{Name: "haresources", Text: []byte(
		"a 10.0.0.1/24/eth0:1 IPsrcaddr::10.0.0.1 ldirectord::www.cf apache2\nb 10.0.0.2/24/eth0 named\n")}, importer.HaresourcesOptions{})
	loads(t, r)
	said := notes(r)
	for _, want := range []string{"IPsrcaddr::10.0.0.1: it makes", "ldirectord::www.cf: ldirectord is not started here", "label eth0:1"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	if strings.Contains(said, "Pacemaker") || strings.Count(said, "bcast eth1") != 1 || !strings.Contains(r.HCL, "apache2.service") || !strings.Contains(r.HCL, "10.0.0.1/24") {
		t.Errorf("%s\n%s", said, r.HCL)
	}
}

// The addresses of virtual_ipaddress stay in their order, whatever options some have.
func TestKeepalivedKeepsTheOrder(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.3/24\n 10.0.0.2/24 label eth0:1\n 10.0.0.1/24\n 10.0.0.4/24":            "3 2 1 4",
		"10.0.0.3/24 label eth0:3\n 10.0.0.2/24 label eth0:1\n 10.0.0.1/24":             "3 2 1",
		"10.0.0.3/24\n 10.0.0.2/24\n 10.0.0.1/24 dev eth1\n 10.0.0.9/24":                "3 2 1 9",
		"10.0.0.3/24 dev eth1\n 10.0.0.2/24\n 10.0.0.1/24 label eth0:1\n 10.0.0.9/24":   "2 3 1 9", // said in a note
		"10.0.0.3/24 scope link\n 10.0.0.2/24 scope link\n 10.0.0.1/24\n 10.0.0.9/24":   "1 3 2 9",
		"10.0.0.3/24 dev eth1\n 10.0.0.2/24 dev eth1\n":                                 "3 2",
		"10.0.0.3/24 brd 10.0.0.255\n 10.0.0.2/24 brd 10.0.0.255\n 10.0.0.1/24":         "3 2 1",
		"10.0.0.1/24\n fd00::1/64\n 10.0.0.2/24 label eth0:1\n fd00::2/64\n10.0.0.3/24": "1 2 3",
	} {
		r := importer.Keepalived(importer.Source{Name: "k", Text: []byte("vrrp_instance V {\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {\n " + text + "\n }\n}\n")})
		cfg := loads(t, r)
		var got []string
		for _, a := range cfg.Routers[0].Spec.Addresses {
			got = append(got, a.String()[len("10.0.0."):])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s\n%s", text, got, want, r.HCL)
		}
		if moved := strings.Contains(notes(r), "in the adverts: an address with"); moved != (want == "2 3 1 9" || want == "1 3 2 9") {
			t.Errorf("%q: a note of it: %v\n%s", text, moved, notes(r))
		}
	}
}

// The first address of virtual_ipaddress stays the first, label or not.
// Where an address stands among the services of a line is order, too. Behind all of them it
// waits for them. Before some, which may bind to it, it goes up with the election, and what it
// stood behind is named: addresses_when holds for all addresses of a virtual router.
func TestHaresourcesOrderOfAddresses(t *testing.T) {
	for line, c := range map[string]struct {
		ready bool
		named string // in a note
	}{
		"n1 10.0.0.10/24 apache":                              {false, ""},
		"n1 10.0.0.10/24 10.0.0.11/24 apache":                 {false, ""},
		"n1 apache 10.0.0.10/24":                              {true, ""},
		"n1 apache 10.0.0.10/24 10.0.0.11/24":                 {true, ""},
		"n1 apache 10.0.0.10/24 MailTo::root":                 {true, ""},
		"n1 10.0.0.10/24 apache 10.0.0.11/24":                 {false, "10.0.0.11/24 stands behind apache"},
		"n1 drbddisk::r0 10.0.0.10/24 apache":                 {false, "10.0.0.10/24 stands behind r0"},
		"n1 10.0.0.10/24 bind9 10.0.0.11/24 apache":           {false, "10.0.0.11/24 stands behind bind9"},
		"n1 bind9 10.0.0.10/24 apache 10.0.0.11/24 10.0.0.12": {false, "10.0.0.11/24 stands behind apache"},
	} {
		r := importer.Haresources(importer.Source{Name: "ha.cf", Text: []byte("node n1 n2\n")}, importer.Source{Name: "haresources", Text: []byte(line + "\n")}, importer.HaresourcesOptions{})
		loads(t, r)
		if ready := strings.Contains(r.HCL, `addresses_when = "ready"`); ready != c.ready {
			t.Errorf("%s: ready is %v\n%s", line, ready, r.HCL)
		}
		all := notes(r)
		if c.named == "" && strings.Contains(all, "stands behind") || !strings.Contains(all, c.named) {
			t.Errorf("%s: no note %q, or one too many:\n%s", line, c.named, all)
		}
	}
}

func TestKeepalivedOrder(t *testing.T) {
	r := importer.Keepalived(importer.Source{Name: "k", Text: []byte("vrrp_instance V {\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {\n" +
		"  192.168.200.16/24 label eth0:1\n  192.168.200.17/24\n }\n}\n")})
	loads(t, r)
	if !strings.Contains(r.HCL, `["192.168.200.16/24", "192.168.200.17/24"]`) || !strings.Contains(notes(r), "192.168.200.16: label") {
		t.Errorf("%s\n%s", notes(r), r.HCL)
	}
}
