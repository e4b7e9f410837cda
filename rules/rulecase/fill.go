package rulecase

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// filling is what the variable parts of one event become.
type filling struct {
	time   time.Time
	n      int // which repetition, from 1
	values []filled
	timed  bool // a place for the time was found
}

type filled struct {
	path  string
	value *yaml.Node
	line  int
}

// fill makes the event.
func (f *filling) fill(b *body) (Event, error) {
	if b.event == nil {
		out := b.text
		for _, v := range f.values {
			mark := "${" + v.path + "}"
			if v.value.Kind != yaml.ScalarNode || !strings.Contains(b.text, mark) {
				return Event{}, fmt.Errorf("line %d: the text has no %s, or its value is no plain text", v.line, mark)
			}
			out = strings.ReplaceAll(out, mark, v.value.Value)
		}
		return Event{Text: f.text(out), Format: b.format}, nil
	}
	root := clone(b.event)
	for _, v := range f.values {
		if err := put(root, v.path, v.value); err != nil {
			return Event{}, fmt.Errorf("line %d: %s: %w", v.line, v.path, err)
		}
	}
	f.node(root)
	data, err := appendJSON(nil, root, 0)
	return Event{JSON: data}, err
}

// clone copies maps and lists; scalars are copied where they are written.
func clone(n *yaml.Node) *yaml.Node {
	c := *n
	c.Content = make([]*yaml.Node, len(n.Content))
	for i, k := range n.Content {
		c.Content[i] = clone(k)
	}
	return &c
}

// put replaces the value at a path of keys joined by dots; numbers count the
// items of a list from 0. A key may itself hold dots: the longest that fits is
// taken.
func put(n *yaml.Node, path string, value *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		head, rest, _ := strings.Cut(path, ".")
		i, err := strconv.Atoi(head)
		if err != nil || i < 0 || i >= len(n.Content) {
			return errNoSuchField
		}
		return putAt(n, i, rest, value)
	}
	if n.Kind != yaml.MappingNode {
		return errNoSuchField
	}
	best, rest := -1, ""
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		after, ok := strings.CutPrefix(path, key)
		if !ok || after != "" && after[0] != '.' {
			continue
		}
		if best < 0 || len(key) > len(n.Content[best-1].Value) {
			best, rest = i+1, strings.TrimPrefix(after, ".")
		}
	}
	if best < 0 {
		return errNoSuchField
	}
	return putAt(n, best, rest, value)
}

func putAt(n *yaml.Node, i int, rest string, value *yaml.Node) error {
	if rest != "" {
		return put(n.Content[i], rest, value)
	}
	n.Content[i] = clone(value)
	return nil
}

// node fills the places in the texts of an event's values. A text that is
// ${unix}, ${unix_ms} or ${n} alone becomes a number.
func (f *filling) node(n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			f.node(n.Content[i])
		}
	case yaml.SequenceNode:
		for _, k := range n.Content {
			f.node(k)
		}
	case yaml.ScalarNode:
		if n.ShortTag() != "!!str" || !strings.Contains(n.Value, "${") {
			return
		}
		whole := n.Value
		n.Value = f.text(whole)
		n.Style, n.Tag = 0, "!!str"
		switch whole {
		case "${unix}":
			n.Tag = "!!float"
		case "${unix_ms}", "${n}":
			n.Tag = "!!int"
		}
	}
}

// text fills the places in a text.
func (f *filling) text(s string) string {
	if !strings.Contains(s, "${") {
		return s
	}
	micros := f.time.UnixMicro()
	for _, place := range []struct{ name, value string }{
		{"${time}", f.time.Format("2006-01-02T15:04:05.999999Z07:00")},
		{"${unix}", fmt.Sprintf("%d.%06d", micros/1e6, micros%1e6)},
		{"${unix_ms}", strconv.FormatInt(f.time.UnixMilli(), 10)},
		{"${audit}", fmt.Sprintf("%d.%03d", micros/1e6, micros%1e6/1e3)},
		{"${syslog}", f.time.Format(time.Stamp)},
	} {
		if strings.Contains(s, place.name) {
			s = strings.ReplaceAll(s, place.name, place.value)
			f.timed = true
		}
	}
	return strings.ReplaceAll(s, "${n}", strconv.Itoa(f.n))
}
