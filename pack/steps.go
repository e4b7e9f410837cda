package pack

import (
	"strings"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// Limits of what one record's text may turn into. What lies beyond them is
// left out; the text itself is kept.
const (
	// parsedFieldsMax bounds the fields one step makes: real kv lines have
	// fewer than 120.
	parsedFieldsMax = 512
	// parsedTextMax bounds the text one step reads.
	parsedTextMax = 256 << 10
)

// parser takes text apart. It adds fields to out and reports whether the text
// has the form it knows; when it does not, what it added is dropped. The texts
// it adds may be parts of the text given or of memory of their own.
type parser interface {
	parse(text []byte, out *fields) bool
}

// fields are what a step found, in order.
type fields struct {
	list []field
	tree event.Tree // of the json step, grafted as it stands
	json bool
	buf  []byte

	xml   format.Parser // of the xml step, made when first needed
	graft *event.Tree   // of the xml step, valid until its next parse
}

type field struct {
	name  string
	key   []byte // when name is empty
	value []byte
}

func (f *fields) reset() {
	f.list, f.buf, f.json = f.list[:0], f.buf[:0], false
	f.graft = nil
}

func (f *fields) full() bool { return len(f.list) >= parsedFieldsMax }

// add adds a field with a name of the pack.
func (f *fields) add(name string, value []byte) {
	if !f.full() {
		f.list = append(f.list, field{name: name, value: value})
	}
}

// addKey adds a field whose name stands in the text.
func (f *fields) addKey(key, value []byte) {
	if !f.full() && len(key) > 0 && event.KeyFits(key) {
		f.list = append(f.list, field{key: key, value: value})
	}
}

// step is one compiled step of parse.
type step struct {
	from     []string
	into     string
	optional bool
	when     []stepCondition
	parser   parser
	first    []step
}

// stepCondition looks at the tree itself: a plan's reader does not see what
// earlier steps of the same record have added.
type stepCondition struct {
	path  []string
	globs globs
}

func (c *compiler) step(d *stepDoc) step {
	s := step{from: strings.Split(d.From, "."), into: d.Into, optional: d.Optional}
	for path, values := range d.When {
		s.when = append(s.when, stepCondition{path: strings.Split(path, "."), globs: newGlobs(values)})
	}
	var err error
	switch d.kind {
	case "regex":
		s.parser, err = newRegexParser(d.Regex)
	case "dissect":
		s.parser, err = newDissect(d.Dissect)
	case "kv":
		var kv kvDoc
		if d.KV != nil {
			kv = *d.KV
		}
		s.parser = newKV(kv)
	case "csv":
		s.parser = newCSV(d.CSV)
	case "cef":
		s.parser = cefParser{}
	case "leef":
		s.parser = leefParser{}
	case "accesslog":
		s.parser = accessLogParser{}
	case "json":
		s.parser = jsonParser{}
	case "xml":
		s.parser = xmlParser{}
	case "first":
		for i := range d.First {
			s.first = append(s.first, c.step(&d.First[i]))
		}
	}
	if err != nil {
		c.fail(d.place, "%s: %v", d.kind, err)
	}
	return s
}

// textParser runs a pack's steps on records; it belongs to one goroutine.
type textParser struct {
	found fields
	text  []byte
	fold  []byte
}

// run adds what the steps find to the tree and reports whether the record is
// parsed: every step that is not optional fitted.
func (p *textParser) run(steps []step, t *event.Tree) (changed, parsed bool) {
	parsed = true
	for i := range steps {
		fitted, added := p.one(&steps[i], t)
		changed = changed || added
		parsed = parsed && (fitted || steps[i].optional)
	}
	return changed, parsed
}

// one runs one step. A step that is passed over, because its text or what it
// asks of the record is not there, has fitted.
func (p *textParser) one(s *step, t *event.Tree) (fitted, changed bool) {
	for i := range s.when {
		if !p.holds(&s.when[i], t) {
			return true, false
		}
	}
	if len(s.first) > 0 {
		for i := range s.first {
			if fitted, changed = p.one(&s.first[i], t); fitted {
				return fitted, changed
			}
		}
		return false, false
	}
	n := findNode(t, 0, s.from)
	if n < 0 || t.Kind(n) != event.String {
		return true, false
	}
	text, ok := t.Plain(n)
	if !ok {
		p.text = t.AppendText(p.text[:0], n)
		text = p.text
	}
	if len(text) > parsedTextMax {
		text = text[:parsedTextMax]
	}
	p.found.reset()
	if !s.parser.parse(text, &p.found) {
		return false, false
	}
	return true, p.store(s.into, t)
}

func (p *textParser) holds(c *stepCondition, t *event.Tree) bool {
	n := findNode(t, 0, c.path)
	if n < 0 || t.Kind(n) == event.Null {
		return false
	}
	p.text = t.AppendText(p.text[:0], n)
	return c.globs.match(p.text, &p.fold)
}

// store adds the fields found to the tree. Fields that the record had before
// the step are not replaced.
func (p *textParser) store(into string, t *event.Tree) bool {
	before := t.Len()
	if !t.Reopen() {
		return false
	}
	end := before
	if into != "" {
		t.PutKeyText(into)
		t.BeginObject()
		end = 0 // a fresh object holds nothing that could be replaced
	}
	if p.found.json {
		graft(t, &p.found.tree, end)
	}
	if p.found.graft != nil {
		graft(t, p.found.graft, end)
	}
	for i := range p.found.list {
		f := &p.found.list[i]
		if f.name != "" {
			if hasMember(t, end, f.name) {
				continue
			}
			t.PutKeyText(f.name)
		} else {
			if hasMember(t, end, string(f.key)) {
				continue
			}
			t.PutKey(f.key)
		}
		t.PutString(f.value)
	}
	if into != "" {
		t.EndContainer()
	}
	t.EndContainer()
	return true
}

// hasMember reports whether the root has a member of that name among the
// nodes before end.
func hasMember(t *event.Tree, end int, name string) bool {
	for c := 1; c < end; c = t.End(c) {
		if string(t.Key(c)) == name {
			return true
		}
	}
	return false
}

// graft copies the members of src's root object to the open object of dst.
func graft(dst, src *event.Tree, end int) {
	if src.Len() == 0 || src.Kind(0) != event.Object {
		return
	}
	for c := 1; c < src.Len(); c = src.End(c) {
		if hasMember(dst, end, string(src.Key(c))) {
			continue
		}
		dst.PutKey(src.Key(c))
		graftValue(dst, src, c)
	}
}

// graftValue copies one value; the depth is bounded by the tree's own.
func graftValue(dst, src *event.Tree, i int) {
	switch src.Kind(i) {
	case event.Null:
		dst.PutNull()
	case event.False, event.True:
		dst.PutBool(src.Kind(i) == event.True)
	case event.Number:
		dst.PutNumber(src.NumberText(i))
	case event.String:
		if text, ok := src.Plain(i); ok {
			dst.PutString(text)
		} else {
			dst.PutArenaText(src.AppendText(dst.Arena(), i))
		}
	case event.Object:
		dst.BeginObject()
		for c := i + 1; c < src.End(i); c = src.End(c) {
			dst.PutKey(src.Key(c))
			graftValue(dst, src, c)
		}
		dst.EndContainer()
	case event.Array:
		dst.BeginArray()
		for c := i + 1; c < src.End(i); c = src.End(c) {
			graftValue(dst, src, c)
		}
		dst.EndContainer()
	}
}

// findNode follows exact names from node i, trying a key that holds dots before
// a path, through objects and the items of arrays; it returns the first node
// reached or -1.
func findNode(t *event.Tree, i int, steps []string) int {
	if i >= t.Len() {
		return -1
	}
	if len(steps) == 0 {
		return i
	}
	switch t.Kind(i) {
	case event.Array:
		for c := i + 1; c < t.End(i); c = t.End(c) {
			if n := findNode(t, c, steps); n >= 0 {
				return n
			}
		}
	case event.Object:
		for n := len(steps); n >= 1; n-- {
			name := steps[0]
			if n > 1 {
				name = strings.Join(steps[:n], ".")
			}
			if c := t.Find(i, name); c >= 0 {
				if found := findNode(t, c, steps[n:]); found >= 0 {
					return found
				}
			}
		}
	}
	return -1
}
