package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/scenario"
)

func newScenario(p *process) *cobra.Command {
	c := &cobra.Command{
		Use:   "scenario",
		Short: "Generate labelled logs of a made-up company, with attacks in them",
		Args:  cobra.ArbitraryArgs,
		RunE:  unknownVerb,
	}
	c.AddCommand(newScenarioList(p), newScenarioRun(p))
	return c
}

func newScenarioList(p *process) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Example: "  tiercel scenario list",
		Short:   "List the attacks with their stages and ATT&CK techniques",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				type stage struct {
					Name      string `json:"name"`
					Technique string `json:"technique"`
				}
				type attack struct {
					Name   string  `json:"name"`
					About  string  `json:"about"`
					Stages []stage `json:"stages"`
				}
				enc := json.NewEncoder(p.stdout)
				for _, a := range scenario.List() {
					out := attack{Name: a.Name, About: a.About}
					for _, s := range a.Stages {
						out.Stages = append(out.Stages, stage(s))
					}
					if err := enc.Encode(out); err != nil {
						return err
					}
				}
				return nil
			}
			w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
			for i, a := range scenario.List() {
				if i > 0 {
					fmt.Fprintln(w)
				}
				fmt.Fprintf(w, "%s: %s\n", a.Name, a.About)
				for _, s := range a.Stages {
					fmt.Fprintf(w, "  %s\t%s\n", s.Technique, s.Name)
				}
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object for each attack")
	return c
}

// scenarioFlags are the flags of scenario run.
type scenarioFlags struct {
	config             scenario.Config
	start              string
	out, format, truth string
}

// How scenario run writes to standard output.
const (
	scenarioNDJSON   = "ndjson"
	scenarioEnvelope = "envelope"
)

func newScenarioRun(p *process) *cobra.Command {
	var f scenarioFlags
	c := &cobra.Command{
		Use:   "run",
		Short: "Generate logs, and the truth of which event belongs to which attack",
		Long: "Run writes a file for each log to the folder of --out, with truth.jsonl beside them, or all\n" +
			"events as lines to standard output. The same parameters give the same bytes.\n" +
			"Everything is invented and marked as generated: by a key in JSON, by the key of the audit rule\n" +
			"in audit.log, in file names and in truth.jsonl. Names stand under example.com and its like,\n" +
			"addresses outside are those reserved for documentation.",
		Example: "  tiercel scenario run --out case --seed 7\n" +
			"  tiercel scenario run --out quiet --attack none --duration 168h\n" +
			"  tiercel scenario run --attack kerberoasting --duration 2h --truth truth.jsonl | tiercel scan -",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runScenario(c.Context(), p, &f) },
	}
	flags := c.Flags()
	k := &f.config
	flags.Uint64Var(&k.Seed, "seed", 1, "`number` that chooses among scenarios of the same parameters")
	flags.StringVar(&f.start, "start", "2026-03-02", "`time` of the first event: RFC 3339, or a date in UTC")
	flags.DurationVar(&k.Duration, "duration", 24*time.Hour, "`span` of event time, as 90m or 168h")
	flags.Float64Var(&k.Rate, "rate", 5, "background `events` in a second of event time, on average")
	flags.IntVar(&k.Hosts, "hosts", 24, "`number` of machines")
	flags.IntVar(&k.Users, "users", 0, "`number` of people (default: as many as hosts)")
	flags.StringArrayVar(&k.Attacks, "attack", nil, "`name` of an attack to lay into it, or all or none; repeatable (default all)")
	flags.Float64Var(&k.Late, "late", 0, "`fraction` of events that arrive late, from 0 to 1")
	flags.DurationVar(&k.LateMax, "late-max", 2*time.Minute, "longest `delay` of a late event")
	flags.DurationVar(&k.Skew, "skew", 0, "most `time` by which a clock is wrong, either way; each by its own")
	flags.BoolVar(&k.Laurel, "laurel", false, "write audit events with --out as Laurel does, in JSON, instead of as audit.log")
	flags.StringVar(&f.out, "out", "", "new or empty `folder` for a file of each log and truth.jsonl")
	flags.StringVar(&f.format, "format", scenarioNDJSON, "lines on standard output: ndjson, the events themselves, or envelope, each in an object that says what it is")
	flags.StringVar(&f.truth, "truth", "", "`file` for the truth when events go to standard output")
	complete(c, "format", []string{scenarioNDJSON, scenarioEnvelope})
	names := []string{"all", "none"}
	for _, a := range scenario.List() {
		names = append(names, a.Name)
	}
	complete(c, "attack", names)
	return c
}

// scenarioHostsMax bounds the hosts of --out: each has an open file, and
// systems let a process have some thousand.
const scenarioHostsMax = 900

func runScenario(ctx context.Context, p *process, f *scenarioFlags) error {
	start, err := parseTime("start", f.start, time.UTC, false)
	if err != nil {
		return err
	}
	f.config.Start = start
	if f.config.Users == 0 {
		f.config.Users = max(f.config.Hosts, 2)
	}
	switch {
	case f.config.Duration == 0 || f.config.Rate == 0 || f.config.Hosts == 0:
		return usageError("--duration, --rate and --hosts must not be 0")
	case f.format != scenarioNDJSON && f.format != scenarioEnvelope:
		return usageError("--format %q is not known; choose ndjson or envelope", f.format)
	case f.out != "" && f.truth != "":
		return usageError("--truth is for events on standard output; with --out the truth is in %s", p.world.FS.PathJoin(f.out, "truth.jsonl"))
	case f.out != "" && f.config.Hosts > scenarioHostsMax:
		return usageError("--out keeps a file open for each host, so --hosts may be at most %d with it; leave --out away to write to standard output", scenarioHostsMax)
	}
	if f.out == "" {
		f.config.Laurel = true // audit.log is not JSON
	}
	s, err := scenario.New(f.config)
	if err != nil {
		return usageError("%s", strings.TrimPrefix(err.Error(), "scenario: "))
	}
	w, err := newScenarioWriter(p, f)
	if err != nil {
		return err
	}
	err = w.copy(ctx, s)
	if closing := w.close(); err == nil {
		err = closing
	}
	if w.truth != nil || err != nil {
		fmt.Fprintf(p.stderr, "%s, %d of them of attacks\n", plural(int(w.events), "generated event"), w.labelled)
	}
	return err
}

// scenarioFile is one file that is being written.
type scenarioFile struct {
	name string
	file io.WriteCloser
	w    *bufio.Writer
	line uint64 // lines written
}

// scenarioWriter puts events where they go.
type scenarioWriter struct {
	fs               vfs.FS
	dir              string
	envelope         bool
	stdout           *scenarioFile // nil with a folder
	files            map[string]*scenarioFile
	order            []*scenarioFile
	truth            *scenarioFile // nil when nobody wants it
	events, labelled uint64
}

// scenarioBufferBytes is what a file gathers before it is written: with
// scenarioHostsMax files open some 15 MB.
const scenarioBufferBytes = 16 << 10

func newScenarioWriter(p *process, f *scenarioFlags) (*scenarioWriter, error) {
	w := &scenarioWriter{fs: p.world.FS, dir: f.out, envelope: f.format == scenarioEnvelope, files: make(map[string]*scenarioFile)}
	truth := f.truth
	if f.out == "" {
		w.stdout = &scenarioFile{w: bufio.NewWriterSize(p.stdout, 64<<10)}
	} else {
		if err := emptyFolder(p.world, f.out); err != nil {
			return nil, err
		}
		truth = w.fs.PathJoin(f.out, "truth.jsonl")
	}
	if truth == "" {
		return w, nil
	}
	t, err := w.create(truth)
	if err != nil {
		return nil, err
	}
	w.truth = t
	attacks := f.config.Attacks
	if len(attacks) == 0 {
		attacks = []string{"all"}
	}
	return w, w.tell(struct {
		GeneratedBy string    `json:"generated_by"`
		Seed        uint64    `json:"seed"`
		Start       time.Time `json:"start"`
		Duration    string    `json:"duration"`
		Rate        float64   `json:"rate"`
		Hosts       int       `json:"hosts"`
		Users       int       `json:"users"`
		Attacks     []string  `json:"attacks"`
		Late        float64   `json:"late"`
		LateMax     string    `json:"late_max"`
		Skew        string    `json:"skew"`
	}{scenario.Mark, f.config.Seed, f.config.Start.UTC(), f.config.Duration.String(), f.config.Rate, f.config.Hosts, f.config.Users, attacks, f.config.Late, f.config.LateMax.String(), f.config.Skew.String()})
}

// emptyFolder makes a folder, or accepts one without anything in it.
func emptyFolder(world env.Env, dir string) error {
	if err := world.FS.MkdirAll(dir, 0o755); err != nil {
		return &codedError{exitUsage, fmt.Errorf("--out: %w", err)}
	}
	entries, err := world.FS.List(dir)
	if err != nil {
		return &codedError{exitUsage, fmt.Errorf("--out: %w", err)}
	}
	if len(entries) > 0 {
		return usageError("--out %s is not empty; name a new folder, so that nothing is overwritten", dir)
	}
	return nil
}

func (w *scenarioWriter) create(name string) (*scenarioFile, error) {
	file, err := w.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	f := &scenarioFile{name: name, file: file, w: bufio.NewWriterSize(file, scenarioBufferBytes)}
	w.order = append(w.order, f)
	return f, nil
}

// target is the file of an event.
func (w *scenarioWriter) target(e *scenario.Event) (*scenarioFile, error) {
	if w.stdout != nil {
		return w.stdout, nil
	}
	if f := w.files[e.Source]; f != nil {
		return f, nil
	}
	ending := ".ndjson"
	if e.Format == "auditd" {
		ending = ".log"
	}
	f, err := w.create(w.fs.PathJoin(w.dir, "generated-"+strings.ReplaceAll(e.Source, "/", "-")+ending))
	if err != nil {
		return nil, err
	}
	w.files[e.Source] = f
	return f, nil
}

// copy writes the whole scenario.
func (w *scenarioWriter) copy(ctx context.Context, s *scenario.Scenario) error {
	var e scenario.Event
	for s.Next(&e) {
		if w.events++; w.events%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		f, err := w.target(&e)
		if err != nil {
			return err
		}
		first := f.line + 1
		if e.Truth != nil {
			w.labelled++
		}
		if w.envelope && w.stdout != nil {
			err = w.wrap(f, &e)
		} else {
			_, err = f.w.Write(e.Raw)
			for _, c := range e.Raw {
				if c == '\n' {
					f.line++
				}
			}
		}
		if err == nil && e.Truth != nil && w.truth != nil {
			err = w.label(&e, f.name, first)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scenarioTruth is one line of the truth, and what an envelope says of its
// event.
type scenarioTruth struct {
	Index     uint64    `json:"index"`
	ID        string    `json:"id"`
	Source    string    `json:"source"`
	File      string    `json:"file,omitempty"`
	Line      uint64    `json:"line,omitempty"`
	Time      time.Time `json:"time"`
	Delivered time.Time `json:"delivered"`
	Attack    string    `json:"attack,omitempty"`
	Stage     string    `json:"stage,omitempty"`
	Technique string    `json:"technique,omitempty"`
}

func describe(e *scenario.Event) scenarioTruth {
	t := scenarioTruth{Index: e.Index, ID: string(e.ID), Source: e.Source, Time: e.Time, Delivered: e.Delivered}
	if e.Truth != nil {
		t.Attack, t.Stage, t.Technique = e.Truth.Attack, e.Truth.Stage, e.Truth.Technique
	}
	return t
}

// label writes the line of truth of an event that begins at a line of a file.
func (w *scenarioWriter) label(e *scenario.Event, file string, line uint64) error {
	t := describe(e)
	t.Line = line
	if file != "" {
		t.File = w.fs.PathBase(file)
	}
	return w.tell(t)
}

func (w *scenarioWriter) tell(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.truth.w.Write(append(line, '\n'))
	return err
}

// wrap writes an event in an object that says what it is.
func (w *scenarioWriter) wrap(f *scenarioFile, e *scenario.Event) error {
	line, err := json.Marshal(struct {
		GeneratedBy string `json:"generated_by"`
		scenarioTruth
		Format string `json:"format"`
		Raw    string `json:"raw"`
	}{scenario.Mark, describe(e), e.Format, strings.TrimSuffix(string(e.Raw), "\n")})
	if err != nil {
		return err
	}
	f.line++
	_, err = f.w.Write(append(line, '\n'))
	return err
}

// close flushes and closes everything, and returns the first error.
func (w *scenarioWriter) close() error {
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	if w.stdout != nil {
		keep(w.stdout.w.Flush())
	}
	for _, f := range slices.Backward(w.order) {
		keep(f.w.Flush())
		keep(f.file.Close())
	}
	return first
}
