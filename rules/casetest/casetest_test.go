package casetest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
	"github.com/tiercel-io/tiercel/rules/rulecase"
)

const content = `
title: Three refusals
id: 6f5fbb1a-0000-4000-8000-000000000001
name: three
correlation:
  type: event_count
  rules: [refused]
  group-by: [userIdentity.arn]
  timespan: 10m
  condition: {gte: 3}
level: low
---
title: Two addresses
id: 6f5fbb1a-0000-4000-8000-000000000002
correlation:
  type: value_count
  rules: [refused]
  group-by: [userIdentity.arn]
  timespan: 10m
  condition: {field: sourceIPAddress, gte: 2}
level: low
---
title: Refused, then allowed
id: 6f5fbb1a-0000-4000-8000-000000000003
correlation:
  type: temporal_ordered
  rules: [three, allowed]
  group-by: [userIdentity.arn]
  timespan: 10m
level: low
---
title: Refused
id: 6f5fbb1a-0000-4000-8000-000000000004
name: refused
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {errorCode: AccessDenied}
  filter_tool: {userAgent: scanner}
  condition: selection and not filter_tool
level: low
---
title: Allowed
id: 6f5fbb1a-0000-4000-8000-000000000005
name: allowed
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {errorCode: null}
  condition: selection
level: low
---
title: Refused and never allowed
id: 6f5fbb1a-0000-4000-8000-000000000007
correlation:
  type: temporal_ordered
  rules: [refused, allowed]
  group-by: [userIdentity.arn]
  timespan: 10m
  condition: refused and not allowed
level: low
---
title: Late or not
id: 6f5fbb1a-0000-4000-8000-000000000006
name: alone
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {eventName: GetObject, readOnly: true}
  condition: selection
level: low
`

const like = `
like:
  no: {event: {eventVersion: '1', eventTime: '${time}', eventSource: s3.amazonaws.com, eventName: GetObject, errorCode: AccessDenied, userAgent: x, sourceIPAddress: 192.0.2.1, userIdentity: {arn: a}}}
  yes: {event: {eventVersion: '1', eventTime: '${time}', eventSource: s3.amazonaws.com, eventName: GetObject, sourceIPAddress: 192.0.2.1, userIdentity: {arn: a}}}
  nobody: {event: {eventVersion: '1', eventTime: '${time}', eventSource: s3.amazonaws.com, eventName: GetObject, errorCode: AccessDenied}}
`

// runCase runs one case of the n-th document of content.
func runCase(t *testing.T, n int, body string) (failures, whyNot string) {
	t.Helper()
	docs, diags := rulefile.ParseBytes("x.yml", []byte(content))
	set, more := rule.Link(docs, rule.Options{Experimental: true})
	for _, d := range append(diags, more...) {
		if d.Severity == rule.Error {
			t.Fatal(d)
		}
	}
	s, err := rulecase.Parse(fmt.Appendf(nil, "rule: 6f5fbb1a-0000-4000-8000-00000000000%d\n%s\ncases:\n  - name: n\n%s", n, like, body))
	if err != nil {
		t.Fatal(err)
	}
	results, err := bench(t, set).Runner().Run(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(results[0].Failures, "\n"), strings.Join(results[0].WhyNot, "\n")
}

// The explanation names the first thing that stopped a detection.
func TestWhyNot(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		n           int
		steps, want string
	}{
		"threshold":    {1, "{like: no, repeat: 2}", "the threshold stopped it: the number of events is 2 within 10m0s, want gte 3"},
		"window":       {1, "{like: no, repeat: 3, every: 6m}", "the window stopped it: the number of events reaches 3 over all the case, but at most 2 within 10m0s"},
		"group key":    {1, "{like: no, repeat: 3, vary: {userIdentity.arn: [a, a, b]}}", "the group key stopped it: the number of events would be 3, but it is spread over 2 groups by userIdentity.arn; the largest, userIdentity.arn=a, has 2"},
		"keyless":      {1, "{like: nobody, repeat: 3}", `matches "Refused", but has no userIdentity.arn to group by`},
		"valueless":    {2, "{like: nobody, repeat: 3}", "has no userIdentity.arn to group by"},
		"values":       {2, "{like: no, repeat: 3}", "the number of different sourceIPAddress is 1 within 10m0s, want gte 2"},
		"predicate":    {1, "{like: no, repeat: 3, set: {errorCode: Throttling}}", `no event matches the rule "Refused"; the nearest is at line 12: errorCode of selection: "Throttling" fits none of the values asked for (read as aws/cloudtrail`},
		"missing":      {1, "{like: yes, repeat: 3}", "errorCode of selection: the event has no such field"},
		"exception":    {1, "{like: no, repeat: 3, set: {userAgent: scanner}}", `the exception of filter_tool holds: userAgent is "scanner", which fits "scanner"`},
		"view":         {1, "{event: {eventType: user.session.start, published: '2026-11-22T08:00:00Z', actor: {}, outcome: {}}}", "it is of pack okta, and none of its views is the rule's logsource"},
		"pack":         {1, "{event: {hello: world}}", "no pack knows what this event is"},
		"chain":        {3, "{like: no, repeat: 2}\n      - {like: yes, at: 1m}", `it rests on "Three refusals": the threshold stopped it`},
		"order":        {3, "{like: yes}\n      - {like: no, at: 1m, repeat: 3}", "the order stopped it: all rules matched, but 1 of 2 in the order listed within 10m0s"},
		"chain window": {3, "{like: no, repeat: 3}\n      - {like: yes, at: 11m}", "the window stopped it: the number of rules reaches 2 over all the case, but at most 1 within 10m0s"},
		"chain group":  {3, "{like: no, repeat: 3}\n      - {like: yes, at: 1m, set: {userIdentity.arn: b}}", "the group key stopped it: the number of rules would be 2"},
		"not absent":   {7, "{like: no}\n      - {like: yes, at: 1m}", "the exception stopped it: allowed matched at line 13, 1m0s after, within 10m0s"},
		"second rule":  {3, "{like: no, repeat: 3}", `no event matches the rule "Allowed"`},
		"a rule alone": {6, "{like: yes}", "readOnly of selection: the event has no such field"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failures, why := runCase(t, c.n, "    expect: [{count: 3}]\n    steps:\n      - "+c.steps+"\n")
			if !strings.Contains(failures, "- \"") || !strings.Contains(why, c.want) {
				t.Errorf("failures %s\nwhy not %s\nwant %s", failures, why, c.want)
			}
		})
	}
}

// A failure shows what was expected next to what came.
func TestDiff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		n    int
		body string
		want []string
	}{
		"all as expected": {1, "    expect: [{count: 4, group: {userIdentity.arn: a}, first: 0s, last: 3m, phase: closed, late: false}]\n    steps: [{like: no, repeat: 4, every: 1m}]\n", nil},
		"differs": {1, "    expect: [{count: 3, group: {userIdentity.arn: b}, first: 1m, phase: final}]\n    steps: [{like: no, repeat: 4, every: 1m}]\n", []string{
			`! "Three refusals" count 4 userIdentity.arn=a closed, from +0s to +3m0s (line 10)`,
			"count: want 3, got 4", "group: want userIdentity.arn=b, got userIdentity.arn=a", "phase: want final, got closed", "first: want +1m0s, got +0s",
		}},
		"not expected":             {1, "    expect: none\n    steps: [{like: no, repeat: 4, every: 1m}]\n", []string{`+ "Three refusals" count 4`}},
		"two groups, one expected": {1, "    expect: [{count: 3, group: {userIdentity.arn: b}}]\n    steps: [{like: no, repeat: 3}, {like: no, repeat: 3, set: {userIdentity.arn: b}}]\n", []string{`+ "Three refusals" count 3 userIdentity.arn=a`}},
		"provisional first": {1, `    expect: [{count: 3, phase: closed}]
    steps:
      - {like: no, repeat: 3}
      - {expect: [{count: 3, phase: provisional}]}
`, nil},
		"late behind the watermark": {1, `    expect: [{count: 3, first: 15m, last: 22m, late: true}]
    steps:
      - {like: no, at: 20m}
      - {advance: 1m}
      - {late: {by: 6m, like: no}}
      - {like: no, at: 22m}
`, nil},
		"late within the lateness": {1, `    expect: [{count: 3, first: 15m, last: 20m, late: false}]
    lateness: 10m
    steps:
      - {like: no, at: 20m, repeat: 2}
      - {late: {by: 5m, like: no}}
`, nil},
		"the anchor moves": {1, `    expect: [{count: 4, first: 0s, last: 4m, phase: closed}, {count: 3, phase: superseded}]
    steps:
      - {like: no, at: 2m}
      - {like: no, at: 3m}
      - {like: no, at: 4m}
      - {expect: [{count: 3, first: 2m, phase: provisional}]}
      - {like: no, at: 0s}
`, nil},
		"episodes by user":     {4, "    expect: [{count: 2, group: {'@host': '', '@user': a}}, {count: 1, group: {'@host': '', '@user': b}}]\n    steps: [{like: no, repeat: 3, vary: {userIdentity.arn: [a, a, b]}}]\n", nil},
		"another rule by name": {1, "    expect: [{count: 3}, {rule: refused, count: 3}]\n    steps: [{like: no, repeat: 3}]\n", nil},
		"its own time differs": {1, "    expect: none\n    steps: [{event: {eventVersion: '1', eventTime: '2026-01-01T00:00:00Z', x: '${time}', eventSource: s, eventName: n}, at: 1m}]\n", []string{
			"line 11: the event is of 2026-11-22T08:01:00Z, but its own time reads 2026-01-01T00:00:00Z",
		}},
		"events and matches of a correlation": {1, "    events: [{event: {}}]\n    matches: 0\n", []string{"write the case with `steps` and `expect`"}},
		"matches":                             {6, "    events: [{event: {eventVersion: '1', eventTime: '2026-01-01T00:00:00Z', eventSource: s, eventName: GetObject, readOnly: false}}]\n    matches: 1\n", []string{"0 of 1 events match, want 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failures, _ := runCase(t, c.n, c.body)
			if len(c.want) == 0 && failures != "" {
				t.Errorf("failures %s, want none", failures)
			}
			for _, want := range c.want {
				if !strings.Contains(failures, want) {
					t.Errorf("failures\n%s\nwant %s", failures, want)
				}
			}
		})
	}
}

// A suite that speaks of a rule that is not there says so.
func TestUnknownRules(t *testing.T) {
	t.Parallel()
	set, _ := rule.Link(nil, rule.Options{})
	for _, c := range []string{
		"rule: nobody\ncases: [{name: n, events: [{event: {}}], matches: 0}]",
	} {
		s, err := rulecase.Parse([]byte(c))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bench(t, set).Runner().Run(s, nil); err == nil || !strings.Contains(err.Error(), `"nobody"`) {
			t.Errorf("error %v", err)
		}
	}
}
