package main

import (
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/report"
)

func newRuleBench(p *process) *cobra.Command {
	var f scanFlags
	var top int
	c := &cobra.Command{
		Use:     "bench PATH...",
		Example: "  tiercel rule bench /var/log --rules sigma/rules --top 10",
		Short:   "Measure what each rule costs on logs",
		Long: "Bench scans the logs and times each evaluation of a rule's condition. A rule is evaluated\n" +
			"only on records that bear one of the texts it needs, so a cost is that of records that\n" +
			"come close. Reading, routing and the index that all rules share are not in it.",
		Args: somePaths("rule bench", "files or folders of logs"),
		RunE: func(c *cobra.Command, args []string) error {
			config, engine, _, err := f.prepare(p, true)
			if err != nil {
				return err
			}
			config.Paths = args
			config.Match = func(*pipeline.Match) error { return nil }
			problems := newProblemLog(p, nil)
			config.Problem = problems.add
			stats, err := pipeline.Scan(c.Context(), config)
			problems.end()
			if err != nil {
				return &codedError{exitInterrupted, fmt.Errorf("interrupted: %w", err)}
			}
			if err := printCosts(p, &stats, engine, top); err != nil {
				return err
			}
			if stats.Problems > 0 {
				return &codedError{exitInput, nil}
			}
			return nil
		},
	}
	f.register(c)
	c.Flags().IntVar(&top, "top", 20, "how many rules to print, the most expensive first; 0 prints all")
	return c
}

func printCosts(p *process, stats *pipeline.Stats, engine *pipeline.Sigma, top int) error {
	costs := engine.Costs()
	var total detect.Stats
	order := make([]int, 0, len(costs))
	for i, c := range costs {
		total.Evaluated += c.Evaluated
		total.Matched += c.Matched
		total.Nanos += c.Nanos
		if c.Evaluated > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case costs[a].Nanos > costs[b].Nanos:
			return -1
		case costs[a].Nanos < costs[b].Nanos:
			return 1
		}
		return 0
	})
	if top > 0 && len(order) > top {
		order = order[:top]
	}
	w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "TIME\tEVALUATED\tMATCHED\tNS/EVALUATION\t  RULE")
	for _, i := range order {
		c := costs[i]
		fmt.Fprintf(w, "%.3f ms\t%d\t%d\t%d\t  %s\n", float64(c.Nanos)/1e6, c.Evaluated, c.Matched, c.Nanos/int64(c.Evaluated), report.Clean(engine.Rules()[i].Title, 100))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.stdout, "\n%d rules on %d records in %.2f s: %.3f ms in %d evaluations, %d matched\n",
		len(costs), stats.Records, stats.Elapsed.Seconds(), float64(total.Nanos)/1e6, total.Evaluated, total.Matched)
	return err
}
