package yamltree

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tiercel-io/tiercel/doctree"
)

// converter turns one document into a tree. An alias shares the node of its
// anchor; only the size it would have when written out is counted, so that a
// bomb costs what its source costs.
type converter struct {
	anchored map[*yaml.Node]anchored
	source   int // nodes in the source
	merged   int // members considered by merge keys
}

// anchored is a node that aliases may name; node is nil while it is open.
type anchored struct {
	node *doctree.Node
	extent
}

// extent is what a node comes to when its aliases are written out: its nodes,
// saturating at nodesMax, and its height.
type extent struct{ nodes, height int }

const nodesMax = 1 << 40

func (e *extent) add(child extent) {
	e.nodes = min(e.nodes+child.nodes, nodesMax)
	e.height = max(e.height, child.height+1)
}

// convert returns nil for an empty document.
func convert(n *yaml.Node) (*doctree.Node, *Error) {
	if n.Kind == yaml.DocumentNode {
		if len(n.Content) == 0 {
			return nil, nil
		}
		n = n.Content[0]
	}
	if n.Kind == yaml.ScalarNode && n.Value == "" && n.Style == 0 {
		return nil, nil
	}
	c := converter{}
	root, whole, err := c.node(n, 1)
	if err != nil {
		return nil, err
	}
	if whole.nodes > ExpansionMax*c.source {
		return nil, fault(n, "write the repeated parts out, or split the file",
			"aliases make the document %d times its size, more than the limit of %d", whole.nodes/c.source, ExpansionMax)
	}
	return root, nil
}

// node converts n, which stands depth deep.
func (c *converter) node(n *yaml.Node, depth int) (*doctree.Node, extent, *Error) {
	c.source++
	if depth > DepthMax {
		return nil, extent{}, tooDeep(n)
	}
	if n.Kind == yaml.AliasNode {
		return c.alias(n, depth)
	}
	if n.Anchor != "" {
		if c.anchored == nil {
			c.anchored = map[*yaml.Node]anchored{}
		}
		c.anchored[n] = anchored{}
	}
	out := &doctree.Node{Line: n.Line, Column: n.Column}
	size := extent{nodes: 1}
	var err *Error
	switch n.Kind {
	case yaml.ScalarNode:
		err = scalar(n, out)
	case yaml.SequenceNode:
		out.Kind = doctree.Sequence
		if n.Tag != "!!seq" {
			return nil, extent{}, unknownTag(n)
		}
		out.Items = make([]*doctree.Node, len(n.Content))
		for i, child := range n.Content {
			item, s, err := c.node(child, depth+1)
			if err != nil {
				return nil, extent{}, err
			}
			out.Items[i] = item
			size.add(s)
		}
	case yaml.MappingNode:
		out.Kind = doctree.Mapping
		if n.Tag != "!!map" {
			return nil, extent{}, unknownTag(n)
		}
		err = c.mapping(n, out, depth, &size)
	default:
		err = fault(n, "", "this cannot stand here")
	}
	if err != nil {
		return nil, extent{}, err
	}
	if n.Anchor != "" {
		c.anchored[n] = anchored{node: out, extent: size}
	}
	return out, size, nil
}

func (c *converter) alias(n *yaml.Node, depth int) (*doctree.Node, extent, *Error) {
	a, ok := c.anchored[n.Alias]
	switch {
	case !ok:
		return nil, extent{}, fault(n, "repeat the anchor in this document", "the alias *%s names an anchor of another document", clip(n.Value))
	case a.node == nil:
		return nil, extent{}, fault(n, "write the value out", "the alias *%s stands inside its own anchor", clip(n.Value))
	case depth+a.height > DepthMax:
		return nil, extent{}, tooDeep(n)
	}
	return a.node, a.extent, nil
}

func tooDeep(n *yaml.Node) *Error {
	return fault(n, "", "the document is nested more than %d deep", DepthMax)
}

// mapping fills out.Pairs and adds the members to size.
func (c *converter) mapping(n *yaml.Node, out *doctree.Node, depth int, size *extent) *Error {
	out.Pairs = make([]doctree.Pair, 0, len(n.Content)/2)
	seen := keySet{}
	var merged []*doctree.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		keyNode, valueNode := n.Content[i], n.Content[i+1]
		key, s, err := c.node(keyNode, depth+1)
		if err != nil {
			return err
		}
		size.add(s)
		if key.Kind != doctree.Scalar {
			return fault(keyNode, "quote it if it is meant as text", "a key must be a single value, not %s", key.Describe())
		}
		value, s, err := c.node(valueNode, depth+1)
		if err != nil {
			return err
		}
		size.add(s)
		if key.Value == "<<" && !key.Quoted {
			if err := mergeSources(valueNode, value, &merged); err != nil {
				return err
			}
			continue
		}
		if first := seen.add(out.Pairs, key); first != nil {
			return fault(keyNode, "keep one of them, or put the values into one list",
				"the key %q stands twice in one map, first in line %d", clip(key.Value), first.Line)
		}
		out.Pairs = append(out.Pairs, doctree.Pair{Key: key, Value: value})
	}
	for _, m := range merged {
		c.merged += len(m.Pairs)
		if c.merged > ExpansionMax*c.source {
			return fault(n, "write the repeated parts out", "merged maps make the document larger than the limit of %d times its size", ExpansionMax)
		}
		for _, p := range m.Pairs {
			if seen.add(out.Pairs, p.Key) == nil {
				out.Pairs = append(out.Pairs, p)
			}
		}
	}
	return nil
}

// keySet finds duplicate keys: by comparison in small maps, which nearly all
// are, and by a hash map in larger ones.
type keySet struct{ index map[string]*doctree.Node }

func (s *keySet) add(pairs []doctree.Pair, key *doctree.Node) *doctree.Node {
	const small = 16
	if s.index == nil && len(pairs) < small {
		for i := range pairs {
			if pairs[i].Key.Value == key.Value {
				return pairs[i].Key
			}
		}
		return nil
	}
	if s.index == nil {
		s.index = make(map[string]*doctree.Node, 2*small)
		for i := range pairs {
			s.index[pairs[i].Key.Value] = pairs[i].Key
		}
	}
	if first, ok := s.index[key.Value]; ok {
		return first
	}
	s.index[key.Value] = key
	return nil
}

func mergeSources(at *yaml.Node, v *doctree.Node, out *[]*doctree.Node) *Error {
	switch v.Kind {
	case doctree.Mapping:
		*out = append(*out, v)
		return nil
	case doctree.Sequence:
		for _, item := range v.Items {
			if item.Kind != doctree.Mapping {
				return fault(at, "", "a merge key << takes maps, not %s", item.Describe())
			}
			*out = append(*out, item)
		}
		return nil
	}
	return fault(at, "quote the key if it is meant as text: '<<'", "a merge key << takes a map, not %s", v.Describe())
}

func scalar(n *yaml.Node, out *doctree.Node) *Error {
	if len(n.Value) > ValueBytesMax {
		return fault(n, "", "a value of %d bytes is longer than the limit of %d", len(n.Value), ValueBytesMax)
	}
	out.Value = n.Value
	out.Quoted = n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	resolved := doctree.String
	if !out.Quoted {
		resolved = Resolve(n.Value)
	}
	if n.Style&yaml.TaggedStyle == 0 {
		out.Type = resolved
		return nil
	}
	switch n.Tag {
	case "!!str":
		out.Type = doctree.String
		// A tagged text is text for good, as a quoted one is.
		out.Quoted = true
		return nil
	case "!!int", "!!float", "!!bool", "!!null":
		want := map[string]doctree.Type{"!!int": doctree.Int, "!!float": doctree.Float, "!!bool": doctree.Bool, "!!null": doctree.Null}[n.Tag]
		got := Resolve(n.Value)
		if got == want || want == doctree.Float && got == doctree.Int {
			out.Type = want
			return nil
		}
		return fault(n, "drop the tag, or correct the value", "%q is not %s, as its tag %s says", clip(n.Value), want, n.Tag)
	}
	return unknownTag(n)
}

func unknownTag(n *yaml.Node) *Error {
	return fault(n, "leave the tag out", "the tag %s is not one of YAML's core tags", clip(n.Tag))
}

func clip(s string) string {
	const runes = 60
	for i := range s {
		if i >= runes {
			return strings.ToValidUTF8(s[:i], "") + "…"
		}
	}
	return s
}
