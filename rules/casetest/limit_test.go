package casetest

import (
	"testing"

	"github.com/tiercel-io/tiercel/rules/rulecase"
	"github.com/tiercel-io/tiercel/scenario"
)

// The largest scenario that a case may ask for, with all attacks, stays within
// the limits of a case, and brings audit events as well as JSON.
func TestLargestScenario(t *testing.T) {
	t.Parallel()
	want := &rulecase.Scenario{
		Hosts: rulecase.ScenarioHostsMax, Users: rulecase.ScenarioUsersMax,
		Start: rulecase.ScenarioStartDefault, Duration: rulecase.ScenarioDurationMax,
	}
	for _, a := range scenario.List() {
		want.Attacks = append(want.Attacks, a.Name)
	}
	deliveries, err := generate(want)
	if err != nil {
		t.Fatal(err)
	}
	formats := map[string]int{}
	for _, d := range deliveries {
		formats[d.Format]++
	}
	if formats[""] == 0 || formats["auditd"] == 0 || len(formats) != 2 {
		t.Errorf("events by format: %v, want JSON and auditd", formats)
	}
}
