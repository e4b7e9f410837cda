package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/report"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
)

func newRule(p *process) *cobra.Command {
	c := &cobra.Command{
		Use:   "rule",
		Short: "Check, explain, measure, list and update Sigma rules",
		Args:  cobra.ArbitraryArgs,
		RunE:  unknownVerb,
	}
	c.AddCommand(newRuleLint(p), newRuleExplain(p), newRuleBench(p), newRuleList(p), newRuleTest(p), newRuleNew(p),
		newRuleImport(p), newRuleUpdate(p), newRuleRollback(p), newRuleVerify(p), newRuleOverrides(p), newRuleRelease(p))
	return c
}

func newRuleList(p *process) *cobra.Command {
	var f contentFlags
	var output string
	c := &cobra.Command{
		Use:     "list [PATH...]",
		Example: "  tiercel rule list\n  tiercel rule list sigma/rules --profile core --output json",
		Short:   "List rules, the shipped ones or those of files and folders",
		RunE: func(_ *cobra.Command, args []string) error {
			f.rules = args
			res, err := f.load(p.world)
			if err != nil {
				return err
			}
			set, err := f.packSet(p.world)
			if err != nil {
				return err
			}
			switch output {
			case "text":
				return listText(p.stdout, res, set)
			case "json":
				return listJSON(p.stdout, res, set)
			}
			return usageError("--output %q is unknown; choose text or json", output)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "`format`: text or json")
	c.Flags().StringVar(&f.values, "values", "", "YAML `file` with lists for placeholders")
	c.Flags().StringArrayVar(&f.packs, "packs", nil, "`path` of a file or folder of further packs; repeatable")
	f.site.register(c)
	c.Flags().StringSliceVar(&f.statuses, "status", nil, "rule `statuses` to enable (default stable,test,experimental)")
	f.registerExperimental(c)
	return c
}

func ruleLogsource(l rule.Logsource) string {
	return l.Product + "/" + l.Category + "/" + l.Service
}

// listText marks the rules that set has no view for: they can never match.
func listText(out io.Writer, res *rulefile.Result, set *pack.Set) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tLEVEL\tLOGSOURCE\tTITLE")
	for _, r := range res.Set.Rules {
		note := ""
		if !fed(set, r) {
			note = " (no pack feeds its log source)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s%s\n", r.ID, r.Level, ruleLogsource(r.Logsource), report.Clean(r.Title, 200), note)
	}
	for _, c := range res.Set.Correlations {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.ID, c.Level, c.Type, report.Clean(c.Title, 200))
	}
	for _, d := range res.Set.Disabled {
		fmt.Fprintf(w, "%s\t-\t%s\t%s (disabled: %s)\n", d.ID, d.Kind, report.Clean(d.Title, 200), d.Reason)
	}
	return w.Flush()
}

// listed is a rule as rule list --output json prints it, one a line.
type listed struct {
	ID        string   `json:"id"`
	Title     string   `json:"title"`
	Level     string   `json:"level,omitempty"`
	Status    string   `json:"status,omitempty"`
	Logsource string   `json:"logsource,omitempty"`
	Type      string   `json:"type,omitempty"` // of a correlation
	Tags      []string `json:"tags,omitempty"`
	Author    string   `json:"author,omitempty"`
	License   string   `json:"license,omitempty"`
	File      string   `json:"file"`
	Unfed     bool     `json:"unfed,omitempty"` // no pack feeds its log source
	Disabled  string   `json:"disabled,omitempty"`
}

func listJSON(out io.Writer, res *rulefile.Result, set *pack.Set) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	for _, r := range res.Set.Rules {
		if err := e.Encode(listed{
			ID: r.ID, Title: r.Title, Level: r.Level.String(), Status: r.Status, Logsource: ruleLogsource(r.Logsource),
			Tags: r.Tags, Author: r.Author, License: r.License, File: r.File, Unfed: !fed(set, r),
		}); err != nil {
			return err
		}
	}
	for _, c := range res.Set.Correlations {
		if err := e.Encode(listed{
			ID: c.ID, Title: c.Title, Level: c.Level.String(), Status: c.Status, Type: string(c.Type),
			Tags: c.Tags, Author: c.Author, File: c.File,
		}); err != nil {
			return err
		}
	}
	for _, d := range res.Set.Disabled {
		if err := e.Encode(listed{ID: d.ID, Title: d.Title, File: d.File, Disabled: string(d.Reason)}); err != nil {
			return err
		}
	}
	return nil
}
