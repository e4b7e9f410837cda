package rulecase

import (
	"fmt"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// Expect are exact detections: these, and no others.
type Expect struct {
	// Line is where it stands, from 1.
	Line int
	// Detections are expected in any order; empty means none.
	Detections []Expected
}

// Expected is one detection. What is not written is not compared, but for
// Count, which must be.
type Expected struct {
	// Line is where it stands, from 1.
	Line int
	// Rule is the id or name of what fired; empty means the suite's rule.
	Rule string
	// Count is the number of events it counts.
	Count uint64
	// Group is its whole group key, by field.
	Group map[string]string
	// Phase is provisional, final, closed or superseded, or empty.
	Phase string
	// First and Last are times of its first and last event, after the start of
	// the case.
	First, Last *time.Duration
	// Late says whether a late event had a part in it.
	Late *bool
}

var phases = map[string]bool{"provisional": true, "final": true, "closed": true, "superseded": true}

// UnmarshalYAML reads `none` or a list.
func (e *Expect) UnmarshalYAML(n *yaml.Node) error {
	e.Line = n.Line
	if n.Kind == yaml.ScalarNode && n.Value == "none" {
		return nil
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return fmt.Errorf("line %d: `expect` is a list of detections, or the word none", n.Line)
	}
	for _, item := range n.Content {
		d := Expected{Line: item.Line}
		if err := d.read(item); err != nil {
			return err
		}
		e.Detections = append(e.Detections, d)
	}
	return nil
}

func (d *Expected) read(n *yaml.Node) error {
	err := pairs(n, "a detection", func(key string, at, value *yaml.Node) error {
		var err error
		switch key {
		case "rule":
			d.Rule, err = text(value)
		case "count":
			if d.Count, err = strconv.ParseUint(value.Value, 10, 64); err != nil || value.Kind != yaml.ScalarNode || d.Count == 0 {
				err = fmt.Errorf("line %d: `count` is a number from 1", value.Line)
			}
		case "group":
			d.Group = map[string]string{}
			err = pairs(value, "`group`", func(field string, _, v *yaml.Node) error {
				if v.Kind != yaml.ScalarNode {
					return fmt.Errorf("line %d: the value of %s is plain text", v.Line, field)
				}
				d.Group[field] = v.Value
				return nil
			})
		case "phase":
			if d.Phase = value.Value; !phases[d.Phase] {
				err = fmt.Errorf("line %d: phase %q is not one of provisional, final, closed and superseded", value.Line, value.Value)
			}
		case "first":
			d.First, err = span(value)
		case "last":
			d.Last, err = span(value)
		case "late":
			if value.ShortTag() != "!!bool" {
				return fmt.Errorf("line %d: `late` is true or false", value.Line)
			}
			late := value.Value == "true"
			d.Late = &late
		default:
			err = fmt.Errorf("line %d: `%s` is unknown here; a detection has rule, count, group, phase, first, last and late", at.Line, key)
		}
		return err
	})
	if err == nil && d.Count == 0 {
		err = fmt.Errorf("line %d: the detection has no `count`; write how many events it counts", n.Line)
	}
	return err
}
