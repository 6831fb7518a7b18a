package agent

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// apache is the distribution's apache2 under the distribution's agent, with a
// configuration of its own. The one thing that is not as on a host: httpd is started
// as another user of a nested user namespace, since the sandbox has one uid and httpd
// refuses to be root.
func apache(t *testing.T, b *bench) (a actions.OCF, url string) {
	t.Helper()
	a = real(t, "apache")
	needProgram(t, "/usr/sbin/apache2", "apache2")
	needProgram(t, "wget", "wget")
	lab.IP(t, "link", "set", "lo", "up")
	port := freePort(t)
	b.write("httpd.conf", fmt.Sprintf(`ServerRoot %[1]s
PidFile %[1]s/httpd.pid
Listen 127.0.0.1:%[2]d
ServerName localhost
ErrorLog %[1]s/error.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule status_module /usr/lib/apache2/modules/mod_status.so
StartServers 2
DocumentRoot %[1]s
<Location /server-status>
  SetHandler server-status
</Location>
`, b.dir, port))
	httpd := b.script("httpd", "#!/bin/sh\nexec unshare -U --map-user=33 --map-group=33 /usr/sbin/apache2 \"$@\"\n")
	url = fmt.Sprintf("http://127.0.0.1:%d/server-status", port)
	a.Params = []actions.Option{option("configfile", filepath.Join(b.dir, "httpd.conf")), option("httpd", httpd), option("statusurl", url)}
	return a, url
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func serves(url string) bool {
	r, err := (&http.Client{Timeout: 5 * time.Second}).Get(url)
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == http.StatusOK
}

func TestApache(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a, url := apache(t, b)
	b.want(actions.Qualify, a, true, actions.Down, "installed")
	b.want(actions.Look, a, true, actions.Down, "not running")
	b.want(actions.Start, a, true, actions.Up, "")
	if !serves(url) {
		t.Fatal("started, but does not serve")
	}
	b.check(b.monitor(a), true, actions.Up, "running")
	b.want(actions.Stop, a, true, actions.Down, "")
	b.want(actions.Look, a, true, actions.Down, "not running")
	if serves(url) {
		t.Error("stopped, and serves")
	}
}

// The parent killed, its children alive: whatever the agent's stop makes of it (it
// says that it is done while they still serve), nothing is left after the force.
func TestApacheParentKilled(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a, url := apache(t, b)
	b.want(actions.Start, a, true, actions.Up, "")
	pid, err := strconv.Atoi(b.file("httpd.pid"))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.run(actions.Stop, a)
	b.want(actions.ForceStop, a, true, actions.Down, "")
	b.want(actions.Start, a, true, actions.Up, "")
	if !serves(url) {
		t.Error("does not serve")
	}
	b.want(actions.Stop, a, true, actions.Down, "")
}

// A frozen one: the monitor hangs, and that is a failure like any other.
func TestApacheFrozen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a, _ := apache(t, b)
	b.want(actions.Start, a, true, actions.Up, "")
	job := b.job(actions.Look, a)
	group, err := b.cgroup(&job)
	if err != nil {
		t.Skip(err)
	}
	for _, pid := range group.Processes() {
		_ = unix.Kill(pid, unix.SIGSTOP)
	}
	job.Monitor, job.Interval, job.Timeout = true, time.Second, 2*time.Second
	b.check(b.do(job), true, actions.Neither, "timed out after 2")
	stop := b.job(actions.Stop, a)
	stop.Timeout = 2 * time.Second
	if d := b.do(stop); d.OK {
		t.Errorf("a frozen one was stopped: %+v", d)
	}
	b.want(actions.ForceStop, a, true, actions.Down, "")
}

// A mistake in the configuration: the agent does not start it and says why.
func TestApacheBadConfiguration(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a, _ := apache(t, b)
	f, err := os.OpenFile(filepath.Join(b.dir, "httpd.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "NoSuchDirective on")
	f.Close()
	job := b.job(actions.Start, a)
	job.Timeout = 3 * time.Second // the agent does not give up by itself
	d := b.do(job)
	if d.OK || d.State != actions.Neither || !strings.Contains(d.Output+d.Detail, "NoSuchDirective") {
		t.Errorf("%+v", d)
	}
	b.want(actions.Stop, a, true, actions.Down, "")
	a.Params[0].Value = filepath.Join(b.dir, "nothing")
	if d := b.run(actions.Start, a); d.OK || !d.Hopeless {
		t.Errorf("%+v", d)
	}
}
