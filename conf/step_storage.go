package conf

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/backbeat-ha/backbeat/actions"
)

var (
	// networkTypes have a server that decides who writes.
	networkTypes = []string{"nfs", "nfs4", "cifs", "smb3", "ceph", "fuse.ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "9p", "virtiofs"}
	// memoryTypes have nothing to share.
	memoryTypes = []string{"tmpfs", "ramfs", "overlay"}
	// clusterTypes are for two writers at once.
	clusterTypes = []string{"gfs2", "ocfs2"}
	// systemTargets have the system's own files in them.
	systemTargets = []string{"/", "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/tmp", "/usr", "/var", "/var/lib", "/var/log", "/var/run"}
)

func (d *decoder) filesystemStep(b *section) actions.Agent {
	a := actions.Filesystem{Device: b.get("device").text, DRBD: d.drbdName(b.get("drbd")), Volume: b.get("volume").num, Target: d.clean(b.get("target")),
		Type: b.get("type").text, Options: b.get("options").texts, Fsck: b.get("fsck").text, Kill: b.get("kill").yes}
	device, drbd := b.get("device"), b.get("drbd")
	switch {
	case !device.ok || !drbd.ok:
	case a.Device != "" && a.DRBD != "":
		d.errorf(drbd.at, "device and drbd", "Both say what to mount. Remove one of the two.")
	case a.Device == "" && a.DRBD == "":
		d.errorf(b.header, "Mount what?", "Write device = \"/dev/…\", or drbd with the name of a resource.")
	case a.Device != "":
		d.device(&a, device)
	}
	if v := b.get("volume"); v.written && a.DRBD == "" && drbd.ok {
		d.warnf(v.at, "volume does nothing", "It is the volume of a DRBD resource. Remove it, or add drbd.")
	}
	if v := b.get("target"); v.ok && slices.Contains(systemTargets, a.Target) {
		d.errorf(v.at, "The system's own directory", "A mount on %s would hide what the host runs from. Mount below it.", a.Target)
	}
	if v := b.get("type"); v.ok && slices.Contains(clusterTypes, a.Type) {
		d.errorf(v.at, "A file system for two writers", "%s is for hosts that all have it mounted at once. Here one host has it at a time: ext4 or xfs.", a.Type)
	} else if v.ok && (a.Type == "" || strings.ContainsAny(a.Type, " \t\r\n\x00")) {
		d.errorf(v.at, "Not a type of file system", "Write one that mount knows, for example \"ext4\".")
	}
	for i, o := range a.Options {
		if o == "" || strings.ContainsAny(o, " \t\r\n\x00") {
			d.errorf(b.get("options").each[i], "Not an option of mount", "Write one for each element: [\"noatime\", \"nodev\"].")
		}
	}
	a.Shared = sharedByItself(&a)
	switch s := b.get("shared"); {
	case !s.written:
	case s.ok && !s.yes && (a.DRBD != "" || strings.HasPrefix(a.Device, "/dev/drbd")):
		d.errorf(s.at, "A DRBD device is shared", "The other host has the same data on its disk. Remove shared.")
	default:
		a.Shared = s.yes
	}
	return a
}

// device judges the text of a device.
func (d *decoder) device(a *actions.Filesystem, v value) {
	tag, rest, isTag := strings.Cut(a.Device, "=")
	host, dir, isNet := strings.Cut(a.Device, ":/")
	network, memory := slices.Contains(networkTypes, a.Type), slices.Contains(memoryTypes, a.Type)
	switch {
	case strings.ContainsAny(a.Device, "\n\r\x00"):
	case strings.HasPrefix(a.Device, "//"), memory, network && (isNet || a.Type != "nfs" && a.Type != "nfs4"):
		return
	case strings.HasPrefix(a.Device, "/"):
		d.clean(v)
		return
	case isTag && slices.Contains([]string{"LABEL", "UUID", "PARTLABEL", "PARTUUID"}, tag) && rest != "" && !strings.ContainsAny(rest, "/\" "):
		return
	case isNet && host != "" && !strings.Contains(dir, "="):
		return
	}
	d.errorf(v.at, "Not a device", "Write an absolute path, LABEL=…, UUID=…, or host:/path for NFS.")
}

// sharedByItself is the default of shared. A block device counts as shared unless
// the file says that it is not: neither a path nor a UUID tells (DRBD, iSCSI,
// multipath and a local disk may all be /dev/sdb1), and to be wrong costs the data.
func sharedByItself(a *actions.Filesystem) bool {
	switch {
	case a.DRBD != "":
		return true
	case slices.Contains(networkTypes, a.Type), slices.Contains(memoryTypes, a.Type), slices.Contains(a.Options, "bind"), slices.Contains(a.Options, "rbind"):
		return false
	case !strings.HasPrefix(a.Device, "/") && strings.Contains(a.Device, ":/"), strings.HasPrefix(a.Device, "//"):
		return false
	}
	return true
}

// storage looks at the order of what stores data: a DRBD device can be mounted
// where it is Primary only.
func (d *decoder) storage(g *service) {
	promoted := make(map[string]int) // resource to step
	for i, x := range g.cfg.Ladder.Steps {
		if r, ok := x.Agent.(actions.DRBD); ok && r.Resource != "" {
			if _, again := promoted[r.Resource]; !again {
				promoted[r.Resource] = i
			}
		}
	}
	for i, x := range g.cfg.Ladder.Steps {
		f, ok := x.Agent.(actions.Filesystem)
		if !ok {
			continue
		}
		resource, onDRBD := drbdOf(&f)
		if !onDRBD {
			continue
		}
		if k, mine := promoted[f.DRBD]; mine { // its device is asked for by the same commands
			r := g.cfg.Ladder.Steps[k].Agent.(actions.DRBD)
			f.Admin, f.Setup = r.Admin, r.Setup
			g.cfg.Ladder.Steps[i].Agent = f
		}
		at := g.steps[i].header
		index, there := promoted[resource]
		if resource == "" { // /dev/drbd0 does not say whose it is
			for _, k := range promoted {
				index, there = k, true
				if k < i {
					break
				}
			}
		}
		what := "a DRBD resource"
		if resource != "" {
			what = resource
		}
		switch {
		case !there:
			d.warnf(at, fmt.Sprintf("Nobody makes %s Primary", what), "It can be mounted on the Primary only. Write a step before this one: step \"drbd\" \"data\" { resource = %q }.", cmp.Or(resource, "wwwdata"))
		case index > i:
			d.errorf(at, "Mounted before it is promoted", "Steps go up in the order of the file. Move %s before this one.", g.cfg.Ladder.Steps[index].Name)
		}
	}
}

// drbdOf returns the resource of a file system's device, "" if its path does not tell.
func drbdOf(f *actions.Filesystem) (resource string, ok bool) {
	if f.DRBD != "" {
		return f.DRBD, true
	}
	if rest, by := strings.CutPrefix(f.Device, "/dev/drbd/by-res/"); by {
		resource, _, _ = strings.Cut(rest, "/")
		return resource, true
	}
	return "", strings.HasPrefix(f.Device, "/dev/drbd")
}

// stepsOnce: what a step starts and stops belongs to it alone, on the whole host.
func (d *decoder) stepsOnce(g *service, owned map[string]hcl.Range) {
	for i, x := range g.cfg.Ladder.Steps {
		what := ""
		switch a := x.Agent.(type) {
		case actions.DRBD:
			what = nonEmpty("DRBD resource ", a.Resource)
		case actions.Filesystem:
			what = nonEmpty("mount on ", a.Target)
		case actions.Systemd:
			what = nonEmpty("unit ", a.Unit)
		case actions.LSB:
			what = nonEmpty("init script ", a.Script)
		case actions.PostgreSQL:
			what = nonEmpty("server of ", a.Data)
		case actions.Redis:
			what = nonEmpty("server at ", a.Address+a.Unix)
		case actions.AddressStep:
			if a.Prefix.IsValid() {
				what = "address " + a.Prefix.Addr().String()
			}
		}
		if what == "" {
			continue
		}
		if before, again := owned[what]; again {
			d.errorf(g.steps[i].header, "A step of its own already", "The %s is started and stopped by the step at %s. Remove one of the two.", what, place(before))
			continue
		}
		owned[what] = g.steps[i].header
	}
}

func nonEmpty(what, name string) string {
	if name == "" {
		return ""
	}
	return what + name
}

// stepAddresses: an address is held by the election or by a step.
func (d *decoder) stepAddresses(g *service, routers []*router) {
	held := make(map[netip.Addr]*router)
	for _, r := range routers {
		for _, a := range r.addresses {
			held[a.Prefix.Addr()] = r
		}
	}
	for i, x := range g.cfg.Ladder.Steps {
		switch a := x.Agent.(type) {
		case actions.AddressStep:
			if r := held[a.Prefix.Addr()]; r != nil {
				d.errorf(g.steps[i].get("address").at, fmt.Sprintf("%s is a virtual address", a.Prefix.Addr()),
					"virtual_router %q holds it already. Remove it there or here; addresses_when = \"ready\" lets it come up after all steps.", r.block)
			}
		case actions.RouteStep:
			what := fmt.Sprintf("route %s table %d metric %d", a.Route.Dst, a.Route.Table, a.Route.Metric)
			if before, again := d.others[what]; again && a.Route.Dst.IsValid() {
				d.errorf(g.steps[i].header, "Given twice", "%s is at %s already.", what, place(before))
			}
		case actions.OCF:
			params := g.steps[i].get("params")
			for k, o := range params.options {
				ip, err := netip.ParseAddr(o.Value)
				if r := held[ip]; err == nil && o.Name == "ip" && strings.HasPrefix(a.Type, "IPaddr") && r != nil {
					d.errorf(params.each[k], fmt.Sprintf("%s is a virtual address", ip), "virtual_router %q holds it already. Remove this step.", r.block)
				}
			}
		}
	}
}
