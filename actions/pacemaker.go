package actions

import "strings"

// needPacemaker are OCF agents that call crm_*, attrd_updater or cibadmin, or rest on
// promotion scores: found by a text search in resource-agents 4.12. A name that
// ends in - stands for all that begin so. The value is what to use instead, or empty.
var needPacemaker = map[string]string{
	"ClusterMon": "hooks and backbeat status", "NodeUtilization": "", "SAPDatabase": "", "SAPInstance": "", "Stateful": "", "SysInfo": "",
	"VirtualDomain": "", "Xen": "", "azure-events": "", "azure-events-az": "", "conntrackd": "step \"systemd\"", "db2": "",
	"ethmonitor": "depends_on { link = \"eth1\" }", "galera": "a check of wsrep_ready in a virtual_router: Galera has a quorum of its own",
	"lxd-info": "", "machine-info": "", "mariadb": "step \"systemd\" on a step \"filesystem\"", "mpathpersist": "safety { mode = \"fence\" … }",
	"openstack-": "", "ovsmonitor": "", "pingd": "check \"icmp\"", "ping": "check \"icmp\"", "rabbitmq-": "", "redis": "step \"redis\"",
	"sg_persist": "safety { mode = \"fence\" … }", "storage-mon": "check \"disk\"",
	// Whole providers' agents, found by reading them.
	"drbd": "step \"drbd\"", "controld": "", "remote": "", "attribute": "", "HealthCPU": "check \"load\"", "HealthIOWait": "", "HealthSMART": "",
}

// NeedsPacemaker reports whether an OCF agent works only under Pacemaker, and
// what to use instead (empty if nothing here corresponds). mysql and pgsql need
// it for their replication, so only if they are promotable.
func NeedsPacemaker(a OCF) (instead string, needs bool) {
	if a.Promotable {
		switch a.Type {
		case "pgsql":
			return "step \"postgresql\"", true
		case "mysql":
			return "", true
		}
	}
	if instead, needs = needPacemaker[a.Type]; needs {
		return instead, true
	}
	for name, instead := range needPacemaker {
		if strings.HasSuffix(name, "-") && strings.HasPrefix(a.Type, name) {
			return instead, true
		}
	}
	return "", false
}
