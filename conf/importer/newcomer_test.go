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

// The first address of virtual_ipaddress stays the first, label or not.
func TestKeepalivedOrder(t *testing.T) {
	r := importer.Keepalived(importer.Source{Name: "k", Text: []byte("vrrp_instance V {\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {\n" +
		"  192.168.200.16/24 label eth0:1\n  192.168.200.17/24\n }\n}\n")})
	loads(t, r)
	if !strings.Contains(r.HCL, `["192.168.200.16/24", "192.168.200.17/24"]`) || !strings.Contains(notes(r), "192.168.200.16: label") {
		t.Errorf("%s\n%s", notes(r), r.HCL)
	}
}
