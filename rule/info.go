package rule

import "slices"

// Info is what a document says, as it stands in its file: before filters,
// lists and references are applied. Its slices and maps belong to the document
// and must not be changed.
type Info struct {
	Kind Kind
	Position
	Title, ID, Name, Status string
	Description             string
	// Level counts only where LevelSet is true: a rule without a level is
	// taken as low, a correlation takes that of the rules it names.
	Level                    Level
	LevelSet                 bool
	Tags                     []string
	Author, License          string
	References               []string
	FalsePositives           []string
	Fields                   []string
	Date, Modified, Taxonomy string
	Scope                    []string
	Related                  []Related
	Custom                   map[string]string
	Logsource                Logsource
	// Refers are the ids or names that a correlation or a filter refers to.
	Refers []string
	// Placeholders reports that the logic asks for lists.
	Placeholders bool
	// SemanticHash covers the document's own logic: no applied filters, and of
	// a correlation not the logic of the rules it names. It is lower-case hex
	// SHA-256.
	SemanticHash string
}

// Info returns what the document says.
func (d *Document) Info() Info {
	m := &d.meta
	i := Info{
		Kind: d.Kind, Position: d.Position, Title: m.title, ID: m.id, Name: m.name, Status: m.status, Description: m.description,
		Level: m.level, LevelSet: m.levelSet, Tags: m.tags, Author: m.author, License: m.license, References: m.references,
		FalsePositives: m.falsePositives, Fields: m.fields, Date: m.date, Modified: m.modified, Taxonomy: m.taxonomy,
		Scope: m.scope, Related: m.related, Custom: m.custom, Placeholders: d.section != nil,
		SemanticHash: semanticHash(d.semantic),
	}
	switch d.Kind {
	case KindRule:
		i.Logsource = d.rule.Logsource
	case KindCorrelation:
		for _, r := range d.correlation.Rules {
			i.Refers = append(i.Refers, r.Name)
		}
	case KindFilter:
		i.Logsource = d.filter.Logsource
		i.Refers = slices.Clone(d.filter.Rules)
	}
	return i
}

// Changes are what a site changes in a document without touching its file.
// None of them changes a SemanticHash, so detections keep their identity.
type Changes struct {
	// Level replaces the level, when it is not nil.
	Level *Level
	// Tags replace the tags, when they are not nil.
	Tags []string
	// Enable uses the document whatever its status is.
	Enable bool
	// Disable sets the document aside with this reason, unless it is empty.
	// It is stronger than Enable.
	Disable DisabledReason
}

// With returns a copy of the document with the changes made; the document
// itself stays as it is. Level and tags of a filter mean nothing and are left.
func (d *Document) With(c Changes) *Document {
	out := *d
	if c.Enable {
		out.forced = true
	}
	if c.Disable != "" {
		out.disabled = c.Disable
	}
	if d.Kind == KindFilter || c.Level == nil && c.Tags == nil {
		return &out
	}
	if c.Level != nil {
		out.meta.level, out.meta.levelSet = *c.Level, true
	}
	if c.Tags != nil {
		out.meta.tags = slices.Clone(c.Tags)
	}
	switch d.Kind {
	case KindRule:
		r := *d.rule
		r.Level, r.Tags = out.meta.level, out.meta.tags
		out.rule = &r
	case KindCorrelation:
		k := *d.correlation
		k.Level, k.Tags, k.levelSet = out.meta.level, out.meta.tags, out.meta.levelSet
		out.correlation = &k
	}
	return &out
}
