package ruleset

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tiercel-io/tiercel/doctree"
	"github.com/tiercel-io/tiercel/rule"
)

// Site is what a team decided for itself.
type Site struct {
	// Profile, when it is not nil, leaves out what is not in it.
	Profile *Profile
	// Overrides may be nil.
	Overrides *Overrides
	// Tenant is the one that overrides are for; "" takes those for all.
	Tenant string
	// Suppress is what Prepare found: suppressions by the id of their rule.
	Suppress map[string]Suppression
}

// Prepare applies profile and overrides to documents before they are linked;
// see rulefile.Options. Several overrides may fit one rule. Of each of enabled,
// level and suppress the strongest override that has it counts; tags change
// from the weakest to the strongest; filters all apply. An override is stronger
// than another by, in this order: its priority; being found by id, name, path,
// tag; being for named tenants; standing further down in the file. enabled:
// true also brings back what the profile leaves out.
func (s *Site) Prepare(docs []*rule.Document) ([]*rule.Document, []rule.Diagnostic) {
	s.Suppress = map[string]Suppression{}
	if s.Profile == nil && (s.Overrides == nil || len(s.Overrides.Entries) == 0) {
		return docs, nil
	}
	all := infos(docs)
	var outside map[string]bool
	if s.Profile != nil {
		outside = s.Profile.outside(all)
	}
	p := preparation{site: s, used: map[*Override]bool{}, filtered: map[*Override][]*rule.Info{}}
	var finder *finder
	if s.Overrides != nil {
		finder = newFinder(s.Overrides, s.Tenant)
	}
	out := make([]*rule.Document, 0, len(docs))
	for k, d := range docs {
		i := &all[k]
		var c rule.Changes
		if outside[i.ID] {
			c.Disable = rule.DisabledProfile
		}
		changed := c.Disable != ""
		if finder != nil {
			changed = p.apply(i, finder.find(i), &c) || changed
		}
		if changed {
			d = d.With(c)
		}
		out = append(out, d)
	}
	return append(out, p.filters()...), p.diagnostics()
}

type preparation struct {
	site     *Site
	used     map[*Override]bool
	filtered map[*Override][]*rule.Info
	order    []*Override // those with filters, as first met
	diags    []rule.Diagnostic
}

func (p *preparation) lint(o *Override, msg, hint string) {
	p.diags = append(p.diags, rule.Diagnostic{Position: o.Position, Severity: rule.Lint, Code: rule.CodeOverrideUnused, Message: msg, Hint: hint})
}

// apply collects what the overrides, strongest first, change in a document.
func (p *preparation) apply(i *rule.Info, overrides []*Override, c *rule.Changes) bool {
	changed := false
	var enabled *bool
	_, suppressed := p.site.Suppress[i.ID]
	for _, o := range overrides {
		p.used[o] = true
		if enabled == nil && o.Enabled != nil {
			enabled = o.Enabled
		}
		if c.Level == nil && o.Level != nil {
			c.Level, changed = o.Level, true
		}
		if o.Suppress != nil && !suppressed && i.Kind != rule.KindFilter {
			p.site.Suppress[i.ID], suppressed = *o.Suppress, true
		}
		if o.Filter == nil {
			continue
		}
		if i.Kind != rule.KindRule {
			p.lint(o, fmt.Sprintf("the filter cannot apply to %q, which is a %s", i.Title, i.Kind), "filter the rules that it uses")
			continue
		}
		if p.filtered[o] == nil {
			p.order = append(p.order, o)
		}
		p.filtered[o] = append(p.filtered[o], i)
	}
	for _, o := range slices.Backward(overrides) {
		if o.TagsAdd == nil && o.TagsRemove == nil {
			continue
		}
		if c.Tags == nil {
			c.Tags, changed = append([]string{}, i.Tags...), true
		}
		c.Tags = slices.DeleteFunc(c.Tags, func(t string) bool { return slices.Contains(o.TagsRemove, t) })
		for _, t := range o.TagsAdd {
			if !slices.Contains(c.Tags, t) {
				c.Tags = append(c.Tags, t)
			}
		}
	}
	switch {
	case enabled == nil:
		return changed
	case *enabled:
		c.Enable, c.Disable = true, ""
	default:
		c.Disable = rule.DisabledOverride
	}
	return true
}

// filters makes the documents of the extra filters: one for each override and
// logsource of its rules.
func (p *preparation) filters() []*rule.Document {
	var out []*rule.Document
	for _, o := range p.order {
		groups := map[[3]string][]string{}
		var order []rule.Logsource
		for _, i := range p.filtered[o] {
			key := [3]string{i.Logsource.Category, i.Logsource.Product, i.Logsource.Service}
			if groups[key] == nil {
				order = append(order, i.Logsource)
			}
			if !slices.Contains(groups[key], i.ID) {
				groups[key] = append(groups[key], i.ID)
			}
		}
		for _, l := range order {
			ids := groups[[3]string{l.Category, l.Product, l.Service}]
			if len(ids) > rule.FilterRulesMax {
				p.lint(o, fmt.Sprintf("the filter fits more than %d rules and applies to the first ones", rule.FilterRulesMax), "narrow it")
				ids = ids[:rule.FilterRulesMax]
			}
			title := fmt.Sprintf("Override of %s, line %d", o, o.Line)
			// The file was checked when it was parsed, and warns there.
			if d, _ := filterDocument(o.File, o.Filter, l, ids, title); d != nil {
				out = append(out, d)
			}
		}
	}
	return out
}

func (p *preparation) diagnostics() []rule.Diagnostic {
	if p.site.Overrides != nil {
		for i := range p.site.Overrides.Entries {
			if o := &p.site.Overrides.Entries[i]; o.For(p.site.Tenant) && !p.used[o] {
				p.lint(o, fmt.Sprintf("the override fits no rule that is loaded: %s", o), "")
			}
		}
	}
	slices.SortStableFunc(p.diags, func(a, b rule.Diagnostic) int { return a.Line - b.Line })
	return p.diags
}

// filterDocument makes a Sigma filter of the section of an override.
func filterDocument(file string, section *doctree.Node, l rule.Logsource, ids []string, title string) (*rule.Document, []rule.Diagnostic) {
	text := func(s string) *doctree.Node {
		return &doctree.Node{Kind: doctree.Scalar, Quoted: true, Line: section.Line, Column: section.Column, Value: s}
	}
	node := func(kind doctree.Kind) *doctree.Node {
		return &doctree.Node{Kind: kind, Line: section.Line, Column: section.Column}
	}
	source := node(doctree.Mapping)
	for _, a := range [][2]string{{"category", l.Category}, {"product", l.Product}, {"service", l.Service}} {
		if a[1] != "" {
			source.Pairs = append(source.Pairs, doctree.Pair{Key: text(a[0]), Value: text(a[1])})
		}
	}
	rules := node(doctree.Sequence)
	for _, id := range ids {
		rules.Items = append(rules.Items, text(id))
	}
	filter := node(doctree.Mapping)
	filter.Pairs = append([]doctree.Pair{{Key: text("rules"), Value: rules}}, section.Pairs...)
	doc := node(doctree.Mapping)
	id := rule.DerivedID(strings.Join([]string{"override", file, fmt.Sprint(section.Line, ":", section.Column), l.Category, l.Product, l.Service}, "\x00"))
	doc.Pairs = []doctree.Pair{
		{Key: text("title"), Value: text(title)},
		{Key: text("id"), Value: text(id)},
		{Key: text("logsource"), Value: source},
		{Key: text("filter"), Value: filter},
	}
	return rule.Parse(file, doc)
}

// finder finds the overrides of a document.
type finder struct {
	byID, byName map[string][]*Override
	globs        []*Override
	place        map[*Override]int
}

func newFinder(o *Overrides, tenant string) *finder {
	f := &finder{byID: map[string][]*Override{}, byName: map[string][]*Override{}, place: map[*Override]int{}}
	for i := range o.Entries {
		e := &o.Entries[i]
		if !e.For(tenant) {
			continue
		}
		f.place[e] = i
		switch e.By {
		case ByID:
			f.byID[e.Pattern] = append(f.byID[e.Pattern], e)
		case ByName:
			f.byName[e.Pattern] = append(f.byName[e.Pattern], e)
		default:
			f.globs = append(f.globs, e)
		}
	}
	return f
}

// find returns the overrides that fit a document, the strongest first. Filter
// documents are found by id and name alone.
func (f *finder) find(i *rule.Info) []*Override {
	out := slices.Clone(f.byID[i.ID])
	if i.Name != "" {
		out = append(out, f.byName[i.Name]...)
	}
	if i.Kind != rule.KindFilter {
		for _, o := range f.globs {
			if o.fits(i) {
				out = append(out, o)
			}
		}
	}
	slices.SortFunc(out, func(a, b *Override) int {
		return cmp.Or(b.Priority-a.Priority, int(a.By)-int(b.By), named(b)-named(a), f.place[b]-f.place[a])
	})
	return out
}

func named(o *Override) int { return min(len(o.Tenants), 1) }

// fits reports whether the override is found by what a document says.
func (o *Override) fits(i *rule.Info) bool {
	switch o.By {
	case ByID:
		return o.Pattern == i.ID
	case ByName:
		return o.Pattern == i.Name
	case ByPath:
		return matchPath(o.Pattern, i.File)
	}
	return slices.ContainsFunc(i.Tags, func(t string) bool {
		ok, _ := path.Match(o.Pattern, t)
		return ok
	})
}
