// Package doctree is the tree of a document that people write: rules, packs,
// value lists. It keeps what a checker needs and a decoder into structs would
// lose: the spelling of every scalar in the source, whether it was quoted, and
// the place of every node, so that a message can point at it.
//
// The package knows no syntax; package yamltree makes trees from YAML. That
// keeps readers of trees, such as package rule, free of a YAML library.
//
// A tree is read-only once made and then safe for concurrent use. Nodes may be
// shared between several parents (YAML aliases), but never form a cycle.
package doctree

import (
	"encoding/binary"
	"hash"
	"slices"
	"strings"
)

// Kind is the form of a node.
type Kind uint8

// The forms.
const (
	Scalar Kind = iota
	Sequence
	Mapping
)

// String names the form as messages do.
func (k Kind) String() string {
	return [...]string{"a single value", "a list", "a map"}[k]
}

// Type is the type that a scalar resolves to.
type Type uint8

// The types of the YAML 1.2 core schema.
const (
	String Type = iota
	Null
	Bool
	Int
	Float
)

// String names the type as messages do.
func (t Type) String() string {
	return [...]string{"text", "null", "true or false", "a number", "a number"}[t]
}

// Node is a value with its place in the source.
type Node struct {
	// Kind says which of the fields below count.
	Kind Kind
	// Type is the resolved type of a scalar.
	Type Type
	// Quoted is true for a scalar that was quoted or written as a block.
	Quoted bool
	// Line and Column count from 1, columns in characters.
	Line, Column int
	// Value is a scalar's text: the content of a quoted one, the spelling in
	// the source of a plain one, so that 0x10 stays 0x10.
	Value string
	// Items are the members of a sequence.
	Items []*Node
	// Pairs are the members of a mapping in source order; keys are scalars
	// and no two have the same Value.
	Pairs []Pair
}

// Pair is a member of a mapping.
type Pair struct {
	Key, Value *Node
}

// Get returns the value of that key in a mapping, or nil.
func (n *Node) Get(key string) *Node {
	if n == nil || n.Kind != Mapping {
		return nil
	}
	for i := range n.Pairs {
		if n.Pairs[i].Key.Value == key {
			return n.Pairs[i].Value
		}
	}
	return nil
}

// Describe says what a node is, for messages: "a list", "a number".
func (n *Node) Describe() string {
	if n.Kind == Scalar {
		return n.Type.String()
	}
	return n.Kind.String()
}

// Compact renders the tree on one line for people: scalars as they were
// written, lists and maps in flow style.
func (n *Node) Compact() string {
	if n.Kind == Scalar {
		return n.Value
	}
	var b strings.Builder
	n.compact(&b)
	return b.String()
}

func (n *Node) compact(b *strings.Builder) {
	switch n.Kind {
	case Scalar:
		b.WriteString(n.Value)
	case Sequence:
		b.WriteByte('[')
		for i, c := range n.Items {
			if i > 0 {
				b.WriteString(", ")
			}
			c.compact(b)
		}
		b.WriteByte(']')
	case Mapping:
		b.WriteByte('{')
		for i, p := range n.Pairs {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(p.Key.Value)
			b.WriteString(": ")
			p.Value.compact(b)
		}
		b.WriteByte('}')
	}
}

// Hash writes a canonical encoding of the tree into h: what a node says, not
// how it stands in the file. Maps are written in the order of their keys,
// lists in theirs; each text is preceded by its length, each container by its
// count, so that no two different trees have one encoding. Quoting, comments
// and layout do not count; the type and spelling of a scalar do.
func (n *Node) Hash(h hash.Hash) {
	var buf []byte
	h.Write(n.appendCanonical(buf))
}

func (n *Node) appendCanonical(b []byte) []byte {
	switch n.Kind {
	case Sequence:
		b = append(b, 'L')
		b = binary.AppendUvarint(b, uint64(len(n.Items)))
		for _, c := range n.Items {
			b = c.appendCanonical(b)
		}
	case Mapping:
		b = append(b, 'M')
		b = binary.AppendUvarint(b, uint64(len(n.Pairs)))
		order := make([]int, len(n.Pairs))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(x, y int) int {
			return strings.Compare(n.Pairs[x].Key.Value, n.Pairs[y].Key.Value)
		})
		for _, i := range order {
			b = appendText(b, n.Pairs[i].Key.Value)
			b = n.Pairs[i].Value.appendCanonical(b)
		}
	default:
		b = append(b, "sn?if"[n.Type])
		switch n.Type {
		case Null:
		case Bool:
			b = appendText(b, strings.ToLower(n.Value))
		default:
			b = appendText(b, n.Value)
		}
	}
	return b
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}
