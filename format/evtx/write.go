package evtx

import (
	"bytes"
	"strconv"
	"time"
)

// enter appends element i to entries, with the key it becomes.
func (p *parser) enter(i uint32, s scope) {
	e := &p.prog.elems[i]
	x := entry{scope: s, elem: i, key: e.key}
	if e.nameAttr >= 0 {
		lo := uint32(len(p.keys))
		a := &p.prog.attrs[e.nameAttr]
		p.keys = p.appendParts(p.keys, a.partLo, a.partHi, s)
		if hi := uint32(len(p.keys)); hi > lo {
			x.key, x.made = span{lo, hi}, true
			p.outputBytes += int(hi - lo)
		}
	}
	p.entries = append(p.entries, x)
}

func (p *parser) key(x *entry) []byte {
	if x.made {
		return p.keys[x.key.lo:x.key.hi]
	}
	return p.prog.at(x.key)
}

// members writes entries[mark:] as members of the open object, those of one
// key as one, and drops them.
func (p *parser) members(mark int) {
	n := len(p.entries)
	for i := mark; i < n; i++ {
		if p.entries[i].done {
			continue
		}
		// More than one value makes an array. Entries move when they grow, so
		// they are reached by index.
		key := p.key(&p.entries[i])
		total := 0
		for j := i; j < n; j++ {
			if x := &p.entries[j]; !x.done && string(p.key(x)) == string(key) {
				total += p.count(x.elem, x.scope)
			}
		}
		if !p.step(1 + (n-i)/8) {
			break
		}
		if total > 0 {
			p.putKey(key)
		}
		if total > 1 {
			p.tree.BeginArray()
		}
		first := p.entries[i]
		for j := i; j < n; j++ {
			x := p.entries[j]
			if x.done {
				continue
			}
			if j > i && !p.sameKey(first, x) {
				continue
			}
			p.entries[j].done = true
			if total > 0 {
				p.occur(x.elem, x.scope)
			}
		}
		if total > 1 {
			p.tree.EndContainer()
		}
		if p.err != nil || p.tree.Err() != nil {
			break
		}
	}
	p.entries = p.entries[:mark]
}

func (p *parser) putKey(key []byte) {
	p.outputBytes += len(key)
	p.tree.PutKey(key)
}

func (p *parser) sameKey(a, b entry) bool { return string(p.key(&a)) == string(p.key(&b)) }

// value returns the value of an element of contentValue.
func (p *parser) value(index uint32, s scope) val { return p.vals[s.lo+index] }

// count returns how often element i is there: 0, 1, or 2 for more.
func (p *parser) count(i uint32, s scope) int {
	e := &p.prog.elems[i]
	if e.content != contentValue {
		return 1
	}
	v := p.value(uint32(e.valueIndex), s)
	if v.typ == typeNull && e.optional {
		return 0
	}
	return p.occurrences(v)
}

// occur writes element i as often as it is there, without keys: the caller has
// opened an array when that is more than once.
func (p *parser) occur(i uint32, s scope) {
	e := &p.prog.elems[i]
	if e.content == contentValue {
		v := p.value(uint32(e.valueIndex), s)
		if v.typ == typeNull && e.optional {
			return
		}
		if v.typ&typeArray != 0 {
			it, err := itemsOf(v)
			if err != nil {
				p.fail(err)
				return
			}
			for {
				item, ok := it.next(p.data)
				if !ok || !p.step(1) {
					return
				}
				p.element(i, s, item)
			}
		}
		p.element(i, s, v)
		return
	}
	p.element(i, s, val{})
}

// field writes element i as a member of the open object: the quick way, for
// elements whose key no sibling shares.
func (p *parser) field(i uint32, s scope) {
	e := &p.prog.elems[i]
	if e.content == contentValue {
		v := p.value(uint32(e.valueIndex), s)
		if v.typ == typeNull && e.optional {
			return
		}
		if v.typ&typeArray != 0 {
			n := p.occurrences(v)
			if n == 0 {
				return
			}
			p.putKey(p.prog.at(e.key))
			if n > 1 {
				p.tree.BeginArray()
			}
			p.occur(i, s)
			if n > 1 {
				p.tree.EndContainer()
			}
			return
		}
		if e.recordID && v.typ == typeUint64 && v.size == 8 {
			p.id, p.hasID = le64(p.data[v.off:]), true
		}
		p.putKey(p.prog.at(e.key))
		p.element(i, s, v)
		return
	}
	p.putKey(p.prog.at(e.key))
	p.element(i, s, val{})
}

// element writes the value of element i. v is its value when that is all its
// content.
func (p *parser) element(i uint32, s scope, v val) {
	if !p.step(1) {
		p.tree.PutText("")
		return
	}
	e := &p.prog.elems[i]
	content := e.content
	if content == contentValue && v.typ == typeBinXML || content == contentText && p.holdsFragment(i, s) {
		content = contentMixed
	}
	attrs := e.attrLo != e.attrHi && p.hasAttributes(i, s)
	switch content {
	case contentFields:
		p.fields(i, s, attrs)
		return
	case contentMixed:
		p.mixed(i, s, attrs)
		return
	}
	if attrs {
		p.tree.BeginObject()
		p.attributes(i, s)
		if !p.hasText(i, s, content, v) {
			p.tree.EndContainer()
			return
		}
		p.tree.PutKeyText("#text")
	}
	switch content {
	case contentValue:
		if !e.number || v.typ != typeString {
			p.put(v)
			break
		}
		fallthrough
	case contentText:
		p.putParts(e.partLo, e.partHi, s, e.number)
	default:
		p.tree.PutText("")
	}
	if attrs {
		p.tree.EndContainer()
	}
}

// hasText reports whether the text of element i is not empty.
func (p *parser) hasText(i uint32, s scope, content content, v val) bool {
	switch content {
	case contentValue:
		b := p.data[v.off : v.off+v.size]
		switch v.typ {
		case typeNull:
			return false
		case typeString, typeAnsi:
			return len(bytes.TrimRight(b, "\x00")) > 0
		}
		return len(b) > 0
	case contentText:
		e := &p.prog.elems[i]
		n := len(p.text)
		p.text = p.appendParts(p.text, e.partLo, e.partHi, s)
		some := len(p.text) > n
		p.text = p.text[:n]
		return some
	}
	return false
}

// fields writes an element of contentFields.
func (p *parser) fields(i uint32, s scope, attrs bool) {
	e := p.prog.elems[i]
	parts := p.prog.parts[e.partLo:e.partHi]
	if !attrs && !e.fieldsPresent {
		present := false
		for _, x := range parts {
			if p.count(x.lo, s) > 0 {
				present = true
				break
			}
		}
		if !present {
			p.tree.PutText("")
			return
		}
	}
	p.tree.BeginObject()
	if attrs {
		p.attributes(i, s)
	}
	for _, x := range parts {
		p.field(x.lo, s)
		if p.err != nil {
			break
		}
	}
	p.tree.EndContainer()
}

// holdsFragment reports whether one of several values of an element is binary
// XML.
func (p *parser) holdsFragment(i uint32, s scope) bool {
	e := &p.prog.elems[i]
	for _, x := range p.prog.parts[e.partLo:e.partHi] {
		if x.kind == partValue && p.value(x.lo, s).typ == typeBinXML {
			return true
		}
	}
	return false
}

// mixed writes an element whose content is settled by its values.
func (p *parser) mixed(i uint32, s scope, attrs bool) {
	e := p.prog.elems[i]
	mark, text := len(p.entries), len(p.text)
	for _, x := range p.prog.parts[e.partLo:e.partHi] {
		switch x.kind {
		case partElem:
			p.enter(x.lo, s)
		case partText:
			p.text = append(p.text, p.prog.text[x.lo:x.hi]...)
		case partValue:
			if v := p.value(x.lo, s); v.typ == typeBinXML {
				p.fragments(int(v.off), int(v.off+v.size))
			} else {
				p.text = p.appendJoined(p.text, v)
			}
		}
		if !p.step(1) {
			break
		}
	}
	p.outputBytes += len(p.text) - text
	present := false
	for _, x := range p.entries[mark:] {
		if p.count(x.elem, x.scope) > 0 {
			present = true
			break
		}
	}
	hasText := !isSpace(p.text[text:])
	switch {
	case p.err != nil, !attrs && !present:
		p.tree.PutString(p.text[text:])
		p.entries = p.entries[:mark]
	default:
		p.tree.BeginObject()
		if attrs {
			p.attributes(i, s)
		}
		// The text goes last, but the buffer is used by what is written before.
		if present {
			p.depth++ // fragments inside fragments nest the stack
			p.members(mark)
			p.depth--
		}
		p.entries = p.entries[:mark]
		if hasText {
			p.tree.PutKeyText("#text")
			p.tree.PutString(p.text[text:])
		}
		p.tree.EndContainer()
	}
	p.text = p.text[:text]
}

// hasAttributes reports whether an attribute of element i is there.
func (p *parser) hasAttributes(i uint32, s scope) bool {
	e := &p.prog.elems[i]
	if e.attrsPresent {
		return true
	}
	for j := e.attrLo; j < e.attrHi; j++ {
		if int32(j) != e.nameAttr && p.attributePresent(j, s) {
			return true
		}
	}
	return false
}

func (p *parser) attributePresent(j uint32, s scope) bool {
	a := &p.prog.attrs[j]
	return !a.optional || p.value(p.prog.parts[a.partLo].lo, s).typ != typeNull
}

// attributes writes the member #attributes of element i.
func (p *parser) attributes(i uint32, s scope) {
	e := &p.prog.elems[i]
	p.tree.PutKeyText("#attributes")
	p.tree.BeginObject()
	for j := e.attrLo; j < e.attrHi; j++ {
		if int32(j) == e.nameAttr || !p.attributePresent(j, s) || !p.step(1) {
			continue
		}
		a := &p.prog.attrs[j]
		p.putKey(p.prog.at(a.name))
		if a.value {
			v := p.value(p.prog.parts[a.partLo].lo, s)
			if v.typ&typeArray == 0 && v.typ != typeBinXML && (v.typ != typeString || !a.number) {
				if a.systemTime && v.typ == typeFileTime && v.size == 8 && !p.hasTicks {
					p.hasTicks = true
					p.ticks = le64(p.data[v.off:])
				}
				p.put(v)
				continue
			}
		}
		p.putParts(a.partLo, a.partHi, s, a.number)
	}
	p.tree.EndContainer()
}

// putParts adds the text of literal parts and values: as a number when number
// says that it should be one and it is.
func (p *parser) putParts(lo, hi uint32, s scope, number bool) {
	arena := p.tree.Arena()
	n := len(arena)
	arena = p.appendParts(arena, lo, hi, s)
	p.outputBytes += len(arena) - n
	if number && isInteger(arena[n:]) {
		p.tree.PutArenaNumber(arena)
	} else {
		p.tree.PutArenaText(arena)
	}
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

// appendParts appends the text of literal parts and values.
func (p *parser) appendParts(dst []byte, lo, hi uint32, s scope) []byte {
	for _, x := range p.prog.parts[lo:hi] {
		if !p.step(1) {
			return dst
		}
		switch x.kind {
		case partText:
			dst = append(dst, p.prog.text[x.lo:x.hi]...)
		case partValue:
			v := p.value(x.lo, s)
			if v.typ == typeBinXML {
				p.fail(errNotScalar)
				return dst
			}
			dst = p.appendJoined(dst, v)
		}
	}
	return dst
}

// textID returns System/EventRecordID where it is written as text or as a
// smaller number, else fallback.
func (p *parser) textID(fallback uint64) uint64 {
	if i := p.tree.Path("Event", "System", "EventRecordID"); i >= 0 {
		text, _ := p.tree.Plain(i)
		if id, err := strconv.ParseUint(string(text), 10, 64); err == nil {
			return id
		}
	}
	return fallback
}

// textTime returns the time of System/TimeCreated where it is written as text,
// else that of the record's header.
func (p *parser) textTime(ticks uint64) time.Time {
	if i := p.tree.Path("Event", "System", "TimeCreated", "#attributes", "SystemTime"); i >= 0 {
		text, _ := p.tree.Plain(i)
		if t, err := time.Parse(time.RFC3339Nano, string(text)); err == nil {
			return t.UTC()
		}
	}
	return fileTime(ticks)
}
