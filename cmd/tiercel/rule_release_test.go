package main

import (
	"context"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/api"
	"github.com/tiercel-io/tiercel/pipeline/stream"
	"github.com/tiercel-io/tiercel/store"
)

// Release implements api.Node: "dear" is taken out, "broken" cannot be loaded.
func (n *liveNode) Release(_ context.Context, id string) (api.Reloaded, error) {
	switch id {
	case "dear":
		return api.Reloaded{Changed: true, Rules: 12}, nil
	case "broken":
		return api.Reloaded{Problems: []string{"a.yml:1:1: it is not\x1b[2J YAML"}}, nil
	}
	return api.Reloaded{}, store.ErrNotFound
}

func TestRuleRelease(t *testing.T) {
	t.Parallel()
	s := newLiveServer(t)
	s.says(t, exitDone, "0 rules taken out for the cost\n", "rule", "release")
	s.node.rules = []api.RuleFigures{
		{ID: "a", Title: "Cheap", Kind: "rule", Level: "low", State: "on", CostSeconds: 1},
		{ID: "dear", Title: "Dear\x1b[2J", Kind: "rule", Level: "high", State: stateHeld, Since: liveTime.Add(-time.Hour), Why: "it took 7 % of a core; the limit is 5 %", Blind: []string{"c1", "c2"}},
	}
	s.says(t, exitDone, `dear  Dear␛[2J (high)
    since 2026-11-22 09:00:30Z: it took 7 % of a core; the limit is 5 %
    blind to it: c1, c2
1 rule taken out for the cost
`, "rule", "release")
	s.says(t, exitDone, `{"id":"dear","title":"Dear\u001b[2J","kind":"rule","level":"high","state":"over_budget","matches":0,"detections":0,"cost_seconds":0,"since":"2026-11-22T09:00:30Z","why":"it took 7 % of a core; the limit is 5 %","blind":["c1","c2"]}
`, "rule", "release", "--json")
	s.says(t, exitDone, "dear runs again, one of 12 rules\n", "rule", "release", "dear")
	s.fails(t, exitFailed, "a.yml:1:1: it is not␛[2J YAML", "rule", "release", "broken")
	s.fails(t, exitInput, "the rule is not taken out", "rule", "release", "other")
	s.fails(t, exitUsage, "is no id", "rule", "release", "../x")
	s.fails(t, exitUsage, "--json is for the list", "rule", "release", "dear", "--json")
}

func TestHeldDetail(t *testing.T) {
	t.Parallel()
	held := []stream.Held{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "d"}, {ID: "e"}}
	for n, want := range map[int]string{
		1: "1 rule taken out for the cost: a; 'tiercel rule release' says why",
		5: "5 rules taken out for the cost: a, b, c and 2 more; 'tiercel rule release' says why",
	} {
		if got := heldDetail(held[:n]); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
