package casetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rules/rulecase"
	"github.com/tiercel-io/tiercel/scenario"
)

// scenarioRate is how many background events there are in a second: at the
// longest duration under 35,000, well within rulecase.DeliveriesMax, and yet
// enough that an hour holds what people and machines usually do. Cases rely on
// it, so it never changes.
const scenarioRate = 0.2

// generated runs a case whose events a scenario makes.
func (r *Runner) generated(s *rulecase.Suite, sc *scope, c *rulecase.Case) Result {
	res := Result{Case: c.Name}
	if c.Matches != nil && sc.main.rule < 0 {
		res.Failures = append(res.Failures, "a correlation matches no single events; write `expect` instead of `matches`")
		return res
	}
	if res.Waits = r.bench.waits(sc.main); res.Waits != "" {
		return res
	}
	deliveries, err := generate(c.Scenario)
	if err != nil {
		res.Failures = append(res.Failures, err.Error())
		return res
	}
	if c.Matches == nil {
		stepped := *c
		stepped.Steps = rulecase.Steps{{Line: c.Scenario.Line, Deliveries: deliveries}}
		return r.steps(s, sc, &stepped)
	}
	got := 0
	past := make([]played, 0, len(deliveries))
	for _, d := range deliveries {
		o := r.offer(d.Event, -1)
		for _, f := range o.faults {
			res.Failures = append(res.Failures, fmt.Sprintf("line %d: the event cannot be read: %s", d.Line, f))
		}
		if o.matched(sc.main.rule) {
			got++
		}
		past = append(past, played{line: d.Line, event: d.Event, offered: o})
	}
	if got != *c.Matches {
		res.Failures = append(res.Failures, fmt.Sprintf("%d of %d events match, want %d", got, len(deliveries), *c.Matches))
		if got < *c.Matches {
			res.WhyNot = append(res.WhyNot, r.ruleWhyNot(sc.main.rule, past))
		}
	}
	return res
}

// generate makes the events of a scenario, in its order. Each brings its own
// time.
func generate(want *rulecase.Scenario) ([]rulecase.Delivery, error) {
	if err := known(want); err != nil {
		return nil, err
	}
	attacks := want.Attacks
	if len(attacks) == 0 {
		attacks = []string{"none"}
	}
	s, err := scenario.New(scenario.Config{
		Seed: want.Seed, Start: want.Start, Duration: want.Duration, Rate: scenarioRate,
		Hosts: want.Hosts, Users: want.Users, Attacks: attacks,
	})
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", want.Line, err)
	}
	var out []rulecase.Delivery
	room := rulecase.DeliveredBytesMax
	for e := new(scenario.Event); s.Next(e); {
		if room -= len(e.Raw); room < 0 || len(out) == rulecase.DeliveriesMax {
			return nil, fmt.Errorf("line %d: the scenario has more than %d events or %d bytes; make it shorter",
				want.Line, rulecase.DeliveriesMax, rulecase.DeliveredBytesMax)
		}
		d := rulecase.Delivery{Line: want.Line}
		if e.Format == "json" {
			d.JSON = slices.Clone(e.Raw)
		} else {
			d.Text, d.Format = string(e.Raw), e.Format
		}
		out = append(out, d)
	}
	return out, nil
}

// known reports an attack that there is not, with the one that was probably
// meant.
func known(want *rulecase.Scenario) error {
	var names []string
	for _, a := range scenario.List() {
		names = append(names, a.Name)
	}
	for _, name := range want.Attacks {
		if slices.Contains(names, name) {
			continue
		}
		hint := "write `attacks: none` for none, or some of " + strings.Join(names, ", ")
		if near := meant(name, names); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		return fmt.Errorf("line %d: there is no attack %q; %s", want.Line, name, hint)
	}
	return nil
}

// meant is the name at a slip of the hand from word, or the only one that has
// word in it; empty when neither is.
func meant(word string, names []string) string {
	if near := rule.Nearest(word, names); near != "" {
		return near
	}
	found := ""
	for _, name := range names {
		if strings.Contains(name, word) {
			if found != "" {
				return ""
			}
			found = name
		}
	}
	return found
}
