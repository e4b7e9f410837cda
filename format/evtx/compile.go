package evtx

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tiercel-io/tiercel/event"
)

// The tokens of BinXML ([MS-EVEN6] 2.2.12). Bit 6 says that more of the same
// follows; it does not change the layout except for start tags.
const (
	tokEnd          = 0x00
	tokOpenStart    = 0x01
	tokCloseStart   = 0x02
	tokCloseEmpty   = 0x03
	tokEndElement   = 0x04
	tokText         = 0x05
	tokAttribute    = 0x06
	tokCDATA        = 0x07
	tokCharRef      = 0x08
	tokEntityRef    = 0x09
	tokPITarget     = 0x0a
	tokPIData       = 0x0b
	tokTemplate     = 0x0c
	tokValue        = 0x0d
	tokValueOpt     = 0x0e
	tokFragment     = 0x0f
	tokMore         = 0x40
	templateHead    = 24 // next definition, GUID, size of the body
	elementDepthMax = event.DepthMax
	attributesMax   = 256 // the limit that XML event logs have as well
	nameUnitsMax    = event.KeyBytesMax
)

var (
	errCutShort     = errors.New("binary XML ends inside a token")
	errDepth        = fmt.Errorf("elements are nested deeper than %d", elementDepthMax)
	errAttributes   = fmt.Errorf("an element has more than %d attributes", attributesMax)
	errCompileLimit = fmt.Errorf("templates of the chunk exceed %d bytes or %d in number: definitions overlap",
		compiledBytesMax, unitSlots/2)
	errIndex  = errors.New("an offset points outside the chunk")
	errNoName = errors.New("an element or attribute has an empty name")
)

// compiler turns BinXML into a program's elements. It reads data[pos:end].
type compiler struct {
	prog       *program
	data       []byte
	pos, end   int
	dependency bool // start tags carry a dependency id
	subs       uint32
	stack      []part // parts of the elements being read
}

func (c *compiler) need(n int) bool { return c.end-c.pos >= n }

func (c *compiler) u16() uint16 {
	v := binary.LittleEndian.Uint16(c.data[c.pos:])
	c.pos += 2
	return v
}

func (c *compiler) u32() uint32 {
	v := binary.LittleEndian.Uint32(c.data[c.pos:])
	c.pos += 4
	return v
}

// template returns the unit of the template defined at off, compiling it when
// it is new. The errors of a definition are kept with it.
func (c *compiler) template(off uint32) (*unit, error) {
	if u := c.prog.find(off); u != nil {
		return u, u.err
	}
	if uint64(off)+templateHead > uint64(len(c.data)) {
		return nil, errIndex
	}
	body := int(off) + templateHead
	size := int64(binary.LittleEndian.Uint32(c.data[off+20:]))
	if size > int64(len(c.data)-body) {
		return nil, errCutShort
	}
	u := unit{off: off, id: binary.LittleEndian.Uint32(c.data[off+4:]), size: templateHead + uint32(size)}
	return c.compile(u, body, body+int(size), true)
}

// element returns the unit of the element written at off and ending before
// end, which is not part of a template.
func (c *compiler) element(off, end int) (*unit, error) {
	if u := c.prog.find(uint32(off)); u != nil {
		return u, u.err
	}
	return c.compile(unit{off: uint32(off)}, off, end, false)
}

func (c *compiler) compile(u unit, pos, end int, inTemplate bool) (*unit, error) {
	if c.prog.spent > compiledBytesMax {
		return nil, errCompileLimit
	}
	err := c.try(&u, pos, end, inTemplate)
	if err != nil {
		// Some writers leave the dependency id out of templates, or put one
		// where none is due: the layout that reads to the end is the right one.
		if c.try(&u, pos, end, !inTemplate) == nil {
			err = nil
		}
	}
	u.err = err
	if !c.prog.add(u) {
		return nil, errCompileLimit
	}
	added := &c.prog.units[len(c.prog.units)-1]
	return added, added.err
}

// try compiles data[pos:end] in one of the two layouts of start tags.
func (c *compiler) try(u *unit, pos, end int, dependency bool) error {
	p := c.prog
	text, elems, attrs, parts := len(p.text), len(p.elems), len(p.attrs), len(p.parts)
	c.pos, c.end, c.dependency, c.subs = pos, end, dependency, 0
	c.stack = c.stack[:0]
	root, err := c.root()
	p.spent += c.pos - pos
	if err != nil {
		p.text, p.elems, p.attrs, p.parts = p.text[:text], p.elems[:elems], p.attrs[:attrs], p.parts[:parts]
		return err
	}
	u.root, u.subsMin = root, c.subs
	if u.size == 0 {
		u.size = uint32(c.pos - pos)
	}
	return nil
}

// root reads the first element, past a fragment header and processing
// instructions.
func (c *compiler) root() (uint32, error) {
	for {
		if !c.need(1) {
			return 0, errCutShort
		}
		switch tok := c.data[c.pos] &^ tokMore; tok {
		case tokFragment:
			c.pos += 4
		case tokOpenStart:
			return c.elem(0, false, false)
		default:
			if skipped, err := c.instruction(tok); err != nil {
				return 0, err
			} else if !skipped {
				return 0, fmt.Errorf("token %02x where an element should begin", c.data[c.pos])
			}
		}
	}
}

// instruction skips a processing instruction, which events have no use for.
func (c *compiler) instruction(tok byte) (bool, error) {
	switch tok {
	case tokPITarget:
		c.pos++
		mark := len(c.prog.text)
		_, err := c.name()
		c.prog.text = c.prog.text[:mark]
		return true, err
	case tokPIData:
		c.pos++
		mark := len(c.prog.text)
		err := c.chars()
		c.prog.text = c.prog.text[:mark]
		return true, err
	}
	return false, nil
}

// elem reads an element. top says that its parent is a root named Event, system
// that its parent is that one's System.
func (c *compiler) elem(depth int, top, system bool) (uint32, error) {
	if depth >= elementDepthMax {
		return 0, errDepth
	}
	more := c.data[c.pos]&tokMore != 0
	c.pos++
	n := 8 // size, name
	if c.dependency {
		n += 2
	}
	if !c.need(n) {
		return 0, errCutShort
	}
	if c.dependency {
		c.pos += 2
	}
	c.pos += 4 // the size says no more than the tokens do
	name, err := c.name()
	if err != nil {
		return 0, err
	}
	e := elem{key: name, nameAttr: -1}
	e.holdsSystemTime = system && string(c.prog.at(name)) == "TimeCreated"
	e.number = system && systemNumber(c.prog.at(name))
	e.recordID = system && string(c.prog.at(name)) == "EventRecordID"
	if more {
		if !c.need(4) {
			return 0, errCutShort
		}
		c.pos += 4
		if err := c.attributes(&e, system); err != nil {
			return 0, err
		}
	}
	if !c.need(1) {
		return 0, errCutShort
	}
	mark := len(c.stack)
	switch c.data[c.pos] {
	case tokCloseEmpty:
		c.pos++
	case tokCloseStart:
		c.pos++
		if err := c.content(depth, depth == 0 && string(c.prog.at(name)) == "Event", top && string(c.prog.at(name)) == "System"); err != nil {
			return 0, err
		}
	default:
		return 0, fmt.Errorf("token %02x inside a start tag", c.data[c.pos])
	}
	c.finish(&e, mark)
	c.prog.elems = append(c.prog.elems, e)
	return uint32(len(c.prog.elems) - 1), nil
}

// content reads up to the end of the element whose depth is given and pushes
// its parts.
func (c *compiler) content(depth int, top, system bool) error {
	for {
		if !c.need(1) {
			return errCutShort
		}
		switch tok := c.data[c.pos] &^ tokMore; tok {
		case tokEndElement:
			c.pos++
			return nil
		case tokOpenStart:
			i, err := c.elem(depth+1, top, system)
			if err != nil {
				return err
			}
			c.stack = append(c.stack, part{kind: partElem, lo: i})
		default:
			if skipped, err := c.instruction(tok); err != nil {
				return err
			} else if skipped {
				continue
			}
			if err := c.characters(tok); err != nil {
				return err
			}
		}
	}
}

// attributes reads the attributes of a start tag into the program.
func (c *compiler) attributes(e *elem, system bool) error {
	p := c.prog
	e.attrLo = uint32(len(p.attrs))
	data := string(p.at(e.key)) == "Data"
	for c.need(1) && c.data[c.pos]&^tokMore == tokAttribute {
		c.pos++
		name, err := c.name()
		if err != nil {
			return err
		}
		mark := len(c.stack)
		for c.need(1) {
			tok := c.data[c.pos] &^ tokMore
			if tok == tokAttribute || tok == tokCloseStart || tok == tokCloseEmpty {
				break
			}
			if err := c.characters(tok); err != nil {
				return err
			}
		}
		a := attr{name: name, partLo: uint32(len(p.parts))}
		p.parts = append(p.parts, c.stack[mark:]...)
		c.stack = c.stack[:mark]
		a.partHi = uint32(len(p.parts))
		parts := p.parts[a.partLo:a.partHi]
		a.value = len(parts) == 1 && parts[0].kind == partValue
		a.optional = a.value && parts[0].optional
		a.systemTime = e.holdsSystemTime && string(p.at(name)) == "SystemTime"
		a.number = system && systemNumber(p.at(name))
		if data && string(p.at(name)) == "Name" {
			data = false // the first Name is the key
			if len(parts) == 0 {
				continue
			}
			if len(parts) == 1 && parts[0].kind == partText {
				e.key = span{parts[0].lo, parts[0].hi}
				continue
			}
			e.nameAttr = int32(len(p.attrs))
		} else if !a.optional {
			e.attrsPresent = true
		}
		p.attrs = append(p.attrs, a)
		if len(p.attrs)-int(e.attrLo) > attributesMax {
			return errAttributes
		}
	}
	e.attrHi = uint32(len(p.attrs))
	return nil
}

// finish moves the parts above mark into the program and settles what kind of
// content they are.
func (c *compiler) finish(e *elem, mark int) {
	p := c.prog
	parts := c.stack[mark:]
	elems, values := 0, 0
	for _, x := range parts {
		switch x.kind {
		case partElem:
			elems++
		case partValue:
			values++
		}
	}
	e.partLo = uint32(len(p.parts))
	for _, x := range parts {
		if x.kind == partText && elems > 0 && isSpace(p.text[x.lo:x.hi]) {
			continue // the layout of a document, not content
		}
		p.parts = append(p.parts, x)
	}
	c.stack = c.stack[:mark]
	e.partHi = uint32(len(p.parts))
	parts = p.parts[e.partLo:e.partHi]
	switch {
	case len(parts) == 0:
		e.content = contentEmpty
	case elems == len(parts) && c.distinct(parts):
		e.content = contentFields
		for _, x := range parts {
			if p.elems[x.lo].content != contentValue {
				e.fieldsPresent = true
			}
		}
	case elems > 0:
		e.content = contentMixed
	case values == 1 && len(parts) == 1:
		e.content = contentValue
		e.valueIndex, e.optional = uint16(parts[0].lo), parts[0].optional
	default:
		e.content = contentText
	}
}

// distinctMax bounds the comparisons of names when a template is compiled;
// larger elements are grouped when they are written.
const distinctMax = 256

// distinct reports whether the elements have fixed and different names.
func (c *compiler) distinct(parts []part) bool {
	if len(parts) > distinctMax {
		return false
	}
	for i, x := range parts {
		e := &c.prog.elems[x.lo]
		if e.nameAttr >= 0 {
			return false
		}
		key := c.prog.at(e.key)
		for _, y := range parts[:i] {
			if string(c.prog.at(c.prog.elems[y.lo].key)) == string(key) {
				return false
			}
		}
	}
	return true
}

// systemNumber reports whether name is an element below System, or an attribute
// of one, whose type in the event schema is an integer. Logs that were
// forwarded as text hold them without their types.
func systemNumber(name []byte) bool {
	switch string(name) {
	case "EventID", "Qualifiers", "Version", "Level", "Task", "Opcode", "EventRecordID",
		"ProcessID", "ThreadID", "ProcessorID", "SessionID", "KernelTime", "UserTime", "ProcessorTime":
		return true
	}
	return false
}

func isSpace(b []byte) bool {
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}
