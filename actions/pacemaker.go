package actions

import "slices"

// needPacemaker are OCF agents, by provider, that ask Pacemaker's daemons for what
// only they know (crm_resource, cibadmin, crm_attribute for more than a promotion
// score): found by a text search in resource-agents 4.12 and pacemaker 2.1.5.
var needPacemaker = map[string][]string{
	"heartbeat": {"ClusterMon", "NodeUtilization", "SAPDatabase", "SAPInstance", "SysInfo", "azure-events", "azure-events-az",
		"conntrackd", "db2", "ethmonitor", "galera", "lxd-info", "machine-info", "mariadb", "mpathpersist",
		"openstack-cinder-volume", "openstack-floating-ip", "openstack-info", "openstack-virtual-ip", "ovsmonitor", "pingd",
		"rabbitmq-cluster", "rabbitmq-server-ha", "redis", "sg_persist", "storage-mon"},
	"pacemaker": {"ClusterMon", "HealthCPU", "HealthIOWait", "HealthSMART", "NodeUtilization", "SysInfo", "attribute",
		"controld", "ifspeed", "o2cb", "ping", "pingd", "remote"},
}

// replicas need it for replication only: one instance of them does without.
var replicas = []string{"mysql", "pgsql"}

// insteadOf names what does the job of an agent here, where something does.
var insteadOf = map[string]string{
	"redis": "step \"redis\"", "pgsql": "step \"postgresql\"", "ethmonitor": "check \"link\"", "pingd": "check \"icmp\"", "ping": "check \"icmp\"",
	"ClusterMon": "hooks and backbeat status", "conntrackd": "a hook", "storage-mon": "check \"disk\"", "HealthCPU": "check \"load\"",
	"mpathpersist": "safety { mode = \"fence\" … }", "sg_persist": "safety { mode = \"fence\" … }", "mariadb": "step \"systemd\" on a step \"filesystem\"",
	"galera": "depends_on a check of wsrep_ready (Galera has a quorum of its own)",
}

// NeedsPacemaker reports whether an OCF agent cannot do its work without
// Pacemaker, and what to use instead ("" if nothing here corresponds). Agents that
// it does not know are taken for good.
func NeedsPacemaker(a OCF) (instead string, needs bool) {
	needs = slices.Contains(needPacemaker[a.Provider], a.Type) || a.Promotable && a.Provider == "heartbeat" && slices.Contains(replicas, a.Type)
	if !needs {
		return "", false
	}
	return insteadOf[a.Type], true
}
