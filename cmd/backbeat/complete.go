package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/backbeat-ha/backbeat/daemon/control"
)

// names says which names a verb takes.
type names uint8

const (
	routersOnly names = iota
	routersAndGroups
	groupsOnly
	groupsAndSteps // "site", "site/drbd.wwwdata"
)

// completeNames offers names that the running daemon knows: for the first
// argument, or, with many, for each, those that are not there yet.
func completeNames(path *string, what names, many bool) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 && !many {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		st, err := control.Dial(*path).Status(c.Context(), "")
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		list := slices.DeleteFunc(namesIn(st, what), func(n string) bool { return slices.Contains(args, n) })
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// namesIn are the names of a status, each once.
func namesIn(st *control.Status, what names) []string {
	var list []string
	add := func(n string) {
		if !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	if what == routersOnly || what == routersAndGroups {
		for i := range st.Routers {
			add(st.Routers[i].Name)
		}
	}
	if what == routersOnly {
		return list
	}
	for i := range st.Services {
		s := &st.Services[i]
		add(s.Name)
		for k := range s.Steps {
			if what == groupsAndSteps {
				add(s.Name + "/" + s.Steps[k].Name)
			}
		}
	}
	return list
}
