package rulefile_test

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
	"github.com/tiercel-io/tiercel/rule/ruletest"
)

// Each micro case loads, is refused or waits for values as it says, with
// exactly the warnings it names. What matches is for the engine's tests.
func TestMicroCases(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../testdata/micro.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases, err := ruletest.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 140 {
		t.Errorf("only %d cases were read", len(cases))
	}
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			docs, diags := rulefile.ParseBytes("micro.yml", c.YAML)
			options := rule.Options{Values: map[string]rule.ValueList{}}
			for name, values := range c.Lists {
				options.Values[name] = rule.ValueList{Values: values}
			}
			set, more := rule.Link(docs, options)
			diags = append(diags, more...)
			var lints, errors []string
			for _, d := range diags {
				if d.Severity == rule.Error {
					errors = append(errors, string(d.Code))
				} else {
					lints = append(lints, string(d.Code))
				}
			}
			slices.Sort(lints)
			if diff := cmp.Diff(c.Lints, slices.Compact(lints)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			switch c.Want {
			case ruletest.Refused:
				if len(set.Rules) != 0 || !slices.Equal(errors, []string{c.Detail}) {
					t.Errorf("errors %v, want %s alone\n%s", errors, c.Detail, c.YAML)
				}
			case ruletest.NeedsValues:
				if len(set.Rules) != 0 || len(set.Disabled) != 1 || !slices.Equal(set.Disabled[0].NeedsValues, []string{c.Detail}) || errors != nil {
					t.Errorf("disabled %v, errors %v; want it to need %s", set.Disabled, errors, c.Detail)
				}
			default:
				if len(set.Rules) != 1 || errors != nil {
					t.Errorf("the rule does not load: %v\n%s", diags, c.YAML)
				}
			}
		})
	}
}
