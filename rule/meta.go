package rule

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tiercel-io/tiercel/doctree"
)

// meta is what all kinds of documents say about themselves.
type meta struct {
	title, id, name, status        string
	description                    string
	level                          Level
	levelSet                       bool
	tags                           []string
	author, license                string
	references                     []string
	falsePositives, fields, scope  []string
	date, modified                 string
	taxonomy                       string
	taxonomyNode                   *doctree.Node
	related                        []Related
	custom                         map[string]string
	idNode, nameNode, relatedNodes *doctree.Node
}

// Bounds of the specification, in characters.
const (
	titleRunesMax       = 256
	descriptionRunesMax = 65_535
)

// Statuses are the values that status may have.
var Statuses = []string{"stable", "test", "experimental", "deprecated", "unsupported"}

var tagNamespaces = []string{"attack", "car", "cve", "d3fend", "detection", "stp", "tlp"}

var relatedTypes = []string{"derived", "obsolete", "merged", "renamed", "similar"}

// meta reads the descriptive keys of a document.
func (b *builder) meta(kind Kind, n *doctree.Node) (m meta) {
	m.taxonomy = "sigma"
	for _, p := range n.Pairs {
		v := p.Value
		switch p.Key.Value {
		case "title":
			m.title = strings.TrimSpace(b.text(p))
		case "id":
			m.id = strings.ToLower(b.text(p))
			m.idNode = v
			if !isUUID(m.id) {
				b.report(v, CodeIDInvalid, "write a UUID, such as the output of uuidgen", "the id %s is not a UUID", quote(v.Compact()))
			}
		case "name":
			m.name = b.text(p)
			m.nameNode = v
		case "status":
			m.status = b.oneOf(p, CodeStatusUnknown, Statuses)
		case "description":
			m.description = b.text(p)
		case "level":
			if s := b.oneOf(p, CodeLevelUnknown, levelNames[:]); s != "" {
				m.level, m.levelSet = ParseLevel(s)
			}
		case "author":
			m.author = b.text(p)
		case "license":
			m.license = b.text(p)
		case "references":
			m.references = b.texts(p)
		case "falsepositives":
			m.falsePositives = b.texts(p)
		case "fields":
			m.fields = b.texts(p)
		case "scope":
			m.scope = b.texts(p)
		case "date":
			m.date = b.date(p)
		case "modified":
			m.modified = b.date(p)
		case "taxonomy":
			if t := b.text(p); t != "" {
				m.taxonomy = t
			}
			m.taxonomyNode = v
		case "tags":
			m.tags = b.tags(p)
		case "related":
			m.related = b.related(v)
			m.relatedNodes = v
		case "logsource", "detection", "correlation", "filter":
		default:
			if kind == KindCorrelation && p.Key.Value == "generate" {
				continue
			}
			if m.custom == nil {
				m.custom = map[string]string{}
			}
			m.custom[p.Key.Value] = v.Compact()
		}
	}
	if m.title == "" {
		b.report(n, CodeTitleMissing, "add title: and a short name", "the document has no title")
	}
	if utf8.RuneCountInString(m.title) > titleRunesMax {
		b.report(n.Get("title"), CodeTitleLong, "shorten it", "the title has more than %d characters", titleRunesMax)
	}
	if utf8.RuneCountInString(m.description) > descriptionRunesMax {
		b.report(n.Get("description"), CodeDescriptionLong, "shorten it", "the description has more than %d characters", descriptionRunesMax)
	}
	if m.id == "" {
		m.id = derivedID(n)
		b.report(n, CodeIDMissing, "add id: and a random UUID", "the document has no id; %s is derived from its content", m.id)
	}
	if !m.levelSet {
		m.level = Low
		if level := n.Get("level"); kind == KindRule && (level == nil || isNull(level)) {
			b.report(n, CodeLevelMissing, "add level: and one of "+strings.Join(levelNames[:], ", "), "the rule has no level and is taken as low")
		}
	}
	return m
}

// text reads a descriptive text; what is not one is left out with a lint.
func (b *builder) text(p doctree.Pair) string {
	if p.Value.Kind != doctree.Scalar {
		b.report(p.Value, CodeMetadataType, "write a text", "%s is %s, not a text", p.Key.Value, p.Value.Describe())
		return ""
	}
	if isNull(p.Value) {
		return ""
	}
	return p.Value.Value
}

// texts reads a list of descriptive texts; a single one is a list of one.
func (b *builder) texts(p doctree.Pair) []string {
	switch p.Value.Kind {
	case doctree.Scalar:
		if s := b.text(p); s != "" {
			b.report(p.Value, CodeMetadataType, "write a list, each entry behind a hyphen", "%s is a single value, not a list", p.Key.Value)
			return []string{s}
		}
		return nil
	case doctree.Mapping:
		b.report(p.Value, CodeMetadataType, "write a list, each entry behind a hyphen", "%s is a map, not a list", p.Key.Value)
		return nil
	}
	out := make([]string, 0, len(p.Value.Items))
	for _, item := range p.Value.Items {
		if item.Kind != doctree.Scalar {
			b.report(item, CodeMetadataType, "quote it if it holds a colon", "an entry of %s is %s, not a text", p.Key.Value, item.Describe())
			continue
		}
		if !isNull(item) {
			out = append(out, item.Value)
		}
	}
	return out
}

func (b *builder) oneOf(p doctree.Pair, code Code, allowed []string) string {
	s := b.text(p)
	if s == "" && (p.Value.Kind == doctree.Scalar) {
		return ""
	}
	if slices.Contains(allowed, s) {
		return s
	}
	if lower := strings.ToLower(s); slices.Contains(allowed, lower) {
		b.report(p.Value, CodeMetadataType, "write "+lower, "%s is not written in lower case: %s", p.Key.Value, quote(s))
		return lower
	}
	hint := suggest(s, allowed)
	if hint == "" {
		hint = "write one of " + strings.Join(allowed, ", ")
	}
	b.report(p.Value, code, hint, "%s cannot be %s", p.Key.Value, quote(p.Value.Compact()))
	return ""
}

func (b *builder) date(p doctree.Pair) string {
	s := b.text(p)
	if s == "" {
		return ""
	}
	if _, err := time.Parse(time.DateOnly, s); err == nil {
		return s
	}
	if t, err := time.Parse("2006/1/2", s); err == nil {
		b.report(p.Value, CodeDateSlash, "write "+t.Format(time.DateOnly), "the date %s is written with slashes", quote(s))
		return t.Format(time.DateOnly)
	}
	b.report(p.Value, CodeDateInvalid, "write it as YYYY-MM-DD", "%s is not a day of the calendar: %s", p.Key.Value, quote(s))
	return s
}

// tags reads and normalises the tags: lower-case, and ATT&CK names with
// hyphens.
func (b *builder) tags(p doctree.Pair) []string {
	list := b.texts(p)
	// A lint points at the list's own entry, which is at the same index as
	// long as nothing was left out.
	place := func(i int) *doctree.Node {
		if i < len(p.Value.Items) && len(list) == len(p.Value.Items) {
			return p.Value.Items[i]
		}
		return p.Value
	}
	for i, tag := range list {
		tag = strings.ToLower(strings.TrimSpace(tag))
		namespace, name, ok := strings.Cut(tag, ".")
		switch {
		case !ok || name == "" || namespace == "":
			b.report(place(i), CodeTagInvalid, "write it as namespace.name", "the tag %s is not a namespace and a name joined by a dot", quote(tag))
		case !slices.Contains(tagNamespaces, namespace):
			b.report(place(i), CodeTagNamespace, suggest(namespace, tagNamespaces), "the tag %s has an unknown namespace", quote(tag))
		case namespace == "attack" && strings.Contains(name, "_"):
			tag = strings.ReplaceAll(tag, "_", "-")
			b.report(place(i), CodeTagUnderscore, "write "+tag, "the tag %s is written with underscores", quote(list[i]))
		}
		list[i] = tag
	}
	return list
}

func (b *builder) related(n *doctree.Node) []Related {
	if isNull(n) {
		return nil
	}
	if n.Kind != doctree.Sequence {
		b.report(n, CodeRelatedInvalid, "write a list of maps with id and type", "related is %s, not a list", n.Describe())
		return nil
	}
	var out []Related
	for _, item := range n.Items {
		id, typ := item.Get("id"), item.Get("type")
		if id == nil || typ == nil || id.Kind != doctree.Scalar || typ.Kind != doctree.Scalar {
			b.report(item, CodeRelatedInvalid, "write a map with id and type", "an entry of related has no id or no type")
			continue
		}
		t := strings.ToLower(typ.Value)
		if t == "obsoletes" {
			t = "obsolete" // the spelling of older versions
		}
		switch {
		case !slices.Contains(relatedTypes, t):
			hint := suggest(t, relatedTypes)
			if hint == "" {
				hint = "write one of " + strings.Join(relatedTypes, ", ")
			}
			b.report(typ, CodeRelatedInvalid, hint, "%s is not a type of relation", quote(typ.Value))
		case !isUUID(id.Value):
			b.report(id, CodeRelatedInvalid, "write the other rule's id", "the related id %s is not a UUID", quote(id.Value))
		default:
			out = append(out, Related{ID: strings.ToLower(id.Value), Type: t})
		}
	}
	return out
}

func foldLogsource(s string) string { return strings.ToLower(strings.TrimSpace(s)) }
