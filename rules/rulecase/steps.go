package rulecase

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Limits of a case with steps. They keep a slip such as `repeat: 100000000`
// from taking all memory; the shipped cases stay under a thousand events.
const (
	// DeliveriesMax bounds the events of one case, repetitions included.
	DeliveriesMax = 100_000
	// DeliveredBytesMax bounds the bytes of all events of one file.
	DeliveredBytesMax = 64 << 20
	// SpanMax bounds times within a case: longer than any window.
	SpanMax = 400 * 24 * time.Hour
)

// LatenessDefault is how far the watermark stays behind the newest event of a
// source that nobody configured.
const LatenessDefault = 5 * time.Minute

// StartDefault is the time that the times of a case count from.
var StartDefault = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// Steps are the steps of a case, in order.
type Steps []Step

// Step is one step of a case. Exactly one of Deliveries, Watermark and Expect
// is set.
type Step struct {
	// Line is where the step stands in its file, from 1.
	Line int
	// Deliveries are events that arrive, in order.
	Deliveries []Delivery
	// Watermark is a time up to which all that came before is declared
	// complete.
	Watermark time.Time
	// Expect are the detections that stand at this point.
	Expect *Expect

	raw rawStep
}

// Delivery is one event that arrives.
type Delivery struct {
	Event
	// Line is the line of its step.
	Line int
	// Time is the time written into the event, zero when the event brings its
	// own.
	Time time.Time
}

// Template is an event that steps build on.
type Template struct{ body body }

// body is an event before its variable parts are filled in.
type body struct {
	line         int
	event        *yaml.Node
	text, format string
	like         string
	set          []setting
}

// setting gives a value to a field of an event, or to ${name} in a text.
type setting struct {
	line   int
	path   string
	values []*yaml.Node
}

// rawStep is a step as written.
type rawStep struct {
	body    *body
	at      *time.Duration
	late    *time.Duration
	repeat  int
	every   time.Duration
	vary    []setting
	advance *time.Duration
	mark    *time.Duration
}

// UnmarshalYAML reads a template: an event, or text with its format.
func (t *Template) UnmarshalYAML(n *yaml.Node) error {
	t.body.line = n.Line
	if err := pairs(n, "a template", func(key string, at, value *yaml.Node) error {
		if ok, err := t.body.read(key, value); ok {
			return err
		}
		return fmt.Errorf("line %d: `%s` is unknown here; a template has `event`, or `text` and `format`; or `like` and `set`", at.Line, key)
	}); err != nil {
		return err
	}
	return t.body.check()
}

// pairs calls f for each key of a map, and refuses anything else and keys
// written twice.
func pairs(n *yaml.Node, what string, f func(key string, at, value *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: %s is a map", n.Line, what)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: a key must be plain text", key.Line)
		}
		if seen[key.Value] {
			return fmt.Errorf("line %d: `%s` is written twice", key.Line, key.Value)
		}
		seen[key.Value] = true
		if err := f(key.Value, key, value); err != nil {
			return err
		}
	}
	return nil
}

// read takes a key of an event's body and reports whether it is one.
func (b *body) read(key string, value *yaml.Node) (bool, error) {
	var err error
	switch key {
	case "event":
		if value.Kind != yaml.MappingNode {
			return true, fmt.Errorf("line %d: `event` is a map", value.Line)
		}
		b.event = value
	case "text":
		b.text, err = text(value)
	case "format":
		if b.format, err = text(value); err == nil && !formats[b.format] {
			err = fmt.Errorf("line %d: format %q is not one of auditd, syslog and text", value.Line, b.format)
		}
	case "like":
		b.like, err = text(value)
	case "set":
		b.set, err = settings(value, false)
	default:
		return false, nil
	}
	return true, err
}

func (b *body) check() error {
	kinds := 0
	for _, has := range []bool{b.event != nil, b.text != "", b.like != ""} {
		if has {
			kinds++
		}
	}
	if kinds != 1 || (b.text != "") != (b.format != "") {
		return fmt.Errorf("line %d: write one of `event`, `text` with `format`, and `like`", b.line)
	}
	return nil
}

// settings reads a map from paths to values; lists are alternatives when many
// is true.
func settings(n *yaml.Node, many bool) ([]setting, error) {
	var out []setting
	err := pairs(n, "`set` or `vary`", func(key string, at, value *yaml.Node) error {
		s := setting{line: at.Line, path: key, values: []*yaml.Node{value}}
		if many {
			if value.Kind != yaml.SequenceNode || len(value.Content) == 0 {
				return fmt.Errorf("line %d: `vary` gives each field a list of values", value.Line)
			}
			s.values = value.Content
		}
		out = append(out, s)
		return nil
	})
	return out, err
}

// UnmarshalYAML reads one step.
func (s *Step) UnmarshalYAML(n *yaml.Node) error {
	s.Line = n.Line
	r := &s.raw
	b := &body{line: n.Line}
	hasBody := false
	err := pairs(n, "a step", func(key string, at, value *yaml.Node) error {
		if ok, err := b.read(key, value); ok {
			hasBody = true
			return err
		}
		var err error
		switch key {
		case "at":
			r.at, err = span(value)
		case "every":
			var d *time.Duration
			if d, err = span(value); err == nil {
				r.every = *d
			}
		case "repeat":
			if r.repeat, err = strconv.Atoi(value.Value); err != nil || value.Kind != yaml.ScalarNode || r.repeat < 1 || r.repeat > DeliveriesMax {
				err = fmt.Errorf("line %d: `repeat` is a number from 1 to %d", value.Line, DeliveriesMax)
			}
		case "vary":
			r.vary, err = settings(value, true)
		case "advance":
			r.advance, err = span(value)
		case "watermark":
			r.mark, err = span(value)
		case "late":
			hasBody = true
			err = r.readLate(b, value)
		case "expect":
			s.Expect = new(Expect)
			err = s.Expect.UnmarshalYAML(value)
		default:
			err = fmt.Errorf("line %d: `%s` is unknown here; a step has an event (`event`, `text` with `format`, `like`, `late`), `advance`, `watermark` or `expect`", at.Line, key)
		}
		return err
	})
	if err != nil {
		return err
	}
	kinds := 0
	for _, has := range []bool{hasBody, r.advance != nil, r.mark != nil, s.Expect != nil} {
		if has {
			kinds++
		}
	}
	timing := r.at != nil || r.repeat > 0 || r.every > 0 || r.vary != nil
	switch {
	case kinds != 1:
		return fmt.Errorf("line %d: a step does one thing: an event, `advance`, `watermark` or `expect`", n.Line)
	case !hasBody && timing:
		return fmt.Errorf("line %d: `at`, `repeat`, `every` and `vary` belong to a step with an event", n.Line)
	case r.late != nil && r.at != nil:
		return fmt.Errorf("line %d: `late` says when the event was; remove `at`", n.Line)
	case r.every > 0 && r.repeat == 0:
		return fmt.Errorf("line %d: `every` needs `repeat`", n.Line)
	}
	if hasBody {
		r.body = b
		return b.check()
	}
	return nil
}

// readLate reads an event with `by`.
func (r *rawStep) readLate(b *body, n *yaml.Node) error {
	err := pairs(n, "`late`", func(key string, at, value *yaml.Node) error {
		if ok, err := b.read(key, value); ok {
			return err
		}
		if key != "by" {
			return fmt.Errorf("line %d: `%s` is unknown here; `late` has `by` and an event", at.Line, key)
		}
		var err error
		r.late, err = span(value)
		return err
	})
	if err == nil && r.late == nil {
		err = fmt.Errorf("line %d: `late` needs `by`, how long the event was on its way", n.Line)
	}
	return err
}

// Span is a length of time as cases write it: 90s, +75s, 1h30m, 2d.
type Span time.Duration

// UnmarshalYAML reads a span.
func (s *Span) UnmarshalYAML(n *yaml.Node) error {
	d, err := span(n)
	if err == nil {
		*s = Span(*d)
	}
	return err
}

func span(n *yaml.Node) (*time.Duration, error) {
	if n.Kind == yaml.ScalarNode {
		if d, ok := parseSpan(n.Value); ok {
			return &d, nil
		}
	}
	return nil, fmt.Errorf("line %d: %q is no length of time; write 90s, 1h30m or 2d, at most %s", n.Line, n.Value, SpanMax)
}

// parseSpan reads a duration of Go, with days besides and an optional plus.
func parseSpan(s string) (time.Duration, bool) {
	s = strings.TrimPrefix(s, "+")
	var days time.Duration
	if before, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.Atoi(before)
		if err != nil || n < 0 || n > int(SpanMax/(24*time.Hour)) {
			return 0, false
		}
		if days, s = time.Duration(n)*24*time.Hour, after; s == "" {
			return days, true
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || days+d > SpanMax {
		return 0, false
	}
	return days + d, true
}

// Instant is a point in time as cases write it: RFC 3339.
type Instant struct{ time.Time }

// UnmarshalYAML reads an instant.
func (i *Instant) UnmarshalYAML(n *yaml.Node) error {
	t, err := time.Parse(time.RFC3339Nano, n.Value)
	if err != nil || n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: %q is no time; write it as '2026-11-22T08:00:00Z'", n.Line, n.Value)
	}
	i.Time = t.UTC()
	return nil
}

// Began is the time that the case's times count from.
func (c *Case) Began() time.Time {
	if c.Scenario != nil {
		return c.Scenario.Start
	}
	if c.Start.IsZero() {
		return StartDefault
	}
	return c.Start.Time
}

// LatenessOr is the case's lateness, or the default.
func (c *Case) LatenessOr() time.Duration {
	if c.Lateness == nil {
		return LatenessDefault
	}
	return time.Duration(*c.Lateness)
}

// checkSteps checks a case with steps and expands its events.
// room is how many bytes the events of the file may still have.
func (c *Case) checkSteps(like map[string]Template, room *int) error {
	switch {
	case len(c.Events) > 0 || c.Matches != nil:
		return fmt.Errorf("case %q has steps as well as events or matches; keep one of the two", c.Name)
	case len(c.Steps) == 0:
		return fmt.Errorf("case %q expects something, but has no steps; add them under `steps`, or a `scenario`", c.Name)
	case c.Expect == nil:
		return fmt.Errorf("case %q does not say what is detected; write `expect`, with the detections or `none`", c.Name)
	}
	x := expansion{like: like, start: c.Began(), clock: c.Began(), room: room}
	for i := range c.Steps {
		if err := x.step(&c.Steps[i]); err != nil {
			return fmt.Errorf("case %q: %w", c.Name, err)
		}
	}
	if x.delivered == 0 {
		return fmt.Errorf("case %q has no events; add a step with one", c.Name)
	}
	return nil
}

// expansion is how far the steps of a case have come.
type expansion struct {
	like         map[string]Template
	start, clock time.Time
	delivered    int
	room         *int
}

func (x *expansion) step(s *Step) error {
	r := &s.raw
	switch {
	case r.advance != nil:
		x.clock = x.clock.Add(*r.advance)
		s.Watermark = x.clock
		return nil
	case r.mark != nil:
		s.Watermark = x.start.Add(*r.mark)
		return nil
	case r.body == nil:
		return nil
	}
	b, err := x.resolve(r.body)
	if err != nil {
		return err
	}
	at := x.clock
	switch {
	case r.at != nil:
		at = x.start.Add(*r.at)
	case r.late != nil:
		at = x.clock.Add(-*r.late)
	}
	n := max(r.repeat, 1)
	if x.delivered += n; x.delivered > DeliveriesMax {
		return fmt.Errorf("line %d: the case has more than %d events; repeat less", s.Line, DeliveriesMax)
	}
	for i := range n {
		d := Delivery{Line: s.Line}
		f := filling{time: at.Add(time.Duration(i) * r.every), n: i + 1}
		for _, set := range b.set {
			f.values = append(f.values, filled{set.path, set.values[0], set.line})
		}
		for _, v := range r.vary {
			f.values = append(f.values, filled{v.path, v.values[i%len(v.values)], v.line})
		}
		if d.Event, err = f.fill(&b); err != nil {
			return err
		}
		if *x.room -= len(d.JSON) + len(d.Text); *x.room < 0 {
			return fmt.Errorf("line %d: the events of the file have more than %d bytes; repeat less", s.Line, DeliveredBytesMax)
		}
		if f.timed {
			d.Time = f.time
		} else if r.at != nil || r.late != nil || r.every > 0 {
			return fmt.Errorf("line %d: the event has no place for its time; write ${time}, ${unix}, ${unix_ms} or ${syslog} where its own time stands", s.Line)
		}
		if f.timed && f.time.After(x.clock) {
			x.clock = f.time
		}
		s.Deliveries = append(s.Deliveries, d)
	}
	return nil
}

// templateDepthMax bounds a chain of templates that build on each other.
const templateDepthMax = 8

// resolve follows `like` to the event itself, collecting what is set on the
// way: what stands nearer to the step wins.
func (x *expansion) resolve(b *body) (body, error) {
	out := *b
	for depth := 0; out.like != ""; depth++ {
		t, ok := x.like[out.like]
		if !ok {
			return body{}, fmt.Errorf("line %d: there is no event called %q under `like`", b.line, out.like)
		}
		if depth == templateDepthMax {
			return body{}, fmt.Errorf("line %d: %q builds on more than %d others, or on itself", b.line, b.like, templateDepthMax)
		}
		set := slices.Concat(t.body.set, out.set)
		out = t.body
		out.set = set
	}
	return out, nil
}

var errNoSuchField = errors.New("the event has no such field")
