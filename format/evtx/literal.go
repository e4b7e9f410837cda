package evtx

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// characters reads one token of text and pushes its part.
func (c *compiler) characters(tok byte) error {
	lo := uint32(len(c.prog.text))
	switch tok {
	case tokText:
		if !c.need(2) {
			return errCutShort
		}
		if typ := c.data[c.pos+1]; typ != typeString {
			return fmt.Errorf("literal text of type %02x: only strings can be", typ)
		}
		c.pos += 2
		if err := c.chars(); err != nil {
			return err
		}
	case tokCDATA:
		c.pos++
		if err := c.chars(); err != nil {
			return err
		}
	case tokCharRef:
		if !c.need(3) {
			return errCutShort
		}
		c.pos++
		c.prog.text = utf8.AppendRune(c.prog.text, rune(c.u16()))
	case tokEntityRef:
		c.pos++
		name, err := c.name()
		if err != nil {
			return err
		}
		r, ok := entities[string(c.prog.at(name))]
		if !ok {
			return fmt.Errorf("unknown entity %q", c.prog.at(name))
		}
		c.prog.text = append(c.prog.text[:lo], r)
	case tokValue, tokValueOpt:
		if !c.need(4) {
			return errCutShort
		}
		c.pos++
		i := uint32(c.u16())
		c.pos++ // the type stands with the value, and that one counts
		c.subs = max(c.subs, i+1)
		c.stack = append(c.stack, part{kind: partValue, lo: i, optional: tok == tokValueOpt})
		return nil
	default:
		return fmt.Errorf("token %02x inside an element", c.data[c.pos])
	}
	hi := uint32(len(c.prog.text))
	if hi == lo {
		return nil
	}
	if n := len(c.stack); n > 0 && c.stack[n-1].kind == partText && c.stack[n-1].hi == lo {
		c.stack[n-1].hi = hi
		return nil
	}
	c.stack = append(c.stack, part{kind: partText, lo: lo, hi: hi})
	return nil
}

// entities are the five of XML.
var entities = map[string]byte{"amp": '&', "lt": '<', "gt": '>', "quot": '"', "apos": '\''}

// chars appends a counted UTF-16 text to the program's.
func (c *compiler) chars() error {
	if !c.need(2) {
		return errCutShort
	}
	n := 2 * int(c.u16())
	if !c.need(n) {
		return errCutShort
	}
	c.prog.text = appendUTF16(c.prog.text, c.data[c.pos:c.pos+n])
	c.pos += n
	return nil
}

// name reads a reference to a name, and over the name where it stands right
// behind.
func (c *compiler) name() (span, error) {
	if !c.need(4) {
		return span{}, errCutShort
	}
	off := int64(c.u32())
	if off+8 > int64(len(c.data)) {
		return span{}, errIndex
	}
	units := int(binary.LittleEndian.Uint16(c.data[off+6:]))
	lo := int(off) + 8
	hi := lo + 2*units
	if hi > len(c.data) {
		return span{}, errIndex
	}
	if units == 0 {
		return span{}, errNoName
	}
	if units > nameUnitsMax {
		return span{}, fmt.Errorf("a name of %d characters, more than %d", units, nameUnitsMax)
	}
	if int(off) == c.pos {
		if hi+2 > c.end {
			return span{}, errCutShort
		}
		c.pos = hi + 2
	}
	s := span{lo: uint32(len(c.prog.text))}
	c.prog.text = appendUTF16(c.prog.text, c.data[lo:hi])
	s.hi = uint32(len(c.prog.text))
	c.prog.spent += units / 8 // one long name can be named by many tags
	return s, nil
}
