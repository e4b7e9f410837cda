package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	_ "time/tzdata" // zones for --zone on machines without them

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formats"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
	"github.com/tiercel-io/tiercel/rules"
)

// allFormats are the formats of this binary.
func allFormats() []format.Format { return formats.All() }

// shippedRules loads the rules inside the binary. Experimental features are on:
// those that the shipped correlations use are tested with them.
func shippedRules(o rulefile.Options) (*rulefile.Result, error) {
	o.Link.Experimental = true
	res := &rulefile.Result{}
	names, err := fs.Glob(rules.FS, "*/rule.yml")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		data, err := fs.ReadFile(rules.FS, name)
		if err != nil {
			return nil, err
		}
		res.Add("rules/"+name, data)
	}
	res.Link(o)
	return res, nil
}

// contentFlags say which rules and packs a verb works with.
type contentFlags struct {
	rules    []string
	packs    []string
	values   string
	statuses []string
	// experimental switches on what the specification does not name yet.
	experimental bool
	site         siteFlags
}

// registerExperimental adds the flag that allows what Sigma does not define.
func (f *contentFlags) registerExperimental(c *cobra.Command) {
	c.Flags().BoolVar(&f.experimental, "experimental", false, "allow what Sigma does not define yet: value_median, and conditions in words such as a and not b, in correlations")
}

// load loads the rules: those of --rules, or the shipped ones.
func (f *contentFlags) load(world env.Env) (*rulefile.Result, error) {
	for _, s := range f.statuses {
		if !slices.Contains(rule.Statuses, s) {
			return nil, usageError("--status %q is not a status; choose from %s", s, strings.Join(rule.Statuses, ", "))
		}
	}
	o := rule.Options{Statuses: f.statuses, Experimental: f.experimental}
	if f.values != "" {
		values, diags := rulefile.LoadValues(world.FS, f.values)
		if rule.HasErrors(diags) {
			return nil, usageError("placeholder values: %v", diags[0])
		}
		o.Values = values
	}
	paths, options, diags, err := f.site.prepare(world, f.rules, o)
	if err != nil {
		return nil, err
	}
	if len(f.rules) == 0 {
		return shippedRules(options)
	}
	res, err := rulefile.Load(world.FS, paths, options)
	if err != nil {
		return nil, &codedError{exitUsage, err}
	}
	res.Diagnostics = append(diags, res.Diagnostics...)
	return res, nil
}

// packSet loads the embedded packs and those of --packs.
func (f *contentFlags) packSet(world env.Env) (*pack.Set, error) {
	set, err := pack.Load(world.FS, f.packs)
	if err != nil {
		return nil, &codedError{exitUsage, fmt.Errorf("packs: %w", err)}
	}
	return set, nil
}

// noRules says why no rule is usable.
func noRules(res *rulefile.Result) error {
	for _, d := range res.Diagnostics {
		if d.Severity == rule.Error {
			return usageError("no rule is usable; the first fault: %v", d)
		}
	}
	if len(res.Set.Disabled) > 0 {
		return usageError("no rule is enabled: %d are disabled by their status or need placeholder values; see tiercel rule list, --status and --values", len(res.Set.Disabled))
	}
	return &codedError{exitUsage, errors.New("no rule was found; --rules takes files and folders of Sigma rules (.yml)")}
}
