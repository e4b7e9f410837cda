package rule

import (
	"bytes"
	"slices"
	"strings"
)

// Options are the settings of a site that decide what of the content is used.
type Options struct {
	// Statuses are those of documents to enable; nil means stable, test and
	// experimental. A document without a status is always enabled.
	Statuses []string
	// Values are the lists for placeholders, by name.
	Values map[string]ValueList
	// Taxonomies are accepted besides sigma: those that a mapping exists for.
	Taxonomies []string
	// Experimental switches on value_median and conditions in words of
	// temporal correlations.
	Experimental bool
	// Stored says that events are stored, so that a correlation may look back
	// further than TimespanMax.
	Stored bool
}

var enabledStatuses = []string{"stable", "test", "experimental"}

// Set is linked content, ready to be compiled.
type Set struct {
	// Rules are the enabled rules, filters applied, in the order of the
	// documents.
	Rules []*Rule
	// Correlations are the enabled ones, each behind those it refers to.
	Correlations []*Correlation
	// Filters are the enabled filters in the order of the documents.
	Filters []*Filter
	// Disabled is what was well formed but is not used, with the reason.
	Disabled []Disabled

	silent map[string]bool
}

// DisabledReason says why a document is not used.
type DisabledReason string

// The reasons.
const (
	// DisabledStatus: its status is not among those enabled.
	DisabledStatus DisabledReason = "status"
	// DisabledNeedsValues: no list has the name of one of its placeholders.
	DisabledNeedsValues DisabledReason = "needs-values"
	// DisabledOverride: an override of the site says so.
	DisabledOverride DisabledReason = "override"
	// DisabledProfile: it is not in the profile chosen.
	DisabledProfile DisabledReason = "profile"
)

// Disabled is a document that is not used.
type Disabled struct {
	Kind Kind
	Position
	ID, Title string
	Reason    DisabledReason
	// Rule is the rule itself, where it is one.
	Rule *Rule
	// NeedsValues names the placeholders without a list, in order of
	// appearance.
	NeedsValues []string
}

// Silent reports whether the rule or correlation of that id raises nothing of
// its own, because correlations use it and none of them says generate.
func (s *Set) Silent(id string) bool { return s.silent[id] }

// linker holds what is known of all documents while they are linked.
type linker struct {
	options Options
	set     *Set
	diags   []Diagnostic
	byID    map[string]*Document
	byName  map[string]*Document
	rules   map[*Document]*Rule // enabled rules
	linked  map[*Rule]*linkedRule
}

// linkedRule is what linking collects for an enabled rule.
type linkedRule struct {
	index   int // in Set.Rules
	hashes  []digest
	filters []Expr
}

// Link makes a Set of documents: it resolves placeholders and references and
// applies filters. The order of the documents decides which of two with one id
// is kept, and the order of the Set; equal documents give an equal Set. Those
// refused by a diagnostic of severity Error are left out. The documents stay
// as they are and may be linked again.
func Link(docs []*Document, options Options) (*Set, []Diagnostic) {
	if options.Statuses == nil {
		options.Statuses = enabledStatuses
	}
	l := &linker{
		options: options, set: &Set{silent: map[string]bool{}},
		byID: make(map[string]*Document, len(docs)), byName: map[string]*Document{},
		rules: make(map[*Document]*Rule, len(docs)), linked: make(map[*Rule]*linkedRule, len(docs)),
	}
	docs = l.unique(docs)
	for _, d := range docs {
		if d.Kind == KindRule && l.enabled(d) {
			l.rule(d)
		}
	}
	for _, d := range docs {
		if d.Kind == KindFilter && l.enabled(d) {
			l.filter(d)
		}
	}
	for _, r := range l.set.Rules {
		l.finish(r)
	}
	l.correlations(docs)
	l.related(docs)
	return l.set, l.diags
}

func (l *linker) report(at Position, code Code, hint, format string, args ...any) {
	l.diags = append(l.diags, diagnose(at, code, hint, format, args...))
}

// unique drops documents whose id or name is taken, or whose taxonomy has no
// mapping.
func (l *linker) unique(docs []*Document) []*Document {
	out := make([]*Document, 0, len(docs))
	for _, d := range docs {
		m := &d.meta
		if first, ok := l.byID[m.id]; ok {
			at := d.Position
			if m.idNode != nil {
				at.Line, at.Column = m.idNode.Line, m.idNode.Column
			}
			l.report(at, CodeIDDuplicate, "give one of them a new id, or load only one", "the id %s is that of %s (%s) already", m.id, quote(first.Title), first.Position)
			continue
		}
		if first, ok := l.byName[m.name]; ok && m.name != "" {
			at := d.Position
			at.Line, at.Column = m.nameNode.Line, m.nameNode.Column
			l.report(at, CodeNameDuplicate, "give one of them another name", "the name %s is that of %s (%s) already", quote(m.name), quote(first.Title), first.Position)
			continue
		}
		if m.taxonomy != "sigma" && !slices.Contains(l.options.Taxonomies, m.taxonomy) {
			at := d.Position
			at.Line, at.Column = m.taxonomyNode.Line, m.taxonomyNode.Column
			l.report(at, CodeTaxonomyUnmapped, "translate the document to the taxonomy sigma, or allow this one", "there is no mapping for the taxonomy %s, so the document's fields would never be found", quote(m.taxonomy))
			continue
		}
		l.byID[m.id] = d
		if m.name != "" {
			l.byName[m.name] = d
		}
		out = append(out, d)
	}
	return out
}

func (l *linker) enabled(d *Document) bool {
	if l.wanted(d) {
		return true
	}
	reason := d.disabled
	if reason == "" {
		reason = DisabledStatus
	}
	l.set.Disabled = append(l.set.Disabled, Disabled{Kind: d.Kind, Position: d.Position, ID: d.ID, Title: d.Title, Reason: reason, Rule: d.rule})
	return false
}

// wanted reports whether the site wants a document: what it says of the
// document itself is stronger than the status.
func (l *linker) wanted(d *Document) bool {
	return d.disabled == "" && (d.forced || d.meta.status == "" || slices.Contains(l.options.Statuses, d.meta.status))
}

// find resolves an id or a name.
func (l *linker) find(ref string) *Document {
	if d, ok := l.byID[strings.ToLower(ref)]; ok {
		return d
	}
	return l.byName[ref]
}

func (l *linker) rule(d *Document) {
	r := *d.rule
	if d.section != nil {
		conditions, needs, ok := l.rebuild(d)
		if !ok {
			return
		}
		r.Conditions, r.NeedsValues = conditions, needs
	}
	if len(r.NeedsValues) > 0 {
		r.SemanticHash = semanticHash(d.semantic)
		l.set.Disabled = append(l.set.Disabled, Disabled{
			Kind: d.Kind, Position: d.Position, ID: d.ID, Title: d.Title,
			Reason: DisabledNeedsValues, Rule: &r, NeedsValues: r.NeedsValues,
		})
		return
	}
	l.rules[d] = &r
	l.linked[&r] = &linkedRule{index: len(l.set.Rules), hashes: d.semantic}
	l.set.Rules = append(l.set.Rules, &r)
}

// rebuild compiles a section with placeholders again, now with the lists.
func (l *linker) rebuild(d *Document) (conditions []Expr, needs []string, ok bool) {
	b := newBuilder(d.File, l.options.Values)
	skip := ""
	if d.Kind == KindFilter {
		skip = "rules"
	}
	conditions = b.detection(d.section, skip, d.Kind == KindFilter).conditions
	if b.failed() {
		for _, diag := range b.diags {
			if diag.Severity == Error {
				l.diags = append(l.diags, diag)
			}
		}
		return nil, nil, false
	}
	if len(b.needs) > 0 {
		what := "the rule is not enabled"
		if d.Kind == KindFilter {
			what = "the filter is not applied"
		}
		l.report(d.Position, CodePlaceholderMissing, "add it to the values file", "%s: no list is named %s", what, strings.Join(b.needs, ", "))
	}
	return conditions, b.needs, true
}

func (l *linker) filter(d *Document) {
	f := *d.filter
	if d.section != nil {
		conditions, needs, ok := l.rebuild(d)
		if !ok {
			return
		}
		if len(needs) > 0 {
			l.set.Disabled = append(l.set.Disabled, Disabled{Kind: d.Kind, Position: d.Position, ID: d.ID, Title: d.Title, Reason: DisabledNeedsValues, NeedsValues: needs})
			return
		}
		f.Condition = conditions[0]
	}
	var targets []*Rule
	for _, name := range f.Rules {
		if r := l.filterTarget(&f, name); r != nil && !slices.Contains(targets, r) {
			targets = append(targets, r)
		}
	}
	if f.Any {
		for _, r := range l.set.Rules {
			if f.Logsource.admits(r.Logsource) {
				targets = append(targets, r)
			}
		}
	}
	slices.SortFunc(targets, func(a, b *Rule) int { return l.linked[a].index - l.linked[b].index })
	for _, r := range targets {
		lr := l.linked[r]
		lr.filters = append(lr.filters, f.Condition)
		lr.hashes = insertFilter(lr.hashes, d.semantic[0])
		f.Applied = append(f.Applied, r.ID)
	}
	if len(f.Applied) == 0 {
		l.report(f.Position, CodeFilterUnused, "check its rules and its logsource", "the filter applies to no enabled rule")
	}
	l.set.Filters = append(l.set.Filters, &f)
}

// filterTarget resolves one rule that a filter names.
func (l *linker) filterTarget(f *Filter, name string) *Rule {
	target := l.find(name)
	r := l.rules[target]
	switch {
	case target == nil:
		l.report(f.Position, CodeFilterReference, "correct the id or name", "the filter names %s, which is not loaded", quote(name))
	case target.Kind != KindRule:
		l.report(f.Position, CodeFilterReference, "name the rules that it uses", "the filter names %s, which is a %s; filters apply to rules alone", quote(name), target.Kind)
	case r == nil:
		l.report(f.Position, CodeFilterReference, "", "the filter names %s, which is not enabled", quote(name))
	case !f.Logsource.admits(r.Logsource):
		l.report(f.Position, CodeFilterReference, "widen the filter's logsource", "the filter names %s, whose logsource is not as narrow as the filter's", quote(name))
		return nil
	}
	return r
}

// finish adds the filters to the conditions of a rule and hashes it.
func (l *linker) finish(r *Rule) {
	lr := l.linked[r]
	if len(lr.filters) > 0 {
		// The documents own the slice that r.Conditions is so far.
		r.Conditions = slices.Clone(r.Conditions)
		for i, x := range r.Conditions {
			r.Conditions[i] = &And{X: append([]Expr{x}, lr.filters...)}
		}
	}
	r.SemanticHash = semanticHash(lr.hashes)
}

// ruleSections is how many digests of a rule's own come before its filters'.
const ruleSections = 2

// insertFilter keeps the filters' digests sorted: two filters have one effect
// in either order.
func insertFilter(ds []digest, f digest) []digest {
	ds = slices.Clip(ds) // the documents own the first ones
	i := ruleSections
	for i < len(ds) && bytes.Compare(ds[i][:], f[:]) < 0 {
		i++
	}
	return slices.Insert(ds, i, f)
}

// related warns of rules that are enabled beside the ones they replace.
func (l *linker) related(docs []*Document) {
	for _, d := range docs {
		if !l.live(d) {
			continue
		}
		for _, rel := range d.meta.related {
			if rel.Type != "obsolete" && rel.Type != "renamed" {
				continue
			}
			other := l.byID[rel.ID]
			if other == nil || other == d || !l.live(other) {
				continue
			}
			at := d.Position
			at.Line, at.Column = d.meta.relatedNodes.Line, d.meta.relatedNodes.Column
			l.report(at, CodeRelatedEnabled, "remove it or set its status to deprecated", "the rule replaces %s (%s), which is enabled too", quote(other.Title), other.Position)
		}
	}
}

func (l *linker) live(d *Document) bool {
	return d.Kind != KindRule && l.wanted(d) || l.rules[d] != nil
}
