package actions

import "testing"

func TestNeedsPacemaker(t *testing.T) {
	for _, c := range []struct {
		agent OCF
		want  bool
	}{
		{OCF{Provider: "heartbeat", Type: "apache"}, false},
		{OCF{Provider: "heartbeat", Type: "mysql"}, false},
		{OCF{Provider: "heartbeat", Type: "mysql", Promotable: true}, true},
		{OCF{Provider: "heartbeat", Type: "pgsql", Promotable: true}, true},
		{OCF{Provider: "heartbeat", Type: "galera"}, true},
		{OCF{Provider: "heartbeat", Type: "openstack-info"}, true},
		{OCF{Provider: "pacemaker", Type: "ClusterMon"}, true},
		{OCF{Provider: "own", Type: "ping"}, false},
		{OCF{Provider: "linbit", Type: "drbd", Promotable: true}, false},
	} {
		if _, got := NeedsPacemaker(c.agent); got != c.want {
			t.Errorf("%+v: %v", c.agent, got)
		}
	}
}
