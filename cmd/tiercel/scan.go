package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/report"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
)

// scanFlags are the flags of scan, and of rule bench, which scans too.
type scanFlags struct {
	content  contentFlags
	format   string
	zone     string
	minLevel string
	from, to string
	jobs     int
	output   string
	failOn   string
	stats    bool
	episodes bool
}

func (f *scanFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringArrayVarP(&f.content.rules, "rules", "r", nil, "`path` of a file or folder of Sigma rules; repeatable (default: the shipped rules)")
	flags.StringArrayVar(&f.content.packs, "packs", nil, "`path` of a file or folder of further packs; repeatable")
	flags.StringVar(&f.content.values, "values", "", "YAML `file` with lists for placeholders (modifier expand)")
	flags.StringSliceVar(&f.content.statuses, "status", nil, "rule `statuses` to enable (default stable,test,experimental)")
	f.content.registerExperimental(c)
	f.content.site.register(c)
	flags.StringVar(&f.format, "format", "", "read every file in the format `name` instead of detecting it: "+strings.Join(formatNames(), ", "))
	flags.StringVar(&f.zone, "zone", "UTC", "time `zone` of records that name none, as Europe/Berlin")
	flags.StringVar(&f.minLevel, "min-level", "informational", "lowest `level` to report: informational, low, medium, high, critical")
	flags.StringVar(&f.from, "from", "", "only events from this `time` on: RFC 3339, or a date in --zone")
	flags.StringVar(&f.to, "to", "", "only events before this `time`; a date includes its day")
	flags.IntVarP(&f.jobs, "jobs", "j", 0, "`number` of workers (default: one for each core)")
}

func formatNames() []string {
	var names []string
	for _, f := range allFormats() {
		names = append(names, f.Name)
	}
	return names
}

func newScan(p *process) *cobra.Command {
	var f scanFlags
	c := &cobra.Command{
		Use:   "scan PATH...",
		Short: "Match logs against Sigma rules",
		Long: "Scan reads files and folders (- is standard input), unpacks gzip, zstd, bzip2, zip and tar,\n" +
			"detects each file's format and prints every match. What cannot be read is reported on\n" +
			"standard error with its position, and the rest is read.",
		Example: "  tiercel scan /var/log\n" +
			"  tiercel scan case.zip --rules sigma/rules --min-level high\n" +
			"  tiercel scan *.evtx --output html > timeline.html\n" +
			"  zcat events.json.gz | tiercel scan - --output jsonl --fail-on critical",
		Args: somePaths("scan", "files or folders of logs, or - for standard input"),
		RunE: func(c *cobra.Command, args []string) error { return runScan(c.Context(), p, &f, args) },
	}
	f.register(c)
	flags := c.Flags()
	flags.StringVarP(&f.output, "output", "o", "table", "`format` of the matches: "+strings.Join(report.Names(), ", "))
	flags.StringVar(&f.failOn, "fail-on", "", "exit with 1 when something of this `level` or above matched")
	flags.BoolVar(&f.episodes, "detections", false, "run correlations and print detections instead of single matches: one for each episode")
	flags.BoolVar(&f.stats, "stats", false, "print figures of the scan on standard error")
	complete(c, "output", report.Names())
	complete(c, "format", formatNames())
	complete(c, "min-level", levelNames())
	complete(c, "fail-on", levelNames())
	return c
}

// somePaths demands at least one argument and says what it is.
func somePaths(verb, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usageError("%s needs %s\nRun 'tiercel %s --help' for examples", verb, what, verb)
		}
		return nil
	}
}

func complete(c *cobra.Command, flag string, values []string) {
	// The error is for a flag that does not exist; the tests of completion see it.
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func levelNames() []string {
	var names []string
	for l := rule.Informational; l <= rule.Critical; l++ {
		names = append(names, l.String())
	}
	return names
}

func parseLevel(flag, text string) (rule.Level, error) {
	l, ok := rule.ParseLevel(strings.ToLower(text))
	if !ok {
		return 0, usageError("--%s %q is not a level; choose one of %s", flag, text, strings.Join(levelNames(), ", "))
	}
	return l, nil
}

// parseTime reads the value of --from or --to. end makes a date its last
// instant plus one, so that --to includes the day.
func parseTime(flag, text string, zone *time.Location, end bool) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, text, zone)
	if err != nil {
		return time.Time{}, usageError("--%s %q is not a time; write 2026-03-01 or 2026-03-01T09:30:00Z", flag, text)
	}
	if end {
		t = t.AddDate(0, 0, 1)
	}
	return t, nil
}

// prepare loads rules and packs and makes the pipeline's configuration.
// measured makes the engine measure each rule.
func (f *scanFlags) prepare(p *process, measured bool) (pipeline.Config, *pipeline.Sigma, *rulefile.Result, error) {
	none := func(err error) (pipeline.Config, *pipeline.Sigma, *rulefile.Result, error) {
		return pipeline.Config{}, nil, nil, err
	}
	minLevel, err := parseLevel("min-level", f.minLevel)
	if err != nil {
		return none(err)
	}
	zone, err := time.LoadLocation(f.zone)
	if err != nil || f.zone == "Local" {
		return none(usageError("--zone %q is not a time zone; write a name of the IANA database, as Europe/Berlin", f.zone))
	}
	from, err := parseTime("from", f.from, zone, false)
	if err != nil {
		return none(err)
	}
	to, err := parseTime("to", f.to, zone, true)
	if err != nil {
		return none(err)
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return none(usageError("--from %s is not before --to %s; no event can be in between", f.from, f.to))
	}
	if f.format != "" && !slices.Contains(formatNames(), f.format) {
		return none(usageError("--format %q is unknown%s\nKnown are %s", f.format, didYouMean(f.format, formatNames()), strings.Join(formatNames(), ", ")))
	}
	if f.jobs < 0 || f.jobs > pipeline.JobsMax {
		return none(usageError("--jobs %d is not between 1 and %d", f.jobs, pipeline.JobsMax))
	}
	res, err := f.content.load(p.world)
	if err != nil {
		return none(err)
	}
	if len(res.Set.Rules) == 0 {
		return none(noRules(res))
	}
	set, err := f.content.packSet(p.world)
	if err != nil {
		return none(err)
	}
	var enabled []*rule.Rule
	for _, r := range res.Set.Rules {
		// What only feeds correlations is no match of its own.
		if f.episodes || r.Level >= minLevel && !res.Set.Silent(r.ID) {
			enabled = append(enabled, r)
		}
	}
	var now func() int64
	if measured {
		now = func() int64 { return p.world.Clock.Now().UnixNano() }
	}
	engine := pipeline.NewSigma(enabled, set, now)
	jobs := f.jobs
	if jobs == 0 {
		jobs = runtime.GOMAXPROCS(0)
	}
	return pipeline.Config{
		Env: p.world, Engine: engine, Stdin: p.stdin, Formats: allFormats(), Format: f.format,
		Zone: zone, Jobs: jobs, From: from, To: to,
	}, engine, res, nil
}

func runScan(ctx context.Context, p *process, f *scanFlags, paths []string) error {
	failOn := rule.Critical + 1
	if f.failOn != "" {
		var err error
		if failOn, err = parseLevel("fail-on", f.failOn); err != nil {
			return err
		}
		if lowest, err := parseLevel("min-level", f.minLevel); err == nil && failOn < lowest {
			return usageError("--fail-on %s is below --min-level %s, whose rules alone are run; lower --min-level", f.failOn, f.minLevel)
		}
	}
	if !slices.Contains(report.Names(), f.output) {
		return usageError("--output %q is unknown%s\nKnown are %s", f.output, didYouMean(f.output, report.Names()), strings.Join(report.Names(), ", "))
	}
	config, engine, res, err := f.prepare(p, false)
	if err != nil {
		return err
	}
	config.Paths = paths
	content := contentStats{
		disabled: len(res.Set.Disabled), refused: res.Refused, correlations: len(res.Set.Correlations),
	}
	var episodes *detectionScan
	if f.episodes {
		if episodes, err = newDetectionScan(p, engine, res.Set, f, p.stdout); err != nil {
			return err
		}
		defer episodes.close()
	}
	res = nil // the documents are not needed any more, and are large
	if content.refused > 0 {
		fmt.Fprintf(p.stderr, "tiercel: %s could not be used; run 'tiercel rule lint' on them to see why\n", plural(content.refused, "rule document"))
	}
	unfedNote(p.stderr, len(engine.Unviewed()))

	bar := startProgress(p, &config)
	var out io.Writer = p.stdout
	if bar != nil && p.stdoutTerminal {
		out = bar // above the bar, so that the two do not overwrite each other
	}
	buffered := bufio.NewWriterSize(out, 64<<10)
	w, err := report.New(f.output, buffered, report.Options{Color: p.color(), Version: version})
	if err != nil {
		return &codedError{exitUsage, err}
	}
	problems := newProblemLog(p, bar)
	config.Problem = problems.add
	var unrouted unroutedLog
	config.Unrouted = unrouted.add
	config.Match = func(m *pipeline.Match) error {
		if episodes != nil {
			return episodes.stage2.Add(m)
		}
		if err := w.Match(m); err != nil {
			return err
		}
		if p.stdoutTerminal {
			return buffered.Flush()
		}
		return nil
	}
	stats, err := pipeline.Scan(ctx, config)
	interrupted := errors.Is(err, context.Canceled)
	if err == nil || interrupted {
		closing := func() error { return errors.Join(w.Close(&stats), buffered.Flush()) }
		if episodes != nil {
			closing = episodes.finish
		}
		if closeErr := closing(); closeErr != nil && !interrupted {
			err = closeErr
		}
	}
	problems.end()
	bar.stop()
	unrouted.writeTo(p.stderr)
	if f.stats {
		printStats(p.stderr, &stats, engine, content)
	}
	switch {
	case interrupted:
		return &codedError{exitInterrupted, errors.New("interrupted; what was found by then was written")}
	case err != nil:
		return &codedError{exitInput, fmt.Errorf("cannot write the matches: %w", err)}
	}
	for l := failOn; l <= rule.Critical; l++ {
		if episodes == nil && stats.Matches[l] > 0 || episodes != nil && episodes.levels[l] > 0 {
			return &codedError{exitFailed, nil}
		}
	}
	if stats.Problems > 0 {
		return &codedError{exitInput, nil}
	}
	return nil
}

// plural writes "1 match", "2 matches".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "ch") {
		return fmt.Sprintf("%d %ses", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
