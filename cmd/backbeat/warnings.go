package main

import (
	"fmt"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

const (
	// maxWarnings keeps a thousand routers with one trouble readable.
	maxWarnings = 12
	// shortInterval is below what a host without real-time scheduling can be
	// trusted with: stalls of 152 ms were measured on busy ones (ecosystem.md 3.3).
	shortInterval = 0.1
)

// warnings are what an operator should not have to look for, worst first.
func warnings(st *control.Status, tool string) []string {
	var faults, addresses, hooks, others []string
	for i := range st.Routers {
		r := &st.Routers[i]
		if r.Fault != "" {
			faults = append(faults, faultWarning(r))
		}
		addresses = append(addresses, addressWarnings(r)...)
		hooks = append(hooks, hookWarnings(r)...)
		others = append(others, protocolWarnings(r)...)
	}
	for i := range st.Links {
		others = append(others, linkWarnings(&st.Links[i])...)
	}
	if l := st.Loop; l.Stalls > 0 {
		others = append(others, fmt.Sprintf("the daemon's loop stalled %s (worst %s late): this host is overloaded, or was suspended",
			times(l.Stalls), took(l.WorstLateness)))
	}
	if n := st.Loop.LogDropped; n > 0 {
		others = append(others, plural(int(n), "log line")+" dropped: the log is slower than the daemon")
	}
	if tool != "" && st.Version != "" && st.Version != tool {
		others = append(others, fmt.Sprintf("the running daemon is version %s and this tool is %s: restart the daemon to finish the upgrade", clean(st.Version), clean(tool)))
	}
	return append(append(append(faults, addresses...), hooks...), others...)
}

func faultWarning(r *daemon.RouterStatus) string {
	return fmt.Sprintf("%s cannot take part: %s", clean(r.Name), faultText(r))
}

// faultText is the sentence if there is one, else the stable name.
func faultText(r *daemon.RouterStatus) string {
	if r.FaultDetail != "" {
		return clean(r.FaultDetail)
	}
	return clean(r.Fault)
}

func addressWarnings(r *daemon.RouterStatus) (out []string) {
	for _, a := range r.Addresses {
		switch {
		case a.Wanted && !a.Present:
			out = append(out, fmt.Sprintf("%s: address %s is wanted and not there", clean(r.Name), clean(a.Address)))
		case a.Present && !a.Wanted && !r.IsOwner && !r.Yielding:
			out = append(out, fmt.Sprintf("%s: address %s is on this host although it is not Active: somebody else put it there", clean(r.Name), clean(a.Address)))
		}
		if a.Restored > 0 {
			out = append(out, fmt.Sprintf("%s: address %s was removed by somebody else and put back %s", clean(r.Name), clean(a.Address), times(a.Restored)))
		}
	}
	return out
}

func hookWarnings(r *daemon.RouterStatus) (out []string) {
	for _, h := range r.Hooks {
		if h.LastError != "" {
			out = append(out, fmt.Sprintf("%s: hook %s failed: %s", clean(r.Name), clean(h.Name), clean(h.LastError)))
		}
		if h.Skipped > 0 {
			out = append(out, fmt.Sprintf("%s: hook %s was skipped %s: it is slower than the transitions", clean(r.Name), clean(h.Name), times(h.Skipped)))
		}
	}
	return out
}

func protocolWarnings(r *daemon.RouterStatus) (out []string) {
	if r.AdvertisementInterval > 0 && r.AdvertisementInterval < shortInterval {
		out = append(out, fmt.Sprintf("%s: an interval of %s needs real-time scheduling (the systemd unit has it): a busy host stalls longer",
			clean(r.Name), took(r.AdvertisementInterval)))
	}
	if n := r.Counters["owner-conflicts"]; n > 0 {
		out = append(out, fmt.Sprintf("%s: another host owns the addresses, too (priority 255): %s", clean(r.Name), plural(int(n), "advertisement")))
	}
	if n := r.Counters["duplicate-source"]; n > 0 {
		out = append(out, fmt.Sprintf("%s: another host sends from our own address: duplicate IP address on the link: %s", clean(r.Name), plural(int(n), "advertisement")))
	}
	return out
}

func linkWarnings(l *daemon.LinkStatus) (out []string) {
	if l.SendErrors > 0 {
		w := fmt.Sprintf("%s: %s not sent", clean(l.Name), plural(int(l.SendErrors), "advertisement"))
		if l.LastSendError != "" {
			w += ", last because: " + clean(l.LastSendError)
		}
		out = append(out, w)
	}
	if l.KernelDrops > 0 {
		out = append(out, fmt.Sprintf("%s: the kernel dropped %s: the daemon did not read fast enough", clean(l.Name), plural(int(l.KernelDrops), "received packet")))
	}
	return out
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
