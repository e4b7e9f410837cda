package rule

import (
	"crypto/sha256"
	"fmt"

	"github.com/tiercel-io/tiercel/doctree"
)

// Kind is what a document is.
type Kind uint8

// The kinds, by the top-level key that tells them apart.
const (
	KindRule Kind = iota
	KindCorrelation
	KindFilter
)

var kindKeys = [...]string{"detection", "correlation", "filter"}

// String returns "rule", "correlation" or "filter".
func (k Kind) String() string { return [...]string{"rule", "correlation", "filter"}[k] }

// digest is the hash of a semantic section.
type digest [sha256.Size]byte

// Document is one parsed and checked document, not linked yet.
type Document struct {
	// Kind says what it is.
	Kind Kind
	// Position is where it begins.
	Position
	// ID and Title are its own, or the derived id.
	ID, Title string

	meta        meta
	rule        *Rule
	correlation *Correlation
	filter      *Filter
	// section is the tree of the detection or filter, kept when it has
	// placeholders, which are resolved when it is linked.
	section *doctree.Node
	// semantic holds the digests of the sections that decide matches.
	semantic []digest
	// forced and disabled are what [Document.With] changed.
	forced   bool
	disabled DisabledReason
}

// IsSigma reports whether a tree has one of the keys that make a Sigma
// document, or is plainly meant to be one: title and logsource together stand
// in rules alone.
func IsSigma(n *doctree.Node) bool {
	for _, key := range kindKeys {
		if n.Get(key) != nil {
			return true
		}
	}
	return n.Get("title") != nil && (n.Get("action") != nil || n.Get("logsource") != nil)
}

// Parse checks one document of a file. It returns nil when a diagnostic is an
// error. Placeholders stay open until [Link]. Parse is pure and may run in
// any goroutine.
func Parse(file string, n *doctree.Node) (*Document, []Diagnostic) {
	b := newBuilder(file, nil)
	d := b.document(n)
	if b.failed() {
		return nil, b.diags
	}
	return d, b.diags
}

func (b *builder) document(n *doctree.Node) *Document {
	if n.Kind != doctree.Mapping {
		b.report(n, CodeDocumentKind, "write title, logsource and detection as keys of a map", "the document is %s, not a map", n.Describe())
		return nil
	}
	if action := n.Get("action"); action != nil {
		switch action.Value {
		case "global", "reset", "repeat":
			b.report(action, CodeActionLegacy, "write every document out in full", "action: %s is of Sigma before 2.0", action.Value)
			return nil
		}
	}
	kind, kinds := KindRule, 0
	for k, key := range kindKeys {
		if n.Get(key) != nil {
			if kinds == 0 {
				kind = Kind(k)
			}
			kinds++
		}
	}
	switch {
	case kinds == 0:
		b.noKind(n)
		return nil
	case kinds > 1:
		b.report(n, CodeDocumentKind, "split the document with a line of three dashes", "the document has more than one of the keys detection, correlation and filter")
		return nil
	}
	d := &Document{Kind: kind, Position: b.at(n)}
	d.meta = b.meta(kind, n)
	d.ID, d.Title = d.meta.id, d.meta.title
	switch kind {
	case KindRule:
		b.ruleDocument(d, n)
	case KindCorrelation:
		d.correlation = b.correlation(d, n)
	case KindFilter:
		b.filterDocument(d, n)
	}
	return d
}

// noKind reports a document without the key that says what it is, at the key
// that was meant to be it.
func (b *builder) noKind(n *doctree.Node) {
	for _, p := range n.Pairs {
		if meant := nearest(p.Key.Value, kindKeys[:]); meant != "" {
			b.report(p.Key, CodeDocumentKind, fmt.Sprintf("did you mean %q?", meant), "there is no %s, but a key %s", meant, quote(p.Key.Value))
			return
		}
	}
	b.report(n, CodeDocumentKind, "add one of them", "the document has none of the keys detection, correlation and filter")
}

func (b *builder) ruleDocument(d *Document, n *doctree.Node) {
	m := &d.meta
	source, hash := b.logsource(n, n.Get("logsource"))
	section := n.Get("detection")
	d.semantic = []digest{hash, digestOf(section)}
	d.rule = &Rule{
		Position: d.Position, Title: m.title, ID: m.id, Name: m.name, Status: m.status,
		Description: m.description, Level: m.level, Tags: m.tags, Author: m.author, License: m.license,
		References: m.references, FalsePositives: m.falsePositives, Fields: m.fields, Date: m.date, Modified: m.modified,
		Taxonomy: m.taxonomy, Scope: m.scope, Related: m.related, Logsource: source, Custom: m.custom,
	}
	if section.Kind != doctree.Mapping {
		b.report(section, CodeDetectionInvalid, "write condition and selections as keys of a map", "the detection is %s, not a map", section.Describe())
		return
	}
	d.rule.Conditions = b.detection(section, "", false).conditions
	if b.placeholders {
		d.section = section
	}
}

// digestOf hashes a section: what it says, not how it is written.
func digestOf(n *doctree.Node) (d digest) {
	h := sha256.New()
	n.Hash(h)
	h.Sum(d[:0])
	return d
}

// logsource checks the logsource and hashes the parts of it that route.
func (b *builder) logsource(doc, n *doctree.Node) (l Logsource, hash digest) {
	if n == nil {
		b.report(doc, CodeLogsourceMissing, "add logsource: with category, product or service", "there is no logsource")
		return l, hash
	}
	if n.Kind != doctree.Mapping {
		b.report(n, CodeLogsourceInvalid, "write category, product and service as keys of a map", "the logsource is %s, not a map", n.Describe())
		return l, hash
	}
	for _, p := range n.Pairs {
		key := p.Key.Value
		if key != "category" && key != "product" && key != "service" && key != "definition" {
			if l.Custom == nil {
				l.Custom = map[string]string{}
			}
			l.Custom[key] = p.Value.Compact()
			continue
		}
		if isNull(p.Value) {
			continue
		}
		if p.Value.Kind != doctree.Scalar {
			b.report(p.Value, CodeLogsourceInvalid, "write one text", "the %s of the logsource is %s", key, p.Value.Describe())
			continue
		}
		switch key {
		case "category":
			l.Category = foldLogsource(p.Value.Value)
		case "product":
			l.Product = foldLogsource(p.Value.Value)
		case "service":
			l.Service = foldLogsource(p.Value.Value)
		default:
			l.Definition = p.Value.Value
		}
	}
	if l.Category == "" && l.Product == "" && l.Service == "" && !b.failed() {
		b.report(n, CodeLogsourceMissing, "add category, product or service", "the logsource asks for nothing")
	}
	return l, l.hash()
}

func (l Logsource) hash() (d digest) {
	h := sha256.New()
	hashTexts(h, l.Category, l.Product, l.Service)
	h.Sum(d[:0])
	return d
}
