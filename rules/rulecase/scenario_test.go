package rulecase

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const generated = `
rule: r
cases:
  - name: All of it written
    scenario: {attacks: [one, two], seed: 18446744073709551615, hosts: 50, users: 2, start: 2026-03-02T09:30:00+01:00, duration: 2d}
    expect: [{count: 3, first: 1m}]
  - name: Only what must be
    scenario: {attacks: none}
    matches: 0
`

func TestScenario(t *testing.T) {
	t.Parallel()
	s, err := Parse([]byte(generated))
	if err != nil {
		t.Fatal(err)
	}
	want := []*Scenario{
		{
			Line: 5, Attacks: []string{"one", "two"}, Seed: 1<<64 - 1, Hosts: 50, Users: 2,
			Start: time.Date(2026, 3, 2, 8, 30, 0, 0, time.UTC), Duration: 48 * time.Hour,
		},
		{Line: 8, Hosts: 6, Users: 6, Start: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), Duration: 2 * time.Hour},
	}
	for i := range s.Cases {
		if d := cmp.Diff(want[i], s.Cases[i].Scenario); d != "" {
			t.Errorf("scenario (-want +got):\n%s", d)
		}
		if began := s.Cases[i].Began(); !began.Equal(want[i].Start) {
			t.Errorf("the case began at %s, want %s", began, want[i].Start)
		}
	}
}

func TestScenarioFaults(t *testing.T) {
	t.Parallel()
	with := func(scenario string) string {
		return "scenario: " + scenario + "\n    expect: none"
	}
	for name, c := range map[string]struct{ in, want string }{
		"no map":              {with("kerberoasting"), "line 4: `scenario` is a map"},
		"no attacks":          {with("{seed: 7}"), "line 4: the scenario has no `attacks`"},
		"attacks of text":     {with("{attacks: all}"), "the word none"},
		"attacks of nothing":  {with("{attacks: []}"), "the word none"},
		"too many attacks":    {with("{attacks: [" + strings.Repeat("a, ", 64) + "b]}"), "1 to 64 names"},
		"an attack twice":     {with("{attacks: [a, a]}"), "named twice"},
		"an attack of number": {with("{attacks: [1]}"), "text that is not empty"},
		"a key twice":         {with("{attacks: none, attacks: none}"), "written twice"},
		"unknown key":         {with("{attacks: none, rate: 5}"), "`rate` is unknown"},
		"seed below zero":     {with("{attacks: none, seed: -1}"), "`seed` is a whole number"},
		"five hosts":          {with("{attacks: none, hosts: 5}"), "`hosts` is a number from 6 to 50"},
		"51 hosts":            {with("{attacks: none, hosts: 51}"), "`hosts` is a number from 6 to 50"},
		"one user":            {with("{attacks: none, users: 1}"), "`users` is a number from 2 to 50"},
		"51 users":            {with("{attacks: none, users: 51}"), "`users` is a number from 2 to 50"},
		"start of words":      {with("{attacks: none, start: monday}"), "is no time"},
		"start too early":     {with("{attacks: none, start: 1970-12-31T23:59:59Z}"), "between 1971 and 2200"},
		"start too late":      {with("{attacks: none, start: 2201-01-01T00:00:00Z}"), "between 1971 and 2200"},
		"too short":           {with("{attacks: none, duration: 59s}"), "from 1m0s to 48h0m0s"},
		"too long":            {with("{attacks: none, duration: 48h1s}"), "from 1m0s to 48h0m0s"},
		"no duration":         {with("{attacks: none, duration: long}"), "no length of time"},
		"events besides":      {with("{attacks: none}\n    events: [{event: {}}]"), "keep one of them"},
		"steps besides":       {with("{attacks: none}\n    steps: [{event: {}}]"), "keep one of them"},
		"start outside":       {with("{attacks: none}\n    start: '2026-03-02T08:00:00Z'"), "write `start` inside it"},
		"lateness":            {with("{attacks: none}\n    lateness: 1m"), "no `lateness`"},
		"matches besides":     {with("{attacks: none}\n    matches: 0"), "either `expect`"},
		"nothing expected":    {"scenario: {attacks: none}", "either `expect`"},
		"matches below zero":  {"scenario: {attacks: none}\n    matches: -1", "write 0 to 100000"},
		"too many matches":    {"scenario: {attacks: none}\n    matches: 100001", "write 0 to 100000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte("rule: r\ncases:\n  - name: n\n    " + c.in + "\n"))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}
