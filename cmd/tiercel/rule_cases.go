package main

import (
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/report"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
	"github.com/tiercel-io/tiercel/rules"
	"github.com/tiercel-io/tiercel/rules/casetest"
	"github.com/tiercel-io/tiercel/rules/rulecase"
)

func newRuleTest(p *process) *cobra.Command {
	var t caseTest
	var run string
	c := &cobra.Command{
		Use:   "test PATH...",
		Short: "Run the cases of rules and correlations",
		Long: "Test takes rule files, case files and folders. The cases of a rule stand beside it in\n" +
			rulecase.FileName + ", and run through packs, rules and correlations as events of a scan would. Each\n" +
			"case says exactly what must come of its events. Correlations may name shipped rules.",
		Example: "  tiercel rule test ./rules\n  tiercel rule test ./my-rule --run 'too late' -v\n  tiercel rule test ./rules --junit report.xml",
		Args:    somePaths("rule test", "rule files, case files or folders of them"),
		RunE: func(_ *cobra.Command, args []string) error {
			if run != "" {
				re, err := regexp.Compile(run)
				if err != nil {
					return usageError("--run: %v", err)
				}
				t.filter = re.MatchString
			}
			return t.run(p, args)
		},
	}
	flags := c.Flags()
	flags.StringVar(&run, "run", "", "only cases whose name matches the `expression`")
	flags.StringVar(&t.junit, "junit", "", "also write the results as JUnit XML to `file`")
	flags.BoolVarP(&t.verbose, "verbose", "v", false, "print each case, and what stopped what did not come")
	flags.StringArrayVar(&t.content.packs, "packs", nil, "`path` of a file or folder of further packs; repeatable")
	flags.StringVar(&t.content.values, "values", "", "YAML `file` with lists for placeholders (modifier expand)")
	return c
}

// caseTest is one run of rule test.
type caseTest struct {
	content contentFlags
	filter  func(name string) bool
	junit   string
	verbose bool
}

// testedSuite is one case file and what became of it.
type testedSuite struct {
	folder  string
	results []casetest.Result
	fault   error // the suite could not be run
	took    time.Duration
}

func (t *testedSuite) failed() bool {
	return t.fault != nil || slices.ContainsFunc(t.results, func(r casetest.Result) bool { return r.Failed() })
}

func (t *caseTest) run(p *process, paths []string) error {
	found, err := findCases(p.world, paths)
	if err != nil {
		return err
	}
	if len(found.cases) == 0 {
		return usageError("no cases were found; the cases of a rule stand beside it in a file %s", rulecase.FileName)
	}
	bench, err := t.bench(p, found)
	if err != nil {
		return err
	}
	runner := bench.Runner()
	var tested []testedSuite
	failed := false
	for _, file := range found.cases {
		began := p.world.Clock.Now()
		s := testedSuite{folder: p.world.FS.PathDir(file)}
		var suite *rulecase.Suite
		if suite, s.fault = readSuite(p.world.FS, file); s.fault == nil {
			s.results, s.fault = runner.Run(suite, t.filter)
		}
		s.took = p.world.Clock.Now().Sub(began)
		if s.fault == nil && len(s.results) == 0 {
			continue // nothing that --run asks for
		}
		failed = failed || s.failed()
		if err := t.print(p.stdout, &s); err != nil {
			return err
		}
		tested = append(tested, s)
	}
	if t.filter == nil {
		for _, folder := range found.without {
			if _, err := fmt.Fprintf(p.stdout, "?   \t%s\tno cases\n", report.Clean(folder, 500)); err != nil {
				return err
			}
		}
	}
	if len(tested) == 0 {
		return usageError("no case has a name that --run matches")
	}
	if t.junit != "" {
		if err := writeJUnit(p.world.FS, t.junit, tested); err != nil {
			return &codedError{exitInput, fmt.Errorf("write %s: %w", t.junit, err)}
		}
	}
	if failed {
		return &codedError{exitFailed, nil}
	}
	return nil
}

// bench loads and compiles what the cases are about, and the shipped rules
// where a correlation names what was not found.
func (t *caseTest) bench(p *process, found *foundCases) (*casetest.Bench, error) {
	o := rule.Options{Experimental: true, Statuses: []string{"stable", "test", "experimental", "deprecated", "unsupported"}}
	if t.content.values != "" {
		values, diags := rulefile.LoadValues(p.world.FS, t.content.values)
		if rule.HasErrors(diags) {
			return nil, usageError("placeholder values: %v", diags[0])
		}
		o.Values = values
	}
	res, err := rulefile.Load(p.world.FS, found.content, rulefile.Options{Link: o})
	if err != nil {
		return nil, &codedError{exitUsage, err}
	}
	if slices.ContainsFunc(res.Diagnostics, func(d rule.Diagnostic) bool { return d.Code == rule.CodeCorrelationUnmet }) {
		if err := withShipped(res, o); err != nil {
			return nil, err
		}
	}
	for _, d := range res.Diagnostics {
		if d.Severity == rule.Error {
			fmt.Fprintf(p.stderr, "tiercel: %s\n", report.Clean(d.String(), 4000))
		}
	}
	packs, err := t.content.packSet(p.world)
	if err != nil {
		return nil, err
	}
	return casetest.New(res.Set, packs, allFormats()), nil
}

// withShipped links the documents again, together with those shipped documents
// that they are not themselves.
func withShipped(res *rulefile.Result, o rule.Options) error {
	shipped, err := shippedDocuments()
	if err != nil {
		return err
	}
	own := map[string]bool{}
	for _, d := range res.Documents {
		own[d.ID] = true
	}
	docs := slices.Clone(res.Documents)
	for _, d := range shipped {
		if !own[d.ID] {
			docs = append(docs, d)
		}
	}
	set, diags := rule.Link(docs, o)
	kept := slices.DeleteFunc(res.Diagnostics, func(d rule.Diagnostic) bool { return d.Code == rule.CodeCorrelationUnmet })
	for _, d := range diags {
		if !slices.ContainsFunc(kept, func(k rule.Diagnostic) bool { return k.Position == d.Position && k.Code == d.Code }) {
			kept = append(kept, d)
		}
	}
	res.Set, res.Diagnostics = set, kept
	return nil
}

// shippedDocuments are the documents inside the binary.
func shippedDocuments() ([]*rule.Document, error) {
	names, err := fs.Glob(rules.FS, "*/rule.yml")
	if err != nil {
		return nil, err
	}
	var out []*rule.Document
	for _, name := range names {
		data, err := fs.ReadFile(rules.FS, name)
		if err != nil {
			return nil, err
		}
		docs, _ := rulefile.ParseBytes("rules/"+name, data)
		out = append(out, docs...)
	}
	return out, nil
}

// print writes a suite as go test writes a package.
func (t *caseTest) print(w io.Writer, s *testedSuite) error {
	var b strings.Builder
	seconds := fmt.Sprintf("%.2fs", s.took.Seconds())
	folder := report.Clean(s.folder, 500)
	switch {
	case s.fault != nil:
		fmt.Fprintf(&b, "FAIL\t%s\t%s\n", folder, report.Clean(s.fault.Error(), 2000))
	case s.failed():
		fmt.Fprintf(&b, "FAIL\t%s\t%s\t%s\n", folder, plural(len(s.results), "case"), seconds)
	case slices.ContainsFunc(s.results, func(r casetest.Result) bool { return r.Waits != "" }):
		fmt.Fprintf(&b, "?   \t%s\t%s\t%s\n", folder, plural(len(s.results), "case"), seconds)
	default:
		fmt.Fprintf(&b, "ok  \t%s\t%s\t%s\n", folder, plural(len(s.results), "case"), seconds)
	}
	for i := range s.results {
		r := &s.results[i]
		name := report.Clean(r.Case, 500)
		switch {
		case r.Failed():
			fmt.Fprintf(&b, "    --- FAIL: %s\n", name)
			for _, f := range r.Failures {
				writeIndented(&b, f)
			}
			for _, why := range r.WhyNot {
				writeIndented(&b, "why not: "+why)
			}
		case r.Waits != "":
			fmt.Fprintf(&b, "    --- WAIT: %s: %s\n", name, report.Clean(r.Waits, 500))
		case t.verbose:
			fmt.Fprintf(&b, "    --- PASS: %s\n", name)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeIndented(b *strings.Builder, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintf(b, "        %s\n", report.Clean(line, 2000))
	}
}

// foundCases are the files under some paths.
type foundCases struct {
	cases   []string // case files
	content []string // what to load as rules
	without []string // folders with rules and without cases
}

const caseFoldersMax = 100_000

// findCases looks for case files in folders, and beside files.
func findCases(world env.Env, paths []string) (*foundCases, error) {
	f := &foundCases{}
	files := world.FS
	for _, path := range paths {
		info, err := files.Stat(path)
		switch {
		case err != nil:
			return nil, &codedError{exitInput, fmt.Errorf("cannot read %s: %w", path, err)}
		case info.IsDir():
			f.content = append(f.content, path)
			if err := f.folder(world, path, 0); err != nil {
				return nil, err
			}
			continue
		}
		beside := files.PathJoin(files.PathDir(path), rulecase.FileName)
		if files.PathBase(path) == rulecase.FileName {
			f.content = append(f.content, files.PathDir(path))
		} else {
			f.content = append(f.content, path)
		}
		if _, err := files.Stat(beside); err != nil {
			f.without = append(f.without, path)
		} else if !slices.Contains(f.cases, beside) {
			f.cases = append(f.cases, beside)
		}
	}
	return f, nil
}

func (f *foundCases) folder(world env.Env, path string, depth int) error {
	files := world.FS
	names, err := files.List(path)
	if err != nil {
		return &codedError{exitInput, fmt.Errorf("cannot list %s: %w", path, err)}
	}
	slices.Sort(names)
	has, hasRule := false, false
	for _, name := range names {
		full := files.PathJoin(path, name)
		if strings.HasPrefix(name, ".") {
			continue
		}
		if name == rulecase.FileName {
			has = true
			if !slices.Contains(f.cases, full) {
				f.cases = append(f.cases, full)
			}
			continue
		}
		if strings.HasSuffix(name, ".yml") || strings.HasSuffix(name, ".yaml") {
			hasRule = true
			continue
		}
		info, err := files.Stat(full)
		if err != nil || !info.IsDir() || depth == rulefile.DirDepthMax || len(f.cases) > caseFoldersMax {
			continue
		}
		if l, ok := files.(env.Links); ok && l.IsLink(full) {
			continue // as a scan does, so that a loop of links ends
		}
		if err := f.folder(world, full, depth+1); err != nil {
			return err
		}
	}
	if hasRule && !has {
		f.without = append(f.without, path)
	}
	return nil
}

// readSuite reads a case file.
func readSuite(files vfs.FS, name string) (*rulecase.Suite, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open the cases: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, rulecase.FileBytesMax+1))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("read the cases in %s: %w", name, err)
	}
	s, err := rulecase.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}
