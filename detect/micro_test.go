package detect_test

import (
	"os"
	"testing"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
	"github.com/tiercel-io/tiercel/rule/ruletest"
)

// Each micro case of the language that loads matches, or not, as it says: from
// the text of the rule to the engine's answer, and to its explanation. Cases
// that ask for routing are for the tests of the pipeline.
func TestMicroCases(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../rule/testdata/micro.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases, err := ruletest.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if c.View != nil || c.Want != ruletest.Match && c.Want != ruletest.Miss {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			docs, _ := rulefile.ParseBytes("micro.yml", c.YAML)
			options := rule.Options{Values: map[string]rule.ValueList{}}
			for name, values := range c.Lists {
				options.Values[name] = rule.ValueList{Values: values}
			}
			set, diags := rule.Link(docs, options)
			if len(set.Rules) != 1 {
				t.Fatalf("%d rules: %v", len(set.Rules), diags)
			}
			plan := event.NewPlan(nil)
			engine := detect.Compile(set.Rules, []event.View{anyView()}, plan)
			reader, m := plan.Reader(), engine.Matcher()
			var tree event.Tree
			if err := tree.ParseJSON(c.Event); err != nil {
				t.Fatal(err)
			}
			reader.Bind(&tree)
			want := c.Want == ruletest.Match
			if got := len(m.Match(reader, []int{0})) == 1; got != want {
				t.Errorf("%s: match is %v\nevent %s\n%s", c.Trap, got, c.Event, c.YAML)
			}
			explained := false
			for i := range set.Rules[0].Conditions {
				explained = explained || m.Explain(reader, 0, 0, i).Holds
			}
			if explained != want {
				t.Errorf("%s: the explanation says %v", c.Trap, explained)
			}
		})
	}
}
