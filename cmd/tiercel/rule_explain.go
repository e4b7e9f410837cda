package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/report"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
)

func newRuleExplain(p *process) *cobra.Command {
	var f scanFlags
	var eventAt, whyNotCase string
	c := &cobra.Command{
		Use:   "explain RULE",
		Short: "Say in words what a rule asks, and why it matches an event or not",
		Long: "RULE is a rule file, or the id or title of a rule of --rules or the shipped ones.\n\n" +
			"With --event FILE:N the rule is evaluated on the N-th record of the file (from 1), and every\n" +
			"question is printed with its answer, the value found and the value of the rule that decided.\n" +
			"Without N it is the first record that matches, or else the first that the rule asks for.\n\n" +
			"With --why-not CASE the cases beside the rule with that in their names are run, and what they\n" +
			"expect and did not get is explained: the first predicate, field, group, window or threshold\n" +
			"that stopped it.",
		Example: "  tiercel rule explain ./my-rule.yml\n  tiercel rule explain 0c37b812 --event security.evtx:42\n  tiercel rule explain ./my-rule --why-not 'ten failures'",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("rule explain needs one rule: a file, an id or a title\nRun 'tiercel rule list' for the shipped ones")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if whyNotCase != "" {
				return whyNot(p, &f.content, args[0], whyNotCase)
			}
			return explain(c.Context(), p, &f, args[0], eventAt)
		},
	}
	f.register(c)
	c.Flags().StringVar(&whyNotCase, "why-not", "", "explain what the `case` of the rule expects and did not get")
	c.Flags().StringVarP(&eventAt, "event", "e", "", "`FILE[:N]`: also explain how the rule comes out on this record")
	return c
}

// findRule loads the content and picks the rule that name means.
func findRule(p *process, f *contentFlags, name string) (*rule.Rule, error) {
	if _, err := p.world.FS.Stat(name); err == nil && len(f.rules) == 0 {
		f.rules = []string{name}
		res, err := f.load(p.world)
		if err != nil {
			return nil, err
		}
		switch {
		case len(res.Set.Rules) == 1:
			return res.Set.Rules[0], nil
		case len(res.Set.Rules) == 0:
			return nil, noRules(res)
		}
		return nil, usageError("%s holds %d rules; name one by --rules %s and its id or title", name, len(res.Set.Rules), name)
	}
	res, err := f.load(p.world)
	if err != nil {
		return nil, err
	}
	found := pick(res, name)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		for _, d := range res.Set.Disabled {
			if d.ID == name {
				return nil, usageError("rule %s is disabled: %s %s", name, d.Reason, strings.Join(d.NeedsValues, ", "))
			}
		}
		return nil, usageError("no rule has the id or title %q, and there is no such file; see 'tiercel rule list'", name)
	}
	return nil, usageError("%d rules are called %q; use the whole id", len(found), name)
}

// pick returns the rules with that id or title, or whose id begins so.
func pick(res *rulefile.Result, name string) []*rule.Rule {
	var exact, prefixed []*rule.Rule
	for _, r := range res.Set.Rules {
		switch {
		case strings.EqualFold(r.ID, name) || strings.EqualFold(r.Title, name) || r.Name != "" && r.Name == name:
			exact = append(exact, r)
		case len(name) >= 4 && strings.HasPrefix(r.ID, strings.ToLower(name)):
			prefixed = append(prefixed, r)
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return prefixed
}

func explain(ctx context.Context, p *process, f *scanFlags, name, eventAt string) error {
	r, err := findRule(p, &f.content, name)
	if err != nil {
		return err
	}
	w := p.stdout
	writeRule(w, r)
	if eventAt == "" {
		return nil
	}
	path, number := eventAt, 0
	if _, err := p.world.FS.Stat(path); err != nil {
		if at := strings.LastIndexByte(eventAt, ':'); at > 0 {
			if n, convErr := strconv.Atoi(eventAt[at+1:]); convErr == nil && n > 0 {
				path, number = eventAt[:at], n
			}
		}
	}
	set, err := f.content.packSet(p.world)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e := &explainer{Sigma: pipeline.NewSigma([]*rule.Rule{r}, set, nil), number: number, found: cancel}
	problems := newProblemLog(p, nil)
	stats, err := pipeline.Scan(ctx, pipeline.Config{
		Env: p.world, Engine: e, Paths: []string{path}, Stdin: p.stdin, Formats: allFormats(), Format: f.format,
		Jobs: 1, Match: func(*pipeline.Match) error { return nil }, Problem: problems.add,
	})
	problems.end()
	if err != nil && !(e.exact && errors.Is(err, context.Canceled)) {
		return err
	}
	switch {
	case e.best == nil && number > 0:
		return &codedError{exitInput, fmt.Errorf("%s has no record %d: %d were read", path, number, e.seen)}
	case e.best == nil:
		return &codedError{exitInput, fmt.Errorf("%s has no record that could be read", path)}
	}
	writeOutcome(w, e.best)
	if stats.Problems > 0 && !e.exact {
		return &codedError{exitInput, nil}
	}
	return nil
}

// explainer is an engine of one rule that explains the record asked for, and
// stops the scan when it has.
type explainer struct {
	*pipeline.Sigma
	number int // 0: the first that matches
	found  func()
	seen   int
	best   *explained
	exact  bool // best is what was asked for
}

// explained is how the rule came out on one record.
type explained struct {
	number int
	where  string
	pack   string
	views  []string // of the record
	view   string
	traces []*detect.Trace
	holds  bool
}

// Evaluator implements pipeline.Engine; the scan has one job, so records come
// in their order.
func (e *explainer) Evaluator() pipeline.Evaluator {
	return &explainingEvaluator{SigmaEvaluator: e.NewEvaluator(), e: e}
}

type explainingEvaluator struct {
	*pipeline.SigmaEvaluator
	e *explainer
}

func (v *explainingEvaluator) Route(rec *event.Record) pipeline.Routed {
	routed := v.SigmaEvaluator.Route(rec)
	e := v.e
	e.seen++
	if e.exact || e.number > 0 && e.seen != e.number {
		return pipeline.Routed{}
	}
	x := &explained{number: e.seen, where: fmt.Sprintf("record %d", e.seen)}
	if rec.Line > 0 {
		x.where += fmt.Sprintf(" (line %d)", rec.Line)
	}
	if routed.Claimed {
		x.pack, x.views = v.Pack().Name, v.ViewNames()
		x.view, x.traces = v.Explain(0)
		for _, t := range x.traces {
			x.holds = x.holds || t.Holds
		}
	}
	switch {
	case e.number > 0 || x.holds:
		e.best, e.exact = x, true
		e.found()
	case e.best == nil || e.best.traces == nil && x.traces != nil:
		e.best = x
	}
	return pipeline.Routed{}
}

func writeRule(w io.Writer, r *rule.Rule) {
	fmt.Fprintf(w, "%s\n", report.Clean(r.Title, 500))
	fmt.Fprintf(w, "  %s, %s", r.Level, r.ID)
	if r.Author != "" {
		fmt.Fprintf(w, ", by %s", report.Clean(r.Author, 500))
	}
	if r.License != "" {
		fmt.Fprintf(w, ", %s", report.Clean(r.License, 100))
	}
	fmt.Fprintf(w, "\n  %s\n\n", report.Clean(r.Position.String(), 500))
	var asks []string
	for _, a := range [][2]string{{"product", r.Logsource.Product}, {"category", r.Logsource.Category}, {"service", r.Logsource.Service}} {
		if a[1] != "" {
			asks = append(asks, a[0]+" "+a[1])
		}
	}
	fmt.Fprintf(w, "It is asked of events of %s, and matches when\n", report.Clean(strings.Join(asks, ", "), 500))
	if len(r.Conditions) > 1 {
		fmt.Fprintln(w, "  any of these conditions holds:")
	}
	for _, c := range r.Conditions {
		writeExpr(w, c, "  ")
	}
}

func writeOutcome(w io.Writer, x *explained) {
	fmt.Fprintln(w)
	switch {
	case x.pack == "":
		fmt.Fprintf(w, "MISS on %s: no pack knows what this record is, so no rule is asked of it\n", x.where)
		fmt.Fprintf(w, "  'tiercel pack list' shows the log sources that are known, --packs adds more, and\n  %s says what each is told by.\n", packsURL)
		return
	case x.traces == nil:
		fmt.Fprintf(w, "MISS on %s: it is of pack %s, and none of its views is the rule's logsource\n", x.where, x.pack)
		if len(x.views) > 0 {
			fmt.Fprintf(w, "  It is read as %s.\n", strings.Join(x.views, ", "))
		}
		return
	case x.holds:
		fmt.Fprintf(w, "MATCH on %s, read as %s (* marks what decided)\n", x.where, x.view)
	default:
		fmt.Fprintf(w, "MISS on %s, read as %s (* marks what decided)\n", x.where, x.view)
	}
	for _, t := range x.traces {
		writeTrace(w, t, 1, true)
	}
}

func writeTrace(w io.Writer, t *detect.Trace, depth int, decisive bool) {
	answer, mark := "no ", " "
	if t.Holds {
		answer = "yes"
	}
	decisive = decisive && t.Decisive || depth == 1
	if decisive {
		mark = "*"
	}
	indent := strings.Repeat("  ", depth)
	switch t.Op {
	case "item":
		fmt.Fprintf(w, "%s %s%s%s\n", mark, answer, indent, itemOutcome(t))
	case "selection":
		fmt.Fprintf(w, "%s %s%s%s:\n", mark, answer, indent, report.Clean(t.Name, 200))
	default:
		fmt.Fprintf(w, "%s %s%s%s\n", mark, answer, indent, map[string]string{"and": "all of", "or": "any of", "not": "not"}[t.Op])
	}
	for _, x := range t.X {
		writeTrace(w, x, depth+1, decisive)
	}
}

// itemOutcome says what an item asked, what it found and what decided.
func itemOutcome(t *detect.Trace) string {
	name := t.Name
	if name == "" {
		name = "(keywords)"
	}
	text := report.Clean(name, 200)
	switch {
	case !t.Present:
		text += ": the event has no such field"
	case len(t.Values) == 0:
		text += ": null"
	default:
		var values []string
		for _, v := range t.Values {
			values = append(values, `"`+report.Clean(v, 300)+`"`)
		}
		if t.Item != nil && t.Item.Field == "" {
			text += fmt.Sprintf(": among %s", plural(len(values), "value"))
		} else {
			text += ": " + strings.Join(values, ", ")
		}
	}
	switch {
	case t.Wanted != "" && t.Item != nil && t.Item.All && !t.Holds:
		text += `, lacks "` + report.Clean(t.Wanted, 300) + `"`
	case t.Wanted != "":
		text += `, decided by "` + report.Clean(t.Wanted, 300) + `"`
	}
	return text
}
