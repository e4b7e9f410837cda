package rulecase

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// Limits of a scenario in a case. They keep its events under [DeliveriesMax]
// and a run of all cases short.
const (
	// ScenarioDurationMin is the shortest scenario; package scenario makes none
	// that is shorter.
	ScenarioDurationMin = time.Minute
	// ScenarioDurationMax is the longest scenario: a night on either side of a
	// working day.
	ScenarioDurationMax = 48 * time.Hour
	// ScenarioHostsMin is the smallest fleet; package scenario gives each role
	// a machine.
	ScenarioHostsMin = 6
	// ScenarioHostsMax bounds the machines of a scenario.
	ScenarioHostsMax = 50
	// ScenarioUsersMin is the smallest number of people: a victim and somebody
	// else.
	ScenarioUsersMin = 2
	// ScenarioUsersMax bounds the people of a scenario.
	ScenarioUsersMax = 50
	// scenarioAttacksMax bounds the list of attacks, which names each once.
	scenarioAttacksMax = 64
)

// What a scenario is when a case does not write it. Cases rely on these values,
// so they never change.
const (
	// ScenarioSizeDefault is how many hosts and users there are.
	ScenarioSizeDefault = 6
	// ScenarioDurationDefault is how long a scenario lasts.
	ScenarioDurationDefault = 2 * time.Hour
)

// ScenarioStartDefault is when a scenario begins: on a Monday morning, when
// people are at work.
var ScenarioStartDefault = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// Scenario asks for generated events: what a small company writes in a span of
// time, with attacks laid into it. The same values give the same events.
type Scenario struct {
	// Line is where it stands, from 1.
	Line int
	// Attacks are the names of the attacks, each once; none leaves only the
	// background. Whether there are attacks of these names is for whoever makes
	// the events to say.
	Attacks []string
	// Seed chooses among scenarios with the same parameters.
	Seed uint64
	// Hosts and Users are how many machines and people there are.
	Hosts, Users int
	// Start is the time of the first event, from 1971 to 2200, in UTC. The
	// times in Expect count from it.
	Start time.Time
	// Duration is the span of the events.
	Duration time.Duration
}

// UnmarshalYAML reads a scenario.
func (s *Scenario) UnmarshalYAML(n *yaml.Node) error {
	*s = Scenario{
		Line: n.Line, Hosts: ScenarioSizeDefault, Users: ScenarioSizeDefault,
		Start: ScenarioStartDefault, Duration: ScenarioDurationDefault,
	}
	chosen := false
	err := pairs(n, "`scenario`", func(key string, at, value *yaml.Node) error {
		var err error
		switch key {
		case "attacks":
			chosen = true
			s.Attacks, err = attackNames(value)
		case "seed":
			if s.Seed, err = strconv.ParseUint(value.Value, 10, 64); err != nil || value.Kind != yaml.ScalarNode {
				err = fmt.Errorf("line %d: `seed` is a whole number from 0", value.Line)
			}
		case "hosts":
			s.Hosts, err = numberWithin(key, value, ScenarioHostsMin, ScenarioHostsMax)
		case "users":
			s.Users, err = numberWithin(key, value, ScenarioUsersMin, ScenarioUsersMax)
		case "start":
			var i Instant
			if err = i.UnmarshalYAML(value); err == nil && (i.Year() < 1971 || i.Year() > 2200) {
				err = fmt.Errorf("line %d: a scenario starts between 1971 and 2200", value.Line)
			}
			s.Start = i.Time
		case "duration":
			var d *time.Duration
			if d, err = span(value); err != nil {
				return err
			}
			if s.Duration = *d; *d < ScenarioDurationMin || *d > ScenarioDurationMax {
				err = fmt.Errorf("line %d: a scenario lasts from %s to %s", value.Line, ScenarioDurationMin, ScenarioDurationMax)
			}
		default:
			err = fmt.Errorf("line %d: `%s` is unknown here; a scenario has attacks, seed, hosts, users, start and duration", at.Line, key)
		}
		return err
	})
	if err == nil && !chosen {
		err = fmt.Errorf("line %d: the scenario has no `attacks`; write a list of names, or `none`", n.Line)
	}
	return err
}

func attackNames(n *yaml.Node) ([]string, error) {
	if n.Kind == yaml.ScalarNode && n.Value == "none" {
		return nil, nil
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 || len(n.Content) > scenarioAttacksMax {
		return nil, fmt.Errorf("line %d: `attacks` is a list of 1 to %d names, or the word none", n.Line, scenarioAttacksMax)
	}
	var out []string
	for _, item := range n.Content {
		name, err := text(item)
		if err != nil {
			return nil, err
		}
		if slices.Contains(out, name) {
			return nil, fmt.Errorf("line %d: the attack %q is named twice; remove one", item.Line, name)
		}
		out = append(out, name)
	}
	return out, nil
}

func numberWithin(key string, n *yaml.Node, low, high int) (int, error) {
	v, err := strconv.Atoi(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode || v < low || v > high {
		return 0, fmt.Errorf("line %d: `%s` is a number from %d to %d", n.Line, key, low, high)
	}
	return v, nil
}

// checkScenario checks a case whose events are generated.
func (c *Case) checkScenario() error {
	switch {
	case c.Events != nil || c.Steps != nil:
		return fmt.Errorf("case %q has a scenario as well as events or steps; keep one of them", c.Name)
	case !c.Start.IsZero() || c.Lateness != nil:
		return fmt.Errorf("case %q has a scenario; write `start` inside it, and no `lateness`, since its events come in order", c.Name)
	case (c.Expect == nil) == (c.Matches == nil):
		return fmt.Errorf("case %q needs either `expect`, with the detections or `none`, or `matches`, the number of events that match", c.Name)
	case c.Matches != nil && (*c.Matches < 0 || *c.Matches > DeliveriesMax):
		return fmt.Errorf("case %q wants %d matches; write 0 to %d", c.Name, *c.Matches, DeliveriesMax)
	}
	return nil
}
