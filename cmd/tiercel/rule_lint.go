package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/report"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
)

func newRuleLint(p *process) *cobra.Command {
	var f contentFlags
	var output string
	var strict, quiet bool
	c := &cobra.Command{
		Use:     "lint [PATH...]",
		Example: "  tiercel rule lint ./rules --strict\n  tiercel rule lint ./rules --output sarif > lint.sarif",
		Short:   "Check rules; without paths the shipped ones",
		Long:    "Lint prints what is wrong with rules, with file, line and column and what to write instead.\nErrors refuse a document, warnings do not. docs/reference/lint.md lists the codes.",
		RunE: func(_ *cobra.Command, args []string) error {
			f.rules = args
			res, err := f.load(p.world)
			if err != nil {
				return err
			}
			var shown []rule.Diagnostic
			errors, warnings := 0, 0
			for _, d := range res.Diagnostics {
				if d.Severity == rule.Error {
					errors++
				} else if warnings++; quiet {
					continue
				}
				shown = append(shown, d)
			}
			switch output {
			case "text":
				err = lintText(p.stdout, shown, res, errors, warnings)
			case "json":
				err = lintJSON(p.stdout, shown)
			case "sarif":
				err = lintSARIF(p.stdout, shown)
			default:
				return usageError("--output %q is unknown; choose text, json or sarif", output)
			}
			if err != nil {
				return err
			}
			if res.Files == 0 {
				return usageError("no rule file was found; lint takes files and folders of Sigma rules (.yml)")
			}
			if errors > 0 || strict && warnings > 0 {
				return &codedError{exitFailed, nil}
			}
			return nil
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "`format`: text, json or sarif (2.1.0)")
	c.Flags().BoolVar(&strict, "strict", false, "exit with 1 on warnings too")
	c.Flags().BoolVar(&quiet, "errors-only", false, "leave warnings out")
	c.Flags().StringVar(&f.values, "values", "", "YAML `file` with lists for placeholders")
	f.site.register(c)
	f.registerExperimental(c)
	complete(c, "output", []string{"text", "json", "sarif"})
	return c
}

func lintText(w io.Writer, ds []rule.Diagnostic, res *rulefile.Result, errors, warnings int) error {
	for _, d := range ds {
		if _, err := fmt.Fprintln(w, report.Clean(d.String(), 4000)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s in %s: %s, %s\n", plural(len(res.Documents), "document"), plural(res.Files, "file"), plural(errors, "error"), plural(warnings, "warning"))
	return err
}

func lintJSON(w io.Writer, ds []rule.Diagnostic) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, d := range ds {
		if err := e.Encode(struct {
			File     string    `json:"file"`
			Line     int       `json:"line,omitempty"`
			Column   int       `json:"column,omitempty"`
			Severity string    `json:"severity"`
			Code     rule.Code `json:"code"`
			Message  string    `json:"message"`
			Hint     string    `json:"hint,omitempty"`
		}{d.File, d.Line, d.Column, d.Severity.String(), d.Code, d.Message, d.Hint}); err != nil {
			return err
		}
	}
	return nil
}

// lintSARIF writes a log of SARIF 2.1.0 (OASIS) for code scanning.
func lintSARIF(w io.Writer, ds []rule.Diagnostic) error {
	type text struct {
		Text string `json:"text"`
	}
	type sarifRule struct {
		ID               string `json:"id"`
		ShortDescription text   `json:"shortDescription"`
	}
	type region struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
	type physical struct {
		ArtifactLocation struct {
			URI string `json:"uri"`
		} `json:"artifactLocation"`
		Region *region `json:"region,omitempty"`
	}
	type location struct {
		PhysicalLocation physical `json:"physicalLocation"`
	}
	type result struct {
		RuleID    string     `json:"ruleId"`
		Level     string     `json:"level"`
		Message   text       `json:"message"`
		Locations []location `json:"locations"`
	}
	rules := []sarifRule{}
	for _, c := range rule.Codes {
		rules = append(rules, sarifRule{string(c.Code), text{c.Text}})
	}
	results := []result{}
	for _, d := range ds {
		r := result{RuleID: string(d.Code), Level: d.Severity.String(), Message: text{d.Message}, Locations: []location{{}}}
		if d.Hint != "" {
			r.Message.Text += "; " + d.Hint
		}
		l := &r.Locations[0].PhysicalLocation
		l.ArtifactLocation.URI = d.File
		if d.Line > 0 {
			l.Region = &region{d.Line, d.Column}
		}
		results = append(results, r)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(map[string]any{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"version": "2.1.0",
		"runs": []any{map[string]any{
			"tool":    map[string]any{"driver": map[string]any{"name": "Tiercel", "version": version, "informationUri": docsURL, "rules": rules}},
			"results": results,
		}},
	})
}
