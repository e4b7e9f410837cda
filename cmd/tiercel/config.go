package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/config"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/report"
	"github.com/tiercel-io/tiercel/ruleset"
)

func newConfig(p *process) *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Check and show the configuration, and print that of agents",
		Args:  cobra.ArbitraryArgs,
		RunE:  unknownVerb,
	}
	c.AddCommand(newConfigCheck(p), newConfigShow(p), newConfigAgent(p))
	return c
}

// configFlags choose a configuration and override settings of it.
type configFlags struct {
	file, data string
	set        []string
	// more are settings that a verb's own flags give.
	more []config.Flag
}

func (f *configFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVarP(&f.file, "config", "c", "", "configuration `file` (default TIERCEL_CONFIG, else none)")
	flags.StringVar(&f.data, "data", "", "data `folder`")
	flags.StringArrayVar(&f.set, "set", nil, "`key=value` of one setting, as http.listen=127.0.0.1:9000; repeatable")
}

// load makes the configuration. The error is one of config.Faults for what was
// written.
func (f *configFlags) load(p *process) (*config.Config, []config.Warning, error) {
	flags := slices.Clone(f.more)
	if f.data != "" {
		flags = append(flags, config.Flag{Name: "--data", Key: "data", Value: f.data})
	}
	for _, s := range f.set {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, nil, usageError("--set %s has no value; write it as key=value", report.Clean(s, 200))
		}
		flags = append(flags, config.Flag{Name: "--set", Key: key, Value: value})
	}
	cfg, warnings, err := config.Load(p.world.FS, f.file, p.environ, flags)
	if err != nil {
		return nil, warnings, err
	}
	if faults := contentFaults(cfg); len(faults) > 0 {
		return nil, warnings, faults
	}
	return cfg, warnings, nil
}

// must loads the configuration for a verb that cannot go on without one.
func (f *configFlags) must(p *process) (*config.Config, error) {
	cfg, _, err := f.load(p)
	if err != nil {
		return nil, &codedError{exitUsage, fmt.Errorf("the configuration cannot be used:\n%w", err)}
	}
	return cfg, nil
}

// contentFaults checks the names that only the whole program knows: formats,
// packs and profiles. Packs of the user's own are checked when they are loaded.
func contentFaults(cfg *config.Config) config.Faults {
	var faults config.Faults
	check := func(key, what, name string, known []string) {
		if name == "" || slices.Contains(known, name) {
			return
		}
		hint := "known are " + strings.Join(known, ", ")
		if near := nearest(name, known); near != "" {
			hint = fmt.Sprintf("did you mean %s?", near)
		}
		faults = append(faults, config.Fault{Place: cfg.Place(key), Key: key, Msg: fmt.Sprintf("there is no %s %q", what, report.Clean(name, 80)), Hint: hint})
	}
	var packs []string
	if set, err := pack.Embedded(); err == nil {
		for _, p := range set.Packs() {
			packs = append(packs, p.Name)
		}
	}
	formats := formatNames()
	for i, s := range cfg.Sources {
		check(fmt.Sprintf("sources[%d].format", i), "format", s.Format, formats)
		if len(cfg.Content.Packs) == 0 {
			check(fmt.Sprintf("sources[%d].pack", i), "pack", s.Pack, packs)
		}
	}
	check("content.profile", "profile", cfg.Content.Profile, ruleset.ProfileNames())
	return faults
}

func newConfigCheck(p *process) *cobra.Command {
	var f configFlags
	c := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say everything that is wrong with a configuration",
		Long: "Check loads the configuration as the server would: the file, the environment and flags. Each fault\n" +
			"is one line with its place, what is wrong and what to write. It exits with 1 when there is any.",
		Example: "  tiercel config check /etc/tiercel/tiercel.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError("config check takes one file; check several one by one")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				if f.file != "" {
					return usageError("the file is given twice: as %s and with --config", report.Clean(args[0], 200))
				}
				f.file = args[0]
			}
			_, warnings, err := f.load(p)
			for _, w := range warnings {
				fmt.Fprintf(p.stderr, "warning: %s\n", report.Clean(w.String(), problemTextMax))
			}
			if err != nil {
				for _, line := range strings.Split(err.Error(), "\n") {
					fmt.Fprintln(p.stdout, report.Clean(line, problemTextMax))
				}
				return &codedError{exitFailed, nil}
			}
			fmt.Fprintln(p.stdout, "the configuration is sound")
			return nil
		},
	}
	f.register(c)
	return c
}

func newConfigShow(p *process) *cobra.Command {
	var f configFlags
	var asJSON bool
	c := &cobra.Command{
		Use:     "show",
		Short:   "Print every setting in force and where it comes from",
		Long:    "Show prints the configuration that the server would run with. Secrets are masked.",
		Example: "  tiercel config show -c /etc/tiercel/tiercel.yaml\n  tiercel config show | grep -v '# default'",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := f.must(p)
			if err != nil {
				return err
			}
			if asJSON {
				type line struct {
					Key   string `json:"key"`
					Value string `json:"value"`
					From  string `json:"from"`
				}
				lines := []line{}
				for _, v := range cfg.Values() {
					lines = append(lines, line{v.Key, v.Text, v.Place.String()})
				}
				e := json.NewEncoder(p.stdout)
				e.SetIndent("", "  ")
				return e.Encode(lines)
			}
			w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
			for _, v := range cfg.Values() {
				fmt.Fprintf(w, "%s:\t%s\t# %s\n", v.Key, report.Clean(v.Text, problemTextMax), report.Clean(v.Place.String(), 200))
			}
			return w.Flush()
		},
	}
	f.register(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return c
}

// configPage is the reference of the configuration.
func configPage() string {
	return "# Configuration\n" + generated + "\n" + config.Reference()
}
