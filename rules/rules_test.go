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

// content loads every shipped rule, by id: without those that only feed a
// correlation of the same file.
func content(t *testing.T) map[string]*rule.Rule {
	t.Helper()
	out := map[string]*rule.Rule{}
	for _, r := range load(t).Rules {
		if path.Base(path.Dir(r.File)) == r.ID {
			out[r.ID] = r
		}
	}
	return out
}

// load loads everything that is shipped; all of it must be in use.
func load(t *testing.T) *rule.Set {
	t.Helper()
	paths, err := fs.Glob(rules.FS, "*/rule.yml")
	if err != nil {
		t.Fatal(err)
	}
	r, err := rulefile.Load(vfs.Default, paths, rulefile.Options{Link: rule.Options{Experimental: true}})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Diagnostics {
		t.Errorf("%s", d)
	}
	if n := len(r.Set.Rules) + len(r.Set.Correlations); n != len(r.Documents) {
		t.Errorf("%d of %d documents are enabled", n, len(r.Documents))
	}
	return r.Set
}

// document is what a test of the metadata looks at, of rules and correlations.
type document struct {
	id, file, title, status, author, description, date string
	tags, references, falsePositives                   []string
}

// documents are the rules and correlations that folders are named for, by id,
// and those that only feed a correlation beside them.
func documents(t *testing.T) (main, fed map[string]document) {
	t.Helper()
	main, fed = map[string]document{}, map[string]document{}
	set := load(t)
	add := func(d document) {
		if path.Base(path.Dir(d.file)) == d.id {
			main[d.id] = d
		} else {
			fed[d.id] = d
		}
	}
	for _, r := range set.Rules {
		add(document{r.ID, r.File, r.Title, r.Status, r.Author, r.Description, r.Date, r.Tags, r.References, r.FalsePositives})
		if r.License != "Apache-2.0" {
			t.Errorf("%s: license %q", r.ID, r.License)
		}
	}
	for _, c := range set.Correlations {
		add(document{c.ID, c.File, c.Title, c.Status, c.Author, c.Description, c.Date, c.Tags, c.References, c.FalsePositives})
	}
	for id, d := range main {
		if set.Silent(id) {
			t.Errorf("%s: %q is kept silent by a correlation that names it; say generate: true there", d.file, d.title)
		}
	}
	for id, d := range fed {
		if !set.Silent(id) {
			t.Errorf("%s: %q is in the folder of another document and no correlation keeps it silent", d.file, d.title)
		}
	}
	return main, fed
}

func TestContent(t *testing.T) {
	t.Parallel()
	if n := len(content(t)); n < rulesMin {
		t.Errorf("%d rules are shipped, want at least %d", n, rulesMin)
	}
	loaded, fed := documents(t)
	titles := map[string]string{}
	for _, list := range []map[string]document{loaded, fed} {
		for id, d := range list {
			if !uuid4.MatchString(id) {
				t.Errorf("%s: the id is no random UUID", d.file)
			}
			if other, ok := titles[d.title]; ok {
				t.Errorf("%s and %s are both called %q", id, other, d.title)
			}
			titles[d.title] = id
		}
	}
	for _, d := range loaded {
		metadata(t, d)
	}
	for id, d := range fed {
		if loaded[path.Base(path.Dir(d.file))].id == "" {
			t.Errorf("%s: no document has the id of the folder of %s", d.file, id)
		}
		if d.author != "Tiercel" || d.status != "test" || d.description == "" || d.date == "" {
			t.Errorf("%s: author, status, description or date is missing", id)
		}
	}
}

var (
	tacticTag    = regexp.MustCompile(`^attack\.[a-z]+(-[a-z]+)*$`)
	techniqueTag = regexp.MustCompile(`^attack\.t[0-9]{4}(\.[0-9]{3})?$`)
)

// metadata checks what a person needs besides the logic.
func metadata(t *testing.T, r document) {
	t.Helper()
	if r.author != "Tiercel" {
		t.Errorf("%s: author %q", r.id, r.author)
	}
	if r.status != "test" && r.status != "stable" {
		t.Errorf("%s: status %q", r.id, r.status)
	}
	if len(r.description) < 150 || len(r.falsePositives) == 0 || len(r.references) < 2 || r.date == "" {
		t.Errorf("%s: description, falsepositives, references or date is missing or too short", r.id)
	}
	tactics, techniques := 0, 0
	for _, tag := range r.tags {
		switch {
		case techniqueTag.MatchString(tag):
			techniques++
		case tacticTag.MatchString(tag):
			tactics++
		}
	}
	if tactics == 0 || techniques == 0 {
		t.Errorf("%s: tags %v name no tactic or no technique", r.id, r.tags)
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
		if !f.IsDir() || f.Name() == "rulecase" || f.Name() == "casetest" {
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
	loaded, _ := documents(t)
	for id := range loaded {
		s := all[id]
		if s == nil {
			t.Errorf("%s has no cases", id)
			continue
		}
		delete(all, id)
		matches, misses := 0, 0
		for _, c := range s.Cases {
			if c.Matches != nil && *c.Matches > 0 || c.Expect != nil && len(c.Expect.Detections) > 0 {
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
