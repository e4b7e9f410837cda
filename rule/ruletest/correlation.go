package ruletest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CorrelationCase is one micro case of correlations. Its format is described
// at the head of rule/testdata/micro-correlation.txt.
type CorrelationCase struct {
	// ID is its name in the specification, and Trap what can go wrong.
	ID, Trap string
	// Line is where it begins in the file.
	Line int
	// YAML is one file with the rules a, b and c1, which match the events that
	// name them, and the correlations, which have their names.
	YAML []byte
	// Lateness is what is allowed, and Groups how many are kept, 0 for all.
	Lateness time.Duration
	Groups   int
	// Steps are what happens, in order.
	Steps []Step
	// Want is what must come of it.
	Want []Expectation
}

// StepKind is what happens in a step.
type StepKind uint8

// The steps.
const (
	// Arrive: an event arrives.
	Arrive StepKind = iota
	// Restart: the engine stops and resumes from its checkpoint.
	Restart
	// Watermark: nothing older than At will arrive.
	Watermark
)

// Step is one thing that happens.
type Step struct {
	Kind StepKind
	// At is the event time or the watermark, from an arbitrary start.
	At time.Duration
	// EventID is the event's identity; events without one are all different.
	EventID string
	// Event is the event as JSON; its member rule lists the rules it meets.
	Event []byte
}

// Expectation is one outcome: What is a word of the format, as fires; At its
// time where it has one; Subject the correlation, rule or code.
type Expectation struct {
	What    string
	At      time.Duration
	Subject string
}

// correlationRules are the rules that cases may use.
var correlationRules = []string{"a", "b", "c1"}

// ParseCorrelations reads a file of cases. An error names the line.
func ParseCorrelations(text string) ([]CorrelationCase, error) {
	var cases []CorrelationCase
	for i, line := range strings.Split(text, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		var err error
		switch {
		case word == "==":
			id, trap, _ := strings.Cut(rest, " ")
			if id == "" || slices.ContainsFunc(cases, func(c CorrelationCase) bool { return c.ID == id }) {
				err = fmt.Errorf("the case has no id, or that of another")
			}
			c := CorrelationCase{ID: id, Trap: trap, Line: i + 1}
			for n, r := range correlationRules {
				c.YAML = fmt.Appendf(c.YAML, "title: %s\nid: 7d1c0f6e-0001-4000-8000-%012d\nname: %s\nstatus: test\nlevel: low\nlogsource: {category: test}\ndetection:\n    s: {rule: %s}\n    condition: s\n", r, n, r, r)
			}
			cases = append(cases, c)
		case len(cases) == 0:
			err = fmt.Errorf("text before the first case")
		default:
			err = cases[len(cases)-1].directive(word, rest)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	for i := range cases {
		if len(cases[i].Want) == 0 {
			return nil, fmt.Errorf("line %d: the case %s wants nothing", cases[i].Line, cases[i].ID)
		}
		cases[i].YAML = separate(cases[i].YAML)
	}
	return cases, nil
}

// separate puts a line of dashes between documents, each of which begins with
// its title.
func separate(yaml []byte) []byte {
	return []byte(strings.ReplaceAll(string(yaml), "\ntitle: ", "\n---\ntitle: "))
}

func (c *CorrelationCase) directive(word, rest string) (err error) {
	fields := strings.Fields(rest)
	switch {
	case word == "correlation":
		name, section, _ := strings.Cut(rest, " ")
		n := strings.Count(string(c.YAML), "\ncorrelation: ")
		c.YAML = fmt.Appendf(c.YAML, "title: %s\nid: 7d1c0f6e-0002-4000-8000-%012d\nname: %s\nstatus: test\nlevel: low\ncorrelation: %s\n", name, n, name, section)
	case word == "restart" && rest == "":
		c.Steps = append(c.Steps, Step{Kind: Restart})
	case word == "at" && len(fields) >= 2:
		return c.event(fields)
	case word == "want" && len(fields) >= 1:
		return c.want(fields)
	case len(fields) != 1:
		return fmt.Errorf("%q takes one word, or is unknown", word)
	case word == "lateness":
		c.Lateness, err = time.ParseDuration(fields[0])
	case word == "groups":
		c.Groups, err = strconv.Atoi(fields[0])
	case word == "watermark":
		s := Step{Kind: Watermark}
		s.At, err = clock(fields[0])
		c.Steps = append(c.Steps, s)
	default:
		return fmt.Errorf("unknown directive %q", word)
	}
	return err
}

func (c *CorrelationCase) event(fields []string) error {
	at, err := clock(fields[0])
	if err != nil {
		return err
	}
	event := map[string]any{"rule": strings.Split(fields[1], ","), "g": "1"}
	s := Step{Kind: Arrive, At: at, EventID: fmt.Sprintf("line-%d-%d", c.Line, len(c.Steps))}
	for _, f := range fields[2:] {
		key, value, ok := strings.Cut(f, "=")
		switch {
		case !ok:
			return fmt.Errorf("%q is not key=value", f)
		case key == "id":
			s.EventID = value
		case value == "":
			delete(event, key)
		default:
			event[key] = value
		}
	}
	if s.Event, err = json.Marshal(event); err != nil {
		return err
	}
	c.Steps = append(c.Steps, s)
	return nil
}

// outcomes says which words follow each outcome: a time and a subject.
var outcomes = map[string]struct{ time, subject bool }{
	"fires": {true, true}, "updates": {true, true}, "late": {true, true}, "queues": {true, false},
	"none": {}, "evicts": {}, "skips": {},
	"refused": {false, true}, "alone": {false, true}, "silent": {false, true},
}

func (c *CorrelationCase) want(fields []string) (err error) {
	form, ok := outcomes[fields[0]]
	if !ok {
		return fmt.Errorf("unknown outcome %q", fields[0])
	}
	x := Expectation{What: fields[0]}
	rest := fields[1:]
	if form.time && len(rest) > 0 {
		if x.At, err = clock(rest[0]); err != nil {
			return err
		}
		rest = rest[1:]
	}
	if form.subject && len(rest) > 0 {
		x.Subject = rest[0]
		rest = rest[1:]
	}
	if len(rest) > 0 || form.subject && x.Subject == "" {
		return fmt.Errorf("the outcome %s takes other words", x.What)
	}
	c.Want = append(c.Want, x)
	return nil
}

// clock reads MM:SS with optional fractions of a second.
func clock(s string) (time.Duration, error) {
	minutes, seconds, ok := strings.Cut(s, ":")
	if !ok {
		return 0, fmt.Errorf("%q is not a time as MM:SS", s)
	}
	return time.ParseDuration(minutes + "m" + seconds + "s")
}
