package rules_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
	"github.com/tiercel-io/tiercel/rules"
	"github.com/tiercel-io/tiercel/rules/rulecase"
)

// What every rule must bring, at least.
const (
	rulesMin      = 45
	matchCasesMin = 2
	nearMissesMin = 3
)

var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// content loads every shipped rule, by id.
func content(t *testing.T) map[string]*rule.Rule {
	t.Helper()
	paths, err := fs.Glob(rules.FS, "*/rule.yml")
	if err != nil {
		t.Fatal(err)
	}
	r, err := rulefile.Load(vfs.Default, paths, rulefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Diagnostics {
		t.Errorf("%s", d)
	}
	if len(r.Set.Rules) != len(paths) {
		t.Errorf("%d of %d rules are enabled", len(r.Set.Rules), len(paths))
	}
	out := make(map[string]*rule.Rule, len(paths))
	for _, r := range r.Set.Rules {
		out[r.ID] = r
	}
	return out
}

func TestContent(t *testing.T) {
	t.Parallel()
	loaded := content(t)
	if len(loaded) < rulesMin {
		t.Errorf("%d rules are shipped, want at least %d", len(loaded), rulesMin)
	}
	titles := map[string]string{}
	for id, r := range loaded {
		if !uuid4.MatchString(id) {
			t.Errorf("%s: the id is no random UUID", r.File)
		}
		if folder := path.Base(path.Dir(r.File)); folder != id {
			t.Errorf("folder %s holds the rule %s", folder, id)
		}
		if other, ok := titles[r.Title]; ok {
			t.Errorf("%s and %s are both called %q", id, other, r.Title)
		}
		titles[r.Title] = id
		metadata(t, r)
	}
}

var (
	tacticTag    = regexp.MustCompile(`^attack\.[a-z]+(-[a-z]+)*$`)
	techniqueTag = regexp.MustCompile(`^attack\.t[0-9]{4}(\.[0-9]{3})?$`)
)

// metadata checks what a person needs besides the logic.
func metadata(t *testing.T, r *rule.Rule) {
	t.Helper()
	if r.Author != "Tiercel" || r.License != "Apache-2.0" {
		t.Errorf("%s: author %q, license %q", r.ID, r.Author, r.License)
	}
	if r.Status != "test" && r.Status != "stable" {
		t.Errorf("%s: status %q", r.ID, r.Status)
	}
	if len(r.Description) < 150 || len(r.FalsePositives) == 0 || len(r.References) < 2 || r.Date == "" {
		t.Errorf("%s: description, falsepositives, references or date is missing or too short", r.ID)
	}
	tactics, techniques := 0, 0
	for _, tag := range r.Tags {
		switch {
		case techniqueTag.MatchString(tag):
			techniques++
		case tacticTag.MatchString(tag):
			tactics++
		}
	}
	if tactics == 0 || techniques == 0 {
		t.Errorf("%s: tags %v name no tactic or no technique", r.ID, r.Tags)
	}
}

// suites reads the cases of every folder that holds a rule or cases.
func suites(t *testing.T) map[string]*rulecase.Suite {
	t.Helper()
	here := os.DirFS(".")
	folders, err := fs.ReadDir(here, ".")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*rulecase.Suite{}
	for _, f := range folders {
		if !f.IsDir() || f.Name() == "rulecase" {
			continue
		}
		s, err := rulecase.Load(here, f.Name()+"/cases.yml")
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if s.Rule != f.Name() {
			t.Errorf("%s/cases.yml is about rule %s", f.Name(), s.Rule)
		}
		out[f.Name()] = s
	}
	return out
}

func TestEveryRuleHasCases(t *testing.T) {
	t.Parallel()
	all := suites(t)
	for id := range content(t) {
		s := all[id]
		if s == nil {
			t.Errorf("%s has no cases", id)
			continue
		}
		delete(all, id)
		matches, misses := 0, 0
		for _, c := range s.Cases {
			if *c.Matches > 0 {
				matches++
			} else {
				misses++
			}
		}
		if matches < matchCasesMin || misses < nearMissesMin {
			t.Errorf("%s has %d matches and %d near misses, want %d and %d", id, matches, misses, matchCasesMin, nearMissesMin)
		}
	}
	for id := range all {
		t.Errorf("%s has cases and no rule", id)
	}
}
