package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/api"
	"github.com/tiercel-io/tiercel/report"
)

func newRuleRelease(p *process) *cobra.Command {
	var connection clientFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "release [ID]",
		Short: "List the rules that a server took out for their cost, or let one run again",
		Long: "A server takes a rule out that costs more than content.cost_share or content.cost_p99 allow. Without an\n" +
			"id those rules are listed with the reason. With one the rule runs again from now on; it is measured anew,\n" +
			"and taken out again when it still costs too much. A rule that is changed runs again by itself.",
		Example: "  tiercel rule release\n  tiercel rule release 5f0d9a0e-3c1b-4a53-9d4b-5f1f6f0f7a11",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				if err := checkID(args[0]); err != nil {
					return err
				}
				if asJSON {
					return usageError("--json is for the list of rules")
				}
			}
			server, err := connection.connect(p)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				var all api.RuleFiguresList
				if err := server.ask(c.Context(), http.MethodGet, "/rules/stats", url.Values{"by": {"cost"}, "limit": {"10000"}}, nil, &all); err != nil {
					return err
				}
				w := bufio.NewWriter(p.stdout)
				if err := listHeld(w, all.Rules, asJSON); err != nil {
					return outputError(err)
				}
				if err := w.Flush(); err != nil {
					return outputError(err)
				}
				return nil
			}
			var done api.Reloaded
			if err := server.ask(c.Context(), http.MethodPost, "/rules/"+args[0]+"/release", nil, nil, &done); err != nil {
				return err
			}
			if !done.Changed {
				return &codedError{exitFailed, fmt.Errorf("the rule was not released: %s", report.Clean(firstOf(strings.Join(done.Problems, "; "), "the content is as it was"), 500))}
			}
			_, err = fmt.Fprintf(p.stdout, "%s runs again, one of %s\n", args[0], plural(done.Rules, "rule"))
			if err != nil {
				return outputError(err)
			}
			return nil
		},
	}
	connection.register(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return c
}

// listHeld prints the rules that are taken out.
func listHeld(w io.Writer, rules []api.RuleFigures, asJSON bool) error {
	shown := 0
	for i := range rules {
		r := &rules[i]
		if r.State != stateHeld {
			continue
		}
		shown++
		if asJSON {
			if err := json.NewEncoder(w).Encode(r); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%s  %s (%s)\n    since %s: %s\n", report.Clean(r.ID, 200), report.Clean(r.Title, 200), report.Clean(r.Level, 13), r.Since.UTC().Format(timeLayout), report.Clean(r.Why, 500))
		if len(r.Blind) > 0 {
			fmt.Fprintf(w, "    blind to it: %s\n", report.Clean(strings.Join(r.Blind, ", "), 2000))
		}
	}
	if !asJSON {
		_, err := fmt.Fprintf(w, "%s taken out for the cost\n", plural(shown, "rule"))
		return err
	}
	return nil
}
