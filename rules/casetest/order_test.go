package casetest_test

import (
	"math/rand/v2"
	"testing"

	"github.com/tiercel-io/tiercel/rules/rulecase"
)

// Events that arrive in another order, within the lateness, give the same
// detections: each case of a shipped correlation is played again with all its
// events shuffled and nothing declared complete until the end.
func TestArrivalOrder(t *testing.T) {
	t.Parallel()
	const seed, rounds = 7, 2
	set, suites := shipped(t)
	runner := bench(t, set).Runner()
	random := rand.New(rand.NewPCG(seed, seed))
	played := 0
	for _, c := range set.Correlations {
		s := suites[c.ID]
		if s == nil {
			continue
		}
		for range rounds {
			shuffled := rulecase.Suite{Rule: s.Rule}
			for _, one := range s.Cases {
				if one.Scenario != nil {
					continue // its events come in the order it makes them
				}
				var all []rulecase.Delivery
				for _, step := range one.Steps {
					all = append(all, step.Deliveries...)
				}
				random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				lateness := rulecase.Span(rulecase.SpanMax)
				one.Lateness = &lateness
				one.Steps = rulecase.Steps{{Deliveries: all}}
				shuffled.Cases = append(shuffled.Cases, one)
				played++
			}
			results, err := runner.Run(&shuffled, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				for _, f := range r.Failures {
					t.Errorf("seed %d, %q: case %q: %s", seed, c.Title, r.Case, f)
				}
			}
		}
	}
	if played == 0 {
		t.Error("no case was played")
	}
}
