package rule

import (
	"net/netip"
	"regexp"
)

// Level is a rule's severity.
type Level uint8

// The levels, lowest first.
const (
	Informational Level = iota
	Low
	Medium
	High
	Critical
)

var levelNames = [...]string{"informational", "low", "medium", "high", "critical"}

// String returns the Sigma name of the level.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return "unknown"
}

// ParseLevel returns the level of that Sigma name.
func ParseLevel(s string) (Level, bool) {
	for i, n := range levelNames {
		if n == s {
			return Level(i), true
		}
	}
	return 0, false
}

// Position is a place in a rule file. Line and Column count from 1; 0 means
// unknown.
type Position struct {
	File         string
	Line, Column int
}

// Logsource is what a rule asks of the events it applies to, lower-case;
// empty attributes ask nothing.
type Logsource struct {
	Category, Product, Service string
	// Definition is prose about how to log; it never affects matching.
	Definition string
	// Custom holds attributes beyond the standard three, as written.
	Custom map[string]string
}

// Related is a link to another rule.
type Related struct {
	ID, Type string
}

// Rule is a Sigma rule: one `detection` document, checked and resolved. It is
// immutable once loaded and safe for concurrent use.
type Rule struct {
	Position
	Title, ID, Name, Status string
	Description             string
	Level                   Level
	Tags                    []string
	Author, License         string
	References              []string
	FalsePositives          []string
	Fields                  []string
	Date, Modified          string
	Taxonomy                string
	Scope                   []string
	Related                 []Related
	Logsource               Logsource
	// Custom holds the document's other top-level keys, as written.
	Custom map[string]string

	// Conditions are the rule's conditions, selectors expanded and filters
	// applied; the rule matches when any of them does.
	Conditions []Expr
	// NeedsValues names the placeholders that no list resolves; a rule that
	// has any is not enabled.
	NeedsValues []string
	// SemanticHash covers only what decides matches (logsource, detection,
	// applied filters), so that editing a title changes no detection id. It
	// is lower-case hex SHA-256.
	SemanticHash string
}

// Expr is a node of a condition: [*And], [*Or], [*Not], [*Ref] or [*Item].
// Trees are finite and at most ExprDepthMax deep.
type Expr interface{ expr() }

// ExprDepthMax bounds the nesting of a condition. The deepest of the public
// set has 5 levels.
const ExprDepthMax = 64

// And is true when all operands are. It has at least one.
type And struct{ X []Expr }

// Or is true when any operand is. It has at least one.
type Or struct{ X []Expr }

// Not is true when its operand is not.
type Not struct{ X Expr }

// Ref is a named selection where a condition uses it. One selection used
// twice is one shared X.
type Ref struct {
	Name string
	X    Expr
}

// Item is one field with its values, or a list of keywords.
type Item struct {
	Position
	// Field is the field's name as written, or "" for keywords, which are
	// compared with every leaf of the event.
	Field string
	// Key is the item's key as written, modifiers and all.
	Key string
	// Values are the alternatives, in the rule's order; at least one.
	Values []Value
	// All asks every value to match, not any (modifier all).
	All bool
	// Negate inverts the whole item (modifier neq).
	Negate bool
}

func (*And) expr()  {}
func (*Or) expr()   {}
func (*Not) expr()  {}
func (*Ref) expr()  {}
func (*Item) expr() {}

// Value is what a field is compared with: one of the types below.
type Value interface {
	value()
	// String returns the value as written in the rule.
	String() string
}

// PartKind is the kind of a [Part].
type PartKind uint8

// The kinds of pattern parts.
const (
	// Literal is text, compared by simple case folding unless the pattern is
	// cased.
	Literal PartKind = iota
	// Star is any run of characters, also none.
	Star
	// One is exactly one code point; an invalid byte counts as one.
	One
	// Dash is one of - / – — ― (modifier windash).
	Dash
)

// Part is one piece of a [Text] pattern.
type Part struct {
	Kind PartKind
	Lit  string // for Literal: never empty
}

// Text compares text with a pattern over the whole value.
type Text struct {
	// Parts is the pattern; empty for the empty string. Two Stars never stand
	// next to each other, nor two Literals.
	Parts []Part
	// Cased compares case-sensitively.
	Cased bool
	// Source is the value as written.
	Source string
}

// AnyOf is several values that stand for one: encodings at three offsets, the
// entries of a placeholder's list. It matches when any of X does. X holds no
// AnyOf and may be empty only for a placeholder without values.
type AnyOf struct {
	X      []Value
	Source string
}

// NumberValue compares with a number: numerically with numbers, and with text
// that equals Canonical or Source exactly [D15].
type NumberValue struct {
	// Canonical is event.AppendCanonicalNumber of the value.
	Canonical string
	// Source is the spelling in the rule.
	Source string
}

// Bool compares with true or false, or that text in any case [D16].
type Bool struct{ V bool }

// NullValue matches an absent field, null and an empty array [D17].
type NullValue struct{}

// Exists matches when the field is present, or absent, as V says.
type Exists struct{ V bool }

// Regexp searches the text.
type Regexp struct {
	RE *regexp.Regexp
	// Source is the pattern as written; RE holds flags and anchors besides.
	Source string
}

// CIDR matches addresses inside a network. Prefix is masked, never IPv4-mapped.
type CIDR struct {
	Prefix netip.Prefix
	Source string
}

// CompareOp is an ordering.
type CompareOp uint8

// The orderings; Eq is used by [TimePart] alone.
const (
	Lt CompareOp = iota
	Lte
	Gt
	Gte
	Eq
)

// Compare compares a number, or a decimal spelling of one [D28].
type Compare struct {
	Op CompareOp
	// Canonical is the rule's number in canonical spelling.
	Canonical string
	Source    string
}

// TimeUnit is the part of a timestamp that a [TimePart] reads.
type TimeUnit uint8

// The units; Week is the ISO 8601 week.
const (
	Minute TimeUnit = iota
	Hour
	Day
	Week
	Month
	Year
)

// TimePart compares a part of a timestamp with a number [D29].
type TimePart struct {
	Unit   TimeUnit
	Op     CompareOp
	N      int64
	Source string
}

// RefMode says how the two sides of a [FieldRef] are compared.
type RefMode uint8

// The modes.
const (
	RefEquals RefMode = iota
	RefStartsWith
	RefEndsWith
	RefContains
)

// FieldRef compares with another field of the event; either side absent is
// no match, and of arrays any pair may match.
type FieldRef struct {
	Field string
	Mode  RefMode
	Cased bool
}

func (*Text) value()        {}
func (*AnyOf) value()       {}
func (*NumberValue) value() {}
func (*Bool) value()        {}
func (*NullValue) value()   {}
func (*Exists) value()      {}
func (*Regexp) value()      {}
func (*CIDR) value()        {}
func (*Compare) value()     {}
func (*TimePart) value()    {}
func (*FieldRef) value()    {}

func (v *Text) String() string        { return v.Source }
func (v *AnyOf) String() string       { return v.Source }
func (v *NumberValue) String() string { return v.Source }
func (v *Bool) String() string {
	if v.V {
		return "true"
	}
	return "false"
}
func (*NullValue) String() string { return "null" }
func (v *Exists) String() string {
	if v.V {
		return "true"
	}
	return "false"
}
func (v *Regexp) String() string   { return v.Source }
func (v *CIDR) String() string     { return v.Source }
func (v *Compare) String() string  { return v.Source }
func (v *TimePart) String() string { return v.Source }
func (v *FieldRef) String() string { return v.Field }
