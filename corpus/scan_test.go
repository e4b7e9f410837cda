package corpus

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.yaml.in/yaml/v3"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/evtx"
	jsonformat "github.com/tiercel-io/tiercel/format/json"
	"github.com/tiercel-io/tiercel/format/winxml"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
)

// root returns the folder of the unpacked corpora.
func root(t testing.TB) string {
	dir := os.Getenv("TIERCEL_CORPUS")
	if dir == "" {
		t.Skip("set TIERCEL_CORPUS to the unpacked corpora")
	}
	return dir
}

var formats = []format.Format{evtx.Format(), winxml.Format(), jsonformat.Format()}

// content is the public rule set, compiled once for all tests.
type content struct {
	engine *pipeline.Sigma
	byID   map[string]*rule.Rule
}

var sigma = sync.OnceValues(func() (*content, error) {
	dir := os.Getenv("TIERCEL_CORPUS")
	paths, err := filepath.Glob(filepath.Join(dir, "sigma", "rules*"))
	if err != nil {
		return nil, err
	}
	res, err := rulefile.Load(vfs.Default, paths, rulefile.Options{})
	if err != nil {
		return nil, err
	}
	set, err := pack.Embedded()
	if err != nil {
		return nil, err
	}
	c := &content{engine: pipeline.NewSigma(res.Set.Rules, set, nil), byID: map[string]*rule.Rule{}}
	for _, r := range res.Set.Rules {
		c.byID[r.ID] = r
	}
	return c, nil
})

func rules(t testing.TB) *content {
	t.Helper()
	c, err := sigma()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// scan runs the scan that `tiercel scan` runs and returns its matches.
func scan(t testing.TB, c *content, jobs int, paths ...string) []*pipeline.Match {
	t.Helper()
	var out []*pipeline.Match
	_, err := pipeline.Scan(context.Background(), pipeline.Config{
		Env: env.Real(), Engine: c.engine, Paths: paths, Formats: formats, Jobs: jobs,
		Match:   func(m *pipeline.Match) error { out = append(out, m); return nil },
		Problem: func(path string, list []format.Problem, n int) { t.Errorf("%s: %d problems: %v", path, n, list) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// difference is a set of matches that differ from what was computed by another
// engine, with the part of the specification that decides it.
type difference struct {
	Set     string `yaml:"set"`     // evtx or windows-attacks
	Rule    string `yaml:"rule"`    // id
	Found   int    `yaml:"found"`   // matches found that were not expected
	Missing int    `yaml:"missing"` // matches expected that were not found
	View    string `yaml:"view"`    // the view of all matches found, "" when none
	Decides string `yaml:"decides"`
}

// compare checks matches, each a key of the columns of an expected file and
// the view it was found in, against that file and the listed differences.
func compare(t *testing.T, set string, got map[string]string, want map[string]bool, c *content) {
	t.Helper()
	data, err := os.ReadFile("testdata/differences.yml")
	if err != nil {
		t.Fatal(err)
	}
	var listed []difference
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&listed); err != nil {
		t.Fatal(err)
	}
	type sums struct {
		found, missing int
		views          map[string]bool
		example        string
	}
	actual := map[string]*sums{}
	at := func(key string) *sums {
		id := key[strings.LastIndexByte(key, '\t')+1:]
		if actual[id] == nil {
			actual[id] = &sums{views: map[string]bool{}}
		}
		if s := actual[id]; s.example == "" || key < s.example {
			s.example = key
		}
		return actual[id]
	}
	for key, view := range got {
		if !want[key] {
			s := at(key)
			s.found++
			s.views[view] = true
		}
	}
	for key := range want {
		if _, ok := got[key]; !ok {
			at(key).missing++
		}
	}
	for _, d := range listed {
		if d.Set != set {
			continue
		}
		s := actual[d.Rule]
		delete(actual, d.Rule)
		if s == nil {
			s = &sums{}
		}
		var views []string
		for v := range s.views {
			views = append(views, v)
		}
		sort.Strings(views)
		if s.found != d.Found || s.missing != d.Missing || strings.Join(views, " ") != d.View {
			t.Errorf("rule %s: %d found in %v and %d missing, the list says %d in %q and %d", d.Rule, s.found, views, s.missing, d.Found, d.View, d.Missing)
		}
		if d.Decides == "" {
			t.Errorf("rule %s: no reason is given", d.Rule)
		}
	}
	for id, s := range actual {
		title := "(not loaded)"
		if r := c.byID[id]; r != nil {
			title = r.Title
		}
		t.Errorf("rule %s %q: %d found in %v, %d missing, not listed; first: %s", id, title, s.found, s.views, s.missing, s.example)
	}
	t.Logf("%s: %d matches found, %d expected", set, len(got), len(want))
}

// expected reads columns of a tab-separated file as keys.
func expected(t *testing.T, name string, columns ...int) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root(t), "expected", name))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		if i == 0 {
			continue
		}
		cells := strings.Split(line, "\t")
		var key []string
		for _, c := range columns {
			key = append(key, cells[c])
		}
		want[strings.Join(key, "\t")] = true
	}
	return want
}

func TestWindowsAttacks(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(root(t), "windows-attacks")
	c := rules(t)
	got := map[string]string{}
	for _, m := range scan(t, c, 2, dir) {
		rel, err := filepath.Rel(dir, m.Source.Path)
		if err != nil {
			t.Fatal(err)
		}
		got[fmt.Sprintf("%s\t%d\t%s", strings.TrimSuffix(rel, ".jsonl"), m.Source.Line, m.Rule.ID)] = m.View
	}
	compare(t, "windows-attacks", got, expected(t, "windows-attacks.tsv", 0, 1, 3), c)
}

func TestEVTX(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(root(t), "evtx")
	c := rules(t)
	got := map[string]string{}
	for _, m := range scan(t, c, 2, dir) {
		rel, err := filepath.Rel(dir, m.Source.Path)
		if err != nil {
			t.Fatal(err)
		}
		got[fmt.Sprintf("%s\t%d\t%s", rel, m.Source.Record, m.Rule.ID)] = m.View
	}
	compare(t, "evtx", got, expected(t, "evtx.tsv", 0, 1, 2), c)
}

// TestRegression scans the log of each regression case, as EVTX and as JSON,
// and asks that its rule fires. The count that a case gives is a lower bound:
// three cases say 1 of logs in which two or three records fit their rule.
func TestRegression(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(root(t), "regression")
	c := rules(t)
	cases := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "info.yml" {
			return err
		}
		cases++
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var info struct {
			RuleMetadata []struct {
				ID string `yaml:"id"`
			} `yaml:"rule_metadata"`
			Tests []struct {
				Type       string `yaml:"type"`
				MatchCount int    `yaml:"match_count"`
				Path       string `yaml:"path"`
			} `yaml:"regression_tests_info"`
		}
		if err := yaml.Unmarshal(data, &info); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, test := range info.Tests {
			log := filepath.Join(filepath.Dir(path), filepath.Base(test.Path))
			for _, file := range []string{log, strings.TrimSuffix(log, ".evtx") + ".json"} {
				fired := 0
				for _, m := range scan(t, c, 1, file) {
					if m.Rule.ID == info.RuleMetadata[0].ID {
						fired++
					}
				}
				if fired == 0 || fired < test.MatchCount {
					t.Errorf("%s: rule %s fired %d times, want %d or more", file, info.RuleMetadata[0].ID, fired, max(1, test.MatchCount))
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if cases != 110 {
		t.Errorf("%d cases, want 110", cases)
	}
}

// TestSameOutput scans a part of the corpora twenty times with one, two and
// eight jobs.
func TestSameOutput(t *testing.T) {
	t.Parallel()
	paths := []string{filepath.Join(root(t), "evtx", "evtx-attack", "Execution"), filepath.Join(root(t), "evtx"), filepath.Join(root(t), "windows-attacks", "execution")}
	c := rules(t)
	var first []byte
	for run := range 20 {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		for _, m := range scan(t, c, []int{1, 2, 8}[run%3], paths...) {
			line := []any{m.Rule.ID, m.View, m.Time, m.TimeQuality.String(), m.Host, m.Source, m.Fields, string(m.Event)}
			if err := enc.Encode(line); err != nil {
				t.Fatal(err)
			}
		}
		if run == 0 {
			first = b.Bytes()
			if len(first) == 0 {
				t.Fatal("no match at all")
			}
			continue
		}
		if !bytes.Equal(first, b.Bytes()) {
			t.Fatalf("run %d with %s jobs differs", run, strconv.Itoa([]int{1, 2, 8}[run%3]))
		}
	}
}
