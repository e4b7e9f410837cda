package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/lookup/lookupfile"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/ruleset"
)

// setsFlags are the flags of the verbs that change rule sets.
type setsFlags struct {
	into        string
	name        string
	dryRun, yes bool
	all         bool
	output      string
}

const defaultSets = "rulesets"

func (f *setsFlags) folder(c *cobra.Command) {
	c.Flags().StringVar(&f.into, "into", defaultSets, "`folder` of rule sets")
}

func (f *setsFlags) changing(c *cobra.Command) {
	f.folder(c)
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "show what would change and change nothing")
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask before changing")
	c.Flags().BoolVar(&f.all, "all", false, "list every file and every change")
	c.Flags().StringVarP(&f.output, "output", "o", "text", "`format` of the report: text or json")
	complete(c, "output", []string{"text", "json"})
}

func newRuleImport(p *process) *cobra.Command {
	var f setsFlags
	c := &cobra.Command{
		Use:   "import SOURCE",
		Short: "Take a rule set from a folder, an archive or a git checkout",
		Long: "Import reads a folder, a zip, a tar (plain, gzip or zstd) or a git checkout, says what it takes and\n" +
			"what it leaves and why, and, when confirmed, makes it a rule set of the folder --into. The lock file\n" +
			"there pins it by a hash of its content. Nothing is ever fetched from a network.\n" +
			"Rules are then loaded with --rules and that folder.",
		Example: "  tiercel rule import sigma_core.zip --into rulesets --name sigma\n" +
			"  tiercel scan /var/log --rules rulesets --profile core+",
		Args: oneSource,
		RunE: func(_ *cobra.Command, args []string) error {
			name := f.name
			if name == "" {
				name = ruleset.NameOf(args[0])
			}
			return installSet(p, &f, name, args[0], false)
		},
	}
	f.changing(c)
	c.Flags().StringVar(&f.name, "name", "", "`name` of the rule set (default: made of the source's)")
	return c
}

func oneSource(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError("import needs one folder, archive or git checkout\nRun 'tiercel rule import --help' for examples")
	}
	return nil
}

func newRuleUpdate(p *process) *cobra.Command {
	var f setsFlags
	c := &cobra.Command{
		Use:   "update NAME [SOURCE]",
		Short: "Bring a rule set to the state of its source",
		Long: "Update reads the source again, or another one, and shows what changes: rules added, removed, renamed,\n" +
			"with other logic, level or status, or only other metadata; and what becomes of each override. The\n" +
			"overrides file itself is never written. It also pins the lists of the folder's lookups.",
		Example: "  tiercel rule update sigma --dry-run\n  tiercel rule update sigma sigma_core.zip --yes",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usageError("update needs the name of a rule set, and may name a source\nRun 'tiercel rule update --help' for examples")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			source := ""
			if len(args) == 2 {
				source = args[1]
			}
			return installSet(p, &f, args[0], source, true)
		},
	}
	f.changing(c)
	return c
}

// installSet imports or updates a rule set.
func installSet(p *process, f *setsFlags, name, source string, update bool) error {
	if f.output != "text" && f.output != "json" {
		return usageError("--output %q is unknown; choose text or json", f.output)
	}
	store, err := ruleset.Open(p.world.FS, f.into)
	if err != nil {
		return &codedError{exitUsage, err}
	}
	if err := ruleset.CheckName(name); err != nil {
		return &codedError{exitUsage, err}
	}
	current := store.Lock().Set(name).Current()
	switch {
	case update && current == nil:
		return unknownSet(store, name)
	case !update && current != nil:
		return usageError("%s has a rule set %q already; run 'tiercel rule update %s', or choose another --name", f.into, name, name)
	case source == "":
		source = current.Source
	}
	src, err := ruleset.Read(p.world.FS, source)
	if err != nil {
		return &codedError{exitInput, fmt.Errorf("%w; nothing was changed", err)}
	}
	pins, diags, err := pinLookups(p, store)
	if err != nil {
		return err
	}
	r, err := reviewUpdate(p, store, name, src, pins)
	if err != nil {
		return err
	}
	r.lookupDiags = diags
	if f.output == "json" {
		err = r.json(p.stdout)
	} else {
		err = r.text(p.stdout, f.all)
	}
	if err != nil {
		return err
	}
	if f.dryRun || r.nothing() {
		return nil
	}
	if !f.yes && !confirm(p, "Apply this?") {
		fmt.Fprintln(p.stderr, "tiercel: nothing was changed")
		return &codedError{exitFailed, nil}
	}
	if err := store.Install(name, src, pins, p.world.Clock.Now()); err != nil {
		return &codedError{exitInput, fmt.Errorf("%w; the state before stays in use", err)}
	}
	fmt.Fprintf(p.stderr, "tiercel: %s is at %s now\n", name, src.Hash[:12])
	return nil
}

func unknownSet(store *ruleset.Store, name string) error {
	var names []string
	for _, s := range store.Lock().Sets {
		names = append(names, s.Name)
	}
	if len(names) == 0 {
		return usageError("%s holds no rule sets; 'tiercel rule import' makes one", store.Dir())
	}
	return usageError("%s has no rule set %q%s\nIt has %s", store.Dir(), name, didYouMean(name, names), strings.Join(names, ", "))
}

// confirm asks on standard error and reads a line.
func confirm(p *process, question string) bool {
	fmt.Fprintf(p.stderr, "%s [y/N] ", question)
	if p.stdin == nil {
		return false
	}
	line, _ := bufio.NewReader(p.stdin).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

// pinLookups hashes the lists of a store's folder.
func pinLookups(p *process, store *ruleset.Store) (map[string]string, []rule.Diagnostic, error) {
	dir := orPresent(p.world.FS, "", p.world.FS.PathJoin(store.Dir(), lookupsName))
	if dir == "" {
		return nil, nil, nil
	}
	set, diags := lookupfile.Load(p.world.FS, dir, nil)
	for _, d := range diags {
		if d.Severity == rule.Error {
			return nil, nil, &codedError{exitInput, fmt.Errorf("lists: %v; nothing was changed", d)}
		}
	}
	return set.Pins(), diags, nil
}

// pinDifferences says how lists differ from those pinned, in order.
func pinDifferences(pinned, present map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(present)) {
		switch pinned[name] {
		case present[name]:
		case "":
			out = append(out, "the list "+name+" is new")
		default:
			out = append(out, "the list "+name+" changed")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pinned)) {
		if present[name] == "" {
			out = append(out, "the list "+name+" is gone")
		}
	}
	return out
}

func newRuleRollback(p *process) *cobra.Command {
	var f setsFlags
	c := &cobra.Command{
		Use:     "rollback NAME",
		Example: "  tiercel rule rollback sigma",
		Short:   "Go back to the state of a rule set before the current one",
		Long: "Rollback makes the state before current again, at once and without its source. It can be repeated\n" +
			fmt.Sprintf("as far as states are kept: %d of each rule set, the current one included.", ruleset.StatesMax),
		Args: oneSet("rollback"),
		RunE: func(_ *cobra.Command, args []string) error {
			store, err := ruleset.Open(p.world.FS, f.into)
			if err != nil {
				return &codedError{exitUsage, err}
			}
			from, to, err := store.Before(args[0])
			switch {
			case errors.Is(err, ruleset.ErrUnknown):
				return unknownSet(store, args[0])
			case err != nil:
				return &codedError{exitFailed, err}
			}
			if err := showRollback(p, store, from, to, f.all); err != nil {
				return err
			}
			if f.dryRun {
				return nil
			}
			if !f.yes && !confirm(p, "Apply this?") {
				fmt.Fprintln(p.stderr, "tiercel: nothing was changed")
				return &codedError{exitFailed, nil}
			}
			if _, _, err := store.Rollback(args[0], p.world.Clock.Now()); err != nil {
				return &codedError{exitInput, err}
			}
			fmt.Fprintf(p.stderr, "tiercel: %s is at %s now\n", args[0], to.Hash[:12])
			return nil
		},
	}
	f.folder(c)
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "show what would change and change nothing")
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask before changing")
	c.Flags().BoolVar(&f.all, "all", false, "list every change")
	return c
}

func oneSet(verb string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError("%s needs the name of one rule set", verb)
		}
		return nil
	}
}

func showRollback(p *process, store *ruleset.Store, from, to ruleset.State, all bool) error {
	old, err := store.Documents(from.Hash)
	if err != nil {
		return &codedError{exitInput, err}
	}
	before, err := store.Documents(to.Hash)
	if err != nil {
		return &codedError{exitInput, err}
	}
	fmt.Fprintf(p.stdout, "from %s (%s, %s)\nto   %s (%s, %s)\n", from.Hash[:12], from.Source, from.Time.Format("2006-01-02 15:04"), to.Hash[:12], to.Source, to.Time.Format("2006-01-02 15:04"))
	return changesText(p.stdout, ruleset.Compare(old, before), all)
}

func newRuleVerify(p *process) *cobra.Command {
	var f setsFlags
	c := &cobra.Command{
		Use:     "verify [NAME]",
		Example: "  tiercel rule verify\n  tiercel rule verify sigma",
		Short:   "Check rule sets and lists against the hashes in the lock file",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			store, err := ruleset.Open(p.world.FS, f.into)
			if err != nil {
				return &codedError{exitUsage, err}
			}
			lock := store.Lock()
			if len(args) == 1 && lock.Set(args[0]) == nil || len(lock.Sets) == 0 {
				return unknownSet(store, cmp.Or(slices.Concat(args, []string{""})[0], "of any name"))
			}
			failed := false
			for i := range lock.Sets {
				set := &lock.Sets[i]
				if len(args) == 1 && set.Name != args[0] {
					continue
				}
				state := set.Current()
				if err := store.Verify(set.Name); err != nil {
					failed = true
					fmt.Fprintf(p.stdout, "%s: %v; 'tiercel rule update %s' writes it anew, 'tiercel rule rollback %s' goes back\n", set.Name, err, set.Name, set.Name)
					continue
				}
				origin := state.Source
				if state.Commit != "" {
					origin += " at commit " + state.Commit
				}
				fmt.Fprintf(p.stdout, "%s: ok, %s, %s of %s\n", set.Name, state.Hash, plural(state.Documents, "document"), origin)
			}
			pins, _, err := pinLookups(p, store)
			if err != nil {
				return err
			}
			for _, line := range pinDifferences(lock.Lookups, pins) {
				failed = true
				fmt.Fprintf(p.stdout, "%s since it was pinned\n", line)
			}
			if failed {
				return &codedError{exitFailed, nil}
			}
			return nil
		},
	}
	f.folder(c)
	return c
}

func newRuleOverrides(p *process) *cobra.Command {
	var f setsFlags
	var file string
	c := &cobra.Command{
		Use:     "overrides",
		Example: "  tiercel rule overrides",
		Short:   "Check the overrides and say how many rules each fits",
		Args:    cobra.NoArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			store, err := ruleset.Open(p.world.FS, f.into)
			if err != nil {
				return &codedError{exitUsage, err}
			}
			if file == "" {
				file = p.world.FS.PathJoin(f.into, ruleset.OverridesName)
			}
			o, diags, err := loadOverrides(p.world.FS, file)
			if err != nil {
				return err
			}
			for _, d := range diags {
				fmt.Fprintln(p.stdout, d)
			}
			docs, err := store.All("")
			if err != nil {
				return &codedError{exitInput, err}
			}
			orphaned := false
			for _, x := range ruleset.Review(o, docs, docs) {
				orphaned = orphaned || x.Standing == ruleset.Orphaned
				fmt.Fprintf(p.stdout, "%s: %s: fits %s\n", x.Override.Position, x.Override, plural(x.Rules, "rule"))
				findingText(p.stdout, &x)
			}
			if orphaned {
				return &codedError{exitFailed, nil}
			}
			return nil
		},
	}
	f.folder(c)
	c.Flags().StringVar(&file, "overrides", "", "`file` of overrides (default: overrides.yml of the folder)")
	return c
}
