package rule

import (
	"slices"
	"strings"
)

// visit is how far a correlation has been linked.
type visit struct {
	state  uint8 // one of the states below
	linked *Correlation
}

const (
	unvisited uint8 = iota
	visiting
	linked
	refused
)

// correlations resolves the references of the enabled correlations, children
// first.
func (l *linker) correlations(docs []*Document) {
	visits := map[*Document]*visit{}
	generates := map[string]bool{}
	for _, d := range docs {
		if d.Kind == KindCorrelation && l.enabled(d) {
			visits[d] = &visit{}
		}
	}
	for _, d := range docs {
		if visits[d] != nil {
			l.correlation(d, visits)
		}
	}
	for _, c := range l.set.Correlations {
		for _, r := range c.Rules {
			id := r.ID()
			generates[id] = generates[id] || c.Generate
		}
	}
	for id, g := range generates {
		if !g {
			l.set.silent[id] = true
		}
	}
}

// correlation links d and what it refers to. Chains are as long as documents
// are many, and recursion in Go is bounded by memory alone, so the depth is
// bounded here.
func (l *linker) correlation(d *Document, visits map[*Document]*visit) {
	l.correlationAt(d, visits, 0)
}

// CorrelationDepthMax bounds the length of a chain of correlations.
const CorrelationDepthMax = 32

func (l *linker) correlationAt(d *Document, visits map[*Document]*visit, depth int) {
	v := visits[d]
	if v.state != unvisited {
		return
	}
	v.state = visiting
	c := *d.correlation
	ok := l.correlationOptions(&c)
	c.Rules = slices.Clone(c.Rules)
	var hashes []string
	for i := range c.Rules {
		ref := &c.Rules[i]
		if !l.reference(d, ref, visits, depth) {
			ok = false
			continue
		}
		if ref.Rule != nil {
			hashes = append(hashes, ref.Rule.SemanticHash)
		} else {
			hashes = append(hashes, ref.Correlation.SemanticHash)
		}
	}
	ok = ok && l.linkAliases(&c)
	if ok {
		ok = l.distinct(&c)
	}
	if !ok {
		v.state = refused
		return
	}
	inherit(&c)
	sections := slices.Clone(d.semantic)
	for _, h := range hashes {
		sections = append(sections, digestOfText(h))
	}
	c.SemanticHash = semanticHash(sections)
	v.state, v.linked = linked, &c
	l.set.Correlations = append(l.set.Correlations, &c)
}

func (l *linker) correlationOptions(c *Correlation) bool {
	ok := true
	if !l.options.Experimental && (c.Type == ValueMedian || c.Expr != nil) {
		what := "a condition in words"
		if c.Type == ValueMedian {
			what = "the type value_median"
		}
		l.report(c.Position, CodeCorrelationOption, "switch experimental features on, or write the correlation without it", "%s is experimental", what)
		ok = false
	}
	if !l.options.Stored && c.Timespan > TimespanMax {
		l.report(c.Position, CodeCorrelationTimespan, "write at most 30d, or run it over stored events", "the timespan of %s is longer than 30 days, for which no state is kept while events stream", c.Timespan)
		ok = false
	}
	return ok
}

// reference resolves one reference of d.
func (l *linker) reference(d *Document, ref *Reference, visits map[*Document]*visit, depth int) bool {
	target := l.find(ref.Name)
	switch {
	case target == nil:
		l.report(d.Position, CodeCorrelationUnmet, "load it, or correct the id or name; titles are no references", "the correlation names %s, which is not loaded", quote(ref.Name))
		return false
	case target.Kind == KindFilter:
		l.report(d.Position, CodeCorrelationUnmet, "name a rule or correlation", "the correlation names %s, which is a filter", quote(ref.Name))
		return false
	case target.Kind == KindRule:
		ref.Rule = l.rules[target]
		if ref.Rule == nil {
			l.report(d.Position, CodeCorrelationUnmet, "enable it", "the correlation names %s (%s), which is not enabled", quote(target.Title), target.Position)
		}
		return ref.Rule != nil
	}
	v := visits[target]
	switch {
	case v == nil:
		l.report(d.Position, CodeCorrelationUnmet, "enable it", "the correlation names %s (%s), which is not enabled", quote(target.Title), target.Position)
		return false
	case v.state == visiting:
		l.report(d.Position, CodeCorrelationCycle, "remove one of the references", "the correlation and %s (%s) lead to each other", quote(target.Title), target.Position)
		return false
	case depth == CorrelationDepthMax:
		l.report(d.Position, CodeCorrelationCycle, "name the rules directly", "the correlation stands in a chain of more than %d", CorrelationDepthMax)
		return false
	}
	l.correlationAt(target, visits, depth+1)
	if v.linked == nil {
		l.report(d.Position, CodeCorrelationUnmet, "correct that one first", "the correlation names %s (%s), which was refused", quote(target.Title), target.Position)
		return false
	}
	ref.Correlation = v.linked
	return true
}

// distinct refuses a rule that is named twice, by id and by name.
func (l *linker) distinct(c *Correlation) bool {
	for i, a := range c.Rules {
		for _, b := range c.Rules[:i] {
			if a.ID() == b.ID() {
				l.report(c.Position, CodeCorrelationRules, "name it once", "%s and %s are the same rule", quote(b.Name), quote(a.Name))
				return false
			}
		}
	}
	return true
}

// linkAliases gives every alias its field per rule.
func (l *linker) linkAliases(c *Correlation) bool {
	ok := true
	c.Aliases = slices.Clone(c.Aliases)
	for i := range c.Aliases {
		a := &c.Aliases[i]
		a.Fields = make([]string, len(c.Rules))
		for _, p := range a.written {
			target := l.find(p.Key.Value)
			at := slices.IndexFunc(c.Rules, func(r Reference) bool {
				return target != nil && (r.Rule != nil || r.Correlation != nil) && r.ID() == target.ID
			})
			if at < 0 {
				names := make([]string, len(c.Rules))
				for j, r := range c.Rules {
					names[j] = r.Name
				}
				hint := suggest(p.Key.Value, names)
				if hint == "" {
					hint = "write one of " + strings.Join(names, ", ")
				}
				l.report(Position{c.File, p.Key.Line, p.Key.Column}, CodeCorrelationAlias, hint, "the alias %s names %s, which the correlation does not list", quote(a.Name), quote(p.Key.Value))
				ok = false
				continue
			}
			a.Fields[at] = p.Value.Value
		}
	}
	return ok
}

// inherit gives a correlation the highest level of its rules, if it has none
// of its own, and their tags.
func inherit(c *Correlation) {
	tags := slices.Clone(c.Tags)
	highest := Informational
	for _, r := range c.Rules {
		level, more := Informational, []string(nil)
		if r.Rule != nil {
			level, more = r.Rule.Level, r.Rule.Tags
		} else {
			level, more = r.Correlation.Level, r.Correlation.Tags
		}
		highest = max(highest, level)
		for _, t := range more {
			if !slices.Contains(tags, t) {
				tags = append(tags, t)
			}
		}
	}
	c.Tags = tags
	if !c.levelSet {
		c.Level = highest
	}
}
