package rule

import (
	"strings"

	"github.com/tiercel-io/tiercel/doctree"
)

// Filter is a `filter` document: a condition added to rules without changing
// their files. [Link] applies it: the rule then matches where its own
// condition and the filter's both do, exactly as they are written.
type Filter struct {
	Position
	Title, ID, Name, Status string
	Description             string
	Author                  string
	Date, Modified          string
	Taxonomy                string
	// Custom holds the document's other top-level keys, as written.
	Custom map[string]string
	// Logsource is the least that a rule's must ask for.
	Logsource Logsource
	// Any applies the filter to every rule that its logsource admits.
	Any bool
	// Rules are the ids or names of the rules it applies to otherwise.
	Rules []string
	// Condition is what it adds.
	Condition Expr
	// Applied are the ids of the rules it was applied to, in their order.
	Applied []string
}

// FilterRulesMax bounds the rules that one filter names.
const FilterRulesMax = 20_000

func (b *builder) filterDocument(d *Document, n *doctree.Node) {
	m := &d.meta
	f := &Filter{
		Position: d.Position, Title: m.title, ID: m.id, Name: m.name, Status: m.status, Description: m.description,
		Author: m.author, Date: m.date, Modified: m.modified, Taxonomy: m.taxonomy, Custom: m.custom,
	}
	d.filter = f
	f.Logsource, _ = b.logsource(n, n.Get("logsource"))
	section := n.Get("filter")
	if section.Kind != doctree.Mapping {
		b.report(section, CodeFilterInvalid, "write rules, condition and selections as keys of a map", "the filter is %s, not a map", section.Describe())
		return
	}
	b.filterRules(f, section)
	compiled := b.detection(section, "rules", true)
	if len(compiled.conditions) == 1 {
		f.Condition = compiled.conditions[0]
	}
	if b.placeholders {
		d.section = section
	}
	if !compiled.negated && !b.failed() {
		b.report(section.Get("condition"), CodeFilterWithoutNot, "write not before the condition if the events it matches are to be left out",
			"the filter's condition has no not, so its rules report only events that it matches")
	}
	// Which rules are named does not change what the filter does to them.
	effect := &doctree.Node{Kind: doctree.Mapping}
	for _, p := range section.Pairs {
		if p.Key.Value != "rules" {
			effect.Pairs = append(effect.Pairs, p)
		}
	}
	d.semantic = []digest{digestOf(effect)}
}

func (b *builder) filterRules(f *Filter, section *doctree.Node) {
	n := section.Get("rules")
	switch {
	case n == nil:
		b.report(section, CodeFilterInvalid, "add rules: and a list of ids or names, or any", "the filter names no rules")
	case n.Kind == doctree.Scalar && strings.EqualFold(n.Value, "any"), n.Kind == doctree.Sequence && len(n.Items) == 0:
		f.Any = true
	case n.Kind == doctree.Mapping:
		b.report(n, CodeFilterInvalid, "write a list of ids or names", "the rules of the filter are a map")
	default:
		f.Rules = b.names(n, CodeFilterInvalid, "rules", FilterRulesMax)
		if len(f.Rules) == 1 && strings.EqualFold(f.Rules[0], "any") {
			f.Any, f.Rules = true, nil
		}
	}
}

// admits reports whether a rule asks for at least what the filter does.
func (l Logsource) admits(rule Logsource) bool {
	return (l.Category == "" || l.Category == rule.Category) &&
		(l.Product == "" || l.Product == rule.Product) &&
		(l.Service == "" || l.Service == rule.Service)
}
