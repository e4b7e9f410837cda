package pack

import (
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/tiercel-io/tiercel/event"
)

// Pack is one compiled pack. It is immutable and safe for concurrent use.
type Pack struct {
	// Name identifies the pack; it is its folder's name.
	Name string
	// About is one line for people.
	About string
	// File is where it was read.
	File string
	// Shapes are the public documents that describe the records' shape.
	Shapes []string
	// Priority decides between two packs that claim a record.
	Priority int
	// Entities are the fields that name an entity, by its kind (user, host, …).
	Entities map[string][]string
	// Sequence is nil when records have no numbers without gaps.
	Sequence *Sequence

	matches  []matchEntry
	steps    []step
	times    []timeSpec
	roots    []string
	fields   fieldTable
	views    []*view
	synonyms [][]string
}

// Sequence says by which number a sender counts its records.
type Sequence struct {
	// Number is the field that holds it.
	Number string
	// Of are the fields whose values tell streams of numbers apart, the channel
	// last.
	Of []string
}

// Reads reports whether the pack says of itself that it knows records of a format,
// by one of its entries that name formats.
func (p *Pack) Reads(format string) bool {
	var fold []byte
	for i := range p.matches {
		if m := &p.matches[i]; len(m.format) > 0 && m.format.match([]byte(format), &fold) {
			return true
		}
	}
	return false
}

// Views returns the pack's views in the order of its file.
func (p *Pack) Views() []event.View {
	out := make([]event.View, len(p.views))
	for i, v := range p.views {
		out[i] = v.View
	}
	return out
}

// view is an event.View with what proves it.
type view struct {
	event.View
	when   []condition
	any    [][]condition
	unless []condition
	fields fieldTable
	ocsf   []*ocsfMap
}

// condition holds when any value of a field fits any pattern.
type condition struct {
	field  string
	lookup event.Lookup
	globs  globs
}

// matchEntry claims a record when all its parts hold.
type matchEntry struct {
	has    [][]string // paths, split into steps
	format globs
	hint   globs
	where  []condition
	text   []textSearch
}

// fieldTable maps rule fields to lookups, by exact name and by folded name.
type fieldTable struct {
	exact  map[string]event.Lookup
	folded map[string]event.Lookup
}

func (t *fieldTable) get(field string) (event.Lookup, bool) {
	if l, ok := t.exact[field]; ok {
		return l, true
	}
	l, ok := t.folded[foldField(field)]
	return l, ok
}

// foldField is the spelling in which field names are compared when they do
// not agree exactly: case-folded, without spaces [D22].
func foldField(s string) string {
	return strings.ReplaceAll(event.FoldString(s), " ", "")
}

// names returns the mapped fields in order.
func (t *fieldTable) names() []string {
	out := make([]string, 0, len(t.exact))
	for f := range t.exact {
		out = append(out, f)
	}
	sort.Strings(out)
	return out
}

// compiler turns a document into a Pack and gathers faults.
type compiler struct {
	pack *Pack
	errs []*Error
}

func (c *compiler) fail(at place, format string, args ...any) {
	c.errs = append(c.errs, &Error{place: at, Problem: fmt.Sprintf(format, args...)})
}

// priorityDefault is the priority of a pack that names none.
const priorityDefault = 50

func newPack(d *document) (*Pack, []*Error) {
	p := &Pack{Name: d.Pack, About: d.About, Shapes: d.Shape, Priority: priorityDefault, roots: d.Roots, synonyms: d.Synonyms}
	if d.Priority != nil {
		p.Priority = *d.Priority
	}
	if len(p.roots) == 0 {
		p.roots = []string{""}
	}
	c := &compiler{pack: p}
	p.fields = c.table(d.Fields, c.path)
	for i := range d.Match {
		p.matches = append(p.matches, c.match(&d.Match[i]))
	}
	for i := range d.Parse {
		p.steps = append(p.steps, c.step(&d.Parse[i]))
	}
	for i := range d.Time {
		p.times = append(p.times, c.time(&d.Time[i]))
	}
	seen := map[string]int{}
	for i := range d.Views {
		v := c.view(&d.Views[i])
		if seen[v.Name]++; seen[v.Name] > 1 {
			v.Name += "#" + strconv.Itoa(seen[v.Name])
		}
		p.views = append(p.views, v)
	}
	if len(d.Entities) > 0 {
		p.Entities = map[string][]string{}
		for kind, fields := range d.Entities {
			p.Entities[kind] = fields
		}
	}
	if d.Sequence != nil {
		p.Sequence = &Sequence{Number: d.Sequence.Number, Of: d.Sequence.Of}
	}
	return p, c.errs
}

// path resolves a path of a mapping: ~x stands below every root.
func (c *compiler) path(text string) []string {
	if !strings.HasPrefix(text, "~") {
		return []string{text}
	}
	return rooted(c.pack.roots, text[1:])
}

func rooted(roots []string, field string) []string {
	out := make([]string, len(roots))
	for i, r := range roots {
		if out[i] = field; r != "" {
			out[i] = r + "." + field
		}
	}
	return out
}

func (c *compiler) table(in map[string]mapping, path func(string) []string) fieldTable {
	t := fieldTable{exact: make(map[string]event.Lookup, len(in)), folded: make(map[string]event.Lookup, len(in))}
	names := make([]string, 0, len(in))
	for f := range in {
		names = append(names, f)
	}
	sort.Strings(names)
	for _, f := range names {
		m := in[f]
		l := c.lookup(&m, path)
		t.exact[f] = l
		if _, taken := t.folded[foldField(f)]; !taken {
			t.folded[foldField(f)] = l
		}
	}
	return t
}

// lookup compiles a mapping.
func (c *compiler) lookup(m *mapping, path func(string) []string) event.Lookup {
	l := event.Lookup{All: m.all}
	for _, p := range m.paths {
		l.Paths = append(l.Paths, path(p)...)
	}
	if m.fn == "" {
		return l
	}
	f, ok := functions[m.fn]
	if !ok {
		c.fail(m.place, "unknown function %q; the functions are %s", m.fn, strings.Join(functionNames(), ", "))
		return event.Lookup{}
	}
	if len(m.args) < f.ArgsMin || len(m.args) > f.ArgsMax {
		c.fail(m.place, "function %s takes %s, not %d", m.fn, countText(f.ArgsMin, f.ArgsMax, "argument"), len(m.args))
	}
	if len(m.params) < f.ParamsMin || len(m.params) > f.ParamsMax {
		c.fail(m.place, "function %s takes %s, not %d", m.fn, countText(f.ParamsMin, f.ParamsMax, "parameter"), len(m.params))
	} else if f.check != nil {
		if err := f.check(m.params); err != nil {
			c.fail(m.place, "function %s: %v", m.fn, err)
		}
	}
	l.Func, l.Params = m.fn, m.params
	for i := range m.args {
		l.Args = append(l.Args, c.lookup(&m.args[i], path))
	}
	return l
}

func countText(least, most int, noun string) string {
	switch {
	case most == 1 && least == 1:
		return "one " + noun
	case least == most:
		return fmt.Sprintf("%d %ss", least, noun)
	case most >= listMax:
		return fmt.Sprintf("at least %d %ss", least, noun)
	}
	return fmt.Sprintf("%d to %d %ss", least, most, noun)
}

// fieldLookup finds a field as the pack's views see it before their own
// mappings.
func (p *Pack) fieldLookup(field string) event.Lookup {
	if l, ok := p.fields.get(field); ok {
		return l
	}
	return event.Lookup{Paths: rooted(p.roots, field)}
}

func (v *view) fieldLookup(p *Pack, field string) event.Lookup {
	if l, ok := v.fields.get(field); ok {
		return l
	}
	return p.fieldLookup(field)
}

func (c *compiler) conditions(m map[string]texts, lookup func(string) event.Lookup) []condition {
	names := make([]string, 0, len(m))
	for f := range m {
		names = append(names, f)
	}
	sort.Strings(names)
	var out []condition
	for _, f := range names {
		out = append(out, condition{field: f, lookup: lookup(f), globs: newGlobs(m[f])})
	}
	return out
}

func (c *compiler) match(d *matchDoc) matchEntry {
	e := matchEntry{format: newGlobs(d.Format), hint: newGlobs(d.Hint)}
	for _, h := range d.Has {
		e.has = append(e.has, strings.Split(h, "."))
	}
	byPath := func(f string) event.Lookup { return event.Lookup{Paths: []string{f}} }
	e.where = c.conditions(d.Where, byPath)
	if len(d.Program) > 0 {
		e.where = append(e.where, c.conditions(map[string]texts{"program": d.Program}, byPath)...)
	}
	for _, t := range d.Text {
		re, err := regexp.Compile(t)
		if err != nil {
			c.fail(d.place, "text: %v", err)
			continue
		}
		e.text = append(e.text, newTextSearch(re))
	}
	return e
}

func (c *compiler) view(d *viewDoc) *view {
	v := &view{when: c.conditions(d.When, c.pack.fieldLookup), unless: c.conditions(d.Unless, c.pack.fieldLookup)}
	for _, m := range d.WhenAny {
		v.any = append(v.any, c.conditions(m, c.pack.fieldLookup))
	}
	v.fields = c.table(d.Fields, c.path)
	l := d.Logsource
	v.Pack = c.pack.Name
	v.Product, v.Category, v.Service = l.Product, l.Category, l.Service
	v.Leaves = d.Leaves
	for _, a := range d.Also {
		v.Aliases = append(v.Aliases, event.Logsource{Product: a.Product, Category: a.Category, Service: a.Service})
	}
	var parts []string
	for _, s := range []string{l.Product, l.Category, l.Service} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	v.Name = strings.Join(parts, "/")
	if d.Name != "" {
		v.Name += "#" + d.Name
	}
	pack := c.pack
	v.Lookup = func(field string) event.Lookup { return v.fieldLookup(pack, field) }
	for i := range d.OCSF {
		if m := c.ocsf(&d.OCSF[i], v); m != nil {
			v.ocsf = append(v.ocsf, m)
		}
	}
	return v
}
