package rulecase

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const stepped = `
rule: r
like:
  failed: {event: {time: '${time}', user: alice, n: '${n}', 'id.orig_h': 192.0.2.1, list: [{a: 1}]}}
  bob: {like: failed, set: {user: bob}}
  line: {format: syslog, text: '${syslog} h sshd: no ${user}'}
cases:
  - name: All kinds of steps
    lateness: 1m
    steps:
      - {like: failed, repeat: 2, every: 500ms, vary: {id.orig_h: [192.0.2.2, 192.0.2.3]}}
      - {like: bob, at: +75s, set: {list.0.a: '${unix}'}}
      - {like: line, set: {user: carol}}
      - {advance: 1m}
      - {late: {by: 10m, like: failed}}
      - {watermark: 3m}
      - {expect: none}
      - {event: {time: '2026-11-22T09:00:00Z', x: '${jndi:ldap}'}}
    expect:
      - {rule: other, count: 3, group: {user: alice}, phase: closed, first: 1s, last: 1m15s, late: true}
`

func TestSteps(t *testing.T) {
	t.Parallel()
	s, err := Parse([]byte(stepped))
	if err != nil {
		t.Fatal(err)
	}
	c := s.Cases[0]
	type seen struct {
		At   time.Duration
		Text string
	}
	at := func(x time.Time) time.Duration {
		if x.IsZero() {
			return -1
		}
		return x.Sub(StartDefault)
	}
	var got []seen
	for _, step := range c.Steps {
		for _, d := range step.Deliveries {
			got = append(got, seen{at(d.Time), string(d.JSON) + d.Text})
		}
		if !step.Watermark.IsZero() {
			got = append(got, seen{at(step.Watermark), "watermark"})
		}
		if step.Expect != nil {
			got = append(got, seen{0, "expect"})
		}
	}
	want := []seen{
		{0, `{"time":"2026-11-22T08:00:00Z","user":"alice","n":1,"id.orig_h":"192.0.2.2","list":[{"a":1}]}`},
		{500 * time.Millisecond, `{"time":"2026-11-22T08:00:00.5Z","user":"alice","n":2,"id.orig_h":"192.0.2.3","list":[{"a":1}]}`},
		{75 * time.Second, `{"time":"2026-11-22T08:01:15Z","user":"bob","n":1,"id.orig_h":"192.0.2.1","list":[{"a":1795334475.000000}]}`},
		{75 * time.Second, "Nov 22 08:01:15 h sshd: no carol"},
		{135 * time.Second, "watermark"},
		{135*time.Second - 10*time.Minute, `{"time":"2026-11-22T07:52:15Z","user":"alice","n":1,"id.orig_h":"192.0.2.1","list":[{"a":1}]}`},
		{3 * time.Minute, "watermark"},
		{0, "expect"},
		{-1, `{"time":"2026-11-22T09:00:00Z","x":"${jndi:ldap}"}`},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("steps (-want +got):\n%s", d)
	}
	if c.LatenessOr() != time.Minute {
		t.Errorf("lateness %s", c.LatenessOr())
	}
	first, last, late := time.Second, 75*time.Second, true
	if d := cmp.Diff([]Expected{{
		Line: 20, Rule: "other", Count: 3, Group: map[string]string{"user": "alice"}, Phase: "closed", First: &first, Last: &last, Late: &late,
	}}, c.Expect.Detections); d != "" {
		t.Errorf("expected (-want +got):\n%s", d)
	}
}

func TestStepFaults(t *testing.T) {
	t.Parallel()
	steps := func(s string) string {
		return "rule: r\nlike:\n  e: {event: {t: '${time}', u: x}}\n  loop: {like: loop}\ncases:\n  - name: n\n    expect: none\n    steps:\n      - " + s + "\n"
	}
	expect := func(s string) string {
		return "rule: r\ncases:\n  - name: n\n    steps: [{event: {}}]\n    expect:\n      - " + s + "\n"
	}
	for name, c := range map[string]struct{ in, want string }{
		"steps and events":    {"rule: r\ncases: [{name: n, steps: [{event: {}}], expect: none, events: [{event: {}}]}]", "one of the two"},
		"expect, no steps":    {"rule: r\ncases: [{name: n, expect: none}]", "no steps"},
		"steps, no expect":    {"rule: r\ncases: [{name: n, steps: [{event: {}}]}]", "`expect`"},
		"start, no steps":     {"rule: r\ncases: [{name: n, start: '2026-01-01T00:00:00Z', events: [{event: {}}], matches: 0}]", "no steps"},
		"start is no time":    {"rule: r\ncases: [{name: n, start: now, steps: [{event: {}}], expect: none}]", "line 2"},
		"no events":           {steps("{advance: 1s}"), "no events"},
		"unknown key":         {steps("{evnt: {}}"), "line 9: `evnt` is unknown"},
		"two things":          {steps("{like: e, advance: 1s}"), "line 9: a step does one thing"},
		"nothing":             {steps("{}"), "one thing"},
		"a list":              {steps("[]"), "is a map"},
		"twice":               {steps("{like: e, like: e}"), "twice"},
		"at without event":    {steps("{advance: 1s, at: 1s}"), "belong to a step with an event"},
		"every, no repeat":    {steps("{like: e, every: 1s}"), "`every` needs `repeat`"},
		"late and at":         {steps("{late: {by: 1s, like: e}, at: 1s}"), "remove `at`"},
		"late without by":     {steps("{late: {like: e}}"), "needs `by`"},
		"late, unknown":       {steps("{late: {by: 1s, lke: e}}"), "`lke`"},
		"no length of time":   {steps("{like: e, at: soon}"), `line 9: "soon"`},
		"negative":            {steps("{like: e, at: -1s}"), "no length of time"},
		"too long":            {steps("{like: e, at: 401d}"), "no length of time"},
		"repeat zero":         {steps("{like: e, repeat: 0}"), "`repeat`"},
		"too many events":     {steps("{like: e, repeat: 100000}") + "      - {like: e}\n", "more than"},
		"too many bytes":      {steps("{like: e, repeat: 90000, set: {u: " + strings.Repeat("x", 1000) + "}}"), "bytes"},
		"no such template":    {steps("{like: f}"), `"f"`},
		"template on itself":  {steps("{like: loop}"), "on itself"},
		"no such field":       {steps("{like: e, set: {v: 1}}"), "line 9: v: the event has no such field"},
		"vary without list":   {steps("{like: e, vary: {u: x}}"), "list of values"},
		"no place for a time": {steps("{event: {u: x}, at: 1s}"), "${time}"},
		"no such mark":        {steps("{text: x, format: text, set: {host: h}}"), "${host}"},
		"expect is a word":    {"rule: r\ncases: [{name: n, steps: [{event: {}}], expect: nothing}]", "none"},
		"expect is empty":     {"rule: r\ncases: [{name: n, steps: [{event: {}}], expect: []}]", "none"},
		"no count":            {expect("{rule: x}"), "line 6: the detection has no `count`"},
		"count zero":          {expect("{count: 0}"), "`count`"},
		"unknown phase":       {expect("{count: 1, phase: open}"), `"open"`},
		"late is a word":      {expect("{count: 1, late: maybe}"), "true or false"},
		"group is a list":     {expect("{count: 1, group: []}"), "is a map"},
		"unknown in expected": {expect("{count: 1, user: x}"), "`user`"},
		"template of nothing": {"rule: r\nlike: {e: {}}\ncases: [{name: n, events: [{event: {}}], matches: 0}]", "write one of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(c.in))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}
