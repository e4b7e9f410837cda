package winxml

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

var errNoFrame = errors.New("the frame lies outside its block")

// parser reads the events of blocks into trees.
type parser struct {
	zone *time.Location
	doc  document
	rec  event.Record
	tree *event.Tree
}

// Parse reads the event of frame f. An error is a [format.Problem] with the
// position of what is wrong.
func (p *parser) Parse(b *format.Block, f format.Frame, emit func(*event.Record)) error {
	if f.Start < 0 || f.Start > f.End || f.End > len(b.Data) {
		return format.Problem{Offset: f.Offset, Line: f.Line, Err: errNoFrame}
	}
	raw := b.Data[f.Start:f.End]
	if err := p.doc.read(raw); err != nil {
		line := f.Line
		var at *syntaxError
		if errors.As(err, &at) && line > 0 {
			line += int64(bytes.Count(raw[:at.offset], []byte{'\n'}))
		}
		return format.Problem{Offset: f.Offset, Line: line, Err: err}
	}
	p.rec.Reset(raw)
	p.tree = &p.rec.Tree
	p.tree.BeginObject()
	p.tree.PutKey(p.doc.text(p.doc.elements[0].key))
	p.element(0, 0, false)
	p.tree.EndContainer()
	if err := p.tree.Err(); err != nil {
		return format.Problem{Offset: f.Offset, Line: f.Line, Err: err}
	}
	p.rec.Format = name
	p.rec.Offset, p.rec.Line = f.Offset, f.Line
	p.number()
	p.time()
	emit(&p.rec)
	return nil
}

// element writes the value of element i. system says that it stands in System
// of the root.
func (p *parser) element(i, depth int, system bool) {
	e := &p.doc.elements[i]
	attrs := e.attrLo < e.attrHi
	number := system && systemNumber(p.doc.text(e.name))
	if e.child < 0 && !attrs {
		p.content(e, number)
		return
	}
	hasText := e.text >= 0
	if e.child >= 0 {
		hasText = p.hasText(e)
	}
	p.tree.BeginObject()
	if attrs {
		p.tree.PutKeyText("#attributes")
		p.tree.BeginObject()
		for _, a := range p.doc.attrs[e.attrLo:e.attrHi] {
			p.tree.PutKey(p.doc.text(a.name))
			p.put(a.value, system && systemNumber(p.doc.text(a.name)))
		}
		p.tree.EndContainer()
	}
	if e.child >= 0 {
		p.members(e, depth, depth == 1 && string(p.doc.text(e.name)) == "System")
	}
	if hasText {
		p.tree.PutKeyText("#text")
		p.content(e, number)
	}
	p.tree.EndContainer()
}

// members writes the children of e, those of one key as one member.
func (p *parser) members(e *element, depth int, system bool) {
	d := &p.doc
	keys := 0
	for i := e.child; i >= 0; i = d.elements[i].next {
		c := &d.elements[i]
		if c.done {
			continue
		}
		if keys++; keys > event.ObjectKeysMax+1 {
			return // the tree refuses the object; the search need not go on
		}
		key := d.text(c.key)
		p.tree.PutKey(key)
		array := false
		for j := c.next; j >= 0; j = d.elements[j].next {
			o := &d.elements[j]
			if o.hash != c.hash || string(d.text(o.key)) != string(key) {
				continue
			}
			if !array {
				array = true
				p.tree.BeginArray()
				p.element(i, depth+1, system)
			}
			o.done = true
			p.element(j, depth+1, system)
		}
		if array {
			p.tree.EndContainer()
		} else {
			p.element(i, depth+1, system)
		}
		if p.tree.Err() != nil {
			return
		}
	}
}

// hasText reports whether the text of an element with children is more than
// the layout of the file.
func (p *parser) hasText(e *element) bool {
	for i := e.text; i >= 0; i = p.doc.pieces[i].next {
		if !allSpace(p.doc.text(p.doc.pieces[i].span)) {
			return true
		}
	}
	return false
}

// content adds the text of e.
func (p *parser) content(e *element, number bool) {
	d := &p.doc
	if e.text < 0 {
		p.tree.PutText("")
		return
	}
	if e.text == e.textLast {
		s := d.pieces[e.text].span
		if e.parent == 0 && e.child < 0 && allSpace(d.text(s)) {
			// An empty EventData or System that was laid out on two lines.
			p.tree.PutText("")
			return
		}
		p.put(s, number)
		return
	}
	arena := p.tree.Arena()
	children := e.child >= 0
	for i := e.text; i >= 0; i = d.pieces[i].next {
		t := d.text(d.pieces[i].span)
		if !children || !allSpace(t) {
			arena = append(arena, t...)
		}
	}
	p.tree.PutArenaText(arena)
}

// put adds text: as a number when number says that it should be one and it is.
func (p *parser) put(s span, number bool) {
	t := p.doc.text(s)
	switch {
	case number && isInteger(t):
		p.tree.PutNumber(t)
	case s.decoded:
		p.tree.PutString(t)
	default:
		p.tree.PutSpan(s.lo, s.hi)
	}
}

// systemNumber reports whether name is an element below System, or an attribute
// of one, whose type in the event schema is an integer.
func systemNumber(name []byte) bool {
	switch string(name) {
	case "EventID", "Qualifiers", "Version", "Level", "Task", "Opcode", "EventRecordID",
		"ProcessID", "ThreadID", "ProcessorID", "SessionID", "KernelTime", "UserTime", "ProcessorTime":
		return true
	}
	return false
}

// isInteger reports whether b is a number without sign, spelled as one.
func isInteger(b []byte) bool {
	if len(b) == 0 || len(b) > 20 || b[0] == '0' && len(b) > 1 {
		return false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// number sets the record's number from System/EventRecordID.
func (p *parser) number() {
	if i := p.tree.Path("Event", "System", "EventRecordID"); i >= 0 {
		text, _ := p.tree.Plain(i)
		if id, err := strconv.ParseUint(string(text), 10, 64); err == nil {
			p.rec.RecordID = id
		}
	}
}

// time sets the record's time from System/TimeCreated. One without a zone,
// which Windows does not write, has that of the source.
func (p *parser) time() {
	i := p.tree.Path("Event", "System", "TimeCreated", "#attributes", "SystemTime")
	if i < 0 {
		return
	}
	text, _ := p.tree.Plain(i)
	if t, err := time.Parse(time.RFC3339Nano, string(text)); err == nil {
		p.rec.Time, p.rec.TimeQuality = t.UTC(), event.TimeParsed
		return
	}
	zone := p.zone
	if zone == nil {
		zone = time.UTC
	}
	if t, err := time.ParseInLocation("2006-01-02T15:04:05", string(text), zone); err == nil {
		p.rec.Time, p.rec.TimeQuality = t.UTC(), event.TimeAssumedZone
	}
}
