package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

// followTime is how long a verb follows what it has begun, unless told otherwise.
const followTime = 2 * time.Minute

// request is what the flags of a verb that changes something come to.
type request struct {
	control *string
	output  *format
	noWait  bool
	timeout time.Duration
	reason  string
	until   time.Duration // --for
}

// requestFlags adds what all verbs have that change something.
func requestFlags(c *cobra.Command) *request {
	r := &request{control: controlFlag(c), output: outputFlag(c)}
	c.Flags().BoolVar(&r.noWait, "no-wait", false, "say what has begun and do not follow it")
	c.Flags().DurationVar(&r.timeout, "timeout", followTime, "how long to follow it; what has begun goes on all the same")
	return r
}

// orderFlags adds what makes a standing order.
func (r *request) orderFlags(c *cobra.Command) {
	c.Flags().StringVar(&r.reason, "reason", "", "why, for whoever looks at the status")
	c.Flags().DurationVar(&r.until, "for", 0, "after this `time` (90m, 12h) it ends by itself")
}

// command makes the request of one command.
func (r *request) command(verb daemon.CommandVerb, name string) control.CommandRequest {
	return control.CommandRequest{Verb: verb, Name: name, Reason: r.reason, For: r.until.Seconds()}
}

// check finds what cannot be meant.
func (r *request) check() error {
	switch {
	case r.timeout <= 0:
		return errors.New("--timeout must be longer than nothing; --no-wait does not follow at all")
	case r.until < 0:
		return errors.New("--for must not be negative")
	}
	return nil
}

// orderVerbs are standby and online.
func (t *tool) orderVerbs() []*cobra.Command {
	standby := &cobra.Command{
		Use:   "standby [NAME...]",
		Short: "Leave, and stay away until online",
		Long: `Take this host out: of everything, or of the virtual routers or service groups
NAME. What is Active here steps aside: first its service group comes down, then
another host takes over within its Skew_Time, and no packet is lost. It stays so,
across restarts too, until backbeat online or the end of --for.`,
	}
	online := &cobra.Command{
		Use:   "online [NAME...]",
		Short: "End standby: take part again",
		Long: `Let this host take part again: everything, or the virtual routers or service
groups NAME. Whether it takes over then is for priority and preempt to decide.`,
	}
	for _, v := range []struct {
		c    *cobra.Command
		verb daemon.CommandVerb
	}{{standby, daemon.CommandStandby}, {online, daemon.CommandOnline}} {
		r := requestFlags(v.c)
		if v.c == standby {
			r.orderFlags(standby)
		}
		v.c.ValidArgsFunction = completeNames(r.control, routersAndGroups, true)
		v.c.RunE = func(c *cobra.Command, names []string) error {
			if len(names) == 0 {
				names = []string{""}
			}
			var list []control.CommandRequest
			for i, n := range names {
				if !slices.Contains(names[:i], n) {
					list = append(list, r.command(v.verb, n))
				}
			}
			return t.carryOut(c.Context(), r, list)
		}
	}
	return []*cobra.Command{standby, online}
}

// moveVerbs are move and unmove.
func (t *tool) moveVerbs() []*cobra.Command {
	move := &cobra.Command{
		Use:   "move NAME",
		Short: "Hand over to another host, or take over from it",
		Long: `Let the virtual router or service group NAME go to whoever takes over, once: this
leaves nothing behind but that this host does not take it back while the other one
is well. --pin makes it a standing order: this host serves only if there is no
other. --here takes over from whoever is Active.

With a service group it is refused if, as far as is known, nobody is there to take
over. Whether the other host could start the group is not known here; --here, said
there, is refused with the reason if it cannot.`,
		Args: exactlyOne,
	}
	r := requestFlags(move)
	r.orderFlags(move)
	f := move.Flags()
	pin := f.Bool("pin", false, "stay away until unmove, or the end of --for")
	here := f.Bool("here", false, "take over instead")
	force := f.Bool("force", false, "also if nobody else was heard, or this host is degraded")
	move.ValidArgsFunction = completeNames(r.control, routersAndGroups, false)
	move.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case *pin && *here:
			return errors.New("--pin keeps it away from this host, and --here brings it here: choose one")
		case r.until > 0 && !*pin:
			return errors.New("--for is the end of a --pin; a move without it leaves nothing that could end")
		}
		q := r.command(daemon.CommandMove, args[0])
		q.Pin, q.Here, q.Force = *pin, *here, *force
		return t.carryOut(c.Context(), r, []control.CommandRequest{q})
	}
	unmove := t.namedVerb(daemon.CommandUnmove, routersAndGroups, &cobra.Command{
		Use:   "unmove NAME",
		Short: "Take back a move: priorities decide again",
		Long: `Take back what move has left of the virtual router or service group NAME: a pin,
and that this host does not take back what it gave away. Priority and preempt
decide again.`,
		Args: exactlyOne,
	})
	return []*cobra.Command{move, unmove}
}

// clearVerb forgets failures.
func (t *tool) clearVerb() *cobra.Command {
	return t.namedVerb(daemon.CommandClear, routersAndGroups, &cobra.Command{
		Use:   "clear NAME",
		Short: "Forget failures: end a hold-off, try a stuck step again",
		Long: `Forget the failures of the service group NAME, or of the group of the virtual
router NAME: a hold-off ends at once, restarts are counted from zero, and a step
that is stuck is brought down again.`,
		Args: exactlyOne,
	})
}

// namedVerb completes a verb that needs nothing but a name.
func (t *tool) namedVerb(verb daemon.CommandVerb, what names, c *cobra.Command) *cobra.Command {
	r := requestFlags(c)
	c.ValidArgsFunction = completeNames(r.control, what, false)
	c.RunE = func(c *cobra.Command, args []string) error {
		name := ""
		if len(args) > 0 {
			name = args[0]
		}
		return t.carryOut(c.Context(), r, []control.CommandRequest{r.command(verb, name)})
	}
	return c
}

// groupVerb is group stop, start and restart.
func (t *tool) groupVerb() *cobra.Command {
	group := &cobra.Command{
		Use:   "group",
		Short: "Stop, start or restart a service group or its upper steps",
		Long: `Stop, start or restart the steps of a service group, all of them or a STEP and what
stands on it (site/apache). The election goes on, and the virtual router stays where it is.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("there is no group %q; there are stop, start and restart", args[0])
			}
			return errors.New("say what to do with the group: stop, start or restart")
		},
	}
	for _, v := range []struct {
		verb             daemon.CommandVerb
		use, short, long string
	}{
		{daemon.CommandGroupStop, "stop GROUP[/STEP]", "Bring a group, or STEP and what stands on it, down and keep it there",
			`Bring the service group down, or STEP and what stands on it, and keep it down until
group start. The virtual router stays where it is. --unmanage switches maintenance
on as soon as the steps are down, so that nothing is touched while you work.`},
		{daemon.CommandGroupStart, "start GROUP", "Let all steps be up again", "End what group stop has begun: all steps may be up again."},
		{daemon.CommandGroupRestart, "restart GROUP[/STEP]", "Bring a group, or STEP and what stands on it, down and up again",
			`Bring the service group down and up again, or STEP and what stands on it. The
virtual router stays where it is, and nothing is counted as a failure.`},
	} {
		c := &cobra.Command{Use: v.use, Short: v.short, Long: v.long, Args: exactlyOne}
		r := requestFlags(c)
		unmanage := false
		if v.verb == daemon.CommandGroupStop {
			r.orderFlags(c)
			c.Flags().BoolVar(&unmanage, "unmanage", false, "then touch nothing until maintenance off, or the end of --for")
		}
		c.ValidArgsFunction = completeNames(r.control, groupsAndSteps, false)
		c.RunE = func(c *cobra.Command, args []string) error {
			if r.until > 0 && !unmanage {
				return errors.New("--for is the end of the maintenance that --unmanage begins")
			}
			name, step, _ := strings.Cut(args[0], "/")
			q := r.command(v.verb, name)
			q.Step, q.Unmanage = step, unmanage
			return t.carryOut(c.Context(), r, []control.CommandRequest{q})
		}
		group.AddCommand(c)
	}
	return group
}

// maintenanceVerb is maintenance on and off.
func (t *tool) maintenanceVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "maintenance on|off [GROUP]",
		Short: "Take the hands off service groups, and look at them only",
		Long: `Look at the steps of the service group GROUP, or of all, and do not touch them: they
can be stopped, changed and started by hand. The election goes on. After off they
are looked at and brought to where they should be.`,
	}
	r := requestFlags(c)
	r.orderFlags(c)
	byName := completeNames(r.control, groupsOnly, false)
	c.ValidArgsFunction = func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return []string{"on", "off"}, cobra.ShellCompDirectiveNoFileComp
		}
		return byName(c, args[1:], typed)
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		verbs := map[string]daemon.CommandVerb{"on": daemon.CommandMaintenanceOn, "off": daemon.CommandMaintenanceOff}
		switch {
		case len(args) == 0 || verbs[args[0]] == "":
			return errors.New("say on or off: backbeat maintenance on [GROUP]")
		case len(args) > 2:
			return fmt.Errorf("maintenance takes one GROUP at most, and got %d", len(args)-1)
		case args[0] == "off" && r.until > 0:
			return errors.New("--for is for maintenance on")
		}
		name := ""
		if len(args) == 2 {
			name = args[1]
		}
		return t.carryOut(c.Context(), r, []control.CommandRequest{r.command(verbs[args[0]], name)})
	}
	return c
}

// fenceVerb takes a human's word that the other host is off.
func (t *tool) fenceVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "fence --confirm [GROUP]",
		Short: "Say that the other host is off for certain",
		Long: `Fencing is done by backbeat itself, before it touches exclusive data that a silent
host may still have. Where no device can confirm that the other host is off, the
service group GROUP waits in the state "claiming". --confirm is your word for it:
the group goes on. If the other host is alive after all, both write the same data.`,
		Args: atMostOne,
	}
	r := requestFlags(c)
	confirm := c.Flags().Bool("confirm", false, "the other host is off for certain: switched off, or without power")
	yes := c.Flags().Bool("yes", false, "do not ask")
	c.ValidArgsFunction = completeNames(r.control, groupsOnly, false)
	c.RunE = func(c *cobra.Command, args []string) error {
		if !*confirm {
			return errors.New("backbeat fences by itself when it must; to say that the other host is off for certain: backbeat fence --confirm [GROUP]")
		}
		name := ""
		if len(args) == 1 {
			name = args[0]
		}
		if !*yes {
			if err := t.reallyOff(c.Context(), *r.control, name); err != nil {
				return err
			}
		}
		return t.carryOut(c.Context(), r, []control.CommandRequest{r.command(daemon.CommandFenceConfirm, name)})
	}
	return c
}

// reallyOff asks before a word is taken that can cost the data.
func (t *tool) reallyOff(ctx context.Context, path, name string) error {
	if !t.asks {
		return errors.New("this is no terminal to ask on: look whether the other host is off, then say --yes")
	}
	ctx, cancel := context.WithTimeout(ctx, clientPatience)
	defer cancel()
	st, err := control.Dial(path).Status(ctx, name)
	if err != nil {
		return failed(err)
	}
	for i := range st.Services {
		s := &st.Services[i]
		if s.ClaimWaits == "" || s.Claim != "" {
			continue
		}
		fmt.Fprintf(t.err, "%s waits: %s\nIs %s really off? Unreachable is not off: if it runs, both hosts will write the same data.\nType yes if it is off: ",
			clean(s.Name), clean(s.ClaimWaits), otherHost(st, s))
		line, _ := bufio.NewReader(t.in).ReadString('\n')
		if strings.TrimSpace(line) != "yes" {
			return failure{errors.New("nothing was done")}
		}
		return nil
	}
	return nil // the daemon says why there is nothing to confirm
}

// otherHost names who was Active before, as well as that is known.
func otherHost(st *control.Status, s *daemon.ServiceStatus) string {
	for i := range st.Routers {
		if r := &st.Routers[i]; slices.Contains(s.Follows, r.Name) && len(r.Peers) > 0 {
			return clean(r.Peers[0].Address)
		}
	}
	return "the other host"
}

// exactlyOne is cobra.ExactArgs(1) in plain words.
func exactlyOne(c *cobra.Command, args []string) error {
	what := "NAME"
	if _, after, ok := strings.Cut(c.Use, " "); ok {
		what = after
	}
	if len(args) != 1 {
		return fmt.Errorf("%s takes one %s, and got %d", c.Name(), what, len(args))
	}
	return nil
}
