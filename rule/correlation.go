package rule

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/doctree"
)

// CorrelationType is what a correlation counts.
type CorrelationType string

// The types.
const (
	EventCount      CorrelationType = "event_count"
	ValueCount      CorrelationType = "value_count"
	ValueSum        CorrelationType = "value_sum"
	ValueAvg        CorrelationType = "value_avg"
	ValuePercentile CorrelationType = "value_percentile"
	// ValueMedian is no part of the specification and must be switched on.
	ValueMedian     CorrelationType = "value_median"
	Temporal        CorrelationType = "temporal"
	TemporalOrdered CorrelationType = "temporal_ordered"
)

// CorrelationTypes are all types, those of the specification first.
var CorrelationTypes = []CorrelationType{EventCount, ValueCount, Temporal, TemporalOrdered, ValueSum, ValueAvg, ValuePercentile, ValueMedian}

// Correlation is a `correlation` document, checked and resolved: a condition
// over the hits of other rules within a span of time.
type Correlation struct {
	Position
	Title, ID, Name, Status string
	Description             string
	// Level is its own, or the highest of the rules it names.
	Level Level
	// Tags are its own and those of the rules it names, each once.
	Tags           []string
	Author         string
	References     []string
	FalsePositives []string
	Date, Modified string
	Taxonomy       string
	// Custom holds the document's other top-level keys, as written.
	Custom map[string]string

	Type CorrelationType
	// Rules are what it refers to, in the order listed.
	Rules []Reference
	// GroupBy are fields or aliases; empty means that all events make one
	// group.
	GroupBy []string
	// Timespan is the length of the window, both ends included.
	Timespan time.Duration
	// Aliases give a name in GroupBy, or in Fields, to a field of each rule.
	Aliases []Alias
	// Thresholds must all hold for the value counted. A temporal type without
	// any has gte the number of its rules here.
	Thresholds []Threshold
	// Fields are what value types read: one field, or for ValueCount several
	// whose combinations are counted.
	Fields []string
	// Percentile is the rank of ValuePercentile, 0 to 100.
	Percentile float64
	// Expr is a condition in words over the rules of a temporal type: Refs in
	// it carry the reference as Name and no X. It is nil otherwise, and must
	// be switched on as experimental.
	Expr Expr
	// Generate lets the rules named raise detections of their own.
	Generate bool
	// SemanticHash covers the correlation section and the semantic hashes of
	// the rules it names.
	SemanticHash string

	levelSet bool
}

// Reference is a rule or correlation that a correlation names. Exactly one of
// Rule and Correlation is set.
type Reference struct {
	// Name is the id or name as written.
	Name        string
	Rule        *Rule
	Correlation *Correlation
}

// ID returns the id of what is referred to.
func (r Reference) ID() string {
	if r.Rule != nil {
		return r.Rule.ID
	}
	return r.Correlation.ID
}

// Alias is a name for a field that rules call differently.
type Alias struct {
	Name string
	// Fields holds the field's name for each of the correlation's Rules, by
	// index; empty where the alias does not say.
	Fields []string

	written []doctree.Pair
}

// ThresholdOp is an operator of a correlation's condition.
type ThresholdOp string

// The operators.
const (
	OpGt  ThresholdOp = "gt"
	OpGte ThresholdOp = "gte"
	OpLt  ThresholdOp = "lt"
	OpLte ThresholdOp = "lte"
	OpEq  ThresholdOp = "eq"
	OpNeq ThresholdOp = "neq"
)

// Threshold compares the value counted with a number.
type Threshold struct {
	Op ThresholdOp
	N  float64
}

// Holds reports whether v fulfils the threshold.
func (t Threshold) Holds(v float64) bool {
	switch t.Op {
	case OpGt:
		return v > t.N
	case OpGte:
		return v >= t.N
	case OpLt:
		return v < t.N
	case OpLte:
		return v <= t.N
	case OpEq:
		return v == t.N
	}
	return v != t.N
}

// Limits of one correlation.
const (
	// CorrelationRulesMax bounds the rules that one correlation names.
	CorrelationRulesMax = 256
	// CorrelationFieldsMax bounds each of group-by, aliases and field.
	CorrelationFieldsMax = 32
	// TimespanMax bounds the window where events stream: state is kept for it.
	TimespanMax = 30 * 24 * time.Hour
	// timespanStoredMax bounds it where events are stored.
	timespanStoredMax = 100 * 31_556_952 * time.Second
)

func (b *builder) correlation(d *Document, n *doctree.Node) *Correlation {
	m := &d.meta
	c := &Correlation{
		Position: d.Position, Title: m.title, ID: m.id, Name: m.name, Status: m.status, Description: m.description,
		Level: m.level, levelSet: m.levelSet, Tags: m.tags, Author: m.author, References: m.references,
		FalsePositives: m.falsePositives, Date: m.date, Modified: m.modified, Taxonomy: m.taxonomy, Custom: m.custom,
	}
	section := n.Get("correlation")
	d.semantic = []digest{digestOf(section)}
	if section.Kind != doctree.Mapping {
		b.report(section, CodeCorrelationInvalid, "write type, rules, timespan and condition as keys of a map", "the correlation is %s, not a map", section.Describe())
		return c
	}
	known := []string{"type", "rules", "group-by", "timespan", "aliases", "condition", "generate"}
	for _, p := range section.Pairs {
		if !slices.Contains(known, p.Key.Value) {
			b.report(p.Key, CodeCorrelationInvalid, suggest(p.Key.Value, known), "a correlation has no key %s", quote(p.Key.Value))
		}
	}
	b.correlationType(c, section)
	c.Rules = b.correlationRules(section)
	c.GroupBy = b.fieldNames(section.Get("group-by"), "group-by")
	if len(c.GroupBy) == 0 {
		b.report(section, CodeCorrelationGlobal, "add group-by with the fields that tell hosts or users apart", "there is no group-by; all events make one group")
	}
	c.Timespan = b.timespan(section)
	b.aliases(c, section.Get("aliases"))
	for _, g := range []*doctree.Node{section.Get("generate"), n.Get("generate")} {
		switch {
		case g == nil:
		case g.Kind != doctree.Scalar || g.Type != doctree.Bool:
			b.report(g, CodeCorrelationInvalid, "write true or false", "generate is %s", g.Describe())
		default:
			c.Generate = c.Generate || strings.EqualFold(g.Value, "true")
		}
	}
	if c.Type != "" {
		b.correlationCondition(c, section)
	}
	return c
}

func (b *builder) correlationType(c *Correlation, section *doctree.Node) {
	n := section.Get("type")
	if n == nil {
		b.report(section, CodeCorrelationType, "add type: event_count or another", "the correlation has no type")
		return
	}
	names := make([]string, len(CorrelationTypes))
	for i, t := range CorrelationTypes {
		names[i] = string(t)
	}
	if n.Kind == doctree.Scalar && slices.Contains(names, n.Value) {
		c.Type = CorrelationType(n.Value)
		return
	}
	hint := suggest(n.Value, names)
	if hint == "" {
		hint = "write one of " + strings.Join(names, ", ")
	}
	b.report(n, CodeCorrelationType, hint, "there is no type of correlation %s", quote(n.Compact()))
}

func (b *builder) correlationRules(section *doctree.Node) []Reference {
	n := section.Get("rules")
	if n == nil {
		b.report(section, CodeCorrelationRules, "add rules: and a list of ids or names", "the correlation names no rules")
		return nil
	}
	names := b.names(n, CodeCorrelationRules, "rules", CorrelationRulesMax)
	if len(names) == 0 && !b.failed() {
		b.report(n, CodeCorrelationRules, "add ids or names of rules", "the list of rules is empty")
	}
	var out []Reference
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			b.report(n, CodeCorrelationRules, "name it once", "the rule %s is named twice", quote(name))
			continue
		}
		out = append(out, Reference{Name: name})
	}
	return out
}

// names reads a text or a list of texts.
func (b *builder) names(n *doctree.Node, code Code, what string, most int) []string {
	items := []*doctree.Node{n}
	if n.Kind == doctree.Sequence {
		items = n.Items
	}
	if len(items) > most {
		b.report(n, code, "", "%s has %d entries, more than the limit of %d", what, len(items), most)
		return nil
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		if item.Kind != doctree.Scalar || isNull(item) || item.Value == "" {
			b.report(item, code, "write a text", "an entry of %s is %s", what, item.Describe())
			continue
		}
		out = append(out, item.Value)
	}
	return out
}

func (b *builder) fieldNames(n *doctree.Node, what string) []string {
	if n == nil || isNull(n) {
		return nil
	}
	return b.names(n, CodeCorrelationInvalid, what, CorrelationFieldsMax)
}

// timespanUnits are the units with their seconds. M and y are averages of the
// Gregorian calendar; they only fit events that are stored.
var timespanUnits = map[byte]int64{'s': 1, 'm': 60, 'h': 3_600, 'd': 86_400, 'w': 604_800, 'M': 2_629_746, 'y': 31_556_952}

func (b *builder) timespan(section *doctree.Node) time.Duration {
	n := section.Get("timespan")
	const hint = "write it as 30s, 15m, 6h or 7d"
	if n == nil {
		b.report(section, CodeCorrelationTimespan, hint, "the correlation has no timespan")
		return 0
	}
	s := n.Value
	const digitsMax = 12
	if n.Kind == doctree.Scalar && len(s) >= 2 && len(s) <= digitsMax {
		count, err := strconv.ParseInt(s[:len(s)-1], 10, 64)
		unit := timespanUnits[s[len(s)-1]]
		if err == nil && count > 0 && unit > 0 && s[0] != '+' {
			if count > int64(timespanStoredMax/time.Second)/unit {
				b.report(n, CodeCorrelationTimespan, "write a shorter one", "the timespan %s is longer than a hundred years", quote(s))
				return 0
			}
			return time.Duration(count*unit) * time.Second
		}
	}
	b.report(n, CodeCorrelationTimespan, hint, "the timespan %s is not a whole number and a unit", quote(n.Compact()))
	return 0
}

func (b *builder) aliases(c *Correlation, n *doctree.Node) {
	if n == nil || isNull(n) {
		return
	}
	if n.Kind != doctree.Mapping || len(n.Pairs) > CorrelationFieldsMax {
		b.report(n, CodeCorrelationAlias, "write each alias as a map from rules to fields", "aliases is %s, or has more than %d entries", n.Describe(), CorrelationFieldsMax)
		return
	}
	for _, p := range n.Pairs {
		if p.Value.Kind != doctree.Mapping || len(p.Value.Pairs) == 0 {
			b.report(p.Value, CodeCorrelationAlias, "write a map from rules to fields", "the alias %s is %s", quote(p.Key.Value), p.Value.Describe())
			continue
		}
		for _, f := range p.Value.Pairs {
			if f.Value.Kind != doctree.Scalar || f.Value.Value == "" {
				b.report(f.Value, CodeCorrelationAlias, "write the name of a field", "the field of the alias %s is %s", quote(p.Key.Value), f.Value.Describe())
			}
		}
		c.Aliases = append(c.Aliases, Alias{Name: p.Key.Value, written: p.Value.Pairs})
	}
}

func (b *builder) correlationCondition(c *Correlation, section *doctree.Node) {
	n := section.Get("condition")
	temporal := c.Type == Temporal || c.Type == TemporalOrdered
	switch {
	case n == nil && temporal:
	case n == nil:
		b.report(section, CodeCorrelationLimit, "add condition: and an operator such as gte: 10", "the correlation has no condition")
		return
	case n.Kind == doctree.Scalar && temporal && !isNull(n):
		r := resolver{b: b, refs: map[string]*Ref{}, used: map[string]bool{}}
		for _, ref := range c.Rules {
			r.order = append(r.order, ref.Name)
			r.refs[ref.Name] = &Ref{Name: ref.Name}
		}
		c.Expr = r.condition(n)
		return
	case n.Kind != doctree.Mapping:
		b.report(n, CodeCorrelationLimit, "write operators and numbers, such as gte: 10", "the condition of the correlation is %s", n.Describe())
		return
	default:
		b.thresholds(c, n)
	}
	if temporal && len(c.Thresholds) == 0 {
		c.Thresholds = []Threshold{{OpGte, float64(len(c.Rules))}}
	}
	if len(c.Thresholds) == 0 && !b.failed() {
		b.report(n, CodeCorrelationLimit, "add an operator such as gte: 10", "the condition compares with nothing")
	}
	b.checkFields(c, section, n)
}

func (b *builder) thresholds(c *Correlation, n *doctree.Node) {
	known := []string{"gt", "gte", "lt", "lte", "eq", "neq", "field", "percentile"}
	for _, p := range n.Pairs {
		switch key := p.Key.Value; key {
		case "field":
			c.Fields = b.fieldNames(p.Value, "field")
		case "percentile":
			if v, ok := b.number(p, key); ok {
				if v < 0 || v > 100 || c.Type != ValuePercentile {
					b.report(p.Value, CodeCorrelationLimit, "write a number from 0 to 100, and only for the type value_percentile", "percentile cannot be %s here", quote(p.Value.Value))
				}
				c.Percentile = v
			}
		case "gt", "gte", "lt", "lte", "eq", "neq":
			if v, ok := b.number(p, key); ok {
				c.Thresholds = append(c.Thresholds, Threshold{ThresholdOp(key), v})
			}
		default:
			hint := suggest(key, known)
			if hint == "" {
				hint = "write one of " + strings.Join(known, ", ")
			}
			b.report(p.Key, CodeCorrelationLimit, hint, "the condition of a correlation has no operator %s", quote(key))
		}
	}
	if c.Type == ValuePercentile && n.Get("percentile") == nil {
		b.report(n, CodeCorrelationLimit, "add percentile: and a number from 0 to 100; a rarity of texts is no percentile", "value_percentile has no percentile")
	}
}

func (b *builder) number(p doctree.Pair, key string) (float64, bool) {
	if p.Value.Kind == doctree.Scalar && (p.Value.Type == doctree.Int || p.Value.Type == doctree.Float) {
		if canonical, ok := canonicalNumber(p.Value.Type, p.Value.Value); ok {
			if v, err := strconv.ParseFloat(canonical, 64); err == nil && !math.IsInf(v, 0) {
				return v, true
			}
		}
	}
	b.report(p.Value, CodeCorrelationLimit, "write a number", "%s is not a number: %s", key, quote(p.Value.Compact()))
	return 0, false
}

// checkFields judges the fields and thresholds by the type.
func (b *builder) checkFields(c *Correlation, section, condition *doctree.Node) {
	at := condition
	if at == nil {
		at = section
	}
	switch c.Type {
	case EventCount, Temporal, TemporalOrdered:
		if len(c.Fields) > 0 {
			b.report(at, CodeCorrelationField, "remove field, or use value_count", "the type %s reads no field", string(c.Type))
		}
	case ValueCount:
		if len(c.Fields) == 0 {
			b.report(at, CodeCorrelationField, "add field: and the field whose values are counted", "value_count needs a field")
		}
	default:
		if len(c.Fields) != 1 {
			b.report(at, CodeCorrelationField, "write field: and one field with numbers", "%s needs one field and has %d", string(c.Type), len(c.Fields))
		}
	}
	if c.Type != TemporalOrdered || len(c.Rules) == 0 {
		return
	}
	for n := 1; n < len(c.Rules); n++ {
		if holdAll(c.Thresholds, float64(n)) {
			b.report(at, CodeCorrelationLimit, fmt.Sprintf("write gte: %d, or leave the condition out", len(c.Rules)),
				"temporal_ordered needs all %d rules, but the condition holds with %d", len(c.Rules), n)
			return
		}
	}
}

func holdAll(ts []Threshold, v float64) bool {
	for _, t := range ts {
		if !t.Holds(v) {
			return false
		}
	}
	return true
}
