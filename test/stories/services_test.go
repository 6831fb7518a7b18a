package stories

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// The services of the Heartbeat pair, real ones: BIND, Apache, MariaDB. Each host has
// its data in a /srv of its own, and its init scripts in an /etc/init.d of its own.

func init() { parts["ask"] = asker }

// needServices skips a test where one of them is missing; in CI it fails.
func needServices(t *testing.T) {
	t.Helper()
	need(t, "bind9", "named")
	need(t, "apache2", "apache2")
	need(t, "mariadb-server", "mariadbd", "mariadb-install-db", "mariadb-admin")
}

// services puts what the three need on a node, and starts nothing.
func (s *story) services(n *node) {
	s.t.Helper()
	for _, f := range []string{"named", "httpd", "mysqld", "functions"} {
		n.write("/etc/init.d/"+f, s.read("test/stories/testdata/init.d/"+f), 0o755)
	}
	n.write("/srv/named/named.conf", `options {
  directory "/srv/named"; pid-file "/run/named.pid"; session-keyfile none; lock-file none; listen-on { any; }; listen-on-v6 { none; };
  recursion no; automatic-interface-scan yes; dnssec-validation no; empty-zones-enable no;
};
controls { };
zone "example.com" { type primary; file "zone"; };
`, 0o644)
	n.write("/srv/named/zone", "$TTL 60\n@ SOA ns root 1 60 60 60 60\n@ NS ns\nns A 100.200.230.1\n@ TXT "+n.Name+"\n", 0o644)
	n.write("/srv/httpd/httpd.conf", `ServerRoot /srv/httpd
PidFile /run/httpd.pid
Listen 80
ServerName localhost
ErrorLog /srv/httpd/error.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
Mutex pthread
StartServers 1
DocumentRoot /srv/httpd/html
DirectoryIndex index.html
`, 0o644)
	n.write("/srv/httpd/html/index.html", n.Name+"\n", 0o644)
	n.write("/srv/mysqld/my.cnf", `[mysqld]
user = root
datadir = /srv/mysqld/data
socket = /run/mysqld.sock
pid-file = /run/mysqld.pid
bind-address = 0.0.0.0
skip-name-resolve
skip-log-bin
innodb-log-file-size = 4M
innodb-buffer-pool-size = 8M
innodb-flush-method = fsync
aria-pagecache-buffer-size = 1M
key-buffer-size = 1M
performance-schema = off
`, 0o644)
	if out, err := exec.Command("cp", "-a", database(s.t), n.Path("/srv/mysqld/data")).CombinedOutput(); err != nil {
		s.t.Fatalf("copy the database: %v\n%s", err, out)
	}
	s.run(n.Name, "sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start") // for Apache, see its script
}

// database is a fresh data directory of MariaDB, made once.
func database(t *testing.T) string {
	t.Helper()
	dir, err := freshDatabase()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var freshDatabase = sync.OnceValues(func() (string, error) {
	dir := "/run/stories-database"
	out, err := exec.Command("mariadb-install-db", "--no-defaults", "--datadir="+dir, "--user=root", "--skip-test-db",
		"--auth-root-authentication-method=normal", "--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
	}
	return dir, nil
})

// event is one line of /srv/events.
type event struct {
	at            int64
	host          string
	service, what string
}

func (e event) String() string { return e.service + " " + e.what }

// events are what the services of a node have done, oldest first.
func (n *node) events() (list []event) {
	b, _ := os.ReadFile(n.Path("/srv/events"))
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 4 {
			at, _ := strconv.ParseInt(f[0], 10, 64)
			list = append(list, event{at, f[1], f[2], f[3]})
		}
	}
	return list
}

// forget begins a new list of events.
func (n *node) forget() {
	n.s.t.Helper()
	n.s.must(os.RemoveAll(n.Path("/srv/events")))
}

// did fails the test unless the node's events since forget are these, in this order.
func (n *node) did(want ...string) {
	n.s.t.Helper()
	var got []string
	for _, e := range n.events() {
		got = append(got, e.String())
	}
	if !slices.Equal(got, want) {
		n.s.t.Errorf("on %s:\n  %s\nwant\n  %s", n.Name, strings.Join(got, ", "), strings.Join(want, ", "))
	}
}

// began fails the test unless the node's events since forget begin with these.
func (n *node) began(want ...string) {
	n.s.t.Helper()
	var got []string
	for _, e := range n.events() {
		got = append(got, e.String())
	}
	if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		n.s.t.Errorf("on %s:\n  %s\nwant first\n  %s", n.Name, strings.Join(got, ", "), strings.Join(want, ", "))
	}
}

// What the services do when the group goes up, and down.
var (
	up   = []string{"named starting", "named up", "httpd starting", "httpd up", "mysqld starting", "mysqld up"}
	down = []string{"mysqld stopping", "mysqld down", "httpd stopping", "httpd down", "named stopping", "named down"}
)

// break_ switches a fault of a service on, mend off.
func (n *node) break_(service, fault string) {
	n.s.t.Helper()
	n.write("/srv/faults/"+service+"."+fault, "", 0o644)
}

func (n *node) mend(service, fault string) {
	n.s.t.Helper()
	n.s.must(os.Remove(filepath.Join(n.Path("/srv/faults"), service+"."+fault)))
}

// daemons are the names of the services' processes.
var daemons = []string{"named", "apache2", "mariadbd"}

// runs is how many of the three services run on a node.
func (n *node) runs() (count int) {
	for _, d := range daemons {
		if len(n.Processes(d)) > 0 {
			count++
		}
	}
	return count
}

// asker asks all services of an address until each is answered by a host, and writes
// which: "dns node1 http node1 mysql yes".
func asker(args []string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	dns, web, sql := "-", "-", "no"
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, net.JoinHostPort(args[0], "53"))
	}}
	if txt, err := r.LookupTXT(ctx, "example.com."); err == nil && len(txt) == 1 {
		dns = txt[0]
	}
	if a, err := (&http.Client{Timeout: 2 * time.Second}).Get("http://" + args[0] + "/"); err == nil {
		b, _ := io.ReadAll(a.Body)
		a.Body.Close()
		web = strings.TrimSpace(string(b))
	}
	if c, err := (&net.Dialer{Timeout: 2 * time.Second}).Dial("tcp", net.JoinHostPort(args[0], "3306")); err == nil {
		b := make([]byte, 200)
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		if k, err := c.Read(b); err == nil && strings.Contains(string(b[:k]), "MariaDB") {
			sql = "yes"
		}
		c.Close()
	}
	fmt.Println("dns", dns, "http", web, "mysql", sql)
	return 0
}

// served waits until a client gets all three services of an address from a node.
func (s *story) served(client, address, by string) {
	s.t.Helper()
	last := ""
	want := fmt.Sprintf("dns %s http %s mysql yes", by, by)
	began := lab.Now()
	for last != want {
		p := s.part(client, "ask", address)
		<-p.Done()
		last = strings.TrimSpace(p.Output())
		if lab.Now()-began > limit {
			s.t.Fatalf("%s at %s: %s, want %s", client, address, last, want)
		}
	}
}
