package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// keepalived translates one keepalived.conf.
type keepalived struct {
	writer
	globals map[string]*node
	// trackers are vrrp_script, vrrp_track_process and vrrp_track_file by kind and name.
	trackers  map[string]*tracker
	instances []*instance
	groups    []*node
	routers   names
	checks    names
	held      map[string]bool // addresses
	invented  int             // addresses that stand for none
	others    map[string]bool // routes and rules
}

// instance is a vrrp_instance block on its way.
type instance struct {
	name, given, iface string
	line               int
	vrid, priority     int
	version            int
	interval           time.Duration
	noPreempt, master  bool
	preemptDelay       time.Duration
	settle             time.Duration
	password           string
	addresses, extra   []*address
	routes, rules      []*node
	peers              []string
	source, group      string
	ttl, ttlMin        int
	ttlLeast           []int // min_ttl of each peer, 0 without
	vmac               bool
	vmacName           string
	refuse, quiet      bool // no_accept, lower_prio_no_advert
	repeat             int  // -1: not said; so with delay and refresh
	delay, refresh     time.Duration
	tracks             []*track
	hooks              []hook
	missing            []Note
}

// Keepalived translates the VRRP half of a keepalived.conf. The result is for the
// host whose file it is.
func Keepalived(src Source) Result {
	k := &keepalived{writer: writer{file: src.Name}, globals: map[string]*node{}, trackers: map[string]*tracker{}, routers: names{}, checks: names{},
		held: map[string]bool{}, others: map[string]bool{}}
	all, bad := parseKeepalived(string(src.Text))
	k.comment("Made by backbeat import keepalived from %s.\n"+
		"It is for this host: the other hosts' files differ in priority and in what is their own. One file for all\n"+
		"selects by name: priority = { fw1 = 150, fw2 = 100 }[node.name]. Then: backbeat check --node fw1,fw2 FILE", src.Name)
	if bad > 0 {
		k.note(bad, "a } without {; what follows it may be in the wrong place")
	}
	for pass := range 3 { // globals and trackers may stand behind their use
		for _, n := range all {
			if passOf(n) == pass {
				k.top(n)
			}
		}
	}
	for _, i := range k.instances {
		k.settleInstance(i)
	}
	k.oneMind()
	k.group()
	k.WriteString("\n")
	k.writeChecks()
	for _, i := range k.instances {
		k.writeInstance(i)
	}
	k.writeGroups()
	if len(k.instances) == 0 {
		k.missing(0, "there is no vrrp_instance in it that could be translated")
	}
	return k.result()
}

func passOf(n *node) int {
	switch w := n.word(0); {
	case w == "global_defs":
		return 0
	case strings.HasPrefix(w, "vrrp_script"), strings.HasPrefix(w, "vrrp_track_"), strings.HasPrefix(w, "track_"):
		return 1
	}
	return 2
}

// top sorts the statements of the file.
func (k *keepalived) top(n *node) {
	switch w := n.word(0); {
	case w == "global_defs":
		for _, g := range n.block {
			k.global(g)
		}
	case w == "vrrp_script", w == "vrrp_track_process", w == "vrrp_track_file", w == "track_file", w == "track_process":
		k.tracker(n)
	case w == "vrrp_instance":
		k.instances = append(k.instances, k.instance(n))
	case w == "vrrp_sync_group":
		k.groups = append(k.groups, n)
	case strings.HasPrefix(w, "include"):
		k.missing(n.line, "%s: import that file as well; of a directory, backbeat reads every *.hcl file as one configuration", n.text())
	case strings.HasPrefix(w, "@"):
		k.missing(n.line, "%s: a line for one host only: node.name selects in an expression", n.text())
	case w == "virtual_server", w == "virtual_server_group", w == "real_server":
		k.missing(n.line, "%s: the load balancer (LVS) is not what backbeat does", n.text())
	case strings.HasPrefix(w, "static_"), w == "track_group":
		k.missing(n.line, "%s: what does not move belongs to the host's network configuration", w)
	case w == "bfd_instance":
		k.missing(n.line, "%s: backbeat does not speak BFD", n.text())
	case w == "garp_group":
		k.note(n.line, "garp_group: announcements are always paced")
	case silent[w]:
	case w == "" && !n.inBraces:
	default:
		k.missing(n.line, "unknown keyword %s", strconv.Quote(n.text()))
	}
}

// silent are keywords for what is always so here, or the default, or about the
// process of keepalived itself; nothing is lost without them.
var silent = set("enable_script_security", "vrrp_skip_check_adv_addr", "vrrp_strict", "vrrp_iptables", "vrrp_ipsets", "vrrp_check_unicast_src", "vrrp_higher_prio_send_advert",
	"vrrp_lower_prio_no_advert", "dynamic_interfaces", "allow_if_changes", "max_auto_priority", "min_auto_priority_delay", "vrrp_priority", "vrrp_no_swap", "vrrp_rt_priority", "vrrp_rlimit_rttime",
	"vrrp_cpu_affinity", "bfd_priority", "checker_priority", "checker_no_swap", "use_symlink_paths", "no_checker_emails", "no_email_faults", "process_names", "nftables", "nftables_counters",
	"nftables_ifindex", "disable_local_igmp", "vrrp_min_garp", "vrrp_garp_interval", "vrrp_gna_interval", "vrrp_garp_lower_prio_repeat", "vrrp_garp_lower_prio_delay", "vrrp_garp_extra_if",
	"vrrp_netlink_cmd_rcv_bufs", "vrrp_netlink_cmd_rcv_bufs_force", "vrrp_netlink_monitor_rcv_bufs", "vrrp_netlink_monitor_rcv_bufs_force", "vrrp_rx_bufs_policy", "vrrp_rx_bufs_multiplier",
	"rs_init_notifies", "umask", "use_pid_dir", "log_unknown_vrids", "reload_check_config", "reload_time_file", "reload_repeat", "reload_file", "json_version", "state_dump_file", "stats_dump_file",
	"json_dump_file", "data_use_instance", "tmp_config_directory", "config_save_dir", "random_seed", "child_wait_time", "set_supplementary_groups", "fifo_write_vrrp_states_on_reload",
	"vrrp_notify_priority_changes", "default_interface", "script_user", "router_id", "vrrp_version", "vrrp_mcast_group4", "vrrp_mcast_group6", "vrrp_garp_master_delay", "vrrp_garp_master_repeat",
	"vrrp_garp_master_refresh", "vrrp_garp_master_refresh_repeat", "vrrp_startup_delay", "vrrp_delay_after_boot", "vrrp_owner_ignore_adverts",
	// of an instance
	"debug", "native_ipv6", "skip_check_adv_addr", "strict_mode", "accept", "preempt", "higher_prio_send_advert", "garp_lower_prio_delay", "garp_lower_prio_repeat", "garp_interval", "gna_interval",
	"garp_extra_if", "garp_master_refresh_repeat", "v3_checksum_as_v2", "old_unicast_checksum", "check_unicast_src", "track_src_ip", "vmac_xmit_base", "promote_secondaries", "linkbeat_use_polling",
	"unicast_fault_no_peer", "timer_expired_backup", "owner_ignore_adverts", "rogue_counter_threshold", "kernel_rx_buf_size", "vrrp_garp_group")

// gone are keywords that have no counterpart, with what there is instead.
var gone = map[string]string{
	"notification_email": "write a hook that sends it", "notification_email_from": "write a hook that sends mail", "smtp_server": "write a hook that sends mail", "smtp_connect_timeout": "write a hook that sends mail",
	"smtp_helo_name": "write a hook that sends mail", "smtp_alert": "write a hook that sends mail", "smtp_alert_vrrp": "write a hook that sends mail", "smtp_alert_checker": "write a hook that sends mail",
	"lvs_sync_daemon": "the load balancer (LVS) is not what backbeat does", "lvs_sync_daemon_interface": "the load balancer (LVS) is not what backbeat does", "lvs_flush": "the load balancer (LVS) is not what backbeat does",
	"notify_fifo": "hooks are ordered and supervised; backbeat history -o json has everything", "vrrp_notify_fifo": "hooks are ordered and supervised; backbeat history -o json has everything",
	"notify_fifo_script": "use hooks", "vrrp_notify_fifo_script": "use hooks", "notify_master_rx_lower_pri": "it is in the log and in status (lower-priority-active)",
	"enable_snmp_vrrp": "use backbeat status -o json", "enable_snmp_keepalived": "use backbeat status -o json", "enable_snmp_checker": "use backbeat status -o json", "enable_snmp_rfc": "use backbeat status -o json",
	"enable_snmp_rfcv2": "use backbeat status -o json", "enable_snmp_rfcv3": "use backbeat status -o json", "enable_traps": "use a hook", "snmp_socket": "use backbeat status -o json",
	"enable_dbus": "use backbeat status -o json", "dbus_service_name": "use backbeat status -o json", "startup_script": "ExecStartPre= of the unit", "shutdown_script": "ExecStopPost= of the unit",
	"startup_script_timeout": "ExecStartPre= of the unit", "shutdown_script_timeout": "ExecStopPost= of the unit", "net_namespace": "NetworkNamespacePath= of the unit", "net_namespace_ipvs": "NetworkNamespacePath= of the unit",
	"instance": "one daemon runs all of them", "down_timer_adverts": "it is the 3 of the RFC here; a peer with another number waits another time", "vrrp_down_timer_adverts": "it is the 3 of the RFC here; a peer with another number waits another time",
	"dont_track_primary": "the router's own link always counts", "track_bfd": "backbeat does not speak BFD; a check \"exec\" asks the daemon that does", "use_vmac_addr": "only the router's own interface has a virtual MAC",
	"vmac_prefix": "virtual_mac_name names it", "vmac_addr_prefix": "virtual_mac_name names it", "use_ipvlan": "it has no MAC of its own: the addresses go on the interface itself", "auth_hmac": "only keepalived knows it",
	"vrrp_linkbeat_use_polling": "the carrier is the kernel's", "sync_group_tracking_weight": "the priorities of a group are one", "global_tracking": "the priorities of a group are one",
	"no_virtual_ipaddress": "an election without addresses has nothing to hold", "track_process": "", "track_file": "",
}

func set(words ...string) map[string]bool {
	out := make(map[string]bool, len(words))
	for _, w := range words {
		out[w] = true
	}
	return out
}

func (k *keepalived) global(n *node) {
	w := n.word(0)
	k.globals[w] = n
	switch why, known := gone[w]; {
	case known && why != "":
		k.missing(n.line, "%s: %s", n.text(), why)
	case silent[w]:
		if w == "router_id" && n.word(1) != "" {
			k.note(n.line, "router_id %s: this host is known by its host name; node { name = … } gives it another", n.word(1))
		}
	default:
		k.missing(n.line, "unknown keyword %q in global_defs", n.text())
	}
}

// globalWord is the first word behind a global keyword.
func (k *keepalived) globalWord(name string) string {
	if n := k.globals[name]; n != nil {
		return n.word(1)
	}
	return ""
}

// group reads the sync groups before anything is written: what is said for all
// members goes to the first.
func (k *keepalived) group() {
	for _, g := range k.groups {
		first := k.firstMember(g)
		if first == nil {
			continue
		}
		for _, n := range g.block {
			switch w := n.word(0); {
			case w == "group", silent[w]:
			case strings.HasPrefix(w, "notify"):
				k.hook(first, n, g.word(1))
			case strings.HasPrefix(w, "track_"):
				k.track(first, n)
			case gone[w] != "":
				first.lack(n.line, "%s of vrrp_sync_group %s: %s", n.text(), g.word(1), gone[w])
			default:
				first.lack(n.line, "unknown keyword %q in vrrp_sync_group %s", n.text(), g.word(1))
			}
		}
	}
}

// members are the instances of a group that were translated.
func (k *keepalived) members(g *node) (out []*instance) {
	for _, n := range g.block {
		if n.word(0) != "group" {
			continue
		}
		for _, item := range n.items() {
			for _, w := range item.words {
				for _, i := range k.instances {
					if i.given == w && !slices.Contains(out, i) {
						out = append(out, i)
					}
				}
			}
		}
	}
	return out
}

func (k *keepalived) firstMember(g *node) *instance {
	if m := k.members(g); len(m) > 0 {
		return m[0]
	}
	return nil
}

func (k *keepalived) writeGroups() {
	taken := map[*instance]bool{}
	used := names{}
	for _, g := range k.groups {
		m := slices.DeleteFunc(k.members(g), func(i *instance) bool { return taken[i] })
		if len(m) < 2 {
			k.note(g.line, "vrrp_sync_group %s has fewer than two members that were translated: it is left out", g.word(1))
			continue
		}
		var refs []string
		for _, i := range m {
			taken[i] = true
			refs = append(refs, reference("virtual_router", i.name))
		}
		k.WriteString("sync_group " + quote(used.make(g.word(1))) + " {\n")
		k.line("routers", "["+strings.Join(refs, ", ")+"]")
		k.WriteString("}\n\n")
	}
}

// oneMind gives the members of each group the first one's priority: with several,
// two hosts can win on one link each, and no rule makes both right.
func (k *keepalived) oneMind() {
	for _, g := range k.groups {
		m := k.members(g)
		if len(m) < 2 {
			continue
		}
		for _, i := range m[1:] {
			if i.priority != m[0].priority {
				k.note(i.line, "vrrp_instance %s gets the priority of %s, %d instead of %d: the members of a sync group have one", i.given, m[0].given, m[0].priority, i.priority)
				i.priority = m[0].priority
			}
			if i.noPreempt != m[0].noPreempt || i.preemptDelay != m[0].preemptDelay || i.settle != m[0].settle {
				k.note(i.line, "vrrp_instance %s preempts and settles as %s does: the group moves as one", i.given, m[0].given)
				i.noPreempt, i.preemptDelay, i.settle = m[0].noPreempt, m[0].preemptDelay, m[0].settle
			}
		}
	}
}

// lack remembers what is to be told inside the block.
func (i *instance) lack(line int, format string, args ...any) {
	i.missing = append(i.missing, Note{Line: line, Text: fmt.Sprintf(format, args...)})
}

// span reads seconds with a fraction.
func span(s string) (time.Duration, bool) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0 && f < 1e6) {
		return 0, false
	}
	return time.Duration(f * float64(time.Second)).Round(time.Millisecond), true
}

// whole reads a number in a range.
func whole(s string, low, high int) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= low && n <= high
}

// seconds writes a duration as HCL.
func seconds(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	return quote(cmp.Or(s, "0s"))
}
