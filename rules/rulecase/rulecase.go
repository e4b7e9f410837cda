// Package rulecase reads the cases of a rule: events in their vendor's own
// shape, and how many of them the rule must match; or, for what counts and
// orders events, steps in time and the exact detections that come of them; or a
// scenario, whose events are generated.
//
// A case file is YAML, one suite a file, and decoded strictly: an unknown or
// repeated key, an alias or a value that JSON cannot hold is an error with its
// line. Events written as YAML become JSON with their keys in the order of the
// file, since a rule may search the text of an object. The package keeps no
// state; its functions are safe for concurrent use. Memory is bounded by
// [FileBytesMax], [DepthMax] and [DeliveredBytesMax].
package rulecase

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"go.yaml.in/yaml/v3"
)

// FileName is what the file beside a rule is called that holds its cases.
const FileName = "cases.yml"

// FileBytesMax bounds a case file. The largest of those shipped has 20 KiB.
const FileBytesMax = 1 << 20

// Suite is the content of one case file.
type Suite struct {
	// Rule is the id of the rule that the cases are about.
	Rule string `yaml:"rule"`
	// Like are events that steps build on, by name.
	Like map[string]Template `yaml:"like"`
	// Cases are in the order of the file; at least one.
	Cases []Case `yaml:"cases"`
}

// Case is one thing that is shown about a rule: Events and Matches, or Steps and
// Expect, or Scenario and either Matches or Expect.
type Case struct {
	// Name says in a sentence what the case shows.
	Name string `yaml:"name"`
	// Events are what the rule sees; at least one, or none in a case with Steps
	// or Scenario.
	Events []Event `yaml:"events"`
	// Matches is how many of Events, or of those of Scenario, the rule must
	// match, exactly; 0 makes the case a near miss. With Events it must be
	// written.
	Matches *int `yaml:"matches"`

	// Start is the time that the times of steps count from;
	// [StartDefault] when it is not written.
	Start Instant `yaml:"start"`
	// Lateness is how far the watermark stays behind the newest event;
	// [LatenessDefault] when it is not written.
	Lateness *Span `yaml:"lateness"`
	// Steps are what happens, in order; nil in a case with Events.
	Steps Steps `yaml:"steps"`
	// Scenario is what makes the events; nil in a case with Events or Steps.
	Scenario *Scenario `yaml:"scenario"`
	// Expect are the detections that stand once everything is decided; it must
	// be written in a case with Steps.
	Expect *Expect `yaml:"expect"`
}

// Event is one event of a case: either JSON, or Text in a format. Several
// records that make up one event, as the lines of an audit event, are one
// Event and match at most once.
type Event struct {
	// JSON is the event as one JSON object; nil when the event is text.
	JSON []byte
	// Text is the event as its source writes it, with its line ends.
	Text string
	// Format is the name of the reader for Text: auditd, syslog or text.
	Format string
}

// formats are the values that the format of a text event may have.
var formats = map[string]bool{"auditd": true, "syslog": true, "text": true}

// Load reads the suite in the file called name. The error names the file, and
// the line where it can.
func Load(fsys fs.FS, name string) (*Suite, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open the cases: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, FileBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("read the cases in %s: %w", name, err)
	}
	s, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// Parse reads a suite from the bytes of a case file. It keeps nothing of data.
func Parse(data []byte) (*Suite, error) {
	if len(data) > FileBytesMax {
		return nil, fmt.Errorf("the file has more than %d bytes; split the rule's cases or shorten their events", FileBytesMax)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	var s Suite
	if err := d.Decode(&s); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty; write `rule` and `cases`")
		}
		return nil, err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one YAML document; keep one suite a file")
	}
	return &s, s.check()
}

func (s *Suite) check() error {
	if s.Rule == "" {
		return errors.New("`rule` is missing; write the id of the rule")
	}
	if len(s.Cases) == 0 {
		return errors.New("there are no cases; add some under `cases`")
	}
	names, room := map[string]bool{}, DeliveredBytesMax
	for i := range s.Cases {
		c := &s.Cases[i]
		switch {
		case c.Name == "":
			return fmt.Errorf("case %d has no name; say what it shows", i+1)
		case names[c.Name]:
			return fmt.Errorf("two cases are called %q; rename one", c.Name)
		case c.Scenario != nil:
			if err := c.checkScenario(); err != nil {
				return err
			}
		case c.Steps != nil || c.Expect != nil:
			if err := c.checkSteps(s.Like, &room); err != nil {
				return err
			}
		case !c.Start.IsZero() || c.Lateness != nil:
			return fmt.Errorf("case %q has no steps; `start` and `lateness` belong to a case with `steps`", c.Name)
		case len(c.Events) == 0:
			return fmt.Errorf("case %q has no events; add at least one", c.Name)
		case c.Matches == nil:
			return fmt.Errorf("case %q does not say how many events match; write `matches`", c.Name)
		case *c.Matches < 0 || *c.Matches > len(c.Events):
			return fmt.Errorf("case %q has %d events and wants %d matches; write 0 to %d", c.Name, len(c.Events), *c.Matches, len(c.Events))
		}
		names[c.Name] = true
	}
	return nil
}

// UnmarshalYAML reads one item of `events`.
func (e *Event) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: an event is a map with `event`, or with `text` and `format`", n.Line)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if seen[key.Value] {
			return fmt.Errorf("line %d: `%s` is written twice", key.Line, key.Value)
		}
		seen[key.Value] = true
		var err error
		switch key.Value {
		case "event":
			if value.Kind != yaml.MappingNode {
				return fmt.Errorf("line %d: `event` is a map", value.Line)
			}
			e.JSON, err = appendJSON(nil, value, 0)
		case "text":
			e.Text, err = text(value)
		case "format":
			if e.Format, err = text(value); err == nil && !formats[e.Format] {
				err = fmt.Errorf("line %d: format %q is not one of auditd, syslog and text", value.Line, e.Format)
			}
		default:
			return fmt.Errorf("line %d: `%s` is unknown here; an event has `event`, or `text` and `format`", key.Line, key.Value)
		}
		if err != nil {
			return err
		}
	}
	if seen["event"] == seen["text"] || seen["text"] != seen["format"] {
		return fmt.Errorf("line %d: write either `event`, or `text` and `format`", n.Line)
	}
	return nil
}

func text(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" || n.Value == "" {
		return "", fmt.Errorf("line %d: this must be text that is not empty", n.Line)
	}
	return n.Value, nil
}
