package main

import (
	"fmt"
	"strings"

	"github.com/tiercel-io/tiercel/report"
	"github.com/tiercel-io/tiercel/rules/casetest"
	"github.com/tiercel-io/tiercel/rules/rulecase"
)

// whyNot runs the cases whose name holds the given text and says what stopped
// what they expect and did not get.
func whyNot(p *process, content *contentFlags, path, name string) error {
	found, err := findCases(p.world, append([]string{path}, content.rules...))
	if err != nil {
		return usageError("--why-not needs the rule's file or folder, with %s beside it: %v", rulecase.FileName, err)
	}
	t := caseTest{content: *content}
	bench, err := t.bench(p, found)
	if err != nil {
		return err
	}
	runner := bench.Runner()
	shown := 0
	for _, file := range found.cases {
		suite, err := readSuite(p.world.FS, file)
		if err != nil {
			return &codedError{exitInput, err}
		}
		results, err := runner.Run(suite, func(n string) bool {
			return strings.Contains(strings.ToLower(n), strings.ToLower(name))
		})
		if err != nil {
			return &codedError{exitUsage, fmt.Errorf("%s: %w", file, err)}
		}
		for i := range results {
			shown++
			if err := writeWhyNot(p, &results[i]); err != nil {
				return err
			}
		}
	}
	if shown == 0 {
		return usageError("no case of %s has %q in its name; 'tiercel rule test -v %s' lists them", path, name, path)
	}
	return nil
}

func writeWhyNot(p *process, r *casetest.Result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "case %q\n", report.Clean(r.Case, 500))
	switch {
	case r.Waits != "":
		fmt.Fprintf(&b, "        it cannot be run: %s\n", report.Clean(r.Waits, 500))
	case !r.Failed():
		b.WriteString("        it holds: all that it expects came, and nothing else\n")
	}
	for _, f := range r.Failures {
		writeIndented(&b, f)
	}
	for _, why := range r.WhyNot {
		writeIndented(&b, "why not: "+why)
	}
	_, err := fmt.Fprint(p.stdout, b.String())
	return err
}
