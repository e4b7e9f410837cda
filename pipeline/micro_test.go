package pipeline_test

import (
	"os"
	"testing"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
	"github.com/tiercel-io/tiercel/rule/ruletest"
)

// The micro cases of the language that ask for routing, through the packs.
func TestMicroCasesOfRouting(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../rule/testdata/micro.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases, err := ruletest.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	packs, err := pack.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, c := range cases {
		if c.View == nil {
			continue
		}
		ran++
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			docs, _ := rulefile.ParseBytes("micro.yml", c.YAML)
			set, diags := rule.Link(docs, rule.Options{})
			if len(set.Rules) != 1 {
				t.Fatalf("%d rules: %v", len(set.Rules), diags)
			}
			e := pipeline.NewSigma(set.Rules, packs, nil).NewEvaluator()
			var rec event.Record
			rec.Reset(c.Event)
			rec.Format = "json"
			if err := rec.Tree.ParseJSON(c.Event); err != nil {
				t.Fatal(err)
			}
			if !e.Route(&rec).Claimed {
				t.Fatal("no pack knows the record")
			}
			if got := len(e.Match()) == 1; got != (c.Want == ruletest.Match) {
				t.Errorf("%s: match is %v\nevent %s\n%s", c.Trap, got, c.Event, c.YAML)
			}
		})
	}
	if ran < 4 {
		t.Errorf("%d cases ask for routing, want V1 to V4", ran)
	}
}
