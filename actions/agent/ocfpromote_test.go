package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// The distribution's example of a promotable agent, with its own way of
// publishing scores, over the stand-ins for Pacemaker's commands.
func TestPromotableStateful(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := real(t, "Stateful", option("state", filepath.Join(b.dir, "stateful")))
	a.Promotable = true
	b.want(actions.Look, a, true, actions.Down, "not running")
	b.want(actions.Qualify, a, false, actions.Down, "not running")
	b.want(actions.Stop, a, true, actions.Down, "")
	b.want(actions.Prepare, a, true, actions.Down, "not promoted")
	b.want(actions.Prepare, a, true, actions.Down, "not promoted")
	b.want(actions.Qualify, a, true, actions.Down, "promotion score 5")
	b.want(actions.Start, a, true, actions.Up, "promotion score 10")
	b.want(actions.Start, a, true, actions.Up, "")
	b.check(b.monitor(a), true, actions.Up, "promoted")
	b.want(actions.Stop, a, true, actions.Down, "")
	b.want(actions.Look, a, true, actions.Down, "running, not promoted")
	b.want(actions.Start, a, true, actions.Up, "")
	// The agent refuses to stop while it is promoted, and says so: the score is gone.
	b.want(actions.Stop, a, true, actions.Down, "")
	b.want(actions.ForceStop, a, true, actions.Down, "stopped altogether")
	b.want(actions.Qualify, a, false, actions.Down, "not running")
	b.want(actions.Start, a, true, actions.Up, "") // starts it first
}

// promotableAgent is a stand-in with switches: files in the bench's directory.
func promotableAgent(b *bench) actions.OCF {
	a := b.agent(`
echo "$1 $OCF_RESKEY_CRM_meta_notify_type $OCF_RESKEY_CRM_meta_notify_operation $OCF_RESKEY_CRM_meta_notify_promote_uname" | sed 's/ *$//' >>$D/calls
state() { cat $D/state 2>/dev/null; }
case $1 in
  meta-data) cat <<END
<?xml version="1.0"?><!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="faulty"><version>1.0</version><parameters/><actions><action name="notify" timeout="5"/></actions></resource-agent>
END
  exit 0 ;;
  start) echo unpromoted >$D/state; exit 0 ;;
  stop) rm -f $D/state; exit 0 ;;
  promote) n=$(cat $D/fail 2>/dev/null || echo 0)
    if [ $n -gt 0 ]; then echo $((n - 1)) >$D/fail; echo "ocf-exit-reason:the peer is still promoted" >&2; exit 1; fi
    echo promoted >$D/state; exit 0 ;;
  demote) [ -e $D/nodemote ] && exit 1; echo unpromoted >$D/state; exit 0 ;;
  notify) exit 1 ;;
  monitor) [ "$OCF_RESKEY_CRM_meta_interval" != 0 ] && [ -e $D/score ] && crm_master -Q -l reboot -v $(cat $D/score)
    [ -e $D/rc ] && exit $(cat $D/rc)
    case $(state) in promoted) exit 8 ;; unpromoted) exit 0 ;; *) exit 7 ;; esac ;;
esac`)
	a.Promotable = true
	return a
}

func TestPromotionIsTriedUntilItSucceeds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := promotableAgent(b)
	b.write("fail", "2")
	b.want(actions.Start, a, true, actions.Up, "promoted")
	if told := b.told(); !strings.Contains(told, "promoting, try 3: promote: failed (exit status 1): the peer is still promoted") {
		t.Errorf("told %q", told)
	}
	want := "monitor|meta-data|notify pre start|start|notify post start|notify pre promote web1|promote|promote|promote|notify post promote web1"
	if got := strings.ReplaceAll(b.file("calls"), "\n", "|"); got != want {
		t.Errorf("calls\n got %s\nwant %s", got, want)
	}
	b.write("fail", "99")
	b.want(actions.Stop, a, true, actions.Down, "")
	job := b.job(actions.Start, a)
	job.Timeout = 1500 * time.Millisecond
	b.check(b.do(job), false, actions.Neither, "the peer is still promoted")
}

func TestPromotionScores(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := promotableAgent(b)
	b.want(actions.Prepare, a, true, actions.Down, "")
	b.want(actions.Qualify, a, false, actions.Down, "no promotion score")
	for _, c := range []struct {
		score  string
		ok     bool
		detail string
	}{
		{"100", true, "promotion score 100"}, {"0", true, "promotion score 0"}, {"-1", false, "must not be promoted"},
		{"-INFINITY", false, "must not be promoted"}, {"INFINITY", true, "promotion score 1000000"}, {"nonsense", false, "no promotion score"},
	} {
		b.write("score", c.score)
		b.want(actions.Qualify, a, c.ok, actions.Down, c.detail)
	}
}

func TestPromotableStates(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := promotableAgent(b)
	for _, c := range []struct {
		rc       string
		state    actions.State
		degraded bool
	}{
		{"0", actions.Down, false}, {"7", actions.Down, false}, {"8", actions.Up, false}, {"9", actions.Neither, false},
		{"190", actions.Down, false}, {"191", actions.Up, true}, {"1", actions.Neither, false}, {"5", actions.Down, false},
		{"6", actions.Unknown, false}, {"255", actions.Neither, false},
	} {
		b.write("rc", c.rc)
		if d := b.monitor(a); d.State != c.state || d.Degraded != c.degraded || d.OK != (c.state != actions.Unknown) {
			t.Errorf("%s: %+v", c.rc, d)
		}
	}
	// One that has failed is stopped before it is started.
	b.write("rc", "9")
	os.Remove(filepath.Join(b.dir, "calls"))
	b.run(actions.Prepare, a)
	if calls := b.file("calls"); !strings.Contains(calls, "stop\n") || strings.Index(calls, "stop\n") > strings.Index(calls, "\nstart") {
		t.Errorf("calls %q", calls)
	}
}

// One that does not demote is stopped altogether.
func TestDemoteFails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := promotableAgent(b)
	b.want(actions.Start, a, true, actions.Up, "")
	b.write("nodemote", "")
	b.want(actions.Stop, a, false, actions.Unknown, "demote: failed (exit status 1)")
	b.want(actions.Look, a, true, actions.Up, "")
	b.want(actions.ForceStop, a, true, actions.Down, "stopped altogether")
	b.want(actions.Look, a, true, actions.Down, "not running")
}

// The stand-ins answer as Pacemaker's commands do, as far as agents ask them.
func TestPacemakerStandIns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.agent(`P=$HA_SBIN_DIR
{
  crm_node -n
  crm_attribute -n size -v 3 -l reboot && crm_attribute --name size --query -q -N other
  attrd_updater -n size -U 4 && crm_attribute -G -n size
  attrd_updater -Q -n size -q
  crm_attribute -n none -G --default 9 -q
  crm_attribute -n none -G -q; echo "exit $?"
  crm_attribute -n ../../etc/x -v 1; ls -A $BACKBEAT_ATTRIBUTES
  attrd_updater -D -n size; crm_attribute -n size -G -q; echo "exit $?"
  $P/crm_attribute -p -v 7; crm_master -G -q
  crm_master -l reboot -v score++; crm_master -G
  crm_attribute --promotion --update=12 --lifetime reboot; crm_attribute -p -G
  crm_master -D; crm_master -G; echo "exit $?"
} >$D/out 2>&1
exit 7`)
	a.Promotable = true
	b.run(actions.Look, a)
	want := strings.Fields("web1 3 name=size value=4 4 9 exit 6 .._.._etc_x size exit 6 7 8 12 exit 6")
	if got := strings.Fields(b.file("out")); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("\n got %v\nwant %v", got, want)
	}
}
