package vrrp

// NewActiveReason is the cause of a promotion in the words of the YANG model
// (RFC 8347, enumeration new-master-reason-type, "master" read as "active"). The
// RFC leaves open which is which; this is what keepalived makes of them: priority
// is the end of Skew_Time after a priority-0 advert, preempted that of a worse
// Active, or the start of an owner, and no-response silence. Of what the
// model does not know, an operator or a sync group has made it Active.
func (c Cause) NewActiveReason() string {
	switch c {
	case CauseNone:
		return "not-active"
	case CauseResigned:
		return "priority"
	case CausePreempted, CausePreemptHold, CauseOwnerStartup:
		return "preempted"
	case CauseNoResponse:
		return "no-response"
	default:
		return c.String()
	}
}

// modelEvents are the causes for which the YANG model has an event (RFC 8347,
// identities vrrp-event-*); a cause it does not know keeps our name.
var modelEvents = map[Cause]string{
	CauseStartup:          "startup",
	CauseOwnerStartup:     "startup",
	CauseShutdown:         "shutdown",
	CauseYielded:          "shutdown",
	CauseNobodyTookOver:   "shutdown",
	CauseRemoved:          "shutdown",
	CauseHigherPriority:   "higher-priority-backup",
	CauseHigherAddress:    "higher-priority-backup",
	CauseNoResponse:       "active-timeout",
	CauseResigned:         "active-timeout",
	CauseInterfaceMissing: "interface-down",
	CausePreempted:        "lower-priority-active",
}

// ModelEvent is the cause in the words of the model's last-event, "master" read as
// "active": none, interface-up, interface-down, no-primary-ip-address and
// preempt-hold-timeout are ours as well.
func (c Cause) ModelEvent() string {
	if name, ok := modelEvents[c]; ok {
		return name
	}
	return c.String()
}
