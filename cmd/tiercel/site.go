package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/lookup"
	"github.com/tiercel-io/tiercel/lookup/lookupfile"
	"github.com/tiercel-io/tiercel/report"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
	"github.com/tiercel-io/tiercel/ruleset"
)

// siteFlags say what a team set for itself: a profile, overrides and lists.
type siteFlags struct {
	profile, overrides, tenant, lookups, asOf string
	// verb is whose standard error gets what is doubtful; nil for a verb that
	// prints diagnostics of its own.
	verb *cobra.Command
	// site holds what the last load found.
	site *ruleset.Site
}

func (f *siteFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.profile, "profile", "", "only the rules of a release package of SigmaHQ: `name` "+strings.Join(ruleset.ProfileNames(), ", ")+" (default: every rule)")
	flags.StringVar(&f.overrides, "overrides", "", "`file` of overrides (default: overrides.yml of a folder of rule sets)")
	flags.StringVar(&f.tenant, "tenant", "", "apply the overrides of this tenant too, by `name`")
	flags.StringVar(&f.lookups, "lookups", "", "`folder` of lists for placeholders (default: lookups of a folder of rule sets)")
	flags.StringVar(&f.asOf, "lookups-as-of", "", "`time` against which entries of lists expire: RFC 3339 or a date (default: the time in the lock file of the rule sets)")
	complete(c, "profile", ruleset.ProfileNames())
	if c.Name() != "lint" {
		f.verb = c
	}
}

// lookupsName is the folder of lists in a folder of rule sets.
const lookupsName = "lookups"

// prepare turns folders of rule sets among paths into those of their states
// and makes the options for loading. The diagnostics are those of lists and
// overrides that do not stop the load.
func (f *siteFlags) prepare(world env.Env, paths []string, link rule.Options) ([]string, rulefile.Options, []rule.Diagnostic, error) {
	none := func(err error) ([]string, rulefile.Options, []rule.Diagnostic, error) {
		return nil, rulefile.Options{}, nil, err
	}
	f.site = &ruleset.Site{Tenant: f.tenant}
	if f.profile != "" {
		p, ok := ruleset.ParseProfile(f.profile)
		if !ok {
			return none(usageError("--profile %q is unknown%s\nKnown are %s", f.profile, didYouMean(f.profile, ruleset.ProfileNames()), strings.Join(ruleset.ProfileNames(), ", ")))
		}
		f.site.Profile = p
	}
	var out []string
	var lock *ruleset.Lock
	overrides, lookups := f.overrides, f.lookups
	for _, path := range paths {
		if !ruleset.IsStore(world.FS, path) {
			out = append(out, path)
			continue
		}
		store, err := ruleset.Open(world.FS, path)
		if err != nil {
			return none(&codedError{exitUsage, err})
		}
		out = append(out, store.Folders()...)
		if lock == nil {
			lock = store.Lock()
			overrides = orPresent(world.FS, overrides, world.FS.PathJoin(path, ruleset.OverridesName))
			lookups = orPresent(world.FS, lookups, world.FS.PathJoin(path, lookupsName))
		}
	}
	var diags []rule.Diagnostic
	if overrides != "" {
		o, more, err := loadOverrides(world.FS, overrides)
		if err != nil {
			return none(err)
		}
		f.site.Overrides = o
		diags = append(diags, more...)
	}
	if lookups != "" {
		more, err := f.loadLookups(world.FS, lookups, lock, &link)
		if err != nil {
			return none(err)
		}
		diags = append(diags, more...)
	}
	f.note(diags)
	return out, rulefile.Options{Link: link, Prepare: f.site.Prepare}, diags, nil
}

func orPresent(fs vfs.FS, chosen, path string) string {
	if chosen != "" {
		return chosen
	}
	if _, err := fs.Stat(path); err == nil {
		return path
	}
	return ""
}

// loadOverrides reads an overrides file. An error in it stops: what it was to
// switch off must not run.
func loadOverrides(fs vfs.FS, path string) (*ruleset.Overrides, []rule.Diagnostic, error) {
	o, diags, err := ruleset.LoadOverrides(fs, path)
	if err != nil {
		return nil, nil, usageError("the overrides file cannot be read: %w", err)
	}
	for _, d := range diags {
		if d.Severity == rule.Error {
			return nil, nil, usageError("overrides: %v", d)
		}
	}
	return o, diags, nil
}

// loadLookups adds the lists of a folder to the values of placeholders.
func (f *siteFlags) loadLookups(fs vfs.FS, dir string, lock *ruleset.Lock, link *rule.Options) ([]rule.Diagnostic, error) {
	set, diags := lookupfile.Load(fs, dir, nil)
	for _, d := range diags {
		if d.Severity == rule.Error {
			return nil, usageError("lists: %v", d)
		}
	}
	var asOf time.Time
	switch {
	case f.asOf != "":
		t, err := lookup.AsOf(f.asOf)
		if err != nil {
			return nil, usageError("--lookups-as-of: %w", err)
		}
		asOf = t
	case lock != nil:
		asOf = lock.Time
	default:
		if names := set.Expiring(); len(names) > 0 {
			return nil, usageError("entries of the list %s expire; say with --lookups-as-of against which time", names[0])
		}
	}
	if lock != nil && f.verb != nil {
		for _, line := range pinDifferences(lock.Lookups, set.Pins()) {
			fmt.Fprintf(f.verb.ErrOrStderr(), "tiercel: %s since it was pinned; 'tiercel rule update' pins it\n", line)
		}
	}
	values := set.Values(asOf)
	for name, list := range link.Values {
		if _, taken := values[name]; taken {
			return nil, usageError("the list %s is in the --values file and in %s; keep one of them", name, dir)
		}
		values[name] = list
	}
	link.Values = values
	return diags, nil
}

// notesShown is how many doubts are printed one by one.
const notesShown = 10

func (f *siteFlags) note(diags []rule.Diagnostic) {
	if f.verb == nil {
		return
	}
	w := f.verb.ErrOrStderr()
	for i, d := range diags {
		if i == notesShown {
			fmt.Fprintf(w, "tiercel: and %s; 'tiercel rule lint' shows all\n", plural(len(diags)-i, "more warning"))
			return
		}
		fmt.Fprintf(w, "tiercel: %s\n", report.Clean(d.String(), problemTextMax))
	}
}
