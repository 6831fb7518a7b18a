package conf

import (
	"strings"
	"testing"
)

// Whoever comes from another program, or mistypes, is told what to write, with
// the value that stands there.
func TestWordsFromElsewhere(t *testing.T) {
	site := "check \"http\" \"site\" { url = \"http://127.0.0.1/\" }\n"
	step := func(s string) string {
		return router9(`addresses = ["10.0.0.1"]`) + "service_group \"g\" {\n  follows = virtual_router.x\n  step \"exec\" \"app\" {\n    stop = [\"/bin/true\"]\n    " + s + "\n  }\n}\n"
	}
	for _, c := range []struct {
		text string
		want []string
	}{
		{router9(`addresses = ["10.0.0.1"]`, `advert_int = 1`), []string{`interval = "1s"`}},
		{router9(`addresses = ["10.0.0.1"]`, `advert_int = 0.25`), []string{`interval = "0.25s"`}},
		{router9(`addresses = ["10.0.0.1"]`, `advert_int = { a = 1 }[node.name]`), []string{`interval = "100ms"`}},
		{router9(`addresses = ["10.0.0.1"]`, `advert_int = 1e1000000`), []string{`interval = "100ms"`}},
		{router9(`addresses = ["10.0.0.1"]`, `prio = 90`), []string{`priority = 90`}},
		{router9(`addresses = ["10.0.0.1"]`, `state = "MASTER"`), []string{`Unknown argument "state"`, "Leave it out: the priority decides"}},
		{"check \"ping\" \"gw\" { target = \"10.0.0.254\" }\n", []string{`Here it is called "icmp".`}},
		{site + router9(`addresses = ["10.0.0.1"]`, `depends_on { check = check.http.sitee }`), []string{`No check "http.sitee"`, "There is no such block. Did you mean check.http.site?"}},
		{site + router9(`addresses = ["10.0.0.1"]`, `depends_on { check = check.htp.site }`), []string{`No check "htp.site"`, "Did you mean check.http.site?"}},
		{router9(`addresses = ["10.0.0.1"]`, `depends_on { check = check.http.site }`), []string{`No check "http.site"`, "There is no check in this configuration."}},
		{step(`start = "/usr/local/sbin/app mail start"`), []string{`start = ["/usr/local/sbin/app", "mail", "start"]`}},
		{step(`start = "/usr/local/sbin/app"`), []string{"Put it in brackets"}},
	} {
		_, d := Load([]Source{{Name: "test.hcl", Text: []byte(c.text), Mode: 0o600}}, Options{Override: "a"})
		said := render(t, d)
		for _, want := range c.want {
			if !strings.Contains(said, want) {
				t.Errorf("%s\nno %q in\n%s", c.text, want, said)
			}
		}
		if d.Errors() != 1 {
			t.Errorf("%d errors:\n%s", d.Errors(), said)
		}
	}
}

// What hosts of one file have in common is said once; what differs, for each.
func TestOnce(t *testing.T) {
	text := "check \"http\" \"site\" { url = \"http://127.0.0.1/\" }\n" + router9(`addresses = ["10.0.0.1"]`)
	_, all := pairOf(t, text, "a", "b")
	if all[0].Warnings() != 1 || all[1].Warnings() != 1 {
		t.Fatal(all[0].List(), all[1].List())
	}
	Once(all)
	if all[0].Warnings() != 1 || all[1].Warnings() != 0 {
		t.Error(all[0].List(), all[1].List())
	}
}
