package agent

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

const (
	// rscTmp is where agents keep pid and state files: gone after a reboot, kept
	// when the daemon restarts (HA_RSCTMP; Debian makes it with tmpfiles.d).
	rscTmp = "/run/resource-agents"
	// exitReason is how an agent marks on standard error what an operator should read.
	exitReason = "ocf-exit-reason:"
	// featureSet is the version of Pacemaker's interface that agents are told: 2.1.x,
	// which says Promoted and not Master.
	featureSet = "3.19.0"
	// someInterval is the interval of a monitor whose own is not known: it must not
	// be 0, which would make a probe of it.
	someInterval = 10 * time.Second
)

// instance is OCF_RESOURCE_INSTANCE: unique, and fit for the names of files that
// agents make of it. A colon would say that it is one of several clones.
func instance(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		case r == '/':
			return '.'
		default:
			return '_'
		}
	}, name)
}

// ocfEnv is the environment of one action (services.md 2.1), beside the clean one
// of package run. extra are the variables of a notify.
func (h *Hands) ocfEnv(ctx context.Context, job *actions.Job, a actions.OCF, action string, extra ...string) []string {
	env := []string{
		"LC_ALL=C",
		"OCF_ROOT=" + a.Root,
		"OCF_RA_VERSION_MAJOR=1", "OCF_RA_VERSION_MINOR=1",
		"OCF_RESOURCE_INSTANCE=" + instance(job.Name),
		"OCF_RESOURCE_TYPE=" + a.Type, "OCF_RESOURCE_PROVIDER=" + a.Provider,
		"OCF_EXIT_REASON_PREFIX=" + exitReason,
		"HA_RSCTMP=" + rscTmp,
		"OCF_RESKEY_crm_feature_set=" + featureSet,
		"OCF_RESKEY_CRM_meta_name=" + action,
		"OCF_RESKEY_CRM_meta_on_node=" + job.Node,
		"OCF_RESKEY_CRM_meta_timeout=" + milliseconds(left(ctx, time.Second, someTimeout)),
		"OCF_RESKEY_CRM_meta_interval=" + milliseconds(intervalOf(job, action)),
	}
	if action == "monitor" && a.CheckLevel > 0 && job.Monitor {
		env = append(env, "OCF_CHECK_LEVEL="+strconv.Itoa(a.CheckLevel))
	} else if action == "monitor" {
		env = append(env, "OCF_CHECK_LEVEL=0")
	}
	for _, p := range a.Params {
		env = append(env, "OCF_RESKEY_"+p.Name+"="+p.Value)
	}
	if a.Promotable {
		env = append(env, h.promotableEnv(job)...)
	}
	return append(env, extra...)
}

// intervalOf tells agents a probe (0) from a monitor (ocf_is_probe): they answer a
// probe more softly. The Qualify of a promotable agent is a monitor, because agents
// publish their score in those only.
func intervalOf(job *actions.Job, action string) time.Duration {
	switch {
	case action != "monitor" || !job.Monitor && job.Verb != actions.Qualify:
		return 0
	case job.Interval > 0:
		return job.Interval
	default:
		return someInterval
	}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// promotableEnv is what Pacemaker tells clones that can be promoted, of which one
// is: only for those, since its presence changes what agents do (ocf_is_clone).
func (h *Hands) promotableEnv(job *actions.Job) []string {
	dir := h.ocfDir()
	return []string{
		"PATH=" + filepath.Join(dir, "bin") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HA_SBIN_DIR=" + filepath.Join(dir, "bin"), // ocf-shellfuncs calls crm_attribute by its path
		"BACKBEAT_SCORE=" + h.scoreFile(job),
		"BACKBEAT_ATTRIBUTES=" + filepath.Join(dir, "attributes"),
		"OCF_RESKEY_CRM_meta_promotable=true", "OCF_RESKEY_CRM_meta_notify=true", "OCF_RESKEY_CRM_meta_globally_unique=false",
		"OCF_RESKEY_CRM_meta_clone=0", "OCF_RESKEY_CRM_meta_clone_max=2", "OCF_RESKEY_CRM_meta_clone_node_max=1",
		"OCF_RESKEY_CRM_meta_master_max=1", "OCF_RESKEY_CRM_meta_master_node_max=1",
		"OCF_RESKEY_CRM_meta_promoted_max=1", "OCF_RESKEY_CRM_meta_promoted_node_max=1",
	}
}

// notifyEnv is what a promotable agent is told before and after something
// happens. Pacemaker knows all nodes; we tell of this one.
func notifyEnv(job *actions.Job, when, operation string, promoted bool) []string {
	env := []string{
		"OCF_RESKEY_CRM_meta_notify_type=" + when,
		"OCF_RESKEY_CRM_meta_notify_operation=" + operation,
	}
	here := func(list string, is bool) {
		resource, node := "", ""
		if is {
			resource, node = instance(job.Name), job.Node
		}
		env = append(env, "OCF_RESKEY_CRM_meta_notify_"+list+"_resource="+resource, "OCF_RESKEY_CRM_meta_notify_"+list+"_uname="+node)
	}
	for _, op := range []string{"start", "stop", "promote", "demote"} {
		here(op, op == operation)
	}
	here("active", operation != "start" || when == "post")
	here("inactive", operation == "start" && when == "pre")
	for _, name := range []string{"master", "promoted"} { // Pacemaker's old and new word
		here(name, promoted)
	}
	for _, name := range []string{"slave", "unpromoted"} {
		here(name, !promoted && operation != "start")
	}
	return append(env, "OCF_RESKEY_CRM_meta_notify_available_uname="+job.Node,
		"OCF_RESKEY_CRM_meta_notify_all_uname="+job.Node, "OCF_RESKEY_CRM_meta_notify_all_hosts="+job.Node)
}

// stubs are the stand-ins for Pacemaker's commands.
//
//go:embed stub/crm_attribute stub/crm_node
var stubs embed.FS

func (h *Hands) ocfDir() string { return filepath.Join(h.Runtime, "ocf") }

// ready makes the directories that agents count on.
func (h *Hands) ready(a actions.OCF) error {
	if _, err := os.Stat(rscTmp); errors.Is(err, fs.ErrNotExist) {
		if err := os.Mkdir(rscTmp, 0o755); err != nil {
			return fmt.Errorf("make the directory of agents: %w", err)
		}
		_ = os.Chmod(rscTmp, 0o755|fs.ModeSticky)
	}
	if !a.Promotable {
		return nil
	}
	for _, dir := range []string{"bin", "attributes", "scores"} {
		if err := os.MkdirAll(filepath.Join(h.ocfDir(), dir), 0o755); err != nil {
			return fmt.Errorf("make the stand-ins for Pacemaker's commands: %w", err)
		}
	}
	for name, source := range map[string]string{"crm_attribute": "crm_attribute", "crm_master": "crm_attribute",
		"attrd_updater": "crm_attribute", "crm_node": "crm_node"} {
		if err := h.writeStub(name, source); err != nil {
			return fmt.Errorf("make the stand-ins for Pacemaker's commands: %w", err)
		}
	}
	return nil
}

func (h *Hands) writeStub(name, source string) error {
	text, err := stubs.ReadFile("stub/" + source)
	if err != nil {
		return err
	}
	path := filepath.Join(h.ocfDir(), "bin", name)
	if have, err := os.ReadFile(path); err == nil && string(have) == string(text) {
		return nil
	}
	// Renamed into place: another step's agent may be running the old one.
	temp, err := os.CreateTemp(filepath.Dir(path), name+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(text)
	if err := errors.Join(err, temp.Chmod(0o755), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

func (h *Hands) scoreFile(job *actions.Job) string {
	return filepath.Join(h.ocfDir(), "scores", instance(job.Name))
}

// infinity is Pacemaker's largest score.
const infinity = 1000000

// score reads the promotion score that an agent has published; known is false if
// it has not.
func (h *Hands) score(job *actions.Job) (n int, known bool) {
	b, err := os.ReadFile(h.scoreFile(job))
	if err != nil {
		return 0, false
	}
	switch text := strings.TrimSpace(string(b)); text {
	case "INFINITY", "+INFINITY":
		return infinity, true
	case "-INFINITY":
		return -infinity, true
	default:
		n, err = strconv.Atoi(text)
		return n, err == nil
	}
}
