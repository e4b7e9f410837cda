package event

import (
	"strconv"
	"strings"
)

// Lookup says where the values of one field stand in a record. A path names
// object keys joined by dots; it is resolved as `[D22]` orders: the literal
// key with its dots, then the path through objects and arrays (an array fans
// out over its items), then both again with names compared case-folded and
// without spaces. Several keys that fit make the field multi-valued.
type Lookup struct {
	// Paths are tried in order; the first that resolves wins. "*" as a whole
	// step stands for any one key.
	Paths []string
	// All makes every path contribute instead.
	All bool
	// Func names the function that makes the values from those of Args, or
	// is empty for values taken as they stand.
	Func string
	// Args are the inputs of Func, in its order.
	Args []Lookup
	// Params are constants of Func.
	Params []string
}

// Func makes values of a field from values of others. in holds, for each
// argument, the texts of its values in document order, and is empty where the
// argument is absent; emit is called for each value made and copies it. A
// Func is pure: it keeps nothing and has no other effect.
type Func func(in [][][]byte, params []string, emit func(text []byte))

// key is a canonical spelling: equal for equal lookups only.
func (l *Lookup) key() string {
	var b strings.Builder
	l.appendKey(&b)
	return b.String()
}

func (l *Lookup) appendKey(b *strings.Builder) {
	list := func(mark byte, items []string) {
		b.WriteByte(mark)
		b.WriteString(strconv.Itoa(len(items)))
		for _, s := range items {
			b.WriteByte(' ')
			b.WriteString(strconv.Quote(s))
		}
	}
	if l.All {
		b.WriteByte('a')
	}
	list('p', l.Paths)
	if l.Func == "" {
		return
	}
	b.WriteString(strconv.Quote(l.Func))
	list('c', l.Params)
	b.WriteByte('(')
	for i := range l.Args {
		l.Args[i].appendKey(b)
		b.WriteByte(';')
	}
	b.WriteByte(')')
}

// View is one way to read a record as a Sigma logsource: the logsource it
// proves, and where that logsource's fields stand. An event has a service
// view with the vendor's own names and any number of category views.
type View struct {
	// Name identifies the view in statistics and explanations, as
	// windows/process_creation#security-4688.
	Name string
	// Pack is the pack the view belongs to.
	Pack string
	// Product, Category and Service are the logsource the view proves,
	// lower-case; empty where it proves none.
	Product, Category, Service string
	// Aliases are further logsources that the view proves as well, for names
	// that authors use side by side (clipboard_capture, clipboard_change).
	Aliases []Logsource
	// Any makes the view prove every logsource, so that all rules are tried on
	// records of unknown origin.
	Any bool
	// Lookup returns where field stands. It never fails: a field without a
	// mapping is looked up by its own name. It must be safe for concurrent
	// use.
	Lookup func(field string) Lookup
	// Leaves are the paths whose subtrees keywords search; nil means the
	// whole record.
	Leaves []string
}

// Logsource is a product, category and service, lower-case, empty for any.
type Logsource struct{ Product, Category, Service string }
