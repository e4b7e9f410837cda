package casetest_test

import (
	"io/fs"
	"os"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/format/formats"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
	"github.com/tiercel-io/tiercel/rules"
	"github.com/tiercel-io/tiercel/rules/casetest"
	"github.com/tiercel-io/tiercel/rules/rulecase"
)

// shipped loads the shipped rules and the suites of all of them, by id.
func shipped(t *testing.T) (*rule.Set, map[string]*rulecase.Suite) {
	t.Helper()
	here := os.DirFS("..")
	paths, err := fs.Glob(rules.FS, "*/rule.yml")
	if err != nil {
		t.Fatal(err)
	}
	suites := map[string]*rulecase.Suite{}
	for i, p := range paths {
		s, err := rulecase.Load(here, p[:len(p)-len("rule.yml")]+"cases.yml")
		if err != nil {
			t.Error(err)
			continue
		}
		suites[s.Rule] = s
		paths[i] = "../" + p
	}
	r, err := rulefile.Load(vfs.Default, paths, rulefile.Options{Link: rule.Options{Experimental: true}})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Diagnostics {
		t.Errorf("%s", d)
	}
	return r.Set, suites
}

func bench(t *testing.T, set *rule.Set) *casetest.Bench {
	t.Helper()
	packs, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	return casetest.New(set, packs, formats.All())
}

var embedded = sync.OnceValues(pack.Embedded)

// Every case of every shipped rule and correlation holds.
func TestShipped(t *testing.T) {
	t.Parallel()
	set, suites := shipped(t)
	b := bench(t, set)
	r := b.Runner()
	correlations := 0
	for _, c := range set.Correlations {
		if suites[c.ID] != nil {
			correlations++
		}
	}
	if correlations < correlationsMin {
		t.Errorf("%d correlations are shipped, want at least %d", correlations, correlationsMin)
	}
	for id, s := range suites {
		results, err := r.Run(s, nil)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		for _, res := range results {
			for _, f := range append(res.Failures, res.WhyNot...) {
				t.Errorf("%s: case %q: %s", id, res.Case, f)
			}
		}
	}
}

const correlationsMin = 15
