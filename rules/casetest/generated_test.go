package casetest_test

import (
	"strings"
	"testing"
)

// A case takes its events from a scenario, in its order, and what it expects is
// compared exactly. The attack makes an AWS identity be refused.
func TestScenarioCases(t *testing.T) {
	t.Parallel()
	const attack = "    scenario: {attacks: [aws-key-leak], duration: 1h}\n"
	for name, c := range map[string]struct {
		n              int
		body           string
		failures, whys string
	}{
		"none in the background":       {4, "    scenario: {attacks: none, duration: 1h}\n    expect: none\n", "", ""},
		"no match in the background":   {4, "    scenario: {attacks: none, duration: 1h}\n    matches: 0\n", "", ""},
		"the attack is found":          {4, attack + "    expect: none\n", `+ "Refused" count`, ""},
		"the attack matches":           {4, attack + "    matches: 0\n", "events match, want 0", ""},
		"too few match":                {4, attack + "    matches: 100000\n", "events match, want 100000", `no event matches the rule "Refused"; the nearest is at line 10`},
		"expected and did not come":    {1, "    scenario: {attacks: none, duration: 1h}\n    expect: [{count: 3}]\n", `- "Three refusals" count 3`, `no event matches the rule "Refused"; the nearest is at line 10`},
		"a correlation has no matches": {1, attack + "    matches: 1\n", "write `expect` instead of `matches`", ""},
		"a slip in the name":           {1, "    scenario: {attacks: [aws-key-laek]}\n    expect: none\n", `line 10: there is no attack "aws-key-laek"; did you mean "aws-key-leak"?`, ""},
		"a part of the name":           {1, "    scenario: {attacks: [ransomware]}\n    expect: none\n", `did you mean "phishing-ransomware"?`, ""},
		"a name like no other":         {1, "    scenario: {attacks: [xyzzy]}\n    expect: none\n", "or some of aws-key-leak, ", ""},
		"none among others":            {1, "    scenario: {attacks: [aws-key-leak, none]}\n    expect: none\n", `there is no attack "none"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failures, why := runCase(t, c.n, c.body)
			if (failures == "") != (c.failures == "") || !strings.Contains(failures, c.failures) || !strings.Contains(why, c.whys) {
				t.Errorf("failures %s\nwhy not %s\nwant %s\nand %s", failures, why, c.failures, c.whys)
			}
		})
	}
}
