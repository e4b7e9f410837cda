package rulefile_test

import (
	"os"
	"slices"
	"testing"

	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
	"github.com/tiercel-io/tiercel/rule/ruletest"
)

// The correlations of the micro cases load, or are refused as they say, and
// silence their rules or not.
func TestMicroCorrelations(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../testdata/micro-correlation.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases, err := ruletest.ParseCorrelations(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 27 {
		t.Errorf("%d cases, want 27", len(cases))
	}
	for _, c := range cases {
		docs, diags := rulefile.ParseBytes("micro.yml", c.YAML)
		set, more := rule.Link(docs, rule.Options{})
		diags = append(diags, more...)
		var errors []string
		for _, d := range diags {
			if d.Severity == rule.Error {
				errors = append(errors, string(d.Code))
			} else {
				t.Errorf("%s: %s", c.ID, d)
			}
		}
		refused := false
		for _, w := range c.Want {
			id := ""
			for _, r := range set.Rules {
				if r.Name == w.Subject {
					id = r.ID
				}
			}
			switch w.What {
			case "refused":
				refused = true
				if !slices.Contains(errors, w.Subject) {
					t.Errorf("%s: errors %v, want %s", c.ID, errors, w.Subject)
				}
			case "silent", "alone":
				if set.Silent(id) != (w.What == "silent") {
					t.Errorf("%s: %s is not %s", c.ID, w.Subject, w.What)
				}
			}
		}
		if refused != (len(errors) > 0) || refused != (len(set.Correlations) == 0) || len(set.Rules) != 3 {
			t.Errorf("%s: %d rules, %d correlations, %v", c.ID, len(set.Rules), len(set.Correlations), diags)
		}
		if !refused && len(c.Steps) == 0 {
			t.Errorf("%s: nothing happens", c.ID)
		}
	}
}
