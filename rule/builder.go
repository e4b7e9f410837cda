package rule

import (
	"strings"

	"github.com/tiercel-io/tiercel/doctree"
)

// Limits of one rule. The largest public rule has about 1,000 values.
const (
	// ValuesMax bounds the values, encodings included.
	ValuesMax = 20_000
	// ValueBytesMax bounds one value after each transformation.
	ValueBytesMax = 64 << 10
	// PatternBytesMax bounds all patterns of a rule together, which spellings
	// and encodings can make larger than its file.
	PatternBytesMax = 4 << 20
	// ListValuesMax bounds the values that the lists of placeholders stand for
	// in a rule, every use and every combination counted. It is what one core
	// loads in about a second.
	ListValuesMax = 500_000
	// ListBytesMax bounds the patterns of those values together.
	ListBytesMax = 32 << 20
)

// ValueList is a named list for placeholders.
type ValueList struct {
	// Literal takes * and ? in the values as text; otherwise the values are
	// read by Sigma's escapes.
	Literal bool
	// Values are the alternatives; a list may be empty, and then nothing
	// matches the placeholder.
	Values []string
}

// builder turns the tree of one document into expressions and collects what is
// wrong with it.
type builder struct {
	file  string
	lists map[string]ValueList
	diags []Diagnostic
	// needs are the placeholders without a list, in order of appearance.
	needs []string
	// placeholders is true when any was seen, resolved or not.
	placeholders bool
	values       int
	patternBytes int
	listValues   int
	listBytes    int
	regexBudget  int
	full         bool // a limit was reported
	errored      bool
}

func newBuilder(file string, lists map[string]ValueList) *builder {
	return &builder{file: file, lists: lists, regexBudget: RegexTotalMax}
}

func (b *builder) at(n *doctree.Node) Position {
	if n == nil {
		return Position{File: b.file}
	}
	return Position{File: b.file, Line: n.Line, Column: n.Column}
}

// DiagnosticsMax bounds what is reported of one document; after that many the
// rest is left out, but for the first error.
const DiagnosticsMax = 100

func (b *builder) report(n *doctree.Node, code Code, hint, format string, args ...any) {
	b.add(diagnose(b.at(n), code, hint, format, args...))
}

func (b *builder) reportFault(n *doctree.Node, f *fault) {
	b.add(Diagnostic{Position: b.at(n), Severity: severityOf(f.code), Code: f.code, Message: f.msg, Hint: f.hint})
}

func (b *builder) add(d Diagnostic) {
	switch {
	case len(b.diags) < DiagnosticsMax:
		b.diags = append(b.diags, d)
	case d.Severity == Error && !b.errored:
		b.diags[len(b.diags)-1] = d
	}
	b.errored = b.errored || d.Severity == Error
}

func (b *builder) failed() bool { return b.errored }

// hopeless reports that a document is refused and that nothing more will be
// said of it, so that work on it may end.
func (b *builder) hopeless() bool { return b.errored && len(b.diags) == DiagnosticsMax }

// chargeList counts entries of lists and the bytes of their patterns: lists are
// data of the site, and much longer than what people write into rules.
func (b *builder) chargeList(n *doctree.Node, values, bytes int) bool {
	b.listValues += values
	b.listBytes += bytes
	if b.listValues <= ListValuesMax && b.listBytes <= ListBytesMax {
		return true
	}
	if !b.full {
		b.full = true
		if b.listValues > ListValuesMax {
			b.report(n, CodeValuesMany, "shorten the lists, or split the rule", "the lists of the rule have more than %d entries, combinations included", ListValuesMax)
		} else {
			b.report(n, CodeValuesMany, "shorten the lists, or split the rule", "the lists of the rule take more than %d bytes, combinations included", ListBytesMax)
		}
	}
	return false
}

// charge counts values and bytes of patterns against the limits of a rule.
func (b *builder) charge(n *doctree.Node, values, bytes int) bool {
	b.values += values
	b.patternBytes += bytes
	if b.values <= ValuesMax && b.patternBytes <= PatternBytesMax {
		return true
	}
	if !b.full {
		b.full = true
		if b.values > ValuesMax {
			b.report(n, CodeValuesMany, "split the rule", "the rule has more than %d values, encodings included", ValuesMax)
		} else {
			b.report(n, CodeValuesMany, "split the rule", "the patterns of the rule take more than %d bytes, encodings included", PatternBytesMax)
		}
	}
	return false
}

// selection builds what a name in a detection stands for, or returns nil after
// reporting why it cannot.
func (b *builder) selection(name string, n *doctree.Node) Expr {
	switch n.Kind {
	case doctree.Mapping:
		return b.fields(name, n)
	case doctree.Scalar:
		if n.Type == doctree.Null {
			b.report(n, CodeSelectionInvalid, "add fields or keywords, or remove it", "the selection %s is empty", quote(name))
			return nil
		}
		return b.keywords([]*doctree.Node{n})
	}
	if len(n.Items) == 0 {
		b.report(n, CodeListEmpty, "add fields or keywords, or remove it", "the selection %s is an empty list", quote(name))
		return nil
	}
	// Maps are alternatives, and so are keywords; of a mixed list the
	// keywords together make one alternative, where the first of them stands.
	var any []Expr
	var words []*doctree.Node
	place := -1
	for _, item := range n.Items {
		switch item.Kind {
		case doctree.Mapping:
			if x := b.fields(name, item); x != nil {
				any = append(any, x)
			}
		case doctree.Scalar:
			if place < 0 {
				place = len(any)
				any = append(any, nil)
			}
			words = append(words, item)
		default:
			b.report(item, CodeSelectionInvalid, "make one list of them", "the selection %s holds a list inside a list", quote(name))
		}
	}
	if place >= 0 {
		x := b.keywords(words)
		if x == nil {
			return nil
		}
		any[place] = x
	}
	switch len(any) {
	case 0:
		return nil
	case 1:
		return any[0]
	}
	return &Or{X: any}
}

func (b *builder) keywords(words []*doctree.Node) Expr {
	item := &Item{Position: b.at(words[0])}
	b.itemValues(item, chain{}, words, words[0])
	if len(item.Values) == 0 {
		return nil
	}
	return item
}

// fields builds a map of items, all of which must be true.
func (b *builder) fields(name string, n *doctree.Node) Expr {
	if len(n.Pairs) == 0 {
		b.report(n, CodeSelectionInvalid, "add fields, or remove it", "the selection %s is an empty map", quote(name))
		return nil
	}
	all := make([]Expr, 0, len(n.Pairs))
	for _, p := range n.Pairs {
		if item := b.item(n, p); item != nil {
			all = append(all, item)
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return &And{X: all}
}

// item builds one field with its values. siblings is the map it stands in.
func (b *builder) item(siblings *doctree.Node, p doctree.Pair) Expr {
	if b.hopeless() {
		return nil
	}
	c, lints, err := parseChain(p.Key.Value)
	for _, l := range lints {
		b.reportFault(p.Key, l)
	}
	if err != nil {
		b.reportFault(p.Key, err)
		return nil
	}
	item := &Item{Position: b.at(p.Key), Field: c.field, Key: p.Key.Value, All: c.all, Negate: c.neq}
	values := []*doctree.Node{p.Value}
	switch p.Value.Kind {
	case doctree.Mapping:
		b.report(p.Value, CodeValueInvalid, "write a value or a list of values; a map of fields begins its own selection", "the value of %s is a map", quote(p.Key.Value))
		return nil
	case doctree.Sequence:
		if len(p.Value.Items) == 0 {
			b.report(p.Value, CodeListEmpty, "add values, write null if the field is to be absent, or remove the item", "the list of values of %s is empty", quote(p.Key.Value))
			return nil
		}
		if c.mode == modeExists {
			b.report(p.Value, CodeModifierValue, "write exists: true or exists: false", "exists takes one value, not a list")
			return nil
		}
		values = p.Value.Items
	}
	if c.all && len(values) == 1 {
		b.report(p.Key, CodeAllSingle, "remove |all", "all stands with a single value")
		item.All = false
	}
	b.itemValues(item, c, values, p.Key)
	if len(item.Values) == 0 {
		return nil
	}
	if c.neq && !guarded(siblings, c.field) && !isNull(values[0]) {
		b.report(p.Key, CodeNeqAbsent, "add '"+c.field+"|exists: true' if the field must be there", "neq is also true for events without the field %s", quote(c.field))
	}
	return item
}

func isNull(n *doctree.Node) bool { return n.Kind == doctree.Scalar && n.Type == doctree.Null }

// guarded reports whether a map says of its own that the field exists.
func guarded(n *doctree.Node, field string) bool {
	v := n.Get(field + "|exists")
	return v != nil && strings.EqualFold(v.Value, "true")
}

// itemValues fills item.Values. On an error it leaves them empty.
func (b *builder) itemValues(item *Item, c chain, nodes []*doctree.Node, at *doctree.Node) {
	values := make([]Value, 0, len(nodes))
	ok := true
	for _, n := range nodes {
		if b.hopeless() {
			return
		}
		switch {
		case n.Kind != doctree.Scalar:
			b.report(n, CodeValueInvalid, "write a plain value; a list cannot hold lists or maps", "a value is %s", n.Describe())
			ok = false
			continue
		case isNull(n) && len(nodes) > 1 && c.field != "":
			b.report(n, CodeListNull, "make the absent field a selection of its own", "null in a list of values is read as: or absent")
		}
		v := b.value(c, n)
		if v == nil {
			ok = false
			continue
		}
		if !b.charge(n, 1, 0) {
			return
		}
		values = append(values, v)
	}
	if ok {
		item.Values = values
	}
}

// fold makes one value of the alternatives of one source value.
func fold(source string, alternatives []Value) Value {
	if len(alternatives) == 1 {
		return alternatives[0]
	}
	return &AnyOf{X: alternatives, Source: source}
}
