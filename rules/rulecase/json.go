package rulecase

import (
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/tiercel-io/tiercel/event"
)

// DepthMax bounds the nesting of an event: that of the events which the
// product itself reads.
const DepthMax = event.DepthMax

// appendJSON writes the value that n stands for. Only what JSON and YAML hold
// alike is accepted, so that what a person reads in the file is what the rule
// sees.
func appendJSON(dst []byte, n *yaml.Node, depth int) ([]byte, error) {
	if depth >= DepthMax {
		return nil, fmt.Errorf("line %d: the event is nested deeper than %d levels", n.Line, DepthMax)
	}
	switch n.Kind {
	case yaml.MappingNode:
		return appendObject(dst, n, depth)
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for i, item := range n.Content {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = appendJSON(dst, item, depth+1); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case yaml.ScalarNode:
		return appendScalar(dst, n)
	}
	return nil, fmt.Errorf("line %d: aliases are not allowed in events; write the value out", n.Line)
}

func appendObject(dst []byte, n *yaml.Node, depth int) ([]byte, error) {
	dst = append(dst, '{')
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
			return nil, fmt.Errorf("line %d: a key must be plain text", key.Line)
		}
		if seen[key.Value] {
			return nil, fmt.Errorf("line %d: the key %q is written twice", key.Line, key.Value)
		}
		seen[key.Value] = true
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(event.AppendQuoted(dst, []byte(key.Value)), ':')
		var err error
		if dst, err = appendJSON(dst, value, depth+1); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendScalar(dst []byte, n *yaml.Node) ([]byte, error) {
	switch n.ShortTag() {
	case "!!str":
		return event.AppendQuoted(dst, []byte(n.Value)), nil
	case "!!null":
		return append(dst, "null"...), nil
	case "!!bool", "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			return append(dst, n.Value...), nil
		}
	}
	return nil, fmt.Errorf("line %d: %s is read as %s, which JSON writes differently; put it in quotes if it is text", n.Line, n.Value, n.ShortTag())
}
